"""The access log: one line for each request, whatever is in it, and never a token.

Where its sink takes nothing, downloads go on: lines are dropped and counted, and said to be.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import unittest

from command_case import health
from shop_case import ShopTest
from small_disk import SmallDisk, enter_own_mount_namespace
from support import (BINARY, PATIENCE, PROJECT, Server, TestCase, eventually, new_link_id,
                     some_bytes, target)

CONTENT = some_bytes(1000)
# For tests that want many lines, and send no link since that is quickest.
ALL_LINES = {"refused_per_minute": 0}
# As programs that read Apache's logs take a line apart.
COMBINED = re.compile(r'(?P<client>\S+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}(?::\d\d){3} \+0000)\] '
                      r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
                      r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"')


def combined_lines(file):
    """Each line taken apart; one that is being written is left for later."""
    lines = file.read_text(encoding="ascii").split("\n")[:-1] if file.exists() else []
    matches = [COMBINED.fullmatch(line) for line in lines]
    assert all(matches), lines
    return [match.groupdict() for match in matches]


class LogTest(TestCase):
    def setUp(self):
        self.server = self.start_server()
        self.server.write("/folder/file.bin", CONTENT)

    def lines(self, count):
        """The lines of the log, once there are `count`."""
        eventually(lambda: len(self.server.log_lines()), count)
        return self.server.log_lines()

    def test_a_line_says_what_was_asked_and_answered(self):
        link = new_link_id()
        good = self.server.sign("/folder/file.bin", id=link, limit=1, data="order-7")
        self.server.get(good, {"Range": "bytes=0-99", "User-Agent": "agent",
                               "Referer": "https://shop.example/order"})
        line, = self.lines(1)
        self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreaterEqual(line.pop("duration_us"), 0)
        self.assertEqual(line, {
            "client": "127.0.0.1", "method": "GET", "target": "/folder/file.bin?tg=***",
            "protocol": "HTTP/1.1", "status": 206, "body_bytes": 100, "body_length": 100,
            "range": "bytes=0-99", "link": link, "key": "k1", "data": "order-7",
            "user_agent": "agent", "referer": "https://shop.example/order"})

    def test_every_answer_has_its_line(self):
        good = self.server.sign("/folder/file.bin", id=new_link_id(), limit=1)
        with self.server.client() as client:
            statuses = [client.ask(good, method="HEAD").status,
                        client.ask(good, {"Range": "bytes=1000-"}).status,
                        client.ask(good).status,
                        client.ask("/folder/file.bin?tg=x").status,
                        client.ask("/", method="OPTIONS").status]
            client.send(b"nonsense\n")
            statuses.append(client.read_response().status)
        lines = self.lines(6)
        self.assertEqual([line["status"] for line in lines], statuses)
        self.assertTrue(all(line.get("reason") for line in lines if line["status"] >= 400))

    def test_combined_is_what_apache_writes(self):
        self.server.configure({"log": {"format": "combined"}})
        self.server.restart()
        good = self.server.sign("/folder/file.bin", id=new_link_id(), limit=1)
        self.server.get(good, {"User-Agent": 'a"b\\c', "Referer": "https://shop.example/"})
        self.server.get("/folder/file.bin", {"User-Agent": "Gr\u00f6\u00dfe"}, "HEAD")
        eventually(lambda: len(combined_lines(self.server.access_log)), 2)
        one, two = sorted(combined_lines(self.server.access_log), key=lambda line: line["request"])
        for line in (one, two):
            line.pop("time")
        self.assertEqual(one, {
            "client": "127.0.0.1", "request": "GET /folder/file.bin?tg=*** HTTP/1.1",
            "status": "200", "bytes": "1000", "referer": "https://shop.example/",
            "agent": r'a\"b\\c'})
        self.assertEqual(two["request"], "HEAD /folder/file.bin HTTP/1.1")
        self.assertEqual((two["status"], two["bytes"], two["referer"]), ("403", "-", "-"))
        self.assertRegex(two["agent"], r"^Gr(\\x[0-9a-f]{2})+e$")

    def test_no_token_no_mac_and_no_key_is_ever_written(self):  # H13
        for log_format in ("json", "combined"):
            with self.subTest(format=log_format):
                self.server.configure({"log": {"format": log_format}})
                self.server.restart()
                self.expect_no_secret_in_what_is_written()

    def expect_no_secret_in_what_is_written(self):
        before = self.server.access_log.read_bytes().count(b"\n")
        token = self.server.token("/folder/file.bin", id=new_link_id(), limit=3)
        mac = token.rpartition(".s")[2]
        key = self.server.keys[0].secret
        good = target("/folder/file.bin", token)
        in_path = target("/folder/file.bin", token, in_path=True)
        asked = [good, in_path, good + "&utm=x", good + "0", f"/folder/file.bin?x&tg={token}&y",
                 f"/folder/file.bin?TG={token}", f"/folder/file.bin?%74g={token}",
                 f"/folder/file.bin?t%2567=&%2574g={token}", f"/TG={token}/x", f"/%74g={token}/x",
                 f"/a/tg={token}/x", good.replace("tg=", "tg%3D"), f"/x?a=b?tg={token}",
                 f"/x?next=/folder/file.bin%3Ftg={token}", f"/x?next=%2Ftg%3D{token}%2Fx",
                 f"/folder/file.bin?token={token}", f"/{token}/x", good.replace("?tg=", "?tg=3D")]
        for request_target in asked:
            self.server.get(request_target, {"Referer": f"http://dl.shop.example{request_target}",
                                             "User-Agent": f"agent ({request_target})",
                                             "Range": f"bytes={token}"})
        self.server.get(f"http://dl.shop.example{good}")
        with self.server.client() as client:  # heads that are refused before they are read
            client.send(f"GET {good} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            client.read_response()
        with self.server.client() as client:
            client.send(f"POST {good} HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_response()
        with self.server.client() as client:
            client.send(f"{token} {good} HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_response()
        eventually(lambda: self.server.access_log.read_bytes().count(b"\n") - before,
                   len(asked) + 4)
        said = self.server.access_log.read_text() + self.server.stderr()
        for secret in (mac, mac[:16], key.hex(), key.hex()[:16]):
            self.assertNotIn(secret.lower(), said.lower())

    def test_a_hostile_request_is_one_line(self):  # H13
        hostile = [b'"}\\', b'", "status": 200, "x": "', b"\x1b[2J\x1b]0;title", b"\x9b2J",
                   b"\xff\xfe\xc0\xaf\xed\xa0\x80", b"\xe2\x80\xa8\xe2\x80\xae\xc2\x85",
                   b"x" * 8000, "Größe 😀".encode(), b"%0d%0a{}", b"\t\ttabs\t"]
        for value in hostile:
            with self.server.client() as client:
                client.send(b"GET /x?tg=y HTTP/1.1\r\nHost: a\r\nUser-Agent: " + value +
                            b"\r\nReferer: " + value[:4000] + b"\r\nRange: " + value[:1000] +
                            b"\r\n\r\n")
                self.assertIn(client.read_response().status, (400, 403))
        lines = self.lines(len(hostile))
        self.assertTrue(all(line["status"] in (400, 403) for line in lines))
        raw = self.server.access_log.read_bytes()
        self.assertEqual(raw.count(b"\n"), len(hostile))
        text = raw.decode("utf-8")  # valid, strictly
        self.assertFalse([c for c in text if c != "\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0)])
        # Nor what Unicode or JavaScript takes for the end of a line, nor what turns its direction.
        self.assertEqual(len(text.splitlines()), len(hostile))
        self.assertFalse(set("\u2028\u2029\u202e\u2066\ufeff") & set(text))
        self.assertLess(max(map(len, text.splitlines())), 16000)

    def test_a_hostile_request_is_one_line_of_combined_too(self):  # H13
        self.server.configure({"log": {"format": "combined"}})
        self.server.restart()
        hostile = [b'" 200 5 "', b"\\", b'\\"', b"\x1b[2J", b"\xe2\x80\xa8", b"\xff", b"\t", b"x" * 8000]
        for value in hostile:
            with self.server.client() as client:
                client.send(b"GET /x?tg=y HTTP/1.1\r\nHost: a\r\nUser-Agent: a" + value +
                            b"\r\nReferer: a" + value[:4000] + b"\r\n\r\n")
                self.assertIn(client.read_response().status, (400, 403))
        eventually(lambda: len(combined_lines(self.server.access_log)), len(hostile))

    def test_a_transfer_that_breaks_is_logged_with_what_left(self):
        self.server.write("/big.bin", bytes(32 << 20))
        with self.server.client(receive_buffer=65536) as client:
            client.request(self.server.sign("/big.bin"))
            client.read_head()
            client.read(1000)
            client.reset()
        line, = self.lines(1)
        self.assertEqual((line["status"], line["body_length"]), (200, 32 << 20))
        self.assertTrue(1000 <= line["body_bytes"] < 32 << 20)


class ClientAddressTest(ShopTest):
    def test_no_more_of_an_address_is_kept_than_the_settings_say(self):
        for setting, shown in [("truncated", "127.0.0.0"), ("none", None)]:
            for log_format in ("json", "combined"):
                with self.subTest(setting=setting, format=log_format):
                    self.expect_address(setting, shown, log_format)

    def expect_address(self, setting, shown, log_format):
        server = self.start_edge(log={"client_ip": setting, "format": log_format})
        link = new_link_id()
        bound = server.sign("/a", id=link, limit=3, client="127.0.0.1")
        self.assertEqual(server.get(bound).status, 200)  # the address itself still decides
        self.assertEqual(server.get(server.sign("/a", client="192.0.2.1")).status, 403)
        with server.client() as client:
            client.send(b"nonsense\n")
            client.read_response()
        eventually(lambda: [row["client_ip"] for row in server.database.history(link)], [shown])
        eventually(lambda: server.access_log.read_bytes().count(b"\n"), 3)
        if log_format == "combined":
            clients = {line["client"] for line in combined_lines(server.access_log)}
            self.assertEqual(clients, {shown or "-"})
        else:
            self.assertEqual({line.get("client") for line in server.log_lines()}, {shown})
        # Standard error says where it listens, which is the server's own address.
        said = server.access_log.read_text() + server.stderr().replace("serving on 127.0.0.1", "")
        self.assertNotIn("127.0.0.1", said)

    def test_an_address_is_in_no_other_place_than_its_own(self):
        """What a client writes into its own request is not its address, and stays."""
        server = self.start_edge(log={"client_ip": "none"})
        server.get("/x", {"Referer": "http://192.0.2.7/", "X-Forwarded-For": "192.0.2.8",
                          "Forwarded": "for=192.0.2.8", "Host": "192.0.2.9"})
        eventually(lambda: len(server.log_lines()), 1)
        line, = server.log_lines()
        self.assertEqual(line["referer"], "http://192.0.2.7/")
        self.assertNotIn("192.0.2.8", json.dumps(line))
        self.assertNotIn("client", line)


# -- a file that is renamed ------------------------------------------------------------------------


class ReopenTest(TestCase):
    def setUp(self):
        self.server = self.start_server({"log": ALL_LINES})
        self.server.write("/file.bin", CONTENT)

    def get(self, number):
        self.assertEqual(self.server.get("/file.bin", {"User-Agent": f"n{number}"}).status, 403)

    def reopen(self, said):
        before = self.server.stderr().count(said)
        self.server.process.send_signal(signal.SIGUSR1)
        eventually(lambda: self.server.stderr().count(said), before + 1)

    def test_no_line_is_lost_when_the_log_is_rotated(self):
        count = 0
        files = []
        for rotation in range(5):
            for _ in range(20):
                self.get(count)
                count += 1
            files.append(self.server.folder / f"access.log.{rotation}")
            self.server.access_log.rename(files[-1])
            self.get(count)  # goes to the renamed file or to the new one
            count += 1
            self.reopen("tallygate: access log reopened")
        files.append(self.server.access_log)
        self.get(count)
        self.server.stop()
        numbers = [json.loads(line)["user_agent"] for file in files
                   for line in file.read_bytes().splitlines()]
        self.assertCountEqual(numbers, [f"n{n}" for n in range(count + 1)])
        self.assertGreaterEqual(len(self.server.log_lines()), 1)

    def test_a_log_that_cannot_be_opened_anew_says_so_and_goes_on(self):
        renamed = self.server.folder / "renamed.log"
        self.server.access_log.rename(renamed)
        self.server.access_log.mkdir()
        self.reopen(f"log.access {self.server.access_log} cannot be opened: Is a directory: the "
                    "old one is written on")
        self.get(1)
        eventually(lambda: renamed.read_bytes().count(b"\n"), 1)
        self.server.access_log.rmdir()
        self.reopen("tallygate: access log reopened")
        self.get(2)
        eventually(lambda: len(self.server.log_lines()), 1)

    @unittest.skipUnless(shutil.which("logrotate"), "logrotate is not installed")
    @unittest.skipUnless(os.geteuid() == 0, "only root can rotate as another user")
    def test_logrotate_rotates_with_the_file_that_is_installed(self):
        rules = (PROJECT / "conf/logrotate/tallygate").read_text()
        logs = self.server.folder / "logs"
        logs.mkdir(mode=0o750)
        self.server.configure({"log": {"access": str(logs / "access.log")}})
        self.server.restart()
        for was, becomes in [
                ("/var/log/tallygate/", f"{logs}/"), ("tallygate adm", "root root"),
                ("systemctl kill --kill-whom=main --signal=SIGUSR1 tallygate.service",
                 f"kill -USR1 {self.server.process.pid}")]:
            self.assertIn(was, rules)
            rules = rules.replace(was, becomes)
        file = self.server.folder / "logrotate.conf"
        file.write_text(rules)
        file.chmod(0o600)
        self.get(1)
        eventually(lambda: (logs / "access.log").read_bytes().count(b"\n"), 1)
        subprocess.run([shutil.which("logrotate"), "-f", "-s", self.server.folder / "state", file],
                       check=True, timeout=PATIENCE)
        eventually(lambda: "access log reopened" in self.server.stderr())
        self.get(2)
        eventually(lambda: (logs / "access.log").read_bytes().count(b"\n"), 1)
        self.assertEqual((logs / "access.log.1").read_bytes().count(b"\n"), 1)


# -- sinks that take nothing -----------------------------------------------------------------------


class StdoutServer(Server):
    """Its standard output is a pipe, which is read when a test reads it."""

    def start(self):
        pipe = self.folder / "stdout"
        os.mkfifo(pipe)
        self.stdout = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self.stdout, True)
        self.launcher = ("sh", "-c", 'exec "$@" >"$0"', str(pipe))
        return super().start()


class BlockedCase(TestCase):
    """More lines than the queue has room for, long ones, while the sink takes none."""

    def fill(self, server):
        """Requests until lines are dropped, each of which is answered; their number."""
        count = 0
        # What is escaped is longer.
        fields = {name: "\u00ad" * 1000 for name in ("User-Agent", "Referer", "Range")}
        while health(server)["log_lines_dropped"] == 0:
            with server.client() as client:
                for _ in range(50):
                    self.assertEqual(client.ask("/file.bin", fields).status, 403)
                    count += 1
            self.assertLess(count, 100_000)
        return count

    def download(self, server):
        response = server.get(server.sign("/file.bin", id=new_link_id(), limit=1))
        self.assertEqual((response.status, response.body), (200, CONTENT))

    def expect_all(self, lines, count):
        """Each line is there or is told of; `lines` are parsed."""
        lost = [line["lines_lost"] for line in lines if "lines_lost" in line]
        self.assertEqual(len(lines) - len(lost) + sum(lost), count)
        self.assertTrue(1 <= len(lost) <= 2, lost)
        return sum(lost)


class PipeTest(BlockedCase):
    def test_a_pipe_that_nobody_reads(self):  # P11
        server = StdoutServer({"log": {"access": "stdout", **ALL_LINES}})
        self.addCleanup(self._end, server)
        server.start()
        server.write("/file.bin", CONTENT)
        count = self.fill(server)
        for _ in range(3):
            self.download(server)
        count += 3
        with open(server.stdout, "rb") as pipe:
            lines = []
            known = 0
            while known < count:
                lines.append(json.loads(pipe.readline()))
                known += lines[-1].get("lines_lost", 1)
            self.assertEqual(self.expect_all(lines, count), health(server)["log_lines_dropped"])
            self.download(server)
            self.assertEqual(json.loads(pipe.readline())["status"], 200)
            server.stop()
            self.assertEqual(pipe.read(), b"")


def require_root_and_mounts():
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root can mount")
    try:
        enter_own_mount_namespace()
    except OSError as failure:
        raise unittest.SkipTest(str(failure)) from None


class FullDiskTest(BlockedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_root_and_mounts()
        try:
            disk = SmallDisk()
            try:
                disk.mount()
            finally:
                disk.remove()
        except (OSError, subprocess.CalledProcessError) as failure:
            raise unittest.SkipTest(f"no disk of our own: {failure}") from None

    def test_a_disk_that_is_full(self):  # P11
        disk = SmallDisk()
        self.addCleanup(disk.remove)
        disk.mount()
        log = disk.path / "access.log"
        server = Server({"log": {"access": str(log), **ALL_LINES}})
        self.addCleanup(self._end, server)
        server.start()
        server.write("/file.bin", CONTENT)
        self.download(server)
        eventually(lambda: log.read_bytes().count(b"\n"), 1)
        disk.fill()
        count = 1 + self.fill(server)
        self.download(server)
        disk.free()

        def lines():
            text = log.read_bytes()
            return [json.loads(line) for line in text[:text.rfind(b"\n") + 1].splitlines()]

        eventually(lambda: sum(line.get("lines_lost", 1) for line in lines()), count + 1)
        lost = self.expect_all(lines(), count + 1)
        self.assertEqual(lost, health(server)["log_lines_dropped"])
        server.stop()
        self.assertTrue(log.read_bytes().endswith(b"}\n"))


class JournaldTest(BlockedCase):
    """With a /run of our own, in which we are the journal."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_root_and_mounts()
        if ctypes.CDLL(None).mount(b"tmpfs", b"/run", b"tmpfs", 0, None):
            raise unittest.SkipTest("no /run of our own")

    def setUp(self):
        self.path = pathlib.Path("/run/systemd/journal/socket")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.server = self.start_server({"log": {"access": "journald", **ALL_LINES}})
        self.server.write("/file.bin", CONTENT)

    @contextlib.contextmanager
    def journal(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.settimeout(PATIENCE)
            journal.bind(str(self.path))
            try:
                yield journal
            finally:
                self.path.unlink()

    def entry(self, journal):
        lines = journal.recv(1 << 20).decode().removesuffix("\n").split("\n")
        return dict(line.split("=", 1) for line in lines)

    def test_fields_go_to_the_journal_when_it_is_there(self):
        self.download(self.server)  # before it is there
        with self.journal() as journal:
            self.assertEqual(self.entry(journal)["TALLYGATE_STATUS"], "200")
            link = new_link_id()
            self.server.get(self.server.sign("/file.bin", id=link, limit=1))
            entry = self.entry(journal)
            message = json.loads(entry.pop("MESSAGE"))
            self.assertRegex(entry.pop("TALLYGATE_DURATION_US"), r"^\d+$")
            self.assertEqual(entry, {
                "PRIORITY": "6", "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "tallygate",
                "TALLYGATE_STATUS": "200", "TALLYGATE_BODY_BYTES": "1000",
                "TALLYGATE_BODY_LENGTH": "1000", "TALLYGATE_LINK": link, "TALLYGATE_KEY": "k1",
                "TALLYGATE_CLIENT": "127.0.0.1"})
            self.assertEqual((message["link"], message["target"]), (link, "/file.bin?tg=***"))

    def test_a_journal_that_is_gone(self):
        with self.journal() as journal:
            self.download(self.server)
            self.entry(journal)
        count = self.fill(self.server)
        self.download(self.server)
        with self.journal() as journal:
            lines = []
            known = 0
            while known < count + 1:
                lines.append(json.loads(self.entry(journal)["MESSAGE"]))
                known += lines[-1].get("lines_lost", 1)
            self.expect_all(lines, count + 1)


class StandardErrorTest(TestCase):
    def test_lines_carry_their_severity_where_the_journal_reads_them(self):
        server = Server()
        self.addCleanup(self._end, server)
        server.stderr_file.touch()
        status = server.stderr_file.stat()
        environment = dict(os.environ, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
        with open(server.stderr_file, "ab") as log:
            server.process = subprocess.Popen([BINARY, "serve", "--config", server.config],
                                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                              stderr=log, env=environment)
        eventually(lambda: "\n<6>serving on 127.0.0.1:" in server.stderr())
        said = server.stderr().count("\n")
        server.access_log.unlink()
        server.access_log.mkdir()
        server.process.send_signal(signal.SIGUSR1)
        eventually(lambda: server.stderr().count("\n"), said + 1)
        self.assertIn("\n<3>log.access ", server.stderr())
        server.stop()
        self.assertTrue(server.stderr().endswith("\n<6>draining\n<6>done\n"), server.stderr())


if __name__ == "__main__":
    unittest.main()
