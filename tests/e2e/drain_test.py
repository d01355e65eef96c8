"""The end in order: what runs may finish, for a time; what is cut can be resumed."""

import unittest

from counting import CountingTestCase, read_until_cut
from support import KIB, MIB, eventually, some_bytes


class DrainTest(CountingTestCase):
    size = 24 * MIB

    def start(self, **server):
        """A server with these settings, a file on it, and a transfer that has begun."""
        self.server = self.start_server({"server": server})
        self.content = self.server.write("/file", some_bytes(self.size))
        self.link_id, self.url = self.link("/file", 2)
        client = self.begin(self.url)
        self.assertEqual(client.read_head().status, 200)
        return client, client.read(MIB)

    def setUp(self):
        pass  # each test has settings of its own

    def draining(self):
        eventually(lambda: "draining" in self.server.stderr())

    def refuses_connections(self):
        try:
            self.server.client().close()
        except ConnectionRefusedError:
            return True
        except OSError:  # it had come in before the listener went, and went with it
            return False
        return False

    def test_a_transfer_that_runs_is_finished(self):
        client, begun = self.start(drain_timeout="5m")
        self.server.terminate()
        self.draining()
        eventually(self.refuses_connections)
        self.assertTrue(self.server.is_running())
        self.assertEqual(begun + client.read(self.size - MIB), self.content)
        self.assertTrue(client.is_closed_by_server())
        self.server.wait()
        self.server.start()
        self.server.expect_link(self.link_id, used=1, copies=1, traffic_bytes=self.size)

    def test_a_transfer_that_takes_too_long_is_cut_and_can_be_resumed(self):  # P2
        client, begun = self.start(drain_timeout="200ms")
        self.server.terminate()
        self.server.wait()
        begun += read_until_cut(client, self.size - MIB)
        self.assertLess(len(begun), self.size)
        self.server.start()
        self.server.expect_link(self.link_id, used=0, copies=0)
        response = self.server.get(self.url, {"Range": f"bytes={len(begun)}-"})
        self.assertEqual(begun + response.body, self.content)
        self.server.expect_link(self.link_id, copies=1)

    def test_a_second_signal_ends_it_at_once(self):  # P1
        client, _ = self.start(drain_timeout="1h")
        self.server.terminate()
        self.draining()
        self.server.terminate()
        self.server.wait()
        self.server.start()
        self.server.expect_link(self.link_id, used=0, copies=0)

    def test_a_drain_timeout_of_zero_waits_for_nobody(self):
        self.start(drain_timeout="0s")
        self.server.stop()

    def test_an_idle_connection_is_closed(self):
        self.server = self.start_server({"server": {"drain_timeout": "1h", "idle_timeout": "1h"}})
        self.server.write("/file", b"x")
        with self.server.client() as fresh, self.server.client() as used:
            self.assertEqual(used.ask(self.server.sign("/file")).body, b"x")
            # Once a later connection has been answered, the fresh one has been accepted.
            with self.server.client() as other:
                other.ask("/", method="OPTIONS")
            self.server.terminate()
            self.assertTrue(used.is_closed_by_server())
            self.assertTrue(fresh.is_closed_by_server())
        self.server.wait()

    def test_the_answer_at_hand_says_that_it_is_the_last(self):
        client, begun = self.start(drain_timeout="5m")
        client.request(self.url)  # waits behind the one that runs
        self.server.terminate()
        self.draining()
        self.assertEqual(begun + client.read(self.size - MIB), self.content)
        rest = client.read_to_end()
        self.assertEqual(rest, b"")
        self.server.wait()
        self.server.start()
        self.server.expect_link(self.link_id, used=1, copies=1)

    def test_what_was_acknowledged_just_before_the_end_is_counted(self):
        self.server = self.start_server()
        content = self.server.write("/file", some_bytes(200 * KIB))
        counted = 0
        self.link_id, self.url = self.link("/file", 1000)
        for _ in range(10):
            self.assertEqual(self.server.get(self.url).body, content)
            counted += 1
            self.server.restart()
            self.server.expect_link(self.link_id, used=counted, copies=counted)

    def test_many_slow_clients_all_finish(self):  # P1
        self.server = self.start_server({"server": {"drain_timeout": "5m"}})
        self.content = self.server.write("/file", some_bytes(12 * MIB))
        self.link_id, self.url = self.link("/file", 30)
        clients = [self.begin(self.url) for _ in range(30)]
        self.assertEqual({client.read_head().status for client in clients}, {200})
        self.server.terminate()
        self.draining()
        for client in clients:
            self.assertEqual(client.read(12 * MIB), self.content)
        self.server.wait()
        self.server.start()
        self.server.expect_link(self.link_id, used=30, copies=30)

    def test_a_start_beside_a_running_server_fails_and_harms_nothing(self):  # J10
        client, begun = self.start()
        done = self.server.command("serve", "--config", self.server.config, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("in use by another tallygate", done.stderr)
        self.assertEqual(begun + client.read(self.size - MIB), self.content)
        self.server.expect_link(self.link_id, used=1)


if __name__ == "__main__":
    unittest.main()
