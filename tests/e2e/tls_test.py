"""HTTPS: the bytes are right, the protocol is kept, and what is no TLS ends."""

import hashlib
import os
import socket
import ssl
import struct
import threading
import unittest
import warnings

from support import GIB, KIB, MIB, SharedServerTestCase, eventually, new_link_id, some_bytes
from tls_case import NAME, TLS_1_2, TLS_1_3, TlsServer

VERSIONS = (TLS_1_2, TLS_1_3)
LARGE = os.urandom(50_000_000)
SMALL = some_bytes(5000)


class TlsTestCase(SharedServerTestCase):
    server_class = TlsServer


class BytesTest(TlsTestCase):
    @classmethod
    def prepare(cls):
        cls.server.write("/large", LARGE)
        cls.server.write("/small", SMALL)
        cls.large, cls.small = cls.server.sign("/large"), cls.server.sign("/small")

    def connections(self):
        """One for each version of TLS, and one after the other."""
        for version in VERSIONS:
            with self.subTest(version=version.name):
                with self.server.client(self.server.context(version)) as client:
                    self.assertEqual(client.socket.version(), version.name.replace("_", "."))
                    yield client

    def test_a_large_file_arrives_whole(self):
        for client in self.connections():
            link = new_link_id()
            client.request(self.server.sign("/large", id=link, limit=1))
            head = client.read_head()
            digest = hashlib.sha256()
            for at in range(0, head.length, MIB):
                digest.update(client.read(min(MIB, head.length - at)))
            self.assertEqual(digest.digest(), hashlib.sha256(LARGE).digest())
            self.server.expect_link(link, used=1, copies=1, traffic_bytes=len(LARGE))

    def test_bodies_of_every_size_around_that_of_a_record_and_of_a_batch(self):
        record, batch = 16 * KIB, 256 * KIB
        for client in self.connections():
            for size in (0, 1, record - 1, record, record + 1, 2 * record, batch - 1, batch,
                         batch + 1, 5 * batch + 3):
                path = f"/size-{size}"
                content = self.server.write(path, some_bytes(size, size))
                self.assertEqual(client.ask(self.server.sign(path)).body, content)

    def test_ranges(self):
        size = len(LARGE)
        for client in self.connections():
            for first, last in ((0, 0), (1, 16384), (size - 1, size - 1), (7 * MIB + 5, 9 * MIB),
                                (size - 300_000, size - 1)):
                response = client.ask(self.large, {"Range": f"bytes={first}-{last}"})
                self.assertEqual((response.status, response.field("Content-Range")),
                                 (206, f"bytes {first}-{last}/{size}"))
                self.assertEqual(response.body, LARGE[first:last + 1])

    def test_several_ranges(self):
        spans = [(0, 99), (MIB, 3 * MIB), (20 * MIB, 20 * MIB), (49_000_000, 49_999_999)]
        asked = "bytes=" + ",".join(f"{a}-{b}" for a, b in spans)
        for client in self.connections():
            response = client.ask(self.large, {"Range": asked})
            self.assertEqual(response.status, 206)
            rest = response.body
            for first, last in spans:
                head, rest = rest.split(b"\r\n\r\n", 1)
                self.assertIn(f"bytes {first}-{last}/50000000".encode(), head)
                self.assertEqual(rest[:last - first + 1], LARGE[first:last + 1])
                rest = rest[last - first + 1:]
            self.assertEqual(rest[-4:], b"--\r\n")

    def test_answers_without_a_body_stand_between_those_with_one(self):
        for client in self.connections():
            for _ in range(3):
                head = client.ask(self.small, method="HEAD")
                self.assertEqual((head.status, head.length), (200, len(SMALL)))
                etag = head.field("ETag")
                self.assertEqual(client.ask(self.small, {"If-None-Match": etag}).status, 304)
                self.assertEqual(client.ask(self.small, {"Range": "bytes=5000-"}).status, 416)
                self.assertEqual(client.ask("/small?tg=nonsense").status, 403)
                self.assertEqual(client.ask(self.small).body, SMALL)

    def test_pipelined_requests_are_answered_in_order(self):
        for client in self.connections():
            head = f"GET {self.small} HTTP/1.1\r\nHost: a\r\n"
            heads = "".join(f"{head}Range: bytes={i}-{i + 3}\r\n\r\n" for i in range(500))
            client.send(heads)
            for i in range(500):
                self.assertEqual(client.read_response().body, SMALL[i:i + 4])

    def test_a_head_may_come_byte_by_byte(self):
        for client in self.connections():
            for byte in f"GET {self.small} HTTP/1.1\r\nHost: a\r\n\r\n".encode():
                client.send(bytes([byte]))
            self.assertEqual(client.read_response().body, SMALL)

    def test_an_answer_that_is_the_last_ends_with_an_announcement(self):
        for client in self.connections():
            self.assertEqual(client.ask(self.large, close=True).body, LARGE)
            self.assertTrue(client.is_closed_by_server())
            self.assertTrue(client.ended_cleanly)

    def test_the_ends_of_a_file_beyond_4_gib(self):
        size = 5 * GIB
        marks = {4 * GIB - 3: b"across 4 GiB", size - 5: b"tail!"}
        where = self.server.root / "sparse"
        with open(where, "wb") as file:
            for at, text in marks.items():
                file.seek(at)
                file.write(text)
        self.assertEqual(where.stat().st_size, size)
        url = self.server.sign("/sparse")
        for client in self.connections():
            self.assertEqual(client.ask(url, method="HEAD").length, size)
            self.assertEqual(client.ask(url, {"Range": "bytes=-5"}).body, b"tail!")
            body = client.ask(url, {"Range": f"bytes={size - 2 * MIB}-"}).body
            self.assertEqual(body, bytes(2 * MIB - 5) + b"tail!")
            body = client.ask(url, {"Range": f"bytes={4 * GIB - MIB}-{4 * GIB + MIB - 1}"}).body
            self.assertEqual(body, bytes(MIB - 3) + b"across 4 GiB" + bytes(MIB - 9))
            both = client.ask(url, {"Range": f"bytes={4 * GIB - 3}-{4 * GIB + 8},-5"}).body
            self.assertIn(b"\r\n\r\nacross 4 GiB\r\n--", both)
            self.assertIn(b"\r\n\r\ntail!\r\n--", both)


class ProtocolTestCase(TlsTestCase):
    @classmethod
    def prepare(cls):
        cls.server.write("/small", SMALL)
        cls.small = cls.server.sign("/small")

    def tearDown(self):
        """Whatever came before, both listeners serve."""
        for client in (self.server.client(), self.server.plain_client()):
            with client:
                self.assertEqual(client.ask(self.small).body, SMALL)

    def hello(self, context=None):
        """A client's first flight, as bytes."""
        outgoing = ssl.MemoryBIO()
        session = (context or self.server.context()).wrap_bio(ssl.MemoryBIO(), outgoing,
                                                              server_hostname=NAME)
        with self.assertRaises(ssl.SSLWantReadError):
            session.do_handshake()
        return outgoing.read()

    def raw(self):
        client = self.server.plain_client()
        client.socket.close()
        client.socket = socket.create_connection(("127.0.0.1", self.server.tls_port), 60)
        self.addCleanup(client.close)
        return client


class SlowHandshakeTest(ProtocolTestCase):
    settings = {"server": {"header_timeout": "3s"}}

    def test_noise_on_the_port_of_https_ends(self):
        for noise in (b"\0", b"\x16\x03\x01\xff\xff", os.urandom(3000), b"\x16\x03\x01\0\4abcd",
                      b"\x80\x2e\x01\0\2" + bytes(300)):
            with self.subTest(noise=noise[:8]):
                client = self.raw()
                client.send(noise)
                said = client.read_to_end()  # some only when the time for a head is up
                self.assertTrue(said == b"" or said[0] == 21, said)

    def test_a_handshake_that_stops_ends_when_the_time_for_a_head_is_up(self):  # H15, O3
        hello = self.hello()
        for part in (0, 1, len(hello) // 2, len(hello)):
            with self.subTest(part=part):
                client = self.raw()
                client.send(hello[:part])
                client.read_to_end()


class ProtocolTest(ProtocolTestCase):
    def test_http_on_the_port_of_https_ends_without_an_answer_in_the_clear(self):
        client = self.raw()
        client.request(self.small)
        said = client.read_to_end()
        self.assertTrue(said == b"" or said[0] == 21, said)  # an alert

    def test_who_leaves_in_the_middle_of_a_handshake_harms_nobody(self):  # H15
        hello = self.hello()
        for part in (1, len(hello) // 2, len(hello)):
            for leave in ("close", "reset", "half_close"):
                client = self.raw()
                client.send(hello[:part])
                getattr(client, leave)()

    def test_https_on_the_port_of_http_is_a_bad_request(self):
        with self.server.plain_client() as client:
            client.send(self.hello())
            response = client.read_response()
            self.assertEqual(response.status, 400)
            self.assertTrue(client.is_closed_by_server())

    def test_older_versions_are_refused(self):  # H15
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.subTest(version=version.name):
                context = self.server.context(trust=False)
                context.set_ciphers("ALL:@SECLEVEL=0")
                with warnings.catch_warnings(action="ignore"):  # that they are old
                    context.minimum_version = context.maximum_version = version
                with self.assertRaises(ssl.SSLError) as refused:
                    self.server.client(context)
                self.assertEqual(refused.exception.reason, "TLSV1_ALERT_PROTOCOL_VERSION")

    def test_a_protocol_that_it_speaks_is_chosen_from_those_offered(self):
        for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"),
                                ([], None)):
            context = self.server.context()
            if offered:
                context.set_alpn_protocols(offered)
            with self.subTest(offered=offered), self.server.client(context) as client:
                self.assertEqual(client.socket.selected_alpn_protocol(), chosen)
                self.assertEqual(client.ask(self.small).body, SMALL)

    def test_who_offers_only_other_protocols_is_told_so(self):
        for offered in (["h2"], ["http/1.0", "spdy/3"], ["http/1"], ["http/1.12"]):
            context = self.server.context()
            context.set_alpn_protocols(offered)
            with self.subTest(offered=offered):
                client = self.raw()
                client.send(self.hello(context))
                fatal, no_application_protocol = 2, 120
                self.assertEqual(client.read_to_end(), struct.pack(
                    ">BHHBB", 21, 0x0303, 2, fatal, no_application_protocol))

    def test_ciphers_without_forward_secrecy_are_refused(self):
        context = self.server.context(TLS_1_2)
        context.set_ciphers("AES128-GCM-SHA256:AES256-SHA:ECDHE-ECDSA-AES128-SHA")
        with self.assertRaises(ssl.SSLError) as refused:
            self.server.client(context)
        self.assertEqual(refused.exception.reason, "SSLV3_ALERT_HANDSHAKE_FAILURE")

    def test_many_handshakes_at_once(self):
        failed = []

        def fetch():
            try:
                with self.server.client() as client:
                    if client.ask(self.small).body != SMALL:
                        failed.append("other bytes")
            except Exception as failure:  # for the main thread to see
                failed.append(failure)

        threads = [threading.Thread(target=fetch) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])

    def test_damaged_records_end_the_connection(self):
        """Of a session that was fine: one bit is turned on its way."""
        for version in VERSIONS:
            with self.subTest(version=version.name):
                client = self.raw()
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                session = self.server.context(version).wrap_bio(
                    incoming, outgoing, server_hostname=NAME)
                while True:
                    try:
                        session.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        client.send(outgoing.read())
                        incoming.write(client.socket.recv(64 * KIB))
                client.send(outgoing.read())
                session.write(f"GET {self.small} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                record = bytearray(outgoing.read())
                record[-1] ^= 1
                client.send(bytes(record))
                said = client.read_to_end()
                types = []
                while said:
                    kind, _, size = struct.unpack(">BHH", said[:5])
                    types.append((kind, size < 100))
                    said = said[5 + size:]
                # A ticket of TLS 1.3, and an alert; no answer.
                self.assertLess(len(types), 3, types)
                self.assertEqual(types[-1:], [(21 if version == TLS_1_2 else 23, True)], types)


class LogTest(TlsTestCase):
    def test_the_log_says_the_same_as_without_tls(self):
        self.server.write("/small", SMALL)
        url = self.server.sign("/small", data="x")
        self.server.get(url)
        with self.server.plain_client() as client:
            client.ask(url, close=True)
        eventually(lambda: len(self.server.log_lines()), 2)
        lines = self.server.log_lines()
        for line in lines:
            for name in list(line):
                if name in ("time", "duration_us", "link"):
                    del line[name]
        self.assertEqual(lines[0], lines[1])


if __name__ == "__main__":
    unittest.main()
