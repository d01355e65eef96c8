"""The proxy that cuts lines: before, after and during a commit, exactly where it says."""

import contextlib
import pathlib
import shutil
import socket
import tempfile
import threading
import unittest

from cutting_proxy import CuttingProxy, MariaFrames, PostgresFrames
from database_servers import SERVERS
from support import PATIENCE, eventually


class Cuts:
    """Tests of both kinds, which `kind` names."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not SERVERS[cls.kind].is_installed():
            raise unittest.SkipTest(f"{cls.kind} is not installed")
        cls.server = SERVERS[cls.kind]().start()
        cls.addClassCleanup(cls.server.remove)
        cls.server.create_user("owner", "secret")
        cls.server.make_owner("owner")
        cls.server.execute("CREATE TABLE t (a int)", user="owner")

    def setUp(self):
        self.server.execute("DELETE FROM t")
        self.proxy = CuttingProxy(self.server)
        self.addCleanup(self.proxy.remove)

    def connect(self, tcp=False):
        where = {"host": "127.0.0.1", "port": self.proxy.port}
        if not tcp:
            where = ({"host": str(self.proxy.folder), "port": 5432} if self.kind == "postgres" else
                     {"unix_socket": str(self.proxy.folder / self.server.socket_name)})
        if self.kind == "postgres":
            where["sslmode"] = "prefer"  # asks for encryption first, by TCP
        client = self.server.connect("owner", tcp=tcp, **where)
        self.addCleanup(self.close, client)
        return client

    @staticmethod
    def close(client):
        with contextlib.suppress(Exception):
            client.close()

    def insert(self, client, number):
        """A transaction; what is raised says that its end is not known."""
        client.cursor().execute("INSERT INTO t VALUES (%s)", (number,))
        client.commit()

    def numbers(self):
        return sorted(row["a"] for row in self.server.rows("SELECT a FROM t"))

    def test_nothing_is_changed_while_nothing_is_to_be_cut(self):
        commits = self.proxy.watch(self.commit)
        for tcp in (False, True):
            client = self.connect(tcp)
            self.insert(client, 1)
            self.insert(client, 2)
        self.assertEqual(self.numbers(), [1, 1, 2, 2])
        self.assertEqual((commits.matches, commits.cuts, self.proxy.connections), (4, 0, 2))
        self.assertIn(str(self.proxy.folder), self.proxy.url("owner"))
        self.assertIn(f":{self.proxy.port}/", self.proxy.url("owner", tcp=True))

    def test_a_commit_before_which_the_line_is_cut_is_not_carried_out(self):
        watch = self.proxy.watch(self.commit, cut="before")
        with self.assertRaises(Exception):
            self.insert(self.connect(), 1)
        eventually(lambda: watch.cuts)
        self.assertEqual(self.numbers(), [])
        self.insert(self.connect(), 2)  # only once
        self.assertEqual((self.numbers(), watch.matches, watch.cuts), ([2], 2, 1))

    def test_a_commit_after_which_the_line_is_cut_is_carried_out(self):
        for tcp in (False, True):
            watch = self.proxy.watch(self.commit, cut="after", times=2)
            for number in (1, 2):
                with self.assertRaises(Exception):
                    self.insert(self.connect(tcp), number)
            eventually(self.numbers, [1, 2])
            self.insert(self.connect(tcp), 3)
            self.assertEqual((watch.matches, watch.cuts), (3, 2))
            self.server.execute("DELETE FROM t")
            self.proxy.forget(watch)

    def test_a_commit_whose_answer_is_dropped_has_been_carried_out_when_the_line_is_cut(self):
        for tcp in (False, True):
            watch = self.proxy.watch(self.commit, cut="during")
            with self.assertRaises(Exception):
                self.insert(self.connect(tcp), 1)
            self.assertEqual(self.numbers(), [1])
            eventually(lambda: watch.cuts)
            self.server.execute("DELETE FROM t")
            self.proxy.forget(watch)

    def test_a_long_statement_arrives_in_full_before_the_line_is_cut(self):
        client = self.connect()
        watch = self.proxy.watch(b"INSERT INTO t", cut="after")
        with self.assertRaises(Exception):
            client.autocommit(True) if self.kind == "mariadb" else client.set_session(
                autocommit=True)
            client.cursor().execute(f"INSERT INTO t VALUES (1) /* {'x' * 1_000_000} */")
        eventually(self.numbers, [1])
        self.assertEqual(watch.cuts, 1)

    def test_a_commit_is_held_until_it_is_released(self):
        watch = self.proxy.watch(self.commit, cut="hold")
        client = self.connect()
        inserting = threading.Thread(target=self.insert, args=(client, 1))
        inserting.start()
        eventually(lambda: watch.cuts, 1)
        self.insert(self.connect(), 2)  # others pass
        self.assertEqual(self.numbers(), [2])
        self.proxy.release()
        inserting.join(PATIENCE)
        self.assertEqual(self.numbers(), [1, 2])

    def test_everything_is_held_until_it_is_released(self):
        client = self.connect()
        with self.proxy.held():
            inserting = threading.Thread(target=self.insert, args=(client, 1))
            inserting.start()
            inserting.join(0.2)
            self.assertTrue(inserting.is_alive())
            self.assertEqual(self.numbers(), [])
        inserting.join(PATIENCE)
        self.assertEqual(self.numbers(), [1])

    def test_lines_are_cut_and_new_ones_refused(self):
        client = self.connect()
        port = self.proxy.port
        with self.proxy.away():
            with self.assertRaises(Exception):
                self.insert(client, 1)
            for tcp in (False, True):
                with self.assertRaises(Exception):
                    self.connect(tcp)
        self.assertEqual(self.proxy.port, port)
        for tcp in (False, True):
            self.insert(self.connect(tcp), 2)
        self.assertEqual(self.numbers(), [2, 2])

    def test_lines_that_are_held_are_cut_as_well(self):
        client = self.connect()
        self.proxy.hold()
        self.proxy.cut()
        with self.assertRaises(Exception):
            self.insert(client, 1)
        eventually(lambda: len(self.proxy.lines), 0)
        self.proxy.release()
        self.insert(self.connect(), 2)
        self.assertEqual(self.numbers(), [2])

    def test_a_server_that_is_away_is_away_through_the_proxy_and_comes_back(self):
        self.server.stop()
        try:
            with self.assertRaises(Exception):
                self.connect()
        finally:
            self.server.start()
        self.insert(self.connect(), 1)
        self.assertEqual(self.numbers(), [1])


class Postgres(Cuts, unittest.TestCase):
    kind = "postgres"
    commit = b"COMMIT"


class MariaDb(Cuts, unittest.TestCase):
    kind = "mariadb"
    commit = b"\3COMMIT"  # not SET AUTOCOMMIT, with which clients begin


class ByteByByte(unittest.TestCase):
    """However the bytes arrive, and with a server that is a socket of the test's."""

    scheme, socket_name = "mysql", "socket"

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(self.folder / self.socket_name))
        listener.listen()
        self.proxy = CuttingProxy(self)
        self.addCleanup(self.proxy.remove)
        self.client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=PATIENCE)
        self.addCleanup(self.client.close)
        self.server, _ = listener.accept()
        self.server.settimeout(PATIENCE)
        self.addCleanup(self.server.close)

    @staticmethod
    def packet(text):
        return len(text).to_bytes(3, "little") + b"\0" + text

    def say(self, data):
        with contextlib.suppress(OSError):
            for byte in data:
                self.client.send(bytes([byte]))

    def read_all(self, end):
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := end.recv(4096):
                received += data
        return received

    def test_cut_after_a_request_whose_bytes_come_one_by_one(self):
        watch = self.proxy.watch(b"COMMIT", cut="after")
        wanted = self.packet(b"\3first") + self.packet(b"\3Commit AND CHAIN")
        self.say(wanted + self.packet(b"\3never"))
        self.assertEqual(self.read_all(self.server), wanted)
        self.assertEqual(self.read_all(self.client), b"")
        self.assertEqual(watch.cuts, 1)

    def test_cut_before_the_last_byte_of_a_match_that_comes_one_by_one(self):
        self.proxy.watch(b"COMMIT", cut="before")
        self.say(self.packet(b"\3first") + self.packet(b"\3COMMIT"))
        received = self.read_all(self.server)
        self.assertTrue(received.startswith(self.packet(b"\3first")))
        self.assertLess(len(received), len(self.packet(b"\3first") + self.packet(b"\3COMMIT")))

    def test_several_requests_in_one_piece_are_cut_where_the_match_is(self):
        self.proxy.watch(b"COMMIT", cut="before")
        self.client.sendall(self.packet(b"\3first") + self.packet(b"\3COMMIT") +
                            self.packet(b"\3never"))
        self.assertEqual(self.read_all(self.server), self.packet(b"\3first") +
                         self.packet(b"\3COMMIT")[:5])

    def test_cut_when_the_answer_has_come_in_full(self):
        watch = self.proxy.watch(b"COMMIT", cut="during")
        self.client.sendall(self.packet(b"\3COMMIT"))
        self.assertEqual(self.server.makefile("rb").read(11), self.packet(b"\3COMMIT"))
        answer = self.packet(b"\0\0\0\2\0\0\0")
        self.server.sendall(answer[:-1])
        self.assertEqual(watch.cuts, 0)
        self.server.sendall(answer[-1:])
        self.assertEqual(self.read_all(self.client), b"")
        eventually(lambda: watch.cuts, 1)

    def test_a_pattern_is_counted_once_each_time(self):
        watch = self.proxy.watch(b"abab")
        other = self.proxy.watch(b"\3")
        self.say(self.packet(b"\3ABab, abab, aBa"))
        self.client.sendall(self.packet(b"\3ababab"))
        self.client.shutdown(socket.SHUT_WR)
        self.read_all(self.server)
        self.assertEqual((watch.matches, other.matches), (3, 2))


class FramesTest(unittest.TestCase):
    """The end of a request, whatever the pieces."""

    def ends(self, frames, pieces):
        at, found = 0, []
        for piece in pieces:
            found += [at + end for end in frames.read_client(piece)]
            at += len(piece)
        return found

    def expect_ends(self, frames_class, data, wanted):
        for size in (1, 2, 3, 5, 7, 11, len(data)):
            pieces = [data[at:at + size] for at in range(0, len(data), size)]
            self.assertEqual(self.ends(frames_class(), pieces), wanted, f"in pieces of {size}")

    @staticmethod
    def typed(kind, body=b""):
        return kind + (len(body) + 4).to_bytes(4, "big") + body

    def test_postgresql(self):
        wish = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
        start = (14).to_bytes(4, "big") + (196608).to_bytes(4, "big") + b"user\0\0"
        prepared = self.typed(b"P", b"\0COMMIT\0\0\0") + self.typed(b"B", b"x" * 300) + \
            self.typed(b"E") + self.typed(b"S")
        data = wish + start + self.typed(b"p", b"md5") + self.typed(b"Q", b"BEGIN\0") + prepared
        first = len(wish + start)
        self.expect_ends(PostgresFrames, data, [first, len(data) - len(prepared), len(data)])

    def test_mariadb(self):
        packets = [len(text).to_bytes(3, "little") + b"\0" + text
                   for text in (b"\3COMMIT", b"", b"\3" + b"x" * 300)]
        self.expect_ends(MariaFrames, b"".join(packets), [11, 15, 15 + 305])

    def test_what_is_encrypted_is_not_read(self):
        frames = PostgresFrames()
        self.assertEqual(frames.read_client((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")),
                         [])
        frames.read_server(b"S")
        self.assertEqual(frames.read_client(self.typed(b"Q", b"COMMIT\0")), [])
        frames = MariaFrames()
        frames.read_client((32).to_bytes(3, "little") + b"\1" + bytes(32))
        self.assertEqual(frames.read_client(b"\3\0\0\0abc"), [])


if __name__ == "__main__":
    unittest.main()
