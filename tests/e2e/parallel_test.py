"""The counting rule with many clients at once."""

import collections
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from counting import IN_BUFFERS, CountingTestCase, read_until_cut
from support import KIB, MIB, eventually, some_bytes


class ParallelTest(CountingTestCase):
    settings = {"server": {"threads": 2}}

    def test_sixteen_parallel_segments_are_one_copy(self):  # H4
        size = 16 * MIB + 7
        content = self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", 1)
        borders = [size * i // 16 for i in range(17)]
        clients = [self.begin(url, a, b) for a, b in zip(borders, borders[1:])]
        with ThreadPoolExecutor(16) as threads:
            responses = list(threads.map(lambda client: client.read_response(), clients))
        self.assertEqual({response.status for response in responses}, {206})
        self.assertEqual(b"".join(response.body for response in responses), content)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=size)
        self.assertEqual(self.fetch(url), "downloads-exhausted")

    def test_sixteen_open_ended_segments_are_admitted_together(self):
        size = 512 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 1)
        clients = [self.begin(url, size * i // 16) for i in range(16)]
        self.assertEqual([client.read_head().status for client in clients], [206] * 16)
        for client in clients:
            client.reset()
        shown = self.server.expect_link(link, used=0, copies=0)
        self.assertLessEqual(shown["traffic_bytes"], 16 * IN_BUFFERS)

    def test_four_hundred_clients_on_a_limit_of_seven_get_seven_copies(self):  # J11
        size = 2 * MIB
        content = self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", 7)
        together = threading.Barrier(400)

        def download(_):
            with self.server.client() as client:
                together.wait()
                client.request(url)
                head = client.read_head()
                head.body = client.read(head.length)
                if head.status == 200:
                    self.assertEqual(head.body, content)
                    return "complete"
                return head.problem

        with ThreadPoolExecutor(400) as threads:
            answers = collections.Counter(threads.map(download, range(400)))
        self.assertEqual(answers.pop("complete"), 7)
        self.assertLessEqual(set(answers), {"downloads-in-progress", "downloads-exhausted"})
        self.assertEqual(sum(answers.values()), 393)
        self.server.expect_link(link, used=7, copies=7, traffic_bytes=7 * size)

    def test_a_hundred_downloads_that_advance_side_by_side_are_seven_on_a_limit_of_seven(self):
        size, step = 64 * MIB, 128 * KIB
        self.sparse("/file", size)
        link, url = self.link("/file", 7)
        clients = [self.begin(url) for _ in range(100)]
        left = {}  # bytes that the admitted ones have yet to take
        refused = 0
        for client in clients:
            head = client.read_head()
            if head.status == 200:
                left[client] = size
                continue
            head.body = client.read(head.length)
            self.assertEqual(head.problem, "downloads-in-progress")
            refused += 1
            self.advance(left, step)  # so that none of them seems stalled
        self.assertEqual((len(left), refused), (7, 93))
        while any(left.values()):
            self.advance(left, 16 * step)
        self.server.expect_link(link, used=7, copies=7, traffic_bytes=7 * size)

    def advance(self, left, step):
        for client in left:
            taken = min(step, left[client])
            client.discard(taken)
            left[client] -= taken

    def test_a_copy_whose_client_takes_nothing_for_ten_seconds_goes_to_who_waits(self):
        size = 64 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 1)
        stalled = self.begin(url)
        self.assertEqual(stalled.read_head().status, 200)
        answers = []
        eventually(lambda: answers.append(self.fetch(url)) or answers[-1], "ok")
        self.assertLessEqual(set(answers), {"downloads-in-progress", "ok"})
        self.assertIn("downloads-in-progress", answers)
        self.assertLess(len(read_until_cut(stalled, size)), size)
        self.server.expect_link(link, used=1, copies=1)

    def test_a_transfer_that_was_admitted_before_the_last_copy_goes_on(self):
        size = 64 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 1)
        first = self.begin(url, 0, size // 2)
        self.assertEqual(first.read_head().status, 206)
        late = self.begin(url, 0, size // 2)  # both together complete nothing
        self.assertEqual(late.read_head().status, 206)
        late.discard(MIB)
        first.discard(size // 2)
        self.assertEqual(self.fetch(url, size // 2), "ok")
        self.server.expect_link(link, used=1, copies=1, in_flight=1)
        late.discard(size // 2 - MIB)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=size * 3 // 2)

    def test_no_more_than_256_transfers_of_a_link_run_at_a_time(self):  # O5
        size = 16 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 1000)
        clients = [self.begin(url) for _ in range(256)]
        self.assertEqual({client.read_head().status for client in clients}, {200})
        self.assertEqual(self.fetch(url), "downloads-in-progress")
        clients.pop().reset()
        self.assertEqual(self.fetch(url), "ok")
        for client in clients:
            client.reset()
        self.server.expect_link(link, copies=1, used=1)

    def test_unlimited_links_are_counted_under_load(self):
        size = MIB + 3
        content = self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", None)

        def download(_):
            with self.server.client() as client:
                return sum(client.ask(url).body == content for _ in range(10))

        with ThreadPoolExecutor(16) as threads:
            self.assertEqual(sum(threads.map(download, range(16))), 160)
        self.server.expect_link(link, used=160, copies=160, traffic_bytes=160 * size)

    def test_many_links_at_once_keep_their_counts_apart(self):
        size = 100 * KIB
        self.server.write("/file", some_bytes(size))
        links = [self.link("/file", 1 + i % 3) for i in range(60)]

        def download(round_):
            link, url = links[round_ % 60]
            return link, self.fetch(url)

        with ThreadPoolExecutor(16) as threads:
            answers = collections.Counter(threads.map(download, range(60 * 5)))
        for i, (link, _) in enumerate(links):
            self.assertEqual(answers[link, "ok"], 1 + i % 3)
            self.server.expect_link(link, used=1 + i % 3, copies=1 + i % 3,
                                    traffic_bytes=(1 + i % 3) * size)


if __name__ == "__main__":
    unittest.main()
