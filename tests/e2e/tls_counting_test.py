"""The meter under TLS: the same tests as without it, whose bytes now lie in records, and programs.

TCP acknowledges ciphertext, links are counted in plaintext: what is half a record has not arrived.
"""

import hashlib
import pathlib
import subprocess
import unittest

import content_test
import counting_test
import drain_test
import ending_test
import range_test
from counting import CountingTestCase, let_it_acknowledge
from support import GIB, KIB, MIB, PATIENCE, new_link_id, some_bytes
from tls_case import TLS_1_2, TLS_1_3, TlsServer


class EndingTest(ending_test.EndingTest):
    server_class = TlsServer


class Ending12Test(ending_test.EndingTest):
    class server_class(TlsServer):
        def context(self, version=TLS_1_2, trust=True):
            return super().context(version, trust)


class BreaksTest(counting_test.BreaksTest):
    server_class = TlsServer


class SmallFilesTest(counting_test.SmallFilesTest):
    server_class = TlsServer


class ContentTest(content_test.ContentTest):
    server_class = TlsServer


class RangeTest(range_test.RangeTest):
    server_class = TlsServer


class DrainTest(drain_test.DrainTest):
    server_class = TlsServer


class RecordsTest(CountingTestCase):
    """What is special about records."""

    server_class = TlsServer
    settings = {"server": {"threads": 1, "send_timeout": "3s"}}

    def versions(self):
        for version in (TLS_1_2, TLS_1_3):
            with self.subTest(version=version.name):
                yield self.server.context(version)

    def test_a_client_that_reads_nothing_holds_its_transfer_until_it_is_cut(self):
        content = self.server.write("/file", some_bytes(24 * MIB))
        for context in self.versions():
            link, url = self.link("/file", 1)
            client = self.server.client(context, receive_buffer=64 * KIB)
            self.addCleanup(client.close)
            client.request(url)
            self.server.expect_link(link, in_flight=1, used=0, copies=0)
            self.server.expect_link(link, in_flight=0, used=0, copies=0)  # after send_timeout
            self.assertEqual(self.server.get(url).body, content)
            self.server.expect_link(link, used=1, copies=1)

    def test_the_traffic_of_whole_downloads_is_exactly_their_plaintext(self):
        size = 3 * MIB + 12345
        self.server.write("/file", some_bytes(size))
        for context in self.versions():
            link, url = self.link("/file", 100)
            with self.server.client(context) as client:
                for _ in range(10):
                    self.assertEqual(client.ask(url).length, size)
            self.server.expect_link(link, used=10, copies=10, traffic_bytes=10 * size)

    def test_single_bytes_of_a_file_add_up_to_a_copy(self):
        content = self.server.write("/tiny", some_bytes(100))
        for context in self.versions():
            link, url = self.link("/tiny", 1)
            with self.server.client(context) as client:
                for i in range(100):
                    response = client.ask(url, {"Range": f"bytes={i}-{i}"})
                    self.assertEqual(response.body, content[i:i + 1])
                    if i == 98:
                        self.server.expect_link(link, copies=0)
            self.server.expect_link(link, used=1, copies=1, traffic_bytes=100)

    def test_who_closes_with_a_record_half_read_has_it_counted_once_all_the_same(self):
        """Broken off at many places, resumed where the bytes ended: one copy, and no more."""
        size = 12 * MIB
        content = self.server.write("/file", some_bytes(size))
        for context in self.versions():
            for leave in ("close", "reset"):
                link, url = self.link("/file", 3)
                received = b""
                for step in (1, 16 * KIB - 1, 16 * KIB, 40 * KIB + 7, MIB + 1, 3 * MIB):
                    client = self.server.client(context, receive_buffer=64 * KIB)
                    client.request(url, {"Range": f"bytes={len(received)}-"})
                    self.assertEqual(client.read_head().status, 206)
                    received += client.read(step)
                    let_it_acknowledge()
                    getattr(client, leave)()
                with self.server.client(context) as client:
                    response = client.ask(url, {"Range": f"bytes={len(received)}-"})
                self.assertEqual(received + response.body, content)
                self.server.expect_link(link, used=1, copies=1)

    def test_a_sparse_file_beyond_4_gib_is_a_copy(self):
        size = 5 * GIB
        self.sparse("/file", size)
        link, url = self.link("/file", 1)
        answers = [self.fetch(url, first, min(first + GIB, size))
                   for first in range(0, size, GIB)]
        self.assertEqual(answers, ["ok"] * 5)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=size)
        self.assertEqual(self.fetch(url), "downloads-exhausted")


class ProgramsTest(CountingTestCase):
    server_class = TlsServer
    size = 60 * MIB

    def setUp(self):
        super().setUp()
        self.content = self.server.write("/file", some_bytes(self.size))
        self.link_id, path = self.link("/file", 1)
        self.url = f"https://localhost:{self.server.tls_port}{path}"
        self.target = pathlib.Path(self.server.folder) / "downloaded"
        self.trusted = self.server.certificate.file

    def run_program(self, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def expect_one_copy(self):
        with open(self.target, "rb") as file:
            self.assertEqual(hashlib.file_digest(file, "sha256").digest(),
                             hashlib.sha256(self.content).digest())
        self.server.expect_link(self.link_id, used=1, copies=1, blocked="copies")

    def test_curl(self):
        for version in ("1.2", "1.3"):
            with self.subTest(version=version):
                self.link_id = new_link_id()
                path = self.server.sign("/file", id=self.link_id, limit=1)
                self.run_program("curl", "-sS", "--fail", "--cacert", self.trusted, "--tls-max",
                                 version, "--tlsv1.2", "-o", self.target,
                                 f"https://localhost:{self.server.tls_port}{path}")
                self.expect_one_copy()

    def test_wget(self):
        self.run_program("wget", "-q", f"--ca-certificate={self.trusted}", "-O", self.target,
                         self.url)
        self.expect_one_copy()

    def test_aria2_with_four_connections(self):
        self.run_program("aria2c", "-q", "-x4", "-s4", "-k1M", "--file-allocation=none",
                         f"--ca-certificate={self.trusted}", "--disable-ipv6=true",
                         "--async-dns=false", "-d", self.target.parent, "-o", self.target.name,
                         self.url)
        self.expect_one_copy()


if __name__ == "__main__":
    unittest.main()
