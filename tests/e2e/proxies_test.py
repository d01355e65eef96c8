"""Who asks when a proxy stands in between: X-Forwarded-For, Forwarded and the PROXY protocol, by hand and
through real nginx and HAProxy with the example files of conf/. H14 is a row of the fault table, as is O3.

All of 127.0.0.0/8 is ours, so that clients and proxies have addresses of their own: the proxy that is
trusted is 127.0.0.1.
"""

import contextlib
import re
import socket
import sqlite3
import ssl
import struct
import subprocess
import threading
import time

import support
from metrics_test import expect as expect_metrics
from metrics_test import key, scrape
from support import KIB, MIB, PATIENCE, PROJECT, Client, eventually, some_bytes
from tls_case import NAME, TlsServer

PROXY, CLIENT, OTHER = "127.0.0.1", "127.0.0.7", "127.0.0.9"
TRUSTED = {"server": {"trusted_proxies": [PROXY, "10.0.0.0/8"]}}
FILE = some_bytes(4 * KIB)


def version_1(source, destination="198.51.100.1", family="TCP4"):
    return f"PROXY {family} {source} {destination} 51000 443\r\n".encode()


def version_2(source=None, tlvs=b"", command=0x21):
    """Without a source: LOCAL, or no address."""
    if source is None:
        family, addresses = 0, b""
    elif ":" in source:
        family, addresses = 0x21, (socket.inet_pton(socket.AF_INET6, source) +
                                   socket.inet_pton(socket.AF_INET6, "2001:db8::1") + b"\0\1\1\xbb")
    else:
        family, addresses = 0x11, (socket.inet_aton(source) + socket.inet_aton("198.51.100.1") +
                                   b"\0\1\1\xbb")
    return (b"\r\n\r\n\0\r\nQUIT\n" +
            struct.pack(">BBH", command, family, len(addresses + tlvs)) + addresses + tlvs)


class ProxiesCase(support.TestCase):
    def start(self, settings=None):
        server = self.start_server(settings)
        server.write("/a", FILE)
        return server

    def logged(self, server, link_id):
        """Whom the log names for the one request of that link; waits for it."""
        def of_link():
            return [line["client"] for line in server.log_lines() if line.get("link") == link_id]

        eventually(lambda: len(of_link()), 1)
        return of_link()[0]


class Fields(ProxiesCase):
    """X-Forwarded-For and Forwarded, on one server's plain port."""

    def ask(self, server, fields, source=PROXY, path="/a", **link):
        """The answer, and whom the log names as the client."""
        link.setdefault("id", support.new_link_id())
        with server.client(source=source) as client:
            answer = client.ask(server.sign(path, **link), fields)
        return answer, self.logged(server, link["id"]) if answer.status == 200 else None

    def test_only_a_trusted_proxy_is_believed__H14(self):
        servers = {"x-forwarded-for": self.start(TRUSTED),
                   "forwarded": self.start({"server": {**TRUSTED["server"],
                                                       "forwarded_field": "forwarded"}}),
                   None: self.start()}
        both = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.10")]
        wanted = {"x-forwarded-for": "203.0.113.9", "forwarded": "203.0.113.10", None: PROXY}
        for field, server in servers.items():
            with self.subTest(field=field):
                self.assertEqual(self.ask(server, both)[1], wanted[field])
                self.assertEqual(self.ask(server, both, source=OTHER)[1], OTHER)
                self.assertEqual(self.ask(server, [])[1], PROXY)

    def test_the_rightmost_that_is_not_trusted_is_the_client(self):
        server = self.start(TRUSTED)
        for value, client in [("198.51.100.1, 203.0.113.9", "203.0.113.9"),
                              ("198.51.100.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
                              ("[2001:db8::7]:4711", "2001:db8::7"),
                              ("::ffff:203.0.113.9", "203.0.113.9"),
                              ("203.0.113.9, unknown", PROXY), ("203.0.113.9,", PROXY),
                              ("203.0.113.9, _hidden, 10.0.0.7", "10.0.0.7")]:
            with self.subTest(value=value):
                self.assertEqual(self.ask(server, {"X-Forwarded-For": value})[1], client)
        lines = [("X-Forwarded-For", "203.0.113.9"), ("Accept", "*/*"), ("x-forwarded-for", "10.0.0.7")]
        self.assertEqual(self.ask(server, lines)[1], "203.0.113.9")

    def test_a_link_for_an_address_is_for_the_client_behind_the_proxy(self):
        server = self.start(TRUSTED)
        for value, of_link, status in [("203.0.113.9", "203.0.113.9", 200),
                                       ("203.0.113.9", "203.0.113.0/24", 200),
                                       ("203.0.113.9", "203.0.113.10", 403),
                                       ("203.0.113.9", PROXY, 403),
                                       ("2001:db8::9", "2001:db8::/64", 200),
                                       ("203.0.113.9", "2001:db8::/64", 403),
                                       # A client's own word is no way to be somebody else.
                                       ("203.0.113.9, 198.51.100.1", "203.0.113.9", 403),
                                       ("203.0.113.9, unknown", "203.0.113.9", 403)]:
            with self.subTest(value=value, of_link=of_link):
                answer, _ = self.ask(server, {"X-Forwarded-For": value}, client=of_link)
                self.assertEqual(answer.status, status)
                if status == 403:
                    self.assertEqual(answer.problem, "link-invalid")
        answer, _ = self.ask(server, {"X-Forwarded-For": "203.0.113.9"}, source=OTHER,
                             client="203.0.113.9")
        self.assertEqual(answer.status, 403)
        answer, _ = self.ask(server, {"X-Forwarded-For": "203.0.113.9"}, source=OTHER, client=OTHER)
        self.assertEqual(answer.status, 200)

    def test_requests_of_several_clients_share_a_connection_of_the_proxy(self):
        server = self.start(TRUSTED)
        wanted = []
        with server.client() as proxy:
            for fields, client in [({"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"), ({}, PROXY),
                                   ({"X-Forwarded-For": "2001:db8::9"}, "2001:db8::9"),
                                   ({"X-Forwarded-For": "203.0.113.10"}, "203.0.113.10")]:
                link = support.new_link_id()
                answer = proxy.ask(server.sign("/a", id=link, client=client), fields)
                self.assertEqual(answer.status, 200)
                wanted.append((link, client))
            # One that cannot be read is nobody's but the proxy's.
            proxy.send("GET /\x01 HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")
            self.assertEqual(proxy.read_response().status, 400)
        for link, client in wanted:
            self.assertEqual(self.logged(server, link), client)
        eventually(lambda: [line["client"] for line in server.log_lines() if line["status"] == 400],
                   [PROXY])

    def test_the_log_shows_as_much_of_the_client_as_it_may(self):
        for setting, shown in [("truncated", "203.0.113.0"), ("none", None)]:
            server = self.start({**TRUSTED, "log": {"client_ip": setting}})
            link = support.new_link_id()
            with server.client() as client:
                client.ask(server.sign("/a", id=link), {"X-Forwarded-For": "203.0.113.9"})
            eventually(lambda: [line.get("client") for line in server.log_lines()
                                if line.get("link") == link], [shown])

    def test_the_history_names_the_client(self):
        server = self.server_class(TRUSTED)
        self.addCleanup(self._end, server)
        database = server.folder / "shop.db"
        server.configure({"shop": {"url": f"sqlite:{database}"}})
        server.start().write("/a", FILE)
        link = support.new_link_id()
        with server.client() as client:
            answer = client.ask(server.sign("/a", id=link, limit=1),
                                {"X-Forwarded-For": "198.51.100.1, 2001:db8::9"})
        self.assertEqual(answer.status, 200)

        def history():
            with contextlib.closing(sqlite3.connect(database)) as shop:
                return shop.execute("SELECT client_ip, counted FROM tg_download WHERE link_id = ?",
                                    (link,)).fetchall()

        eventually(history, [("2001:db8::9", 1)])

    def test_a_reload_changes_who_is_trusted_also_on_open_connections(self):
        server = self.start()
        with server.client() as proxy:
            def asked_by(shown):
                link = support.new_link_id()
                answer = proxy.ask(server.sign("/a", id=link),
                                   [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=10.1.1.1")])
                self.assertEqual(answer.status, 200)
                self.assertEqual(self.logged(server, link), shown)

            asked_by(PROXY)
            for settings, shown in [({"trusted_proxies": [PROXY]}, "203.0.113.9"),
                                    ({"forwarded_field": "forwarded"}, "10.1.1.1"),
                                    ({"trusted_proxies": [OTHER]}, PROXY),
                                    ({"trusted_proxies": []}, PROXY)]:
                server.configure({"server": settings})
                self.assertIn("reloaded, generation", server.reload())
                asked_by(shown)


class ProxiedServer(TlsServer):
    """HTTP on 127.0.0.1 and HTTPS there; on 127.0.0.2 and 127.0.0.3 the same with the PROXY protocol."""

    def __init__(self, settings=None, keys=None):
        super().__init__(settings, keys)
        self.proxied_port = self.proxied_tls_port = None
        self.configure({
            "server": {"listen": ["127.0.0.1:0", "127.0.0.2:0"],
                       "proxy_protocol": ["127.0.0.2:0", "127.0.0.3:0"],
                       "trusted_proxies": [PROXY, "10.0.0.0/8"], **(settings or {}).get("server", {})},
            "tls": {"listen": ["127.0.0.1:0", "127.0.0.3:0"]}})

    def start(self):
        super().start()
        self.proxied_port, self.proxied_tls_port = (
            int(re.search(rf"^tallygate: serving on {url} \(PROXY protocol\)$", self.stderr(),
                          re.MULTILINE)[1])
            for url in [r"127\.0\.0\.2:(\d+)", r"https://127\.0\.0\.3:(\d+)"])
        return self

    def proxied(self, **options):
        return Client(self.proxied_port, address="127.0.0.2", **options)

    def proxied_tls(self, **options):
        """Not speaking TLS yet: `speak_tls` begins."""
        return Client(self.proxied_tls_port, address="127.0.0.3", **options)

    def speak_tls(self, client):
        client.socket = self.context().wrap_socket(client.socket, server_hostname=NAME)


class ProxyProtocol(ProxiesCase):
    server_class = ProxiedServer
    GOOD = [(version_1("203.0.113.9"), "203.0.113.9"),
            (version_1("2001:db8::9", "2001:db8::1", "TCP6"), "2001:db8::9"),
            (b"PROXY UNKNOWN\r\n", PROXY),
            (b"PROXY UNKNOWN 203.0.113.9 198.51.100.1 1 2\r\n", PROXY),
            (version_2("203.0.113.9"), "203.0.113.9"),
            (version_2("2001:db8::9"), "2001:db8::9"),
            (version_2("::ffff:203.0.113.9"), "203.0.113.9"),
            (version_2("203.0.113.9", tlvs=b"\x04\x00\x01x" * 1000), "203.0.113.9"),
            (version_2(), PROXY),
            (version_2(command=0x20), PROXY),                 # LOCAL: a check of the proxy's own
            (version_2("203.0.113.9", command=0x20), PROXY)]
    BAD = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"PROXY\r\n",
           b"PROXY TCP4 203.0.113.9 198.51.100.1 1\r\n", b"PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n",
           b"PROXY TCP4 203.0.113.9 198.51.100.1 1 65536\r\n", b"proxy UNKNOWN\r\n",
           b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",          # too long
           version_2("203.0.113.9", tlvs=b"x" * 5000), version_2("203.0.113.9", command=0x31),
           version_2("203.0.113.9", command=0x22), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\4abcd"]

    def download(self, server, connection, shown):
        link_id = support.new_link_id()
        answer = connection.ask(server.sign("/a", id=link_id, limit=1, client=shown))
        self.assertEqual((answer.status, answer.body), (200, FILE))
        self.assertEqual(self.logged(server, link_id), shown)
        server.expect_link(link_id, used=1, copies=1)

    def test_the_client_is_whom_the_header_names(self):
        server = self.start()
        for header, shown in self.GOOD:
            with self.subTest(header=header[:60]):
                with server.proxied() as client:
                    client.send(header)
                    self.download(server, client, shown)
                    self.download(server, client, shown)  # the connection's, not a request's
                with server.proxied_tls() as client:
                    client.send(header)
                    server.speak_tls(client)
                    self.download(server, client, shown)
        expect_metrics(server, {
            key("tallygate_proxy_headers_refused_total", cause="missing"): 0,
            key("tallygate_proxy_headers_refused_total", cause="untrusted"): 0,
            key("tallygate_tls_handshakes_total", result="failed"): 0})

    def test_it_may_come_byte_by_byte_and_with_the_request(self):
        server = self.start()
        for header, shown in self.GOOD[:2] + self.GOOD[4:6] + self.GOOD[9:10]:
            for is_tls in [False, True]:
                with self.subTest(header=header, tls=is_tls):
                    with server.proxied_tls() if is_tls else server.proxied() as client:
                        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        for byte in header:
                            client.send(bytes([byte]))
                            time.sleep(0.001)  # so that they are segments
                        if is_tls:
                            server.speak_tls(client)
                        self.download(server, client, shown)
            link = support.new_link_id()
            request = (f"GET {server.sign('/a', id=link)} HTTP/1.1\r\nHost: a\r\n\r\n").encode()
            with self.subTest(header=header), server.proxied() as client:
                client.send(header + request + request[:20])
                self.assertEqual(client.read_response().body, FILE)
                client.send(request[20:])
                self.assertEqual(client.read_response().body, FILE)

    def test_what_comes_in_one_segment_with_it_is_left_to_tls(self):
        server = self.start()
        for header, shown in self.GOOD[:1] + self.GOOD[4:6]:
            with self.subTest(header=header), server.proxied_tls() as client:
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # for 200 ms
                client.send(header)
                server.speak_tls(client)
                self.download(server, client, shown)

    def test_without_a_right_header_the_connection_is_closed(self):
        server = self.start()
        for bad in self.BAD:
            for proxied in [server.proxied, server.proxied_tls]:
                with self.subTest(header=bad[:60]), proxied() as client:
                    client.send(bad)
                    self.assertTrue(client.is_closed_by_server())
        # Nor is there anything for a client that speaks TLS at once.
        with server.proxied_tls() as client, self.assertRaises((OSError, ssl.SSLError)):
            server.speak_tls(client)
        # One that breaks off in the middle.
        for header, _ in self.GOOD[:1] + self.GOOD[4:5]:
            with server.proxied() as client:
                client.send(header[:-1])
                client.half_close()
                self.assertTrue(client.is_closed_by_server())
        self.assertEqual(server.log_lines(), [])
        expect_metrics(server, {
            key("tallygate_proxy_headers_refused_total", cause="missing"): 2 * len(self.BAD) + 3,
            key("tallygate_proxy_headers_refused_total", cause="untrusted"): 0})

    def test_from_anybody_else_it_is_not_even_read__H14(self):
        server = self.start()
        for proxied in [server.proxied, server.proxied_tls]:
            for source in [CLIENT, OTHER]:
                with proxied(source=source) as client:
                    with contextlib.suppress(OSError):
                        client.send(version_1("203.0.113.9"))
                    self.assertTrue(client.is_closed_by_server())
        expect_metrics(server, {
            key("tallygate_proxy_headers_refused_total", cause="untrusted"): 4})

    def test_a_listener_that_does_not_demand_it_does_not_know_it__H14(self):
        server = self.start()
        for header in [version_1("203.0.113.9"), version_2("203.0.113.9"), version_2()]:
            link = support.new_link_id()
            request = f"GET {server.sign('/a', id=link)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            with self.subTest(header=header):
                with server.plain_client() as client:
                    client.send(header + request)
                    answer = client.read_to_end()
                    self.assertRegex(answer, rb"^HTTP/1\.1 (400|505) ")  # a line of other HTTP
                    self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
                with Client(server.tls_port) as client, self.assertRaises((OSError, ssl.SSLError)):
                    client.send(header)
                    server.speak_tls(client)
                with server.client() as client:  # within TLS it is no header either
                    client.send(header + request)
                    self.assertRegex(client.read_to_end(), rb"^HTTP/1\.1 (400|505) ")
            self.assertIsNone(server.links_show(link))

    def test_its_deadline_is_absolute__O3(self):
        server = self.start({"server": {"header_timeout": "500ms"}})
        for proxied in [server.proxied, server.proxied_tls]:
            for begun in [b"", b"PROXY UNKNOWN", version_2("203.0.113.9", tlvs=b"x" * 4000)[:40]]:
                with self.subTest(begun=begun), proxied() as client:
                    client.send(begun)
                    stop = threading.Event()

                    def trickle():
                        with contextlib.suppress(OSError):
                            while begun and not stop.wait(0.05):
                                client.send(b" ")

                    # 60 bytes of a line, 4,000 of TLVs: they would go on for longer than anybody waits.
                    trickling = threading.Thread(target=trickle)
                    trickling.start()
                    try:
                        self.assertTrue(client.is_closed_by_server())
                    finally:
                        stop.set()
                        trickling.join()
        # In time is in time, and then another clock runs.
        with server.proxied() as client:
            client.send(version_1("203.0.113.9"))
            self.download(server, client, "203.0.113.9")

    def test_a_proxy_of_bytes_may_stand_behind_one_that_writes_fields(self):
        server = self.start()
        fields = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        for header, shown in [(version_2("10.0.0.7"), "203.0.113.9"),  # that one is trusted as well
                              (version_2("203.0.113.66"), "203.0.113.66"),
                              (version_2(), "203.0.113.9")]:
            link = support.new_link_id()
            with self.subTest(header=header), server.proxied() as client:
                client.send(header)
                self.assertEqual(client.ask(server.sign("/a", id=link), fields).status, 200)
                self.assertEqual(self.logged(server, link), shown)

    def test_settings_that_cannot_be_meant(self):
        server = self.start()
        server.stop()
        for settings, said in [({"trusted_proxies": []}, "needs server.trusted_proxies"),
                               ({"proxy_protocol": ["127.0.0.4:0"]}, "has 127.0.0.4:0, which is not in")]:
            server.configure({"server": {"trusted_proxies": [PROXY],
                                         "proxy_protocol": ["127.0.0.2:0"], **settings}})
            done = server.command("check", "--config", server.config, check=False)
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"server.proxy_protocol: {said}", done.stderr)


# -- real proxies -----------------------------------------------------------------------------------

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def example(name, **addresses):
    """A file of conf/ with other addresses."""
    text = (PROJECT / "conf" / name).read_text()
    for old, new in addresses.values():
        assert old in text, f"{old} is not in {name}"
        text = text.replace(old, new)
    return text


class RealProxy(ProxiesCase):
    """A 48 MiB file: more than the kernel's buffers between server, proxy and client hold."""

    server_class = ProxiedServer
    SIZE = 48 * MIB

    def setUp(self):
        self.server = self.start()
        self.content = self.server.write("/large", some_bytes(self.SIZE))

    def run_proxy(self, command, ports):
        """Starts it and waits until it listens; it is ended by its process id."""
        log = open(self.server.folder / "proxy.log", "wb")
        self.addCleanup(log.close)
        proxy = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log)
        self.addCleanup(proxy.wait, PATIENCE)
        self.addCleanup(proxy.terminate)

        def answers(port):
            said = (self.server.folder / "proxy.log").read_text(errors="replace")
            self.assertIsNone(proxy.poll(), f"{command[0]} has ended by itself:\n{said}")
            with contextlib.suppress(OSError), socket.create_connection((PROXY, port)):
                return True
            return False

        for port in ports:
            eventually(lambda: answers(port))

    def start_nginx(self):
        folder = self.server.folder / "nginx"
        folder.mkdir()
        folder.chmod(0o755)
        self.server.folder.chmod(0o711)  # its workers are nobody
        port = free_port()
        (folder / "tallygate.conf").write_text(
            example("nginx/tallygate.conf", front=("0.0.0.0:80 ", f"127.0.0.1:{port} "),
                    back=("127.0.0.1:8080", f"127.0.0.1:{self.server.port}")))
        places = "\n".join(f"{name}_temp_path {folder}/{name};"
                           for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        (folder / "nginx.conf").write_text(
            f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
            f"http {{\n{places}\ninclude {folder}/tallygate.conf;\n}}\n")
        self.run_proxy(["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf",
                        "-e", folder / "error.log"], [port])
        return port

    def start_haproxy(self):
        """Its ports for HTTP (version 1 of the protocol) and HTTPS (version 2)."""
        http, https = free_port(), free_port()
        config = self.server.folder / "haproxy.cfg"
        config.write_text(
            example("haproxy/tallygate.cfg", http=("0.0.0.0:80\n", f"127.0.0.1:{http}\n"),
                    https=("0.0.0.0:443\n", f"127.0.0.1:{https}\n"),
                    back=("edge 127.0.0.1:8081 ", f"edge 127.0.0.2:{self.server.proxied_port} "),
                    tls=("edge 127.0.0.1:8444 ", f"edge 127.0.0.3:{self.server.proxied_tls_port} ")))
        self.run_proxy(["/usr/sbin/haproxy", "-db", "-f", config], [http, https])
        return http, https

    def at(self, port, is_tls=False, **options):
        """A connection to the proxy."""
        client = Client(port, **{"source": CLIENT, **options})
        self.addCleanup(client.close)
        if is_tls:
            self.server.speak_tls(client)
        return client

    def expect_the_client(self, port, is_tls=False):
        """The log and the link's `a` know the client, and it cannot be another by what it sends."""
        server = self.server
        forged = [("X-Forwarded-For", f"{OTHER}, 203.0.113.9"), ("Forwarded", f"for={OTHER}"),
                  ("X-Real-IP", OTHER), ("X-Forwarded-For", '"')]
        for fields in [[], forged]:
            for source in [CLIENT, "127.0.0.8"]:
                link = support.new_link_id()
                answer = self.at(port, is_tls, source=source).ask(
                    server.sign("/a", id=link, limit=1, client=source), fields)
                self.assertEqual((answer.status, answer.body), (200, FILE))
                self.assertEqual(self.logged(server, link), source)
                server.expect_link(link, used=1, copies=1)
                for somebody_else in [OTHER, PROXY, "203.0.113.9"]:
                    answer = self.at(port, is_tls, source=source).ask(
                        server.sign("/a", id=support.new_link_id(), limit=1, client=somebody_else),
                        fields)
                    self.assertEqual((answer.status, answer.problem), (403, "link-invalid"))

    def expect_one_copy(self, port, is_tls=False):
        """Broken off twice and resumed, counted once, and then there is no more."""
        server, link = self.server, support.new_link_id()
        url = server.sign("/large", id=link, limit=1)
        received = bytearray()
        for _ in range(2):
            client = self.at(port, is_tls, receive_buffer=64 * KIB)
            client.request(url, {"Range": f"bytes={len(received)}-"})
            head = client.read_head()
            self.assertEqual(head.status, 206)
            received += client.read(10 * MIB)
            client.reset()
            eventually(lambda: server.links_show(link)["in_flight"], 0)
            self.assertEqual(server.links_show(link)["used"], 0)
        client = self.at(port, is_tls)
        client.request(url, {"Range": f"bytes={len(received)}-"})
        head = client.read_head()
        self.assertEqual(head.status, 206)
        received += client.read(head.length)
        self.assertTrue(received == self.content)
        server.expect_link(link, used=1, copies=1, blocked="copies")
        answer = self.at(port, is_tls).ask(url)
        self.assertEqual((answer.status, answer.problem), (403, "downloads-exhausted"))

    def expect_a_small_file_can_be_finished(self, port, is_tls=False):
        """Broken off when the proxy would have had room for all of it, if it were let."""
        server, link = self.server, support.new_link_id()
        content = server.write("/small", some_bytes(4 * MIB, seed=2))
        url = server.sign("/small", id=link, limit=1)
        client = self.at(port, is_tls, receive_buffer=64 * KIB)
        client.request(url)
        client.read_head()
        received = client.read(MIB)
        # The proxy has taken all that it wants.
        sent = [-1, server.links_show(link)["traffic_bytes"]]
        while sent[-1] != sent[-2]:
            time.sleep(0.5)
            sent.append(server.links_show(link)["traffic_bytes"])
        client.reset()
        eventually(lambda: server.links_show(link)["in_flight"], 0)
        answer = self.at(port, is_tls).ask(url, {"Range": f"bytes={len(received)}-"})
        self.assertEqual(answer.status, 206, server.links_show(link))
        self.assertTrue(received + answer.body == content)
        server.expect_link(link, used=1, copies=1, blocked="copies")

    def expect_segments_to_be_one_copy(self, port, is_tls=False):
        """Four ranges side by side."""
        server, link = self.server, support.new_link_id()
        url = server.sign("/large", id=link, limit=1)
        parts = [None] * 4

        def fetch(i):
            size = self.SIZE // 4
            part = self.at(port, is_tls).ask(
                url, {"Range": f"bytes={i * size}-{(i + 1) * size - 1}"}, close=True)
            parts[i] = part.body

        threads = [threading.Thread(target=fetch, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(b"".join(parts) == self.content)
        server.expect_link(link, used=1, copies=1, blocked="copies")

    def test_nginx(self):
        port = self.start_nginx()
        self.expect_the_client(port)
        self.expect_one_copy(port)
        self.expect_segments_to_be_one_copy(port)

    def test_nginx_uses_a_connection_for_several_clients(self):
        port = self.start_nginx()
        for i in range(20):
            source, link = f"127.0.0.{20 + i}", support.new_link_id()
            answer = self.at(port, source=source).ask(self.server.sign("/a", id=link, client=source))
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.logged(self.server, link), source)
        accepted = key("tallygate_connections_accepted_total", scheme="http")
        expect_metrics(self.server, {accepted: 1})

    def test_haproxy_with_version_1(self):
        port, _ = self.start_haproxy()
        self.expect_the_client(port)
        self.expect_one_copy(port)
        self.expect_a_small_file_can_be_finished(port)
        self.expect_segments_to_be_one_copy(port)

    def test_haproxy_with_version_2_and_tls_within(self):
        _, port = self.start_haproxy()
        self.expect_the_client(port, is_tls=True)
        self.expect_one_copy(port, is_tls=True)
        self.expect_a_small_file_can_be_finished(port, is_tls=True)
        self.expect_segments_to_be_one_copy(port, is_tls=True)

    def test_haproxy_s_checks_are_no_clients(self):
        self.start_haproxy()
        accepted = [key("tallygate_connections_accepted_total", scheme=scheme)
                    for scheme in ["http", "https"]]

        def checked():
            samples = scrape(self.server).samples
            return all(samples[each] >= 2 for each in accepted)

        eventually(checked)
        expect_metrics(self.server, {
            key("tallygate_proxy_headers_refused_total", cause="missing"): 0,
            key("tallygate_proxy_headers_refused_total", cause="untrusted"): 0})
        self.assertEqual(self.server.log_lines(), [])


if __name__ == "__main__":
    support.main()
