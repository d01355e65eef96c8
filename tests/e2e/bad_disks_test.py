"""Disks that fail or hang under a transfer: it ends or waits, the others do not notice.

Needs root, for a file system of its own in a mount namespace of its own; skipped elsewhere.
"""

import os
import subprocess
import tempfile
import threading
import unittest
import unittest.mock

from counting import CountingTestCase, byte_range, read_until_cut
from fuse_mount import FuseMount, require_fuse
from path_case import (PoolServer, descriptors, drop_from_memory, make_cold, make_hot,
                       require_seccomp, skip)
from small_disk import SmallDisk, enter_own_mount_namespace
from support import KIB, MIB, eventually, some_bytes
from tls_case import TlsServer

SIZE = 48 * MIB


def setUpModule():
    try:
        if os.geteuid() != 0:
            raise OSError("only root can mount a disk")
        enter_own_mount_namespace()
    except OSError as failure:
        skip(f"no disk of our own: {failure}")


class DiskThatDies(CountingTestCase):
    """Every read fails from some moment on, as of a disk that is pulled out."""

    def setUp(self):
        self.disk = SmallDisk(160 * MIB)
        self.addCleanup(self.disk.remove)
        try:
            self.disk.mount()
        except subprocess.CalledProcessError as failure:
            skip(f"no disk of our own: {failure.stderr}")
        self.settings = {"server": {"threads": 1}, "content": {"root": str(self.disk.path)}}
        super().setUp()
        self.addCleanup(self.server.kill)  # before the disk goes, whatever happened
        self.server.root = self.disk.path

    def test_a_transfer_ends_short_and_can_be_resumed_when_the_disk_is_back(self):  # F12
        for is_cold in (True, False):
            with self.subTest(cold=is_cold):
                path = "/cold" if is_cold else "/hot"
                content = self.server.write(path, some_bytes(SIZE))
                file = self.disk.path / path[1:]
                make_cold(file)  # and on the disk
                if not is_cold:
                    make_hot(file)
                link, url = self.link(path, 1)
                client = self.begin(url)
                self.assertEqual(client.read_head().length, SIZE)
                received = client.read(MIB)
                if is_cold:
                    drop_from_memory(file)
                self.disk.die()
                received += read_until_cut(client, SIZE - MIB)
                self.assertLess(len(received), SIZE)
                self.assertEqual(received, content[:len(received)])
                self.server.expect_link(link, used=0, copies=0)
                response = self.server.get(url)
                self.assertIn(response.status, (404, 503))
                # The server is what it was: it answers, and serves when the disk does.
                self.assertEqual(self.server.get("/", method="OPTIONS").status, 204)
                self.server.stop()
                self.disk.unmount()
                self.disk.mount()
                self.server.start()
                rest = self.server.get(url, byte_range(len(received), None))
                self.assertEqual(received + rest.body, content)
                self.server.expect_link(link, used=1, copies=1)


class DiskThatDiesTlsTest(DiskThatDies):
    server_class = TlsServer


class DiskThatDiesPoolTest(DiskThatDies):
    server_class = PoolServer

    @classmethod
    def setUpClass(cls):
        require_seccomp()
        super().setUpClass()


class FileSystemThatHangs(CountingTestCase):
    settings = {"server": {"threads": 1, "drain_timeout": "1s"}}

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            try:
                require_fuse(folder)
            except OSError as failure:
                skip(f"no FUSE: {failure}")
        super().setUpClass()

    def setUp(self):
        # What hangs at the end is left to the end of the process: no leak, to a sanitizer's eyes.
        options = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        self.enterContext(unittest.mock.patch.dict(os.environ, options))
        super().setUp()
        self.content = some_bytes(SIZE)
        (self.server.root / "far").mkdir()
        self.far = FuseMount(self.server.root / "far", self.content)
        self.addCleanup(self.far.unmount)
        self.local = self.server.write("/local", some_bytes(8 * MIB, 2))
        self.small = self.server.write("/small", some_bytes(5 * KIB, 3))

    def _end(self, server):
        self.far.go_on()
        super()._end(server)

    def expect_others_are_served(self):
        """On the same worker, new connections too."""
        for path, content in (("/small", self.small), ("/local", self.local)):
            file = self.server.root / path[1:]
            for prepare in (make_hot, drop_from_memory):
                prepare(file)
                link, url = self.link(path, 1)
                self.assertEqual(self.server.get(url).body, content)
                self.server.expect_link(link, used=1, copies=1)

    def test_it_serves_while_it_does_not_hang(self):
        link, url = self.link("/far/file", 2)
        self.assertEqual(self.server.get(url).body, self.content)
        spans = self.server.get(url, {"Range": "bytes=1-10,5000000-5000009"}).body
        self.assertIn(self.content[5_000_000:5_000_010], spans)
        self.server.expect_link(link, used=1, copies=1)

    def test_a_transfer_waits_and_goes_on(self):
        link, url = self.link("/far/file", 1)
        client = self.begin(url)
        client.read_head()
        received = client.read(MIB)
        self.far.hang()
        reader = threading.Thread(target=lambda: got.append(client.read(SIZE - MIB)))
        got = []
        reader.start()
        self.expect_others_are_served()
        self.assertEqual(self.server.links_show(link)["in_flight"], 1)
        self.assertTrue(reader.is_alive())
        self.far.go_on()
        reader.join()
        self.assertEqual(received + got[0], self.content)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)

    def test_more_requests_than_there_are_threads_for_it_hold_up_nobody(self):  # F12
        self.assertEqual(self.server.get(self.server.sign("/far/file"), method="HEAD").status, 200)
        self.far.hang()
        urls = [self.server.sign("/far/file", data=f"{i}") for i in range(60)]
        urls += [self.server.sign(f"/far/other-{i}") for i in range(60)]
        clients = [self.begin(url) for url in urls]
        self.expect_others_are_served()
        # Each is told to come again; what was opened just before ends, without a byte.
        for client in clients:
            head = client.read_head()
            if head.status == 200:
                self.assertEqual(read_until_cut(client, head.length), b"")
                continue
            head.body = client.read(head.length)
            self.assertEqual((head.status, head.problem), (503, "temporarily-unavailable"))
            self.assertGreater(int(head.field("Retry-After")), 0)
        self.far.go_on()
        eventually(lambda: self.server.get(urls[0], method="HEAD").status, 200)
        eventually(lambda: self.server.get(urls[60]).status, 404)
        link, url = self.link("/far/file", 1)
        self.assertEqual(self.server.get(url).body, self.content)
        self.server.expect_link(link, used=1, copies=1)

    def test_a_client_that_leaves_is_let_go_and_what_it_held_comes_back(self):
        link, url = self.link("/far/file", 50)
        self.assertEqual(self.server.get(url, byte_range(0, MIB)).status, 206)
        before = descriptors(self.server)
        clients = [self.begin(url) for _ in range(20)]
        for client in clients:
            client.read_head()
        self.far.hang()
        for client in clients:
            client.reset()
        self.expect_others_are_served()
        self.far.go_on()
        self.server.expect_link(link, in_flight=0)
        eventually(lambda: descriptors(self.server)["socket"] <= before["socket"], True)
        self.assertLessEqual(descriptors(self.server)["pipe"], 2 * 32)

    def test_the_end_of_the_server_does_not_wait_for_it(self):
        _, url = self.link("/far/file", 1)
        client = self.begin(url)
        client.read_head()
        client.read(MIB)
        self.far.hang()
        self.server.terminate()
        eventually(lambda: "tallygate: done\n" in self.server.stderr())
        self.far.go_on()  # what is left is the kernel's, which closes the file
        self.server.wait()

    def test_a_read_that_fails_ends_the_connection_short(self):
        link, url = self.link("/far/file", 1)
        client = self.begin(url)
        client.read_head()
        received = client.read(MIB)
        self.far.failing = True
        received += read_until_cut(client, SIZE - MIB)
        self.assertLess(len(received), SIZE)
        self.assertEqual(received, self.content[:len(received)])
        self.server.expect_link(link, used=0, copies=0)
        self.expect_others_are_served()
        self.far.failing = False
        response = self.server.get(url, byte_range(len(received), None))
        self.assertEqual(received + response.body, self.content)
        self.server.expect_link(link, used=1, copies=1)


class FileSystemThatHangsTlsTest(FileSystemThatHangs):
    server_class = TlsServer


if __name__ == "__main__":
    unittest.main()
