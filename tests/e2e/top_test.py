"""`tallygate top`: what it shows on a terminal and elsewhere, and how it leaves the terminal."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from command_case import FAILED, SETTINGS, USAGE, CommandTest
from support import BINARY, KIB, MIB, PATIENCE, eventually, main, new_link_id, some_bytes

ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z])")
BEGIN, END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


class Top:
    """The command on a terminal of its own."""

    def __init__(self, config, columns=120, lines=40, **environment):
        self.terminal, end = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.terminal)
        variables = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}
        self.process = subprocess.Popen(
            [BINARY, "top", "--config", str(config)], stdin=end, stdout=end, stderr=end,
            env=variables, start_new_session=True)
        self.end = end  # kept open, so that how the terminal was left can be seen
        self.seen = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.terminal)
        os.close(self.end)

    def resize(self, columns, lines):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys):
        os.write(self.terminal, keys)

    def take(self):
        while select.select([self.terminal], [], [], 0)[0]:
            self.seen += os.read(self.terminal, 1 << 16)
        return self.seen.decode(errors="replace")

    def screen(self):
        """The lines of the last whole picture."""
        pictures = self.take().split("\x1b[H")
        whole = [each for each in pictures[1:] if "\x1b[J" in each]
        if not whole:
            return []
        return re.split("\r+\n", ESCAPE.sub("", whole[-1].split("\x1b[J")[0]))

    def text(self):
        return "\n".join(self.screen())

    def expect(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text(), re.MULTILINE):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"{pattern!r} is not in\n{self.text()}")
            time.sleep(0.05)

    def expect_end(self):
        """It ends, and the terminal is as it was."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self.take()  # or it would wait for room
            if time.monotonic() > deadline:
                raise AssertionError("it does not end")
            time.sleep(0.02)
        seen = self.take()
        assert self.process.returncode == 0, (self.process.returncode, seen)
        assert seen.startswith(BEGIN) and seen.endswith(END), seen
        now = termios.tcgetattr(self.terminal)
        assert now == self.before, (now, self.before)


class TopTest(CommandTest):
    def setUp(self):
        self.server = self.start_server()
        self.server.write("/a", some_bytes(4 * KIB))

    def top(self, **options):
        return self.enterContext(Top(self.server.config, **options))

    def once(self, *options):
        return self.server.command("top", "--config", self.server.config, *options)

    def download(self, link, path="/big", size=32 * MIB):
        """A transfer that stays in flight."""
        self.server.write(path, some_bytes(size))
        client = self.enterContext(self.server.client(receive_buffer=4 * KIB))
        client.request(self.server.sign(path, id=link, limit=3))
        return client

    def refuse(self):
        self.server.get("/a?tg=1.kx.s00")
        self.server.get(self.server.sign("/a", expires=5))
        self.server.get("/a", method="PUT")

    # -- elsewhere than on a terminal

    def test_prints_one_plain_block_when_piped(self):
        link, long = new_link_id(), "x" * 64
        self.assertEqual(self.server.get(self.server.sign("/a", id=link, limit=3)).status, 200)
        self.refuse()
        path = "/folder/" + "long" * 40
        self.download(long, path)
        eventually(lambda: self.server.ask_admin("GET", "/v1/live")[1]["transfers"], 1)
        done = self.once()
        self.assertEqual(done.stderr, "")
        self.assertNotIn("\x1b", done.stdout)
        self.assertNotIn("\r", done.stdout)
        for pattern in (r"^tallygate \d+\.\d+\.\d+  ok  up ", r"^all is well$", r"^throughput +[\d.]+ k?M?B/s ",
                        r"^transfers +1  1 connection$", r"^requests +[\d.]+ /s  4 in all$",
                        r"^refusals +[\d.]+ /s  3 in all$", r"^fsync +([\d.]+ m?s|-)  99 of 100; ",
                        r"^shop lag +no shop  counts stay here$", r"^link-invalid +[\d.]+ /s +1$",
                        r"^link-expired +[\d.]+ /s +1$", r"^downloads-exhausted +0 /s +0$",
                        r"^http-\.\.\. +[\d.]+ /s +1$"):
            self.assertRegex(done.stdout, re.compile(pattern, re.MULTILINE))
        # Nothing is cut.
        self.assertRegex(done.stdout, rf"(?m)^{long} +[\d.]+ [kM]?B +33\.6 MB .* 127\.0\.0\.1 +{path}$")
        self.assertIn(path, done.stdout)

    def test_once_does_so_on_a_terminal_too(self):
        terminal, end = pty.openpty()
        process = subprocess.Popen([BINARY, "top", "--once", "--config", str(self.server.config)],
                                   stdin=end, stdout=end, stderr=end)
        os.close(end)
        seen = bytearray()
        with contextlib.suppress(OSError):  # EIO: it has gone
            while data := os.read(terminal, 1 << 16):
                seen += data
        os.close(terminal)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertNotIn(b"\x1b", seen)
        self.assertIn(b"all is well", seen)

    def test_without_a_server_it_says_so(self):
        self.server.stop()
        for options in ((), ("--once",)):
            said = self.expect_one_line(self.server, FAILED, "top", "--config", self.server.config, *options)
            self.assertIn("admin.sock", said)
            self.assertIn("is it running", said)

    def test_what_it_cannot_be_asked(self):
        self.assertIn("--config is required", self.expect(self.server, USAGE, "top"))
        self.server.config.write_text("nonsense")
        self.expect(self.server, SETTINGS, "top", "--config", self.server.config)

    # -- on a terminal

    def test_moves_while_a_download_runs(self):
        top = self.top()
        top.expect(r"^tallygate \d+\.\d+\.\d+  ok  up ")
        top.expect(r"^transfers +0 +▁+  0 connections")
        top.expect(r"nothing is being downloaded")
        link = new_link_id()
        client = self.download(link)
        top.expect(r"^transfers +1 .*█  1 connection")
        top.expect(rf"^{link} +[\d.]+ [kM]?B +33\.6 MB +\d+ % .* 127\.0\.0\.1 +/big$")
        received = 0
        while received < 8 * MIB:
            received += len(client.socket.recv(1 << 16))
        top.expect(r"^throughput .*[▂▃▄▅▆▇█]")
        top.expect(r"^fsync +[\d.]+ m?s ")
        self.refuse()
        top.expect(r"^refusals .*█.*3 in all$")
        top.expect(r"^link-invalid +[\d.]+ /s +1 ")
        top.press(b"q")
        top.expect_end()

    def test_the_state_and_why(self):
        top = self.top()
        top.expect(r"^all is well$")
        good = self.server.config.read_text()
        self.server.config.write_text(good + "nonsense")
        self.server.reload()
        top.expect(r"^tallygate \S+  degraded  ")
        top.expect(r"^not reloaded: .*tallygate\.toml:\d+: ")
        self.server.config.write_text(good)
        self.server.reload()
        top.expect(r"^all is well$")
        client = self.download(new_link_id())
        top.expect(r"^transfers +1 ")
        self.server.terminate()
        top.expect(r"^it is ending")
        client.close()
        self.server.wait()

    def test_a_server_that_goes_away_and_comes_back(self):
        top = self.top()
        top.expect(r"^all is well$")
        self.server.stop()
        top.expect(r"^no answer for \d+ s, asked again every second: no answer from the server at ")
        top.expect(r"^transfers +0 ")  # what came last stays
        self.server.start()
        top.expect(r"^all is well$")
        top.press(b"q")
        top.expect_end()

    def test_a_server_that_comes_later(self):
        self.server.stop()
        top = self.top()
        top.expect(r"^no answer for \d+ s")
        self.server.start()
        top.expect(r"^all is well$")

    def test_every_end_restores_the_terminal(self):
        for end in (b"q", b"Q", b"\x03"):
            with self.subTest(key=end), Top(self.server.config) as top:
                top.expect("^all is well$")
                top.press(end)
                top.expect_end()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number), Top(self.server.config) as top:
                top.expect("^all is well$")
                top.process.send_signal(number)
                top.expect_end()

    def test_it_can_be_left_while_the_server_hangs(self):
        top = self.top()
        top.expect(r"^all is well$")
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(1.5)  # it is asking by now, or does not matter
            top.press(b"q")
            top.expect_end()
        finally:
            self.server.process.send_signal(signal.SIGCONT)

    def test_follows_the_size_of_the_window(self):
        top = self.top(columns=120, lines=40)
        top.expect("^link .* path$")
        for columns, lines in ((80, 24), (40, 10), (20, 3), (200, 50)):
            top.resize(columns, lines)
            top.process.send_signal(signal.SIGWINCH)
            begin = len(top.take())
            eventually(lambda: len(top.take()) > begin)
            eventually(lambda: (max(map(len, top.screen())) <= columns, len(top.screen()) <= lines),
                       (True, True))
            self.assertIn("tallygate", top.text())

    def test_names_cannot_move_the_cursor(self):
        path = "/a\u202eb\u009b2J日本"
        link = new_link_id()
        self.download(link, path)
        top = self.top()
        top.expect(rf"^{link} .*/a\?b\?2J日本$")
        self.assertNotIn("\u009b", top.take())
        self.assertNotIn("\u202e", top.take())
        self.assertIn("/a?b?2J日本", self.once().stdout)

    def test_plain_terminals(self):
        with Top(self.server.config, LC_ALL="C") as top:
            top.expect(r"^transfers +0 +_+  0 conn")
            self.assertTrue(top.take().isascii())
        with Top(self.server.config, NO_COLOR="1") as top:
            top.expect("^all is well$")
            self.assertNotIn("m", "".join(ESCAPE.findall(top.take())))

    def test_other_keys_do_nothing(self):
        top = self.top()
        top.expect("^all is well$")
        top.press(b"x\x1b[A \x0c\x1a")  # Ctrl-Z too
        before = len(top.take())
        eventually(lambda: len(top.take()) > before)
        self.assertIsNone(top.process.poll())


if __name__ == "__main__":
    main()
