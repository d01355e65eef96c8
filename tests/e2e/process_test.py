"""What a process can suffer: threads that stand still, memory and descriptors that run out, standard
streams that nobody reads or that are closed, kills at every start."""

import ctypes
import errno
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import unittest

from command_case import CommandTest, ask_admin, health
from metrics_test import scrape
from preload_case import PreloadServer
from service_case import NotifySocket, ServiceServer
from support import BINARY, KIB, MIB, PATIENCE, Closed, eventually, new_link_id, some_bytes

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000  # __WALL
SECOND = 1_000_000  # microseconds, as systemd counts


# -- threads that stand still ----------------------------------------------------------------------


class FrozenThread:
    """A thread of another process, which stands still until `go_on`. Of one of our own threads alone."""

    libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, thread_id):
        self.id = thread_id
        self._trace(PTRACE_SEIZE)
        self._trace(PTRACE_INTERRUPT)
        os.waitpid(self.id, WAIT_ALL)

    def go_on(self):
        self._trace(PTRACE_DETACH)

    def _trace(self, request):
        if self.libc.ptrace(request, self.id, None, None) != 0:
            failure = ctypes.get_errno()
            raise OSError(failure, f"ptrace: {os.strerror(failure)}")


def threads(server, name):
    """The ids of the server's threads of this name."""
    found = []
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        if (task / "comm").read_text() == f"{name}\n":
            found.append(int(task.name))
    return found


class StandstillTest(CommandTest):
    def serve(self):
        self.notify = NotifySocket()
        self.addCleanup(self.notify.close)
        self.server = ServiceServer({"server": {"threads": 2}}, notify=self.notify, watchdog=SECOND)
        self.addCleanup(self._end, self.server)
        self.content = self.server.write("/a", some_bytes(64 * KIB))
        self.server.start()
        self.assertEqual(self.notify.next()["READY"], "1")
        self.assertEqual(self.notify.next(), {"WATCHDOG": "1"})

    def freeze(self, name):
        try:
            return FrozenThread(threads(self.server, name)[0])
        except OSError as failure:
            if failure.errno == errno.EPERM:
                self.skipTest(f"no thread may be stopped here: {failure}")
            raise

    def expect_standstill(self, thread, standstill, why, meanwhile=lambda: None):
        try:
            eventually(lambda: f"watchdog: {standstill}" in self.server.stderr())
            self.notify.forget()
            eventually(lambda: ask_admin(self.server, "GET", "/readyz")[0], 503)
            ready = ask_admin(self.server, "GET", "/readyz")[1]
            self.assertRegex(ready["why"], why)
            self.assertEqual(ask_admin(self.server, "GET", "/healthz")[0], 503)
            self.assertEqual(health(self.server)["status"], "failed")
            self.assertEqual(ask_admin(self.server, "GET", "/v1/live")[1]["status"], "failed")
            meanwhile()
            self.assertEqual(self.notify.all(), [])  # seconds later
        finally:
            thread.go_on()
        self.assertEqual(self.notify.next(), {"WATCHDOG": "1"})
        eventually(lambda: ask_admin(self.server, "GET", "/readyz")[0], 200)
        self.assertEqual(health(self.server)["status"], "ok")

    # P8
    def test_a_loop_that_does_not_turn_is_seen(self):
        self.serve()
        self.expect_standstill(self.freeze("worker"), "worker ", "^worker [01] stands still$")
        response = self.server.get(self.server.sign("/a", id="x", limit=1))
        self.assertEqual(response.body, self.content)

    # P8
    def test_a_journal_whose_thread_does_not_move_is_seen(self):
        self.serve()
        thread = self.freeze("journal")
        with self.server.client() as client:
            client.request(self.server.sign("/a", id="x", limit=1))

            def refused():
                response = client.read_response()
                self.assertEqual((response.status, response.problem),
                                 (503, "temporarily-unavailable"))

            self.expect_standstill(thread, "the journal", "^the ledger cannot be written$", refused)
        eventually(lambda: self.server.get(self.server.sign("/a", id="y", limit=1)).status, 200)


# -- memory that runs out --------------------------------------------------------------------------


class MemoryServer(PreloadServer):
    """On a thread that has accepted a connection, allocations fail: `self[0]` later `self[1]` of them,
    `self[2]` have."""

    library_name = "memory"
    numbers = (-1, 1, 0)


class MemoryTest(CommandTest):
    def serve(self, server_class=MemoryServer):
        self.server = server_class({"server": {"threads": 1}})
        self.addCleanup(self._end, self.server)
        self.content = self.server.write("/a", some_bytes(16 * KIB))
        self.server.start()
        self.assertEqual(self.server.get(self.server.sign("/a")).status, 200)

    def try_once(self, url):
        """True if it was answered in full; False if the connection was closed before, or refused."""
        try:
            with self.server.client() as client:
                response = client.ask(url, close=True)
        except (Closed, ConnectionError):
            return False
        if response.status != 200:
            return False
        self.assertEqual(response.body, self.content)
        return True

    def used(self, link):
        """As far as the server lives; one that has ended is started again."""
        try:
            return (self.server.links_show(link) or {"used": 0})["used"]
        except (OSError, http.client.HTTPException):
            self.server.process.wait(PATIENCE)
            self.go_on()
            return None

    def go_on(self):
        """Where half of a change to the ledger would have been left, the process has ended."""
        if not self.server.is_running():
            self.assertEqual(self.server.process.returncode, -signal.SIGABRT)
            self.ends += 1
            self.server.start()

    # P9, P10, J1
    def test_an_allocation_that_fails_costs_a_connection_and_no_count(self):
        self.serve()
        exceptions = 0
        for in_a_row in 1, 2, 3:
            self.ends = lost = step = 0
            while True:
                before = self.server[2]
                link = new_link_id()
                url = self.server.sign("/a", id=link, limit=1)
                self.server[1] = in_a_row
                self.server[0] = step
                lost += not self.try_once(url)
                self.server[0] = -1
                exceptions = max(exceptions, self.exceptions())
                # Nobody is left with a copy that cannot be finished, and accepting goes on.
                eventually(lambda: self.try_once(url) or self.used(link) == 1)
                eventually(lambda: self.used(link), 1)
                step += 1
                if self.server[2] == before and step > 8:
                    break  # so many allocations there were none
            self.assertGreater(lost, 0, in_a_row)
            if in_a_row == 1:
                self.assertEqual(self.ends, 0)  # there is a reserve
        self.assertGreater(exceptions, 0)
        self.assertIn(" ended: no memory left\n", self.server.stderr())
        eventually(lambda: self.server.links_show(link)["in_flight"], 0)

    def exceptions(self):
        try:
            return scrape(self.server).get("tallygate_exceptions_total")
        except (OSError, http.client.HTTPException):
            return 0


# -- descriptors that run out ----------------------------------------------------------------------


class DescriptorServer(PreloadServer):
    """While `self[0]` is not 0, it can make no file; `self[1]` counts how often it could not."""

    library_name = "descriptors"
    numbers = (0, 0)


class DescriptorTest(CommandTest):
    server_class = DescriptorServer

    def download(self, client):
        link = new_link_id()
        response = client.ask(self.server.sign("/a", id=link, limit=2))
        if response.status != 200:
            self.assertEqual(response.problem, "temporarily-unavailable")
            return False
        self.assertEqual(response.body, self.content)
        self.counted.append(link)
        return True

    # J17
    def test_without_a_descriptor_for_the_next_segment_what_there_is_is_used_up(self):
        self.server = self.start_server({"server": {"threads": 1}})
        self.content = self.server.write("/a", some_bytes(KIB))
        self.counted = []
        with self.server.client() as client:
            self.assertTrue(self.download(client))
            self.server[0] = 1
            while self.download(client):
                self.assertLess(len(self.counted), 50_000)
            self.assertGreater(len(self.counted), 100)  # there was a reserve
            self.assertGreater(self.server[1], 0)
            self.assertEqual(client.ask(self.server.sign("/a")).status, 200)  # needs no lease
            why = health(self.server)["ledger"]["failure"]
            self.assertIn("Too many open files", why)
            self.assertEqual(ask_admin(self.server, "GET", "/readyz")[0], 503)
            self.server[0] = 0
            eventually(lambda: self.download(client), True)
        eventually(lambda: ask_admin(self.server, "GET", "/readyz")[0], 200)
        self.server.restart()
        known = self.server.exported_links()
        self.assertEqual({link for link in self.counted if known[link]["copies"] != 1}, set())


# -- standard streams ------------------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class StreamsTest(CommandTest):
    """Servers that cannot be asked by standard error which port they have."""

    def start(self, command, **settings):
        port = free_port()
        server = self.prepare_server({"server": {"listen": [f"127.0.0.1:{port}"], "threads": 1},
                                      **settings})
        self.content = server.write("/a", some_bytes(KIB))
        return server, port, [*command, BINARY, "serve", "--config", str(server.config)]

    def expect_serving(self, server, port):
        def answers():
            try:
                return ask_admin(server, "GET", "/readyz")[0]
            except OSError:
                return None

        eventually(answers, 200)
        server.port = port
        response = server.get(server.sign("/a", id=new_link_id(), limit=1))
        self.assertEqual((response.status, response.body), (200, self.content))

    def take_all(self, pipe):
        os.set_blocking(pipe.fileno(), False)
        said = b""
        while (more := pipe.read(MIB)) is not None:
            said += more
        return said.decode()

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()

    # P11
    def test_standard_error_that_nobody_reads_holds_up_nobody(self):
        server, port, command = self.start(())
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, bufsize=0, pipesize=16 * KIB)
        self.addCleanup(process.stderr.close)
        self.addCleanup(self.end, process)
        self.expect_serving(server, port)
        server.config.write_text(server.config.read_text() + "[nothing]\n")
        for _ in range(400):  # each says two lines
            self.assertEqual(ask_admin(server, "POST", "/v1/reload")[0], 422)
        self.expect_serving(server, port)
        self.take_all(process.stderr)
        ask_admin(server, "POST", "/v1/reload")
        self.assertRegex(self.take_all(process.stderr), r"tallygate: \d+ lines are missing here\n")
        for _ in range(400):
            ask_admin(server, "POST", "/v1/reload")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)

    # P11
    def test_standard_error_and_output_whose_readers_are_gone_end_nobody(self):
        server, port, command = self.start((), log={"access": "stdout"})
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.expect_serving(server, port)
        process.stderr.close()
        process.stdout.close()
        for _ in range(3):
            ask_admin(server, "POST", "/v1/reload")
            self.expect_serving(server, port)
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)

    # P11
    def test_standard_streams_that_are_closed_are_nobody_elses(self):
        server, port, command = self.start(
            ("bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash"), log={"access": "stdout"})
        process = subprocess.Popen(command)
        self.addCleanup(self.end, process)
        self.expect_serving(server, port)
        for stream in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{stream}"), "/dev/null")
        ask_admin(server, "POST", "/v1/reload")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)
        server.command("ledger", "check", "--dir", server.settings["ledger"]["dir"])


# -- a crash loop ----------------------------------------------------------------------------------


class CrashLoopTest(CommandTest):
    ROUNDS = 50

    # P12, P13
    def test_fifty_kills_right_after_ready_lose_nothing_and_leave_nothing_behind(self):
        notify = NotifySocket()
        self.addCleanup(notify.close)
        server = ServiceServer({"server": {"threads": 1}}, notify=notify)
        self.addCleanup(self._end, server)
        server.process_options["env"] |= {"LISTEN_FDS": "1", "LISTEN_PID": "1"}  # another's
        server.write("/a", some_bytes(KIB))
        server.start()
        url = server.sign("/a", id="x", limit=self.ROUNDS)
        self.assertEqual(server.get(url).status, 200)
        server.expect_link("x", used=1)
        server.stop()
        notify.forget()
        ledger = pathlib.Path(server.settings["ledger"]["dir"])
        sizes = []
        for _ in range(self.ROUNDS):
            server.start()
            self.assertEqual(notify.next()["READY"], "1")
            server.kill()
            notify.forget()
            sizes.append(sum(file.stat().st_blocks for file in ledger.iterdir()))
        self.assertLessEqual(max(sizes[10:]), 2 * max(sizes[:10]))
        server.command("ledger", "check", "--dir", ledger)
        server.start()
        self.assertEqual(server.links_show("x")["used"], 1)
        self.assertEqual(server.get(url).status, 200)
        server.expect_link("x", used=2)


if __name__ == "__main__":
    unittest.main()
