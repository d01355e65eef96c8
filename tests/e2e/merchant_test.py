"""What a merchant changes while a link is in use: limits, expiry, reset, revocation."""

import unittest

from counting import CountingTestCase
from support import MIB, Closed, eventually

S = 128 * MIB


class MerchantTest(CountingTestCase):
    def setUp(self):
        super().setUp()
        self.sparse("/file", S)

    def test_a_limit_is_lowered_and_raised(self):
        link, url = self.link("/file", 3)
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=1, limit=3, blocked=None)
        self.server.links("set", link, "--max", 1)
        self.assertEqual(self.fetch(url), "downloads-exhausted")
        self.server.expect_link(link, used=1, limit=1, blocked="copies")
        self.server.links("set", link, "--max", 2)
        self.assertEqual(self.fetch(url), "ok")
        self.assertEqual(self.fetch(url), "downloads-exhausted")
        self.server.expect_link(link, used=2, copies=2, limit=2, traffic_bytes=2 * S)

    def test_a_limit_below_what_was_used_shows_no_more_than_the_limit(self):  # J12
        link, url = self.link("/file", 3)
        for _ in range(3):
            self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=3)
        self.server.links("set", link, "--max", 1)
        self.server.expect_link(link, used=1, copies=3, limit=1, blocked="copies")
        self.server.links("set", link, "--max", "-")
        self.server.expect_link(link, used=3, copies=3, limit=3)

    def test_a_limit_of_none_and_no_limit_at_all(self):  # J12
        link, url = self.link("/file", 1)
        self.assertEqual(self.fetch(url), "ok")
        self.server.links("set", link, "--max", 0)
        self.assertEqual(self.fetch(url, 0, 1), "downloads-exhausted")
        self.server.links("set", link, "--max", "unlimited")
        self.assertEqual([self.fetch(url) for _ in range(3)], ["ok"] * 3)
        self.server.expect_link(link, used=4, copies=4, limit=None)

    def test_a_raised_limit_cures_used_up_traffic(self):
        link, url = self.link("/file", 1)
        for _ in range(3):
            self.fetch(url, 0, S - 1)
        self.assertEqual(self.fetch(url), "traffic-exhausted")
        self.server.links("set", link, "--max", 2)
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, copies=1, blocked="traffic", used=2)

    def test_a_reset_begins_at_zero(self):
        link, url = self.link("/file", 1)
        self.assertEqual([self.fetch(url), self.fetch(url)], ["ok", "downloads-exhausted"])
        self.server.links("reset", link)
        self.server.expect_link(link, used=0, copies=0, traffic_bytes=0, blocked=None)
        self.assertEqual([self.fetch(url), self.fetch(url)], ["ok", "downloads-exhausted"])
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=S)

    def test_a_transfer_that_a_reset_finds_on_its_way_goes_on_and_is_not_counted(self):
        link, url = self.link("/file", 1)
        client = self.begin(url)
        head = client.read_head()
        client.discard(S // 2)
        self.server.links("reset", link)
        client.discard(head.length - S // 2)
        self.server.expect_link(link, used=0, copies=0)
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=1, copies=1)

    def test_a_revoked_link_ends_its_transfers(self):
        link, url = self.link("/file", 1)
        client = self.begin(url)
        head = client.read_head()
        self.server.links("revoke", link)
        with self.assertRaises((Closed, ConnectionResetError)):
            client.discard(head.length)
        self.assertEqual(self.fetch(url), "link-revoked")
        self.server.expect_link(link, state="revoked", used=0)

    def test_the_expiry_of_a_link_is_moved(self):
        link, url = self.link("/file", 2)
        self.assertEqual(self.fetch(url), "ok")
        self.server.links("set", link, "--expires", "1000000000")
        eventually(lambda: self.server.get(url, method="HEAD").status, 410)
        self.server.links("set", link, "--expires", "72h")
        self.assertEqual(self.fetch(url), "ok")
        self.server.expect_link(link, used=2)

    def test_counts_and_changes_survive_a_restart(self):
        link, url = self.link("/file", 2)
        self.assertEqual(self.fetch(url), "ok")
        before = self.server.expect_link(link, used=1)
        for end in (self.server.stop, self.server.kill):
            end()
            self.server.start()
            self.assertEqual(self.server.links_show(link), before)
        self.server.links("set", link, "--max", 1)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.fetch(url), "downloads-exhausted")
        self.server.links("revoke", link)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.fetch(url), "link-revoked")


if __name__ == "__main__":
    unittest.main()
