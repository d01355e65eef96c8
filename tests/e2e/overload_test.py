"""More than there is room for: connections, descriptors, guesses. Who has to wait, who is closed, who is
not touched; and afterwards all is as before. O1 to O8, L14, H10 are rows of the fault table.

All of 127.0.0.0/8 is ours, so that clients have addresses of their own.
"""

import contextlib
import os
import re
import resource
import secrets
import selectors
import socket
import subprocess
import threading
import time
import unittest

from command_case import FAILED, CommandTest, health
from metrics_test import key, scrape
from path_case import descriptors, skip
from proxies_test import ProxiedServer, version_1, version_2
from support import (BINARY, KIB, MIB, PATIENCE, Client, Closed, Server, TestCase, eventually,
                     new_link_id, some_bytes)
from tls_case import TlsServer

FILE = some_bytes(4 * KIB)
PAGE = os.sysconf("SC_PAGESIZE")


def is_sanitized(server, library="lib[at]san"):
    with open(f"/proc/{server.process.pid}/maps") as maps:
        return re.search(library, maps.read()) is not None


def cpu_seconds(server):
    """Processor time of all its threads."""
    with open(f"/proc/{server.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(server):
    with open(f"/proc/{server.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * PAGE


def shed(server, cause):
    return scrape(server).get("tallygate_connections_shed_total", cause=cause)


def pauses(server, cause):
    return scrape(server).get("tallygate_accept_pauses_total", cause=cause)


def refused_for_now(server):
    """Answers with 503 so far."""
    return scrape(server).samples.get(key("tallygate_requests_total", status="503"), 0)


class OverloadCase(TestCase):
    def start(self, settings=None, **server):
        started = self.start_server({**(settings or {}), "server": {"threads": 1, **server}})
        started.write("/a", FILE)
        self.server = started
        return started

    def open(self, client):
        self.addCleanup(client.close)
        return client

    def expect_served(self, client):
        self.assertEqual(client.ask(self.server.sign("/a")).body, FILE)


class AddressCap(OverloadCase):
    """server.max_connections_per_address (O5)."""

    GREEDY, OTHER = "127.0.0.7", "127.0.0.8"

    def connect(self, source):
        return self.open(self.server.client(source=source))

    def expect_turned_away(self, connect):
        """It is closed before anything is said; the client may not even see that it was open."""
        try:
            client = self.open(connect())
        except ConnectionResetError:
            return
        self.assertTrue(client.is_closed_by_server())

    def test_one_address_cannot_take_what_others_need__O5(self):
        server = self.start(max_connections_per_address=3, threads=2)
        kept = [self.connect(self.GREEDY) for _ in range(3)]
        for client in kept:
            self.expect_served(client)
        for _ in range(4):
            self.expect_turned_away(lambda: self.connect(self.GREEDY))
        for _ in range(3):
            self.expect_served(self.connect(self.OTHER))
        for client in kept:  # who was there before goes on
            self.expect_served(client)
        self.assertEqual(shed(server, "address"), 4)
        self.assertEqual(server.stderr().count(f"{self.GREEDY} has 3 connections"), 1)

        kept.pop().close()

        def gets_in():
            with server.client(source=self.GREEDY) as client:
                with contextlib.suppress(OSError, Closed):
                    return client.ask(server.sign("/a")).body == FILE
            return False

        eventually(gets_in)

    def test_a_reload_changes_the_bound(self):
        server = self.start(max_connections_per_address=1)
        first = self.connect(self.GREEDY)
        self.expect_served(first)
        self.expect_turned_away(lambda: self.connect(self.GREEDY))
        server.configure({"server": {"max_connections_per_address": 0}})
        self.assertIn("reloaded, generation", server.reload())
        more = [self.connect(self.GREEDY) for _ in range(5)]
        for client in more:
            self.expect_served(client)
        server.configure({"server": {"max_connections_per_address": 6}})
        self.assertIn("reloaded, generation", server.reload())
        self.expect_turned_away(lambda: self.connect(self.GREEDY))  # the six are counted
        for client in [first, *more]:
            self.expect_served(client)

    def test_proxies_that_are_trusted_speak_for_many(self):
        self.start(max_connections_per_address=1, trusted_proxies=[self.GREEDY])
        for client in [self.connect(self.GREEDY) for _ in range(8)]:
            self.expect_served(client)
        self.expect_served(self.connect(self.OTHER))
        # The first of it may still be open.
        self.assertEqual(shed(self.server, "address"), 0)

    def test_what_is_closed_is_closed_before_tls_begins(self):
        self.server_class = TlsServer
        server = self.start(max_connections_per_address=1)
        self.expect_served(self.connect(self.GREEDY))
        self.expect_turned_away(lambda: server.plain_client(source=self.GREEDY))
        self.expect_turned_away(lambda: Client(server.tls_port, source=self.GREEDY))
        self.assertEqual(scrape(server).get("tallygate_tls_handshakes_total", result="failed"), 0)

    def test_the_client_that_a_proxy_header_names_is_counted_ipv6_by_64(self):
        self.server_class = ProxiedServer
        server = self.start(max_connections_per_address=2)
        request = f"GET {server.sign('/a')} HTTP/1.1\r\nHost: a\r\n\r\n".encode()

        def connect(header):
            client = self.open(server.proxied())
            client.send(header + request)
            return client

        for header in (version_1("203.0.113.9"), version_2("203.0.113.9")):
            self.assertEqual(connect(header).read_response().body, FILE)
        self.assertTrue(connect(version_1("203.0.113.9")).is_closed_by_server())
        self.assertEqual(connect(version_1("203.0.113.10")).read_response().body, FILE)
        for source in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2"):
            self.assertEqual(connect(version_2(source)).read_response().body, FILE)
        self.assertTrue(connect(version_2("2001:db8:1:2::3")).is_closed_by_server())
        self.assertEqual(connect(version_2("2001:db8:1:3::3")).read_response().body, FILE)
        for _ in range(3):  # the proxy's own
            self.assertEqual(connect(version_2()).read_response().body, FILE)
        self.assertEqual(shed(server, "address"), 2)


class ConnectionCap(OverloadCase):
    """server.max_connections: new ones wait, then idle ones go, running downloads stay (O1)."""

    def test_a_thousand_clients_at_a_cap_of_a_hundred_are_all_served__O1(self):
        count, cap = 1000, 100
        server = self.start(max_connections=cap, threads=2)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 2 * count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * count, hard), hard))
        request = f"GET {server.sign('/a')} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        waiting, answers = {}, []
        with selectors.DefaultSelector() as selector:
            for _ in range(count):
                client = self.open(server.client())
                client.send(request)  # nobody asks to be closed: all would stay
                waiting[client.socket] = b""
                selector.register(client.socket, selectors.EVENT_READ)
            deadline = time.monotonic() + 3 * PATIENCE
            checked = 0
            while waiting and time.monotonic() < deadline:
                for found, _ in selector.select(0.1):
                    one = found.fileobj
                    try:
                        data = one.recv(64 * KIB)
                    except ConnectionResetError:
                        data = b""
                    waiting[one] += data
                    if waiting[one].endswith(FILE) or not data:
                        selector.unregister(one)
                        answers.append(waiting.pop(one))
                if len(answers) >= checked:  # every now and then, while it is full
                    seen = health(server)
                    self.assertLessEqual(seen["connections"], cap + 2)  # one for each socket
                    checked = len(answers) + 50
        self.assertEqual(len(waiting), 0)
        self.assertEqual({answer[:15] for answer in answers}, {b"HTTP/1.1 200 OK"})
        self.assertEqual({answer.endswith(FILE) for answer in answers}, {True})
        self.assertEqual(len(answers), count)
        self.assertGreater(pauses(server, "limit"), 0)
        # Nobody has kept a place that others waited for.
        told = sum(b"\r\nConnection: close\r\n" in answer for answer in answers)
        self.assertGreater(told + shed(server, "idle"), 0)

    def test_idle_ones_make_room_and_running_downloads_go_on(self):
        server = self.start(max_connections=3)
        content = server.write("/large", some_bytes(24 * MIB))
        link = new_link_id()
        running = self.open(server.client(receive_buffer=64 * KIB))
        running.request(server.sign("/large", id=link, limit=1))
        self.assertEqual(running.read_head().status, 200)
        idle = [self.open(server.client()) for _ in range(2)]
        self.expect_served(idle[0])  # and one that has not asked at all
        eventually(lambda: health(server)["connections"], 3)
        # Nobody waits: they stay, for as long as idle_timeout says.
        time.sleep(1.5)
        self.assertEqual(shed(server, "idle"), 0)
        for _ in range(2):
            with server.client() as new:
                self.expect_served(new)
        for client in idle:
            self.assertTrue(client.is_closed_by_server())
        self.assertEqual(shed(server, "idle"), 2)
        self.assertEqual(running.read(24 * MIB), content)
        server.expect_link(link, used=1, copies=1)

    def test_who_asks_all_the_time_is_told_to_close_when_others_wait(self):
        server = self.start(max_connections=1)
        busy = self.open(server.client())
        for _ in range(5):
            self.assertIsNone(busy.ask(server.sign("/a")).field("Connection"))
        waiting = self.open(server.client())
        waiting.request(server.sign("/a"))
        for _ in range(100_000):
            if busy.ask(server.sign("/a")).field("Connection") == "close":
                break
        self.assertTrue(busy.is_closed_by_server())
        self.assertEqual(waiting.read_response().body, FILE)
        waiting.close()
        last = self.open(server.client())

        def is_kept():  # nobody waits any more
            nonlocal last
            if last.ask(server.sign("/a")).field("Connection") is None:
                return True
            last = self.open(server.client())
            return False

        eventually(is_kept)


class NoDescriptors(OverloadCase):
    def limit(self, soft):
        """Changes what the server may have, while it runs."""
        hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.server.process.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def use_up(self):
        """From now on it has no descriptor left."""
        if is_sanitized(self.server, "libubsan"):
            skip("that sanitizer looks at memory through a pipe, and takes none for a bad pointer")
        before = resource.prlimit(self.server.process.pid, resource.RLIMIT_NOFILE)[0]
        taken = os.listdir(f"/proc/{self.server.process.pid}/fd")
        self.limit(max(map(int, taken)) + 1)
        free = set(range(max(map(int, taken)) + 1)) - set(map(int, taken))
        return before, len(free)

    def test_accepting_pauses_without_burning_time_and_recovers__O2(self):
        server = self.start(max_connections=1000, header_timeout="5m")
        self.expect_served(self.open(server.client()))
        health(server)
        before, free = self.use_up()
        clients = [self.open(server.client()) for _ in range(free + 20)]
        begun, rest = f"GET {server.sign('/a')} HTTP/1.1\r\n", "Host: a\r\n\r\n"
        for client in clients:  # no idle ones, which would make room
            client.send(begun)
        eventually(lambda: pauses(server, "error") > 2)  # and whoever asks is answered
        begin, cpu = pauses(server, "error"), cpu_seconds(server)
        time.sleep(3)
        used = cpu_seconds(server) - cpu
        tried = pauses(server, "error") - begin
        print(f"{tried:.0f} attempts, {used:.2f} s of processor time in 3 s", flush=True)
        self.assertLess(used, 0.6)  # a loop that tries at once takes all 3 s of a core
        self.assertLessEqual(tried, 2 * 35)
        self.assertEqual(health(server)["status"], "ok")
        self.limit(before)
        for client in clients:
            client.send(rest)
        for client in clients:
            self.assertEqual(client.read_response().body, FILE)
        self.expect_served(self.open(server.client()))

    def test_new_downloads_are_refused_before_running_ones_end(self):
        server = self.start()
        content = server.write("/large", some_bytes(24 * MIB))
        server.write("/other", FILE)
        link = new_link_id()
        running = self.open(server.client(receive_buffer=64 * KIB))
        running.request(server.sign("/large", id=link, limit=1))
        self.assertEqual(running.read_head().status, 200)
        kept = self.open(server.client())
        self.expect_served(kept)
        before, free = self.use_up()
        blockers = [server.write(f"/b{i}", FILE) and f"/b{i}" for i in range(free + 2)]
        refused = [answer for answer in (kept.ask(server.sign(path)) for path in blockers)
                   if answer.status != 200]
        self.assertGreater(len(refused), 0)
        for answer in refused:
            self.assertEqual((answer.status, answer.problem), (503, "temporarily-unavailable"))
            self.assertIsNotNone(answer.field("Retry-After"))
        self.expect_served(kept)  # what is open is served
        self.assertEqual(health(server)["status"], "ok")
        self.assertEqual(running.read(24 * MIB), content)
        self.limit(before)
        self.assertEqual(kept.ask(server.sign("/other")).body, FILE)
        server.expect_link(link, used=1, copies=1)

    def test_resets_while_accepting_are_no_reason_to_pause__O7(self):
        server = self.start()
        for _ in range(300):
            Client(server.port).reset()
        self.expect_served(self.open(server.client()))
        self.assertEqual(pauses(server, "error"), 0)
        eventually(lambda: health(server)["connections"], 1)


class Room(CommandTest):
    """What there is room for is known before anything is served."""

    def start_with(self, descriptors_, settings=None):
        server = self.prepare_server({"server": {"threads": 1, **(settings or {})}})
        server.launcher = ("prlimit", f"--nofile={descriptors_}", "--")
        self.addCleanup(server.kill)
        return server

    def test_it_is_said_at_the_start(self):
        server = self.start_server({"server": {"threads": 1, "max_connections": 123}})
        self.assertRegex(server.stderr(), r"tallygate: room for 123 connections: [\d.]+ KiB of memory "
                                          r"each, [\d.]+ KiB at most")
        self.assertNotIn("only", server.stderr())

    def test_a_soft_limit_is_raised(self):
        server = self.start_with("200:8192").start()
        self.assertEqual(resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE), (8192, 8192))
        server.stop()

    def test_fewer_connections_where_descriptors_are_not_enough__O2(self):
        server = self.start_with("2000:2000").start()
        cap = scrape(server).get("tallygate_connections_max")
        self.assertTrue(16 < cap < 2000, cap)
        said = f"server.max_connections is 10000, and only {cap:.0f} are accepted at a time"
        self.assertEqual(server.stderr().count(said), 1)
        self.assertIn("LimitNOFILE=", server.stderr())
        server.configure({"server": {"max_connections": 17}})
        server.reload()
        self.assertEqual(scrape(server).get("tallygate_connections_max"), 17)
        server.configure({"server": {"max_connections": 20_000}})
        self.assertIn(f"server.max_connections is 20000, and only {cap:.0f}", server.reload())
        self.assertEqual(scrape(server).get("tallygate_connections_max"), cap)
        server.stop()

    def test_files_and_connections_leave_the_last_descriptors_to_the_process__O2(self):
        server = self.start_with("1000:1000", {"send_timeout": "10m"}).start()
        count, for_both = 420, 1000 - 256
        for i in range(count):  # no two of one file, which nobody does
            with open(server.root / f"f{i}", "wb") as file:
                file.truncate(16 * MIB)
        clients = []
        for i in range(count):
            client = server.client(receive_buffer=4 * KIB)
            self.addCleanup(client.close)
            client.request(server.sign(f"/f{i}", id=new_link_id(), limit=1))
            clients.append(client)
        # The last ones are not accepted any more, or are refused: which of the two comes first is a
        # matter of who is faster.
        eventually(lambda: pauses(server, "error") + refused_for_now(server) > 0)
        eventually(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) > for_both - 50)
        taken = os.listdir(f"/proc/{server.process.pid}/fd")
        self.assertTrue(for_both - 50 < len(taken) < for_both + 10, len(taken))
        self.assertEqual(health(server)["status"], "ok")
        self.assertGreater(server.ask_admin("GET", "/v1/transfers")[1]["total"], 300)
        for client in clients:
            client.close()
        eventually(lambda: health(server)["connections"], 0)
        with open(server.root / "f", "wb") as file:
            file.write(FILE)
        self.assertEqual(server.get(server.sign("/f", id=new_link_id(), limit=1)).body, FILE)
        server.stop()

    def test_no_start_where_nobody_could_connect(self):
        server = self.start_with("300:300")
        done = subprocess.run([*server.launcher, BINARY, "serve", "--config", server.config],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn("the 300 descriptors that the process may have", done.stderr)
        self.assertIn("LimitNOFILE=", done.stderr)
        self.assertFalse((server.folder / "ledger").exists())


class Memory(OverloadCase):
    def test_a_connection_takes_no_more_than_was_said__O4(self):
        server = self.start()
        if is_sanitized(server):
            skip("a sanitizer's memory says nothing")
        said = re.search(r"([\d.]+) KiB of memory each", server.stderr())
        bound = float(said[1]) * KIB
        count = 800
        server.write("/large", some_bytes(MIB))
        for _ in range(50):  # what is made once
            self.expect_served(self.open(server.client()))
        before, held = resident_bytes(server), health(server)["connections"]
        clients = [self.open(server.client(receive_buffer=4 * KIB)) for _ in range(count)]
        for client in clients:
            self.expect_served(client)
        each = (resident_bytes(server) - before) / count
        print(f"{each:.0f} bytes between two requests, {bound:.0f} said", flush=True)
        self.assertEqual(health(server)["connections"], held + count)
        self.assertLessEqual(each, bound)
        # Slow readers: a body on its way takes less than a request.
        for client in clients:
            client.request(server.sign("/large"))
        for client in clients:
            client.read_head()
        each = (resident_bytes(server) - before) / count
        print(f"{each:.0f} bytes while a body is on its way", flush=True)
        self.assertLessEqual(each, bound)

    def test_answers_that_nobody_takes_in_are_bounded__H10(self):
        server = self.start(send_timeout="10m")
        client = self.open(server.client(receive_buffer=4 * KIB))
        count = 2000
        request = f"GET {server.sign('/a', id=new_link_id())} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        sender = threading.Thread(target=client.send, args=(request * count,))
        sender.start()

        def in_flight():
            return server.ask_admin("GET", "/v1/transfers")[1]["total"]

        seen = []
        eventually(lambda: seen.append(in_flight()) or (seen[-1] > 1 and seen[-5:] == 5 * seen[-1:]))
        self.assertLessEqual(max(seen), 64)
        for _ in range(count):
            self.assertEqual(client.read_response().body, FILE)
        sender.join()


class Trickle(OverloadCase):
    """Slow heads and slow handshakes end at a deadline that no byte moves (O3)."""

    def test_each_is_closed_at_its_deadline_while_others_are_served__O3(self):
        self.server_class = TlsServer
        server = self.start(header_timeout="2s", idle_timeout="1h")
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)  # the begin of one
        head = b"GET /" + b"a" * 500
        slow = [(self.open(Client(server.tls_port)), hello) for _ in range(250)]
        slow += [(self.open(Client(server.port)), head) for _ in range(250)]
        at = 0
        while slow and at < 500:
            begin = time.monotonic()
            for one in list(slow):
                client, data = one
                try:
                    client.socket.send(data[at:at + 1])
                    client.socket.setblocking(False)
                    over = client.socket.recv(1000) is not None  # an answer, or the end
                except BlockingIOError:
                    over = False
                except OSError:
                    over = True
                if over:
                    slow.remove(one)
                    client.close()
                else:
                    client.socket.settimeout(PATIENCE)
            with server.client() as good:
                self.assertEqual(good.ask(server.sign("/a")).body, FILE)
            at += 1
            time.sleep(max(0.0, 0.2 - (time.monotonic() - begin)))
        self.assertEqual(slow, [])
        eventually(lambda: health(server)["connections"], 0)


class Guesses(OverloadCase):
    """100,000 links that nobody signed (L14)."""

    CONNECTIONS, BATCH = 4, 50

    def guess(self, count):
        """As fast as it goes, on a few connections; all answered with 403."""
        path = "/a"
        clients = [self.open(self.server.client()) for _ in range(self.CONNECTIONS)]
        sent = 0
        while sent < count:
            for client in clients:
                heads = "".join(
                    f"GET {path}?tg=1.kk1.e4000000000.i{sent + i}.s{secrets.token_hex(32)} "
                    "HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(self.BATCH))
                client.send(heads)
            for client in clients:
                for _ in range(self.BATCH):
                    self.assertEqual(client.read_response().status, 403)
            sent += self.BATCH * self.CONNECTIONS
        return sent

    def test_they_are_cheap_and_do_not_bury_the_log__L14(self):
        server = self.start(threads=2)
        self.expect_served(self.open(server.client()))
        before = scrape(server)
        cpu = cpu_seconds(server)
        count = self.guess(10_000 if is_sanitized(server) else 100_000)
        cpu = cpu_seconds(server) - cpu
        print(f"{count} guesses: {1e6 * cpu / count:.1f} us of processor time each", flush=True)
        good = server.sign("/a", id="honest")
        with server.client() as client:
            self.assertEqual(client.ask(good).body, FILE)
        after = scrape(server)
        # Only the MAC: nothing is looked up, opened or written, and all of it is counted.
        self.assertLessEqual(after.get("tallygate_ledger_links"),
                             before.get("tallygate_ledger_links") + 1)  # the honest one's
        for result in ("hit", "miss"):
            self.assertLessEqual(
                after.get("tallygate_open_file_lookups_total", result=result),
                before.get("tallygate_open_file_lookups_total", result=result) + 1)
        self.assertEqual(after.get("tallygate_refusals_total", refusal="link-invalid",
                                   reason="bad_mac"), count)
        left_out = after.get("tallygate_log_lines_left_out_total")
        server.stop()
        lines = server.log_lines()
        refused = [line for line in lines if line.get("status") == 403]
        told = [line for line in lines if "lines_left_out" in line]
        self.assertEqual(left_out, count - len(refused))
        self.assertEqual(sum(line["lines_left_out"] for line in told), left_out)
        self.assertEqual({line["client"] for line in told}, {"127.0.0.1"})
        minutes = len(told)  # one line for each that had too many
        self.assertLessEqual(len(refused), 100 * (minutes + 1))
        self.assertEqual([line["status"] for line in lines if line.get("link") == "honest"], [200])

    def test_the_bound_is_a_setting_and_each_client_has_his_own(self):
        server = self.start({"log": {"refused_per_minute": 2}})
        for source in ("127.0.0.7", "127.0.0.8"):
            with server.client(source=source) as client:
                for _ in range(5):
                    self.assertEqual(client.ask("/a?tg=x").status, 403)
        server.configure({"log": {"refused_per_minute": 0}})
        self.assertIn("reloaded, generation", server.reload())
        with server.client(source="127.0.0.9") as client:
            for _ in range(300):
                client.ask("/a?tg=x")
        server.stop()
        of = [line.get("client") for line in server.log_lines() if "status" in line]
        self.assertEqual({client: of.count(client) for client in set(of)},
                         {"127.0.0.7": 2, "127.0.0.8": 2, "127.0.0.9": 300})
        self.assertEqual({line["client"]: line["lines_left_out"] for line in server.log_lines()
                          if "lines_left_out" in line}, {"127.0.0.7": 3, "127.0.0.8": 3})


# -- a network that can be broken -----------------------------------------------------------------

def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=PATIENCE)


class BlackHole(TestCase):
    """The other side is gone, and nobody says so (O8)."""

    def setUp(self):
        if os.geteuid() != 0:
            skip("only root makes network namespaces")
        tag = f"tg{os.getpid()}"
        self.here, self.there = f"{tag}a", f"{tag}b"
        made = []

        def remove():
            for name in made:
                with contextlib.suppress(subprocess.CalledProcessError):
                    ip("netns", "del", name)

        self.addCleanup(remove)
        try:
            for name in (self.here, self.there):
                ip("netns", "add", name)
                made.append(name)
            ip("link", "add", "va", "netns", self.here, "type", "veth", "peer", "name", "vb",
               "netns", self.there)
            for name, device, address in ((self.here, "va", "10.213.7.1/24"),
                                          (self.there, "vb", "10.213.7.2/24")):
                ip("-n", name, "addr", "add", address, "dev", device)
                ip("-n", name, "link", "set", device, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as failure:
            skip(f"no network namespaces here: {getattr(failure, 'stderr', failure)}")

    def test_a_client_behind_it_is_let_go__O8(self):
        server = Server({"server": {"threads": 1, "listen": ["127.0.0.1:0", "10.213.7.1:0"],
                                    "send_timeout": "2s"}})
        server.launcher = ("ip", "netns", "exec", self.here)
        self.addCleanup(self._end, server)
        server.start()
        with open(server.root / "large", "wb") as large:
            large.truncate(256 * MIB)
        port = re.search(r"serving on 10\.213\.7\.1:(\d+)", server.stderr())[1]
        link = new_link_id()
        listening = descriptors(server)["socket"]
        url = f"http://10.213.7.1:{port}{server.sign('/large', id=link, limit=1)}"
        client = subprocess.Popen(
            ["ip", "netns", "exec", self.there, "curl", "-s", "-o", "/dev/null", "--limit-rate", "1M",
             url], stdin=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        eventually(lambda: (server.links_show(link) or {}).get("in_flight"), 1)
        timeouts = subprocess.run(["ip", "netns", "exec", self.here, "ss", "-Htno", "state",
                                   "established"], capture_output=True, text=True)
        self.assertIn("10.213.7.2", timeouts.stdout)
        ip("-n", self.there, "link", "set", "vb", "down")  # no reset, no ICMP: silence
        server.expect_link(link, used=0, copies=0)
        eventually(lambda: health(server)["connections"], 0)
        eventually(lambda: descriptors(server)["socket"], listening)
        # Nor does the kernel keep what was on its way.
        def sockets():
            return subprocess.run(["ip", "netns", "exec", self.here, "ss", "-Htna", "dst",
                                   "10.213.7.2"], capture_output=True, text=True).stdout

        eventually(lambda: "ESTAB" in sockets(), False)


if __name__ == "__main__":
    unittest.main()
