"""What a success says of the file: RFC 9110's fields, names for saving (RFC 6266, 8187), types."""

import email.utils
import os
import unittest
import urllib.parse

from support import KIB, MIB, SharedServerTestCase, eventually, new_link_id, some_bytes

CONTENT = some_bytes(20000)
MODIFIED = 1700000000


class ResponseTest(SharedServerTestCase):
    @classmethod
    def prepare(cls):
        cls.server.write("/file.bin", CONTENT, mtime=MODIFIED)

    def names(self, path, **fields):
        """The file names that a success offers: filename, and filename* decoded."""
        disposition = self.server.get(self.server.sign(path, **fields)).field("Content-Disposition")
        kind, *parameters = disposition.split("; ")
        self.assertEqual(kind, "attachment")
        plain = extended = None
        for parameter in parameters:
            name, value = parameter.split("=", 1)
            if name == "filename":
                self.assertRegex(value, r'^"(?:[ !#-\[\]-~]|\\["\\])*"$')
                plain = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            else:
                self.assertEqual(name, "filename*")
                self.assertRegex(value, r"^UTF-8''(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})*$")
                extended = urllib.parse.unquote(value[7:], errors="strict")
        return plain, extended

    def test_a_success_says_what_a_client_needs_and_no_more(self):
        response = self.server.get(self.server.sign("/file.bin"))
        self.assertEqual((response.status, response.version), (200, "HTTP/1.1"))
        self.assertEqual(response.body, CONTENT)
        self.assertEqual(dict(response.fields), {
            "Date": response.field("Date"),
            "Content-Type": "application/octet-stream",
            "Content-Length": "20000",
            "Accept-Ranges": "bytes",
            "ETag": response.field("ETag"),
            "Last-Modified": email.utils.formatdate(MODIFIED, usegmt=True),
            "Content-Disposition": 'attachment; filename="file.bin"',
            "Cache-Control": "private, no-transform",
            "X-Accel-Buffering": "no",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Connection": "close"})
        self.assertRegex(response.field("ETag"), r'^"[\x21\x23-\x7e]+"$')  # a strong one
        email.utils.parsedate_to_datetime(response.field("Date"))

    def test_head_is_get_without_the_body(self):
        good = self.server.sign("/file.bin", id=new_link_id(), limit=1)
        with self.server.client() as client:
            head = client.ask(good, method="HEAD")
            get = client.ask(good)
        self.assertEqual(head.status, 200)
        without_date = [[f for f in r.fields if f[0] != "Date"] for r in (head, get)]
        self.assertEqual(without_date[0], without_date[1])

    def test_sizes_around_the_borders_of_sending_arrive_whole(self):
        for size in (0, 1, 8 * KIB - 1, 8 * KIB, 8 * KIB + 1, 512 * KIB, 512 * KIB + 1, MIB,
                     MIB + 1, 3 * MIB + 12345):
            with self.subTest(size=size):
                content = self.server.write(f"/sized/{size}", some_bytes(size, size))
                link = new_link_id()
                good = self.server.sign(f"/sized/{size}", id=link, limit=2)
                with self.server.client() as client:
                    for _ in range(2):
                        response = client.ask(good)
                        self.assertEqual((response.status, response.length), (200, size))
                        self.assertEqual(response.body, content)
                self.server.expect_link(link, used=2, copies=2, traffic_bytes=2 * size)

    def test_a_name_in_ascii_is_offered_as_it_is(self):
        self.server.write("/music/A song, live (2).flac", b"x")
        self.assertEqual(self.names("/music/A song, live (2).flac")[0], "A song, live (2).flac")

    def test_a_name_in_other_letters_is_offered_twice(self):
        self.server.write("/music/Größe XL €.flac", b"x")
        plain, extended = self.names("/music/Größe XL €.flac")
        self.assertEqual(extended, "Größe XL €.flac")
        self.assertTrue(plain.isascii() and plain.endswith(".flac"))

    def test_a_hostile_name_is_one_harmless_name(self):  # F14
        for name in ('a"b.bin', "a;b.bin", "a%41b.bin", "a'b.bin", "a\u202efdp.exe", "-rf", "😀.zip",
                     "x" * 250 + ".bin"):
            with self.subTest(name=name):
                plain, extended = self.names("/file.bin", name=name)
                for offered in filter(None, (plain, extended)):
                    self.assertNotIn("/", offered)
                    self.assertNotIn("\\", offered)
                    self.assertFalse(any(ord(c) < 32 for c in offered))

    def test_a_signed_name_with_a_folder_or_a_control_character_is_no_name(self):  # F14, H12
        for name in ("../../etc/passwd", "a\\b.bin", "/", "a\r\nSet-Cookie: x=y", "a\0b", "", ".."):
            with self.subTest(name=name):
                response = self.server.get(self.server.sign("/file.bin", name=name))
                self.assertEqual((response.status, response.problem), (403, "link-invalid"))

    def test_a_signed_name_is_the_one_offered(self):
        self.assertEqual(self.names("/file.bin", name="Invoice 7.pdf")[0], "Invoice 7.pdf")
        self.assertEqual(self.names("/file.bin", name="Rechnung für März.pdf")[1],
                         "Rechnung für März.pdf")

    def test_the_type_follows_the_name_of_the_file(self):
        for name, wanted in (("a.pdf", "application/pdf"), ("a.ZIP", "application/zip"),
                             ("a.mp3", "audio/mpeg"), ("a.epub", "application/epub+zip"),
                             ("a.mp4", "video/mp4"), ("a.html", "text/html"),
                             ("a.tar.gz", "application/gzip"), ("a.png", "image/png"),
                             ("a.unknown-suffix", "application/octet-stream"),
                             ("README", "application/octet-stream")):
            with self.subTest(name=name):
                self.server.write(f"/types/{name}", b"x")
                response = self.server.get(self.server.sign(f"/types/{name}"))
                self.assertEqual(response.field("Content-Type").split(";")[0], wanted)

    def test_bytes_beyond_two_and_four_gib_are_where_they_should_be(self):  # F13
        where = self.server.root / "huge"
        where.touch()
        size = 5 << 30
        os.truncate(where, size)
        marks = [0, (1 << 31) - 3, (1 << 32) - 3, size - 6]
        with open(where, "r+b") as file:
            for i, mark in enumerate(marks):
                file.seek(mark)
                file.write(b"mark%d!" % i)
        huge = self.server.sign("/huge", id=new_link_id(), limit=1)
        eventually(lambda: self.server.get(huge, method="HEAD").length, size)
        with self.server.client() as client:
            for i, mark in enumerate(marks):
                response = client.ask(huge, {"Range": f"bytes={mark}-{mark + 5}"})
                self.assertEqual(response.status, 206)
                self.assertEqual(response.field("Content-Range"), f"bytes {mark}-{mark + 5}/{size}")
                self.assertEqual(response.body, b"mark%d!" % i)
            self.assertEqual(client.ask(huge, {"Range": "bytes=-6"}).body, b"mark3!")
            self.assertEqual(client.ask(huge, {"Range": f"bytes={size}-"}).status, 416)
            self.assertEqual(client.ask(huge, {"Range": f"bytes={size - 1}-{1 << 70}"}).body, b"!")


class InlineTest(SharedServerTestCase):
    settings = {"content": {"disposition": "inline"}}

    def test_a_file_is_shown_where_the_settings_say_so(self):
        self.server.write("/a.pdf", b"x")
        response = self.server.get(self.server.sign("/a.pdf"))
        self.assertEqual(response.field("Content-Disposition"), 'inline; filename="a.pdf"')


if __name__ == "__main__":
    unittest.main()
