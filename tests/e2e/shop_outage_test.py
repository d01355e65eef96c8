"""A database that is missing, goes away or is shared, and a server that is killed: exactly once."""

import threading

import support
from command_case import health
from shop_case import ShopTest, SqliteDatabase
from support import KIB, Server, eventually, seeded, some_bytes


class Away(ShopTest):
    def expect_unreachable(self, server):
        # A server that has just started has not tried yet, and has nothing to say.
        eventually(lambda: (health(server)["shop"]["reachable"],
                            "last_error" in health(server)["shop"]), (False, True))
        said = health(server)
        self.assertEqual(said["status"], "degraded")
        self.assertIn(str(server.database.path), said["shop"]["last_error"])

    def expect_all_arrived(self, server):
        eventually(lambda: (health(server)["status"], health(server)["shop"]["events_waiting"],
                            health(server)["shop"]["batches_waiting"]), ("ok", 0, 0))

    def download_while_away(self, server, link_id, times):
        for _ in range(times):
            self.assertEqual(self.get(server, server.sign("/a", id=link_id, limit=9)), 200)
        server.expect_link(link_id, used=times)

    def test_a_database_that_cannot_be_made_does_not_stop_the_start(self):
        server = Server()
        self.addCleanup(self._end, server)
        folder = server.folder / "not" / "yet"
        server.database = SqliteDatabase(folder / "shop.db")
        server.configure({"shop": {"url": f"sqlite:{server.database.path}", "poll": "100ms"}})
        server.write("/a", some_bytes(KIB))
        server.start()
        self.expect_unreachable(server)
        self.download_while_away(server, "x", 2)
        eventually(lambda: health(server)["shop"]["batches_waiting"] +
                   health(server)["shop"]["events_waiting"] > 0)
        folder.mkdir(parents=True)
        server.database.path.touch()
        server.command("shop", "init", "--config", server.config)
        server.database.expect_link("x", used=2)
        self.expect_all_arrived(server)
        self.assertEqual(len(server.database.expect_in_history("x", 2)), 2)

    def test_a_file_that_is_no_database_is_said_and_left_alone(self):
        server = Server()
        self.addCleanup(self._end, server)
        server.database = SqliteDatabase(server.folder / "shop.db")
        server.configure({"shop": {"url": f"sqlite:{server.database.path}"}})
        server.database.path.write_bytes(b"precious" * KIB)
        server.write("/a", some_bytes(KIB))
        server.start()
        self.expect_unreachable(server)
        self.download_while_away(server, "x", 1)
        self.assertEqual(server.database.path.read_bytes(), b"precious" * KIB)

    def test_everything_arrives_once_after_the_file_was_moved_away_and_back(self):  # S1
        server = self.start_edge()
        self.download_while_away(server, "x", 1)
        server.database.expect_link("x", used=1)
        away = server.database.path.with_suffix(".away")
        for round in range(1, 4):
            server.database.path.rename(away)
            self.assertEqual(self.get(server, server.sign("/a", id="x", limit=9)), 200)
            self.assertEqual(self.get(server, server.sign("/a", id=f"y{round}", limit=9)), 200)
            self.expect_unreachable(server)
            self.assertFalse(server.database.path.exists())  # none is made in its place
            away.rename(server.database.path)
            server.database.expect_link("x", used=1 + round)
            server.database.expect_link(f"y{round}", used=1)
            self.expect_all_arrived(server)
        self.assertEqual(server.database.delivered("x"), 4)
        server.database.expect_in_history("x", 4)

    def test_a_directory_in_its_place_is_an_outage(self):
        server = self.start_edge()
        away = server.database.path.with_suffix(".away")
        server.database.path.rename(away)
        server.database.path.mkdir()
        self.expect_unreachable(server)
        self.download_while_away(server, "x", 3)
        server.database.path.rmdir()
        away.rename(server.database.path)
        server.database.expect_link("x", used=3)
        self.expect_all_arrived(server)

    def test_what_waited_outlives_a_restart(self):
        server = self.start_edge()
        away = server.database.path.with_suffix(".away")
        server.database.path.rename(away)
        self.expect_unreachable(server)
        self.download_while_away(server, "x", 2)
        server.restart()
        self.download_while_away_again(server)
        server.kill()
        server.start()
        away.rename(server.database.path)
        server.database.expect_link("x", used=3)
        self.expect_all_arrived(server)
        self.assertEqual(server.database.delivered("x"), 3)

    def download_while_away_again(self, server):
        self.assertEqual(self.get(server, server.sign("/a", id="x", limit=9)), 200)
        server.expect_link("x", used=3)

    def test_a_merchant_who_holds_the_lock_delays_and_loses_nothing(self):  # S4
        server = self.start_edge()
        with server.database.locked():
            self.download_while_away(server, "x", 3)
        server.database.expect_link("x", used=3)
        self.expect_all_arrived(server)
        self.assertEqual(server.database.delivered("x"), 3)


class Killed(ShopTest):
    """SIGKILL at random moments under many small downloads: nothing is lost, nothing counts twice."""

    ROUNDS = 6
    CLIENTS = 4

    def download_until(self, server, stop, chance, done, errors):
        """Whole downloads of random links, counted in `done` when all bytes have been read."""
        while not stop.is_set():
            link_id = f"x{chance.randrange(20)}"
            try:
                status = self.get_once(server, server.sign("/small", id=link_id, limit=1_000_000))
            except (OSError, support.Closed):
                return  # killed
            if status != 200:
                errors.append(status)
                return
            done.append(link_id)

    def test_the_shop_and_the_ledger_agree_after_kills(self):  # S3
        chance = seeded(self.id())
        server = self.start_edge()
        server.write("/small", some_bytes(KIB))
        done, errors = [], []
        for _ in range(self.ROUNDS):
            stop = threading.Event()
            clients = [threading.Thread(target=self.download_until, args=(
                server, stop, support.random.Random(chance.random()), done, errors))
                for _ in range(self.CLIENTS)]
            for client in clients:
                client.start()
            support.time.sleep(chance.uniform(0.05, 1.5))
            server.kill()
            stop.set()
            for client in clients:
                client.join()
            server.start()
        self.assertEqual(errors, [])

        links = sorted(set(done))
        self.assertGreater(len(done), self.ROUNDS)
        for link_id in links:
            used = server.expect_link(link_id)["used"]
            # What was read was acknowledged. What was leased in a killed download is in doubt, and
            # counts: one at most for each client and kill.
            self.assertGreaterEqual(used, done.count(link_id))
            self.assertLessEqual(used, done.count(link_id) + self.ROUNDS * self.CLIENTS)
            server.database.expect_link(link_id, used=used)
            self.assertEqual(server.database.delivered(link_id), used)
            self.assertEqual(server.database.value(
                "SELECT sum(charged) FROM tg_edge_count WHERE link_id = ?", link_id), used)
        total = server.database.value("SELECT sum(used) FROM tg_link")
        self.assertLessEqual(total, len(done) + self.ROUNDS * self.CLIENTS)
        history = server.database.value("SELECT sum(counted) FROM tg_download")
        self.assertLessEqual(history, total)


class TwoEdges(ShopTest):
    """Two servers, each with a ledger of its own, on one database and with one key."""

    def setUp(self):
        self.one = self.start_edge(edge_id="one")
        self.database = self.one.database
        self.two = self.start_edge(self.database, edge_id="two")
        self.two.stop()
        self.two.write_keyring(self.one.keyring.read_text())
        self.two.start()

    def test_they_share_a_limit(self):  # S8
        url = self.one.sign("/a", id="x", limit=3)
        self.assertEqual(self.get(self.one, url), 200)
        self.database.expect_link("x", used=1)
        self.assertEqual(self.get(self.two, url), 200)
        self.database.expect_link("x", used=2)
        for edge in [self.one, self.two]:
            edge.expect_link("x", used=2)
        self.assertEqual(self.get(self.one, url), 200)
        self.database.expect_link("x", used=3)
        for edge in [self.one, self.two]:
            edge.expect_link("x", used=3)
            self.assertEqual(self.get(edge, url), "downloads-exhausted")
        self.assertEqual(
            self.database.rows("SELECT edge_id, total FROM tg_edge_count ORDER BY edge_id"),
            [{"edge_id": "one", "total": 2}, {"edge_id": "two", "total": 1}])

    def test_a_change_reaches_both(self):
        url = self.one.sign("/a", id="x", limit=9)
        for edge in [self.one, self.two]:
            self.assertEqual(self.get(edge, url), 200)
        self.database.expect_link("x", used=2)
        self.database.set("x", state=3)
        for edge in [self.one, self.two]:
            self.expect_answer(edge, url, "link-revoked")
        # In one statement: an edge that heard of the state alone would count before the reset.
        self.database.change("UPDATE tg_link SET state = 0, used = 0, reset_gen = reset_gen + 1, "
                             "max_copies = 1 WHERE link_id = 'x'")
        for edge in [self.one, self.two]:
            self.expect_answer(edge, url, 200)
        self.assertEqual(self.get(self.two, url), 200)
        self.database.expect_link("x", used=1)
        self.expect_answer(self.one, url, "downloads-exhausted")


if __name__ == "__main__":
    support.main()
