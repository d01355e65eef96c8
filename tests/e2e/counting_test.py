"""The counting rule, one client after the other: what is a copy, what is free, what is refused."""

import unittest

from counting import IN_BUFFERS, CountingTestCase, allowance
from support import KIB, MIB, new_link_id

S = 128 * MIB  # here A is size / 16, as for every larger file


class CopiesTest(CountingTestCase):
    def setUp(self):
        super().setUp()
        self.sparse("/file", S)

    def expect(self, link, used, traffic, slack=0, **more):
        """`slack`: what broken transfers may have had on their way."""
        shown = self.server.expect_link(link, used=used, **more)
        self.assertGreaterEqual(shown["traffic_bytes"], traffic)
        self.assertLessEqual(shown["traffic_bytes"], traffic + slack)

    def test_a_full_download_is_one_copy(self):
        link, url = self.link("/file", 1)
        self.assertEqual(self.fetch(url), "ok")
        self.expect(link, 1, S, copies=1, blocked="copies", limit=1)

    def test_a_second_download_on_a_limit_of_one_is_refused(self):  # L12
        link, url = self.link("/file", 1)
        self.assertEqual([self.fetch(url), self.fetch(url)], ["ok", "downloads-exhausted"])
        self.expect(link, 1, S)

    def test_sixteen_segments_one_after_the_other_are_one_copy(self):
        link, url = self.link("/file", 1)
        for i in range(16):
            self.assertEqual(self.fetch(url, S * i // 16, S * (i + 1) // 16), "ok")
        self.expect(link, 1, S, copies=1)
        self.assertEqual(self.fetch(url), "downloads-exhausted")

    def test_the_slices_of_a_cdn_are_one_copy(self):
        link, url = self.link("/file", 1)
        with self.server.client() as client:
            for first in range(0, S, MIB):
                client.request(url, {"Range": f"bytes={first}-{first + MIB - 1}"})
                head = client.read_head()
                self.assertEqual(head.status, 206)
                client.discard(head.length)
        self.expect(link, 1, S, copies=1)

    def test_a_broken_download_is_resumed_within_its_copy(self):  # H5
        link, url = self.link("/file", 1)
        self.assertEqual(self.break_off(url, S * 9 // 10), "ok")
        self.expect(link, 0, S * 9 // 10, IN_BUFFERS)
        self.assertEqual(self.fetch(url, S * 9 // 10), "ok")
        self.expect(link, 1, S, IN_BUFFERS, copies=1)

    def test_a_broken_download_may_start_again(self):
        link, url = self.link("/file", 1)
        self.assertEqual(self.break_off(url, S * 9 // 10), "ok")
        self.assertEqual(self.fetch(url), "ok")
        self.expect(link, 1, S * 19 // 10, IN_BUFFERS, copies=1)

    def test_a_download_that_breaks_twice_may_start_again(self):
        link, url = self.link("/file", 1)
        for _ in range(2):
            self.assertEqual(self.break_off(url, S * 6 // 10), "ok")
        self.assertEqual(self.fetch(url), "ok")
        self.expect(link, 1, S * 11 // 5, 2 * IN_BUFFERS, copies=1)

    def test_a_scanner_that_reads_the_first_64_kib_costs_no_copy(self):
        link, url = self.link("/file", 1)
        for _ in range(5):
            self.assertEqual(self.break_off(url, 64 * KIB), "ok")
        self.expect(link, 0, 5 * 64 * KIB, 5 * IN_BUFFERS, copies=0)
        self.assertEqual(self.fetch(url), "ok")
        self.expect(link, 1, S, 5 * IN_BUFFERS + 5 * 64 * KIB, copies=1)

    def test_who_never_takes_the_last_byte_pays_with_traffic(self):
        link, url = self.link("/file", 1)
        answers = [self.fetch(url, 0, S - 1) for _ in range(10)]
        self.assertEqual(answers, ["ok"] * 3 + ["traffic-exhausted"] * 7)  # 1 copy and W
        self.expect(link, 1, 3 * (S - 1), copies=0, blocked="traffic")

    def test_who_never_takes_the_first_byte_pays_with_traffic(self):
        link, url = self.link("/file", 3)
        answers = [self.fetch(url, 1) for _ in range(10)]
        self.assertEqual(answers, ["ok"] * 5 + ["traffic-exhausted"] * 5)
        self.expect(link, 3, 5 * (S - 1), copies=0, blocked="traffic")

    def test_the_end_of_the_last_copy_may_be_read_once_more(self):
        link, url = self.link("/file", 1)
        self.assertEqual(self.fetch(url), "ok")
        last = S * 6 // 128
        self.assertEqual(self.fetch(url, S - last), "ok")
        self.expect(link, 1, S + last, copies=1, blocked="copies")

    def test_exactly_the_allowance_may_be_read_once_more(self):  # H6
        link, url = self.link("/file", 1)
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=1)
        self.assertEqual(self.fetch(url, 0, allowance(S) + 1), "downloads-exhausted")
        self.assertEqual(self.fetch(url, 0, allowance(S)), "ok")
        self.expect(link, 1, S + allowance(S), copies=1)
        self.assertEqual(self.fetch(url, 0, 1), "downloads-exhausted")

    def test_a_download_that_is_abandoned_begins_again_on_three_connections(self):
        link, url = self.link("/file", 1)
        part = S * 6 // 10
        self.assertEqual(self.fetch(url, 0, part), "ok")
        borders = [S * i // 3 for i in range(4)]
        clients = [self.begin(url, a, b) for a, b in zip(borders, borders[1:])]
        heads = [client.read_head() for client in clients]
        self.assertEqual([head.status for head in heads], [206] * 3)
        for client, head in reversed(list(zip(clients, heads))):  # the last part first
            client.discard(head.length)
        self.expect(link, 1, S + part, copies=1)

    def test_answers_without_a_body_are_free(self):  # H7
        link, url = self.link("/file", 1)
        with self.server.client() as client:
            etag = client.ask(url, method="HEAD").field("ETag")
            for _ in range(50):
                self.assertEqual(client.ask(url, method="HEAD").status, 200)
                self.assertEqual(client.ask(url, {"If-None-Match": etag}).status, 304)
                self.assertEqual(client.ask(url, {"If-Match": '"other"'}).status, 412)
                self.assertEqual(client.ask(url, {"Range": f"bytes={S}-"}).status, 416)
                self.assertEqual(client.ask(url, method="OPTIONS").status, 204)
        self.assertEqual(self.fetch(url), "ok")
        self.expect(link, 1, S, copies=1)
        self.assertEqual(self.fetch(url), "downloads-exhausted")
        self.expect(link, 1, S, copies=1)

    def test_head_says_that_no_copy_is_left(self):
        link, url = self.link("/file", 1)
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=1)
        self.assertEqual(self.server.get(url, method="HEAD").status, 403)

    def test_several_urls_of_a_link_share_its_copies(self):
        link = new_link_id()
        urls = [self.server.sign("/file", id=link, limit=2, data=f"mail-{i}") for i in range(3)]
        self.assertEqual([self.fetch(url) for url in urls], ["ok", "ok", "downloads-exhausted"])
        self.expect(link, 2, 2 * S, limit=2)

    def test_the_largest_signed_limit_holds(self):
        link = new_link_id()
        urls = [self.server.sign("/file", id=link, limit=limit) for limit in (1, 3, 2)]
        self.assertEqual([self.fetch(urls[i]) for i in (0, 0, 1, 2, 0)],
                         ["ok", "downloads-exhausted", "ok", "ok", "downloads-exhausted"])
        self.expect(link, 3, 3 * S, limit=3)

    def test_an_unlimited_link_is_counted_and_never_refused(self):
        link, url = self.link("/file", None)
        for _ in range(5):
            self.assertEqual(self.fetch(url), "ok")
        self.assertEqual(self.break_off(url, S // 2), "ok")
        self.expect(link, 5, 5 * S + S // 2, IN_BUFFERS, copies=5, limit=None, blocked=None)


class BreaksTest(CountingTestCase):
    def test_each_of_twenty_copies_breaks_at_60_percent_once(self):
        size = 60 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 20)  # W is 10 sizes
        answers = [self.fetch(url, 0, size * 6 // 10) if k % 2 else self.fetch(url)
                   for k in range(40)]
        # 19 whole and 18 broken ones are 29.8 sizes; one more would be beyond 30 and A.
        self.assertEqual(answers[:37], ["ok"] * 37)
        self.assertEqual(answers[37:], ["traffic-exhausted"] * 3)
        self.server.expect_link(link, used=19, copies=19, traffic_bytes=size * 298 // 10)


class SmallFilesTest(CountingTestCase):
    def test_an_empty_file_is_a_copy_each_time(self):  # F13
        self.server.write("/empty", b"")
        link, url = self.link("/empty", 2)
        answers = []
        for _ in range(5):
            answers.append(self.fetch(url))
            self.server.expect_link(link)
        self.assertEqual(answers, ["ok"] * 2 + ["downloads-exhausted"] * 3)
        self.server.expect_link(link, used=2, copies=2, traffic_bytes=0)

    def test_one_byte_is_a_file(self):  # F13
        self.server.write("/one", b"x")
        link, url = self.link("/one", 2)
        self.assertEqual([self.fetch(url) for _ in range(3)],
                         ["ok", "ok", "downloads-exhausted"])
        self.server.expect_link(link, used=2, copies=2, traffic_bytes=2)

    def test_who_resets_before_acknowledging_gets_no_copy_and_bounded_traffic(self):  # H11
        size = 3 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 1)
        received = 0
        for _ in range(100):  # how much each takes with it depends on the machine
            client = self.begin(url)
            status = client.read_head().status
            if status == 200:
                received += len(client.received)
            client.reset()
            # 403: for good, or until those before it are settled.
            self.assertIn(status, (200, 403))
        shown = self.server.expect_link(link, copies=0, in_flight=0)
        # Nothing that arrived was free, and nothing beyond the bound ever left:
        # (limit + W) x size + A.
        self.assertGreaterEqual(shown["traffic_bytes"], received)
        self.assertLessEqual(shown["traffic_bytes"], 3 * size + allowance(size))
        if shown["blocked"] == "traffic":
            self.assertEqual(self.fetch(url), "traffic-exhausted")

    def test_what_was_not_acknowledged_is_traffic_and_no_copy(self):
        size = 1 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 3)
        client = self.begin(url)
        client.read_head()
        # All of it is in the server's send buffer by and by, but nobody takes it.
        self.server.expect_link(link, in_flight=1)
        client.reset()
        shown = self.server.expect_link(link, used=0, copies=0)
        self.assertLessEqual(shown["traffic_bytes"], size)


class VersionsTest(CountingTestCase):
    def test_a_file_that_is_replaced_refunds_nothing(self):
        self.sparse("/file", S)
        link, url = self.link("/file", 1)
        self.assertEqual(self.fetch(url), "ok")
        self.sparse("/file", S + 5)
        self.expect_new_version("/file")
        self.assertEqual(self.fetch(url), "downloads-exhausted")
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=S)

    def test_ten_versions_do_not_multiply_the_traffic(self):
        size = 32 * MIB
        link, url = self.link("/file", 1)
        answers = []
        for version in range(10):
            self.sparse("/file", size + version)
            self.expect_new_version("/file")
            answers += [self.fetch(url, 0, size + version - 1) for _ in range(3)]
        self.assertEqual(answers, ["ok"] * 3 + ["traffic-exhausted"] * 27)
        self.server.expect_link(link, used=1, copies=0, traffic_bytes=3 * (size - 1))

    def test_bytes_of_two_versions_make_no_copy(self):  # F10
        size = 32 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 2)
        self.assertEqual(self.fetch(url, 0, size // 2), "ok")
        self.sparse("/file", size + 2)
        self.expect_new_version("/file")
        self.assertEqual(self.fetch(url, size // 2), "ok")
        self.server.expect_link(link, used=0, copies=0)
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=1, copies=1)


if __name__ == "__main__":
    unittest.main()
