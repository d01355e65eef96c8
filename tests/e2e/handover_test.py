"""A new process takes over: nobody is refused, nobody waits for the old one, nothing is miscounted.

Rows P3, P4, J10 and J14 of the fault table.
"""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import unittest

from counting import SMALL_BUFFER, CountingTestCase, read_until_cut
from handover_case import adopt_orphans, ask_to_hand_over, hand_over, hand_over_and_end
from service_case import NotifySocket, ServiceServer
from shop_case import ShopTest
from support import BINARY, MIB, PATIENCE, Closed, eventually, new_link_id, some_bytes
from tls_case import TlsServer

adopt_orphans()

SIZE = 24 * MIB


class HandOver(CountingTestCase):
    settings = {"server": {"threads": 2, "drain_timeout": "5m"}}

    def setUp(self):
        super().setUp()
        self.content = self.server.write("/file", some_bytes(SIZE))
        self.server.write("/a", b"a")

    def begin_download(self, limit=1):
        """One that is under way: its link, its URL, its connection, and what came of it so far."""
        link, url = self.link("/file", limit)
        client = self.begin(url)
        self.assertEqual(client.read_head().status, 200)
        return link, url, client, client.read(MIB)

    def test_a_transfer_is_finished_by_the_old_process_and_counted_by_the_new_one(self):
        link, url, client, begun = self.begin_download()
        old = hand_over(self.server)
        self.assertIsNone(old.poll())  # it has a transfer to finish
        # The new one serves meanwhile, and knows that the only copy is being downloaded.
        self.assertEqual(self.server.get(self.server.sign("/a")).body, b"a")
        self.assertEqual(self.server.links_show(link)["in_flight"], 1)
        self.assertEqual(self.fetch(url, first=0), "downloads-in-progress")
        self.assertEqual(begun + client.read(SIZE - MIB), self.content)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)
        self.assertTrue(client.is_closed_by_server())
        self.assertEqual(old.wait(PATIENCE), 0)
        self.assertEqual(self.fetch(url), "downloads-exhausted")
        eventually(lambda: "has finished its transfers" in self.server.stderr())
        self.server.restart()
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)

    def test_an_unlimited_link_is_counted_too(self):
        link, url, client, begun = self.begin_download(limit=None)
        old = hand_over(self.server)
        self.assertEqual(begun + client.read(SIZE - MIB), self.content)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)
        client.close()
        self.assertEqual(old.wait(PATIENCE), 0)

    def test_what_an_old_process_that_is_killed_did_not_settle_is_in_doubt(self):
        link, url, client, begun = self.begin_download()
        old = hand_over(self.server)
        old.kill()
        # All of it was leased: it counts as delivered, and as much may be fetched once more.
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)
        self.assertIn("in doubt", self.server.stderr())
        self.assertEqual(self.fetch(url, first=len(begun)), "ok")
        old.wait(PATIENCE)
        self.assertEqual(self.fetch(url), "downloads-exhausted")
        self.server.restart()
        self.server.expect_link(link, used=1, copies=1)

    def test_a_new_process_that_is_killed_leaves_the_same_doubt(self):
        link, url, client, begun = self.begin_download()
        old = hand_over(self.server)
        self.server.kill()
        self.server.start()
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)
        self.assertEqual(begun + client.read(SIZE - MIB), self.content)
        client.close()
        self.assertEqual(old.wait(PATIENCE), 0)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)

    def test_an_old_process_past_its_time_cuts_and_settles(self):
        self.server.configure({"server": {"drain_timeout": "200ms"}})
        self.server.restart()
        link, url, client, begun = self.begin_download()
        old = hand_over(self.server)
        self.assertEqual(old.wait(PATIENCE), 0)
        begun += read_until_cut(client, SIZE - MIB)
        self.server.expect_link(link, used=0, copies=0)
        response = self.server.get(url, {"Range": f"bytes={len(begun)}-"})
        self.assertEqual(begun + response.body, self.content)
        self.server.expect_link(link, used=1, copies=1)

    def test_connections_of_the_old_process_are_its_own(self):
        """A descriptor that the child had inherited would keep them open behind their end."""
        with self.server.client() as idle:
            idle.ask(self.server.sign("/a"))
            before = self.connections_of(self.server.process.pid)
            self.assertGreater(before, 0)
            old = hand_over(self.server)
            self.assertEqual(old.wait(PATIENCE), 0)
            self.assertTrue(idle.is_closed_by_server())
            self.assertEqual(self.connections_of(self.server.process.pid), 0)

    def connections_of(self, process):
        """Its established TCP connections."""
        inodes = set()
        for fd in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(FileNotFoundError):
                inodes.add(os.readlink(f"/proc/{process}/fd/{fd}"))
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        return sum(row[3] == "01" and f"socket:[{row[9]}]" in inodes for row in rows)

    def test_nobody_is_refused_and_every_copy_is_counted(self):
        link, url = self.link("/a", 1_000_000)
        counted, wrong, over = [0] * 4, [], threading.Event()

        def download(i):
            while not over.is_set():
                try:
                    answer = self.server.get(url)
                    if answer.status == 200 and answer.body == b"a":
                        counted[i] += 1
                    else:
                        wrong.append(answer)
                except (OSError, Closed) as failure:
                    wrong.append(failure)

        threads = [threading.Thread(target=download, args=[i]) for i in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            hand_over_and_end(self.server)
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(wrong, [])
        self.assertGreater(min(counted), 0)
        self.server.expect_link(link, used=sum(counted), copies=sum(counted))

    def test_an_idle_connection_is_closed_and_one_with_a_request_under_way_is_answered(self):
        link, url = self.link("/a", 3)
        with self.server.client() as idle, self.server.client() as asking:
            self.assertEqual(idle.ask(self.server.sign("/a")).body, b"a")
            self.assertEqual(asking.ask(self.server.sign("/a")).body, b"a")
            asking.send(f"GET {url} HTTP/1.1\r\nHost: a\r\n".encode())
            begin = len(self.server.stderr())
            self.server.process.send_signal(signal.SIGUSR2)
            eventually(lambda: "starting a new process" in self.server.stderr()[begin:])
            asking.send(b"\r\n")
            response = asking.read_response()
            # Behind the moment of the hand-over it may be asked to come again.
            self.assertIn(response.status, {200, 503})
            if response.status == 503:
                self.assertIsNotNone(response.field("Retry-After"))
            self.assertTrue(idle.is_closed_by_server())
        eventually(lambda: "handed over to process" in self.server.stderr()[begin:])
        process = int(self.server.stderr()[begin:].split("handed over to process ")[1].split(";")[0])
        self.assertEqual(self.server.process.wait(PATIENCE), 0)
        os.kill(process, signal.SIGTERM)
        eventually(lambda: not os.path.exists(f"/proc/{process}") or
                   os.waitpid(process, os.WNOHANG)[0] == process)

    def test_a_link_that_is_revoked_is_cut_in_the_old_process(self):
        link, url, client, begun = self.begin_download()
        old = hand_over(self.server)
        self.server.links("revoke", link)
        self.assertLess(len(begun) + len(read_until_cut(client, SIZE - MIB)), SIZE)
        self.assertEqual(old.wait(PATIENCE), 0)
        self.server.expect_link(link, used=0, state="revoked")

    def test_a_third_process_is_refused_all_the_while(self):
        link, url, client, begun = self.begin_download()
        self.server.configure({"admin": {"socket": str(self.server.folder / "other.sock")}})
        over, started = threading.Event(), []

        def try_to_start():
            while not over.is_set():
                done = subprocess.run([BINARY, "serve", "--config", str(self.server.config)],
                                      capture_output=True, text=True, stdin=subprocess.DEVNULL)
                if done.returncode != 1 or "in use by another tallygate" not in done.stderr:
                    started.append(done)

        thread = threading.Thread(target=try_to_start)
        thread.start()
        old = hand_over(self.server)
        over.set()
        thread.join(PATIENCE)
        self.assertEqual(started, [])
        client.close()
        old.wait(PATIENCE)

    def test_one_after_the_other(self):
        """The second is asked for while the first one's old process is still there."""
        link, url, client, begun = self.begin_download()
        old = hand_over(self.server)
        self.assertIsNone(ask_to_hand_over(self.server))
        self.assertIn("still finishes its transfers", self.server.stderr())
        self.assertEqual(begun + client.read(SIZE - MIB), self.content)
        client.close()
        self.assertEqual(old.wait(PATIENCE), 0)
        eventually(lambda: "has finished its transfers" in self.server.stderr())
        self.assertEqual(hand_over(self.server).wait(PATIENCE), 0)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)

    def test_other_settings_are_taken_up_and_other_workers_share_the_sockets(self):
        for threads in (1, 3, 2):
            self.server.configure({"server": {"threads": threads},
                                   "content": {"disposition": "inline"}})
            hand_over_and_end(self.server)
            for _ in range(20):
                answer = self.server.get(self.server.sign("/a"))
                self.assertTrue(answer.field("Content-Disposition").startswith("inline"))


class NotHandedOver(CountingTestCase):
    """The old process serves on, with its transfers, its connections and its admin socket."""

    def expect_serving_on(self, said):
        begin = len(self.server.stderr())
        self.assertIsNone(ask_to_hand_over(self.server))
        self.assertIn(said, self.server.stderr()[begin:])
        self.assertEqual(self.client.ask(self.url).body, b"a")
        self.server.expect_link(self.id, used=self.used + 1)
        self.used += 1

    def setUp(self):
        super().setUp()
        self.server.write("/a", b"a")
        self.id, self.url = self.link("/a", 10)
        self.used = 0
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    def test_with_a_mistake_in_the_settings(self):
        self.server.configure({"content": {"disposition": "upside-down"}})
        self.expect_serving_on("ended with status 78")
        self.server.configure({"content": {"disposition": "inline"}})
        self.expect_serves_after_hand_over()

    def expect_serves_after_hand_over(self):
        self.client.close()
        self.assertEqual(hand_over(self.server).wait(PATIENCE), 0)
        self.server.expect_link(self.id, used=self.used)

    def test_with_a_folder_that_is_gone(self):
        self.server.configure({"content": {"root": str(self.server.folder / "gone")}})
        self.expect_serving_on("the new process ended with status")

    def test_with_another_address_to_listen_on(self):
        self.server.configure({"server": {"listen": ["127.0.0.2:0"]}})
        self.expect_serving_on("that needs a restart")
        self.expect_serving_on("that needs a restart")  # and nothing of the first try is left


class Service(CountingTestCase):
    def test_systemd_is_told_which_process_is_the_service(self):
        notify = NotifySocket()
        self.addCleanup(notify.close)
        server = ServiceServer(notify=notify, watchdog=60_000_000)
        self.addCleanup(self._end, server)
        server.start()
        self.assertEqual(notify.next()["READY"], "1")
        old = hand_over(server)
        said = [notify.next_without_watchdog(), notify.next_without_watchdog()]
        # It may have a long ledger to read; once it serves, it is watched as before.
        self.assertEqual(said[0], {"MAINPID": str(server.process.pid), "WATCHDOG_USEC": "900000000"})
        self.assertEqual([said[1]["READY"], said[1]["WATCHDOG_USEC"]], ["1", "60000000"])
        self.assertEqual(old.wait(PATIENCE), 0)
        self.assertEqual([each for each in notify.all() if "STOPPING" in each], [])
        server.stop()
        self.assertEqual([each["STOPPING"] for each in notify.all() if "STOPPING" in each], ["1"])

    def test_sockets_of_systemd_are_handed_on(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = ServiceServer(sockets=[("http", listening)])
            self.addCleanup(self._end, server)
            server.write("/a", b"a")
            server.start()
            for _ in range(2):
                hand_over_and_end(server)
                self.assertEqual(server.get(server.sign("/a")).body, b"a")


class Tls(unittest.TestCase):
    def test_a_transfer_goes_on_and_new_connections_are_served(self):
        with TlsServer({"server": {"drain_timeout": "5m"}}) as server:
            content = server.write("/file", some_bytes(SIZE))
            link = new_link_id()
            url = server.sign("/file", id=link, limit=2)
            with server.client(receive_buffer=SMALL_BUFFER) as client:
                client.request(url)
                self.assertEqual(client.read_head().status, 200)
                begun = client.read(MIB)
                old = hand_over(server)
                self.assertEqual(server.get(url).body, content)
                self.assertEqual(begun + client.read(SIZE - MIB), content)
            self.assertEqual(old.wait(PATIENCE), 0)
            server.expect_link(link, used=2, copies=2, traffic_bytes=2 * SIZE)


class WithShop(ShopTest):
    def test_a_download_across_the_hand_over_is_one_row_of_history(self):
        server = self.start_edge()
        server.configure({"server": {"drain_timeout": "5m"}})
        link = new_link_id()
        url = server.sign("/large", id=link, limit=2)
        with self.slow_download(server, url) as client:
            old = hand_over(server)
            client.discard(16 * MIB)
        self.assertEqual(old.wait(PATIENCE), 0)
        server.database.expect_link(link, used=1)
        server.database.expect_in_history(link, 1)
        self.assertEqual(len(server.database.history(link)), 1)
        self.assertEqual(self.get(server, url), 200)
        server.database.expect_link(link, used=2)


if __name__ == "__main__":
    unittest.main()
