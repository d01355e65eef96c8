"""A headless Chromium, driven by the WebDriver protocol (W3C) as far as the tests need it.

The driver is a process of its own on a port of its own; it and the browsers that it started are one
process group, which is ended by its number.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from support import PATIENCE, eventually

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how the protocol calls a reference to an element
ENTER, ESCAPE, TAB, LEFT = "\ue007", "\ue00c", "\ue004", "\ue012"


class WebDriverError(Exception):
    def __init__(self, value):
        super().__init__(f"{value.get('error')}: {value.get('message', '').splitlines()[0]}")
        self.name = value.get("error")


class Driver:
    """chromedriver, on a port that it chose."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tallygate-e2e-browser-")
        self.output = os.path.join(self.folder, "driver.log")
        environment = {**os.environ, "HOME": self.folder, "TZ": "UTC", "LANG": "C.UTF-8"}
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [DRIVER, "--port=0", "--allowed-ips=127.0.0.1"], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, env=environment, cwd=self.folder)
        self.port = None
        try:
            eventually(lambda: self.find_port() is not None)
        except AssertionError:
            self.stop()
            raise

    def find_port(self):
        with open(self.output, errors="replace") as output:
            found = re.search(r"started successfully on port (\d+)", output.read())
        self.port = int(found[1]) if found else None
        return self.port

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3 * PATIENCE)
        try:
            text = None if method == "GET" else json.dumps(body if body is not None else {})
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
        finally:
            connection.close()
        if response.status != 200:
            raise WebDriverError(value)
        return value

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        eventually(self.remove)

    def remove(self):
        """What is being ended may still write."""
        shutil.rmtree(self.folder, ignore_errors=True)
        return not os.path.exists(self.folder)


class Browser:
    """One window. As a context manager it is closed, and its driver ended."""

    def __init__(self):
        self.driver = Driver()
        arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update",
                     "--disable-sync", "--hide-scrollbars", "--no-proxy-server", "--force-color-profile=srgb",
                     f"--user-data-dir={self.driver.folder}/profile"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        wanted = {"browserName": "chrome", "pageLoadStrategy": "normal",
                  "goog:chromeOptions": {"args": arguments, "binary": CHROMIUM},
                  "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            session = self.driver.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self.driver.stop()
            raise
        self.session = "/session/" + session["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(WebDriverError, OSError, http.client.HTTPException):
            self.driver.ask("DELETE", self.session)
        self.driver.stop()

    def ask(self, method, path, body=None):
        return self.driver.ask(method, self.session + path, body)

    # -- the window

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    @property
    def url(self):
        return self.ask("GET", "/url")

    def devtools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width, height, phone=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.devtools("Emulation.setTouchEmulationEnabled", enabled=phone)

    def prefer(self, scheme):
        """"light" or "dark"."""
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, whole=False):
        """PNG: what is to be seen, or the whole page."""
        if not whole:
            return base64.b64decode(self.ask("GET", "/screenshot"))
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def cookies(self):
        return {cookie["name"]: cookie for cookie in self.ask("GET", "/cookie")}

    def console(self):
        """What was written to the console since it was last asked."""
        return self.ask("POST", "/se/log", {"type": "browser"})

    def run(self, script, *arguments):
        """The value that a script returns; arguments[0] … are its arguments."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    # -- elements, by CSS selector

    def element(self, selector):
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + found[ELEMENT]

    def all(self, selector):
        """The texts of all that there are."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)",
                        selector)

    def text(self, selector):
        """The text; None: there is no such element."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def attribute(self, selector, name):
        return self.run("return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null",
                        selector, name)

    def is_shown(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e !== null && e.checkVisibility()",
                        selector)

    def is_enabled(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e !== null && !e.disabled",
                        selector)

    def click(self, selector):
        """As a user does: it must be there, be seen, and nothing may lie over it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ask("POST", self.element(selector) + "/click")
            except WebDriverError as error:
                if time.monotonic() > deadline:
                    raise
                if error.name not in ("no such element", "element not interactable",
                                      "element click intercepted", "stale element reference"):
                    raise
                time.sleep(0.05)

    def type(self, selector, text):
        self.ask("POST", self.element(selector) + "/value", {"text": text})

    def fill(self, selector, text):
        """In place of what stands there."""
        self.ask("POST", self.element(selector) + "/clear")
        self.type(selector, text)

    def press(self, *keys):
        """On whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})
