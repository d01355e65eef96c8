"""The server as a service of systemd: what it tells, and the sockets that it is handed."""

import signal
import socket
import ssl
import subprocess
import unittest

from command_case import FAILED, SETTINGS, CommandTest
from disk_case import require_disk
from service_case import NotifySocket, ServiceServer
from small_disk import SmallDisk
from support import BINARY, KIB, MIB, PATIENCE, Client, eventually, some_bytes
from tls_case import Certificate

SECOND = 1_000_000  # microseconds, as systemd counts
BEHIND_DRAIN = 20 * SECOND


class ServiceTest(CommandTest):
    def prepare(self, settings=None, **service):
        server = ServiceServer(settings, **service)
        self.addCleanup(self._end, server)
        return server

    def start_service(self, settings=None, **service):
        return self.prepare(settings, **service).start()

    def notify_socket(self):
        notify = NotifySocket()
        self.addCleanup(notify.close)
        return notify

    def run_to_the_end(self, server):
        """For a server that does not start: its exit code and what it said."""
        done = subprocess.run(
            [*server.launcher, *self.serve_command(server)], capture_output=True, text=True,
            timeout=PATIENCE, stdin=subprocess.DEVNULL, **server.process_options)
        return done.returncode, done.stderr

    def serve_command(self, server):
        return [BINARY, "serve", "--config", str(server.config)]


class Notify(ServiceTest):
    def test_ready_is_said_once_it_serves(self):
        notify = self.notify_socket()
        server = self.prepare(notify=notify)
        server.write("/a", b"x")
        server.start()
        message = notify.next()
        self.assertEqual(message["READY"], "1")
        self.assertEqual(message["STATUS"], f"serving on 127.0.0.1:{server.port}")
        self.assertEqual(server.get(server.sign("/a")).body, b"x")
        server.stop()
        self.assertNotIn({"WATCHDOG": "1"}, notify.all())  # nobody asked for it

    def test_it_is_never_ready_with_wrong_settings(self):
        notify = self.notify_socket()
        server = self.prepare({"server": {"threads": "many"}}, notify=notify)
        code, _ = self.run_to_the_end(server)
        self.assertEqual(code, SETTINGS)
        self.assertEqual(notify.all(), [])

    def test_a_reload_begins_and_ends(self):
        notify = self.notify_socket()
        server = self.start_service(notify=notify)
        notify.next()
        for _ in range(3):
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(notify.next(), {"RELOADING": "1"})
            self.assertEqual(notify.next(), {"READY": "1"})

    def test_stopping_asks_for_the_time_that_downloads_may_take(self):
        notify = self.notify_socket()
        server = self.start_service({"server": {"drain_timeout": "10m"}}, notify=notify)
        content = server.write("/a", some_bytes(16 * MIB))
        notify.next()
        with server.client(receive_buffer=64 * KIB) as client:
            client.request(server.sign("/a"))
            head = client.read_head()
            server.terminate()
            message = notify.next()
            self.assertEqual(message["STOPPING"], "1")
            self.assertIn("draining", message["STATUS"])
            self.assertEqual(notify.next(),
                             {"EXTEND_TIMEOUT_USEC": str(600 * SECOND + BEHIND_DRAIN)})
            self.assertEqual(client.read(head.length), content)
        server.wait()

    def test_a_socket_that_nobody_reads_is_no_reason_not_to_serve(self):
        notify = self.notify_socket()
        server = self.prepare(notify=notify)
        notify.socket.close()
        server.write("/a", b"x")
        server.start()
        self.assertEqual(server.get(server.sign("/a")).body, b"x")


class Watchdog(ServiceTest):
    def test_a_server_that_moves_says_so_again_and_again(self):
        notify = self.notify_socket()
        self.start_service(notify=notify, watchdog=SECOND)
        notify.next()
        for _ in range(5):
            self.assertEqual(notify.next(), {"WATCHDOG": "1"})


class WatchdogAndDisk(ServiceTest):
    @classmethod
    def setUpClass(cls):
        require_disk()

    def test_nothing_is_said_while_the_journal_waits_for_its_disk(self):  # P8
        disk = SmallDisk()
        self.addCleanup(disk.remove)
        disk.mount()
        notify = self.notify_socket()
        server = self.start_service({"ledger": {"dir": str(disk.ledger)}}, notify=notify,
                                    watchdog=SECOND)
        server.write("/a", some_bytes(KIB))
        with server.client() as client:
            with disk.frozen():
                client.request(server.sign("/a", id="x", limit=1))
                eventually(lambda: "watchdog: the journal waits" in server.stderr())
                notify.forget()
                # The thread that watches has looked many times when this has been answered.
                self.assertEqual(client.read_response().status, 503)
                self.assertEqual(notify.all(), [])
            self.assertEqual(notify.next(), {"WATCHDOG": "1"})


class HandedOver(ServiceTest):
    def listener(self, family=socket.AF_INET, address="127.0.0.1"):
        listener = socket.create_server((address, 0), family=family)
        self.addCleanup(listener.close)
        return listener

    def port(self, listener):
        return listener.getsockname()[1]

    def test_a_socket_named_http_stands_in_for_server_listen(self):
        first, second = self.listener(), self.listener()
        server = self.start_service(
            {"server": {"listen": ["127.0.0.1:1"], "threads": 3}},
            sockets=[("http", first), ("http", second)])
        self.assertEqual(server.port, self.port(first))
        server.write("/a", b"x")
        for listener in first, second:
            clients = [Client(self.port(listener)) for _ in range(20)]
            for client in clients:
                client.request(server.sign("/a"))
            for client in clients:
                self.assertEqual(client.read_response().body, b"x")
                client.close()

    def test_who_comes_while_it_is_not_running_is_served_when_it_is(self):
        listener = self.listener()
        server = self.prepare(sockets=[("http", listener)])
        server.write("/a", b"x")
        for _ in range(2):
            with Client(self.port(listener)) as early:
                early.request(server.sign("/a"))
                server.start()
                self.assertEqual(early.read_response().body, b"x")
            server.stop()

    def test_a_socket_named_https_stands_in_for_tls_listen(self):
        http, https = self.listener(), self.listener()
        server = self.prepare(sockets=[("https", https), ("http", http)])
        certificate = Certificate(server.folder, "certificate", ["IP:127.0.0.1"])
        server.configure({"tls": {"listen": ["127.0.0.1:1"], **certificate.setting()}})
        server.write("/a", b"x")
        server.start()
        context = ssl.create_default_context(cafile=certificate.file)
        with socket.create_connection(("127.0.0.1", self.port(https)), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                head = f"GET {server.sign('/a')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                client.sendall(head.encode())
                received = b""
                while more := client.recv(4096):
                    received += more
        self.assertTrue(received.startswith(b"HTTP/1.1 200 ") and received.endswith(b"\r\n\r\nx"))
        self.assertIn(f"serving on https://127.0.0.1:{self.port(https)}", server.stderr())

    def test_one_setting_is_bound_while_the_other_is_handed_over(self):
        https = self.listener()
        server = self.prepare(sockets=[("https", https)])
        certificate = Certificate(server.folder, "certificate", ["IP:127.0.0.1"])
        server.configure({"tls": {**certificate.setting()}})
        server.write("/a", b"x")
        server.start()
        self.assertNotEqual(server.port, self.port(https))
        self.assertEqual(server.get(server.sign("/a")).body, b"x")

    def test_an_ipv6_socket(self):
        try:
            listener = self.listener(socket.AF_INET6, "::1")
        except OSError as failure:
            self.skipTest(f"no IPv6 here: {failure}")
        self.start_service(sockets=[("http", self.listener()), ("http", listener)])
        with socket.create_connection(("::1", self.port(listener)), PATIENCE) as client:
            client.sendall(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 204 "))

    def refused(self, sockets, settings=None):
        server = self.prepare(settings, sockets=sockets)
        code, said = self.run_to_the_end(server)
        self.assertEqual(code, FAILED, said)
        self.assertEqual(said.count("\n"), 1, said)
        return said

    def test_a_socket_that_has_no_place_is_refused(self):
        self.assertIn('named "tallygate.socket": FileDescriptorName= must be http or https',
                      self.refused([("tallygate.socket", self.listener())]))
        self.assertIn("there is no [tls]", self.refused([("https", self.listener())]))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", 0))
            self.assertIn("does not listen for TCP", self.refused([("http", datagrams)]))

    def test_sockets_that_are_for_another_process_are_left_alone(self):  # P13
        server = self.prepare()
        server.process_options["env"] |= {"LISTEN_FDS": "1", "LISTEN_PID": "1",
                                          "LISTEN_FDNAMES": "http"}
        server.write("/a", b"x")
        server.start()
        self.assertEqual(server.get(server.sign("/a")).body, b"x")


if __name__ == "__main__":
    unittest.main()
