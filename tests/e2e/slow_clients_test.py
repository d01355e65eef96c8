"""Clients that are slow, stall, half-close or reset: how each ends, and what is left of them."""

import os
import threading
import time
import unittest

from command_case import health
from counting import CountingTestCase, byte_range, read_until_cut
from path_case import descriptors, drop_from_memory
from support import KIB, MIB, eventually, seeded, some_bytes
from tls_case import TlsServer

SIZE = 24 * MIB


class SlowTestCase(CountingTestCase):
    def setUp(self):
        super().setUp()
        self.content = self.server.write("/file", some_bytes(SIZE))

    def expect_resumed(self, link, url, received):
        self.assertLess(len(received), SIZE)
        self.assertEqual(received, self.content[:len(received)])
        rest = self.server.get(url, byte_range(len(received), None)).body
        self.assertEqual(received + rest, self.content)
        self.server.expect_link(link, used=1, copies=1)


class StallTest(SlowTestCase):
    settings = {"server": {"threads": 1, "send_timeout": "1s"}}

    def test_a_client_that_stalls_is_ended_and_told_from_one_that_resumes(self):
        link, url = self.link("/file", 1)
        client = self.begin(url)
        client.read_head()
        received = client.read(MIB)
        self.server.expect_link(link, in_flight=0, copies=0)
        eventually(lambda: len(self.server.log_lines()), 1)
        line, = self.server.log_lines()
        self.assertEqual((line["status"], line["body_length"]), (200, SIZE))
        self.assertLess(line["body_bytes"], SIZE)
        received += read_until_cut(client, SIZE - MIB)
        self.assertLessEqual(len(received), line["body_bytes"])
        self.expect_resumed(link, url, received)

    def test_a_client_that_half_closes_gets_everything(self):
        for request in (b"", b"Connection: keep-alive\r\n"):
            link, url = self.link("/file", 1)
            client = self.server.client(receive_buffer=64 * KIB)
            self.addCleanup(client.close)
            client.send(f"GET {url} HTTP/1.1\r\nHost: a\r\n".encode() + request + b"\r\n")
            client.half_close()
            self.assertEqual(client.read_response().body, self.content)
            self.assertTrue(client.is_closed_by_server())
            self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)

    def test_a_client_that_half_closes_and_stalls_is_ended_too(self):
        link, url = self.link("/file", 1)
        client = self.begin(url)
        client.half_close()
        client.read_head()
        received = client.read(MIB)
        self.server.expect_link(link, in_flight=0, copies=0)
        received += read_until_cut(client, SIZE - MIB)
        self.expect_resumed(link, url, received)


class StallTlsTest(StallTest):
    server_class = TlsServer


class MinimumRateTest(SlowTestCase):
    """One takes 64 KiB a tenth of a second, and is left alone; one takes next to nothing."""

    settings = {"server": {"threads": 1, "send_timeout": "2s", "min_rate": 20_000}}

    def test_who_takes_less_is_ended_while_who_takes_more_is_not(self):  # O4
        (slow_link, slow_url), (fair_link, fair_url) = self.link("/file", 1), self.link("/file", 1)
        slow, fair = self.begin(slow_url), self.begin(fair_url)
        ended = threading.Event()
        fair_bytes, failed = [], []

        def take_fairly():
            try:
                fair.read_head()
                while not ended.wait(0.1):
                    fair_bytes.append(fair.read(64 * KIB))
            except Exception as failure:  # for the main thread to see
                failed.append(failure)

        thread = threading.Thread(target=take_fairly)
        thread.start()
        try:
            slow.read_head()
            received = b""
            while self.server.links_show(slow_link)["in_flight"]:
                received += read_until_cut(slow, 1)  # a byte now and then
                self.assertLess(len(received), 10_000)
        finally:
            ended.set()
            thread.join()
        self.assertEqual(failed, [])
        self.assertEqual(self.server.links_show(fair_link)["in_flight"], 1)
        begun = b"".join(fair_bytes)
        self.assertEqual(begun + fair.read(SIZE - len(begun)), self.content)
        self.server.expect_link(fair_link, used=1, copies=1, traffic_bytes=SIZE)
        received += read_until_cut(slow, SIZE - len(received))
        self.expect_resumed(slow_link, slow_url, received)


class MinimumRateTlsTest(MinimumRateTest):
    server_class = TlsServer


class NoMinimumTest(SlowTestCase):
    """0: who acknowledges anything at all is left alone, by many times send_timeout."""

    settings = {"server": {"threads": 1, "send_timeout": "2s", "min_rate": 0}}

    def test_who_takes_a_little_now_and_then_is_left_alone(self):
        link, url = self.link("/file", 1)
        client = self.begin(url)
        client.read_head()
        received = b""
        for _ in range(80):
            received += client.read(16 * KIB)  # what its kernel acknowledges
            time.sleep(0.1)
        self.assertEqual(self.server.links_show(link)["in_flight"], 1)
        self.assertEqual(received + client.read(SIZE - len(received)), self.content)
        self.server.expect_link(link, used=1, copies=1)


class PaceTest(SlowTestCase):
    """The kernel keeps a link's rate: it can be late, never early."""

    RATE = 4000  # kilobytes per second

    def test_a_link_with_a_rate_is_paced_and_right(self):
        size = 8 * MIB
        content = self.server.write("/paced", some_bytes(size))
        for prepare in ("hot", "cold"):
            with self.subTest(prepare):
                if prepare == "cold":
                    drop_from_memory(self.server.root / "paced")
                link, url = self.link("/paced", 1, rate=self.RATE)
                begin = time.monotonic()
                with self.server.client() as client:
                    self.assertEqual(client.ask(url).body, content)
                took = time.monotonic() - begin
                self.server.expect_link(link, used=1, copies=1)
                # The beginning may come at once (Linux lets the first packets go unpaced).
                self.assertGreater(took, 0.5 * size / (self.RATE * 1000))

    def test_the_next_request_on_the_connection_has_its_own_rate(self):
        free = self.server.sign("/file")
        paced = self.server.sign("/file", rate=self.RATE)
        with self.server.client() as client:
            for url in (paced, free, paced, free):
                response = client.ask(url, byte_range(MIB, 2 * MIB))
                self.assertEqual(response.body, self.content[MIB:2 * MIB])
            begin = time.monotonic()
            self.assertEqual(client.ask(paced).body, self.content)
            self.assertGreater(time.monotonic() - begin, 0.5 * SIZE / (self.RATE * 1000))

    def test_a_paced_client_does_not_fall_under_the_minimum_rate(self):
        self.server.stop()
        self.server.configure({"server": {"send_timeout": "1s", "min_rate": 1_000_000}})
        self.server.start()
        link, url = self.link("/file", 1, rate=500)  # half of the minimum
        client = self.begin(url, 0, 2 * MIB)
        self.assertEqual(client.read_response().body, self.content[:2 * MIB])
        self.server.expect_link(link, traffic_bytes=2 * MIB)


class PaceTlsTest(PaceTest):
    server_class = TlsServer


class BrokenTransfersTest(SlowTestCase):
    """After a great many that end badly nothing is left: no descriptor, no place, no lost count."""

    # For each of the four: plain and TLS, from memory and from the disk. 10,000 with ROUNDS=5.
    COUNT = 500 * int(os.environ.get("ROUNDS") or 1)
    settings = {"server": {"threads": 1, "send_timeout": "1s", "header_timeout": "5s"}}

    def setUp(self):
        super().setUp()
        self.listening = descriptors(self.server)["socket"]  # nobody has connected yet

    def bounded(self):
        """What of the descriptors has a fixed bound: pipes of the pool, and what is open anyway."""
        now = descriptors(self.server)
        now.pop("pipe", None)
        return now

    def break_off(self, chance):
        """One transfer that ends in one of the ways; a link that was used and must be settled."""
        link, url = self.link("/file", 100)
        client = self.server.client(receive_buffer=16 * KIB)
        way = chance.choice(("head", "no request", "at once", "reset", "close", "half-close"))
        if way == "no request":
            client.reset() if chance.random() < 0.5 else client.close()
            return
        if way == "head":
            client.send(b"GET /file HT")
            client.reset() if chance.random() < 0.5 else client.close()
            return
        ranges = chance.choice(({}, {"Range": f"bytes={chance.randrange(SIZE - MIB)}-"},
                                {"Range": "bytes=0-100,5000-900000,9000000-9900000"}))
        client.request(url, ranges)
        self.used.append(link)
        if way != "at once":
            client.read(chance.choice((1, 300, 40_000)))
        if way == "half-close":
            client.half_close()
        if way == "close":
            client.close()
        else:
            client.reset()

    def stall(self, count):
        """So many that stop reading, until the server ends them."""
        stalled = []
        for _ in range(count):
            link, url = self.link("/file", 1)
            stalled.append((link, self.begin(url)))
            self.used.append(link)
        for _, client in stalled:
            client.read_head()
        for link, client in stalled:
            self.server.expect_link(link, in_flight=0, copies=0)
            self.assertLess(len(read_until_cut(client, SIZE)), SIZE)
            client.close()

    def test_everything_comes_back(self):
        chance = seeded(self.id())
        self.used, whole = [], []
        file = self.server.root / "file"
        url = self.server.sign("/file")
        for prepare in (drop_from_memory, lambda file: None):  # warm: whatever is made once is made
            prepare(file)
            self.assertEqual(self.server.get(url).body, self.content)
        self.stall(5)
        eventually(self.idle, True)
        before = self.bounded()
        for is_cold in (True, False):
            for done in range(self.COUNT):
                if is_cold and done % 10 == 0:
                    drop_from_memory(file)
                self.break_off(chance)
                if done % 50 == 0:  # amid them, one that ends well
                    link, counted = self.link("/file", 1)
                    self.assertEqual(self.server.get(counted).body, self.content)
                    whole.append(link)
            self.stall(20)
        eventually(self.idle, True)
        eventually(self.bounded, before)
        self.assertLessEqual(descriptors(self.server)["pipe"], 2 * 32)
        for link in chance.sample(self.used, 100):
            shown = self.server.links_show(link)
            self.assertIn(shown and shown["in_flight"], (0, None))
        self.server.restart()
        exported = self.server.exported_links()
        self.assertEqual({link: 1 for link in whole},
                         {link: exported[link]["copies"] for link in whole})
        # Nothing is in doubt, and no copy was made of pieces that were not received.
        self.assertEqual([each for each in exported.values() if each["in_flight"]], [])
        self.assertEqual({exported[link]["copies"] for link in self.used if link in exported}, {0})

    def idle(self):
        return (health(self.server)["connections"] == 0
                and descriptors(self.server)["socket"] == self.listening)


class BrokenTransfersTlsTest(BrokenTransfersTest):
    server_class = TlsServer


if __name__ == "__main__":
    unittest.main()
