"""What can be opened: regular files below the root, and nothing else, whatever the path says."""

import os
import shutil
import socket
import threading
import unittest

from support import SharedServerTestCase, TestCase, new_link_id, some_bytes

CONTENT = some_bytes(1000)
CANARY = b"canary" * 100


class PathTest(SharedServerTestCase):
    @classmethod
    def prepare(cls):
        cls.root = cls.server.root
        cls.server.write("/folder/file.bin", CONTENT)
        (cls.server.folder / "canary").write_bytes(CANARY)

    def expect_missing(self, path):
        link = new_link_id()
        response = self.server.get(self.server.sign(path, id=link, limit=1))
        self.assertEqual((response.status, response.problem), (404, "file-missing"), path)
        self.assertNotIn(b"canary", response.body)
        self.assertIsNone(self.server.links_show(link))  # nothing was counted, nothing kept

    def test_a_path_that_climbs_is_malformed_though_it_is_signed(self):  # F1
        for path in ("/../canary", "/folder/../../canary", "/folder/..", "/./folder/file.bin",
                     "//folder/file.bin", "/folder//file.bin", "/folder/", "/"):
            with self.subTest(path=path):
                response = self.server.get(self.server.sign(path, id=new_link_id(), limit=1))
                self.assertEqual((response.status, response.problem), (403, "link-invalid"))

    def test_a_path_that_only_looks_as_if_it_climbed_is_a_name(self):  # F1
        for path in ("/%2e%2e/canary", "/..%2fcanary", "/...", "/..canary", "/%2fetc%2fpasswd"):
            with self.subTest(path=path):
                self.expect_missing(path)

    def test_a_name_may_hold_what_a_file_name_can_hold(self):
        for path in ("/..canary..", "/ a ", "/~", "/-", "/%2e%2e", "/a:b", "/'\"$(x)`;&|",
                     "/日本語.bin", "/\u0301"):
            with self.subTest(path=path):
                self.server.write(path, CONTENT)
                self.assertEqual(self.server.get(self.server.sign(path)).body, CONTENT)

    def test_a_symbolic_link_is_not_followed(self):  # F2
        os.symlink(self.server.folder / "canary", self.root / "outside")
        os.symlink("../canary", self.root / "relative")
        os.symlink("folder/file.bin", self.root / "inside")
        os.symlink("folder", self.root / "link-to-folder")
        os.symlink("/", self.root / "slash")
        os.symlink("loop", self.root / "loop")
        os.symlink("/proc/self/root", self.root / "magic")
        for path in ("/outside", "/relative", "/inside", "/link-to-folder/file.bin",
                     "/slash/etc/passwd", "/loop", "/magic/etc/passwd"):
            with self.subTest(path=path):
                self.expect_missing(path)

    def test_what_is_no_regular_file_is_missing(self):  # F4
        os.mkfifo(self.root / "fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.root / "socket"))
            for path in ("/folder", "/fifo", "/socket", "/no/such/file", "/folder/file.bin/x",
                         "/" + "x" * 300, "/" + "y/" * 2000 + "z"):
                with self.subTest(path=path[:40]):
                    self.expect_missing(path)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_a_file_that_may_not_be_read_is_missing(self):  # F6
        self.server.write("/secret.bin", CONTENT)
        (self.root / "secret.bin").chmod(0)
        self.expect_missing("/secret.bin")


class SwappedFolderTest(TestCase):
    def test_a_folder_that_is_swapped_with_a_link_never_leads_outside(self):  # F2
        server = self.start_server()
        outside = server.folder / "outside"
        outside.mkdir()
        (outside / "file.bin").write_bytes(CANARY)
        server.write("/real/file.bin", CONTENT)
        link, folder, hidden = server.root / "link", server.root / "folder", server.root / "hidden"
        os.symlink(outside, link)
        shutil.move(server.root / "real", folder)
        swapping = threading.Event()

        def swap():
            while not swapping.is_set():
                os.rename(folder, hidden)
                os.rename(link, folder)
                os.rename(folder, link)
                os.rename(hidden, folder)

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            statuses = set()
            with server.client() as client:
                for _ in range(500):
                    response = client.ask(server.sign("/folder/file.bin"))
                    statuses.add(response.status)
                    if response.status == 200:
                        self.assertEqual(response.body, CONTENT)
        finally:
            swapping.set()
            thread.join()
        self.assertLessEqual(statuses, {200, 404})


if __name__ == "__main__":
    unittest.main()
