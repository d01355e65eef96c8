"""The shop's rows: what the server writes into them, and that the merchant's word holds."""

import time

import support
from shop_case import ACTIVE, HELD, REFUNDED, REVOKED, ShopTest
from support import KIB, MIB, Closed, eventually


class Rows(ShopTest):
    def setUp(self):
        self.server = self.start_edge()
        self.database = self.server.database

    def test_the_first_use_creates_the_row(self):
        self.assertIsNone(self.database.link("x"))
        self.assertEqual(self.get(self.server, self.server.sign("/a", id="x", limit=2)), 200)
        self.database.expect_link("x", used=1, file_id="/a", max_copies=None, expires_at=None,
                                  not_before=None, state=ACTIVE, reset_gen=0, blocked=None)

    def test_a_row_that_was_there_keeps_what_it_says(self):
        self.database.change("INSERT INTO tg_link(link_id, file_id, order_ref, max_copies) "
                             "VALUES ('x', 'sku-1', 'order 7', 2)")
        url = self.server.sign("/a", id="x", limit=1)
        self.expect_heard(self.server, url)
        self.assertEqual([self.get(self.server, url) for _ in range(3)],
                         [200, 200, "downloads-exhausted"])
        self.database.expect_link("x", used=2, file_id="sku-1", order_ref="order 7", max_copies=2,
                                  blocked="copies")

    def test_counts_of_limited_and_unlimited_links_arrive(self):
        limited = self.server.sign("/a", id="limited", limit=3)
        unlimited = self.server.sign("/a", id="unlimited")
        for url in [limited, unlimited] * 3:
            self.assertEqual(self.get(self.server, url), 200)
        for link_id in ["limited", "unlimited"]:
            self.database.expect_link(link_id, used=3)
            self.assertEqual(self.database.delivered(link_id), 3)
        self.database.expect_link("limited", blocked="copies")
        self.database.expect_link("unlimited", blocked=None)

    def test_a_link_without_an_id_is_counted_under_a_name_of_its_own(self):
        self.assertEqual(self.get(self.server, self.server.sign("/a")), 200)
        eventually(lambda: self.database.rows("SELECT file_id, used FROM tg_link"),
                   [{"file_id": "/a", "used": 1}])

    def test_used_up_by_traffic_is_said_and_a_raised_limit_cures_it(self):
        url = self.server.sign("/large", id="x", limit=1)
        size = 16 * MIB

        def waste():
            response = self.server.get(url, {"Range": f"bytes=0-{size - 2}"})
            return response.status if response.status == 206 else response.problem

        answers = [waste() for _ in range(6)]
        self.assertEqual(answers[-1], "traffic-exhausted")
        self.database.expect_link("x", blocked="traffic")
        self.database.set("x", max_copies=3)
        eventually(lambda: self.server.links_show("x")["limit"], 3)
        self.assertEqual(waste(), 206)
        self.database.expect_link("x", blocked=None)

    def test_a_folder_link_has_a_row_for_each_file_and_one_for_all(self):
        self.server.write("/album/1", b"one" * KIB)
        self.server.write("/album/2", b"two" * KIB)
        token = self.server.token("/album/1", id="x", limit=1, folder=1)
        urls = [support.target(path, token) for path in ["/album/1", "/album/2"]]
        for url in urls:
            self.assertEqual(self.get(self.server, url), 200)
            self.assertEqual(self.get(self.server, url), "downloads-exhausted")
        eventually(lambda: self.database.rows(
            "SELECT file_id, used FROM tg_link WHERE link_id LIKE 'x:%' ORDER BY file_id"),
            [{"file_id": "/album/1", "used": 1}, {"file_id": "/album/2", "used": 1}])
        ids = [row["link_id"] for row in self.database.rows("SELECT link_id FROM tg_link")]
        self.assertIn("x", ids)
        for link_id in ids:
            self.assertRegex(link_id, r"^x(:[0-9a-f]{16})?$")

        first = self.database.value("SELECT link_id FROM tg_link WHERE file_id = '/album/1' AND "
                                    "link_id <> 'x'")
        self.database.set(first, max_copies=2)
        self.expect_answer(self.server, urls[0], 200)
        self.assertEqual(self.get(self.server, urls[1]), "downloads-exhausted")
        self.database.set("x", state=REVOKED)
        self.expect_answer(self.server, urls[0], "link-revoked")
        self.assertEqual(self.get(self.server, urls[1]), "link-revoked")


class MerchantsWord(ShopTest):
    def setUp(self):
        self.server = self.start_edge()
        self.database = self.server.database

    def use(self, link_id, **fields):
        """Downloads once; returns the URL, when the row has been written."""
        url = self.server.sign("/a", id=link_id, **fields)
        self.assertEqual(self.get(self.server, url), 200)
        self.database.expect_link(link_id, used=1)
        return url

    def test_every_state_but_active_is_refused_and_undone(self):
        url = self.use("x", limit=5)
        for state, name in [(HELD, "held"), (REFUNDED, "refunded"), (REVOKED, "revoked")]:
            self.database.set("x", state=state)
            self.expect_answer(self.server, url, "link-revoked")
            self.assertEqual(self.server.links_show("x")["state"], name)
            self.database.set("x", state=ACTIVE)
            self.expect_answer(self.server, url, 200)
        self.assertEqual(self.get(self.server, url), 200)
        self.database.expect_link("x", used=2)

    def test_a_revocation_outlives_a_restart_without_the_database(self):
        url = self.use("x", limit=5)
        self.database.set("x", state=REVOKED)
        self.expect_answer(self.server, url, "link-revoked")
        self.server.stop()
        with self.database.away():
            self.server.start()
            self.assertEqual(self.get(self.server, url), "link-revoked")

    def test_a_raised_limit_opens_an_exhausted_link(self):
        url = self.use("x", limit=1)
        self.assertEqual(self.get(self.server, url), "downloads-exhausted")
        self.database.set("x", max_copies=2)
        self.expect_answer(self.server, url, 200)
        self.assertEqual(self.get(self.server, url), 200)
        self.assertEqual(self.get(self.server, url), "downloads-exhausted")
        self.database.set("x", max_copies=-1)
        self.expect_answer(self.server, url, 200)
        self.database.set("x", max_copies=0)
        self.expect_answer(self.server, url, "downloads-exhausted")

    def test_an_expiry_moves_both_ways(self):
        now = int(time.time())
        url = self.use("x", limit=3, expires=now + 3600)
        self.database.set("x", expires_at=now - 1)
        self.expect_answer(self.server, url, "link-expired")
        self.database.set("x", expires_at=now + 7200)
        self.expect_answer(self.server, url, 200)
        self.database.set("x", expires_at=None)
        self.expect_answer(self.server, url, 200)
        expired = self.server.sign("/a", id="y", limit=1, expires=now - 60)
        self.assertEqual(self.get(self.server, expired), "link-expired")
        self.database.change("INSERT INTO tg_link(link_id, expires_at) VALUES ('y', ?)", now + 3600)
        self.expect_answer(self.server, expired, 200)
        self.assertEqual(self.get(self.server, expired), 200)

    def test_a_start_in_the_row_holds(self):
        url = self.use("x", limit=3)
        self.database.set("x", not_before=int(time.time()) + 3600)
        eventually(lambda: self.get(self.server, url), "link-not-yet-valid")

    def test_a_url_without_expiry_needs_one_in_the_row(self):
        url = self.server.sign("/a", id="x", limit=1, expires=None)
        self.assertNotEqual(self.get(self.server, url), 200)
        self.database.change("INSERT INTO tg_link(link_id, expires_at) VALUES ('x', 1900000000)")
        self.expect_answer(self.server, url, 200)

    def test_a_reset_begins_at_zero(self):
        url = self.use("x", limit=1)
        self.database.change("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1 "
                             "WHERE link_id = 'x'")
        self.expect_answer(self.server, url, 200)
        self.assertEqual(self.get(self.server, url), 200)
        self.database.expect_link("x", used=1, reset_gen=1, blocked="copies")
        self.assertEqual(self.get(self.server, url), "downloads-exhausted")
        self.assertEqual(self.database.delivered("x"), 2)

    def test_what_a_reset_met_under_way_is_not_charged_after_it(self):
        url = self.server.sign("/large", id="x", limit=1)
        with self.slow_download(self.server, url) as client:
            client.read(MIB)
            eventually(lambda: self.database.link("x") is not None)
            self.database.change("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1 "
                                 "WHERE link_id = 'x'")
            self.expect_answer(self.server, url, 200)
            client.read(client.head.length - MIB)
        self.server.expect_link("x", used=0)
        self.assertEqual(self.get(self.server, url), 200)
        self.database.expect_link("x", used=1, reset_gen=1)
        self.assertEqual(self.get(self.server, url), "downloads-exhausted")

    def test_a_row_that_is_deleted_revokes(self):  # S7
        url = self.use("x", limit=5)
        self.database.change("DELETE FROM tg_link WHERE link_id = 'x'")
        self.expect_answer(self.server, url, "link-revoked")
        self.database.change("INSERT INTO tg_link(link_id) VALUES ('x')")
        self.expect_answer(self.server, url, 200)

    def test_a_fall_of_used_without_a_reset_is_no_reset(self):
        url = self.use("x", limit=1)
        self.database.set("x", used=0)
        eventually(lambda: self.database.value("SELECT count(*) FROM tg_dirty"), 0)
        self.assertEqual(self.get(self.server, url), "downloads-exhausted")


class RunningDownloads(ShopTest):
    def read_rest(self, client):
        """Reads the body; whether all of it came."""
        try:
            client.read(client.head.length)
            return True
        except (Closed, ConnectionResetError):
            return False

    def test_a_revocation_cuts_them(self):
        server = self.start_edge()
        url = server.sign("/large", id="x", limit=1)
        with self.slow_download(server, url) as client:
            eventually(lambda: server.database.link("x") is not None)
            server.database.set("x", state=REVOKED)
            eventually(lambda: server.links_show("x")["state"], "revoked")
            server.expect_link("x", in_flight=0)
            self.assertFalse(self.read_rest(client))
        server.expect_link("x", used=0)

    def test_with_on_revoke_finish_they_go_on(self):
        server = self.start_edge()
        server.stop()
        server.configure({"shop": {"on_revoke": "finish"}})
        server.start()
        url = server.sign("/large", id="x", limit=1)
        with self.slow_download(server, url) as client:
            eventually(lambda: server.database.link("x") is not None)
            server.database.set("x", state=REFUNDED)
            eventually(lambda: server.links_show("x")["state"], "refunded")
            self.assertTrue(self.read_rest(client))
        server.database.expect_link("x", used=1)
        self.assertEqual(self.get(server, url), "link-revoked")


class Authority(ShopTest):
    """authority = "shop": a link is good if the shop has a row of it."""

    def setUp(self):
        self.server = self.start_edge(links={"authority": "shop"})
        self.database = self.server.database

    def test_a_row_that_appears_opens_the_link(self):
        url = self.server.sign("/a", id="x", limit=1)
        self.assertEqual(self.get(self.server, url), "link-revoked")
        self.assertIsNone(self.database.link("x"))
        self.database.change("INSERT INTO tg_link(link_id, max_copies) VALUES ('x', 2)")
        self.expect_answer(self.server, url, 200)
        self.assertEqual(self.get(self.server, url), 200)
        self.database.expect_link("x", used=1)
        self.database.change("DELETE FROM tg_link WHERE link_id = 'x'")
        self.expect_answer(self.server, url, "link-revoked")
        self.database.change("INSERT INTO tg_link(link_id, max_copies) VALUES ('x', 2)")
        self.expect_answer(self.server, url, 200)
        self.assertEqual([self.get(self.server, url) for _ in range(2)],
                         [200, "downloads-exhausted"])

    def test_without_the_database_unknown_links_are_told_to_come_back(self):  # S1
        self.database.change("INSERT INTO tg_link(link_id) VALUES ('known')")
        known = self.server.sign("/a", id="known", limit=5)
        self.assertEqual(self.get(self.server, known), 200)
        unknown = self.server.sign("/a", id="unknown", limit=5)
        with self.database.away():
            eventually(lambda: self.get_once(self.server, unknown), "temporarily-unavailable")
            self.assertEqual(self.get(self.server, known), 200)
        eventually(lambda: self.get(self.server, unknown), "link-revoked")

    def test_the_row_of_a_folder_opens_its_files(self):
        self.server.write("/album/1", b"one" * KIB)
        url = self.server.sign("/album/1", id="x", limit=1, folder=1)
        self.assertEqual(self.get(self.server, url), "link-revoked")
        self.database.change("INSERT INTO tg_link(link_id) VALUES ('x')")
        self.expect_answer(self.server, url, 200)
        self.assertEqual(self.get(self.server, url), 200)


if __name__ == "__main__":
    support.main()
