"""Every way that bytes take to a client: from memory and from the disk, through io_uring and
through threads, in the clear and encrypted. They are right, and the meter is exact."""

import hashlib
import os
import unittest

from counting import IN_BUFFERS, byte_range, let_it_acknowledge, read_until_cut
from path_case import (PoolServer, TlsPoolServer, WayTestCase, descriptors, drop_from_memory,
                       make_cold, require_seccomp)
from support import KIB, MIB
from tls_case import TlsServer

SIZE = 24 * MIB
# What a server may have sent of a file that shrank: what it had in pipes and buffers by then.
AHEAD = IN_BUFFERS + 2 * MIB


class Ways:
    """The tests; the classes below say by which server."""

    has_ring = True

    def test_the_way_is_the_one_that_is_meant(self):
        self.assertEqual(descriptors(self.server)["io_uring"], 1 if self.has_ring else 0)
        content, file = self.put("/file", 3 * MIB)
        make_cold(file)
        self.assertEqual(self.server.get(self.server.sign("/file")).body, content)
        self.assertGreater(self.pipes(), 0)

    def test_a_whole_file(self):
        for content, path, _ in self.in_both_states(SIZE + 4321):
            link, url = self.link(path, 1)
            response = self.server.get(url)
            self.assertEqual(hashlib.sha256(response.body).digest(),
                             hashlib.sha256(content).digest())
            self.server.expect_link(link, used=1, copies=1, traffic_bytes=len(content))

    def test_small_files_of_every_size(self):
        for size in (0, 1, 100, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 16 * KIB, 64 * KIB - 1,
                     64 * KIB, 64 * KIB + 1, 300 * KIB):
            for content, path, _ in self.in_both_states(size):
                link, url = self.link(path, 1)
                self.assertEqual(self.server.get(url).body, content)
                self.server.expect_link(link, used=1, copies=1, traffic_bytes=size)

    def test_one_range(self):
        for content, path, _ in self.in_both_states(SIZE):
            url = self.server.sign(path)
            with self.server.client() as client:
                for first, last in ((0, 1), (4095, 4097), (MIB - 1, 3 * MIB + 1), (SIZE - 1, SIZE),
                                    (10 * MIB + 1, 18 * MIB - 1)):
                    response = client.ask(url, byte_range(first, last))
                    self.assertEqual(response.body, content[first:last])

    def test_several_ranges(self):
        spans = [(0, 0), (5000, 70_000), (2 * MIB - 3, 5 * MIB), (SIZE - MIB - 1, SIZE - 1)]
        asked = "bytes=" + ",".join(f"{a}-{b}" for a, b in spans)
        for content, path, _ in self.in_both_states(SIZE):
            link, url = self.link(path, 1)
            rest = self.server.get(url, {"Range": asked}).body
            for first, last in spans:
                head, rest = rest.split(b"\r\n\r\n", 1)
                self.assertIn(f"bytes {first}-{last}/{SIZE}".encode(), head)
                self.assertEqual(rest[:last - first + 1], content[first:last + 1])
                rest = rest[last - first + 1:]
            borders = sorted({0, *(a for a, _ in spans), *(b + 1 for _, b in spans), SIZE})
            have = {a for a, _ in spans}
            for first, last in zip(borders, borders[1:]):  # and all that they left out
                if first not in have:
                    self.assertEqual(self.fetch(url, first, last), "ok")
            self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)

    def test_many_at_once(self):
        for content, path, _ in self.in_both_states(4 * MIB):
            link, url = self.link(path, 40)
            clients = [self.begin(url) for _ in range(40)]
            for client in clients:
                self.assertEqual(client.read_response().body, content)
            self.server.expect_link(link, used=40, copies=40)

    def test_a_client_that_breaks_off_resumes(self):
        for content, path, is_cold in self.in_both_states(SIZE):
            link, url = self.link(path, 3)
            received = b""
            for step in (1, 100 * KIB, 5 * MIB, 3, 10 * MIB):
                client = self.begin(url, len(received))
                self.assertEqual(client.read_head().status, 206)
                received += client.read(step)
                let_it_acknowledge()
                client.reset()
                if is_cold:
                    drop_from_memory(self.server.root / path[1:])
            received += self.server.get(url, byte_range(len(received), None)).body
            self.assertEqual(received, content)
            self.server.expect_link(link, used=1, copies=1)

    def begun(self, url, file, is_cold, size):
        """A transfer of which a MiB has been read, and as much more is on its way as goes."""
        client = self.begin(url)
        self.assertEqual(client.read_head().length, size)
        received = client.read(MIB)
        if is_cold:
            drop_from_memory(file)
        return client, received

    def test_a_file_that_shrinks_ends_the_connection_short(self):  # F8
        size, rest = 48 * MIB, 20 * MIB + 77
        for is_cold in (False, True):
            with self.subTest(cold=is_cold):
                content, file = self.put("/file", size)
                self.expect_new_version("/file")
                link, url = self.link("/file", 3)
                client, received = self.begun(url, file, is_cold, size)
                os.truncate(file, rest)
                received += read_until_cut(client, size - MIB)
                self.assertLessEqual(len(received), rest + AHEAD)
                # Nothing is padded. (What was read in time may be of before, never made up.)
                self.assertEqual(received, content[:len(received)])
                self.server.expect_link(link, used=0, copies=0)
                self.expect_new_version("/file")
                self.assertEqual(self.server.get(url).body, content[:rest])
                self.server.expect_link(link, used=1, copies=1)

    def test_a_file_that_is_replaced_is_sent_to_its_end(self):
        size = 32 * MIB
        for is_cold in (False, True):
            with self.subTest(cold=is_cold):
                old, file = self.put("/file", size, seed=1)
                self.expect_new_version("/file")
                link, url = self.link("/file", 3)
                kept = os.open(file, os.O_RDONLY)
                self.addCleanup(os.close, kept)
                client, received = self.begun(url, file, is_cold, size)
                new, _ = self.put("/file", size + 1, seed=2)
                self.expect_new_version("/file")
                if is_cold:
                    drop_from_memory(f"/proc/self/fd/{kept}")
                self.assertEqual(received + client.read(size - MIB), old)
                self.server.expect_link(link, used=1, copies=1)
                self.assertEqual(self.server.get(url).body, new)
                self.server.expect_link(link, used=2, copies=2)


class PlainTest(Ways, WayTestCase):
    pass


class TlsTest(Ways, WayTestCase):
    server_class = TlsServer


class WithoutIoUring:
    has_ring = False

    @classmethod
    def setUpClass(cls):
        require_seccomp()
        super().setUpClass()


class PoolTest(WithoutIoUring, Ways, WayTestCase):
    server_class = PoolServer


class TlsPoolTest(WithoutIoUring, Ways, WayTestCase):
    server_class = TlsPoolServer


if __name__ == "__main__":
    unittest.main()
