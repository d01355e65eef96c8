"""The machine's clock is set under a running server, is wrong from the start, or is in a strange place."""

import email.utils
import os
import re
import time
import unittest

from command_case import CommandTest, ask_admin, health
from metrics_test import scrape
from preload_case import PreloadServer
from shop_case import SqliteDatabase
from support import KIB, MIB, Server, eventually, some_bytes

HOUR = 3600
SET = "the clock was set"


class ClockServer(PreloadServer):
    """Its clock is off by `self[0]` seconds."""

    library_name = "clock"


def date_of(response):
    return email.utils.parsedate_to_datetime(response.field("Date")).timestamp()


class ClockTest(CommandTest):
    def prepare(self, off=0, settings=None):
        server = ClockServer(settings)
        self.addCleanup(self._end, server)
        server[0] = off
        self.content = server.write("/a", some_bytes(64 * KIB))
        return server

    def answer(self, server, url):
        """200 for the whole file, else the name of the refusal."""
        response = server.get(url)
        if response.status != 200:
            return response.problem
        self.assertEqual(response.body, self.content)
        return 200


class Stepped(ClockTest):
    def step(self, server, off, seconds, way):
        """Whole seconds are compared, so that one more or less may be said."""
        begin, server[0] = len(server.stderr()), off
        said = re.compile(rf"^tallygate: {SET} (\d+) s {way},", re.MULTILINE)
        eventually(lambda: said.search(server.stderr()[begin:]) is not None)
        self.assertLessEqual(abs(int(said.search(server.stderr()[begin:])[1]) - seconds), 2)

    def expect_timers_run(self, server):
        """A head that is never finished is given up, and Date follows the clock."""
        with server.client() as client:
            client.send("GET / HTTP/1.1\r\n")
            self.assertEqual(client.read_response().status, 408)
        off = date_of(server.get("/nothing")) - time.time() - server[0]
        self.assertLess(abs(off), HOUR // 2)

    # T1, T3, L5
    def test_downloads_and_timers_go_on_and_links_expire_by_the_new_time(self):
        server = self.prepare(settings={"server": {"header_timeout": "1s"},
                                        "links": {"resume_grace": "0s"}})
        database = SqliteDatabase(server.folder / "shop.db")
        server.configure({"shop": {**database.settings, "poll": "100ms", "edge_id": "edge-1"}})
        large = server.write("/large", some_bytes(16 * MIB))
        server.start()
        now = int(time.time())
        half = now + HOUR // 2
        until = server.sign("/a", id="until", limit=9, expires=half)
        since = server.sign("/a", id="since", limit=9, expires=now + 9 * HOUR, starts=half)
        running = server.sign("/large", id="running", limit=1, expires=half)
        self.assertEqual(self.answer(server, until), 200)
        self.assertEqual(self.answer(server, since), "link-not-yet-valid")
        with server.client() as idle, server.client(receive_buffer=4 * KIB) as slow:
            self.assertEqual(idle.ask(until).status, 200)
            slow.request(running)
            self.assertEqual(slow.read_head().status, 200)
            self.step(server, HOUR, HOUR, "forward")
            self.assertEqual(self.answer(server, until), "link-expired")
            self.assertEqual(self.answer(server, since), 200)
            self.expect_timers_run(server)
            received = slow.read(4 * MIB)
            self.step(server, -HOUR, 2 * HOUR, "back")
            self.assertEqual(self.answer(server, until), 200)
            self.assertEqual(self.answer(server, since), "link-not-yet-valid")
            self.expect_timers_run(server)
            self.assertEqual(received + slow.read(12 * MIB), large)
            self.assertEqual(idle.ask(until).status, 200)  # neither was closed meanwhile
        server.expect_link("until", used=4)
        # What was counted under falling times reaches the shop all the same, once.
        for link, used in {"until": 4, "since": 1, "running": 1}.items():
            database.expect_link(link, used=used)
            database.expect_in_history(link, used)
        self.step(server, 0, HOUR, "forward")
        self.assertEqual(server.stderr().count(SET), 3)
        self.assertEqual(scrape(server).get("tallygate_clock_steps_total"), 3)
        self.assertEqual(health(server)["clock"], {"steps": 3})
        server.kill()
        server.start()
        self.assertEqual(server.links_show("until")["used"], 4)

    def test_a_second_more_or_less_is_no_step(self):
        server = self.prepare()
        server.start()
        for off in (1, 0, -1, 0):
            server[0] = off
            before = server.process.pid, self.ticks(server)
            eventually(lambda: self.ticks(server) >= before[1] + 3)
        self.assertNotIn(SET, server.stderr())

    def ticks(self, server):
        return scrape(server).get("tallygate_loop_stall_seconds_count")


class Wrong(ClockTest):
    # T2
    def test_before_the_build_it_is_not_ready_and_believes_no_expiry(self):
        server = self.prepare(off=-int(time.time()) + 86400)
        server.start()
        url = server.sign("/a", id="x", limit=1)
        forged = url[:-1] + ("0" if url[-1] != "0" else "1")
        status, ready = ask_admin(server, "GET", "/readyz")
        self.assertEqual((status, ready["ready"]), (503, False))
        self.assertRegex(ready["why"], r"^the clock says 1970-01-02, and this version was made on 2")
        status, said = ask_admin(server, "GET", "/healthz")
        self.assertEqual((status, said["status"]), (503, "failed"))
        self.assertEqual(said["clock"]["failure"], ready["why"])
        self.assertEqual(ask_admin(server, "GET", "/v1/live")[1]["status"], "failed")
        eventually(lambda: f"tallygate: {ready['why']}: links get 503" in server.stderr())
        self.assertEqual(scrape(server).get("tallygate_clock_wrong"), 1)
        response = server.get(url)
        self.assertEqual((response.status, response.problem), (503, "temporarily-unavailable"))
        self.assertGreater(int(response.field("Retry-After")), 0)
        eventually(lambda: [line["reason"] for line in server.log_lines()], ["the clock is wrong"])
        self.assertEqual(self.answer(server, forged), "link-invalid")
        server[0] = 0
        eventually(lambda: "the clock is right again" in server.stderr())
        self.assertEqual(ask_admin(server, "GET", "/readyz")[0], 200)
        self.assertEqual(health(server)["status"], "ok")
        self.assertEqual(scrape(server).get("tallygate_clock_wrong"), 0)
        self.assertEqual(self.answer(server, url), 200)
        server.expect_link("x", used=1)

    # T2
    def test_in_2099_links_are_expired_and_nothing_is_forgotten(self):
        server = self.prepare()
        server.start()
        url = server.sign("/a", id="x", limit=1)
        self.assertEqual(self.answer(server, url), 200)
        server.expect_link("x", used=1)
        server.stop()
        server[0] = 73 * 366 * 86400
        for _ in range(2):
            server.start()
            self.assertEqual(self.answer(server, url), "link-expired")
            self.assertEqual(server.links_show("x")["used"], 1)
            server.stop()
        server[0] = 0
        server.start()
        self.assertEqual(self.answer(server, url), "downloads-exhausted")


class Zones(CommandTest):
    # T4
    def test_the_time_zone_of_the_machine_changes_nothing(self):
        for zone in "Pacific/Kiritimati", "America/St_Johns", "Europe/Berlin", "no/such/zone":
            server = Server({"log": {"format": "combined"}})
            self.addCleanup(self._end, server)
            server.process_options = {"env": {**os.environ, "TZ": zone}}
            server.write("/a", b"x")
            server.start()
            now = int(time.time())
            self.assertEqual(server.get(server.sign("/a", expires=now + 300)).status, 200)
            self.assertEqual(server.get(server.sign("/a", expires=now)).status, 410)
            response = server.get(server.sign("/a", expires=now + 300, starts=now + 200))
            self.assertEqual(response.status, 403)
            self.assertTrue(response.field("Date").endswith(" GMT"))
            self.assertLess(abs(date_of(response) - time.time()), 300)
            stamp = time.strftime("[%d/%b/%Y:%H:", time.gmtime(date_of(response)))
            eventually(lambda: stamp in server.access_log.read_text())
            server.stop()


if __name__ == "__main__":
    unittest.main()
