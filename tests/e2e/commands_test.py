"""The command line: exit codes, results on standard output, messages on standard error; keygen, sign,
verify, shop and demo."""

import json
import os
import re
import sqlite3
import subprocess
import tempfile
import time
import tomllib

import support
from command_case import FAILED, SETTINGS, USAGE, CommandTest
from support import KIB, PATIENCE, Server, eventually, some_bytes

COMMANDS = ["serve", "check", "keygen", "sign", "verify", "links", "links show", "links set",
            "links revoke", "links restore", "links reset", "ledger", "ledger check", "shop",
            "shop init", "shop status", "demo"]
BASE = "http://dl.shop.example"


class CommandLine(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.remove)

    def test_every_command_explains_itself(self):
        for command in ["", *COMMANDS]:
            done = self.server.command(*command.split(), "--help")
            self.assertIn("Usage: tallygate", done.stdout, command)
            self.assertEqual(done.stderr, "", command)
        self.assertIn("header_timeout = \"10s\"", self.server.command("serve", "--help").stdout)

    def test_the_version_is_a_result(self):
        done = self.server.command("--version")
        self.assertRegex(done.stdout, r"^\d+\.\d+\.\d+\n$")
        self.assertEqual(done.stderr, "")

    def test_wrong_usage_is_64(self):
        config = self.server.config
        for arguments in [
                [], ["frobnicate"], ["serve"], ["check"], ["sign", "--config", config],
                ["verify", "--config", config], ["links"], ["links", "show", "--config", config],
                ["ledger"], ["ledger", "check"], ["shop"], ["shop", "init"],
                ["check", "--config", config, "--frobnicate"], ["keygen", "--id", "a b"],
                ["keygen", "--id", "a" * 17], ["demo", "--port", "65536"],
        ]:
            with self.subTest(arguments=arguments):
                self.expect(self.server, USAGE, *arguments)

    def test_an_unknown_command_is_named(self):
        self.assertIn("frobnicate", self.expect(self.server, USAGE, "frobnicate"))
        self.assertIn("frobnicate", self.expect(self.server, USAGE, "links", "frobnicate"))

    def test_keygen_twice_into_one_file_is_a_keyring(self):
        text = (self.server.command("keygen", "--id", "new").stdout +
                self.server.command("keygen", "--id", "old").stdout)
        entries = tomllib.loads(text)["key"]
        self.assertEqual([entry["id"] for entry in entries], ["new", "old"])
        self.assertNotEqual(entries[0]["secret"], entries[1]["secret"])
        server = self.prepare_server()
        server.write_keyring(text)
        server.command("check", "--config", server.config)
        url = server.command("sign", "--config", server.config, "/a", "--expires", "1h").stdout
        self.assertIn("?tg=1.knew.", url)  # the first one signs

    def test_demo_once_ends_by_itself_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "TMPDIR": folder}
            done = subprocess.run([support.BINARY, "demo", "--once"], env=environment,
                                  capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("link order-1001, used 1 of 3", done.stdout)
            self.assertEqual(os.listdir(folder), [])


class SignAndVerify(CommandTest):
    PATH = "/music/Größe XL.flac"

    def setUp(self):
        self.server = self.start_server()
        self.content = self.server.write(self.PATH, some_bytes(4 * KIB))

    def sign(self, *options):
        done = self.server.command("sign", "--config", self.server.config, self.PATH, *options)
        url = done.stdout.removesuffix("\n")
        self.assertTrue(url.startswith(BASE + "/"), url)
        return url

    def verify(self, url, *options):
        """The findings by field, and the whole answer; its exit code must agree with it."""
        done = self.server.command("verify", "--config", self.server.config, url, "--json",
                                   *options, check=False)
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if answer["served"] else FAILED)
        return {finding["field"]: finding for finding in answer["findings"]}, answer

    def get(self, url):
        return self.server.get(url.removeprefix(BASE))

    def test_what_is_signed_is_verified_and_served(self):
        for options in [
                ["--expires", "72h"],
                ["--expires", "2036-12-31T00:00:00Z", "--id", "order-1", "--max", "3"],
                ["--expires", str(int(time.time()) + 60), "--folder"],
                ["--expires", "1h", "--token-in-path"],
                ["--expires", "1h", "--starts", "2020-01-01T00:00:00Z", "--ip", "127.0.0.0/8",
                 "--name", "Größe.flac", "--rate", "100000", "--key", "k1"],
        ]:
            with self.subTest(options=options):
                url = self.sign(*options)
                _, answer = self.verify(url, "--client", "127.0.0.1")
                self.assertTrue(answer["served"], answer)
                response = self.get(url)
                self.assertEqual(response.status, 200)
                self.assertEqual(response.body, self.content)

    def test_every_option_says_its_field(self):
        findings, _ = self.verify(self.sign(
            "--id", "order-1", "--max", "3", "--expires", "2036-12-31T00:00:00Z", "--starts",
            "1700000000", "--ip", "10.0.0.0/8", "--name", "x.flac", "--rate", "500"))
        self.assertEqual(findings["path"]["value"], self.PATH)
        self.assertEqual(findings["i link id"]["value"], "order-1")
        self.assertEqual(findings["n limit"]["value"], "3")
        self.assertIn("2036-12-31T00:00:00Z", findings["e expiry"]["value"])
        self.assertIn("1700000000", findings["b not before"]["value"])
        self.assertEqual(findings["a client"], {**findings["a client"], "value": "10.0.0.0/8",
                                                "verdict": "depends"})
        self.assertEqual(findings["f file name"]["value"], "x.flac")
        self.assertIn("500", findings["r rate"]["value"])

    def test_verify_names_the_field_for_which_a_url_is_refused(self):
        good = self.sign("--id", "order-1", "--max", "3", "--expires", "72h", "--starts",
                         "2020-01-01T00:00:00Z", "--ip", "10.0.0.0/8")
        mac = re.search(r"\.s([0-9a-f]{64})$", good)[1]
        flipped = mac[:-1] + ("0" if mac[-1] != "0" else "1")
        for url, options, field, refusal in [
                (good.replace(".n3.", ".n4."), [], "s MAC", "bad_mac"),
                (good.replace("flac", "flaC"), [], "s MAC", "bad_mac"),
                (good.replace(mac, flipped), [], "s MAC", "bad_mac"),
                (good.replace(".kk1.", ".kk2."), [], "k key", "unknown_key"),
                (good, ["--at", "96h"], "e expiry", "expired"),
                (good, ["--at", "2019-12-31T23:59:59Z"], "b not before", "not_yet_valid"),
                (good, ["--client", "127.0.0.1"], "a client", "wrong_client"),
                (good.replace(".n3.", ".n03."), [], "n", "malformed"),
        ]:
            with self.subTest(field=field, url=url, options=options):
                findings, answer = self.verify(url, *options)
                self.assertFalse(answer["served"])
                self.assertEqual(answer["refusal"], refusal)
                failed = [name for name, f in findings.items() if f["verdict"] == "failed"]
                self.assertEqual([name.split(" ")[0] for name in failed], [field.split(" ")[0]])

    def test_verify_tells_a_person_as_well(self):
        done = self.server.command("verify", "--config", self.server.config,
                                   self.sign("--expires", "72h").replace("flac", "wav"),
                                   check=False)
        self.assertEqual((done.returncode, done.stderr), (FAILED, ""))
        self.assertRegex(done.stdout, r"(?m)^failed +s MAC")
        self.assertRegex(done.stdout, r"(?m)^refused: bad_mac$")

    def test_sign_names_the_option_that_is_wrong(self):
        for arguments, named in [
                (["no/slash", "--expires", "1h"], "PATH"),
                (["/a/../b", "--expires", "1h"], "PATH"),
                (["/a", "--expires", "soon"], "--expires"),
                (["/a", "--expires", "1h", "--starts", "soon"], "--starts"),
                (["/a", "--expires", "1h", "--max", "3"], "--max"),
                (["/a", "--expires", "1h", "--max", "2147483648", "--id", "x"], "--max"),
                (["/a", "--expires", "1h", "--id", "a b"], "--id"),
                (["/a", "--expires", "1h", "--ip", "300.1.1.1"], "--ip"),
                (["/a", "--expires", "1h", "--key", "zz"], "--key"),
                (["/a", "--expires", "1h", "--folder"], "--folder"),
        ]:
            with self.subTest(arguments=arguments):
                said = self.expect(self.server, USAGE, "sign", "--config", self.server.config,
                                   *arguments)
                self.assertIn(named, said)


class Shop(CommandTest):
    def setUp(self):
        self.server = self.prepare_server()
        self.database = self.server.folder / "shop.db"
        self.server.configure({"shop": {"url": f"sqlite:{self.database}"}})

    def command(self, *arguments):
        return self.server.command("shop", *arguments, "--config", self.server.config)

    def test_init_makes_the_tables_once_and_again(self):
        for _ in range(2):
            self.assertEqual(self.command("init").stdout, "")
            with sqlite3.connect(self.database) as db:
                names = {name for (name,) in db.execute(
                    "SELECT name FROM sqlite_schema WHERE name LIKE 'tg~_%' ESCAPE '~'")}
                db.execute("INSERT OR IGNORE INTO tg_link(link_id) VALUES ('kept')")
                self.assertEqual(db.execute("SELECT count(*) FROM tg_link").fetchone(), (1,))
            self.assertLessEqual({"tg_link", "tg_edge", "tg_edge_count", "tg_download",
                                  "tg_consumer", "tg_dirty", "tg_link_updated"}, names)

    def test_init_print_only_shows_the_sql(self):
        sql = self.command("init", "--print").stdout
        self.assertFalse(self.database.exists())
        db = sqlite3.connect(":memory:")
        db.executescript(sql)
        db.execute("INSERT INTO tg_link(link_id) VALUES ('x')")

    def test_status_counts_what_waits(self):
        self.command("init")
        self.server.start()
        self.addCleanup(self.server.stop)
        status = json.loads(self.command("status", "--json").stdout)
        self.assertTrue(status["reachable"])
        eventually(lambda: [edge["edge_id"] for edge in json.loads(
            self.command("status", "--json").stdout)["edges"]], ["edge-1"])
        self.assertEqual(status["batches_waiting"], 0)
        self.assertIn("reachable", self.command("status").stdout)

    def test_status_of_a_missing_database_fails_and_says_why(self):
        done = self.server.command("shop", "status", "--json", "--config", self.server.config,
                                   check=False)
        self.assertEqual(done.returncode, FAILED)
        status = json.loads(done.stdout)
        self.assertFalse(status["reachable"])
        self.assertIn(str(self.database), status["error"])
        self.assertFalse(self.database.exists())

    def test_without_a_shop_in_the_settings_it_is_78(self):
        server = self.prepare_server()
        for action in ["init", "status"]:
            said = self.expect_one_line(server, SETTINGS, "shop", action, "--config", server.config)
            self.assertIn("[shop]", said)


if __name__ == "__main__":
    support.main()
