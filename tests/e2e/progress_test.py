"""Long work says on a terminal how far it has got, and nothing elsewhere."""

import contextlib
import os
import pty
import shutil
import sqlite3
import subprocess
import tempfile
import threading

import support
from command_case import CommandTest, health
from support import BINARY, KIB, PATIENCE, PROJECT, Server, eventually, some_bytes

ERASE = "\r\x1b[K"


def read_all(terminal, write):
    """Hands on what appears on the terminal until nobody has it any more."""
    with contextlib.suppress(OSError):  # EIO: the last one has gone
        while data := os.read(terminal, 1 << 16):
            write(data)
    os.close(terminal)


def on_terminal(command, **options):
    """Runs a command whose standard error is a terminal: exit code, output, what was to be seen."""
    terminal, end = pty.openpty()
    seen = bytearray()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=end, **options)
        os.close(end)
        read_all(terminal, seen.extend)
        code = process.wait(PATIENCE)
        output.seek(0)
        return code, output.read().decode(), seen.decode()


class TerminalServer(Server):
    """A server that was started on a terminal."""

    def start(self):
        terminal, end = pty.openpty()
        self.stderr_file.touch()
        self.process = subprocess.Popen([BINARY, "serve", "--config", str(self.config)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=end)
        os.close(end)
        threading.Thread(target=read_all, args=(terminal, self.append), daemon=True).start()
        eventually(lambda: self.process.poll() is not None or "serving on" in self.stderr())
        return self

    def append(self, data):
        with open(self.stderr_file, "ab") as file:
            file.write(data)


class Commands(CommandTest):
    def setUp(self):
        self.server = self.start_server()
        self.server.write("/a", some_bytes(4 * KIB))
        for n in range(3):
            self.assertEqual(
                self.server.get(self.server.sign("/a", id=f"x{n}", limit=3)).status, 200)
            self.server.expect_link(f"x{n}", used=1)
        self.server.stop()

    def expect_progress(self, line, *arguments):
        """Seen on a terminal, and gone in the end; nothing of it when standard error is a pipe."""
        arguments = list(map(str, arguments))
        code, output, seen = on_terminal([BINARY, *arguments])
        self.assertEqual(code, 0, seen)
        self.assertRegex(seen, line)
        last = seen.rfind(ERASE)
        self.assertNotRegex(seen[last + len(ERASE):], line)
        return output

    def expect_silence(self, *arguments):
        done = self.server.command(*arguments)
        self.assertEqual(done.stderr, "", arguments)
        return done.stdout

    def test_of_a_ledger(self):
        directory = self.server.folder / "ledger"
        dir = ["--dir", directory]
        for name in ["check", "export"]:
            output = self.expect_progress(rf"{name}: \d+ % of [\d,]+ MiB", "ledger", name, *dir)
            self.assertEqual(self.expect_silence("ledger", name, *dir), output)
            self.assertNotIn(" % of ", output)
        for n, part in enumerate(["reading", "copying", "verifying"]):
            self.expect_progress(rf"backup: {part}: \d+ % of [\d,]+ MiB", "ledger", "backup", *dir,
                                 "--to", self.server.folder / f"copy{n}")
        self.expect_silence("ledger", "backup", *dir, "--to", self.server.folder / "copy")
        other = self.server.folder / "copy"
        self.expect_progress(r"compact: \d+ % of [\d,]+ MiB", "ledger", "compact", *dir)
        self.expect_silence("ledger", "compact", "--dir", other)

    def test_of_a_shop(self):
        shop = self.server.folder / "shop.db"
        self.server.configure({"shop": {"url": f"sqlite:{shop}"}})
        config = ["--config", self.server.config]
        self.expect_progress("making tables and triggers in sqlite:", "shop", "init", *config)
        said = self.server.command("shop", "init", *config).stderr
        self.assertEqual(said, f"tallygate: sqlite:{shop}: the tables are there\n")


class FirstScan(support.TestCase):
    ROWS = 2500

    def rows(self, server):
        with contextlib.closing(sqlite3.connect(server.folder / "shop.db")) as db, db:
            db.executemany("INSERT INTO tg_link(link_id) VALUES(?)",
                           [(f"x{n}",) for n in range(self.ROWS)])

    def seen(self, server):
        return server.stderr_file.read_bytes().decode()

    def scanned(self, server_class):
        server = server_class({"shop": {"poll": "100ms"}})
        self.addCleanup(self._end, server)
        server.configure({"shop": {"url": f"sqlite:{server.folder}/shop.db"}})
        server.command("shop", "init", "--config", server.config)
        self.rows(server)
        server.start()
        eventually(lambda: health(server)["shop"]["last_scan_at"] > 0)
        return server

    def test_of_a_server_is_seen_on_its_terminal(self):
        server = self.scanned(TerminalServer)
        eventually(lambda: "shop: first scan: 1,000 rows" in server.stderr())
        server.stop()
        eventually(lambda: self.seen(server).endswith("tallygate: done\r\n"))
        self.assertEqual(self.seen(server).rpartition("rows\r")[2].count(ERASE), 1)  # it went

    def test_of_a_server_is_in_no_log(self):
        server = self.scanned(Server)
        server.stop()
        self.assertNotIn("first scan", self.seen(server))
        self.assertNotIn("\r", self.seen(server))


class Demo(support.TestCase):
    """conf/demo.sh, in a tree where building is a matter of a moment."""

    def setUp(self):
        self.tree = support.pathlib.Path(tempfile.mkdtemp(prefix="tallygate-e2e-"))
        self.addCleanup(shutil.rmtree, self.tree)
        for folder in ["conf", "bin", "build/demo/server"]:
            (self.tree / folder).mkdir(parents=True)
        shutil.copy(PROJECT / "conf/demo.sh", self.tree / "conf")
        self.program("conf/packages.sh", 'echo "packages: $*"')
        self.program("bin/cmake", 'echo "cmake: $1" && [ ! -e fails ]')
        self.program("build/demo/server/tallygate", 'echo "started: $*"')
        self.environment = {**os.environ, "PATH": f"{self.tree}/bin:{os.environ['PATH']}"}

    def program(self, name, script):
        (self.tree / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.tree / name).chmod(0o755)

    def piped(self):
        return subprocess.run(["bash", self.tree / "conf/demo.sh", "--once"], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE)

    def test_shows_its_steps_on_a_terminal(self):
        code, output, seen = on_terminal(["bash", self.tree / "conf/demo.sh", "--once"],
                                         env=self.environment)
        self.assertEqual((code, output), (0, "started: demo --once\n"))
        steps = ["demo: 1 of 3", "packages:", "demo: 2 of 3", "cmake: --preset", "demo: 3 of 3",
                 "cmake: --build"]
        places = [seen.find(step) for step in steps]
        self.assertNotIn(-1, places, seen)
        self.assertEqual(places, sorted(places))

    def test_says_nothing_elsewhere_unless_a_step_fails(self):
        done = self.piped()
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "started: demo --once\n", ""))
        (self.tree / "fails").touch()
        done = self.piped()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "cmake: --preset\ndemo: 2 of 3: configuring has failed\n")


if __name__ == "__main__":
    support.main()
