"""tg_download: one row for each download, saying when, to whom, how much, and how it ended."""

import time

import support
from command_case import health
from shop_case import ShopTest
from support import KIB, MIB, eventually

COMPLETE, PARTIAL, PROBE = range(3)
SIZE = 64 * KIB


class History(ShopTest):
    def expect_row(self, server, link_id, **expected):
        """Waits until the link has one row of history, with these values; returns it."""

        def look():
            return [{name: row[name] for name in expected}
                    for row in server.database.history(link_id)]

        eventually(look, [expected])
        return server.database.history(link_id)[0]

    def test_a_download_is_a_row(self):
        server = self.start_edge()
        before = int(time.time())
        url = server.sign("/a", id="x", limit=3)
        response = server.get(url, {"User-Agent": "Firefox/1 (\u00fc)"})
        self.assertEqual(response.status, 200)
        row = self.expect_row(server, "x", edge_id="edge-1", client_ip="127.0.0.1", bytes_sent=SIZE,
                              file_size=SIZE, outcome=COMPLETE, counted=1)
        self.assertRegex(row["user_agent"], r"^Firefox/1 \(.+\)$")
        self.assertEqual(len(row["event_id"]), 16)
        self.assertLessEqual(before, row["started_at"])
        self.assertLessEqual(row["started_at"], row["ended_at"])
        self.assertLessEqual(row["ended_at"], int(time.time()))

    def test_without_a_user_agent_the_column_is_null(self):
        server = self.start_edge()
        self.assertEqual(self.get(server, server.sign("/a", id="x", limit=3)), 200)
        self.expect_row(server, "x", user_agent=None)

    def test_addresses_are_kept_as_configured(self):
        for setting, shown in [("full", "127.0.0.1"), ("truncated", "127.0.0.0"), ("none", None)]:
            with self.subTest(setting=setting):
                server = self.start_edge(log={"client_ip": setting})
                self.assertEqual(self.get(server, server.sign("/a", id="x", limit=3)), 200)
                self.expect_row(server, "x", client_ip=shown, counted=1)

    def test_parts_of_one_client_are_one_row_and_other_clients_have_their_own(self):
        server = self.start_edge()
        url = server.sign("/a", id="x", limit=3)
        for first in range(0, SIZE, SIZE // 4):
            response = server.get(url, {"Range": f"bytes={first}-{first + SIZE // 4 - 1}",
                                        "User-Agent": "one"})
            self.assertEqual(response.status, 206)
        self.assertEqual(server.get(url, {"User-Agent": "two"}).status, 200)
        eventually(lambda: sorted((row["user_agent"], row["bytes_sent"], row["outcome"],
                                   row["counted"]) for row in server.database.history("x")),
                   [("one", SIZE, COMPLETE, 1), ("two", SIZE, COMPLETE, 1)])

    def test_a_download_that_begins_again_is_a_row_of_its_own(self):
        server = self.start_edge()
        url = server.sign("/a", id="x", limit=3)
        for n in range(1, 4):
            self.assertEqual(self.get(server, url), 200)
            eventually(lambda: len(server.database.history("x")), n)
        self.assertEqual([row["counted"] for row in server.database.history("x")], [1, 1, 1])

    def test_a_broken_download_is_partial_and_counts_nothing(self):
        server = self.start_edge()
        url = server.sign("/large", id="x", limit=1)
        with self.slow_download(server, url) as client:
            client.read(2 * MIB)
            client.reset()
        row = self.expect_row(server, "x", outcome=PARTIAL, counted=0, file_size=16 * MIB)
        self.assertGreaterEqual(row["bytes_sent"], 2 * MIB)
        self.assertLess(row["bytes_sent"], 16 * MIB)

    def test_a_peek_is_a_probe(self):
        server = self.start_edge()
        url = server.sign("/large", id="x", limit=1)
        self.assertEqual(server.get(url, {"Range": "bytes=0-1023"}).status, 206)
        self.expect_row(server, "x", outcome=PROBE, counted=0, bytes_sent=KIB)

    def test_what_is_older_than_keep_history_goes_and_no_count_does(self):
        server = self.start_edge(shop={"keep_history": "30d"})
        url = server.sign("/a", id="x", limit=3)
        self.assertEqual(self.get(server, url), 200)
        self.expect_row(server, "x", counted=1)
        # Rows of a server that is no more, and of this one's own.
        day = 86400
        for number, age in enumerate([31 * day, 4000 * day, 29 * day, 31 * day]):
            ended = int(time.time()) - age
            server.database.change(
                "INSERT INTO tg_download(event_id, link_id, edge_id, started_at, ended_at,"
                " bytes_sent, file_size, outcome, counted) VALUES (?, ?, ?, ?, ?, 1, 1, 0, 1)",
                b"another" + number.to_bytes(9, "big"), f"old{age // day}", "gone", ended, ended)
        server.database.change("UPDATE tg_download SET ended_at = ended_at - ? WHERE link_id = ?",
                               40 * day, "x")
        server.restart()
        eventually(lambda: [row["link_id"] for row in server.database.rows(
            "SELECT link_id FROM tg_download")], ["old29"])
        server.database.expect_link("x", used=1)
        self.assertEqual(self.get(server, url), 200)
        server.database.expect_link("x", used=2)
        self.expect_row(server, "x", counted=1)
        self.assertNotIn("warning", health(server)["shop"])

    def test_what_sends_no_body_is_not_in_it(self):
        server = self.start_edge()
        url = server.sign("/a", id="x", limit=1)
        etag = server.get(url, method="HEAD").field("ETag")
        self.assertEqual(server.get(url, {"If-None-Match": etag}).status, 304)
        self.assertEqual(server.get(url, {"If-Match": '"other"'}).status, 412)
        self.assertEqual(server.get(url, {"Range": f"bytes={SIZE}-"}).status, 416)
        self.assertEqual(self.get(server, url), 200)
        self.assertEqual(self.get(server, url), "downloads-exhausted")
        server.database.expect_link("x", used=1)
        self.expect_row(server, "x", counted=1)


if __name__ == "__main__":
    support.main()
