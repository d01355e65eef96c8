"""Files that change while they are served: versions are never mixed, nothing is made up."""

import os
import unittest

from counting import IN_BUFFERS, CountingTestCase, read_until_cut
from support import KIB, MIB, eventually, some_bytes


class ContentTest(CountingTestCase):
    def test_a_file_that_is_replaced_is_noticed(self):
        old = self.server.write("/file", some_bytes(MIB, 1), mtime=1700000000)
        url = self.server.sign("/file")
        before = self.server.get(url)
        self.assertEqual(before.body, old)
        # The same size and a time in the past: it is another file all the same.
        new = self.server.write("/file", some_bytes(MIB, 2), mtime=1600000000)
        eventually(lambda: self.server.get(url).body == new)
        after = self.server.get(url)
        self.assertNotEqual(after.field("ETag"), before.field("ETag"))
        self.assertNotEqual(after.field("Last-Modified"), before.field("Last-Modified"))
        # Who resumes the old one gets the new one whole.
        response = self.server.get(url, {"Range": "bytes=1000-",
                                         "If-Range": before.field("ETag")})
        self.assertEqual((response.status, response.body), (200, new))

    def test_a_transfer_that_runs_ends_from_the_version_it_began_with(self):  # F10
        size = 24 * MIB
        old = self.server.write("/file", some_bytes(size, 1))
        link, url = self.link("/file", 3)
        client = self.begin(url)
        head = client.read_head()
        begun = client.read(size // 2)
        new = self.server.write("/file", some_bytes(size + 1, 2))
        eventually(lambda: self.server.get(url, method="HEAD").length, size + 1)
        self.assertEqual(begun + client.read(size - size // 2), old)
        self.assertEqual(head.length, size)
        self.server.expect_link(link, used=1, copies=1)
        self.assertEqual(self.server.get(url).body, new)
        self.server.expect_link(link, used=2, copies=2)

    def test_a_file_that_shrinks_under_a_transfer_ends_that_connection_alone(self):  # F8
        size, rest = 48 * MIB, 16 * MIB
        content = self.server.write("/file", some_bytes(size))
        self.server.write("/other", content[:MIB])
        link, url = self.link("/file", 3)
        with self.server.client() as bystander:
            self.assertEqual(bystander.ask(self.server.sign("/other")).body, content[:MIB])
            client = self.begin(url)
            self.assertEqual(client.read_head().length, size)
            begun = client.read(MIB)
            os.truncate(self.server.root / "file", rest)
            received = begun + read_until_cut(client, size - MIB)
            # Cut before its length; what was on its way before is genuine, nothing is padded.
            self.assertTrue(rest <= len(received) <= rest + IN_BUFFERS, len(received))
            self.assertEqual(received[:rest], content[:rest])
            self.assertEqual(bystander.ask(self.server.sign("/other")).body, content[:MIB])
        self.server.expect_link(link, used=0, copies=0)
        eventually(lambda: self.server.get(url, method="HEAD").length, rest)
        self.assertEqual(self.server.get(url).body, content[:rest])
        self.server.expect_link(link, used=1, copies=1)

    def test_a_file_that_grows_under_a_transfer_ends_at_the_promised_length(self):  # F9
        size = 24 * MIB
        content = self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", 3)
        client = self.begin(url)
        self.assertEqual(client.read_head().length, size)
        begun = client.read(MIB)
        with open(self.server.root / "file", "ab") as file:
            file.write(b"more" * MIB)
        self.assertEqual(begun + client.read(size - MIB), content)
        self.assertEqual(client.ask("/", method="OPTIONS").status, 204)
        self.server.expect_link(link, used=1, copies=1)

    def test_a_file_that_is_deleted_is_missing_and_its_transfers_go_on(self):  # F6
        size = 24 * MIB
        content = self.server.write("/file", some_bytes(size))
        link, url = self.link("/file", 3)
        client = self.begin(url)
        client.read_head()
        os.unlink(self.server.root / "file")
        eventually(lambda: self.server.get(url, method="HEAD").status, 404)
        self.assertEqual(client.read(size), content)
        self.server.expect_link(link, used=1, copies=1)
        self.server.write("/file", content)
        eventually(lambda: self.server.get(url, method="HEAD").status, 200)

    def test_versions_that_follow_one_another_are_never_mixed(self):  # F5, F10
        size = 256 * KIB
        versions = {}

        def replace(number):
            content = self.server.write("/file", bytes([number]) * (size + number))
            versions[len(content)] = content

        url = self.server.sign("/file")
        replace(1)
        with self.server.client() as client:
            for number in range(2, 40):
                response = client.ask(url)
                self.assertEqual(response.body, versions[response.length])
                replace(number)
        eventually(lambda: self.server.get(url).length, size + 39)


if __name__ == "__main__":
    unittest.main()
