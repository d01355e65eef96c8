"""tallygate links: what it shows, and that what it changes holds, with and without a shop."""

import json
import sqlite3
import time

import support
from command_case import FAILED, USAGE, CommandTest
from support import KIB, some_bytes


class Links(CommandTest):
    """Without a shop the ledger keeps what is said; with one, the shop's row does."""

    SIZE = 64 * KIB

    def start(self, shop):
        settings = {}
        server = self.prepare_server()
        if shop:
            settings = {"shop": {"url": f"sqlite:{server.folder}/shop.db", "poll": "100ms"}}
        server.configure(settings)
        server.start()
        self.addCleanup(server.stop)
        server.write("/a", some_bytes(self.SIZE))
        return server

    def change(self, server, *arguments):
        """`links ACTION ID …`; returns what the link then is."""
        return json.loads(server.links(*arguments, "--json").stdout)

    def test_show_says_everything_of_a_link(self):
        server = self.start(shop=False)
        expires = int(time.time()) + 600
        url = server.sign("/a", id="x", limit=3, expires=expires)
        self.assertEqual(server.get(url).status, 200)
        shown = server.expect_link("x", used=1)
        self.assertEqual(shown, {
            "id": "x", "path": "/a", "limit": 3, "used": 1, "copies": 1,
            "traffic_bytes": self.SIZE, "expires_at": expires, "state": "active", "blocked": None,
            "in_flight": 0})
        text = server.links("show", "x").stdout
        self.assertRegex(text, r"(?m)^used +1$")
        self.assertRegex(text, r"(?m)^blocked +-$")

    def test_show_of_an_unknown_link_fails(self):
        for shop in [False, True]:
            server = self.start(shop)
            said = self.expect_one_line(server, FAILED, "links", "show", "--config", server.config,
                                        "nobody")
            self.assertEqual(said, "tallygate: nobody: no such link")
            for action in ["restore", "reset"]:
                self.expect_one_line(server, FAILED, "links", action, "--config", server.config,
                                     "nobody")

    def test_set_revoke_restore_and_reset_hold_with_and_without_a_shop(self):
        for shop in [False, True]:
            with self.subTest(shop=shop):
                self.change_one_link(self.start(shop))

    def change_one_link(self, server):
        url = server.sign("/a", id="x", limit=1, expires=int(time.time()) + 600)
        get = lambda: server.get(url)
        self.assertEqual(get().status, 200)
        server.expect_link("x", used=1, blocked="copies")
        self.assertEqual(get().problem, "downloads-exhausted")

        self.assertEqual(self.change(server, "set", "x", "--max", "2")["limit"], 2)
        self.assertEqual(get().status, 200)
        server.expect_link("x", used=2)
        self.assertEqual(get().problem, "downloads-exhausted")
        self.assertIsNone(self.change(server, "set", "x", "--max", "unlimited")["limit"])
        self.assertEqual(get().status, 200)
        server.expect_link("x", used=3)
        self.assertEqual(self.change(server, "set", "x", "--max", "-")["limit"], 1)
        self.assertEqual(get().problem, "downloads-exhausted")

        shown = self.change(server, "reset", "x")
        self.assertEqual((shown["used"], shown["copies"], shown["blocked"]), (0, 0, None))
        self.assertEqual(get().status, 200)
        server.expect_link("x", used=1)
        self.change(server, "set", "x", "--max", "10")

        self.assertEqual(self.change(server, "revoke", "x")["state"], "revoked")
        self.assertEqual(get().problem, "link-revoked")
        self.assertEqual(self.change(server, "restore", "x")["state"], "active")
        self.assertEqual(get().status, 200)

        shown = self.change(server, "set", "x", "--expires", "2020-01-01T00:00:00Z")
        self.assertEqual(shown["expires_at"], 1577836800)
        self.assertEqual(get().problem, "link-expired")
        self.change(server, "set", "x", "--expires", "-")
        self.assertEqual(get().status, 200)

        said = server.expect_link("x", used=3)
        server.restart()
        self.assertEqual(server.expect_link("x", used=3), said)

    def test_the_shop_s_row_says_what_was_set(self):
        server = self.start(shop=True)
        self.change(server, "set", "new", "--max", "5", "--expires", "1900000000")
        self.change(server, "revoke", "new")
        with sqlite3.connect(server.folder / "shop.db") as db:
            row = db.execute("SELECT max_copies, expires_at, state, used, reset_gen FROM tg_link "
                             "WHERE link_id = 'new'").fetchone()
        self.assertEqual(row, (5, 1900000000, 3, 0, 0))

    def test_a_link_can_be_revoked_before_its_first_use(self):
        for shop in [False, True]:
            server = self.start(shop)
            self.change(server, "revoke", "fresh")
            url = server.sign("/a", id="fresh", limit=1)
            self.assertEqual(server.get(url).problem, "link-revoked")

    def test_a_wrong_limit_or_time_is_usage(self):
        server = self.start(shop=False)
        for options in [[], ["--max", "many"], ["--max", "3x"], ["--expires", "soon"]]:
            self.expect_one_line(server, USAGE, "links", "set", "--config", server.config, "x",
                                 *options)

    def test_without_a_server_it_says_so(self):
        server = self.prepare_server()
        said = self.expect_one_line(server, FAILED, "links", "show", "--config", server.config, "x")
        self.assertIn(str(server.folder / "admin.sock"), said)


if __name__ == "__main__":
    support.main()
