"""kill -9 at chosen moments: no copy is forgotten, and every customer can finish."""

import unittest

from counting import IN_BUFFERS, CountingTestCase, read_until_cut
from support import KIB, MIB, eventually, some_bytes


class CrashTest(CountingTestCase):
    def test_a_download_that_a_crash_cuts_is_resumed_within_its_copy(self):  # J13, H5
        size = 128 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 1)
        client = self.begin(url)
        client.read_head()
        client.discard(size * 45 // 100)
        self.server.kill()
        received = size * 45 // 100 + len(read_until_cut(client, size))
        self.assertLess(received, size)
        self.server.start()
        self.server.expect_link(link, used=0)
        self.assertEqual(self.fetch(url, received), "ok")
        shown = self.server.expect_link(link, used=1, copies=1)
        # What was in doubt may have been fetched twice: two leases and what was on its way.
        self.assertGreaterEqual(shown["traffic_bytes"], size)
        self.assertLessEqual(shown["traffic_bytes"], size + 2 * size // 64 + IN_BUFFERS)
        self.assertEqual(self.fetch(url), "downloads-exhausted")

    def test_a_crash_in_every_transfer_of_a_small_file_gives_no_second_copy(self):  # J13
        size = 256 * KIB
        self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", 1)
        answers = []
        for _ in range(12):
            client = self.begin(url)
            head = client.read_head()  # it has left, so the lease is on disk
            answers.append(head.status)
            self.server.kill()
            client.close()
            self.server.start()
        # In doubt, so counted; and as much may be fetched once more.
        self.assertEqual(answers, [200] * 2 + [403] * 10)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=2 * size)

    def test_three_small_downloads_that_a_crash_cuts_begin_again(self):
        size = 500 * KIB
        content = self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", 3)
        clients = [self.begin(url) for _ in range(3)]
        self.assertEqual([client.read_head().status for client in clients], [200] * 3)
        self.server.kill()
        self.server.start()
        self.server.expect_link(link, used=3, copies=3)
        for _ in clients:
            self.assertEqual(self.server.get(url).body, content)
        self.server.expect_link(link, used=3, copies=3, traffic_bytes=6 * size)
        self.assertEqual(self.fetch(url), "downloads-exhausted")

    def test_what_was_settled_before_a_crash_is_exact_after_it(self):
        size = 16 * MIB
        self.sparse("/file", size)
        link, url = self.link("/file", 3)
        self.assertEqual(self.fetch(url), "ok")
        self.assertEqual(self.fetch(url, 0, size // 2), "ok")
        before = self.server.expect_link(link, used=1, traffic_bytes=size * 3 // 2)
        # Shown is not yet written: settlements are, 100 ms later at the latest. Then another link's
        # lease is on disk behind them.
        _, other = self.link("/file", 1)
        eventually(lambda: self.fetch(other), "downloads-exhausted")
        self.server.kill()
        self.server.start()
        shown = self.server.links_show(link)
        self.assertEqual(shown["copies"], before["copies"])
        self.assertEqual(self.fetch(url, size // 2), "ok")
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=3, copies=3)
        self.assertEqual(self.fetch(url), "downloads-exhausted")

    def test_an_empty_file_is_counted_through_a_crash(self):
        self.server.write("/empty", b"")
        link, url = self.link("/empty", 2)
        self.assertEqual(self.fetch(url), "ok")
        self.server.kill()
        self.server.start()
        self.server.expect_link(link, used=1)
        self.assertEqual([self.fetch(url), self.fetch(url)], ["ok", "downloads-exhausted"])

    def test_crash_after_crash_without_a_download_changes_nothing(self):
        self.sparse("/file", 16 * MIB)
        link, url = self.link("/file", 2)
        self.assertEqual(self.fetch(url), "ok")
        before = self.server.expect_link(link, used=1)
        self.server.stop()
        for _ in range(8):
            self.server.start()
            self.server.kill()
        self.server.start()
        self.assertEqual(self.server.links_show(link), before)

    def test_what_a_crash_left_in_doubt_of_the_last_copy_can_still_be_fetched(self):  # J13, H6
        size = 32 * MIB
        content = self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", 1)
        client = self.begin(url)
        client.read_head()
        have = bytearray(client.read(size - 2 * MIB))
        self.server.kill()
        client.reset()  # what was on its way is lost: the customer has all but 2 MiB
        self.server.start()
        response = self.server.get(url, {"Range": f"bytes={len(have)}-"})
        self.assertEqual(response.status, 206)
        self.assertEqual(have + response.body, content)
        self.server.expect_link(link, used=1, copies=1)
        self.assertEqual(self.fetch(url), "downloads-exhausted")


if __name__ == "__main__":
    unittest.main()
