"""How transfers end: what a client gets is what is counted, also when one side ends it early."""

import unittest

from counting import CountingTestCase, let_it_acknowledge, read_until_cut
from support import KIB, MIB, eventually, some_bytes

SIZE = 24 * MIB


class EndingTest(CountingTestCase):
    settings = {"server": {"threads": 1, "send_timeout": "2s"}}

    def setUp(self):
        super().setUp()
        self.content = self.server.write("/file", some_bytes(SIZE))

    def expect_resumable(self, link, url, received):
        """What was received and the rest are a copy, and are counted as one."""
        self.assertLess(len(received), SIZE)
        self.assertEqual(received, self.content[:len(received)])
        response = self.server.get(url, {"Range": f"bytes={len(received)}-"})
        self.assertEqual(received + response.body, self.content)
        self.server.expect_link(link, copies=1, used=1)

    def test_a_client_that_sends_no_more_gets_everything_and_is_counted(self):
        link, url = self.link("/file", 3)
        client = self.begin(url)
        client.half_close()
        self.assertEqual(client.read_response().body, self.content)
        self.assertTrue(client.is_closed_by_server())
        self.server.expect_link(link, copies=1, used=1, traffic_bytes=SIZE)

    def test_a_client_that_sends_no_more_and_is_slow_gets_everything_and_is_counted(self):
        link, url = self.link("/file", 3)
        client = self.begin(url)
        client.half_close()
        client.read_head()
        received = b""
        while len(received) < SIZE - MIB:
            received += client.read(MIB)
        # All that is left is in the server's send buffer, and its coroutine has done its work.
        eventually(lambda: len(self.server.log_lines()), 1)
        received += client.read(MIB)
        self.assertEqual(received, self.content)
        self.server.expect_link(link, copies=1, used=1, traffic_bytes=SIZE)

    def test_a_client_that_closes_after_its_last_byte_is_counted(self):
        link, url = self.link("/file", 30)
        for copies in range(1, 6):
            client = self.begin(url)
            client.discard(client.read_head().length)
            client.close()
            self.server.expect_link(link, copies=copies)

    def test_what_is_in_the_send_buffer_when_a_silent_client_is_cut_never_arrives(self):  # H11
        link, url = self.link("/file", 3)
        client = self.begin(url)
        client.read_head()
        received = client.read(MIB)
        self.server.expect_link(link, in_flight=0, copies=0)  # silent for send_timeout
        received += read_until_cut(client, SIZE)
        self.expect_resumable(link, url, received)

    def test_a_small_file_that_a_silent_client_was_cut_from_is_no_copy(self):
        content = self.server.write("/small", some_bytes(2 * MIB))
        link, url = self.link("/small", 1)
        client = self.begin(url)
        client.read_head()
        # The whole answer is in the server's send buffer; the time to take it passes.
        self.server.expect_link(link, in_flight=0, copies=0)
        self.assertLess(len(read_until_cut(client, len(content))), len(content))
        self.assertEqual(self.server.get(url).body, content)
        self.server.expect_link(link, copies=1, used=1)

    def test_what_a_revoked_link_had_on_its_way_never_arrives(self):
        link, url = self.link("/file", 3)
        client = self.begin(url)
        client.read_head()
        received = client.read(MIB)
        self.server.links("revoke", link)
        self.server.expect_link(link, in_flight=0)
        received += read_until_cut(client, SIZE)
        # Its own kernel had some, as much as its receive buffer holds; the server's had megabytes.
        self.assertLessEqual(len(received), MIB + 256 * KIB)
        self.assertEqual(received, self.content[:len(received)])

    def test_a_client_that_breaks_off_resumes_where_it_stopped(self):  # H5
        link, url = self.link("/file", 3)
        received = b""
        for step in (1, 100 * KIB, 5 * MIB, 3, 10 * MIB):
            with self.server.client(receive_buffer=64 * KIB) as client:
                client.request(url, {"Range": f"bytes={len(received)}-"})
                self.assertEqual(client.read_head().status, 206)
                received += client.read(step)
                let_it_acknowledge()
                client.reset()
        self.expect_resumable(link, url, received)


if __name__ == "__main__":
    unittest.main()
