"""Every refusal: its status, its name, its shape as a problem document and as a page."""

import json
import os
import time
import unittest

from support import KIB, MIB, Key, TestCase, new_link_id, some_bytes

CONTENT = some_bytes(3000)
PARTNER = Key("other", bytes(range(32)))


class RefusalTest(TestCase):
    def setUp(self):
        contact = "https://shop.example/help?a&b"
        self.server = self.start_server({"server": {"contact_url": contact}})
        self.server.write("/file.bin", CONTENT)
        (self.server.root / "big").touch()
        os.truncate(self.server.root / "big", 64 * MIB)

    def expect(self, request_target, status, name, fields=(), retry_after=False):
        """GET answers with this problem as JSON and as a page, HEAD with the same head alone."""
        json_ = self.server.get(request_target, fields)
        self.assertEqual((json_.status, json_.problem), (status, name))
        document = json.loads(json_.body)
        self.assertEqual(sorted(document), ["detail", "status", "title", "type"])
        self.assertEqual(document["type"], f"urn:tallygate:{name}")
        self.assertEqual(document["status"], status)
        self.assertTrue(document["title"] and document["detail"])

        page = self.server.get(request_target, [*fields, ("Accept", "text/html,*/*;q=0.8")])
        self.assertEqual(page.status, status)
        self.assertEqual(page.field("Content-Type"), "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", page.field("Content-Security-Policy"))
        text = page.body.decode()
        self.assertIn(document["title"], text)
        self.assertIn(document["detail"], text)
        self.assertIn('href="https://shop.example/help?a&amp;b"', text)

        with self.server.client() as client:
            head = client.ask(request_target, fields, "HEAD")
            self.assertEqual(client.ask("/", method="OPTIONS").status, 204)  # no body came
        if status != 429:
            self.assertEqual(head.status, status)
            self.assertEqual(head.length, len(json_.body))
            self.assertEqual(head.field("Content-Type"), "application/problem+json")

        for response in (json_, page):
            self.assertEqual(response.field("Cache-Control"), "no-store")
            self.assertEqual(response.field("X-Content-Type-Options"), "nosniff")
            self.assertEqual(response.field("Referrer-Policy"), "no-referrer")
            self.assertIsNotNone(response.field("Date"))
            self.assertIsNone(response.field("ETag"))
            self.assertIsNone(response.field("Content-Disposition"))
            if retry_after:
                self.assertRegex(response.field("Retry-After"), r"^[1-9][0-9]*$")
            else:
                self.assertIsNone(response.field("Retry-After"))
            self.assertNotIn(b"tg=", response.head + response.body)
        return json_

    def test_a_link_that_is_not_genuine_is_link_invalid(self):
        good = self.server.sign("/file.bin", id=new_link_id(), limit=1)
        bodies = set()
        for request_target in (
                "/file.bin", "/file.bin?tg=", "/file.bin?tg=nonsense", good + "0", good[:-1],
                good[:-1] + ("1" if good[-1] == "0" else "0"), good.replace(".n1.", ".n2."),
                good.replace("/file.bin", "/big"), good + "&tg=x",
                self.server.sign("/file.bin", key=PARTNER),
                self.server.sign("/file.bin", client="192.0.2.1")):
            with self.subTest(target=request_target):
                bodies.add(self.expect(request_target, 403, "link-invalid").body)
        self.assertEqual(len(bodies), 1)  # which part was wrong is for the log alone

    def test_a_link_before_its_time_is_link_not_yet_valid(self):
        self.expect(self.server.sign("/file.bin", starts=int(time.time()) + 1000),
                    403, "link-not-yet-valid")

    def test_a_link_after_its_time_is_link_expired(self):
        self.expect(self.server.sign("/file.bin", expires=int(time.time())), 410, "link-expired")

    def test_a_link_that_was_withdrawn_is_link_revoked(self):
        link = new_link_id()
        good = self.server.sign("/file.bin", id=link, limit=5)
        self.assertEqual(self.server.get(good).status, 200)
        self.server.links("revoke", link)
        self.expect(good, 403, "link-revoked")
        self.server.links("restore", link)
        self.assertEqual(self.server.get(good).body, CONTENT)

    def test_a_link_without_a_copy_left_is_downloads_exhausted(self):
        link = new_link_id()
        good = self.server.sign("/file.bin", id=link, limit=1)
        self.assertEqual(self.server.get(good).body, CONTENT)
        self.server.expect_link(link, used=1, blocked="copies")
        self.expect(good, 403, "downloads-exhausted")

    def test_a_link_whose_traffic_is_used_up_is_traffic_exhausted(self):
        link = new_link_id()
        big = self.server.sign("/big", id=link, limit=1)
        for _ in range(3):  # all but the last byte: never a copy
            response = self.server.get(big, {"Range": f"bytes=0-{64 * MIB - 2}"})
            self.assertEqual(response.status, 206)
        self.server.expect_link(link, copies=0, blocked="traffic")
        self.expect(big, 403, "traffic-exhausted")

    def test_a_link_whose_last_copy_is_in_progress_is_downloads_in_progress(self):  # L12
        link = new_link_id()
        big = self.server.sign("/big", id=link, limit=1)
        with self.server.client(receive_buffer=64 * KIB) as client:
            client.request(big)
            self.assertEqual(client.read_head().status, 200)
            self.expect(big, 429, "downloads-in-progress", retry_after=True)
            # HEAD answers as GET would with a copy to spare, and at once.
            self.assertEqual(self.server.get(big, method="HEAD").status, 200)

    def test_a_link_without_a_file_is_file_missing(self):
        self.expect(self.server.sign("/no/such.bin", id=new_link_id(), limit=1),
                    404, "file-missing")

    def test_a_precondition_that_fails_is_http_412(self):
        self.expect(self.server.sign("/file.bin"), 412, "http-412", [("If-Match", '"other"')])

    def test_a_range_beyond_the_end_is_http_416(self):
        good = self.server.sign("/file.bin")
        response = self.server.get(good, {"Range": "bytes=3000-"})
        self.assertEqual((response.status, response.problem), (416, "http-416"))
        self.assertEqual(response.field("Content-Range"), "bytes */3000")
        self.assertEqual(response.field("Cache-Control"), "no-store")
        # HEAD knows no ranges (RFC 9110, section 14.2).
        self.assertEqual(self.server.get(good, {"Range": "bytes=3000-"}, "HEAD").status, 200)

    def test_who_accepts_no_page_gets_none(self):
        for accept, is_page in (("text/html", True), ("application/json", False), ("*/*", False),
                                ("text/html;q=0", False), ("application/xhtml+xml", None),
                                ("text/html;q=0.5, application/problem+json", False),
                                ("text/html, application/problem+json;q=0.9", True)):
            with self.subTest(accept=accept):
                content_type = self.server.get("/", {"Accept": accept}).field("Content-Type")
                if is_page is not None:
                    self.assertEqual(content_type.startswith("text/html"), is_page)


class UnavailableTest(TestCase):
    def test_a_shop_that_decides_and_cannot_be_asked_is_temporarily_unavailable(self):
        server = self.start_server({
            "links": {"authority": "shop"}, "shop": {"url": "sqlite:/nowhere/at/all/shop.db"}})
        server.write("/file.bin", CONTENT)
        for fields in ((), {"Accept": "text/html"}):
            response = server.get(server.sign("/file.bin", id=new_link_id(), limit=1), fields)
            self.assertEqual(response.status, 503)
            self.assertRegex(response.field("Retry-After"), r"^[1-9][0-9]*$")
            self.assertEqual(response.field("Cache-Control"), "no-store")
        response = server.get(server.sign("/file.bin", id=new_link_id(), limit=1))
        self.assertEqual(response.problem, "temporarily-unavailable")

    def test_a_shop_that_only_listens_and_cannot_be_asked_changes_nothing(self):
        server = self.start_server({"shop": {"url": "sqlite:/nowhere/at/all/shop.db"}})
        server.write("/file.bin", CONTENT)
        link = new_link_id()
        good = server.sign("/file.bin", id=link, limit=1)
        self.assertEqual(server.get(good).body, CONTENT)
        server.expect_link(link, used=1)
        self.assertEqual(server.get(good).problem, "downloads-exhausted")


if __name__ == "__main__":
    unittest.main()
