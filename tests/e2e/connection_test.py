"""The life of a connection: keep-alive, pipelining, bodies that are dropped, time-outs, its end."""

import os
import threading
import unittest

from support import (KIB, MIB, Client, Closed, SharedServerTestCase, TestCase, eventually,
                     new_link_id, some_bytes)

CONTENT = some_bytes(5000)


class ConnectionTest(SharedServerTestCase):
    @classmethod
    def prepare(cls):
        cls.server.write("/file.bin", CONTENT)
        cls.good = cls.server.sign("/file.bin")

    def test_a_thousand_pipelined_requests_are_answered_in_order(self):  # H10
        with self.server.client() as client:
            head = f"GET {self.good} HTTP/1.1\r\nHost: a\r\n"
            heads = "".join(f"{head}Range: bytes={i}-{i + 3}\r\n\r\n" for i in range(1000))
            # From a thread: the server takes no more requests while nobody takes its answers.
            sender = threading.Thread(target=client.send, args=(heads,))
            sender.start()
            for i in range(1000):
                response = client.read_response()
                self.assertEqual(response.field("Content-Range"), f"bytes {i}-{i + 3}/5000")
                self.assertEqual(response.body, CONTENT[i:i + 4])
            sender.join()

    def test_refusals_between_good_requests_do_not_end_the_connection(self):
        with self.server.client() as client:
            for _ in range(3):
                self.assertEqual(client.ask("/file.bin?tg=nonsense").status, 403)
                self.assertEqual(client.ask(self.good, {"If-Match": '"other"'}).status, 412)
                self.assertEqual(client.ask(self.good, {"Range": "bytes=9999-"}).status, 416)
                self.assertEqual(client.ask(self.good, method="HEAD").status, 200)
                self.assertEqual(client.ask(self.good).body, CONTENT)

    def test_a_head_may_come_byte_by_byte(self):
        with self.server.client() as client:
            for byte in f"GET {self.good} HTTP/1.1\r\nHost: a\r\n\r\n".encode():
                client.send(bytes([byte]))
            self.assertEqual(client.read_response().body, CONTENT)

    def test_an_empty_line_before_a_request_is_ignored(self):
        with self.server.client() as client:
            for _ in range(2):
                client.send(f"\r\nGET {self.good} HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(client.read_response().body, CONTENT)

    def test_connection_close_is_honoured(self):
        for value in ("close", "Close", "keep-alive, close", "TE, close"):
            with self.subTest(value=value), self.server.client() as client:
                response = client.ask(self.good, {"Connection": value})
                self.assertEqual(response.body, CONTENT)
                self.assertEqual(response.field("Connection"), "close")
                self.assertTrue(client.is_closed_by_server())

    def test_http_1_0_closes_unless_it_asks_for_keep_alive(self):
        with self.server.client() as client:
            client.send(f"GET {self.good} HTTP/1.0\r\n\r\n")
            response = client.read_response()
            self.assertEqual((response.status, response.body), (200, CONTENT))
            self.assertTrue(client.is_closed_by_server())
        with self.server.client() as client:
            for _ in range(2):
                client.send(f"GET {self.good} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                response = client.read_response()
                self.assertEqual(response.field("Connection"), "keep-alive")
                self.assertEqual(response.body, CONTENT)

    def test_a_body_is_dropped_and_never_read_as_a_request(self):  # H8
        inside = b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n"
        for body in (b"x", inside, inside * 100, b"y" * 64 * KIB):
            with self.subTest(size=len(body)), self.server.client() as client:
                head = f"GET {self.good} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
                client.send(head.encode() + body +
                            f"GET {self.good} HTTP/1.1\r\nHost: a\r\nRange: bytes=7-8\r\n"
                            "Connection: close\r\n\r\n".encode())
                self.assertEqual(client.read_response().body, CONTENT)
                self.assertEqual(client.read_response().body, CONTENT[7:9])
                self.assertEqual(client.read_to_end(), b"")

    def test_a_body_over_64_kib_is_413(self):
        # What 64 bits do not hold is no length at all.
        for length, status in ((64 * KIB + 1, 413), (2**32 + 5, 413), (2**64 - 1, 413),
                               (2**64, 400), (10**40, 400)):
            with self.subTest(length=length), self.server.client() as client:
                client.send(f"GET {self.good} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}"
                            "\r\n\r\n")
                response = client.read_response()
                self.assertEqual((response.status, response.problem), (status, f"http-{status}"))
                self.assertTrue(client.is_closed_by_server())

    def test_expect_100_continue_is_answered_at_once(self):
        with self.server.client() as client:
            self.assertEqual(client.ask(self.good, {"Expect": "100-continue"}).body, CONTENT)
            self.assertEqual(client.ask(self.good).body, CONTENT)
        with self.server.client() as client:  # whether the body will come, nobody knows
            response = client.ask(self.good, {"Expect": "100-continue", "Content-Length": "10"})
            self.assertEqual(response.body, CONTENT)
            self.assertTrue(client.is_closed_by_server())

    def test_another_expectation_is_417(self):
        with self.server.client() as client:
            response = client.ask(self.good, {"Expect": "200-ok"})
            self.assertEqual((response.status, response.problem), (417, "http-417"))

    def test_a_client_that_has_sent_its_last_request_is_still_answered(self):
        with self.server.client() as client:
            client.request(self.good)
            client.request(self.good)
            client.half_close()
            self.assertEqual(client.read_response().body, CONTENT)
            self.assertEqual(client.read_response().body, CONTENT)
            self.assertTrue(client.is_closed_by_server())


class OptionsTest(SharedServerTestCase):
    settings = {"content": {"cors_origins": ["https://shop.example", "http://localhost:3000"]}}

    @classmethod
    def prepare(cls):
        cls.server.write("/file.bin", CONTENT)
        cls.good = cls.server.sign("/file.bin")

    def test_options_needs_no_link(self):
        for request_target in ("/any/path", "*", self.good, "/?tg=nonsense"):
            with self.subTest(target=request_target), self.server.client() as client:
                response = client.ask(request_target, method="OPTIONS")
                self.assertEqual(response.status, 204)
                self.assertEqual(response.field("Allow"), "GET, HEAD, OPTIONS")
                self.assertEqual(client.ask(self.good).body, CONTENT)  # no body came

    def test_a_preflight_of_a_configured_origin_is_granted(self):
        asked = {"Access-Control-Request-Method": "GET",
                 "Access-Control-Request-Headers": "range"}
        for origin in ("https://shop.example", "http://localhost:3000"):
            response = self.server.get("/file.bin", {"Origin": origin, **asked}, "OPTIONS")
            self.assertEqual(response.status, 204)
            self.assertEqual(response.field("Access-Control-Allow-Origin"), origin)
            self.assertEqual(response.field("Access-Control-Allow-Methods"), "GET, HEAD, OPTIONS")
            self.assertIn("Range", response.field("Access-Control-Allow-Headers"))
            self.assertEqual(response.field("Vary"), "Origin")
        response = self.server.get("/file.bin", {"Origin": "https://evil.example", **asked},
                                   "OPTIONS")
        self.assertEqual(response.status, 204)
        self.assertIsNone(response.field("Access-Control-Allow-Origin"))

    def test_answers_to_a_configured_origin_can_be_read_by_its_scripts(self):
        for request_target, status in ((self.good, 200), ("/file.bin", 403)):
            for origin, granted in (("https://shop.example", "https://shop.example"),
                                    ("https://shop.example.evil", None),
                                    ("http://shop.example", None), ("null", None)):
                with self.subTest(status=status, origin=origin):
                    response = self.server.get(request_target, {"Origin": origin})
                    self.assertEqual(response.status, status)
                    self.assertEqual(response.field("Access-Control-Allow-Origin"), granted)


class TimeoutTest(TestCase):
    def test_a_slow_head_is_408(self):
        server = self.start_server({"server": {"header_timeout": "1s"}})
        with server.client() as client:
            client.send(b"GET /file.bin HTTP/1.1\r\nHost: ")
            response = client.read_response()
            self.assertEqual((response.status, response.problem), (408, "http-408"))
            self.assertEqual(response.field("Connection"), "close")
            self.assertEqual(client.read_to_end(), b"")

    def test_the_time_for_a_head_is_absolute(self):  # O3
        server = self.start_server({"server": {"header_timeout": "1s"}})
        with server.client() as client:
            client.socket.settimeout(0.2)  # a byte of the head at a time
            client.send(b"GET /")
            status = None
            for _ in range(300):
                try:
                    client.send(b"a")
                    status = client.read_head().status
                    break
                except TimeoutError:
                    continue
            self.assertEqual(status, 408)

    def test_a_connection_without_a_request_is_closed_without_an_answer(self):
        server = self.start_server({"server": {"idle_timeout": "2s"}})
        server.write("/file.bin", CONTENT)
        with server.client() as client:
            self.assertTrue(client.is_closed_by_server())
        with server.client() as client:
            self.assertEqual(client.ask(server.sign("/file.bin")).body, CONTENT)
            self.assertTrue(client.is_closed_by_server())

    def test_a_body_that_does_not_come_ends_the_connection(self):
        server = self.start_server({"server": {"header_timeout": "500ms"}})
        with server.client() as client:
            client.send(b"GET /file.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            client.read_to_end()

    def test_a_client_that_takes_nothing_is_cut_after_send_timeout(self):
        server = self.start_server({"server": {"send_timeout": "1s"}})
        (server.root / "big").touch()
        os.truncate(server.root / "big", 256 * MIB)
        link = new_link_id()
        with server.client(receive_buffer=64 * KIB) as client:
            client.request(server.sign("/big", id=link, limit=1))
            client.read_head()
            # Not a byte is read: in the end the transfer is given up, and its copy is free again.
            server.expect_link(link, in_flight=0, used=0)
            with self.assertRaises((Closed, ConnectionResetError)):
                client.read(256 * MIB)


class GoneClientTest(TestCase):
    def test_nothing_is_left_of_clients_that_are_gone(self):  # H11
        server = self.start_server({"server": {"send_timeout": "1s", "header_timeout": "1s",
                                               "idle_timeout": "1s"}})
        (server.root / "big").touch()
        os.truncate(server.root / "big", 256 * MIB)
        open_files = f"/proc/{server.process.pid}/fd"
        link = new_link_id()
        big = server.sign("/big", id=link, limit=40)
        server.get(big, method="HEAD")  # now the file is in the cache of open files
        server.get(big, method="HEAD")
        before = len(os.listdir(open_files))
        silent = []
        for round_ in range(3):
            clients = [server.client(receive_buffer=64 * KIB) for _ in range(30)]
            for i, client in enumerate(clients):
                if i % 3 == 0:
                    client.request(big)
                    client.read_head()
                elif i % 3 == 1:
                    client.send(b"GET /")
            for i, client in enumerate(clients):
                if i % 2:
                    client.reset()
                elif round_:
                    client.close()
                else:
                    client.half_close()
                    silent.append(client)  # the time-outs have to see to it
        eventually(lambda: len(os.listdir(open_files)) <= before + 2)
        server.expect_link(link, in_flight=0, used=0)
        for client in silent:
            client.close()

    def test_the_server_outlives_a_storm_of_resets(self):  # O7
        server = self.start_server()
        server.write("/file.bin", CONTENT)
        for _ in range(500):
            Client(server.port).reset()
        self.assertEqual(server.get(server.sign("/file.bin")).body, CONTENT)


if __name__ == "__main__":
    unittest.main()
