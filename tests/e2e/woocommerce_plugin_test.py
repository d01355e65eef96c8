"""WooCommerce's downloads by signed links: the plugin in conf/woocommerce, in a shop of stubs.

The shop (woocommerce/shop.php) lists and delivers downloads as WooCommerce does, with rows in a
SQLite database; the links that come out are fetched from a real server.
"""

import base64
import contextlib
import hashlib
import json
import pathlib
import re
import sqlite3
import subprocess
import time
import unittest
import urllib.parse

import support
from support import KIB, PATIENCE, Key, base64url, encode_path, some_bytes

HERE = pathlib.Path(__file__).parent
PLUGIN = HERE.parents[1] / "conf" / "woocommerce" / "tallygate-links" / "tallygate-links.php"
SHOP = HERE / "woocommerce" / "shop.php"
BASE = "http://dl.shop.example"
SITE = "https://shop.example"
UPLOADS = "wp-content/uploads/woocommerce_uploads"
EMAIL = "anna+shop@example.com"
DAY = 86400
KEY = Key("k1", bytes(range(32)))
CONSTANTS = {"TALLYGATE_BASE_URL": BASE, "TALLYGATE_KEY_ID": "k1",
             "TALLYGATE_KEY": f"hex:{KEY.secret.hex()}"}

# What a file is called, and how the product may say so: below the site's folder, or its URL.
NAMES = {
    "/2024/05/song.flac": ["{folder}/2024/05/song.flac", "{url}/2024/05/song.flac",
                           "http://shop.example/{uploads}/2024/05/song.flac",
                           "//shop.example/{uploads}/2024/05/song.flac",
                           "/{uploads}/2024/05/song.flac", "{uploads}/2024/05/song.flac"],
    "/music/Größe XL.flac": ["{folder}/music/Größe XL.flac", "{url}/music/Größe%20XL.flac",
                             "{url}/music/Gr%C3%B6%C3%9Fe%20XL.flac"],
    "/100% sicher.zip": ["{folder}/100% sicher.zip", "{url}/100% sicher.zip",
                         "{url}/100%25%20sicher.zip"],
    "/a%20b.zip": ["{folder}/a%20b.zip", "{url}/a%20b.zip", "{url}/a%2520b.zip"],
    "/what? #1 & 'more' + (2) [3];=.zip":
        ["{folder}/what? #1 & 'more' + (2) [3];=.zip",
         "{url}/what%3F%20%231%20&%20'more'%20+%20(2)%20[3];=.zip"],
    "/日本語/e\u0301 🎵.flac": ["{folder}/日本語/e\u0301 🎵.flac", "{url}/日本語/e\u0301 🎵.flac"],
    "/a%2Fb.zip": ["{folder}/a%2Fb.zip", "{url}/a%2Fb.zip"],
}
# What stays with WooCommerce.
ELSEWHERE = [
    "https://cdn.example/woocommerce_uploads/2024/05/song.flac",
    "https://shop.example.evil.example/{uploads}/2024/05/song.flac",
    "{site}/wp-content/uploads/2024/05/song.flac", "{url}-old/2024/05/song.flac", "{url}", "{url}/",
    "{folder}/", "/srv/2024/05/song.flac", "[s3 file=song.flac]", "", "{url}/2024/05/song.flac?v=2",
    "{url}/2024/05/song.flac#part", "{url}/2024%2F05/song.flac", "{url}//2024/05/song.flac",
    "{folder}/2024/../2024/05/song.flac", "{url}/2024/%2e%2e/2024/05/song.flac", "{folder}/./a",
    "{url}/a%5Cb", "{folder}/a\\b", "{url}/a%00b", "{url}/a%0Ab", "{folder}/a\nb", "{url}/%ff",
    "{folder}/" + "long/" * 2000 + "name",
]
MALFORMED = {
    "TALLYGATE_BASE_URL": ["", "dl.shop.example", "ftp://dl.shop.example", f"{BASE}/?x=1",
                           f"{BASE}\n", "http://dl shop"],
    "TALLYGATE_KEY_ID": ["", "k.1", "k" * 17, "k1\n"],
    "TALLYGATE_KEY": ["", "hex:", "hex:" + "00" * 15, "hex:" + "0" * 33, "hex:" + "0g" * 16,
                      KEY.secret.hex(), "base64:AAECAwQFBgcICQoLDA0ODw==",
                      f"hex:{KEY.secret.hex()}\n"],
    "TALLYGATE_FILES_BASE": ["", "/", "//", "srv/downloads", "ftp://shop.example/x", "https://"],
    "TALLYGATE_LINK_LIFETIME": ["", 0, 59, -60, "1d", 60.5, 10**9],
}
ROWS = """
    CREATE TABLE wp_woocommerce_downloadable_product_permissions(
      permission_id INTEGER PRIMARY KEY, download_id TEXT, product_id INTEGER, order_id INTEGER,
      order_key TEXT, user_email TEXT, user_id INTEGER, downloads_remaining TEXT,
      access_expires TEXT)
"""


def place(form, folder):
    """A product's file in one of the forms above."""
    return form.format(site=SITE, uploads=UPLOADS, folder=f"{folder}/{UPLOADS}",
                       url=f"{SITE}/{UPLOADS}")


def fields_of(url):
    """The decoded path of a link, and the fields of its token."""
    path, token = re.fullmatch(rf"{re.escape(BASE)}(/[^?]+)\?tg=1\.(\S+)", url).groups()
    return urllib.parse.unquote(path), {field[0]: field[1:] for field in token.split(".")}


class Shop:
    """Products, orders and rows; `folder` is the site's, its uploads are the server's files."""

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "shop.db"
        self.database.unlink(missing_ok=True)
        self.products, self.orders, self.constants, self.more = {}, {}, dict(CONSTANTS), {}
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute(ROWS)

    def add_product(self, product, **forms):
        """A product with files: download id => what the shop has stored."""
        self.products[product] = {id: {"name": id, "file": place(form, self.folder)}
                                  for id, form in forms.items()}

    def add_order(self, order, *products):
        self.orders[order] = {"key": f"wc_order_{order}", "email": EMAIL, "products": products}

    def permit(self, id, order, product, download, remaining="", expires=None, email=EMAIL,
               customer=7):
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("INSERT INTO wp_woocommerce_downloadable_product_permissions "
                       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       (id, download, product, order, f"wc_order_{order}", email, customer,
                        remaining, expires))

    def do(self, what, subject=None):
        """Lets something happen, with WordPress' errors as failures; returns what came of it."""
        given = {"folder": str(self.folder), "database": str(self.database), "url": SITE,
                 "constants": self.constants, "products": self.products, "orders": self.orders,
                 "do": [what, subject], **self.more}
        done = subprocess.run(["php", SHOP, PLUGIN], input=json.dumps(given), text=True,
                              capture_output=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"{what}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def query(self, order, product, download, /, **changed):
        return {"download_file": str(product), "order": f"wc_order_{order}", "key": download,
                "uid": hashlib.sha256(EMAIL.encode()).hexdigest()} | changed

    def own_url(self, order, product, download):
        """WooCommerce's."""
        query = self.query(order, product, download)
        return f"{SITE}/?" + urllib.parse.urlencode({name: query[name] for name in
                                                     ("download_file", "order", "uid", "key")})


class Plugin(support.SharedServerTestCase):
    keys = [KEY]

    @classmethod
    def prepare(cls):
        cls.site = cls.server.folder / "site"
        uploads = cls.site / UPLOADS
        uploads.parent.mkdir(parents=True)
        uploads.symlink_to(cls.server.root)  # content.root is the shop's folder of uploads
        cls.contents = {path: cls.server.write(path, some_bytes(8 * KIB, seed))
                        for seed, path in enumerate(NAMES)}

    def setUp(self):
        self.shop = Shop(self.site)

    def shop_with_an_order(self):
        """Order 100 of a product with two files and one with one, under permissions 17 to 19."""
        self.shop.add_product(10, song="{folder}/2024/05/song.flac",
                              size="{url}/music/Größe%20XL.flac")
        self.shop.add_product(11, safe="{folder}/100% sicher.zip")
        self.shop.add_order(100, 10, 11)
        self.shop.permit(17, 100, 10, "song")
        self.shop.permit(18, 100, 10, "size", remaining="3", expires="2999-12-31 00:00:00")
        self.shop.permit(19, 100, 11, "safe", remaining="1")
        return {"song": (17, "/2024/05/song.flac"), "size": (18, "/music/Größe XL.flac"),
                "safe": (19, "/100% sicher.zip")}

    def own_urls(self):
        return {"song": self.shop.own_url(100, 10, "song"),
                "size": self.shop.own_url(100, 10, "size"),
                "safe": self.shop.own_url(100, 11, "safe")}

    def expect_link(self, url, permission, path, lifetime=DAY):
        """A link of that permission, which is the key's and brings the bytes of that file."""
        signed_path, fields = fields_of(url)
        self.assertEqual((signed_path, fields["k"], fields["i"]), (path, "k1", str(permission)))
        self.assertNotIn("n", fields)  # the limit is the row's
        self.assertLess(abs(int(fields["e"]) - time.time() - lifetime), PATIENCE)
        response = self.server.get(url.removeprefix(BASE))
        self.assertEqual((response.status, response.body), (200, self.contents[path]), url)
        return response

    # -- lists

    def test_the_page_of_an_order_has_a_link_for_each_file(self):
        expected = self.shop_with_an_order()
        downloads = self.shop.do("order page", 100)["downloads"]
        self.assertEqual(list(downloads), list(expected))
        for download, url in downloads.items():
            self.expect_link(url, *expected[download])

    def test_a_permission_is_one_count_whatever_was_signed_for_it(self):
        self.shop_with_an_order()
        self.shop.permit(31, 101, 10, "song")
        self.shop.add_order(101, 10)
        for used in range(3):
            url = self.shop.do("order page", 101)["downloads"]["song"]
            self.expect_link(url, 31, "/2024/05/song.flac")
            self.server.expect_link("31", used=used + 1)

    def test_an_account_has_links_and_the_lines_of_others(self):
        expected = self.shop_with_an_order()
        self.shop.permit(20, 101, 11, "safe")
        self.shop.permit(21, 102, 11, "safe", customer=8)
        downloads = self.shop.do("account page", 7)["downloads"]
        self.assertEqual(downloads.pop()["download_url"], "https://elsewhere.example/free")
        self.assertEqual(len(downloads), 4)
        self.expect_link(downloads.pop()["download_url"], 20, "/100% sicher.zip")
        for download in downloads:
            self.expect_link(download["download_url"], *expected[download["download_id"]])

    def test_what_outlives_the_day_keeps_woocommerce_s_own_url(self):
        self.shop_with_an_order()
        self.assertEqual(self.shop.do("mail in a page", 100)["mail"], self.own_urls())
        self.assertEqual(self.shop.do("order over REST", 100)["downloads"], self.own_urls())
        own = [line["download_url"] for line in self.shop.do("account over REST", 7)["downloads"]]
        self.assertEqual(own[:3], list(self.own_urls().values()))

    def test_a_guest_has_no_link_where_the_shop_demands_a_login(self):
        self.shop_with_an_order()
        self.shop.more = {"options": {"woocommerce_downloads_require_login": "yes"}}
        self.assertEqual(self.shop.do("order page", 100)["downloads"], self.own_urls())
        self.shop.more["is_logged_in"] = True
        for url in self.shop.do("order page", 100)["downloads"].values():
            fields_of(url)

    def test_of_several_rows_for_a_file_the_best_is_taken(self):
        self.shop_with_an_order()
        soon = time.gmtime(time.time() + 300)  # today, unless midnight would come in between
        cases = [({"remaining": "9"}, 20), ({"remaining": "10"}, 21), ({"remaining": "10"}, 21),
                 ({"remaining": "0"}, 21), ({"remaining": None}, 21),
                 ({"expires": "2020-01-01 00:00:00"}, 21), ({"email": "other@example.com"}, 21),
                 ({"expires": time.strftime("%Y-%m-%d 00:00:00", soon)}, 27),
                 ({"expires": "0000-00-00 00:00:00"}, 27)]
        for id, (row, best) in enumerate(cases, 20):
            self.shop.permit(id, 100, 11, "safe", **row)
            url = self.shop.do("order page", 100)["downloads"]["safe"]
            self.expect_link(url, best, "/100% sicher.zip")

    def test_without_a_row_there_is_no_link(self):
        self.shop.add_product(10, song="{folder}/2024/05/song.flac")
        self.shop.add_order(100, 10)
        self.assertEqual(self.shop.do("order page", 100)["downloads"], [])
        self.assertEqual(len(self.shop.do("account page", 7)["downloads"]), 1)

    # -- clicks

    def test_a_click_on_woocommerce_s_url_is_redirected_and_not_counted_there(self):
        for download, (permission, path) in self.shop_with_an_order().items():
            product = 11 if download == "safe" else 10
            answer = self.shop.do("click", self.shop.query(100, product, download))
            self.assertEqual(set(answer), {"nocache", "redirect"})  # no word of WooCommerce
            self.assertEqual(answer["redirect"]["status"], 302)
            self.expect_link(answer["redirect"]["location"], permission, path)

    def test_whom_woocommerce_does_not_know_is_not_redirected(self):
        self.shop_with_an_order()
        wrong = hashlib.sha256(b"other@example.com").hexdigest()
        for changed in [{"uid": wrong}, {"uid": ""}, {"order": "wc_order_101"}, {"key": "safe"},
                        {"download_file": "11"}, {"key": "song' OR '1'='1"}, {"key": "%"}]:
            with self.subTest(changed=changed):
                answer = self.shop.do("click", self.shop.query(100, 10, "song", **changed))
                self.assertEqual(answer, {"woocommerce": "refuses"})

    def test_a_click_on_a_file_elsewhere_is_woocommerce_s(self):
        self.shop.add_product(10, far="https://cdn.example/far.zip")
        self.shop.add_order(100, 10)
        self.shop.permit(17, 100, 10, "far")
        self.assertEqual(self.shop.do("click", self.shop.query(100, 10, "far")),
                         {"woocommerce": "counts and serves"})

    # -- links

    def test_nothing_in_a_link_can_be_changed(self):
        self.shop_with_an_order()
        url = self.shop.do("order page", 100)["downloads"]["song"].removeprefix(BASE)
        expires = fields_of(BASE + url)[1]["e"]
        for old, new in [("/2024/05/song.flac", encode_path("/music/Größe XL.flac")),
                         (f".e{expires}", f".e{int(expires) + 1}"), (".i17", ".i18"),
                         (".i17", ""), (".i17", ".i17.n9"), (".kk1", ".kk2")]:
            with self.subTest(old=old, new=new):
                self.assertIn(old, url)
                response = self.server.get(url.replace(old, new))
                self.assertEqual((response.status, response.problem), (403, "link-invalid"))
        self.assertEqual(self.server.get(url[:-1] + "0123456789abcdef"[url[-1] == "0"]).status, 403)

    def test_the_lifetime_is_a_setting(self):
        expected = self.shop_with_an_order()
        for lifetime in [60, "3600", 30 * DAY]:
            self.shop.constants["TALLYGATE_LINK_LIFETIME"] = lifetime
            url = self.shop.do("order page", 100)["downloads"]["size"]
            self.expect_link(url, *expected["size"], lifetime=int(lifetime))

    def test_the_shop_s_own_name_for_a_file_is_offered(self):
        expected = self.shop_with_an_order()
        self.shop.more["own_names"] = {"11": "Ein Name für Anna.zip"}
        downloads = self.shop.do("order page", 100)["downloads"]
        self.assertNotIn("f", fields_of(downloads["song"])[1])
        response = self.expect_link(downloads["safe"], *expected["safe"])
        self.assertIn("filename*=UTF-8''Ein%20Name%20f%C3%BCr%20Anna.zip",
                      response.field("Content-Disposition"))
        for name in ["", "a/b", "a\\b", "..", "a\nb", "n" * 1025, None]:
            self.shop.more["own_names"] = {"11": name}
            url = self.shop.do("order page", 100)["downloads"]["safe"]
            self.assertNotIn("f", fields_of(url)[1])

    def test_signing_is_that_of_the_format(self):
        settings = {"base_url": BASE, "key_id": "k1", "key": KEY.secret.hex()}
        for path in NAMES:
            for fields in [{"e": 1767225600, "i": 17}, {"e": 1767225600, "i": 17,
                                                        "f": base64url("Größe.flac")}]:
                url = self.shop.do("sign", {"settings": settings, "path": path,
                                            "fields": fields})["url"]
                name = "Größe.flac" if "f" in fields else None
                token = KEY.token(path, id="17", expires=1767225600, name=name)
                self.assertEqual(url.partition("?tg=")[2], token)
                self.assertEqual(fields_of(url)[0], path)

    def test_signing_is_that_of_the_worked_example(self):
        settings = {"base_url": BASE, "key_id": "shop2",
                    "key": b"correct horse battery staple 32b".hex()}
        fields = {"e": 1700000600, "i": "o-881-2", "n": 3, "f": base64url("My Game (v1).zip")}
        said = self.shop.do("sign", {"settings": settings, "path": "/dl/My Game.zip",
                                     "fields": fields})
        self.assertEqual(
            said["url"],
            f"{BASE}/dl/My%20Game.zip?tg=1.kshop2.e1700000600.io-881-2.n3.fTXkgR2FtZSAodjEpLnppcA"
            ".s5f1720b7aaac1bf7c146b1fd7f691f5425c2bc24ce0150ce77e12a6e52474009")

    def test_what_the_server_would_refuse_is_not_signed(self):
        good = ["/a", "/a/b", "/...", "/.a", "/a..", "/ ", "/%2F", "/ü", "/a:b", "/" + "a" * 8000]
        bad = ["", "/", "a", "//a", "/a//b", "/a/", "/.", "/..", "/a/./b", "/a/..", "/../a",
               "/a\\b", "/a\0b", "/a\nb", "/a\n", "/\x7f", "/\x1f", b"/\xff", b"/\xc0\xaf",
               b"/\xed\xa0\x80", b"/\xf4\x90\x80\x80", b"/\xc3"]
        paths = [path if isinstance(path, bytes) else path.encode() for path in good + bad]
        said = self.shop.do("which are servable", [base64.b64encode(p).decode() for p in paths])
        self.assertEqual(said["servable"], [True] * len(good) + [False] * len(bad))
        for path in good[:-1]:  # the server agrees: a link that it honours, a file that it lacks
            response = self.server.get(self.server.sign(path))
            self.assertIn(response.status, (404, 200), path)

    # -- files

    def test_every_form_of_a_file_s_name_leads_to_it(self):
        for path, forms in NAMES.items():
            for form in forms:
                with self.subTest(form=form):
                    shop = Shop(self.site)
                    shop.add_product(10, it=form)
                    shop.add_order(100, 10)
                    shop.permit(40, 100, 10, "it")
                    self.expect_link(shop.do("order page", 100)["downloads"]["it"], 40, path)

    def test_files_elsewhere_keep_woocommerce_s_own_url(self):
        files = {f"id{n}": form for n, form in enumerate(ELSEWHERE)}
        self.shop.add_product(10, **files)
        self.shop.add_order(100, 10)
        for n, id in enumerate(files):
            self.shop.permit(50 + n, 100, 10, id)
        own = {id: self.shop.own_url(100, 10, id) for id in files}
        self.assertEqual(self.shop.do("order page", 100)["downloads"], own)
        account = self.shop.do("account page", 7)["downloads"]
        self.assertEqual([line["download_url"] for line in account[:-1]], list(own.values()))

    def test_a_disabled_file_keeps_woocommerce_s_own_url(self):
        self.shop_with_an_order()
        self.shop.products[10]["song"]["enabled"] = False
        downloads = self.shop.do("order page", 100)["downloads"]
        self.assertEqual(downloads["song"], self.own_urls()["song"])
        self.assertEqual(fields_of(downloads["size"])[1]["i"], "18")

    def test_the_files_may_lie_in_another_folder_or_behind_another_url(self):
        in_site = [f"{self.site}/files/a b.zip", f"{SITE}/files/a%20b.zip", "/files/a b.zip",
                   "files/a b.zip"]
        for base, known, unknown in [
                (f"{self.site}/files", in_site, [f"{SITE}/{UPLOADS}/a.zip", "/srv/files/a b.zip"]),
                (f"{self.site}/files/", in_site, []), (f"{SITE}/files", in_site, []),
                ("/srv/files", ["/srv/files/a b.zip"], in_site),
                (f"{self.site}/{UPLOADS}/paid", [f"{SITE}/{UPLOADS}/paid/a%20b.zip"],
                 [f"{SITE}/{UPLOADS}/a.zip"]),
                ("https://cdn.example/x", ["http://cdn.example/x/a%20b.zip"],
                 ["https://cdn.example/a%20b.zip", "/x/a b.zip"])]:
            with self.subTest(base=base):
                self.shop.constants["TALLYGATE_FILES_BASE"] = base
                paths = self.shop.do("which paths", known + unknown)["paths"]
                self.assertEqual(paths, ["/a b.zip"] * len(known) + [""] * len(unknown))

    def test_a_shop_may_map_its_files_itself(self):
        self.shop_with_an_order()
        self.shop.more["own_paths"] = {"song": "/music/Größe XL.flac", "size": "",
                                       "safe": "/../secret"}
        downloads = self.shop.do("order page", 100)["downloads"]
        self.expect_link(downloads.pop("song"), 17, "/music/Größe XL.flac")
        self.assertEqual(downloads, {id: self.own_urls()[id] for id in ("size", "safe")})

    # -- settings

    def expect_untouched(self):
        self.assertEqual(self.shop.do("order page", 100)["downloads"], self.own_urls())
        account = self.shop.do("account page", 7)["downloads"]
        self.assertEqual(account[0]["download_url"], self.own_urls()["song"])
        self.assertEqual(self.shop.do("click", self.shop.query(100, 10, "song")),
                         {"woocommerce": "counts and serves"})

    def notices(self):
        self.shop.more["is_manager"] = True
        return re.findall(r"TALLYGATE_\w+ is \w+", self.shop.do("dashboard")["notices"])

    def test_without_settings_nothing_changes_and_a_notice_says_what_is_missing(self):
        self.shop_with_an_order()
        for missing in CONSTANTS:
            self.shop.constants = {name: CONSTANTS[name] for name in CONSTANTS if name != missing}
            self.expect_untouched()
            self.assertEqual(self.notices(), [f"{missing} is missing"])
        self.shop.constants = {}
        self.expect_untouched()
        self.assertEqual(self.notices(), [f"{name} is missing" for name in CONSTANTS])
        self.shop.more["is_manager"] = False
        self.assertEqual(self.shop.do("dashboard")["notices"], "")

    def test_good_settings_need_no_notice(self):
        for more in [{}, {"TALLYGATE_BASE_URL": "https://dl.shop.example:8443/files/"},
                     {"TALLYGATE_BASE_URL": "http://[::1]:8080"}, {"TALLYGATE_LINK_LIFETIME": 60},
                     {"TALLYGATE_KEY": "hex:" + "0F" * 16}, {"TALLYGATE_FILES_BASE": "/srv/ü x"}]:
            self.shop.constants = CONSTANTS | more
            self.assertEqual(self.notices(), [], more)

    def test_malformed_settings_change_nothing_and_are_named_but_not_shown(self):
        self.shop_with_an_order()
        for name, values in MALFORMED.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    self.shop.constants = CONSTANTS | {name: value}
                    self.assertEqual(self.notices(), [f"{name} is malformed"])
                    self.assertNotIn(KEY.secret.hex()[:8], self.shop.do("dashboard")["notices"])
            self.expect_untouched()


class Source(unittest.TestCase):
    """What can be seen without running it."""

    def test_php_reads_it(self):
        for file in (PLUGIN, SHOP):
            subprocess.run(["php", "-l", file], check=True, capture_output=True, timeout=PATIENCE)

    def test_it_needs_no_php_newer_than_7_4(self):
        # By tokens; the PHP that is here is newer, and would take all of them.
        program = r"""
            $of = ['T_MATCH', 'T_ENUM', 'T_READONLY', 'T_ATTRIBUTE', 'T_NULLSAFE_OBJECT_OPERATOR'];
            $functions = ['str_contains', 'str_starts_with', 'str_ends_with', 'array_is_list',
                          'get_debug_type', 'fdiv', 'array_find', 'array_any', 'array_all'];
            $tokens = array_values(array_filter(token_get_all(file_get_contents($argv[1])),
                function ($token) { return $token[0] !== T_WHITESPACE; }));
            foreach ($tokens as $n => $token) {
                $name = is_array($token) ? token_name($token[0]) : '';
                $next = $tokens[$n + 1] ?? '';
                $before = $tokens[$n - 1] ?? '';
                $is_named = $name === 'T_STRING' && $next === ':' && in_array($before, ['(', ',']);
                $is_promoted = in_array($name, ['T_PUBLIC', 'T_PRIVATE', 'T_PROTECTED'])
                    && in_array($before, ['(', ',']);
                $is_union = $token === '|' && ($tokens[$n + 2][0] ?? '') === T_VARIABLE;
                if (in_array($name, $of) || in_array($token[1] ?? '', $functions) || $is_named
                    || $is_promoted || $is_union || ($token[1] ?? '') === 'mixed') {
                    echo $token[2] ?? '?', ': ', $token[1] ?? $token, "\n";
                }
            }
        """
        done = subprocess.run(["php", "-r", program, "--", PLUGIN], check=True, text=True,
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.stdout + done.stderr, "")

    def test_the_readme_has_every_setting(self):
        readme = (PLUGIN.parents[1] / "README.md").read_text()
        for name in [*CONSTANTS, *MALFORMED, "tallygate_links_path"]:
            self.assertIn(name, readme)


if __name__ == "__main__":
    support.main()
