"""Links: which signed URLs are honoured, for whom, when, and for which path."""

import os
import time
import unittest

from support import (KIB, MIB, Key, SharedServerTestCase, TestCase, encode_path, eventually,
                     new_link_id, some_bytes, target)

CONTENT = some_bytes(1000)
MAIN = Key("main", b"m" * 32)
MUSIC = Key("music", b"s" * 32, use="verify", scope="/music/")
PARTNER = Key("partner_1", b"p" * 16, use="verify", ids="p1-")
RETIRED = Key("retired", b"r" * 32, use="verify", not_after="2020-01-01T00:00:00Z")
FUTURE = Key("future", b"f" * 32, use="verify", not_after="2100-01-01T00:00:00Z")
STRANGER = Key("stranger", b"x" * 32)


class LinkTest(SharedServerTestCase):
    keys = [MAIN, MUSIC, PARTNER, RETIRED, FUTURE]

    @classmethod
    def prepare(cls):
        for path in ("/file.bin", "/music/Größe XL.flac", "/music/live/a&b=c?d#e%41+.flac",
                     "/musical/file.bin", "/a/b/c/file.bin", "/a/b2/file.bin"):
            cls.server.write(path, CONTENT)

    def expect_served(self, request_target):
        response = self.server.get(request_target)
        self.assertEqual((response.status, response.body), (200, CONTENT), request_target)

    def expect_invalid(self, request_target):
        response = self.server.get(request_target)
        self.assertEqual((response.status, response.problem), (403, "link-invalid"),
                         request_target)

    def test_the_token_stands_in_the_query_or_before_the_path(self):
        for path in ("/file.bin", "/music/Größe XL.flac", "/music/live/a&b=c?d#e%41+.flac"):
            for in_path in (False, True):
                with self.subTest(path=path, in_path=in_path):
                    self.expect_served(self.server.sign(path, in_path, id=new_link_id(), limit=2,
                                                        rate=100000, data="order-7", name="ü.bin"))

    def test_both_carriers_are_one_link(self):
        token = self.server.token("/file.bin", id=new_link_id(), limit=1)
        self.expect_served(target("/file.bin", token))
        response = self.server.get(target("/file.bin", token, in_path=True))
        self.assertEqual(response.problem, "downloads-exhausted")

    def test_other_parameters_of_the_query_say_nothing(self):
        token = self.server.token("/file.bin")
        for query in (f"tg={token}&utm_source=mail", f"fbclid=x&tg={token}", f"a=b&tg={token}&c",
                      f"xtg=1&tg={token}&TG=2", f"%zz=%&tg={token}&&"):
            with self.subTest(query=query):
                self.expect_served(f"/file.bin?{query}")

    def test_two_tokens_are_malformed(self):  # L1
        token = self.server.token("/file.bin")
        self.expect_invalid(f"/file.bin?tg={token}&tg={token}")
        self.expect_invalid(f"/file.bin?tg=&tg={token}")
        self.expect_invalid(f"/tg={token}/file.bin?tg={token}")

    def test_every_altered_character_of_a_token_is_noticed(self):  # L2
        good = self.server.token("/file.bin", id="x7", limit=3, name="a.bin", data="d")
        with self.server.client() as client:
            for i in range(len(good)):
                for other in ("A" if good[i] != "A" else "B", ""):
                    altered = good[:i] + other + good[i + 1:]
                    self.assertEqual(client.ask(target("/file.bin", altered)).problem,
                                     "link-invalid", altered)

    def test_a_link_is_for_its_path_alone(self):  # L11
        token = self.server.token("/file.bin")
        for path in ("/music/Größe XL.flac", "/musical/file.bin", "/a/file.bin", "/file.bi",
                     "/file.bin/x", "/FILE.BIN", "/"):
            with self.subTest(path=path):
                self.expect_invalid(target(path, token))

    def test_malformed_tokens_are_refused_though_their_mac_is_right(self):  # L1
        def signed(text):
            return f"{text}.s{MAIN.mac('/file.bin', text)}"
        expiry = int(time.time()) + 1000
        self.expect_served(target("/file.bin", signed(f"1.kmain.e{expiry}")))
        for text in (f"2.kmain.e{expiry}", f"kmain.e{expiry}", f"1.e{expiry}", "1.kmain",
                     f"1.kmain.e{expiry}.z1", f"1.kmain.e{expiry}.e{expiry}",
                     f"1.e{expiry}.kmain", f"1.kmain.e{expiry}.", f"1.kmain.e{expiry}..i1",
                     f"1.kmain.e{expiry}.i", f"1.kmain.e{expiry}.n3", f"1.kmain.e{expiry}.n1.i1",
                     "1.kmain.e", "1.kmain.e-1", "1.kmain.e+1", f"1.kmain.e0{expiry}",
                     "1.kmain.e1e10", f"1.kmain.e{2**64}", "1.kmain.e" + "9" * 40,
                     f"1.kmain.e{expiry}.i1.n{2**31}", f"1.kmain.e{expiry}.i1.n-1",
                     f"1.kmain.e{expiry}.i{'x' * 65}.n1", f"1.kmain.e{expiry}.p0",
                     f"1.kmain.e{expiry}.p1", f"1.kmain.e{expiry}.aMTI", f"1.kmain.e{expiry}.a!"):
            with self.subTest(text=text):
                self.expect_invalid(target("/file.bin", signed(text)))

    def test_an_unknown_key_is_refused(self):  # L7
        self.expect_invalid(self.server.sign("/file.bin", key=STRANGER))
        self.expect_invalid(self.server.sign("/file.bin", key=Key("main", b"x" * 32)))
        self.expect_invalid(self.server.sign("/file.bin", key=Key("k" * 10000, b"x" * 32))[:7000])

    def test_a_key_is_good_for_its_folder(self):
        self.expect_served(self.server.sign("/music/Größe XL.flac", key=MUSIC))
        self.expect_served(self.server.sign("/music/Größe XL.flac", key=MUSIC, folder=1))
        self.expect_invalid(self.server.sign("/file.bin", key=MUSIC))
        self.expect_invalid(self.server.sign("/musical/file.bin", key=MUSIC))
        self.expect_invalid(self.server.sign("/musical/file.bin", key=MUSIC, folder=1))

    def test_a_key_is_good_until_its_end(self):
        self.expect_invalid(self.server.sign("/file.bin", key=RETIRED))
        self.expect_served(self.server.sign("/file.bin", key=FUTURE))

    def test_a_partners_key_is_good_for_its_ids(self):
        self.expect_served(self.server.sign("/file.bin", key=PARTNER, id="p1-7", limit=1))
        for id in ("p2-7", "7", "P1-7"):
            self.expect_invalid(self.server.sign("/file.bin", key=PARTNER, id=id, limit=1))
        self.expect_invalid(self.server.sign("/file.bin", key=PARTNER))

    def test_a_link_for_an_address_is_for_that_address(self):
        for client in ("127.0.0.1", "127.0.0.0/8", "0.0.0.0/0", "127.0.0.1/32",
                       "::ffff:127.0.0.1"):
            with self.subTest(client=client):
                self.expect_served(self.server.sign("/file.bin", client=client))
        for client in ("127.0.0.2", "10.0.0.0/8", "::1", "::/0", "127.0.0.1/31x"):
            with self.subTest(client=client):
                self.expect_invalid(self.server.sign("/file.bin", client=client))

    def test_a_forwarded_address_is_not_believed(self):  # H14
        good = self.server.sign("/file.bin", client="10.0.0.1")
        for field in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP"):
            response = self.server.get(good, {field: "10.0.0.1"})
            self.assertEqual(response.problem, "link-invalid")

    def test_a_folder_token_is_good_for_all_below_it(self):
        token = self.server.token("/a/b/c/file.bin", folder=1)
        self.expect_served(target("/a/b/c/file.bin", token))
        self.expect_served(target("/a/b2/file.bin", token))
        self.expect_served(target("/a/b2/file.bin", token, in_path=True))
        self.expect_invalid(target("/file.bin", token))
        self.expect_invalid(target("/music/Größe XL.flac", token))
        token = self.server.token("/a/b/c/file.bin", folder=2)
        self.expect_served(target("/a/b/c/file.bin", token))
        self.expect_invalid(target("/a/b2/file.bin", token))
        self.expect_invalid(self.server.sign("/file.bin", folder=1))
        self.expect_invalid(self.server.sign("/a/b/c/file.bin", folder=4))

    def test_a_limit_under_a_folder_token_holds_for_each_file(self):
        token = self.server.token("/a/b/c/file.bin", folder=1, id=new_link_id(), limit=1)
        for path in ("/a/b/c/file.bin", "/a/b2/file.bin"):
            self.expect_served(target(path, token))
            eventually(lambda path=path: self.server.get(target(path, token)).problem,
                       "downloads-exhausted")

    def test_any_spelling_of_the_path_is_the_path(self):
        token = self.server.token("/file.bin", id=new_link_id(), limit=20)
        for spelling in ("/%66ile.bin", "/%66%69%6c%65%2e%62%69%6e", "/file%2Ebin", "/file%2ebin"):
            with self.subTest(spelling=spelling):
                self.expect_served(f"{spelling}?tg={token}")
                self.expect_served(f"/tg={token}{spelling}")
        token = self.server.token("/music/Größe XL.flac")
        self.expect_served(f"/music/Gr%c3%b6%C3%9fe%20XL.flac?tg={token}")
        self.expect_served(f"/musi%63/Gr%C3%B6%C3%9Fe%20%58L.flac?tg={token}")

    def test_a_spelling_that_is_no_path_is_malformed(self):  # F1
        token = self.server.token("/file.bin")
        for spelling in ("//file.bin", "/./file.bin", "/a/../file.bin", "/%2e/file.bin",
                         "/%2e%2e/file.bin", "/file.bin/", "/file.bin%00", "/fil%e.bin",
                         "/file.bin%", "/file.bin%4", "/%2Ffile.bin", "/%5Cfile.bin", "/\\file.bin",
                         "/%C0%AEfile.bin", "/%ff", "/file.bin%0a"):
            with self.subTest(spelling=spelling):
                self.expect_invalid(f"{spelling}?tg={token}")
                self.expect_invalid(f"/tg={token}{spelling}")

    def test_a_paced_link_arrives_intact(self):
        content = self.server.write("/paced.bin", some_bytes(300 * KIB))
        link = new_link_id()
        response = self.server.get(self.server.sign("/paced.bin", id=link, limit=1, rate=500))
        self.assertEqual(response.body, content)
        self.server.expect_link(link, used=1)

    def test_a_refused_link_does_not_say_whether_the_file_exists(self):
        def answers(path):
            link = new_link_id()
            for request_target in (
                    encode_path(path), target(path, "nonsense"),
                    self.server.sign(path, key=STRANGER, id=link, limit=1),
                    self.server.sign(path, expires=1), self.server.sign(path, starts=2**40),
                    self.server.sign(path, client="192.0.2.1"),
                    self.server.sign(path, key=RETIRED)):
                for method in ("GET", "HEAD"):
                    response = self.server.get(request_target, method=method)
                    yield ([f for f in response.fields if f[0] != "Date"], response.status,
                           response.body)
        self.assertEqual(list(answers("/file.bin")), list(answers("/no/such/file.bin")))


class TimesTest(TestCase):
    def server_with(self, **links):
        server = self.start_server({"links": links})
        server.write("/file.bin", CONTENT)
        return server

    def test_a_link_is_refused_from_the_first_second_of_its_expiry(self):  # L5
        server = self.server_with(resume_grace="0s")
        expiry = int(time.time()) + 3
        good = server.sign("/file.bin", expires=expiry)
        served = 0
        while True:
            before = time.time()
            response = server.get(good)
            after = time.time()
            if response.status == 410:
                self.assertEqual(response.problem, "link-expired")
                self.assertGreaterEqual(after, expiry)
                break
            self.assertEqual(response.status, 200)
            self.assertLess(before, expiry)
            served += 1
        self.assertGreater(served, 0)
        self.assertEqual(server.get(good).status, 410)

    def test_a_link_is_honoured_from_the_first_second_of_its_start(self):
        server = self.server_with()
        start = int(time.time()) + 2
        good = server.sign("/file.bin", starts=start)
        while True:
            before = time.time()
            response = server.get(good)
            after = time.time()
            if response.status == 200:
                self.assertGreaterEqual(after, start)
                break
            self.assertEqual(response.problem, "link-not-yet-valid")
            self.assertLess(before, start)

    def test_a_transfer_that_runs_goes_on_after_the_expiry(self):  # L5
        server = self.server_with(resume_grace="0s")
        (server.root / "big").touch()
        os.truncate(server.root / "big", 64 * MIB)
        link, expiry = new_link_id(), int(time.time()) + 5
        good = server.sign("/big", id=link, limit=2, expires=expiry)
        with server.client(receive_buffer=64 * KIB) as client:
            client.request(good)
            self.assertEqual(client.read_head().status, 200)
            eventually(lambda: server.get(good, method="HEAD").status, 410)
            client.read(64 * MIB)
        server.expect_link(link, used=1)

    def test_an_unfinished_copy_may_be_finished_after_the_expiry(self):
        server = self.server_with(resume_grace="1h")
        content = server.write("/big.bin", some_bytes(MIB))
        link, expiry = new_link_id(), int(time.time()) + 5
        good = server.sign("/big.bin", id=link, limit=1, expires=expiry)
        other = server.sign("/big.bin", id=new_link_id(), limit=1, expires=expiry)
        first = server.get(good, {"Range": "bytes=0-99999"})
        self.assertEqual(first.status, 206)
        eventually(lambda: server.get(other, method="HEAD").status, 410)
        rest = server.get(good, {"Range": "bytes=100000-"})
        self.assertEqual(rest.status, 206)
        self.assertEqual(first.body + rest.body, content)
        server.expect_link(link, used=1)
        self.assertEqual(server.get(good).problem, "link-expired")  # nothing is unfinished now

    def test_the_grace_ends_too(self):
        server = self.server_with(resume_grace="1s")
        server.write("/big.bin", some_bytes(MIB))
        good = server.sign("/big.bin", id=new_link_id(), limit=1, expires=int(time.time()) + 1)
        server.get(good, {"Range": "bytes=0-99999"})
        eventually(lambda: server.get(good, {"Range": "bytes=0-0"}).status, 410)


if __name__ == "__main__":
    unittest.main()
