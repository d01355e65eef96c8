"""Reload: all of it takes effect or none, whoever asks; no client notices, whatever was wrong."""

import contextlib
import json
import os
import re
import threading
import time
import unittest.mock

from command_case import FAILED, SETTINGS, USAGE, CommandTest
from counting import SMALL_BUFFER
from support import KIB, MIB, Closed, Key, Server, TestCase, eventually, new_link_id, some_bytes
from tls_case import Certificate

SMALL = some_bytes(5000)
NOT_RELOADED = "not reloaded: what was in force before still is"
REFUSED = "/no-link-at-all"  # whose page has the contact's address


def contact(server):
    """Where a page sends the customer now; it shows which settings a new request goes by."""
    page = server.get(REFUSED, {"Accept": "text/html"}).body.decode()
    return re.search(r"https://[a-z]+\.example/contact", page)[0]


def http_reload(server):
    """POST /v1/reload: the status, and the JSON of the answer."""
    return server.ask_admin("POST", "/v1/reload")


def health(server):
    return server.ask_admin("GET", "/healthz")[1]


def good_reload(server):
    """A reload that must succeed; what it says needs a restart."""
    before = health(server)["settings"]["generation"]
    status, answer = http_reload(server)
    if status != 200 or answer["generation"] != before + 1:
        raise AssertionError((status, answer))
    return answer["restart_needed"]


class Load:
    """Clients that ask all the time, each in its own way, and must get every answer.

    As a context manager; ends with an error if any of them saw one.
    """

    def __init__(self, server, signed):
        self.server, self.signed = server, signed
        self.errors = []
        self.answers = [0] * 4
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.pass_by()
        return self

    def __exit__(self, failure, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        if self.errors and failure is None:
            raise AssertionError(self.errors[:3])

    def pass_by(self):
        """Waits until each client has had some more answers."""
        until = [count + 3 for count in self.answers]
        eventually(lambda: bool(self.errors) or
                   all(count >= wanted for count, wanted in zip(self.answers, until)))
        if self.errors:
            raise AssertionError(self.errors[:3])

    def _run(self, index):
        try:
            with contextlib.ExitStack() as open_clients:
                keeps = index % 2 == 0  # one connection for all, or one for each request
                client = open_clients.enter_context(self.server.client()) if keeps else None
                while not self.ending.is_set():
                    answer = (client.ask(self.signed[index]) if keeps
                              else self.server.get(self.signed[index]))
                    if answer.status != 200 or answer.body != SMALL:
                        raise AssertionError(f"client {index}: {answer} {answer.body[:300]!r}")
                    self.answers[index] += 1
        except Exception as error:  # whatever it was, the test is to hear of it
            self.errors.append(repr(error))


class ReloadTestCase(TestCase):
    def start(self, settings=None, keys=None):
        self.server = self.start_server({"server": {
            "contact_url": "https://old.example/contact", "threads": 4,
            **(settings or {}).pop("server", {})}, **(settings or {})}, keys)
        self.server.write("/small", SMALL)
        return self.server

    def append(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.server.config.write_bytes(self.server.config.read_bytes() + data)


class UnderLoad(ReloadTestCase):
    def mistakes(self):
        """name: (what goes wrong, which line says so)."""
        server = self.server
        config, keyring = re.escape(str(server.config)), re.escape(str(server.keyring))

        def settings(table, name, value):
            return lambda: server.configure({table: {name: value}})

        def whole(data):
            return lambda: server.config.write_bytes(data)

        def directory():
            server.config.unlink()
            server.config.mkdir()

        return {
            "unknown key": (settings("server", "idle_timeoutt", "5s"),
                            rf'^{config}:\d+: server.idle_timeoutt: .*did you mean "idle_timeout"'),
            "unknown table": (lambda: self.append("[severs]\n"),
                              rf"^{config}:\d+: \[severs\]: .*did you mean \[server\]"),
            "wrong type": (settings("server", "max_connections", "many"),
                           rf"^{config}:\d+: server.max_connections: "),
            "no unit": (settings("server", "idle_timeout", "5"),
                        rf"^{config}:\d+: server.idle_timeout: "),
            "out of range": (settings("server", "max_connections", 0),
                             rf"^{config}:\d+: server.max_connections: "),
            "doubled": (lambda: self.append('[shop]\nurl = "mysql://a@db/a"\nurl = "mysql://b@db/b"\n'),
                        rf"^{config}:\d+: not valid TOML: "),
            "no TOML": (lambda: self.append("[log\n"), rf"^{config}:\d+: not valid TOML: "),
            "not UTF-8": (lambda: self.append(b"# \xff\xfe\n"),
                          rf"^{config}:\d+: not valid TOML: text that is not UTF-8"),
            "empty": (whole(b""), rf"^{config}:1: content.root: is missing"),
            "only a BOM": (whole(b"\xef\xbb\xbf"), rf"^{config}:1: links.keyring: is missing"),
            "binary": (whole(os.urandom(4096).replace(b"\n", b"\0") + b"\xff"), rf"^{config}:1: "),
            "gone": (server.config.unlink, rf"^{config}: No such file or directory"),
            "a directory": (directory, rf"^{config}: Is a directory"),
            "no root": (settings("content", "root", str(server.folder / "none")),
                        rf"^{config}: content.root .*none cannot be opened: No such file"),
            "no keyring": (settings("links", "keyring", str(server.folder / "none")),
                           r"^/.*/none: the keyring cannot be read: No such file"),
            "a keyring that others can read": (lambda: server.keyring.chmod(0o644),
                                               rf"^{keyring}: .*chmod"),
            "a keyring that its group can write": (lambda: server.keyring.chmod(0o660),
                                                   rf"^{keyring}: .*chmod"),
            "a keyring that is none": (lambda: server.keyring.write_text("[[key]]\nid = 3\n"),
                                       rf"^{keyring}:\d+: "),
            "a keyring without keys": (lambda: server.keyring.write_text(""), rf"^{keyring}: "),
            "settings that clash": (settings("metering", "keep_expired", "1d"),
                                    rf"^{config}:\d+: metering.keep_expired: "),
        }

    def test_wrong_input_changes_nothing_and_is_named(self):  # P6
        self.start({"server": {"send_timeout": "1h"}, "links": {"resume_grace": "2d"},
                    "metering": {"keep_expired": "3d"}})
        server = self.server
        large = server.write("/large", some_bytes(32 * MIB))
        link = new_link_id()
        signed = [server.sign("/small"), server.sign("/small"),
                  server.sign("/small", id=new_link_id(), limit=2_000_000_000),
                  server.sign("/small", id=new_link_id(), limit=2_000_000_000)]
        good_config, good_keyring = server.config.read_bytes(), server.keyring.read_bytes()
        good_settings = {table: dict(values) for table, values in server.settings.items()}
        ways = [self.by_signal, self.by_http, self.by_command]
        with server.client(receive_buffer=SMALL_BUFFER) as slow, Load(server, signed) as load:
            slow.request(server.sign("/large", id=link, limit=1))
            slow.read_head()
            received = [slow.read(MIB)]
            for number, (name, (spoil, pattern)) in enumerate(self.mistakes().items()):
                with self.subTest(name):
                    # What was wanted besides is not half done either.
                    server.configure({"server": {"contact_url": "https://new.example/contact"}})
                    spoil()
                    said = ways[number % 3]()
                    self.assertRegex(said, "(?m)" + pattern)
                    self.assertIn(NOT_RELOADED, said)
                    load.pass_by()
                    self.assertEqual(contact(server), "https://old.example/contact")
                    now = health(server)
                    self.assertEqual((now["status"], now["settings"]["generation"]),
                                     ("degraded", 1))
                    self.assertRegex("\n".join(now["settings"]["mistakes"]), "(?m)" + pattern)
                    received.append(slow.read(512 * KIB))
                if server.config.is_dir():
                    server.config.rmdir()
                server.config.write_bytes(good_config)
                server.settings = {t: dict(values) for t, values in good_settings.items()}
                server.write_keyring(good_keyring.decode())
            server.configure({"server": {"contact_url": "https://new.example/contact"}})
            self.assertEqual(good_reload(server), [])
            load.pass_by()
            self.assertEqual(contact(server), "https://new.example/contact")
            now = health(server)
            self.assertEqual(now["status"], "ok")
            self.assertNotIn("mistakes", now["settings"])
            received.append(slow.read(32 * MIB - sum(map(len, received))))
        self.assertEqual(b"".join(received), large)
        server.expect_link(link, used=1, copies=1, traffic_bytes=32 * MIB)

    def by_signal(self):
        return self.server.reload()

    def by_http(self):
        status, answer = http_reload(self.server)
        self.assertEqual(status, 422, answer)
        return "\n".join([*answer["mistakes"], answer["error"]])

    def by_command(self):
        # --socket, since the settings that would name it are spoilt.
        done = self.server.command("reload", "--socket", self.server.folder / "admin.sock",
                                   check=False)
        self.assertEqual((done.returncode, done.stdout), (SETTINGS, ""))
        return done.stderr

    def test_other_spellings_of_a_good_file_take_effect(self):
        self.start()
        server = self.server
        with Load(server, [server.sign("/small")] * 4) as load:
            for generation, (name, respell) in enumerate({
                    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
                    "BOM": lambda text: b"\xef\xbb\xbf" + text,
                    "no newline at the end": lambda text: text.rstrip(b"\n")}.items(), 2):
                with self.subTest(name):
                    wanted = f"https://{'abc'[generation - 2]}.example/contact"
                    server.configure({"server": {"contact_url": wanted}})
                    server.config.write_bytes(respell(server.config.read_bytes()))
                    self.assertEqual(http_reload(server),
                                     (200, {"generation": generation, "restart_needed": []}))
                    load.pass_by()
                    self.assertEqual(contact(server), wanted)

    def test_whoever_asks_at_the_same_time_is_answered(self):
        self.start()
        server = self.server
        with Load(server, [server.sign("/small")] * 4) as load:
            answers = []
            askers = [threading.Thread(target=lambda: answers.append(http_reload(server)))
                      for _ in range(16)]
            for asker in askers:
                asker.start()
                server.process.send_signal(1)  # SIGHUP
            for asker in askers:
                asker.join()
            load.pass_by()
        self.assertEqual([status for status, _ in answers], [200] * 16)


class TakesEffect(ReloadTestCase):
    """Each setting that needs no restart, on connections old and new and on every worker."""

    def asks(self, clients, signed):
        """The statuses that these clients get, and as many new ones."""
        return ([client.ask(signed).status for client in clients] +
                [self.server.get(signed).status for _ in range(16)])

    def test_keys_come_and_go(self):  # L8
        old, new = Key("old", b"o" * 32), Key("new", b"n" * 32, use="verify")
        self.start(keys=[old])
        server = self.server
        by_old, by_new = server.sign("/small", key=old), server.sign("/small", key=new)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(16)]
            self.assertEqual(set(self.asks(clients, by_old)), {200})
            self.assertEqual(set(self.asks(clients, by_new)), {403})
            server.write_keyring(old.toml() + new.toml())
            good_reload(server)
            self.assertEqual(set(self.asks(clients, by_old)), {200})
            self.assertEqual(set(self.asks(clients, by_new)), {200})
            server.write_keyring(new.toml())
            good_reload(server)
            self.assertEqual(set(self.asks(clients, by_old)), {403})
            self.assertEqual(set(self.asks(clients, by_new)), {200})

    def test_a_transfer_outlives_its_key_and_its_time_outs(self):
        self.start()
        server = self.server
        size = 32 * MIB
        content = server.write("/large", some_bytes(size))
        link = new_link_id()
        signed = server.sign("/large", id=link, limit=1)
        with server.client(receive_buffer=SMALL_BUFFER) as client:
            client.request(signed)
            client.read_head()
            received = client.read(MIB)
            server.write_keyring(Key("other", b"x" * 32).toml())
            server.configure({"server": {"send_timeout": "100ms", "min_rate": 1_000_000}})
            good_reload(server)
            time.sleep(1)  # ten times what a new transfer may be silent
            received += client.read(size - MIB)
            self.assertEqual(client.received, b"")
            self.assertEqual(received, content)
        server.expect_link(link, used=1, copies=1)
        self.assertEqual(server.get(signed).problem, "link-invalid")

    def test_time_outs(self):
        self.start({"server": {"send_timeout": "1h", "idle_timeout": "1h",
                               "header_timeout": "5m"}})
        server = self.server
        server.write("/large", bytes(32 * MIB))

        def shorten(name):
            """This one alone, since whoever has little time for all may be too slow for another."""
            server.configure({"server": {"send_timeout": "1h", "idle_timeout": "1h",
                                         "header_timeout": "5m", name: "200ms"}})
            good_reload(server)

        with server.client() as between:
            between.ask(server.sign("/small"))
            shorten("idle_timeout")
            with self.subTest("idle"), server.client() as idle:
                self.assertTrue(idle.is_closed_by_server())
            with self.subTest("idle, a connection from before"):
                self.assertEqual(between.ask(server.sign("/small")).status, 200)
                self.assertTrue(between.is_closed_by_server())
        shorten("header_timeout")
        with self.subTest("header"), server.client() as header:
            header.send("GET / HTTP/1.1\r\n")
            self.assertEqual(header.read_head().status, 408)
        shorten("send_timeout")
        with self.subTest("send"), server.client(receive_buffer=SMALL_BUFFER) as silent:
            link = new_link_id()
            silent.request(server.sign("/large", id=link, limit=9))

            def is_cut():  # though the client has neither read nor gone
                seen = server.links_show(link)
                return seen is not None and seen["traffic_bytes"] > 0 and seen["in_flight"] == 0

            eventually(is_cut)

    def test_min_rate(self):
        self.start({"server": {"send_timeout": "500ms", "min_rate": 0}})
        server = self.server
        server.write("/large", bytes(64 * MIB))
        server.configure({"server": {"min_rate": 1_000_000}})
        good_reload(server)
        link = new_link_id()
        with server.client(receive_buffer=SMALL_BUFFER) as slow:
            slow.request(server.sign("/large", id=link, limit=9))
            # It takes some all the time, so that send_timeout is not what ends it.
            with self.assertRaises((Closed, ConnectionResetError)):
                for _ in range(1_000):
                    slow.read(4 * KIB)
                    time.sleep(0.05)
        server.expect_link(link, in_flight=0, used=0)

    def test_max_connections(self):
        self.start({"server": {"max_connections": 1, "threads": 1}})
        server = self.server
        server.write("/large", bytes(24 * MIB))
        with server.client(receive_buffer=SMALL_BUFFER) as first, server.client() as second:
            first.request(server.sign("/large"))  # an idle one would make room
            self.assertEqual(first.read_head().status, 200)
            second.request(server.sign("/small"))
            self.assertEqual(health(server)["connections"], 1)
            server.configure({"server": {"max_connections": 2}})
            good_reload(server)
            self.assertEqual(second.read_response().status, 200)

    def test_what_answers_say(self):
        self.start()
        server = self.server
        signed = server.sign("/small")
        origin = {"Origin": "https://shop.example"}
        with server.client() as client:
            before = client.ask(signed, origin)
            self.assertIsNone(before.field("Access-Control-Allow-Origin"))
            self.assertTrue(before.field("Content-Disposition").startswith("attachment"))
            server.configure({"content": {"cors_origins": ["https://shop.example"],
                                          "disposition": "inline"}})
            good_reload(server)
            for after in (client.ask(signed, origin), server.get(signed, origin)):
                self.assertEqual(after.field("Access-Control-Allow-Origin"), origin["Origin"])
                self.assertTrue(after.field("Content-Disposition").startswith("inline"))

    def test_client_addresses_are_kept_no_more(self):
        self.start()
        server = self.server
        with server.client() as client:
            client.ask(server.sign("/small", data="one"))
            server.configure({"log": {"client_ip": "truncated"}})
            good_reload(server)
            client.ask(server.sign("/small", data="two"))
            server.configure({"log": {"client_ip": "none"}})
            good_reload(server)
            client.ask(server.sign("/small", data="three"))
        server.stop()
        logged = {line.get("data"): line.get("client", "") for line in server.log_lines()}
        self.assertEqual(logged, {"one": "127.0.0.1", "two": "127.0.0.0", "three": ""})

    def test_resume_grace(self):
        self.start({"links": {"resume_grace": "0s"}})
        server = self.server
        server.write("/large", bytes(4 * MIB))
        link = new_link_id()
        part, rest = {"Range": f"bytes=0-{MIB - 1}"}, {"Range": f"bytes={MIB}-"}
        self.assertEqual(server.get(server.sign("/large", id=link, limit=1), part).status, 206)
        server.expect_link(link, in_flight=0)
        signed = server.sign("/large", id=link, limit=1, expires=int(time.time()) - 60)
        self.assertEqual(server.get(signed, rest).status, 410)
        server.configure({"links": {"resume_grace": "1h"}})
        good_reload(server)
        self.assertEqual(server.get(signed, rest).status, 206)
        server.expect_link(link, used=1)

    def test_waste(self):
        """With none a link of 4 MiB pays for 6 MiB; then for 8 more."""
        self.start({"metering": {"waste": 0}})
        server = self.server
        server.write("/large", bytes(4 * MIB))
        link = new_link_id()
        signed = server.sign("/large", id=link, limit=1)
        for _ in range(2):
            self.assertEqual(server.get(signed, {"Range": f"bytes=0-{3 * MIB - 1}"}).status, 206)
            server.expect_link(link, in_flight=0)
        self.assertEqual(server.get(signed).problem, "traffic-exhausted")
        server.configure({"metering": {"waste": 2}})
        good_reload(server)
        self.assertEqual(server.get(signed).status, 200)
        server.expect_link(link, used=1)

    def test_drain_timeout(self):
        self.start({"server": {"drain_timeout": "1h"}})
        server = self.server
        server.write("/large", bytes(32 * MIB))
        with server.client(receive_buffer=SMALL_BUFFER) as client:
            client.request(server.sign("/large"))
            client.read_head()
            server.configure({"server": {"drain_timeout": "0s"}})
            good_reload(server)
            server.stop()  # and it ends, though the client reads nothing

    def test_certificates_settings_and_keys_are_one(self):
        """Where one of them is wrong, none of the others takes effect."""
        self.server = Server({"server": {"contact_url": "https://old.example/contact"}})
        server = self.server
        self.addCleanup(self._end, server)
        certificate = Certificate(server.folder, "site", ["DNS:dl.shop.example"])
        server.configure({"tls": {"listen": ["127.0.0.1:0"], **certificate.setting()}})
        server.start()
        server.write("/small", SMALL)
        signed = server.sign("/small")
        key = certificate.key.read_bytes()
        server.configure({"server": {"contact_url": "https://new.example/contact"}})
        server.write_keyring(Key("other", b"x" * 32).toml())
        certificate.key.write_bytes(b"nonsense")
        status, answer = http_reload(server)
        self.assertEqual(status, 422)
        self.assertRegex("\n".join(answer["mistakes"]),
                         rf"(?m)^{re.escape(str(certificate.key))}: has no private key in PEM")
        self.assertEqual(contact(server), "https://old.example/contact")
        self.assertEqual(server.get(signed).status, 200)
        certificate.key.write_bytes(key)
        good_reload(server)
        self.assertEqual(contact(server), "https://new.example/contact")
        self.assertEqual(server.get(signed).status, 403)


class NeedsARestart(ReloadTestCase):
    def test_what_does_is_named_and_the_rest_takes_effect(self):
        self.start()
        server = self.server
        certificate = Certificate(server.folder, "site", ["DNS:dl.shop.example"])
        other = server.folder / "other"
        other.mkdir()
        server.configure({
            "server": {"threads": 2, "contact_url": "https://new.example/contact"},
            "content": {"root": str(other)},
            "tls": {"listen": ["127.0.0.1:0"], **certificate.setting()}})
        named = ["server.threads", "tls.listen", "content.root"]
        said = server.reload()
        for name in named:
            self.assertIn(f"tallygate: {name}: what it was changed to takes effect at the next "
                          "start\n", said)
        self.assertIn("tallygate: reloaded, generation 2\n", said)
        self.assertEqual(contact(server), "https://new.example/contact")
        self.assertEqual(server.get(server.sign("/small")).body, SMALL)
        self.assertEqual(health(server)["settings"]["restart_needed"], named)
        # It is told again until it is done, and compared with what runs.
        self.assertEqual(good_reload(server), named)
        server.configure({"content": {"root": str(server.root)}})
        self.assertEqual(good_reload(server), ["server.threads", "tls.listen"])
        done = server.command("reload", "--config", server.config)
        self.assertEqual(done.stdout, "reloaded, generation 5\n")
        self.assertIn("server.threads", done.stderr)
        server.restart()
        self.assertNotIn("restart_needed", health(server)["settings"])
        self.assertIn("serving on https://", server.stderr())
        self.assertEqual(good_reload(server), [])

    def test_keys_below_the_files_that_are_served_until_then(self):
        """A keyring that lies well beside the new root, and below the one that is still served."""
        self.start()
        server = self.server
        below = server.root / "keys.toml"
        below.write_text(server.keys[0].toml())
        below.chmod(0o600)
        other = server.folder / "other"
        other.mkdir()
        server.configure({"content": {"root": str(other)}, "links": {"keyring": str(below)}})
        server.command("check", "--config", server.config)
        status, answer = http_reload(server)
        self.assertEqual(status, 422)
        self.assertRegex(answer["mistakes"][0], "links.keyring: lies below content.root")

    def test_tls_is_not_switched_off(self):
        self.server = Server()
        server = self.server
        self.addCleanup(self._end, server)
        certificate = Certificate(server.folder, "site", ["DNS:dl.shop.example"])
        server.configure({"tls": {"listen": ["127.0.0.1:0"], **certificate.setting()}})
        server.start()
        tls = server.settings.pop("tls")
        server.configure({})
        self.assertEqual(good_reload(server), ["tls.listen"])
        server.configure({"tls": tls})
        self.assertEqual(good_reload(server), [])


class Command(CommandTest):
    def start(self):
        server = self.prepare_server()
        self.addCleanup(lambda: server.is_running() and server.stop())
        return server.start()

    def test_it_says_what_came_of_it(self):
        server = self.start()
        done = server.command("reload", "--config", server.config)
        self.assertEqual((done.stdout, done.stderr), ("reloaded, generation 2\n", ""))
        server.configure({"shop": {"url": "mysql://edge@db/shop"}})
        done = server.command("reload", "--config", server.config, "--json")
        self.assertEqual(json.loads(done.stdout),
                         {"generation": 3, "restart_needed": ["shop.url"]})
        self.assertEqual(done.stderr, "tallygate: shop.url: what it was changed to takes effect at "
                                      "the next start\n")

    def test_a_mistake_in_the_settings_is_78(self):
        server = self.start()
        server.configure({"server": {"idle_timeout": "5"}})
        lines = self.expect(server, SETTINGS, "reload", "--config", server.config).splitlines()
        self.assertRegex(lines[0], rf"^{server.config}:\d+: server.idle_timeout: ")
        self.assertEqual(lines[1:], [f"tallygate: {NOT_RELOADED}"])
        done = server.command("reload", "--config", server.config, "--json", check=False)
        self.assertEqual(done.returncode, SETTINGS)
        self.assertEqual(json.loads(done.stdout), {"error": NOT_RELOADED, "mistakes": lines[:1]})

    def test_what_only_the_server_sees_is_78_as_well(self):
        server = self.start()
        server.keyring.chmod(0o644)
        lines = self.expect(server, SETTINGS, "reload", "--config", server.config).splitlines()
        self.assertRegex(lines[0], rf"^{server.keyring}: ")
        self.assertEqual(lines[1:], [f"tallygate: {NOT_RELOADED}"])
        done = server.command("reload", "--config", server.config, "--json", check=False)
        self.assertEqual(done.returncode, SETTINGS)
        self.assertEqual(json.loads(done.stdout), {"error": NOT_RELOADED, "mistakes": lines[:1]})

    def test_without_a_server_it_fails(self):
        server = self.prepare_server()
        self.assertIn("is it running",
                      self.expect_one_line(server, FAILED, "reload", "--config", server.config))

    def test_a_socket_that_the_settings_do_not_name_any_more(self):
        server = self.start()
        old = server.settings["admin"]["socket"]
        server.configure({"admin": {"socket": str(server.folder / "new.sock")}})
        self.assertIn("--socket", server.command("reload", "--help").stdout)
        self.expect_one_line(server, FAILED, "reload", "--config", server.config)
        done = server.command("reload", "--socket", old)
        self.assertEqual(done.stdout, "reloaded, generation 2\n")
        self.assertIn("admin.socket: ", done.stderr)

    def test_usage(self):
        server = self.prepare_server()
        self.expect(server, USAGE, "reload")
        self.expect(server, USAGE, "reload", "--config")
        self.expect(server, USAGE, "reload", "--config", server.config, "--socket", "/a")


class Credentials(CommandTest):
    """Secrets that systemd hands over (LoadCredential=)."""

    def prepare(self):
        server = self.prepare_server()
        self.addCleanup(lambda: server.is_running() and server.stop())
        self.given = server.folder / "credentials"
        self.given.mkdir()
        certificate = Certificate(server.folder, "site", ["DNS:dl.shop.example"])
        for name, file in (("keyring", server.keyring), ("cert", certificate.file),
                           ("key", certificate.key)):
            file.rename(self.given / name)
            (self.given / name).chmod(0o440)  # as systemd 252 gives them
        server.configure({"links": {"keyring": "credential:keyring"},
                          "tls": {"listen": ["127.0.0.1:0"], "certificate": "credential:cert",
                                  "key": "credential:key",
                                  "site": [{"certificate": "credential:cert",
                                            "key": "credential:key"}]}})
        return server

    def test_they_are_served_with(self):
        server = self.prepare()
        with unittest.mock.patch.dict(os.environ, CREDENTIALS_DIRECTORY=str(self.given)):
            server.command("check", "--config", server.config)
            server.start()
            server.write("/small", SMALL)
            url = server.command("sign", "--config", server.config, "/small", "--expires", "1h")
            signed = url.stdout.strip().removeprefix("http://dl.shop.example")
            self.assertEqual(server.get(signed).body, SMALL)
            self.assertEqual(good_reload(server), [])
            (self.given / "keyring").unlink()
            (self.given / "key").write_bytes(b"nonsense")
            status, answer = http_reload(server)
        self.assertEqual(status, 422)
        said = "\n".join(answer["mistakes"])
        self.assertRegex(said, rf"(?m)^{self.given}/keyring: the keyring cannot be read")
        self.assertRegex(said, rf"(?m)^{self.given}/key: has no private key")

    def test_without_a_unit_there_are_none(self):
        server = self.prepare()
        with unittest.mock.patch.dict(os.environ):
            os.environ.pop("CREDENTIALS_DIRECTORY", None)
            lines = self.expect(server, SETTINGS, "check", "--config", server.config).splitlines()
            self.assertEqual(len(lines), 5, lines)
            for line, setting in zip(lines, ("links.keyring", "tls.certificate", "tls.key",
                                             "tls.site", "tls.site")):
                self.assertRegex(line, rf"^{server.config}: {setting}: credential:\w+: there are "
                                       "no credentials")
            # Who only signs needs the keyring and no more.
            said = self.expect_one_line(server, SETTINGS, "sign", "--config", server.config, "/a")
            self.assertIn("links.keyring", said)


if __name__ == "__main__":
    unittest.main()
