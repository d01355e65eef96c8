"""tallygate ledger check, and how the server itself meets a ledger that is damaged or not its own."""

import json

import support
from command_case import FAILED, CommandTest
from support import KIB, MIB, some_bytes


class LedgerCheck(CommandTest):
    def check(self, server):
        return json.loads(server.command("ledger", "check", "--dir", server.folder / "ledger",
                                         "--json").stdout)

    def use(self, server, links):
        server.write("/a", some_bytes(4 * KIB))
        for n in range(links):
            self.assertEqual(server.get(server.sign("/a", id=f"x{n}", limit=3)).status, 200)
            server.expect_link(f"x{n}", used=1)

    def journal(self, server):
        """The first segment, which a server that was started once has written to."""
        return min((server.folder / "ledger").glob("journal-*.tgj"))

    def expect_damage(self, server, *said):
        """Neither the check nor the server accepts the file; both name it and say this."""
        directory = server.folder / "ledger"
        for command in [["ledger", "check", "--dir", directory],
                        ["serve", "--config", server.config]]:
            line = self.expect_one_line(server, FAILED, *command)
            for part in [self.journal(server).name, *said]:
                self.assertIn(part, line)

    def test_is_good_beside_a_running_server(self):
        server = self.start_server()
        self.use(server, 3)
        server.write("/large", bytes(16 * MIB))
        with server.client(receive_buffer=4 * KIB) as client:
            client.request(server.sign("/large", id="slow", limit=3))
            client.read_head()
            found = self.check(server)
            self.assertEqual((found["links"], found["copies"], found["in_flight"]), (4, 3, 1))
        self.assertRegex(server.command("ledger", "check", "--dir", server.folder / "ledger").stdout,
                         r"ledger: good: 4 links, 3 copies, \d+ records in the journal of \d+ bytes "
                         r"since the beginning")

    def test_names_the_file_and_the_byte_of_damage(self):
        server = self.start_server()
        self.use(server, 4)
        server.stop()
        journal = self.journal(server)
        content = bytearray(journal.read_bytes())
        first = 4 * KIB  # behind the head
        content[first + 100] ^= 1
        journal.write_bytes(content)
        self.expect_damage(server, f"at byte {first}", "batch 1 was acknowledged and is damaged",
                           "records 1 to ")
        self.assertEqual(journal.read_bytes(), content)  # the evidence stays as it was

    def test_a_last_write_that_is_cut_short_is_no_damage(self):
        server = self.start_server()
        self.use(server, 2)
        server.kill()
        journal = self.journal(server)
        content = journal.read_bytes().rstrip(b"\0")  # allocated in advance
        journal.write_bytes(content[:-20])
        found = self.check(server)
        self.assertEqual(found["links"], 2)
        self.assertGreater(found["torn_bytes"], 0)
        server.start()
        self.assertIsNotNone(server.links_show("x0"))

    def test_refuses_a_foreign_file_and_a_newer_version(self):
        server = self.start_server()
        self.use(server, 1)
        server.stop()
        journal = self.journal(server)
        good = journal.read_bytes()
        for offset, value, said in [
                (0, b"SQLite format 3\0", "is not a ledger file of tallygate"),
                (16, (99).to_bytes(4, "little"), "format version 99"),
                (40, b"\xff", "damaged head"),
        ]:
            with self.subTest(said=said):
                journal.write_bytes(good[:offset] + value + good[offset + len(value):])
                self.expect_damage(server, said)
        journal.write_bytes(good[:100])
        self.expect_damage(server, "shorter than its head")

    def export(self, server):
        return {link["id"]: link for link in map(json.loads, server.command(
            "ledger", "export", "--dir", server.folder / "ledger").stdout.splitlines())}

    def test_export_prints_every_link_also_beside_a_running_server(self):
        server = self.start_server()
        self.use(server, 3)
        links = self.export(server)
        self.assertEqual(sorted(links), ["x0", "x1", "x2"])
        self.assertEqual(
            {key: links["x1"][key] for key in
             ["path", "limit", "copies", "traffic_bytes", "state", "blocked", "in_flight"]},
            {"path": "/a", "limit": 3, "copies": 1, "traffic_bytes": 4 * KIB, "state": "active",
             "blocked": None, "in_flight": 0})

    def test_compact_leaves_one_snapshot_that_says_the_same(self):
        server = self.start_server()
        self.use(server, 3)
        directory = server.folder / "ledger"
        self.assertIn("in use", self.expect_one_line(server, FAILED, "ledger", "compact", "--dir",
                                                     directory))
        server.stop()
        before = self.export(server)
        self.assertIn("3 links in snapshot-",
                      server.command("ledger", "compact", "--dir", directory).stdout)
        self.assertEqual(len(list(directory.glob("snapshot-*.tgs"))), 1)
        self.assertEqual(len(list(directory.glob("journal-*.tgj"))), 1)  # an empty one
        self.assertEqual(self.export(server), before)
        self.assertIn("nothing to do",
                      server.command("ledger", "compact", "--dir", directory).stdout)
        server.start()
        shown = server.links_show("x1")
        self.assertEqual((shown["used"], shown["path"]), (1, "/a"))
        self.assertEqual(server.get(server.sign("/a", id="x1", limit=3)).status, 200)
        server.expect_link("x1", used=2)

    def test_an_absent_directory_fails_and_an_empty_one_is_good(self):
        server = self.prepare_server()
        directory = server.folder / "ledger"
        self.assertIn(str(directory),
                      self.expect_one_line(server, FAILED, "ledger", "check", "--dir", directory))
        self.assertFalse(directory.exists())
        directory.mkdir()
        self.assertIn("an empty ledger",
                      server.command("ledger", "check", "--dir", directory).stdout)


if __name__ == "__main__":
    support.main()
