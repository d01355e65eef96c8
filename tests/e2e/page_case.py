"""What the tests of the live page share: a server whose page is on a port, and a browser that is logged in.

SHOTS names a folder where the tests leave what the page looks like.
"""

import contextlib
import os
import pathlib
import re
import threading
import time
import unittest

from admin_test import TOKEN, AdminServer
from browser import CHROMIUM, DRIVER, ENTER, Browser
from support import KIB, TestCase, eventually, some_bytes

SHOTS = os.environ.get("SHOTS")
CONTENT = some_bytes(64 * KIB)


class PageServer(AdminServer):
    """A server whose page is on a loopback port, and whose shop is an SQLite file."""

    def __init__(self, settings=None, keys=None):
        super().__init__(settings, keys)
        self.configure({"shop": {"url": f"sqlite:{self.folder}/shop.db", "poll": "100ms"}})

    @property
    def page(self):
        return f"http://127.0.0.1:{self.admin_port}"


class Download:
    """A transfer that stays in flight: its client takes what comes, slowly, until it is closed."""

    def __init__(self, server, path, link, **fields):
        self.client = server.client(receive_buffer=4 * KIB)
        self.client.request(server.sign(path, id=link, **fields))
        self.ended = threading.Event()
        self.cut = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with contextlib.suppress(OSError):
            while not self.ended.is_set():
                if not self.client.socket.recv(16 * KIB):
                    break
                time.sleep(0.02)
        self.cut.set()

    def close(self):
        self.ended.set()
        self.thread.join()
        self.client.close()


@unittest.skipUnless(CHROMIUM and DRIVER, "chromium and chromium-driver are not installed")
class PageCase(TestCase):
    server_class = PageServer

    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.server = self.start_server()
        self.server.write("/a", CONTENT)
        self.browser.resize(1280, 900)
        self.browser.prefer("light")
        self.browser.open(self.server.page + "/login")  # cookies are of a host, whatever its port
        self.browser.ask("DELETE", "/cookie")
        self.browser.console()
        self.expect_failed_loads = False

    def tearDown(self):
        """Nothing is wrong with the page: no error, nothing that the policy forbids."""
        for entry in self.browser.console():
            network = entry["source"] == "network"
            if entry["level"] in ("SEVERE", "WARNING") and not (network and self.expect_failed_loads):
                self.fail(entry)
        self.assertNotEqual(self.browser.run("return document.title"), "taken")

    # -- steps

    def log_in(self, fragment=""):
        self.browser.open(self.server.page + "/login")
        self.browser.type("#token", TOKEN + ENTER)
        eventually(lambda: self.browser.url, self.server.page + "/")
        if fragment:
            self.browser.run("location.hash = arguments[0]", fragment)
        eventually(lambda: self.browser.text("#line"), "live")

    def expect_text(self, selector, pattern):
        eventually(lambda: re.search(pattern, self.browser.text(selector) or "") is not None or
                   self.browser.text(selector))

    def search(self, link):
        self.browser.fill("#link-id", link)
        self.browser.click("#search button")

    def use(self, link, times=1, limit=3, path="/a"):
        for _ in range(times):
            self.assertEqual(self.server.get(self.server.sign(path, id=link, limit=limit)).status, 200)
        self.server.expect_link(link, used=times)

    def confirm(self, button, text):
        """Clicks, reads the question, and agrees."""
        self.browser.click(button)
        eventually(lambda: self.browser.is_shown("#confirm"))
        self.assertIn(text, self.browser.text("#confirm-text"))
        self.browser.click("#confirm-yes")
        eventually(lambda: not self.browser.is_shown("#confirm"))

    def download(self, link, path="/big", **fields):
        download = Download(self.server, path, link, **fields)
        self.addCleanup(download.close)
        return download

    def line(self, chart):
        return self.browser.attribute(f"#chart-{chart} path.line-0.line", "d")

    def shot(self, name):
        if SHOTS:
            self.browser.run("scrollTo({ top: 0, behavior: 'instant' })")
            pathlib.Path(SHOTS, f"{name}.png").write_bytes(self.browser.screenshot(whole=True))
