"""The access log: one line of JSON for each request, whatever is in it, and never a token."""

import json
import unittest

from support import SharedServerTestCase, TestCase, eventually, new_link_id, some_bytes, target

CONTENT = some_bytes(1000)


class LogTest(TestCase):
    def setUp(self):
        self.server = self.start_server()
        self.server.write("/folder/file.bin", CONTENT)

    def lines(self, count):
        """The lines of the log, once there are `count`."""
        eventually(lambda: len(self.server.log_lines()), count)
        return self.server.log_lines()

    def test_a_line_says_what_was_asked_and_answered(self):
        link = new_link_id()
        good = self.server.sign("/folder/file.bin", id=link, limit=1, data="order-7")
        self.server.get(good, {"Range": "bytes=0-99", "User-Agent": "agent",
                               "Referer": "https://shop.example/order"})
        line, = self.lines(1)
        self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreaterEqual(line.pop("duration_us"), 0)
        self.assertEqual(line, {
            "client": "127.0.0.1", "method": "GET", "target": "/folder/file.bin?tg=***",
            "protocol": "HTTP/1.1", "status": 206, "body_bytes": 100, "body_length": 100,
            "range": "bytes=0-99", "link": link, "key": "k1", "data": "order-7",
            "user_agent": "agent", "referer": "https://shop.example/order"})

    def test_every_answer_has_its_line(self):
        good = self.server.sign("/folder/file.bin", id=new_link_id(), limit=1)
        with self.server.client() as client:
            statuses = [client.ask(good, method="HEAD").status,
                        client.ask(good, {"Range": "bytes=1000-"}).status,
                        client.ask(good).status,
                        client.ask("/folder/file.bin?tg=x").status,
                        client.ask("/", method="OPTIONS").status]
            client.send(b"nonsense\n")
            statuses.append(client.read_response().status)
        lines = self.lines(6)
        self.assertEqual([line["status"] for line in lines], statuses)
        self.assertTrue(all(line.get("reason") for line in lines if line["status"] >= 400))

    def test_no_token_and_no_mac_is_ever_written(self):
        token = self.server.token("/folder/file.bin", id=new_link_id(), limit=3)
        mac = token.rpartition(".s")[2]
        good = target("/folder/file.bin", token)
        in_path = target("/folder/file.bin", token, in_path=True)
        asked = [good, in_path, good + "&utm=x", good + "0", f"/folder/file.bin?x&tg={token}&y",
                 f"/folder/file.bin?TG={token}", f"/folder/file.bin?%74g={token}",
                 f"/folder/file.bin?t%2567=&%2574g={token}", f"/TG={token}/x", f"/%74g={token}/x",
                 f"/a/tg={token}/x", good.replace("tg=", "tg%3D"), f"/x?a=b?tg={token}",
                 f"/x?next=/folder/file.bin%3Ftg={token}", f"/x?next=%2Ftg%3D{token}%2Fx"]
        for request_target in asked:
            self.server.get(request_target, {"Referer": f"http://dl.shop.example{request_target}"})
        self.server.get(f"http://dl.shop.example{good}")
        with self.server.client() as client:  # heads that are refused before they are read
            client.send(f"GET {good} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            client.read_response()
        with self.server.client() as client:
            client.send(f"POST {good} HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_response()
        for line in self.lines(len(asked) + 3):
            written = json.dumps(line)
            self.assertNotIn(mac, written)
            self.assertNotIn(mac[:16], written)
        self.assertNotIn(mac, self.server.stderr())

    def test_a_hostile_request_is_one_line(self):
        hostile = [b'"}\\', b'", "status": 200, "x": "', b"\x1b[2J\x1b]0;title", b"\x9b2J",
                   b"\xff\xfe\xc0\xaf\xed\xa0\x80", b"\xe2\x80\xa8\xe2\x80\xae\xc2\x85",
                   b"x" * 8000, "Größe 😀".encode(), b"%0d%0a{}", b"\t\ttabs\t"]
        for value in hostile:
            with self.server.client() as client:
                client.send(b"GET /x?tg=y HTTP/1.1\r\nHost: a\r\nUser-Agent: " + value +
                            b"\r\nReferer: " + value[:4000] + b"\r\nRange: " + value[:1000] +
                            b"\r\n\r\n")
                self.assertIn(client.read_response().status, (400, 403))
        lines = self.lines(len(hostile))
        self.assertTrue(all(line["status"] in (400, 403) for line in lines))
        raw = self.server.access_log.read_bytes()
        self.assertEqual(raw.count(b"\n"), len(hostile))
        text = raw.decode("utf-8")  # valid, strictly
        self.assertFalse([c for c in text if c != "\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0)])
        self.assertLess(max(map(len, text.splitlines())), 8000)

    def test_a_transfer_that_breaks_is_logged_with_what_left(self):
        self.server.write("/big.bin", bytes(32 << 20))
        with self.server.client(receive_buffer=65536) as client:
            client.request(self.server.sign("/big.bin"))
            client.read_head()
            client.read(1000)
            client.reset()
        line, = self.lines(1)
        self.assertEqual((line["status"], line["body_length"]), (200, 32 << 20))
        self.assertTrue(1000 <= line["body_bytes"] < 32 << 20)


class ClientAddressTest(SharedServerTestCase):
    settings = {"log": {"client_ip": "truncated"}}

    def test_an_address_is_cut_where_the_settings_say_so(self):
        self.server.get("/x")
        eventually(lambda: len(self.server.log_lines()), 1)
        self.assertEqual(self.server.log_lines()[0]["client"], "127.0.0.0")


if __name__ == "__main__":
    unittest.main()
