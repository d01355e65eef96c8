"""Ranges and preconditions over the wire (RFC 9110, sections 13 and 14)."""

import email.utils
import unittest

from support import SharedServerTestCase, new_link_id, some_bytes

SIZE = 30000
CONTENT = some_bytes(SIZE)
MODIFIED = 1700000000


def date(seconds):
    return email.utils.formatdate(seconds, usegmt=True)


class RangeTest(SharedServerTestCase):
    @classmethod
    def prepare(cls):
        cls.server.write("/file.bin", CONTENT, mtime=MODIFIED)
        cls.server.write("/empty.bin", b"", mtime=MODIFIED)
        cls.good = cls.server.sign("/file.bin")
        cls.etag = cls.server.get(cls.good).field("ETag")

    def parts(self, response):
        """(first, last, bytes) of each part of a multipart/byteranges body, read strictly."""
        kind, boundary = response.field("Content-Type").split("; boundary=")
        self.assertEqual(kind, "multipart/byteranges")
        self.assertIsNone(response.field("Content-Range"))
        rest, parts = response.body, []
        delimiter = b"\r\n--" + boundary.encode()
        while True:
            self.assertTrue(rest.startswith(delimiter), rest[:80])
            rest = rest[len(delimiter):]
            if rest.startswith(b"--"):
                self.assertEqual(rest, b"--\r\n")
                return parts
            head, rest = rest.split(b"\r\n\r\n", 1)
            fields = dict(line.split(": ") for line in head.decode().split("\r\n")[1:])
            self.assertEqual(fields["Content-Type"], "application/octet-stream")
            span, size = fields["Content-Range"].removeprefix("bytes ").split("/")
            self.assertEqual(size, str(SIZE))
            first, last = map(int, span.split("-"))
            parts.append((first, last, rest[:last - first + 1]))
            rest = rest[last - first + 1:]

    def test_one_range_is_206_with_these_bytes(self):
        for asked, first, last in (
                ("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=100-", 100, SIZE - 1),
                ("bytes=-1", SIZE - 1, SIZE - 1), ("bytes=-100", SIZE - 100, SIZE - 1),
                (f"bytes=0-{SIZE - 1}", 0, SIZE - 1), (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
                (f"bytes=5-{SIZE}", 5, SIZE - 1), (f"bytes=-{SIZE + 1}", 0, SIZE - 1),
                (f"bytes=9-{10**30}", 9, SIZE - 1), (f"bytes=-{10**30}", 0, SIZE - 1),
                ("bytes=0-0,0-5", 0, 5), ("bytes=4-9,10-20", 4, 20), ("BYTES=1-2", 1, 2),
                ("bytes= 1-2 , ,", 1, 2), (f"bytes=7-8,{SIZE}-", 7, 8)):
            with self.subTest(range=asked):
                response = self.server.get(self.good, {"Range": asked})
                self.assertEqual(response.status, 206)
                self.assertEqual(response.field("Content-Range"), f"bytes {first}-{last}/{SIZE}")
                self.assertEqual(response.body, CONTENT[first:last + 1])
                self.assertEqual(response.field("ETag"), self.etag)
                self.assertEqual(response.field("Accept-Ranges"), "bytes")
                self.assertEqual(response.field("Content-Disposition"),
                                 'attachment; filename="file.bin"')

    def test_a_range_that_is_none_is_ignored(self):  # H1
        for asked in ("bytes", "bytes=", "bytes=a-b", "bytes=5-4", "bytes=--5", "bytes=1-2-3",
                      "bytes=0x1-2", "bytes=+1-2", "pages=1-2", "bytes=1-2;", "bytes 1-2",
                      "bytes=-", "1-2", "bytes=1- 2", "bytes=0-1,x"):
            with self.subTest(range=asked):
                response = self.server.get(self.good, {"Range": asked})
                self.assertEqual((response.status, response.body), (200, CONTENT))
                self.assertIsNone(response.field("Content-Range"))

    def test_a_range_beyond_the_end_is_416(self):  # H2
        for asked in (f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0", f"bytes={10**30}-",
                      f"bytes={SIZE}-,-0"):
            with self.subTest(range=asked):
                response = self.server.get(self.good, {"Range": asked})
                self.assertEqual((response.status, response.problem), (416, "http-416"))
                self.assertEqual(response.field("Content-Range"), f"bytes */{SIZE}")

    def test_an_empty_file_has_no_ranges(self):
        empty = self.server.sign("/empty.bin")
        self.assertEqual(self.server.get(empty).length, 0)
        self.assertEqual(self.server.get(empty, {"Range": "bytes=0-"}).status, 416)

    def test_several_ranges_come_as_parts(self):
        for asked, wanted in (
                ("bytes=0-9,2000-2009", [(0, 9), (2000, 2009)]),
                ("bytes=2000-2009,0-9", [(2000, 2009), (0, 9)]),
                ("bytes=0-0,-1", [(0, 0), (SIZE - 1, SIZE - 1)]),
                (f"bytes=0-9999,20000-,{SIZE}-", [(0, 9999), (20000, SIZE - 1)]),
                ("bytes=" + ",".join(f"{i * 1000}-{i * 1000 + 9}" for i in range(16)),
                 [(i * 1000, i * 1000 + 9) for i in range(16)])):
            with self.subTest(range=asked):
                response = self.server.get(self.good, {"Range": asked})
                self.assertEqual(response.status, 206)
                parts = self.parts(response)
                self.assertEqual(sorted((a, b) for a, b, _ in parts), sorted(wanted))
                for first, last, data in parts:
                    self.assertEqual(data, CONTENT[first:last + 1])

    def test_many_ranges_never_cost_more_bytes_than_the_file(self):  # H3
        for asked in ("bytes=" + ",".join("0-" for _ in range(1000)),
                      "bytes=" + ",".join(f"{i * 30}-{i * 30}" for i in range(1000)),
                      "bytes=" + ",".join(f"{i}-{SIZE - 1 - i}" for i in range(500)),
                      "bytes=" + ",".join(f"{i * 1000}-{i * 1000 + 9}" for i in range(17))):
            with self.subTest(range=asked[:40]):
                response = self.server.get(self.good, {"Range": asked})
                self.assertIn(response.status, (200, 206))
                if response.status == 200:
                    self.assertEqual(response.body, CONTENT)
                elif response.field("Content-Range"):
                    self.assertLessEqual(response.length, SIZE)
                else:
                    parts = self.parts(response)
                    self.assertLessEqual(len(parts), 16)
                    self.assertLessEqual(sum(b - a + 1 for a, b, _ in parts), SIZE)

    def test_several_ranges_of_a_counted_link_are_one_transfer_of_a_copy(self):
        link = new_link_id()
        good = self.server.sign("/file.bin", id=link, limit=1)
        first = self.server.get(good, {"Range": "bytes=0-9999,20000-"})
        self.assertEqual(len(self.parts(first)), 2)
        self.server.expect_link(link, used=0, traffic_bytes=20000)
        self.assertEqual(self.server.get(good, {"Range": "bytes=10000-19999"}).status, 206)
        self.server.expect_link(link, used=1, copies=1, traffic_bytes=SIZE)

    def test_if_range_holds_for_the_same_version_alone(self):  # H5
        for value, status in (
                (self.etag, 206), ('"other"', 200), ("W/" + self.etag, 200), (self.etag[1:-1], 200),
                (date(MODIFIED), 206), (date(MODIFIED + 1), 200), (date(MODIFIED - 1), 200),
                ("yesterday", 200)):
            with self.subTest(value=value):
                response = self.server.get(self.good, {"Range": "bytes=10-19", "If-Range": value})
                self.assertEqual(response.status, status)
                self.assertEqual(response.body, CONTENT if status == 200 else CONTENT[10:20])
        response = self.server.get(self.good, {"Range": f"bytes={SIZE}-", "If-Range": '"other"'})
        self.assertEqual((response.status, response.body), (200, CONTENT))


class PreconditionTest(SharedServerTestCase):
    @classmethod
    def prepare(cls):
        cls.server.write("/file.bin", CONTENT, mtime=MODIFIED)
        cls.good = cls.server.sign("/file.bin")
        cls.etag = cls.server.get(cls.good).field("ETag")

    def expect(self, status, fields):
        for method in ("GET", "HEAD"):
            with self.subTest(method=method, fields=fields), self.server.client() as client:
                response = client.ask(self.good, fields, method)
                self.assertEqual(response.status, status)
                if status == 304:
                    self.assertEqual(response.field("ETag"), self.etag)
                    self.assertEqual(response.field("Cache-Control"), "private, no-transform")
                    self.assertIsNone(response.field("Content-Type"))
                elif status == 200 and method == "GET":
                    self.assertEqual(response.body, CONTENT)
                self.assertEqual(client.ask("/", method="OPTIONS").status, 204)

    def test_if_match(self):
        self.expect(200, {"If-Match": self.etag})
        self.expect(200, {"If-Match": "*"})
        self.expect(200, {"If-Match": f'"a", {self.etag}, "b"'})
        self.expect(412, {"If-Match": '"other"'})
        self.expect(412, {"If-Match": "W/" + self.etag})

    def test_if_none_match(self):
        self.expect(304, {"If-None-Match": self.etag})
        self.expect(304, {"If-None-Match": "*"})
        self.expect(304, {"If-None-Match": "W/" + self.etag})
        self.expect(304, {"If-None-Match": f'"a", {self.etag}'})
        self.expect(200, {"If-None-Match": '"other"'})

    def test_dates(self):
        self.expect(304, {"If-Modified-Since": date(MODIFIED)})
        self.expect(304, {"If-Modified-Since": date(MODIFIED + 1)})
        self.expect(200, {"If-Modified-Since": date(MODIFIED - 1)})
        self.expect(200, {"If-Modified-Since": "yesterday"})
        self.expect(200, {"If-Unmodified-Since": date(MODIFIED)})
        self.expect(412, {"If-Unmodified-Since": date(MODIFIED - 1)})
        self.expect(200, {"If-Unmodified-Since": "yesterday"})

    def test_tags_go_before_dates(self):
        self.expect(200, {"If-Match": self.etag, "If-Unmodified-Since": date(MODIFIED - 1)})
        self.expect(412, {"If-Match": '"other"', "If-Unmodified-Since": date(MODIFIED)})
        self.expect(200, {"If-None-Match": '"other"', "If-Modified-Since": date(MODIFIED)})
        self.expect(412, {"If-Match": '"other"', "If-None-Match": self.etag})
        self.expect(304, {"If-Match": self.etag, "If-None-Match": self.etag})

    def test_a_precondition_goes_before_the_range(self):
        response = self.server.get(self.good, {"If-None-Match": self.etag, "Range": "bytes=0-1"})
        self.assertEqual(response.status, 304)
        response = self.server.get(self.good, {"If-Match": '"other"', "Range": f"bytes={SIZE}-"})
        self.assertEqual(response.status, 412)


if __name__ == "__main__":
    unittest.main()
