"""What the end-to-end tests share: a server in a folder of its own, a signer, a raw HTTP client.

Everything is done a second time here, from the documents, without the server's code: links are
signed with hmac, responses are read by hand. Nothing depends on speed: whoever waits for something
waits for it with `eventually`, a minute at most by default.

The binary under test is named by the environment variable TALLYGATE, by default the one that the
preset "dev" builds. TALLYGATE_KEEP=1 keeps the servers' folders for a look afterwards.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import tomllib
import unittest
import urllib.parse

main = unittest.main
PROJECT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TALLYGATE") or str(PROJECT / "build/dev/server/tallygate")
PATIENCE = 60.0  # seconds; sanitizer builds on a busy machine are slow
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SANITIZER_REPORT = re.compile(
    r"(Address|Leak|Memory|Thread)Sanitizer|runtime error:|Assertion .* failed"
    r"|ended by an exception"
)


def eventually(get, wanted=True, patience=PATIENCE):
    """Calls `get` until it returns `wanted`; fails with what it returned last."""
    deadline = time.monotonic() + patience
    while (value := get()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {patience:.0f} s, not {wanted!r}")
        time.sleep(0.02)


def seeded(name):
    """A random generator whose seed is printed; the environment variable SEED replays a run."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{name}: SEED={seed}", flush=True)
    return random.Random(seed)


def some_bytes(size, seed=1):
    """Content that tells by itself when a byte is out of place or of another file."""
    return random.Random(seed).randbytes(size)


# -- links ---------------------------------------------------------------------------------------

link_numbers = itertools.count(1)


def new_link_id():
    """A link id that no other test of this process has used."""
    return f"L{next(link_numbers)}"


def base64url(text):
    data = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)  # JSON's spelling of texts, numbers and booleans is TOML's as well


def encode_path(path):
    return urllib.parse.quote(path, safe="/-._~!$&'()*+,;=:@")


class Key:
    """One entry of a keyring."""

    def __init__(self, id, secret, use="sign", scope=None, not_after=None, ids=None):
        self.id, self.secret, self.use = id, secret, use
        self.scope, self.not_after, self.ids = scope, not_after, ids

    def toml(self):
        lines = ["[[key]]", f'id = "{self.id}"', f'secret = "hex:{self.secret.hex()}"',
                 f'use = "{self.use}"']
        if self.scope:
            lines.append(f'scope = "{self.scope}"')
        if self.not_after:
            lines.append(f"not_after = {self.not_after}")
        if self.ids:
            lines.append(f'ids = "{self.ids}"')
        return "\n".join(lines) + "\n"

    def mac(self, path, token, folder=None):
        """The MAC in hex over the token's text, without ".s…"."""
        if folder is None:
            scope = f"path:{path}\n"
        else:
            scope = "prefix:/" + "/".join(path.split("/")[1:folder + 1]) + "/\n"
        signed = b"tallygate-link-1\n" + scope.encode() + token.encode()
        return hmac.new(self.secret, signed, hashlib.sha256).hexdigest()

    def token(self, path, *, id=None, limit=None, expires=None, starts=None, folder=None,
              client=None, name=None, rate=None, data=None):
        """The token for the decoded `path`; `folder` is the number of leading segments signed."""
        fields = [("k", self.id), ("e", expires), ("b", starts), ("i", id), ("n", limit),
                  ("p", folder), ("a", None if client is None else base64url(client)),
                  ("f", None if name is None else base64url(name)), ("r", rate), ("d", data)]
        text = ".".join(["1"] + [f"{letter}{value}" for letter, value in fields
                                 if value is not None])
        return f"{text}.s{self.mac(path, text, folder)}"


def target(path, token, in_path=False):
    """The request target of a signed URL."""
    encoded = encode_path(path)
    return f"/tg={token}{encoded}" if in_path else f"{encoded}?tg={token}"


# -- the server ----------------------------------------------------------------------------------

class AdminConnection(http.client.HTTPConnection):
    """HTTP on the Unix socket of the admin interface."""

    def __init__(self, path):
        super().__init__("admin", timeout=PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """A tallygate in a folder of its own, on a port of its own.

    `settings` are added to tallygate.toml, table by table: {"links": {"resume_grace": "0s"}}; a
    value of None takes a setting out. `keys` replace the one key that `tallygate keygen` makes.
    As a context manager it starts, and at the end stops in order and must exit with 0.
    """

    launcher = ()  # a command that becomes the server, which is appended to it
    process_options = {}  # of subprocess.Popen

    def __init__(self, settings=None, keys=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-e2e-"))
        self.root = self.folder / "files"
        self.root.mkdir()
        self.config = self.folder / "tallygate.toml"
        self.keyring = self.folder / "keyring.toml"
        self.access_log = self.folder / "access.log"
        self.stderr_file = self.folder / "stderr"
        self.process = None
        self.port = None
        self.settings = {
            "server": {"listen": ["127.0.0.1:0"], "base_url": "http://dl.shop.example"},
            "admin": {"socket": str(self.folder / "admin.sock")},
            "content": {"root": str(self.root)},
            "links": {"keyring": str(self.keyring)},
            "ledger": {"dir": str(self.folder / "ledger")},
            "log": {"access": str(self.access_log)},
        }
        if keys is None:
            entry = self.command("keygen").stdout
            key = tomllib.loads(entry)["key"][0]
            keys = [Key(key["id"], bytes.fromhex(key["secret"].removeprefix("hex:")))]
            self.write_keyring(entry)
        else:
            self.write_keyring("\n".join(key.toml() for key in keys))
        self.keys = keys
        self.configure(settings or {})

    def __enter__(self):
        return self.start()

    def __exit__(self, failure, *_):
        try:
            if self.is_running():
                if failure is None:
                    self.stop()
                else:
                    self.kill()
        finally:
            self.remove()

    # -- its files

    def write_keyring(self, text):
        self.keyring.write_text(text)
        self.keyring.chmod(0o600)

    def configure(self, settings):
        """Changes settings and writes tallygate.toml; a running server does not hear of it."""
        for table, values in settings.items():
            self.settings.setdefault(table, {}).update(values)
        lines = []
        for table, values in self.settings.items():
            lines.append(f"[{table}]")
            lines += [f"{name} = {toml(value)}" for name, value in values.items()
                      if value is not None]
        self.config.write_text("\n".join(lines) + "\n")

    def write(self, path, content, mtime=None):
        """Puts a file below the root by rename, as a shop should; returns its content."""
        where = self.root / path.lstrip("/")
        where.parent.mkdir(parents=True, exist_ok=True)
        draft = where.with_name(f".{where.name[:100]}.draft")
        draft.write_bytes(content)
        if mtime is not None:
            os.utime(draft, ns=(int(mtime * 10**9),) * 2)
        draft.rename(where)
        return content

    def remove(self):
        if os.environ.get("TALLYGATE_KEEP"):
            print(f"kept: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- its process

    def start(self):
        log = open(self.stderr_file, "ab")
        begin = log.tell()
        with log:
            self.process = subprocess.Popen(
                [*self.launcher, BINARY, "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                **self.process_options)
        ready = re.compile(r"^tallygate: serving on 127\.0\.0\.1:(\d+)$", re.MULTILINE)
        deadline = time.monotonic() + PATIENCE
        while True:
            said = self.stderr()[begin:]
            if found := ready.search(said):
                self.port = int(found[1])
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                code = self.process.poll()
                self.kill()
                raise AssertionError(f"tallygate did not start (exit code {code}):\n{said}")
            time.sleep(0.01)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self):
        """Asks it to stop, and does not wait."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, exit_code=0):
        """Waits for its end, which must be with this code and without a sanitizer's report."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"tallygate does not end:\n{self.stderr()}") from None
        said = self.stderr()
        if SANITIZER_REPORT.search(said) or code != exit_code:
            raise AssertionError(f"tallygate ended with {code}:\n{said}")

    def stop(self):
        """SIGTERM, and the end must be in order."""
        self.terminate()
        self.wait()

    def kill(self):
        """SIGKILL: nothing is written, nothing is said."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        """Starts again on the same folder, after an end in order if it is still running."""
        if self.is_running():
            self.stop()
        return self.start()

    def reload(self):
        """SIGHUP; returns what standard error says of it."""
        begin = len(self.stderr())
        self.process.send_signal(signal.SIGHUP)
        done = re.compile(r"^tallygate: (not )?reloaded.*\n", re.MULTILINE)
        eventually(lambda: done.search(self.stderr()[begin:]) is not None)
        return self.stderr()[begin:]

    def stderr(self):
        """What it said on standard error; of one that was never started, nothing."""
        if not self.stderr_file.exists():
            return ""
        return self.stderr_file.read_text(errors="replace")

    def log_lines(self):
        """The access log, each line parsed; one that is being written is left for later."""
        if not self.access_log.exists():
            return []
        return [json.loads(line) for line in self.access_log.read_bytes().split(b"\n")[:-1]]

    # -- links

    def token(self, path, key=None, **fields):
        """A token for the decoded path; expires in an hour unless `expires` says otherwise."""
        fields.setdefault("expires", int(time.time()) + 3600)
        return (key or self.keys[0]).token(path, **fields)

    def sign(self, path, in_path=False, key=None, **fields):
        """The request target of a signed URL. Fields: see Key.token."""
        return target(path, self.token(path, key, **fields), in_path)

    # -- commands

    def command(self, *arguments, check=True):
        """Runs `tallygate ARGUMENTS...`; with `check` it must exit with 0."""
        done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL)
        if SANITIZER_REPORT.search(done.stderr) or (check and done.returncode != 0):
            raise AssertionError(f"tallygate {' '.join(map(str, arguments))} exited with "
                                 f"{done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def links(self, action, link_id, *options, check=True):
        """`tallygate links ACTION` on the running server."""
        return self.command("links", action, "--config", self.config, link_id, *options,
                            check=check)

    def ask_admin(self, method, target, body=None):
        """One request on the admin socket: the status, and the JSON of the answer."""
        connection = AdminConnection(self.folder / "admin.sock")
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def links_show(self, link_id):
        """What `tallygate links show --json` would say; None when the server does not know the link.

        Asked without the command, whose start takes longer than its question.
        """
        status, link = self.ask_admin("GET", f"/v1/links/{link_id}")
        return link if status == 200 else None

    def exported_links(self):
        """What the ledger's files say, also beside the running server: links by their ids."""
        lines = self.command("ledger", "export", "--dir", self.settings["ledger"]["dir"]).stdout
        return {link["id"]: link for link in map(json.loads, lines.splitlines())}

    def expect_link(self, link_id, **expected):
        """Waits until nothing of the link is in flight and it has these values; returns it.

        Acknowledgements may be on their way when a client has read its last byte.
        """
        expected.setdefault("in_flight", 0)
        seen = {}

        def look():
            seen.clear()
            seen.update(self.links_show(link_id) or {})
            return {name: seen.get(name) for name in expected}

        eventually(look, expected)
        return seen

    # -- clients

    def client(self, **options):
        return Client(self.port, **options)

    def get(self, request_target, fields=(), method="GET"):
        """One request on a connection of its own."""
        with self.client() as client:
            return client.ask(request_target, fields, method, close=True)


class TestCase(unittest.TestCase):
    """A test with servers that are stopped in order, and looked at, when it ends."""

    maxDiff = None
    server_class = Server

    def start_server(self, settings=None, keys=None):
        server = self.server_class(settings, keys)
        self.addCleanup(self._end, server)
        return server.start()

    def _end(self, server):
        failed = not getattr(self._outcome, "success", True)
        try:
            if server.is_running():
                server.stop()
            elif SANITIZER_REPORT.search(server.stderr()):
                raise AssertionError(f"tallygate ended by itself:\n{server.stderr()}")
        finally:
            if failed:
                print(f"{self.id()}: the server said:\n{server.stderr()}", flush=True)
            server.remove()


class SharedServerTestCase(unittest.TestCase):
    """Tests that leave nothing behind, on one server: `self.server`."""

    maxDiff = None
    server_class = Server
    settings = {}
    keys = None

    @classmethod
    def setUpClass(cls):
        cls.server = cls.server_class(cls.settings, cls.keys)
        cls.addClassCleanup(cls.server.remove)
        cls.server.start()
        cls.addClassCleanup(cls._stop)
        cls.prepare()

    @classmethod
    def prepare(cls):
        """Puts files where they are needed."""

    @classmethod
    def _stop(cls):
        if cls.server.is_running():
            cls.server.stop()


# -- the client ----------------------------------------------------------------------------------

class Closed(Exception):
    """The server has closed the connection before the bytes that were expected."""

    def __init__(self, received):
        super().__init__(f"closed after {len(received)} bytes")
        self.received = received


class Response:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        version, status, *reason = lines[0].split(" ", 2)
        self.version, self.status, self.reason = version, int(status), "".join(reason)
        self.fields = []
        for line in lines[1:]:
            name, value = line.split(":", 1)
            self.fields.append((name, value.strip()))
        self.head = head
        self.body = b""

    def all(self, name):
        return [value for n, value in self.fields if n.lower() == name.lower()]

    def field(self, name):
        """The value of a field; None when it is absent. A field that stands twice is an error."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    @property
    def length(self):
        return int(self.field("Content-Length") or 0)

    @property
    def problem(self):
        """The name of a refusal, from its problem document."""
        assert self.field("Content-Type") == "application/problem+json", self.head
        document = json.loads(self.body)
        assert document["status"] == self.status, document
        return document["type"].removeprefix("urn:tallygate:")

    def __repr__(self):
        return f"<{self.status} {self.reason}, {len(self.body)} bytes of body>"


class Client:
    """One connection, with every byte and every pause in the test's hands.

    `receive_buffer` (SO_RCVBUF) bounds how much the server can send ahead of what is read. Not
    reading is how one pauses. `source` is the address it comes from; all of 127.0.0.0/8 are ours.
    """

    def __init__(self, port, receive_buffer=None, address="127.0.0.1", source=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect((address, port))
        except OSError:
            self.socket.close()
            raise
        self.received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- sending

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, request_target, fields=(), method="GET", version="1.1", close=False):
        """Sends a head. `fields` are pairs, or a dict."""
        pairs = list(fields.items() if isinstance(fields, dict) else fields)
        if not any(name.lower() == "host" for name, _ in pairs):
            pairs.insert(0, ("Host", "dl.shop.example"))
        if close:
            pairs.append(("Connection", "close"))
        lines = [f"{method} {request_target} HTTP/{version}"] + [f"{n}: {v}" for n, v in pairs]
        self.send("\r\n".join(lines) + "\r\n\r\n")

    # -- reading

    def _more(self):
        data = self.socket.recv(256 * KIB)
        self.received += data
        return len(data)

    def read(self, size):
        """Exactly `size` bytes; Closed when there are fewer."""
        while len(self.received) < size:
            if not self._more():
                raise Closed(bytes(self.received))
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    def discard(self, size):
        """As `read`, but keeps nothing."""
        taken = min(size, len(self.received))
        del self.received[:taken]
        buffer = memoryview(bytearray(min(size, MIB)))
        while taken < size:
            n = self.socket.recv_into(buffer[:min(size - taken, MIB)])
            if n == 0:
                raise Closed(b"")
            taken += n

    def read_head(self):
        while (end := self.received.find(b"\r\n\r\n")) < 0:
            if not self._more():
                raise Closed(bytes(self.received))
        head = bytes(self.received[:end])
        del self.received[:end + 4]
        return Response(head)

    def read_response(self, method="GET"):
        response = self.read_head()
        if method != "HEAD" and response.status not in (204, 304):
            response.body = self.read(response.length)
        return response

    def read_to_end(self):
        """Everything until the server closes; a reset counts as the end too."""
        with contextlib.suppress(ConnectionResetError):
            while self._more():
                pass
        data = bytes(self.received)
        self.received.clear()
        return data

    def ask(self, request_target, fields=(), method="GET", close=False):
        """A request and its whole answer."""
        self.request(request_target, fields, method, close=close)
        return self.read_response(method)

    def is_closed_by_server(self):
        """Waits for the server's end of the connection; False if data comes instead."""
        try:
            return not self.received and not self._more()
        except ConnectionResetError:
            return True

    # -- ending

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """RST instead of FIN: what is still unread was never acknowledged, or is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

