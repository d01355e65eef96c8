"""What the tests of databases on a server share: PostgreSQL's and MariaDB's, as a shop has them.

Each class of tests has a server of its own, and each test a database on it, in which the edge has
the rights that `tallygate shop init --grants` prints and no more. A class that says `kind` runs
its base's tests on another server:

    class Rows(OnPostgres, shop_test.Rows):
        pass
"""

import contextlib
import itertools
import secrets
import unittest

from command_case import FAILED, health
from database_servers import SERVERS
from shop_case import Database, ShopTest
from support import eventually

OWNER, EDGE = "owner", "edge"


class ServerDatabase(Database):
    """A database on a server of database_servers.py."""

    engine = None  # as /healthz names it

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.settings = self.settings_of(EDGE)

    def settings_of(self, user, **where):
        """`where`: the `folder` and `port` of a proxy, `tcp`."""
        return {"url": self.server.url(user, self.name, **where),
                "password_file": str(self.password_file(user))}

    def password_file(self, user):
        file = self.server.folder / f"{user}.password"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(self.server.passwords[user] + "\n")
        return file

    def prepare(self, server):
        self.server.create_database(self.name, OWNER)
        self.make_tables(server)
        self.grant(server)

    def make_tables(self, server):
        owner = self.settings_of(OWNER)
        server.command("shop", "init", "--config", server.config, "--url", owner["url"],
                       "--password-file", owner["password_file"])

    def grant(self, server):
        grants = server.command("shop", "init", "--config", server.config, "--grants", EDGE).stdout
        for statement in filter(str.strip, grants.split(";\n")):
            self.server.execute(statement, user=OWNER, database=self.name)

    def _translate(self, sql, values):
        """Without values a % is a %."""
        return sql.replace("%", "%%").replace("?", "%s") if values else sql

    def _run(self, sql, values):
        return self.server.execute(self._translate(sql, values), *values, user=OWNER,
                                   database=self.name)

    def execute(self, sql, *values):
        return self._run(sql, values)

    def rows(self, sql, *values):
        return self.server.rows(self._translate(sql, values), *values, user=OWNER,
                                database=self.name)

    @contextlib.contextmanager
    def locked(self):
        with contextlib.closing(self.server.connect(OWNER, database=self.name)) as connection:
            with connection.cursor() as cursor:
                self._lock(cursor)
                yield
            connection.rollback()

    @contextlib.contextmanager
    def away(self):
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()


class PostgresDatabase(ServerDatabase):
    engine = "PostgreSQL"
    commit = b"COMMIT"  # as the edge spells it

    def _lock(self, cursor):
        cursor.execute("LOCK TABLE tg_link, tg_edge IN EXCLUSIVE MODE")

    def terminate_edges(self):
        """Ends the edges' connections; how many."""
        return len(self.server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                    "WHERE usename = %s", EDGE))

    def set_password(self, user, password):
        """For connections that are made from now on."""
        self.server.execute(f"ALTER ROLE {user} PASSWORD %s", password)

    def set_read_only(self, is_on):
        """Of all transactions that begin from now on, those of the running connections too."""
        self.server.execute("ALTER SYSTEM " + ("SET default_transaction_read_only = on" if is_on
                                               else "RESET default_transaction_read_only"))
        self.server.execute("SELECT pg_reload_conf()")


class MariaDatabase(ServerDatabase):
    engine = "MariaDB"
    commit = b"\3COMMIT"

    def set_password(self, user, password):
        """For connections that are made from now on."""
        self.server.execute(f"SET PASSWORD FOR {user} = PASSWORD(%s)", password)

    def set_read_only(self, is_on):
        self.server.execute(f"SET GLOBAL read_only = {int(is_on)}")

    def _lock(self, cursor):
        cursor.execute("SELECT * FROM tg_edge FOR UPDATE")
        cursor.fetchall()
        cursor.execute("SELECT * FROM tg_link FOR UPDATE")
        cursor.fetchall()


class OnServer:
    """Goes before a class of tests that has a ShopTest in it."""

    maxDiff = None
    kind = None
    database_class = None
    server_options = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not SERVERS[cls.kind].is_installed():
            raise unittest.SkipTest(f"{cls.kind} is not installed")
        cls.names = (f"shop{n}" for n in itertools.count(1))
        cls.database_server = cls.start_database_server()
        cls.addClassCleanup(cls.database_server.remove)

    @classmethod
    def start_database_server(cls, **options):
        server = SERVERS[cls.kind](**cls.server_options, **options)
        try:
            server.start()
            for user in (OWNER, EDGE):
                server.create_user(user, secrets.token_urlsafe(16))
        except BaseException:
            server.remove()
            raise
        return server

    def make_database(self, _):
        return self.database_class(self.database_server, next(self.names))

    def start_edge(self, *arguments, **options):
        server = super().start_edge(*arguments, **options)
        self.assertRegex(health(server)["shop"]["engine"],
                         rf"^{server.database.engine} \d+\.\d+")
        return server


class OnPostgres(OnServer):
    kind, database_class = "postgres", PostgresDatabase


class OnMaria(OnServer):
    kind, database_class = "mariadb", MariaDatabase
