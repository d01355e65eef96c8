"""What the tests of the shop share: servers on one database, and the merchant's own SQL.

The database is SQLite's here; database_case.py has the same tests run on others.
"""

import contextlib
import sqlite3

import support
from command_case import health
from support import KIB, MIB, PATIENCE, Server, eventually, some_bytes

ACTIVE, HELD, REFUNDED, REVOKED = range(4)


class Database:
    """The shop's database as a merchant's tools see it: plain SQL, with ? for each value.

    `settings` are those of [shop] that name it.
    """

    settings = {}

    def prepare(self, server):
        """Makes what there must be before the first server starts, whose settings are written."""

    def _run(self, sql, values):
        """One statement, committed: the number of rows that it changed."""
        raise NotImplementedError

    def rows(self, sql, *values):
        raise NotImplementedError

    def locked(self):
        """Context manager: keeps others from writing, as a long transaction of the merchant's."""
        raise NotImplementedError

    def away(self):
        """Context manager: nobody can reach it, and nothing in it is lost."""
        raise NotImplementedError

    def change(self, sql, *values):
        """One statement, which must change one row."""
        changed = self._run(sql, values)
        assert changed == 1, f"{changed} rows changed by {sql} with {values}"

    def value(self, sql, *values):
        """The first column of the first row; None when there is none."""
        for row in self.rows(sql, *values):
            return next(iter(row.values()))
        return None

    def set(self, link_id, **columns):
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self.change(f"UPDATE tg_link SET {assignments} WHERE link_id = ?", *columns.values(),
                    link_id)

    def link(self, link_id):
        rows = self.rows("SELECT * FROM tg_link WHERE link_id = ?", link_id)
        return rows[0] if rows else None

    def expect_link(self, link_id, **expected):
        """Waits until the row has these values."""
        eventually(lambda: {name: (self.link(link_id) or {}).get(name) for name in expected},
                   expected)

    def history(self, link_id):
        return self.rows("SELECT * FROM tg_download WHERE link_id = ? ORDER BY started_at, event_id",
                         link_id)

    def expect_in_history(self, link_id, copies):
        """Waits until the rows of its history add up to so many copies; returns the rows.

        How a download ended is told after what it counted.
        """
        rows = []

        def look():
            rows[:] = self.history(link_id)
            return sum(row["counted"] for row in rows)

        eventually(look, copies)
        return rows

    def delivered(self, link_id):
        """The copies that the edges say they delivered, over the life of the link."""
        return self.value("SELECT coalesce(sum(total), 0) FROM tg_edge_count WHERE link_id = ?",
                          link_id)


class SqliteDatabase(Database):
    def __init__(self, path):
        self.path = path
        self.settings = {"url": f"sqlite:{path}"}

    def _run(self, sql, values):
        with contextlib.closing(sqlite3.connect(self.path, timeout=PATIENCE)) as db, db:
            return db.execute(sql, values).rowcount

    def rows(self, sql, *values):
        with contextlib.closing(sqlite3.connect(self.path, timeout=PATIENCE)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]

    @contextlib.contextmanager
    def locked(self):
        with contextlib.closing(sqlite3.connect(self.path, timeout=PATIENCE,
                                                isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("COMMIT")

    @contextlib.contextmanager
    def away(self):
        away = self.path.with_suffix(".away")
        self.path.rename(away)
        yield
        away.rename(self.path)


class ShopTest(support.TestCase):
    def make_database(self, server):
        """The shop's database for a server that is yet to start."""
        return SqliteDatabase(server.folder / "shop.db")

    def start_edge(self, database=None, edge_id="edge-1", poll="100ms", **settings):
        """A server with a shop: /a of 64 KiB and /large of 16 MiB. `database` is another's."""
        server = Server(settings)
        self.addCleanup(self._end, server)
        server.database = database or self.make_database(server)
        server.configure({"shop": {**server.database.settings, "poll": poll, "edge_id": edge_id}})
        server.write("/a", some_bytes(64 * KIB), mtime=1700000000)
        server.write("/large", some_bytes(16 * MIB), mtime=1700000000)
        if database is None:
            server.database.prepare(server)
        server.start()
        eventually(lambda: health(server)["shop"]["reachable"])
        return server

    def get_once(self, server, url):
        """The status of a whole download, or the name of its refusal."""
        response = server.get(url)
        return response.status if response.status == 200 else response.problem

    def get(self, server, url):
        """As get_once, but comes back where only the shop knows the answer and took too long."""
        shop_decides = server.settings["links"].get("authority") == "shop"
        while (answer := self.get_once(server, url)) == "temporarily-unavailable" and shop_decides:
            pass
        return answer

    def expect_heard(self, server, url):
        """Waits until the server, which knew no link, has looked up the row of this one.

        A look-up that takes too long is no reason not to serve: then what was signed holds.
        """
        eventually(lambda: server.get(url, method="HEAD") and health(server)["ledger"]["links"], 1)

    def expect_answer(self, server, url, answer):
        """Waits until a HEAD, which reserves nothing, is answered so: a status or a refusal."""
        statuses = {"link-revoked": 403, "link-expired": 410, "downloads-exhausted": 403}
        eventually(lambda: server.get(url, method="HEAD").status, statuses.get(answer, answer))
        if answer in statuses:
            self.assertEqual(self.get(server, url), answer)

    @contextlib.contextmanager
    def slow_download(self, server, url):
        """A download of /large that is under way and stands still until it is read."""
        with server.client(receive_buffer=4 * KIB) as client:
            client.request(url)
            head = client.read_head()
            self.assertEqual(head.status, 200)
            client.head = head
            yield client
