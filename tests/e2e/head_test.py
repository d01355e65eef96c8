"""Which heads are answered, and how one is refused: strict where leniency is dangerous."""

import unittest

from support import KIB, SharedServerTestCase, some_bytes

CONTENT = some_bytes(1000)
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


class HeadTest(SharedServerTestCase):
    @classmethod
    def prepare(cls):
        cls.server.write("/file.bin", CONTENT)
        cls.good = cls.server.sign("/file.bin")

    def head(self, *lines, first=None):
        """A request in bytes, in good order but for what `lines` and `first` say."""
        first = first or f"GET {self.good} HTTP/1.1"
        return "\r\n".join([first, *lines]).encode("latin-1") + b"\r\n\r\n"

    def expect_refused(self, data, status):
        """`data` gets `status`, the connection ends, and nothing behind it is read as a request."""
        for before in (b"", self.head("Host: a")):
            with self.subTest(request=data[:80], second=bool(before)), \
                    self.server.client() as client:
                client.send(before + data + SMUGGLED)
                if before:
                    self.assertEqual(client.read_response().status, 200)
                response = client.read_response()
                self.assertEqual(response.status, status)
                self.assertEqual(response.problem, f"http-{status}")
                self.assertEqual(response.field("Connection"), "close")
                self.assertEqual(response.field("Cache-Control"), "no-store")
                self.assertEqual(client.read_to_end(), b"")

    def test_two_readers_cannot_disagree_about_where_a_request_ends(self):  # H8
        body = b"5\r\nhello\r\n0\r\n\r\n"
        for lines in (
                ["Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"],
                ["Host: a", "Transfer-Encoding: chunked", "Content-Length: 5"],
                ["Host: a", "Transfer-Encoding: chunked"],
                ["Host: a", "Transfer-Encoding: identity"],
                ["Host: a", "Transfer-Encoding: \x0bchunked"],
                ["Host: a", "Transfer-Encoding: chunked, identity"],
                ["Host: a", "Content-Length: 5", "Content-Length: 5"],
                ["Host: a", "Content-Length: 5", "Content-Length: 0"],
                ["Host: a", "Content-Length: 5, 5"],
                ["Host: a", "Content-Length: +5"],
                ["Host: a", "Content-Length: -5"],
                ["Host: a", "Content-Length: 5x"],
                ["Host: a", "Content-Length: 0x5"],
                ["Host: a", "Content-Length: "]):
            self.expect_refused(self.head(*lines) + body, 400)

    def test_a_malformed_head_is_400(self):  # H8
        for lines in (
                ["Host: a", "X-Folded: one", " two"],
                ["Host: a", "X-Folded: one", "\ttwo"],
                ["Host: a", "X-Folded: ", " "],
                [" Host: a"],
                ["Host : a"],
                ["Host: a", "X-Space : b"],
                ["Host: a", "No colon"],
                ["Host: a", ": no name"],
                ["Host: a", "X-Nul: a\x00b"],
                ["Host: a", "X\x00Nul: a"],
                ["Host: a", "X-Control: a\x01b"],
                ["Host: a", "X-Bare: a\rb"],
                ["Host: a", "X(Y): a"]):
            self.expect_refused(self.head(*lines), 400)

    def test_a_line_that_ends_with_a_bare_line_feed_is_400(self):  # H8
        for data in (
                f"GET {self.good} HTTP/1.1\nHost: a\n\n",
                f"GET {self.good} HTTP/1.1\nHost: a\r\n\r\n",
                f"GET {self.good} HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
                f"GET {self.good} HTTP/1.1\r\nHost: a\r\nX: b\n\r\n"):
            self.expect_refused(data.encode(), 400)

    def test_there_is_exactly_one_valid_host(self):
        for lines in ([], ["Host: a", "Host: a"], ["Host: a", "Host: b"], ["Host: a b"],
                      ["Host: a@b"], ["Host: a/b"], ["Host: a:port"], ["Host: [::1"],
                      ["Host: a, b"]):
            self.expect_refused(self.head(*lines), 400)
        for lines in (["Host: a"], ["Host:a:80"], ["Host: [::1]:8080"], ["hOsT: \ta\t "],
                      ["Host:"]):
            with self.subTest(lines=lines), self.server.client() as client:
                client.send(self.head(*lines))
                self.assertEqual(client.read_response().body, CONTENT)

    def test_a_request_line_that_is_none_is_400(self):  # H9
        for first in ("GET", f"GET {self.good}", f"GET  {self.good} HTTP/1.1",
                      f"GET {self.good}  HTTP/1.1", f"GET\t{self.good} HTTP/1.1",
                      f" GET {self.good} HTTP/1.1", f"GET {self.good} HTTP/1.1 ",
                      f"GET {self.good} http/1.1", f"GET {self.good} HTTP/1.10",
                      f"GET {self.good} HTTP/1", f"G@T {self.good} HTTP/1.1",
                      "GET file.bin HTTP/1.1", "GET \x00 HTTP/1.1", "GET /\x7f HTTP/1.1",
                      "GET /\xe4 HTTP/1.1", "GET /a#b HTTP/1.1", "GET * HTTP/1.1",
                      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            with self.subTest(first=first), self.server.client() as client:
                client.send(self.head("Host: a", first=first) + SMUGGLED)
                response = client.read_response()
                self.assertIn(response.status, (400, 505))
                self.assertEqual(client.read_to_end(), b"")

    def test_garbage_without_an_end_is_refused_at_its_first_line_feed(self):  # H9
        with self.server.client() as client:
            client.send(b"\x00\x01\x02 what is this?\n")
            self.assertEqual(client.read_response().status, 400)
            self.assertTrue(client.is_closed_by_server())

    def test_another_version_of_http_is_505(self):  # H9
        for version in ("2.0", "0.9", "1.2", "3.0"):
            self.expect_refused(self.head("Host: a", first=f"GET {self.good} HTTP/{version}"), 505)

    def test_the_preface_of_http_2_is_505(self):  # H9
        with self.server.client() as client:
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00" + bytes(4))
            response = client.read_response()
            self.assertEqual((response.status, response.problem), (505, "http-505"))
            self.assertEqual(client.read_to_end(), b"")

    def test_an_unknown_method_is_405_with_allow(self):  # H9
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "BREW",
                       "get", "Get"):
            with self.subTest(method=method), self.server.client() as client:
                client.send(self.head("Host: a", first=f"{method} {self.good} HTTP/1.1"))
                response = client.read_response()
                self.assertEqual((response.status, response.problem), (405, "http-405"))
                self.assertEqual(response.field("Allow"), "GET, HEAD, OPTIONS")

    def test_a_target_over_8_kib_is_414(self):  # L13
        longest = self.good + "&x=" + "y" * (8 * KIB - len(self.good) - 3)
        with self.server.client() as client:
            self.assertEqual(client.ask(longest).body, CONTENT)
        self.expect_refused(self.head("Host: a", first=f"GET {longest}y HTTP/1.1"), 414)
        self.expect_refused(self.head("Host: a", first=f"GET /{'y' * 20 * KIB} HTTP/1.1"), 414)

    def test_a_target_without_end_is_414(self):  # L13
        with self.server.client() as client:
            client.send(b"GET /" + b"y" * 20 * KIB)
            self.assertEqual(client.read_response().status, 414)

    def test_a_head_over_16_kib_is_431(self):  # L13
        empty = len(self.head("Host: a", "X: "))
        with self.server.client() as client:
            client.send(self.head("Host: a", "X: " + "y" * (16 * KIB - empty)))
            self.assertEqual(client.read_response().body, CONTENT)
        self.expect_refused(self.head("Host: a", "X: " + "y" * (16 * KIB - empty + 1)), 431)

    def test_a_head_without_end_is_431(self):  # L13
        with self.server.client() as client:
            client.send(f"GET {self.good} HTTP/1.1\r\nHost: a\r\nX: ".encode() + b"y" * 16 * KIB)
            self.assertEqual(client.read_response().status, 431)

    def test_more_than_64_fields_are_431(self):  # L13
        with self.server.client() as client:
            client.send(self.head("Host: a", *(f"X{i}: y" for i in range(63))))
            self.assertEqual(client.read_response().body, CONTENT)
        self.expect_refused(self.head("Host: a", *(f"X{i}: y" for i in range(64))), 431)

    def test_a_target_in_absolute_form_is_its_path(self):
        for start in ("http://dl.shop.example", "http://dl.shop.example:8080",
                      "HTTPS://elsewhere.example"):
            with self.subTest(start=start):
                self.assertEqual(self.server.get(start + self.good).body, CONTENT)
        for start in ("ftp://a", "http://", "http://user@a", "http:/a", "//a"):
            with self.subTest(start=start):
                self.assertIn(self.server.get(start + self.good).status, (400, 403))

    def test_a_field_of_the_request_never_appears_in_the_answer(self):  # H12
        hostile = "a%0d%0aSet-Cookie:%20x=y"
        path = self.server.sign("/file.bin", name="a\u2028b\u0085.bin")
        for request_target in (path, f"{self.good}&x={hostile}", f"/{hostile}?tg={hostile}"):
            with self.subTest(target=request_target), self.server.client() as client:
                response = client.ask(request_target, {"Origin": hostile, "User-Agent": hostile,
                                                       "Range": f"bytes={hostile}"})
                self.assertNotIn("Set-Cookie", response.head.decode("latin-1").title())
                self.assertNotIn(b"0d%0a", response.head)


if __name__ == "__main__":
    unittest.main()
