"""The tests' own database servers: they must be trusted when a test of the product fails."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

from database_servers import SERVERS, children, process_state
from small_disk import SmallDisk, enter_own_mount_namespace
from support import MIB, PATIENCE, eventually

HERE = pathlib.Path(__file__).resolve().parent


def make_certificate(folder):
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    return certificate, key


class Servers:
    """Tests of both kinds, which `kind` names."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not SERVERS[cls.kind].is_installed():
            raise unittest.SkipTest(f"{cls.kind} is not installed")

    def make_server(self, **options):
        server = SERVERS[self.kind](**options)
        self.addCleanup(server.remove)
        return server

    def start_server(self, **options):
        """A server with a table `t` of numbers, which belongs to the user `owner`."""
        server = self.make_server(**options).start()
        server.create_user("owner", "it's 100% secret")
        server.make_owner("owner")
        server.execute("CREATE TABLE t (a int PRIMARY KEY, b varchar(20))", user="owner")
        return server

    def numbers(self, server):
        return [row["a"] for row in server.rows("SELECT a FROM t ORDER BY a")]

    def test_statements_and_their_results(self):
        server = self.start_server()
        server.change("INSERT INTO t VALUES (%s, %s)", 1, "100% Größe", user="owner")
        server.execute("INSERT INTO t VALUES (2, 'b'), (3, NULL)")
        self.assertEqual(server.rows("SELECT * FROM t WHERE a < %s ORDER BY a", 3),
                         [{"a": 1, "b": "100% Größe"}, {"a": 2, "b": "b"}])
        self.assertEqual(server.value("SELECT count(*) FROM t WHERE b LIKE '100%'"), 1)
        self.assertIsNone(server.value("SELECT a FROM t WHERE a = %s", 9))
        with self.assertRaises(AssertionError):
            server.change("DELETE FROM t WHERE a = 9")

    def test_a_user_may_do_what_is_granted_and_comes_with_the_password_alone(self):
        server = self.start_server()
        server.create_user("edge", "secret", ["SELECT ON t"])
        self.assertEqual(server.rows("SELECT * FROM t", user="edge"), [])
        with self.assertRaisesRegex(Exception, "denied"):
            server.execute("DELETE FROM t", user="edge")
        server.grant("edge", "DELETE ON t")
        server.execute("DELETE FROM t", user="edge")
        for tcp in (False, True):
            server.connect("edge", tcp=tcp).close()
            for password in ("wrong", ""):
                with self.assertRaisesRegex(Exception, "denied|password"):
                    server.passwords["edge"] = password
                    server.connect("edge", tcp=tcp)
            server.passwords["edge"] = "secret"

    def test_the_owner_makes_triggers(self):
        server = self.start_server()
        if self.kind == "postgres":
            server.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
                           " 'BEGIN NEW.b = ''x''; RETURN NEW; END'", user="owner")
            server.execute("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
                           user="owner")
        else:
            server.execute("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 'x'",
                           user="owner")
        server.change("INSERT INTO t VALUES (1, 'y')")
        self.assertEqual(server.value("SELECT b FROM t"), "x")

    def test_rows_are_kept_over_stops_and_kills_and_the_port_too(self):
        server = self.start_server()
        port, url = server.port, server.url("owner")
        client = server.connect("owner")  # no stop waits for it
        self.addCleanup(client.close)
        for number, again in enumerate((server.restart, server.kill, server.kill, server.restart)):
            server.change("INSERT INTO t VALUES (%s, 'a')", number)
            again()
            if not server.is_running():
                server.start()
            self.assertEqual(self.numbers(server), list(range(number + 1)))
        self.assertEqual((server.port, server.url("owner")), (port, url))

    def test_what_was_not_committed_is_gone_after_a_kill(self):
        server = self.start_server(durable=True)
        with contextlib.closing(server.connect("owner")) as client:
            client.cursor().execute("INSERT INTO t VALUES (1, 'a')")
            server.kill()
        server.start()
        self.assertEqual(self.numbers(server), [])

    def test_nobody_answers_while_it_is_frozen_and_all_goes_on_afterwards(self):
        server = self.start_server()
        answers = []
        with contextlib.closing(server.connect("owner", tcp=True)) as client:
            with server.frozen():
                asking = threading.Thread(target=lambda: answers.append(
                    client.cursor().execute("INSERT INTO t VALUES (1, 'a')")))
                asking.start()
                processes = [server.process_id, *children(server.process_id)]
                states = [process_state(each)[1] for each in processes]
                self.assertEqual(states[0], "T")
                # One of PostgreSQL's workers may have ended just before; nobody fetches its status.
                self.assertLessEqual(set(states), {"T", "Z"})
                asking.join(0.2)
                self.assertEqual(answers, [])
            asking.join(PATIENCE)
            self.assertEqual(len(answers), 1)
            client.commit()
        self.assertEqual(self.numbers(server), [1])

    def test_one_that_is_frozen_can_be_stopped_and_killed(self):
        server = self.start_server()
        for end in (server.stop, server.kill):
            server.freeze()
            processes = [server.process_id, *children(server.process_id)]
            end()
            eventually(lambda: [each for each in processes if process_state(each)], [])
            server.start()

    def test_yesterday_is_restored(self):
        server = self.start_server()
        server.change("INSERT INTO t VALUES (1, 'a')")
        with self.assertRaises(AssertionError):
            server.backup()
        server.stop()
        server.backup()
        server.start()
        server.change("INSERT INTO t VALUES (2, 'b')")
        for _ in range(2):
            server.kill()
            server.restore()
            server.start()
            self.assertEqual(self.numbers(server), [1])

    def test_tcp_without_tls_is_refused_where_tls_is_required(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = make_certificate(pathlib.Path(folder))
            server = self.start_server(tls=(certificate, key), require_tls=True)
            with_tls, without = (({"sslmode": "verify-full", "sslrootcert": str(certificate)},
                                  {"sslmode": "disable"}) if self.kind == "postgres" else
                                 ({"ssl": {"ca": str(certificate)}}, {}))
            server.connect("owner", tcp=True, **with_tls).close()
            server.connect("owner").close()
            with self.assertRaisesRegex(Exception, "no encryption|insecure transport|denied"):
                server.connect("owner", tcp=True, **without)

    def test_it_lives_on_a_disk_that_fills_up(self):
        try:
            enter_own_mount_namespace()
            disk = SmallDisk(160 * MIB)
            self.addCleanup(disk.remove)
            disk.mount()
        except (OSError, subprocess.CalledProcessError) as failure:
            self.skipTest(f"no disk of our own: {failure}")
        server = self.start_server(folder=disk.path)
        self.assertTrue(server.data.is_relative_to(disk.path))
        server.execute("CREATE TABLE large (a int, b text)")
        server.execute("INSERT INTO large VALUES (1, repeat('x', 1000))")
        disk.fill()
        with self.assertRaisesRegex(Exception, "No space|full"):
            for _ in range(20):
                server.execute("INSERT INTO large SELECT * FROM large")
        disk.free()
        server.change("INSERT INTO t VALUES (1, 'a')")
        self.assertEqual(self.numbers(server), [1])

    def test_nothing_is_left_behind(self):
        with self.make_server() as server:
            server.kill()
        self.assertFalse(server.folder.exists())
        self.assertFalse(server.is_running())

    # -- with_database.py

    def with_database(self, *command, **options):
        return subprocess.Popen([sys.executable, str(HERE / "with_database.py"), self.kind, "--",
                                 *command], stdout=subprocess.PIPE, text=True, **options)

    def test_a_programs_exit_status_is_passed_on(self):
        for script, status in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 128 + 9)):
            with self.with_database("sh", "-c", script) as process:
                self.assertEqual(process.wait(PATIENCE), status)

    def test_a_program_finds_its_database_and_the_database_ends_with_it(self):
        script = "for each in '' _TCP _EDGE _PASSWORD _PID; do" \
                 " eval echo \"\\$TALLYGATE_TEST_DATABASE$each\"; done; read _"
        scheme = SERVERS[self.kind].scheme
        for ending in (None, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            with self.subTest(ending=ending), \
                    self.with_database("sh", "-c", script, stdin=subprocess.PIPE) as process:
                owner, by_tcp, edge, password, process_id = [
                    process.stdout.readline().rstrip("\n") for _ in range(5)]
                self.assertRegex(owner, f"^{scheme}://owner@.*/shop\\?(host|socket)=/")
                self.assertRegex(by_tcp, f"^{scheme}://owner@127.0.0.1:[0-9]+/shop$")
                self.assertEqual(edge, owner.replace("owner", "edge"))
                self.assertGreater(len(password), 10)
                folder = pathlib.Path(owner.partition("=")[2])
                folder = folder if folder.is_dir() else folder.parent
                self.assertIsNotNone(process_state(process_id))
                if ending:
                    process.send_signal(ending)
                else:
                    process.stdin.close()
                process.wait(PATIENCE)
                eventually(lambda: (process_state(process_id), folder.exists()), (None, False))


class Postgres(Servers, unittest.TestCase):
    kind = "postgres"


class MariaDb(Servers, unittest.TestCase):
    kind = "mariadb"


class Usage(unittest.TestCase):
    def test_what_it_does_not_understand_it_does_not_run(self):
        for arguments in ([], ["postgres", "true"], ["oracle", "--", "true"], ["mariadb", "--"]):
            done = subprocess.run([sys.executable, str(HERE / "with_database.py"), *arguments],
                                  capture_output=True, text=True, env=os.environ)
            self.assertEqual(done.returncode, 64)
            self.assertIn("usage:", done.stderr)


if __name__ == "__main__":
    unittest.main()
