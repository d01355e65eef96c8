"""Wrong settings and keyrings: exit 78, a clear line for each mistake, and nothing half-started."""

import os
import pathlib
import re
import tomllib

import support
from command_case import SETTINGS, CommandTest

EXAMPLE = pathlib.Path(__file__).parents[2] / "conf" / "tallygate.toml"


def all_settings():
    """{table: {name: value}} of every setting, as the example file shows it."""
    return tomllib.loads(re.sub(r"(?m)^#+(?=\[|[a-z_]+ = )", "", EXAMPLE.read_text()))


# For each setting a value out of its bounds or of the wrong form.
OUT_OF_BOUNDS = {
    "server.listen": ["127.0.0.1:65536"],
    "server.threads": 1025,
    "server.base_url": "ftp://dl.shop.example",
    "server.trusted_proxies": ["10.0.0.0/33"],
    "server.forwarded_field": "x-real-ip",
    "server.proxy_protocol": ["0.0.0.0:65536"],
    "server.max_connections": 0,
    "server.max_connections_per_address": 1_000_001,
    "server.header_timeout": "99ms",
    "server.idle_timeout": "61m",
    "server.send_timeout": "0s",
    "server.min_rate": 1_000_001,
    "server.drain_timeout": "2h",
    "server.contact_url": "shop.example",
    "admin.socket": "/" + "a" * 107,
    "admin.listen": "nowhere",
    "admin.token_file": "relative",
    "tls.listen": ["0.0.0.0"],
    "tls.certificate": "relative.pem",
    "tls.key": "relative.pem",
    "tls.site": [{"certificate": "/absolute.pem", "key": "relative.pem"}],
    "content.root": "relative",
    "content.disposition": "sideways",
    "content.cors_origins": ["https://shop.example/path"],
    "links.keyring": "relative",
    "links.authority": "me",
    "links.resume_grace": "31d",
    "metering.waste": 100.1,
    "metering.keep_expired": "23h",
    "ledger.dir": "relative",
    "shop.url": "oracle://db",
    "shop.password_file": "relative",
    "shop.schema": "shopify",
    "shop.table_prefix": "a-b",
    "shop.edge_id": "edge 1",
    "shop.poll": "99ms",
    "shop.on_revoke": "ignore",
    "shop.keep_history": "23h",
    "log.access": "relative.log",
    "log.format": "xml",
    "log.client_ip": "half",
    "log.refused_per_minute": -1,
}


class Settings(CommandTest):
    def refuse(self, server):
        """The lines that `check` and `serve` both say; neither leaves anything behind."""
        before = sorted(server.folder.rglob("*"))
        said = self.expect(server, SETTINGS, "check", "--config", server.config)
        self.assertEqual(self.expect(server, SETTINGS, "serve", "--config", server.config), said)
        self.assertEqual(sorted(server.folder.rglob("*")), before)
        return said.removesuffix("\n").split("\n")

    def expect_mistakes(self, server, *patterns):
        lines = self.refuse(server)
        self.assertEqual(len(lines), len(patterns), lines)
        for line, pattern in zip(lines, patterns):
            self.assertRegex(line, pattern)

    def at_line(self, server, table, start):
        """A pattern: file:line: of what begins so in that table of the settings."""
        lines = server.config.read_text().splitlines()
        first = lines.index(f"[{table}]")
        number = next(n for n in range(first, len(lines)) if lines[n].startswith(start)) + 1
        return f"^{re.escape(str(server.config))}:{number}: "

    def with_setting(self, table, name, value):
        server = self.prepare_server()
        if table == "shop":
            server.configure({"shop": {"url": "mysql://edge@db/shop"}})
        server.configure({table: {name: value}})
        return server

    def append(self, server, text):
        server.config.write_text(server.config.read_text() + text)

    def test_the_example_file_holds(self):
        server = self.prepare_server()
        text = EXAMPLE.read_text()
        text = text.replace('#root = "/srv/downloads"', f'root = "{server.root}"')
        text = re.sub(r'#keyring = ".*"', f'keyring = "{server.keyring}"', text)
        server.config.write_text(text)
        server.command("check", "--config", server.config)

    def test_every_setting_misspelt_is_named_with_the_nearest(self):  # P5
        for table, values in all_settings().items():
            for name, value in values.items():
                with self.subTest(setting=f"{table}.{name}"):
                    server = self.with_setting(table, name + "x", value)
                    pattern = (self.at_line(server, table, name + "x") +
                               f'{table}.{name}x: no such setting; did you mean "{name}"')
                    self.assertRegex("\n".join(self.refuse(server)), "(?m)" + pattern)

    def test_every_setting_out_of_bounds_is_named_with_its_line(self):  # P5
        self.assertEqual(
            set(OUT_OF_BOUNDS),
            {f"{table}.{name}" for table, values in all_settings().items() for name in values})
        for setting, out_of_bounds in OUT_OF_BOUNDS.items():
            table, name = setting.split(".")
            for value in [out_of_bounds, [1], True]:
                with self.subTest(setting=setting, value=value):
                    server = self.with_setting(table, name, value)
                    pattern = self.at_line(server, table, f"{name} = ") + f"{setting}: "
                    self.assertRegex("\n".join(self.refuse(server)), "(?m)" + pattern)

    def test_every_mistake_is_told_at_once(self):  # P5
        server = self.prepare_server({"server": {"thread": 1, "idle_timeout": "1"},
                                      "links": {"keyring": None}})
        self.append(server, "[nonsense]\n")
        self.expect_mistakes(
            server,
            self.at_line(server, "server", "thread") + ".*threads",
            self.at_line(server, "server", "idle_timeout") + ".*idle_timeout",
            self.at_line(server, "links", "[links]") + ".*keyring",
            self.at_line(server, "nonsense", "[nonsense]") + ".*nonsense")

    def test_a_file_that_is_no_toml_names_its_line(self):  # P5
        server = self.prepare_server()
        self.append(server, "[log\n")
        self.expect_mistakes(server, f"^{re.escape(str(server.config))}:[0-9]+: ")

    def test_a_file_of_a_gigabyte_is_refused_before_it_is_read(self):  # P5
        for name in ("config", "keyring"):
            server = self.prepare_server()
            path = getattr(server, name)
            os.truncate(path, 1 << 30)  # holes
            self.expect_mistakes(server, f"{re.escape(str(path))}: .*(?i:file too large)")

    def test_what_is_not_text_is_refused_on_one_line(self):  # P5
        server = self.prepare_server()
        for binary in (b"\xff\xfe[\0", b"[log]\naccess =t\0\x1b[2J", "ä = 1\n".encode(), b"\0" * 4096):
            server.config.write_bytes(binary)
            lines = self.refuse(server)
            self.assertEqual(len(lines), 1, lines)
            self.assertNotRegex(lines[0], "[\\x00-\\x1f]")

    def test_an_absent_file_of_settings(self):
        server = self.prepare_server()
        server.config.unlink()
        self.expect_mistakes(server, f"^{re.escape(str(server.config))}: No such file")

    def test_a_missing_root(self):
        server = self.prepare_server()
        server.root.rmdir()
        self.expect_mistakes(server, f"{server.root}.*No such file")

    def test_a_root_that_is_a_file(self):
        server = self.prepare_server()
        server.root.rmdir()
        server.root.write_text("")
        self.expect_mistakes(server, f"{server.root}.*Not a directory")

    def test_a_missing_keyring(self):
        server = self.prepare_server()
        server.keyring.unlink()
        self.expect_mistakes(server, f"{server.keyring}: .*cannot be read: No such file")

    def test_a_keyring_that_is_a_folder(self):
        server = self.prepare_server()
        server.keyring.unlink()
        server.keyring.mkdir(mode=0o700)
        self.expect_mistakes(server, f"{server.keyring}: .*cannot be read")

    def test_a_keyring_that_others_can_read_or_its_group_can_write(self):  # L9
        for mode, said in [(0o604, "others can read it .mode 0604.: chmod o-rwx"),
                           (0o602, "others can write it"),
                           (0o620, "its group can write it .mode 0620.: chmod g-w")]:
            server = self.prepare_server()
            server.keyring.chmod(mode)
            self.expect_mistakes(server, f"{server.keyring}: {said}")
            server.keyring.chmod(0o640)
            server.command("check", "--config", server.config)

    def test_mistakes_in_a_keyring_have_lines_and_no_secret(self):  # L9
        server = self.prepare_server()
        secret = "hex:" + "5e" * 15
        server.write_keyring(f'[[key]]\nid = "k 1"\nsecret = "{secret}"\nuse = "sing"\n')
        said = self.expect(server, SETTINGS, "check", "--config", server.config)
        self.assertNotIn("5e5e", said)
        for line in [2, 3, 4]:
            self.assertIn(f"{server.keyring}:{line}: ", said)
        server.write_keyring("")
        self.expect_mistakes(server, f"{server.keyring}")

    def test_certificates_that_cannot_be_read(self):
        server = self.prepare_server()
        here = server.folder
        server.configure({"tls": {"certificate": f"{here}/a.pem", "key": f"{here}/a.key",
                                  "site": [{"certificate": f"{here}/b.pem", "key": f"{here}/b.key"}]}})
        (here / "b.pem").write_text("no certificate")
        (here / "b.key").write_text("no key")
        (here / "b.key").chmod(0o604)
        self.expect_mistakes(server, f"{here}/a.pem: cannot be read: No such file",
                             f"{here}/a.key: cannot be read: No such file",
                             f"{here}/b.pem: has no certificate in PEM",
                             f"{here}/b.key: others can read it .mode 0604.: chmod o-rwx")
        # A shop's machine signs without them.
        server.command("sign", "--config", server.config, "/a", "--expires", "1h")

    def test_secrets_and_counts_below_the_root_are_refused(self):
        for table, name, value in [("ledger", "dir", "ledger"), ("links", "keyring", "keyring.toml"),
                                   ("log", "access", "access.log"), ("shop", "url", "shop.db")]:
            with self.subTest(setting=f"{table}.{name}"):
                other = self.prepare_server()
                path = f"{other.root}/{value}"
                other.configure({table: {name: "sqlite:" + path if name == "url" else path}})
                said = self.expect(other, SETTINGS, "check", "--config", other.config)
                self.assertRegex(said, self.at_line(other, table, f"{name} = ") +
                                 f".*{name}.*below content.root")

    def test_the_shop_s_authority_needs_a_shop(self):
        server = self.prepare_server({"links": {"authority": "shop"}})
        self.expect_mistakes(server, self.at_line(server, "links", "authority") + ".*no \\[shop\\]")

    def test_commands_that_read_the_settings_say_78_too(self):
        server = self.prepare_server({"server": {"threads": -1}})
        for command in [["sign", "/a"], ["verify", "http://x/"], ["links", "show", "x"],
                        ["shop", "init"], ["shop", "status"]]:
            with self.subTest(command=command):
                said = self.expect_one_line(server, SETTINGS, *command, "--config", server.config)
                self.assertRegex(said, self.at_line(server, "server", "threads"))


if __name__ == "__main__":
    support.main()
