"""What goes wrong with a database on a server: each fault is said, loses nothing and heals itself."""

import contextlib
import os
import subprocess
import threading
import time
import unittest

import shop_outage_test
import support
from command_case import health
from cutting_proxy import CuttingProxy
from database_case import EDGE, OnMaria, OnPostgres
from shop_case import ShopTest
from small_disk import SmallDisk, enter_own_mount_namespace
from support import MIB, eventually

FROZEN = int(os.environ.get("FROZEN", 3))  # seconds, beyond what it takes until all is said


class FaultCase(ShopTest):
    """What these tests share."""

    def expect_said(self, server, *parts):
        """Waits until the server says of its database what is wrong with it."""
        for part in parts:
            eventually(lambda: part in health(server)["shop"].get("last_error", ""))
        self.assertEqual(health(server)["status"], "degraded")
        said = server.command("shop", "status", "--config", server.config, "--json", check=False)
        self.assertEqual(said.returncode, 1)
        self.assertIn(parts[0], said.stdout)
        for password in server.database.server.passwords.values():
            self.assertNotIn(password, said.stdout + str(health(server)))

    def waiting(self, server):
        """Counts that have not reached the database: queued in memory, or in the outbox."""
        shop = health(server)["shop"]
        return shop["events_waiting"] + shop["copies_waiting"]

    def download(self, server, link_id, times=1):
        for _ in range(times):
            self.assertEqual(self.get(server, server.sign("/a", id=link_id, limit=1_000_000)), 200)

    def expect_exact(self, server, link_id, copies):
        """The shop, the edge's own total and the ledger say the same."""
        server.expect_link(link_id, copies=copies)
        server.database.expect_link(link_id, used=copies)
        self.assertEqual(server.database.delivered(link_id), copies)
        server.database.expect_in_history(link_id, copies)
        eventually(lambda: [health(server)["shop"][name] for name in (
            "reachable", "events_waiting", "batches_waiting", "copies_waiting", "lag_seconds")],
            [True, 0, 0, 0, 0])

    @contextlib.contextmanager
    def under_load(self, server, link_id):
        """Whole downloads, one after the other; what comes out is a list of one for each."""
        done, errors, stop = [], [], threading.Event()

        def download():
            while not stop.is_set():
                answer = self.get_once(server, server.sign("/a", id=link_id, limit=1_000_000_000))
                (done if answer == 200 else errors).append(answer)

        client = threading.Thread(target=download)
        client.start()
        try:
            yield done
        finally:
            stop.set()
            client.join()
        self.assertEqual(errors, [])


class Faults(FaultCase):
    """On PostgreSQL and on MariaDB, see the end of this file."""

    cuts = ("before", "after", "during")

    def start_behind_proxy(self):
        proxy = CuttingProxy(self.database_server)
        self.addCleanup(proxy.remove)
        database = self.make_database(None)
        own = database.settings
        database.settings = {**own, "url": proxy.url(EDGE, database.name)}
        self.make_database = lambda _: database
        server = self.start_edge()
        return server, proxy

    def test_a_line_that_is_cut_around_a_commit_counts_once(self):  # S2
        server, proxy = self.start_behind_proxy()
        copies = 0
        for cut in self.cuts:
            with self.subTest(cut=cut):
                watch = proxy.watch(server.database.commit, cut=cut)
                self.download(server, "x", 2)
                copies += 2
                eventually(lambda: watch.cuts, 1)
                self.expect_exact(server, "x", copies)

    def test_a_server_that_stands_still_keeps_nobody_waiting(self):  # S5
        server = self.start_edge()
        self.download(server, "x")
        self.expect_exact(server, "x", 1)
        with self.under_load(server, "x") as done:
            with self.database_server.frozen():
                before = len(done)
                eventually(lambda: health(server)["shop"]["reachable"], False)
                eventually(lambda: len(done) > before + 20)
                time.sleep(FROZEN)  # through several attempts to reach it
                eventually(lambda: self.waiting(server) > 20)
                self.download(server, "new")  # its row cannot be looked up
                self.assertEqual(self.get(server, server.sign("/a")), 200)
        self.expect_exact(server, "x", 1 + len(done))
        self.expect_exact(server, "new", 1)

    def test_a_server_that_is_restarted_or_killed_is_told_the_rest(self):
        server = self.start_edge()
        with self.under_load(server, "x") as done:
            for end in (self.database_server.restart, self.kill_and_start):
                before = len(done)
                eventually(lambda: len(done) > before + 5)
                end()
        self.expect_exact(server, "x", len(done))

    def kill_and_start(self):
        self.database_server.kill()
        self.database_server.start()

    def test_a_wrong_password_is_said_and_the_right_one_taken(self):  # S10
        server = self.start_edge()
        right = self.database_server.passwords[EDGE]
        server.database.set_password(EDGE, "another")
        self.addCleanup(server.database.set_password, EDGE, right)
        self.database_server.restart()
        self.download(server, "x", 2)
        self.expect_said(server, EDGE)
        server.database.set_password(EDGE, right)
        self.expect_exact(server, "x", 2)

    def test_a_missing_table_is_named(self):  # S7
        server = self.start_edge()
        self.download(server, "x")
        self.expect_exact(server, "x", 1)
        server.database.execute("ALTER TABLE tg_download RENAME TO tg_hidden")
        self.download(server, "x", 2)
        self.expect_said(server, "tg_download")
        server.database.execute("ALTER TABLE tg_hidden RENAME TO tg_download")
        self.expect_exact(server, "x", 3)

    def test_a_missing_right_is_named(self):  # S7
        server = self.start_edge()
        server.database.execute(f"REVOKE UPDATE ON tg_link FROM {EDGE}")
        self.download(server, "x", 2)
        self.expect_said(server, "tg_link")
        server.database.execute(f"GRANT UPDATE ON tg_link TO {EDGE}")
        self.expect_exact(server, "x", 2)

    def test_a_server_that_takes_no_writes_is_told_later(self):
        server = self.start_edge()
        self.addCleanup(server.database.set_read_only, False)
        server.database.set_read_only(True)
        self.download(server, "x", 2)
        self.expect_said(server, "read-only")
        server.database.set_read_only(False)
        self.expect_exact(server, "x", 2)

    def test_a_database_of_yesterday_is_sent_what_it_misses(self):  # S6
        server = self.start_edge()
        self.download(server, "x", 3)
        self.expect_exact(server, "x", 3)
        self.database_server.stop()
        self.database_server.backup()
        self.database_server.start()
        self.download(server, "x", 4)
        self.download(server, "y", 1)
        self.expect_exact(server, "x", 7)
        self.expect_exact(server, "y", 1)
        self.database_server.stop()
        self.database_server.restore()
        self.database_server.start()
        self.expect_exact(server, "x", 7)
        self.expect_exact(server, "y", 1)

    def test_a_change_is_heard_while_counts_go_the_other_way(self):  # S4
        server = self.start_edge()
        with self.under_load(server, "x") as done:
            eventually(lambda: len(done) > 5)
            self.download(server, "y")
            server.database.expect_link("y", used=1)
            server.database.set("y", state=3)
            url = server.sign("/a", id="y", limit=1_000_000)
            eventually(lambda: self.get(server, url), "link-revoked")


class FaultsOfPostgres(OnPostgres, Faults):
    def test_a_connection_that_the_server_ends_counts_once(self):
        server = self.start_edge()
        with self.under_load(server, "x") as done:
            for _ in range(5):
                before = len(done)
                eventually(lambda: len(done) > before + 5)
                eventually(lambda: server.database.terminate_edges() > 0)
        self.expect_exact(server, "x", len(done))

    def test_a_change_is_heard_at_once_and_not_at_the_next_poll(self):
        server = self.start_edge(poll="1m")
        self.download(server, "x")
        eventually(lambda: server.database.link("x") is not None)
        server.database.set("x", state=3)
        # The next poll would come too late for this.
        eventually(lambda: self.get(server, server.sign("/a", id="x", limit=9)), "link-revoked",
                   patience=40)


class FaultsOfMaria(OnMaria, Faults):
    # The proxy does not see the end of its client library's request, and so has no "after".
    cuts = ("before", "during")


class FullDisk:
    """Goes before OnPostgres or OnMaria: the database is on a small disk."""

    @classmethod
    def start_database_server(cls, **options):
        try:
            enter_own_mount_namespace()
            disk = SmallDisk(192 * MIB)
            cls.addClassCleanup(disk.remove)
            disk.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            raise unittest.SkipTest(f"no disk to fill: {error}")
        cls.disk = disk
        return super().start_database_server(folder=disk.path, **options)

    def test_a_full_disk_of_the_database_is_said_and_everything_arrives_later(self):
        server = self.start_edge()
        with self.under_load(server, "x") as done:
            eventually(lambda: len(done) > 5)
            self.disk.fill()
            eventually(lambda: self.disk.fill() or
                       health(server)["shop"].get("last_error", "") != "")
            before = len(done)
            eventually(lambda: len(done) > before + 20)
            self.disk.free()
            if not self.database_server.is_running():  # some give up when they cannot write
                self.database_server.kill()
                self.database_server.start()
        self.expect_exact(server, "x", len(done))


class FullDiskOfPostgres(FullDisk, OnPostgres, FaultCase):
    pass


class FullDiskOfMaria(FullDisk, OnMaria, FaultCase):
    pass


class KilledBesidePostgres(OnPostgres, shop_outage_test.Killed):
    pass


class KilledBesideMaria(OnMaria, shop_outage_test.Killed):
    pass


del FaultCase, Faults, ShopTest  # run on servers alone

if __name__ == "__main__":
    support.main()
