"""/metrics and /v1/live: the figures say exactly what was asked, and nothing that a client sends gets
into them. The dashboard and the alerts in conf/ know only what is there."""

import collections
import json
import re
import shutil
import subprocess
import threading
import time
import unittest

from command_case import ask_admin
from path_case import PoolServer, WayTestCase, make_cold, require_seccomp
from prometheus_text import Malformed, Metrics
from shop_case import ShopTest
from support import (KIB, MIB, PATIENCE, PROJECT, AdminConnection, Key, TestCase, eventually,
                     new_link_id, some_bytes)
from tls_case import TLS_1_2, Client, TlsServer

PARTNER = Key("other", bytes(range(32)))
SIZE = 100 * KIB
CONTENT = some_bytes(SIZE)
PROMTOOL = shutil.which("promtool")
ALERTS = PROJECT / "conf/alerts.yml"
DASHBOARD = PROJECT / "conf/grafana-dashboard.json"


def scrape_text(server):
    connection = AdminConnection(server.folder / "admin.sock")
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 200, (response.status, text)
        assert response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        assert response.getheader("Cache-Control") == "no-store"
        return text
    finally:
        connection.close()


def scrape(server):
    return Metrics(scrape_text(server))


def live(server):
    status, body = ask_admin(server, "GET", "/v1/live")
    assert status == 200, body
    return body


def key(name, **labels):
    return name, frozenset(labels.items())


def expect(server, wanted):
    """Waits until the samples have these numbers, all of them at one moment."""
    def look():
        samples = scrape(server).samples
        return {each: samples.get(each) for each in wanted}

    eventually(look, wanted)


def journal_agrees(metrics):
    """Of a journal that rests: every batch was synced once, and its bytes are what was written."""
    batches = metrics.get("tallygate_journal_batch_bytes_count")
    return (metrics.get("tallygate_journal_batch_records_count") == batches and
            metrics.get("tallygate_journal_fsync_seconds_count") == batches and
            metrics.get("tallygate_journal_batch_bytes_sum") ==
            metrics.get("tallygate_journal_written_bytes_total"))


def all_of(metrics, name):
    """What is not 0 of a metric: {labels in their order: number}."""
    return {tuple(value for _, value in sorted(labels.items())): number
            for labels, number in metrics.named(name) if number != 0}


class ReaderTest(unittest.TestCase):
    """The reader of these tests is as strict as it says."""

    GOOD = ("# HELP a_total What \\\\ \\n it is.\n# TYPE a_total counter\n"
            'a_total{b="c\\"\\\\\\n,",d="é"} 1\na_total{b="x",d="y"} 2.5e+03\n'
            "# HELP h Some.\n# TYPE h histogram\n"
            'h_bucket{le="0.5"} 1\nh_bucket{le="+Inf"} 3\nh_sum 7\nh_count 3\n')

    def test_what_is_good(self):
        metrics = Metrics(self.GOOD)
        self.assertEqual(metrics.get("a_total", b='c"\\\n,', d="é"), 1)
        self.assertEqual(metrics.total("a_total"), 2501)
        self.assertEqual(metrics.types, {"a_total": "counter", "h": "histogram"})

    def test_what_is_not(self):
        for wrong, right in (
                ("", "# HELP a_total What \\\\ \\n it is.\n"), ("", "# TYPE a_total counter\n"),
                ("counters", "counter"), ('"c""', '"c\\"\\\\\\n,"'),
                ("1,5", "2.5e+03"), ("-1", "2.5e+03"), ("", "2.5e+03"), ("a_total{", "h_bucket{"),
                ('le="0.5"} 4', 'le="0.5"} 1'), ('le="1"', 'le="+Inf"'), ("h_count 4", "h_count 3"),
                ("", "h_sum 7\n"), ("h_count 3", "h_count 3\n"), ("b_total", "a_total{"),
                ('b="x"', 'b="c\\"\\\\\\n,"'), ("y\"} 2.5e+03\n\n", "y\"} 2.5e+03\n")):
            with self.subTest(right=right, wrong=wrong):
                text = self.GOOD.replace(right, wrong, 1)
                self.assertNotEqual(text, self.GOOD)
                if right == 'b="c\\"\\\\\\n,"':
                    text = text.replace("é", "y")  # the same series twice
                self.assertRaises((Malformed, KeyError, ValueError), Metrics, text)


class MetricsTest(TestCase):
    def start(self, **server):
        self.server = self.start_server({"server": {"threads": 2, **server}})
        self.server.write("/a", CONTENT)
        return self.server

    def test_a_fresh_server_has_counted_nothing(self):
        server = self.start()
        metrics = scrape(server)
        for (name, labels), value in metrics.growing().items():
            if name.startswith(("tallygate_loop_stall", "process_")):
                continue
            self.assertEqual(value, 0, (name, labels))
        self.assertEqual(all_of(metrics, "tallygate_status"), {("ok",): 1})
        self.assertEqual(len(metrics.named("tallygate_build_info")), 1)
        self.assertEqual(metrics.get("tallygate_connections_max"), 10_000)
        self.assertGreater(metrics.get("process_resident_memory_bytes"), MIB)
        self.assertGreater(metrics.get("process_open_fds"), 5)
        self.assertLessEqual(abs(metrics.get("process_start_time_seconds") - time.time()),
                             2 * PATIENCE)
        self.assertEqual([name for name in metrics.types if "shop" in name], [])

    def test_the_figures_say_exactly_what_was_asked(self):
        server = self.start()
        statuses, refusals = collections.Counter(), collections.Counter()
        connections = 0

        def ask(target, fields=(), method="GET", refusal=None, reason=None, client=None):
            nonlocal connections
            connections += client is None
            response = (client.ask(target, fields, method) if client
                        else server.get(target, fields, method))
            statuses[str(response.status)] += 1
            if refusal:
                refusals[refusal, reason] += 1
                if method != "HEAD":
                    self.assertEqual(response.problem, refusal)
            return response

        # Three whole copies, one of them in three ranges; a part of another link's.
        link = new_link_id()
        url = server.sign("/a", id=link, limit=3)
        for _ in range(2):
            self.assertEqual(ask(url).body, CONTENT)
        with server.client() as client:
            connections += 1
            for first, last in ((0, 999), (1000, 50_000), (50_001, SIZE - 1)):
                ask(url, {"Range": f"bytes={first}-{last}"}, client=client)
        ask(server.sign("/a", id=new_link_id(), limit=1), {"Range": "bytes=5-14,100-109"})
        server.expect_link(link, copies=3)
        unlimited = server.sign("/a")
        etag = ask(unlimited, method="HEAD").field("ETag")
        ask(unlimited, {"If-None-Match": etag})
        ask("*", method="OPTIONS")

        # Refusals of every kind that a client can cause by itself.
        now = int(time.time())
        ask(url, refusal="downloads-exhausted", reason="copies used up")
        ask(url, method="HEAD", refusal="downloads-exhausted", reason="copies used up")
        for target, reason in ((unlimited[:-1] + ("1" if unlimited[-1] == "0" else "0"), "bad_mac"),
                               ("/a", "malformed"), ("/b?tg=nonsense", "malformed"),
                               (server.sign("/a", key=PARTNER), "unknown_key"),
                               (server.sign("/a", client="192.0.2.1"), "wrong_client")):
            ask(target, refusal="link-invalid", reason=reason)
        ask(server.sign("/a", starts=now + 1000), refusal="link-not-yet-valid",
            reason="not_yet_valid")
        ask(server.sign("/a", expires=now), refusal="link-expired", reason="expired")
        ask(server.sign("/b"), refusal="file-missing", reason="no such file")
        revoked = new_link_id()
        server.links("revoke", revoked, check=False)
        ask(unlimited, {"If-Match": '"other"'}, refusal="http-412", reason="precondition")
        ask(unlimited, {"Range": f"bytes={SIZE}-"}, refusal="http-416", reason="range")
        ask(unlimited, method="POST", refusal="http-405", reason="method")
        ask(unlimited, [("Host", "a"), ("Host", "b")], refusal="http-400", reason="several Host")
        ask(unlimited, {"Host": "a b"}, refusal="http-400", reason="invalid Host")
        ask(unlimited, {"Content-Length": "x"}, refusal="http-400",
            reason="malformed head")
        ask(unlimited, {"Transfer-Encoding": "chunked"}, refusal="http-400",
            reason="Transfer-Encoding")
        ask(unlimited, {"Content-Length": "1000000"}, refusal="http-413", reason="body too large")
        ask(unlimited, {"Expect": "a miracle"}, refusal="http-417",
            reason="expectation other than 100-continue")
        ask("/" + "a" * 9000, refusal="http-414", reason="target too long")
        ask(unlimited, {"X": "a" * 20_000}, refusal="http-431", reason="malformed head")
        with server.client() as client:
            connections += 1
            client.send("no HTTP at all\n\n")
            self.assertEqual(client.read_response().status, 400)
            statuses["400"] += 1
            refusals["http-400", "malformed head"] += 1

        metrics = None

        def look():
            nonlocal metrics
            metrics = scrape(server)
            return (all_of(metrics, "tallygate_requests_total"),
                    all_of(metrics, "tallygate_refusals_total"),
                    metrics.get("tallygate_connections"),
                    metrics.get("tallygate_transfers_in_flight"))

        # A label's values in the order of its names: reason, refusal.
        eventually(look, ({(status,): n for status, n in statuses.items()},
                          {(reason, refusal): n for (refusal, reason), n in refusals.items()},
                          0, 0))
        # Nothing is on its way any more: all else says the same.
        self.assertEqual(metrics.get("tallygate_sent_bytes_total"), 3 * SIZE + 20)
        self.assertEqual(metrics.get("tallygate_copies_completed_total"), 3)
        self.assertEqual(metrics.get("tallygate_transfers_started_total"), 6)
        self.assertEqual(all_of(metrics, "tallygate_transfers_ended_total"), {("complete",): 6})
        self.assertEqual(all_of(metrics, "tallygate_admissions_total"),
                         {("admitted",): 6, ("exhausted",): 1})
        self.assertEqual(all_of(metrics, "tallygate_connections_accepted_total"),
                         {("http",): connections})
        self.assertEqual(metrics.total("tallygate_accept_pauses_total"), 0)
        self.assertEqual(metrics.total("tallygate_tls_handshakes_total"), 0)
        self.assertGreaterEqual(metrics.get("tallygate_journal_batch_records_sum"), 6)
        self.assertGreaterEqual(metrics.get("tallygate_journal_fsync_seconds_count"), 1)
        # The journal may have something to write yet, and its figures are not of one moment.
        eventually(lambda: journal_agrees(scrape(server)))
        # The log says the same of the same requests.
        eventually(lambda: len(server.log_lines()), sum(statuses.values()))
        logged = collections.Counter(str(line["status"]) for line in server.log_lines())
        self.assertEqual(logged, statuses)

    def test_an_answer_is_counted_too_when_there_is_no_log(self):
        server = self.start_server({"log": {"access": "off"}})
        server.write("/large", some_bytes(8 * MIB))
        with server.client(receive_buffer=4 * KIB) as client:  # slow: the request is let go of
            client.ask(server.sign("/large"), close=True)
        expect(server, {key("tallygate_requests_total", status="200"): 1,
                        key("tallygate_requests_total", status="none"): 0,
                        key("tallygate_sent_bytes_total"): 8 * MIB})

    def test_what_is_in_flight(self):
        server = self.start(send_timeout="10m")
        server.write("/large", some_bytes(32 * MIB))
        link = new_link_id()
        url = server.sign("/large", id=link, limit=1)
        with server.client(receive_buffer=4 * KIB) as client:
            client.request(url)
            self.assertEqual(client.read_head().status, 200)
            # At once: after 10 s without an acknowledgement it would be cut for this one.
            self.assertEqual(server.get(url).problem, "downloads-in-progress")
            expect(server, {key("tallygate_transfers_in_flight"): 1,
                            key("tallygate_connections"): 1,
                            key("tallygate_requests_total", status="200"): 0,
                            key("tallygate_requests_total", status="429"): 1})
            self.assertEqual(live(server)["transfers"], 1)
            eventually(lambda: scrape(server).get("tallygate_sent_bytes_total") > 0)
            client.reset()
        expect(server, {key("tallygate_transfers_in_flight"): 0,
                        key("tallygate_connections"): 0,
                        key("tallygate_transfers_ended_total", outcome="partial"): 1,
                        key("tallygate_transfers_ended_total", outcome="complete"): 0,
                        key("tallygate_copies_completed_total"): 0,
                        key("tallygate_admissions_total", result="busy"): 1})

    def test_clients_that_wait_for_room(self):  # O1
        server = self.start(max_connections=1)
        with server.client() as first:
            self.assertEqual(first.ask(server.sign("/a")).status, 200)
            with server.client() as second:
                second.request(server.sign("/a"))
                eventually(lambda: scrape(server).get("tallygate_accept_pauses_total",
                                                      cause="limit") > 0)
                first.close()
                self.assertEqual(second.read_response().status, 200)
        self.assertEqual(scrape(server).get("tallygate_accept_pauses_total", cause="error"), 0)

    def test_open_files(self):
        server = self.start(threads=1)
        with server.client() as client:
            for path in ("/a", "/missing"):
                client.ask(server.sign(path))
            expect(server, {key("tallygate_open_file_lookups_total", result="hit"): 0,
                            key("tallygate_open_file_lookups_total", result="miss"): 2,
                            key("tallygate_open_files"): 1})

            def hits_when_asked_again():
                client.ask(server.sign("/a"))
                return scrape(server).get("tallygate_open_file_lookups_total", result="hit")

            # One is no hit when the system has forgotten the path since.
            eventually(lambda: hits_when_asked_again() > 0)

    def test_nothing_that_a_client_sends_becomes_a_label(self):
        server = self.start()
        before = set(scrape(server).samples)
        junk = "jUnK7f3a"
        token = server.token("/a", id=junk, limit=1, data=junk)
        for target, fields, method in (
                (f"/{junk}", {"Host": f"{junk}.example"}, "GET"),
                (f"/{junk}?tg={junk}", {"User-Agent": f'{junk}"}}\n# TYPE x'.replace("\n", " ")}, "GET"),
                (f"/a?tg={token}", {"Referer": f"http://{junk}/"}, "GET"),
                (server.sign(f"/{junk}", id=junk), {}, "GET"),
                (server.sign("/a", name=junk), {"Range": f"{junk}=1-2"}, "GET"),
                ("/a", {junk: junk, "Expect": junk}, "GET"),
                ("/a", {}, junk), ("/a", {"Content-Length": junk}, "GET"),
                (f"{junk}://{junk}", {}, "GET")):
            server.get(target, fields, method)
        for raw in (f"GET /a {junk}/9.9\r\n\r\n", f"GET /a HTTP/9.9\r\nHost: {junk}\r\n\r\n",
                    f"{junk}\n\n", f"GET /a HTTP/1.1\r\n{junk}\r\n\r\n",
                    f"GET /a HTTP/1.1\r\nHost: {junk}\r\n {junk}: folded\r\n\r\n"):
            with server.client() as client:
                client.send(raw)
                self.assertGreaterEqual(client.read_response().status, 400)
        # All of it has been counted, and nothing is new.
        eventually(lambda: scrape(server).total("tallygate_requests_total"), 14)
        text = scrape_text(server)
        self.assertEqual(set(Metrics(text).samples), before)
        self.assertNotIn(junk.lower(), text.lower())
        self.assertNotIn(junk.lower(), json.dumps(live(server)).lower())

    def test_what_counts_never_falls(self):
        server = self.start()
        stop = threading.Event()
        failures = []

        def download():
            try:
                while not stop.is_set():
                    with server.client() as client:
                        url = server.sign("/a", id=new_link_id(), limit=1)
                        client.ask(url)
                        client.ask(url, {"Range": "bytes=5-"})
                        client.ask("/nothing")
            except OSError as failure:
                failures.append(failure)

        threads = [threading.Thread(target=download) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            last = scrape(server).growing()
            for _ in range(40):
                now = scrape(server).growing()
                fallen = {each: (last[each], now.get(each)) for each in last
                          if now.get(each, -1) < last[each]}
                self.assertEqual(fallen, {})
                last = now
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])

    def test_live_says_the_same(self):
        server = self.start()
        server.get(server.sign("/a", id=new_link_id(), limit=1))
        server.get("/nothing")
        server.get(server.sign("/missing"))
        expect(server, {key("tallygate_copies_completed_total"): 1,
                        key("tallygate_connections"): 0,
                        key("tallygate_transfers_in_flight"): 0,
                        key("tallygate_requests_total", status="200"): 1,
                        key("tallygate_requests_total", status="403"): 1,
                        key("tallygate_requests_total", status="404"): 1,
                        # The unlimited link that was asked for a missing file was never admitted.
                        key("tallygate_ledger_links"): 1})

        def journal(metrics):
            return {each: value for each, value in metrics.samples.items()
                    if each[0].startswith("tallygate_journal")}

        before, now, after = scrape(server), live(server), scrape(server)
        while journal(before) != journal(after):  # it had something to write yet
            before, now, after = after, live(server), scrape(server)
        self.assertEqual(
            sorted(now), sorted(["now_ms", "started_at", "version", "generation", "status",
                                 "connections", "transfers", "bytes_sent_total", "requests_total",
                                 "copies_total", "requests_by_status", "refusals", "fsync",
                                 "batch_records", "shop", "links", "open_files",
                                 "cold_reads_total", "tls_handshakes_total",
                                 "loop_stall_longest_ms", "log_lines_dropped"]))
        self.assertEqual(now["status"], "ok")
        self.assertEqual(now["generation"], after.get("tallygate_config_generation"))
        self.assertEqual(now["started_at"], after.get("process_start_time_seconds"))
        self.assertGreaterEqual(now["now_ms"], now["started_at"] * 1000)
        self.assertEqual(now["bytes_sent_total"], SIZE)
        self.assertEqual(now["requests_total"], 3)
        self.assertEqual(now["copies_total"], 1)
        self.assertEqual({status: n for status, n in now["requests_by_status"].items() if n},
                         {"200": 1, "403": 1, "404": 1})
        self.assertEqual({name: n for name, n in now["refusals"].items() if n},
                         {"link-invalid": 1, "file-missing": 1})
        self.assertIsNone(now["shop"])
        self.assertEqual(now["links"], 1)
        self.assertEqual(now["fsync"]["count"], after.get("tallygate_journal_fsync_seconds_count"))
        self.assertEqual(now["fsync"]["seconds_total"],
                         after.get("tallygate_journal_fsync_seconds_sum"))
        self.assertEqual([tuple(pair) for pair in now["fsync"]["le"]],
                         [(float(labels["le"]), n) for labels, n in
                          after.named("tallygate_journal_fsync_seconds_bucket")
                          if labels["le"] != "+Inf"])
        self.assertEqual(now["batch_records"],
                         {"count": after.get("tallygate_journal_batch_records_count"),
                          "total": after.get("tallygate_journal_batch_records_sum")})

    def test_a_server_that_drains_says_so(self):
        server = self.start(drain_timeout="120s")
        content = server.write("/large", some_bytes(16 * MIB))
        with server.client(receive_buffer=4 * KIB) as client:
            client.request(server.sign("/large"))
            head = client.read_head()
            server.terminate()
            expect(server, {key("tallygate_status", status="draining"): 1,
                            key("tallygate_status", status="ok"): 0})
            self.assertEqual(live(server)["status"], "draining")
            self.assertEqual(client.read(head.length), content)
        server.wait()

    def test_a_reload_and_one_that_is_refused(self):
        server = self.start()
        expect(server, {key("tallygate_config_generation"): 1,
                        key("tallygate_config_last_reload_successful"): 1})
        server.configure({"server": {"max_connections": 77}})
        server.reload()
        expect(server, {key("tallygate_config_generation"): 2,
                        key("tallygate_config_last_reload_successful"): 1,
                        key("tallygate_connections_max"): 77,
                        key("tallygate_status", status="ok"): 1})
        taken_on = scrape(server).get("tallygate_config_last_reload_success_timestamp_seconds")
        self.assertGreaterEqual(taken_on, scrape(server).get("process_start_time_seconds"))
        server.config.write_text(server.config.read_text() + "nonsense")
        server.reload()
        expect(server, {key("tallygate_config_generation"): 2,
                        key("tallygate_config_last_reload_successful"): 0,
                        key("tallygate_config_last_reload_success_timestamp_seconds"): taken_on,
                        key("tallygate_connections_max"): 77,
                        key("tallygate_status", status="degraded"): 1})
        self.assertEqual((live(server)["generation"], live(server)["status"]), (2, "degraded"))

    def test_only_get(self):
        server = self.start()
        for target in ("/metrics", "/v1/live"):
            self.assertEqual(ask_admin(server, "POST", target)[0], 405)


class TlsMetricsTest(TestCase):
    server_class = TlsServer

    def test_handshakes(self):
        server = self.start_server()
        server.write("/a", CONTENT)
        context = server.context(TLS_1_2)
        url = server.sign("/a")
        with server.client(context) as client:
            self.assertEqual(client.ask(url).status, 200)
            session = client.socket.session
        for _ in range(2):
            with server.client(context, session=session) as client:
                self.assertTrue(client.socket.session_reused)
                self.assertEqual(client.ask(url).status, 200)
        with server.client() as client:
            self.assertEqual(client.ask(url).status, 200)
        with Client(server.tls_port) as client:
            client.send("GET / HTTP/1.1\r\n\r\n")  # not TLS
            client.read_to_end()
        with server.plain_client() as client:
            self.assertEqual(client.ask(url).status, 200)
        expect(server, {key("tallygate_tls_handshakes_total", result="full"): 2,
                        key("tallygate_tls_handshakes_total", result="resumed"): 2,
                        key("tallygate_tls_handshakes_total", result="failed"): 1,
                        key("tallygate_connections_accepted_total", scheme="https"): 5,
                        key("tallygate_connections_accepted_total", scheme="http"): 1,
                        key("tallygate_connections"): 0,
                        key("tallygate_requests_total", status="200"): 5,
                        key("tallygate_sent_bytes_total"): 5 * SIZE})
        self.assertEqual(live(server)["tls_handshakes_total"], 4)


class ColdMetricsTest(WayTestCase):
    way, other_way = "io_uring", "thread"

    def test_cold_reads(self):
        content, file = self.put("/cold", 3 * MIB)
        make_cold(file)
        self.assertEqual(self.server.get(self.server.sign("/cold")).body, content)
        expect(self.server, {key("tallygate_transfers_in_flight"): 0,
                             key("tallygate_connections"): 0})
        metrics = scrape(self.server)
        # What is read ahead may be hot when its turn comes.
        self.assertGreater(metrics.get("tallygate_cold_reads_total", way=self.way), 0)
        self.assertGreater(metrics.get("tallygate_cold_read_bytes_total", way=self.way), 0)
        self.assertEqual(metrics.get("tallygate_cold_reads_total", way=self.other_way), 0)
        self.assertEqual(metrics.total("tallygate_cold_read_failures_total"), 0)
        self.assertEqual(live(self.server)["cold_reads_total"],
                         metrics.total("tallygate_cold_reads_total"))


class ColdPoolMetricsTest(ColdMetricsTest):
    way, other_way = "thread", "io_uring"
    server_class = PoolServer

    @classmethod
    def setUpClass(cls):
        require_seccomp()
        super().setUpClass()


class ShopMetricsTest(ShopTest):
    def test_a_shop_that_goes_away_and_comes_back(self):
        server = self.start_edge()
        here = {key("tallygate_shop_reachable"): 1, key("tallygate_shop_copies_waiting"): 0,
                key("tallygate_shop_batches_waiting"): 0, key("tallygate_shop_lag_seconds"): 0,
                key("tallygate_shop_alarm"): 0, key("tallygate_status", status="ok"): 1}
        expect(server, here)
        shop = live(server)["shop"]
        self.assertTrue(shop["engine"].startswith("SQLite"), shop)
        self.assertTrue(shop["reachable"])
        with server.database.away():
            for _ in range(3):
                self.assertEqual(self.get(server, server.sign("/a", id=new_link_id())), 200)
            expect(server, {key("tallygate_shop_reachable"): 0,
                            key("tallygate_shop_copies_waiting"): 3,
                            key("tallygate_status", status="degraded"): 1,
                            key("tallygate_status", status="ok"): 0})
            eventually(lambda: scrape(server).get("tallygate_shop_lag_seconds") > 0)
            shop = live(server)["shop"]
            self.assertEqual((shop["reachable"], shop["copies_waiting"]), (False, 3))
            self.assertIn("last_error", shop)
        expect(server, here)
        metrics = scrape(server)
        self.assertGreater(metrics.get("tallygate_shop_last_push_timestamp_seconds"), 0)
        self.assertEqual(metrics.get("tallygate_shop_history_dropped_total"), 0)

    def test_what_the_shop_says_of_a_link_is_a_reason(self):
        server = self.start_edge()
        for state, reason in ((1, "held"), (2, "refunded"), (3, "revoked")):
            link = new_link_id()
            url = server.sign("/a", id=link, limit=5)
            self.assertEqual(self.get(server, url), 200)
            server.database.expect_link(link, used=1)
            server.database.set(link, state=state)
            self.expect_answer(server, url, "link-revoked")
            eventually(lambda: scrape(server).get("tallygate_refusals_total",
                                                  refusal="link-revoked", reason=reason) > 0)

    # -- what is in conf/ --------------------------------------------------------------------------

    def full(self):
        """Every metric that there can be: one of a shop's too."""
        return scrape(self.start_edge())

    def test_the_dashboard_and_the_alerts_use_what_there_is(self):
        metrics = self.full()
        names = {name for name, _ in metrics.samples}
        used = set()
        for file in (ALERTS, DASHBOARD, PROJECT / "tests/e2e/alerts.yml"):
            said = set(re.findall(r"\b(?:tallygate|process)_[a-z0-9_]+", file.read_text()))
            self.assertEqual(said - names, set(), file.name)
            used |= said
        for expression in [*alert_expressions(), *dashboard_expressions()]:
            with self.subTest(expression=expression):
                for name, matchers in selectors(expression):
                    self.assertIn(name, names | {"up"})
                    if name != "up":
                        self.assertTrue(any(matches(labels, matchers)
                                            for labels, _ in metrics.named(name)), (name, matchers))
        # And the dashboard shows nearly everything.
        shown = {metrics.family_of(name) for name in used}
        self.assertEqual(set(metrics.types) - shown,
                         {"tallygate_config_last_reload_success_timestamp_seconds",
                          "tallygate_shop_last_push_timestamp_seconds",
                          "tallygate_shop_last_scan_timestamp_seconds",
                          "process_virtual_memory_bytes"})

    def test_the_alerts_say_what_to_do(self):
        alerts = re.split(r"^      - alert: ", ALERTS.read_text(), flags=re.MULTILINE)[1:]
        self.assertGreater(len(alerts), 15)
        tests = (PROJECT / "tests/e2e/alerts.yml").read_text()
        for alert in alerts:
            name = alert.split("\n", 1)[0]
            with self.subTest(alert=name):
                self.assertRegex(alert, r"severity: (page|ticket)\}")
                self.assertRegex(alert, r'(?m)^          summary: ".{20,}"$')
                self.assertRegex(alert, r'(?m)^          runbook: ".{40,}\."$')
                self.assertIn(f'"{name}"', tests)

    def test_nobody_refuses_for_a_reason_that_is_not_listed(self):
        listed = {labels["reason"] for labels, _ in
                  self.full().named("tallygate_refusals_total")} - {"other"}
        self.assertEqual(reasons_in_the_sources() - listed, set())

    @unittest.skipUnless(PROMTOOL, "promtool is not installed")
    def test_promtool_finds_nothing_wrong(self):
        text = scrape_text(self.start_edge())
        for command, given in ((["check", "metrics"], text), (["check", "rules", ALERTS], None),
                               (["check", "config", "--syntax-only",
                                 PROJECT / "conf/prometheus.yml"], None),
                               (["test", "rules", PROJECT / "tests/e2e/alerts.yml"], None)):
            with self.subTest(command=command):
                done = subprocess.run([PROMTOOL, *map(str, command)], input=given, text=True,
                                      capture_output=True, timeout=5 * PATIENCE)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


# -- what the expressions in conf/ ask for -------------------------------------------------------

def alert_expressions():
    """Also those of several lines."""
    text = ALERTS.read_text()
    return [found.strip() for found in re.findall(
        r"^        expr: (?:\|\n)?(.*?)\n(?=        \w)", text, re.MULTILINE | re.DOTALL)]


def dashboard_expressions():
    found = []

    def walk(value):
        if isinstance(value, dict):
            if "expr" in value:
                found.append(value["expr"])
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(json.loads(DASHBOARD.read_text()))
    return found


WORDS = {"sum", "by", "rate", "increase", "max", "min", "histogram_quantile", "topk", "changes",
         "ignoring", "and", "or", "unless"}


def selectors(expression):
    """[(name, [(label, operator, value)])] of everything that is asked for."""
    found = []
    rest = re.sub(r"\b(by|ignoring) \([^)]*\)", r"\1", expression)
    for name, matchers in re.findall(r"\b([a-z_][a-z0-9_]*)\b(?:\{([^}]*)\})?(?![^{]*\})",
                                     re.sub(r"\[[^]]*\]", "", rest)):
        if name not in WORDS:
            found.append((name, re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', matchers)))
    assert found, expression
    return found


def matches(labels, matchers):
    for label, operator, value in matchers:
        if label in ("job", "instance"):
            continue  # Prometheus' own
        has = labels.get(label, "")
        equal = re.fullmatch(value, has) is not None if "~" in operator else has == value
        if equal == operator.startswith("!"):
            return False
    return True


def reasons_in_the_sources():
    """The texts that stand where a refusal is made."""
    patterns = (r'Refused\{[^;{}]*?"([^"]+)"', r'return \{Problem::\w+, "([^"]+)"',
                r'bad_request\("([^"]+)"', r'Rejection\{[^;{}]*?"([^"]+)"',
                r'answer_bad_head\([^;]*?"([^"]+)"', r'return "(no row in the shop)"')
    found = set()
    for folder in ("core/http", "server/http", "server/transfer"):
        for file in (PROJECT / folder).glob("*.cc"):
            for pattern in patterns:
                found |= set(re.findall(pattern, file.read_text()))
    assert len(found) > 25, found
    return found


if __name__ == "__main__":
    unittest.main()
