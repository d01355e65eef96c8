"""A ledger that is backed up, restored and moved: what was sold is given once, and counted once."""

import json
import shutil
import subprocess
import threading
import time

import support
from command_case import FAILED, SETTINGS, CommandTest, health
from database_case import OnMaria, OnPostgres
from shop_case import ShopTest
from support import BINARY, KIB, MIB, Server, eventually, seeded, some_bytes


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Command(CommandTest):
    def backup(self, server, to):
        return server.command("ledger", "backup", "--dir", server.folder / "ledger", "--to", to)

    def check(self, server, directory):
        return json.loads(server.command("ledger", "check", "--dir", directory, "--json").stdout)

    def test_copies_a_ledger_without_a_shop_which_a_server_takes_as_its_own(self):
        server = self.start_server()
        server.write("/a", some_bytes(4 * KIB))
        for n in range(3):
            self.assertEqual(server.get(server.sign("/a", id=f"x{n}", limit=2)).status, 200)
            server.expect_link(f"x{n}", used=1)
        copy = server.folder / "copy"
        self.assertIn("a good copy of", self.backup(server, copy).stdout)
        found = self.check(server, copy)
        self.assertEqual((found["links"], found["copies"], found["torn_bytes"]), (3, 3, 0))
        self.assertEqual(copy.stat().st_mode & 0o777, 0o700)
        server.stop()
        server.configure({"ledger": {"dir": str(copy)}})
        server.start()
        server.expect_link("x1", used=1)
        self.assertEqual(server.get(server.sign("/a", id="x1", limit=2)).status, 200)
        self.assertEqual(server.get(server.sign("/a", id="x1", limit=2)).status, 403)

    def test_what_is_in_flight_counts_in_the_copy_as_after_a_crash(self):
        server = self.start_server()
        server.write("/large", bytes(16 * MIB))
        copy = server.folder / "copy"
        with server.client(receive_buffer=4 * KIB) as client:
            client.request(server.sign("/large", id="slow", limit=1))
            client.read_head()
            self.backup(server, copy)
        self.assertEqual(self.check(server, copy)["in_flight"], 1)
        server.kill()
        server.configure({"ledger": {"dir": str(copy)}})
        server.start()
        # What was leased is in doubt, and may be fetched once more.
        self.assertGreater(server.expect_link("slow", used=0)["traffic_bytes"], 0)
        self.assertEqual(server.get(server.sign("/large", id="slow", limit=1)).status, 200)
        server.expect_link("slow", used=1)

    def test_goes_to_a_new_or_an_empty_directory_only(self):
        server = self.start_server()
        server.write("/a", some_bytes(KIB))
        self.assertEqual(server.get(server.sign("/a", id="x", limit=2)).status, 200)
        place = server.folder / "place"
        place.mkdir()
        (place / "full").mkdir()
        (place / "full" / "precious").write_text("mine")
        (place / "file").write_text("mine")
        (place / "link").symlink_to("nowhere")
        (place / "empty").mkdir()
        before = names(place)
        for to in ["full", "file", "link", "not/yet"]:
            self.assertIn(str(place / to).removesuffix("/yet"), self.expect_one_line(
                server, FAILED, "ledger", "backup", "--dir", server.folder / "ledger", "--to",
                place / to))
        self.assertEqual(names(place), before)
        self.assertEqual(names(place / "full"), ["precious"])
        self.backup(server, f"{place}/empty/")
        self.backup(server, place / "new")
        self.assertEqual(names(place), sorted([*before, "new"]))
        self.assertEqual(self.check(server, place / "empty")["links"], 1)

    def test_leaves_nothing_of_a_ledger_that_is_absent_empty_or_damaged(self):
        server = self.start_server()
        server.write("/a", some_bytes(KIB))
        self.assertEqual(server.get(server.sign("/a", id="x", limit=2)).status, 200)
        server.expect_link("x", used=1)
        server.stop()
        journal = min((server.folder / "ledger").glob("journal-*.tgj"))
        content = bytearray(journal.read_bytes())
        content[4 * KIB + 100] ^= 1
        journal.write_bytes(content)
        (server.folder / "nothing").mkdir()
        place = server.folder / "place"
        place.mkdir()
        for directory, said in [("absent", "No such file"), ("nothing", "there is no ledger"),
                                ("ledger", "damaged")]:
            line = self.expect_one_line(server, FAILED, "ledger", "backup", "--dir",
                                        server.folder / directory, "--to", place / "copy")
            self.assertIn(said, line)
        self.assertEqual(names(place), [])

    def test_adopt_needs_a_shop_and_a_server_that_is_stopped(self):
        server = self.start_server()
        self.assertIn("there is no [shop]", self.expect_one_line(
            server, SETTINGS, "ledger", "adopt", "--config", server.config))
        server.configure({"shop": {"url": f"sqlite:{server.folder}/shop.db"}})
        self.assertIn("in use by a tallygate that runs", self.expect_one_line(
            server, FAILED, "ledger", "adopt", "--config", server.config))


class Restore(ShopTest):
    """The old machine's server is `self.old`; all machines share the database."""

    def setUp(self):
        self.old = self.start_edge()
        self.database = self.old.database
        self.given = {}

    # -- machines

    def backup(self, server, name="backup"):
        to = self.old.folder / name
        server.command("ledger", "backup", "--dir", server.settings["ledger"]["dir"], "--to", to)
        return to

    def new_machine(self, ledger, **settings):
        """A server that is not started yet, with a copy of this ledger and the same keys."""
        server = Server({"shop": {**self.database.settings, "poll": "100ms",
                                  "edge_id": "edge-1"}, **settings})
        self.addCleanup(self._end, server)
        server.database = self.database
        server.keys = self.old.keys
        server.write_keyring(self.old.keyring.read_text())
        server.write("/a", (self.old.root / "a").read_bytes(), mtime=1700000000)
        shutil.copytree(ledger, server.folder / "ledger")
        return server

    def expect_no_start(self, server, *said):
        """Refused, before anything is served or changed."""
        line = server.command("serve", "--config", server.config, check=False)
        self.assertEqual(line.returncode, 1, line.stderr)
        for part in [*said, "tallygate ledger adopt"]:
            self.assertIn(part, line.stderr)

    def adopt(self, server):
        return server.command("ledger", "adopt", "--config", server.config).stdout

    def restored(self, ledger, **settings):
        """A new machine on a backup, which serves and has reached the database."""
        server = self.new_machine(ledger, **settings)
        self.expect_no_start(server, "a backup that was restored")
        self.adopt(server)
        server.start()
        eventually(lambda: health(server)["shop"]["reachable"])
        return server

    def expect_same(self, server, **used):
        """Ledger and shop end with these counts, and with the copies that customers have."""
        for link_id, copies in used.items():
            self.assertEqual(self.given.get(link_id, 0), copies, "what customers have")
            server.expect_link(link_id, used=copies)
            self.database.expect_link(link_id, used=copies)
        eventually(lambda: (health(server)["status"], health(server)["shop"]["events_waiting"],
                            health(server)["shop"]["batches_waiting"]), ("ok", 0, 0))
        for link_id, copies in used.items():
            self.assertEqual(self.database.link(link_id)["used"], copies)
            self.assertEqual(self.database.delivered(link_id), copies)
            self.assertEqual(server.links_show(link_id)["used"], copies)

    # -- customers

    def take(self, server, link_id, limit, copies=1):
        for _ in range(copies):
            self.assertEqual(self.get(server, server.sign("/a", id=link_id, limit=limit)), 200)
            self.given[link_id] = self.given.get(link_id, 0) + 1

    def take_all(self, server, link_id, limit):
        """Downloads until the link is used up: then the limit has been given, and no more."""
        while (answer := self.get(server, server.sign("/a", id=link_id, limit=limit))) == 200:
            self.given[link_id] = self.given.get(link_id, 0) + 1
            self.assertLessEqual(self.given[link_id], limit)
        self.assertEqual(answer, "downloads-exhausted")
        self.assertEqual(self.given[link_id], limit)

    # -- the database is ahead of the backup

    def test_the_database_is_ahead(self):
        self.take(self.old, "x", 5, copies=2)
        self.take(self.old, "z", 2)
        self.expect_same(self.old, x=2, z=1)
        copy = self.backup(self.old)
        self.take(self.old, "x", 5, copies=2)
        self.take(self.old, "y", 2)  # first used after the backup
        self.take(self.old, "full", 1)
        self.expect_same(self.old, x=4, y=1, z=1, full=1)
        history = {id: self.database.expect_in_history(id, n)
                   for id, n in [("x", 4), ("y", 1), ("z", 1)]}
        self.old.kill()

        new = self.restored(copy)
        self.expect_same(new, x=4, y=1, z=1, full=1)
        self.assertEqual({id: self.database.history(id) for id in history}, history)
        for link_id, limit in [("x", 5), ("y", 2), ("z", 2), ("full", 1)]:
            self.take_all(new, link_id, limit)
        self.expect_same(new, x=5, y=2, z=2, full=1)
        new.restart()
        self.expect_same(new, x=5, y=2, z=2, full=1)

    def test_what_the_shop_knew_holds_without_the_shop(self):
        self.take(self.old, "x", 3)
        self.expect_same(self.old, x=1)
        copy = self.backup(self.old)
        self.take(self.old, "x", 3)
        self.take(self.old, "y", 1)
        self.expect_same(self.old, x=2, y=1)
        self.old.kill()
        new = self.new_machine(copy)
        self.adopt(new)
        with self.database.away():
            new.start()
            self.take_all(new, "x", 3)
            self.take_all(new, "y", 1)
        self.expect_same(new, x=3, y=1)

    def test_what_waited_at_the_backup_and_came_after_all_counts_once(self):
        self.take(self.old, "x", 9)
        self.expect_same(self.old, x=1)
        with self.database.away():
            eventually(lambda: health(self.old)["shop"]["reachable"], False)
            self.take(self.old, "x", 9, copies=2)
            self.old.expect_link("x", used=3)
            copy = self.backup(self.old)
            self.take(self.old, "x", 9)
        self.expect_same(self.old, x=4)
        self.database.expect_in_history("x", 4)
        self.old.kill()
        new = self.restored(copy)
        self.expect_same(new, x=4)
        self.assertEqual(len(self.database.history("x")), 4)
        self.take_all(new, "x", 9)
        self.expect_same(new, x=9)

    def test_a_reset_after_the_backup_holds(self):
        self.take(self.old, "x", 2, copies=2)
        self.expect_same(self.old, x=2)
        copy = self.backup(self.old)
        self.database.change("UPDATE tg_link SET used = 0, reset_gen = reset_gen + 1 "
                             "WHERE link_id = 'x'")
        self.old.expect_link("x", used=0)
        self.given["x"] = 0
        self.take(self.old, "x", 2)
        self.database.expect_link("x", used=1)
        self.old.kill()
        new = self.restored(copy)
        new.expect_link("x", used=1)
        self.take_all(new, "x", 2)
        new.expect_link("x", used=2)
        self.database.expect_link("x", used=2)

    # -- the database is behind

    def test_the_database_is_behind(self):
        """What waited for it at the backup is told, with its history; the old machine is gone."""
        self.take(self.old, "x", 9)
        self.expect_same(self.old, x=1)
        with self.database.away():
            eventually(lambda: health(self.old)["shop"]["reachable"], False)
            self.take(self.old, "x", 9, copies=2)
            self.take(self.old, "y", 9)
            for link_id, used in [("x", 3), ("y", 1)]:
                self.old.expect_link(link_id, used=used)
            copy = self.backup(self.old)
            self.old.kill()
        new = self.restored(copy)
        self.expect_same(new, x=3, y=1)
        for link_id, copies in [("x", 3), ("y", 1)]:
            self.assertEqual(len(self.database.expect_in_history(link_id, copies)), copies)
        self.take_all(new, "x", 9)
        self.expect_same(new, x=9, y=1)

    def test_a_database_that_is_empty_is_told_everything(self):
        self.take(self.old, "x", 3, copies=2)
        self.take(self.old, "full", 1)
        self.expect_same(self.old, x=2, full=1)
        copy = self.backup(self.old)
        self.old.kill()
        for table in ["tg_link", "tg_edge", "tg_edge_count", "tg_consumer", "tg_dirty"]:
            self.database._run(f"DELETE FROM {table}", ())
        new = self.restored(copy)
        self.expect_same(new, x=2, full=1)
        self.database.expect_link("full", blocked="copies")
        self.take_all(new, "x", 3)
        self.take_all(new, "full", 1)
        self.expect_same(new, x=3, full=1)

    # -- copies that nobody announced

    def test_a_plain_copy_of_yesterday_is_found_out_and_gives_nothing_again(self):  # J9
        self.take(self.old, "x", 6, copies=2)
        self.expect_same(self.old, x=2)
        self.old.stop()
        yesterday = self.old.folder / "yesterday"
        shutil.copytree(self.old.folder / "ledger", yesterday)
        self.old.start()
        self.take(self.old, "x", 6, copies=3)
        self.expect_same(self.old, x=5)
        self.old.kill()

        new = self.new_machine(yesterday)
        new.start()
        url = new.sign("/a", id="x", limit=6)
        eventually(lambda: health(new)["shop"].get("alarm", "").count("ledger adopt"), 1)
        self.assertEqual(health(new)["status"], "failed")
        self.assertEqual(self.get_once(new, url), "temporarily-unavailable")
        self.assertEqual(self.get_once(new, new.sign("/a", id="u")), 200)  # no limit
        new.expect_link("u", used=1)
        new.stop()
        self.expect_no_start(new, "older than what the shop was told")
        self.adopt(new)
        new.start()
        self.given["u"] = 1
        self.expect_same(new, x=5, u=1)
        self.take_all(new, "x", 6)
        self.expect_same(new, x=6, u=1)

    def test_an_outbox_that_was_lost_counts_nothing_twice(self):
        self.take(self.old, "x", 5, copies=3)
        self.expect_same(self.old, x=3)
        self.old.stop()
        for file in (self.old.folder / "ledger").glob("outbox.db*"):
            file.unlink()
        self.adopt(self.old)
        self.old.start()
        self.expect_same(self.old, x=3)
        self.take_all(self.old, "x", 5)
        self.expect_same(self.old, x=5)

    def test_adopt_keeps_the_edges_name_and_leaves_alone_what_is_in_order(self):
        self.take(self.old, "x", 5)
        self.expect_same(self.old, x=1)
        copy = self.backup(self.old)
        self.old.stop()
        self.assertIn("nothing to do", self.adopt(self.old))
        new = self.new_machine(copy)
        new.configure({"shop": {"edge_id": "edge-2"}})
        done = new.command("ledger", "adopt", "--config", new.config, check=False)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("known to the shop as edge edge-1", done.stderr)
        self.expect_no_start(new)
        self.old.start()
        self.expect_same(self.old, x=1)

    def test_an_adoption_that_failed_is_repeated(self):
        self.take(self.old, "x", 5)
        self.expect_same(self.old, x=1)
        copy = self.backup(self.old)
        self.take(self.old, "x", 5, copies=2)
        self.expect_same(self.old, x=3)
        self.old.kill()
        new = self.new_machine(copy)
        with self.database.away():
            done = new.command("ledger", "adopt", "--config", new.config, check=False)
            self.assertEqual(done.returncode, FAILED)
        self.expect_no_start(new)
        for _ in range(3):
            self.adopt(new)  # the first one does it; the others find nothing
        new.start()
        self.expect_same(new, x=3)
        self.take_all(new, "x", 5)
        self.expect_same(new, x=5)

    def test_an_adoption_that_was_killed_is_repeated(self):  # J14
        chance = seeded(self.id())
        links = [f"k{n}" for n in range(6)]
        for link_id in links:
            self.take(self.old, link_id, 4)
        self.expect_same(self.old, **self.given)
        with self.database.away():
            eventually(lambda: health(self.old)["shop"]["reachable"], False)
            self.take(self.old, links[0], 4)
            self.old.expect_link(links[0], used=2)
            copy = self.backup(self.old)
        for link_id in links[1:]:
            self.take(self.old, link_id, 4, copies=2)
        self.expect_same(self.old, **self.given)
        self.old.kill()
        new = self.new_machine(copy)
        for _ in range(20):
            process = subprocess.Popen([BINARY, "ledger", "adopt", "--config", str(new.config)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
            process.wait()
        self.adopt(new)
        new.start()
        self.expect_same(new, **self.given)
        for link_id in links:
            self.take_all(new, link_id, 4)
        self.expect_same(new, **self.given)

    # -- a move

    def test_a_move_needs_nothing_but_a_copy_of_what_was_stopped(self):
        self.take(self.old, "x", 5, copies=2)
        self.expect_same(self.old, x=2)
        with self.database.away():
            eventually(lambda: health(self.old)["shop"]["reachable"], False)
            self.take(self.old, "x", 5)
            self.old.expect_link("x", used=3)
            self.old.stop()
        new = self.new_machine(self.old.folder / "ledger")
        new.start()
        self.expect_same(new, x=3)
        self.database.expect_in_history("x", 3)
        self.take_all(new, "x", 5)
        self.expect_same(new, x=5)

    # -- two servers with one history

    def test_a_copy_beside_its_original_is_found_out_and_loses_no_count(self):  # S9
        self.take(self.old, "x", 1000, copies=2)
        self.expect_same(self.old, x=2)
        self.old.stop()
        new = self.new_machine(self.old.folder / "ledger")
        servers = [self.old.start(), new.start()]

        def overtaken():
            return [health(server)["status"] == "failed" for server in servers]

        for n in range(400):
            for server in servers:
                answer = self.get(server, server.sign("/a", id="x", limit=1000))
                self.given["x"] += answer == 200
                self.assertIn(answer, (200, "temporarily-unavailable"))
            if any(overtaken()):
                break
        # One of them, or both.
        eventually(lambda: any(overtaken()))
        for server in servers:
            server.stop()
        for server in servers:
            self.adopt(server)
            server.start()
            eventually(lambda: health(server)["shop"]["batches_waiting"] == 0 and
                       health(server)["shop"]["last_scan_at"] > 0)
            server.stop()
        # What was told and not acknowledged may be there twice; nothing is missing.
        self.assertGreaterEqual(self.database.link("x")["used"], self.given["x"])

    # -- under load

    CLIENTS, LINKS, LIMIT = 3, 12, 1_000_000

    def download_until(self, server, stop, chance, given, errors):
        while not stop.is_set():
            link_id = f"l{chance.randrange(self.LINKS)}"
            answer = self.get_once(server, server.sign("/small", id=link_id, limit=self.LIMIT))
            if answer == 200:
                given.append(link_id)
            else:
                errors.append(answer)
                return

    def test_backups_beside_downloads_hold_nobody_up_and_restore_to_the_shops_counts(self):
        chance = seeded(self.id())
        self.old.write("/small", some_bytes(KIB), mtime=1700000000)
        given, errors = [], []
        stop = threading.Event()
        clients = [threading.Thread(target=self.download_until, args=(
            self.old, stop, support.random.Random(chance.random()), given, errors))
            for _ in range(self.CLIENTS)]
        for client in clients:
            client.start()
        try:
            copies = []
            for n in range(5):
                before = len(given)
                copies.append(self.backup(self.old, f"backup-{n}"))
                eventually(lambda: len(given) > before or bool(errors))
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertEqual(errors, [])
        self.given = {link_id: given.count(link_id) for link_id in given}
        self.expect_same(self.old, **self.given)
        self.old.kill()
        new = self.restored(chance.choice(copies))
        new.write("/small", some_bytes(KIB), mtime=1700000000)
        self.expect_same(new, **self.given)
        limits = {link_id: copies + 2 for link_id, copies in self.given.items()}
        for link_id, limit in limits.items():
            self.database.set(link_id, max_copies=limit)
        for link_id, limit in limits.items():
            eventually(lambda: new.links_show(link_id)["limit"], limit)
            url = new.sign("/small", id=link_id, limit=self.LIMIT)
            while (answer := self.get(new, url)) == 200:
                self.given[link_id] += 1
            self.assertEqual(answer, "downloads-exhausted")
        self.assertEqual(self.given, limits)
        self.expect_same(new, **self.given)


class RestoreOnPostgres(OnPostgres, Restore):
    pass


class RestoreOnMaria(OnMaria, Restore):
    pass


if __name__ == "__main__":
    support.main()
