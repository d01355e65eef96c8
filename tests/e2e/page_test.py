"""The live page in a headless Chromium: what is to be seen moves, what is clicked is done in the server,
and nothing that anybody sent becomes markup."""

import re

from browser import ENTER, ESCAPE, LEFT, TAB
from page_case import TOKEN, PageCase
from support import MIB, eventually, main, new_link_id, some_bytes

CHARTS = {"bytes": "Throughput", "transfers": "Active transfers", "requests": "Requests",
          "refusals": "Refusals", "fsync": "Journal fsync", "lag": "Shop lag"}
MARKUP = "<img src=x onerror=document.title='taken'><b>bold</b>"

# Texts whose contrast with what is behind them is below 4.5 (WCAG 2.1, 1.4.3), but for what is disabled.
CONTRAST = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => {
  for (let e = element; e !== null; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const weak = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
  if (!own || !element.checkVisibility() || element.closest("[disabled], noscript, svg")) continue;
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) weak.push([element.outerHTML.slice(0, 80), ratio.toFixed(2)]);
}
return weak;
"""


class PageTest(PageCase):
    # -- login

    def test_login_and_logout(self):
        browser = self.browser
        browser.open(self.server.page + "/")
        eventually(lambda: browser.url, self.server.page + "/login")
        self.assertEqual(browser.text("#mistake"), "")
        self.expect_failed_loads = True  # the 403
        browser.type("#token", "not-the-token" + ENTER)
        eventually(lambda: browser.text("#mistake"), "That is not the token.")
        browser.type("#token", TOKEN)
        browser.click("button")
        eventually(lambda: browser.url, self.server.page + "/")
        eventually(lambda: browser.text("#line"), "live")
        cookie = browser.cookies()["tallygate_session"]
        self.assertTrue(cookie["httpOnly"])
        self.assertEqual(cookie["sameSite"], "Strict")
        eventually(lambda: browser.is_enabled("#logout"))
        browser.click("#logout")
        eventually(lambda: browser.url, self.server.page + "/login")
        self.assertNotIn("tallygate_session", browser.cookies())
        browser.open(self.server.page + "/")
        eventually(lambda: browser.url, self.server.page + "/login")

    # -- figures

    def test_charts_move_while_a_download_runs(self):
        self.server.write("/big", some_bytes(32 * MIB))
        self.log_in()
        for chart, title in CHARTS.items():
            self.assertEqual(self.browser.text(f"#chart-{chart} .title"), title)
            if chart != "fsync":  # nothing has been written yet
                eventually(lambda chart=chart: self.line(chart) not in (None, ""))
        eventually(lambda: self.browser.text("#chart-transfers .value"), "0")
        link = new_link_id()
        self.download(link)
        self.download(link)
        eventually(lambda: self.browser.text("#chart-transfers .value"), "2")
        self.expect_text("#chart-bytes .value", r"^[1-9][\d.]* [kM]B/s$")
        # The label says what is to be seen.
        eventually(lambda: self.browser.run("""
            const value = document.querySelector("#chart-bytes .value").textContent;
            const label = document.querySelector("#chart-bytes svg").getAttribute("aria-label");
            return label.startsWith(`Throughput: ${value}, `) && label.endsWith(" in all");"""))
        before = {chart: self.line(chart) for chart in CHARTS}
        eventually(lambda: [c for c in CHARTS if self.line(c) == before[c] and c != "fsync"], [])
        self.use(new_link_id())  # something for the journal
        eventually(lambda: self.line("fsync") not in ("", before["fsync"]))
        self.expect_text("#chart-fsync .value", r"^[\d.]+ m?s$")
        self.assertEqual(self.browser.text("#chart-lag .value"), "0 s")
        self.assertIn("SQLite", self.browser.text("#chart-lag .note"))
        self.shot("charts")

    def test_a_chart_is_read_with_the_keyboard(self):
        self.log_in()
        eventually(lambda: self.line("transfers").count("L") > 1)
        self.browser.run("document.querySelector('#chart-transfers svg').focus()")
        self.browser.press(LEFT)
        self.expect_text("#chart-transfers .tip", r"^0 — (now|\d+ s ago)$")
        self.assertTrue(self.browser.is_shown("#chart-transfers .tip"))
        self.browser.press(ESCAPE)
        eventually(lambda: not self.browser.is_shown("#chart-transfers .tip"))

    def test_rates_are_of_two_answers(self):
        """As server/top makes them."""
        self.log_in()
        found = self.browser.run("""
            return import("/modules/figures.js").then(({ between, quantile }) => {
              const before = { count: 10, le: [[0.001, 4], [0.01, 10], [0.1, 10]] };
              const now = { count: 110, le: [[0.001, 54], [0.01, 108], [0.1, 110]] };
              const beyond = { count: 11, le: before.le };
              const live = { now_ms: 1000, started_at: 1, bytes_sent_total: 1000, requests_total: 10, fsync: before,
                refusals: { "link-expired": 5 } };
              const later = { ...live, now_ms: 3000, bytes_sent_total: 6000, requests_total: 14, fsync: now,
                refusals: { "link-expired": 8, "file-missing": 1 } };
              return [[0.25, 0.5, 0.98, 0.99].map((share) => quantile(share, before, now).toFixed(4)),
                quantile(0.99, before, beyond), quantile(0.5, before, before),
                between(live, later), between(live, { ...later, started_at: 2 }), between(live, live)];
            })""")
        self.assertEqual(found[:3], [["0.0005", "0.0010", "0.0100", "0.0550"], 0.1, None])
        rates = found[3]
        self.assertEqual((rates["bytes"], rates["requests"], rates["refused"]), (2500, 2, 2))
        self.assertEqual(rates["refusals"], {"link-expired": 1.5, "file-missing": 0.5})
        self.assertEqual(found[4:], [None, None])

    def test_refusals_by_reason(self):
        self.log_in()
        rows = """return Object.fromEntries([...document.querySelectorAll("#reasons tr")].map((row) =>
            [row.querySelector(".code").textContent, row.lastElementChild.textContent]))"""
        eventually(lambda: self.browser.run(rows).get("link-invalid"), "0")
        spark = "return document.querySelector('#reasons path.line').getAttribute('d')"
        for _ in range(3):
            self.server.get("/a?tg=1.kx.s00")
        self.server.get(self.server.sign("/a", expires=5))
        self.server.get(self.server.sign("/none"))
        self.server.get("/a", method="PUT")
        wanted = {"link-invalid": "3", "link-expired": "1", "file-missing": "1", "http-…": "1",
                  "link-revoked": "0", "downloads-exhausted": "0"}
        eventually(lambda: {name: self.browser.run(rows)[name] for name in wanted}, wanted)
        before = self.browser.run(spark)
        eventually(lambda: self.browser.run(spark) != before)
        self.expect_text("#chart-refusals .note", "^6 in all$")
        self.expect_text("#totals-facts", r"403: 3 · .*404: 1 · .*410: 1")

    def test_the_state_of_the_server(self):
        self.log_in()
        eventually(lambda: self.browser.text("#state"), "ok")
        self.assertRegex(self.browser.text("#about"), r"^\d+\.\d+\.\d+ · up \d+ ")
        self.assertEqual(self.browser.text("#condition"), "All is well.")
        good = self.server.config.read_text()
        self.server.config.write_text(good + "nonsense")
        self.server.reload()
        eventually(lambda: self.browser.text("#state"), "degraded")
        self.expect_text("#condition", r"not reloaded: .*tallygate\.toml:\d+: ")
        self.assertEqual(self.browser.run("return document.title"), "degraded: tallygate")
        self.shot("degraded")
        self.server.config.write_text(good)
        self.server.reload()
        eventually(lambda: self.browser.text("#state"), "ok")
        # The end, while a download holds it.
        self.server.write("/big", some_bytes(32 * MIB))
        download = self.download(new_link_id())
        eventually(lambda: self.browser.text("#chart-transfers .value"), "1")
        self.expect_failed_loads = True
        self.server.terminate()
        eventually(lambda: self.browser.text("#state"), "draining")
        self.expect_text("#condition", "^It is ending")
        download.close()
        self.server.wait()

    # -- links

    def test_a_link_is_revoked_and_restored(self):
        link = new_link_id()
        self.use(link)
        self.log_in()
        self.search(link)
        eventually(lambda: self.browser.text("#link-used"), "1 of 3 downloads used")
        self.assertEqual(self.browser.text("#link-state"), "active")
        self.assertEqual(self.browser.text("#link-path"), "/a")
        self.assertEqual(self.browser.attribute("#link-meter", "aria-valuenow"), "1")
        self.assertEqual(self.browser.attribute("#link-meter", "aria-valuemax"), "3")
        self.assertEqual(len(self.browser.all("#link-meter .used")), 1)
        facts = dict(zip(self.browser.all("#link-facts dt"), self.browser.all("#link-facts dd")))
        self.assertEqual((facts["copies"], facts["traffic"], facts["in flight"], facts["blocked"]),
                         ("1", "65.5 kB", "0", "no"))
        self.assertRegex(facts["expires"], r"^\d+ \w+ \d{4}.* \(in 59 min \d+ s\)$")
        eventually(lambda: len(self.browser.all("#history li")), 1)
        self.assertRegex(self.browser.text("#history li"),
                         r"^complete.*65\.5 kB · 1 copy · 127\.0\.0\.1")
        self.assertFalse(self.browser.is_enabled("#restore"))
        self.shot("link")
        # Nothing is done until it is confirmed.
        for leave in (lambda: self.browser.click("#confirm-no"), lambda: self.browser.press(ESCAPE)):
            self.browser.click("#revoke")
            eventually(lambda: self.browser.is_shown("#confirm"))
            leave()
            eventually(lambda: not self.browser.is_shown("#confirm"))
        self.assertEqual(self.server.links_show(link)["state"], "active")
        self.confirm("#revoke", link)
        eventually(lambda: self.browser.text("#link-message"), "Revoked: it is refused from now on.")
        eventually(lambda: self.browser.text("#link-state"), "revoked")
        self.assertEqual(self.server.links_show(link)["state"], "revoked")
        answer = self.server.get(self.server.sign("/a", id=link, limit=3))
        self.assertEqual((answer.status, answer.problem), (403, "link-revoked"))
        self.assertFalse(self.browser.is_enabled("#revoke"))
        self.confirm("#restore", link)
        eventually(lambda: self.browser.text("#link-state"), "active")
        self.assertEqual(self.server.links_show(link)["state"], "active")
        self.use_again(link, 2)

    def use_again(self, link, used):
        """What the page shows follows by itself."""
        eventually(lambda: self.server.get(self.server.sign("/a", id=link, limit=3)).status, 200)
        self.server.expect_link(link, used=used)
        self.expect_text("#link-used", rf"^{used} of ")
        eventually(lambda: self.browser.all("#history .outcome").count("complete"), used)

    def test_the_limit_is_raised_and_the_count_reset(self):
        link = new_link_id()
        self.use(link, times=3)
        self.log_in()
        self.search(link)
        eventually(lambda: self.browser.text("#link-state"), "used up")
        self.expect_text("#link-facts", "no download is left; raise the limit or reset the count")
        # One more is what is offered; a number can be typed; or stepped to; or none at all.
        self.confirm("#raise", "Now it is 3; 3 used.")
        eventually(lambda: self.browser.text("#link-used"), "3 of 4 downloads used")
        self.assertEqual(self.server.links_show(link)["limit"], 4)
        self.assertEqual(self.server.get(self.server.sign("/a", id=link, limit=3)).status, 200)
        self.browser.click("#raise")
        self.browser.fill("#amount", "20")
        self.browser.click("#amount-more")
        self.browser.type("#amount", ENTER)
        eventually(lambda: self.server.links_show(link)["limit"], 21)
        self.expect_text("#link-used", r"^4 of 21 downloads used$")
        self.browser.click("#raise")
        self.browser.click("#amount-unlimited")
        self.browser.click("#confirm-yes")
        eventually(lambda: self.browser.text("#link-used"), "4 downloads used, without a limit")
        self.assertIsNone(self.server.links_show(link)["limit"])
        self.browser.click("#raise")
        self.browser.fill("#amount", "4")
        self.browser.click("#confirm-yes")
        eventually(lambda: self.browser.text("#link-used"), "4 of 4 downloads used")
        self.confirm("#reset", "begins at zero again")
        eventually(lambda: self.browser.text("#link-used"), "0 of 4 downloads used")
        self.assertEqual(self.server.links_show(link)["used"], 0)

    def test_an_unknown_link_and_what_is_no_id(self):
        self.log_in()
        self.expect_failed_loads = True  # the 404
        self.search("nobody-1")
        self.expect_text("#link-message", "^No link “nobody-1” is known: nobody has used it")
        self.assertFalse(self.browser.is_shown("#link-view"))
        for wrong in ("no space", "../../metrics", "..", "x" * 97, MARKUP):
            self.search(wrong)
            self.expect_text("#link-message", "^A link’s id is 1 to 96 of the characters")
        # Afterwards a good one is shown as if nothing had been.
        link = new_link_id()
        self.use(link)
        self.search(link)
        eventually(lambda: self.browser.text("#link-name"), link)
        self.assertEqual(self.browser.text("#link-message"), "")

    def test_the_address_names_the_link(self):
        first, second = new_link_id(), new_link_id()
        self.use(first)
        self.use(second)
        self.log_in(f"#link={first}")
        eventually(lambda: self.browser.text("#link-name"), first)
        self.search(second)
        eventually(lambda: self.browser.text("#link-name"), second)
        self.assertTrue(self.browser.url.endswith(f"#link={second}"))
        self.browser.ask("POST", "/back")
        eventually(lambda: self.browser.text("#link-name"), first)

    def test_what_the_server_refuses_is_said(self):
        link = new_link_id()
        self.use(link)
        self.log_in(f"#link={link}")
        eventually(lambda: self.browser.text("#link-name"), link)
        self.expect_failed_loads = True  # the 503
        database = self.server.folder / "shop.db"
        database.rename(self.server.folder / "away.db")
        database.mkdir()
        eventually(lambda: self.browser.text("#state"), "degraded")
        self.expect_text("#chart-lag .note", "^not reachable")
        self.confirm("#revoke", link)
        self.expect_text("#link-message", r"^Not done\. .{10,}")
        self.assertIn("bad", self.browser.attribute("#link-message", "class"))
        self.assertEqual(self.server.links_show(link)["state"], "active")
        database.rmdir()
        (self.server.folder / "away.db").rename(database)

    # -- transfers

    def test_a_transfer_is_cut(self):
        self.server.write("/big", some_bytes(32 * MIB))
        self.log_in()
        eventually(lambda: self.browser.is_shown("#transfers-empty"))
        stays, goes = new_link_id(), new_link_id()
        one, other = self.download(stays), self.download(goes)
        eventually(lambda: sorted(self.browser.all("#transfers-list .id")), sorted([stays, goes]))
        self.assertEqual(self.browser.text("#transfers-count"), "2")
        row = f'#transfers-list li:has(a[href="#link={goes}"])'
        self.assertRegex(self.browser.text(f"{row} .figures"), r"^[\d.]+ [kM]?B of 33\.6 MB · ")
        self.assertEqual(self.browser.text(f"{row} .client"), "127.0.0.1")
        bar = lambda: int(self.browser.attribute(f"{row} .progress", "aria-valuenow"))
        began = bar()
        eventually(lambda: bar() > began)
        # Its link is one click away.
        self.browser.click(f"{row} .id")
        eventually(lambda: self.browser.text("#link-name"), goes)
        self.expect_text("#link-facts", "in flight1")
        self.shot("transfers")
        self.confirm(f"{row} button", f"downloading /big with the link {goes}")
        eventually(lambda: self.browser.text("#transfers-message"), f"The transfer of link {goes} was cut.")
        self.assertTrue(other.cut.wait(60))
        eventually(lambda: self.browser.all("#transfers-list .id"), [stays])
        self.assertFalse(one.cut.is_set())
        eventually(lambda: self.browser.text("#chart-transfers .value"), "1")

    # -- what others send

    def test_markup_stays_text(self):
        path = f"/{MARKUP}"
        self.server.write(path, some_bytes(32 * MIB))
        link = new_link_id()
        self.download(link, path=path)
        self.log_in(f"#link={link}")
        eventually(lambda: self.browser.text("#transfers-list .path"), path)
        eventually(lambda: self.browser.text("#link-path"), path)
        self.assertEqual(self.browser.attribute("#transfers-list .path", "title"), path)
        self.browser.click("#transfers-list button")
        self.expect_text("#confirm-text", re.escape(path))
        self.browser.click("#confirm-no")
        self.browser.run("location.hash = '#link=' + encodeURIComponent(arguments[0])", MARKUP)
        self.expect_text("#link-message", "^A link’s id is")
        self.assertEqual(self.browser.run("return document.querySelectorAll('img, b').length"), 0)
        self.assertNotEqual(self.browser.run("return document.title"), "taken")

    def test_no_script_but_our_own_files(self):
        self.log_in()
        self.expect_failed_loads = True  # what is tried here is written to the console
        tried = self.browser.run("""
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken'";
            document.body.append(script);
            return document.title;""")
        self.assertNotEqual(tried, "taken")
        blocked = self.browser.console()
        self.assertTrue(any("Content Security Policy" in entry["message"] for entry in blocked), blocked)
        loaded = self.browser.run(
            "return performance.getEntriesByType('resource').map((entry) => entry.name)")
        self.assertEqual([url for url in loaded if not url.startswith(self.server.page + "/")], [])

    # -- phone, light and dark, keyboard

    def test_it_fits_on_a_phone(self):
        self.server.write("/big", some_bytes(32 * MIB))
        link = "a" + "x" * 63
        self.use(link, times=2)
        self.download("b" + "y" * 63, path="/big")
        self.browser.resize(360, 740, phone=True)
        self.browser.open(self.server.page + "/login")
        self.assertEqual(self.widths(), (360, 360))
        self.log_in(f"#link={link}")
        eventually(lambda: self.browser.text("#link-name"), link)
        eventually(lambda: len(self.browser.all("#transfers-list li")), 1)
        self.assertEqual(self.widths(), (360, 360))
        for scheme in ("light", "dark"):
            self.browser.prefer(scheme)
            self.shot(f"phone-{scheme}")
        # Nothing sticks out, and what is to be touched is large enough.
        out = self.browser.run("""
            return [...document.querySelectorAll("main *, header *")].filter((element) => {
              const box = element.getBoundingClientRect();
              return box.width > 0 && element.checkVisibility() && !element.closest(".transfer .path, nav") &&
                (box.right > 360.5 || box.left < -0.5);
            }).map((element) => element.outerHTML.slice(0, 100));""")
        self.assertEqual(out, [])
        small = self.browser.run("""
            return [...document.querySelectorAll("main button, main input")].filter((element) =>
              element.checkVisibility() && element.getBoundingClientRect().height < 40)
              .map((element) => element.outerHTML);""")
        self.assertEqual(small, [])
        self.confirm("#revoke", link)
        eventually(lambda: self.server.links_show(link)["state"], "revoked")
        self.assertEqual(self.widths(), (360, 360))

    def widths(self):
        return tuple(self.browser.run(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"))

    def test_light_and_dark_can_both_be_read(self):
        link = new_link_id()
        self.use(link, times=3)
        self.server.get("/a?tg=1.kx.s00")
        self.log_in(f"#link={link}")
        eventually(lambda: self.browser.text("#link-name"), link)
        grounds = {}
        for scheme in ("light", "dark"):
            self.browser.prefer(scheme)
            grounds[scheme] = self.browser.run("return getComputedStyle(document.body).backgroundColor")
            weak = self.browser.run(CONTRAST)
            self.assertEqual(weak, [], scheme)
            self.shot(f"desktop-{scheme}")
        self.assertNotEqual(grounds["light"], grounds["dark"])

    def test_the_keyboard_is_enough(self):
        link = new_link_id()
        self.use(link)
        self.log_in()
        self.browser.run("document.getElementById('link-id').focus()")
        self.browser.press(*link, ENTER)
        eventually(lambda: self.browser.text("#link-name"), link)
        self.browser.press(TAB, TAB)  # over Show
        self.assertEqual(self.focus(), "revoke")
        self.browser.press(ENTER)
        eventually(lambda: self.focus(), "confirm-no")  # the one that does no harm
        self.browser.press(TAB)
        self.assertEqual(self.focus(), "confirm-yes")
        self.browser.press(ENTER)
        eventually(lambda: self.server.links_show(link)["state"], "revoked")

    def focus(self):
        return self.browser.run("return document.activeElement.id")

    def test_nothing_jumps(self):
        """What is below the figures stays where it is while they change."""
        link = new_link_id()
        self.use(link)
        self.server.write("/big", some_bytes(32 * MIB))
        self.log_in(f"#link={link}")
        eventually(lambda: self.browser.text("#link-name"), link)
        eventually(lambda: len(self.browser.all("#history li")), 1)
        self.browser.run("""
            window.jumps = [];
            new PerformanceObserver((list) => jumps.push(...list.getEntries().map((entry) => [entry.value,
              ...entry.sources.map((source) => source.node?.id || source.node?.className || source.node?.nodeName)])))
              .observe({ type: "layout-shift" });""")
        places = self.places()
        self.server.get("/a?tg=1.kx.s00")
        self.download(new_link_id())
        eventually(lambda: self.browser.text("#chart-transfers .value"), "1")
        self.expect_text("#chart-refusals .note", "^1 in all$")
        self.expect_text("#chart-bytes .value", r"^[1-9]")
        self.assertEqual(self.places(), places)
        self.assertEqual([jump for jump in self.browser.run("return jumps") if jump[0] > 0.01], [])

    def places(self):
        return self.browser.run("""return ["figures", "link", "transfers", "refusals", "totals", "revoke"].map((id) => {
            const { top, left, width } = document.getElementById(id).getBoundingClientRect();
            return [id, Math.round(top + scrollY), Math.round(left), Math.round(width)];
        })""")

    # -- the line to the server

    def test_a_server_that_goes_away_and_comes_back(self):
        port = self.server.admin_port
        self.log_in()
        points = self.line("transfers")
        self.expect_failed_loads = True
        self.server.stop()
        self.expect_text("#line", r"^no connection for \d+ s$")
        self.expect_text("#condition",
                         r"^The server cannot be reached\. What is shown is of \d\d:\d\d:\d\d\. It is asked again")
        self.assertNotEqual(points, "")
        self.assertEqual(self.browser.text("#state"), "unknown")
        self.shot("lost")
        self.server.configure({"admin": {"listen": f"127.0.0.1:{port}"}})
        self.server.start()
        # Logins are forgotten with it, and the page says so.
        eventually(lambda: self.browser.text("#line"), "logged out")
        self.expect_text("#condition", "^You are not logged in any more: .* Log in again$")
        self.shot("logged-out")
        self.browser.click("#condition a")
        self.browser.type("#token", TOKEN + ENTER)
        eventually(lambda: self.browser.text("#line"), "live")
        eventually(lambda: self.browser.text("#condition"), "All is well.")

    def test_a_login_elsewhere_wakes_the_page(self):
        """The page goes on by itself when it is logged in again; and what it sends then is accepted."""
        port = self.server.admin_port
        link = new_link_id()
        self.use(link)
        self.log_in(f"#link={link}")
        self.expect_failed_loads = True
        self.server.configure({"admin": {"listen": f"127.0.0.1:{port}"}})
        self.server.restart()
        eventually(lambda: self.browser.text("#line"), "logged out")
        self.log_in_beside()
        eventually(lambda: self.browser.text("#line"), "live")
        # Once more while it is live: the secret that it sends with a change is a new one.
        self.log_in_beside()
        self.confirm("#revoke", link)
        eventually(lambda: self.server.links_show(link)["state"], "revoked")

    def log_in_beside(self):
        self.browser.run("""return fetch("/login", { method: "POST", body: new URLSearchParams({ token: arguments[0] }) })
            .then((response) => response.status)""", TOKEN)


if __name__ == "__main__":
    main()
