"""A WooCommerce shop on MariaDB: its permissions are links, its orders decide, its counters move."""

import secrets
import shutil
import unittest

import support
from command_case import health
from database_servers import MariaServer
from support import KIB, Server, eventually, some_bytes

PERMISSIONS = "wp_woocommerce_downloadable_product_permissions"
# As WooCommerce's installer makes them, as far as a download depends on them.
SHOP = f"""
CREATE TABLE {PERMISSIONS} (
  permission_id bigint unsigned NOT NULL AUTO_INCREMENT, download_id varchar(36) NOT NULL,
  product_id bigint unsigned NOT NULL, order_id bigint unsigned NOT NULL DEFAULT 0,
  order_key varchar(200) NOT NULL, user_email varchar(200) NOT NULL, user_id bigint unsigned NULL,
  downloads_remaining varchar(9) NULL,
  access_granted datetime NOT NULL DEFAULT '2026-01-01 00:00:00',
  access_expires datetime NULL DEFAULT NULL, download_count bigint unsigned NOT NULL DEFAULT 0,
  PRIMARY KEY (permission_id), KEY order_id (order_id));
CREATE TABLE wp_wc_download_log (
  download_log_id bigint unsigned NOT NULL AUTO_INCREMENT, timestamp datetime NOT NULL,
  permission_id bigint unsigned NOT NULL, user_id bigint unsigned NULL,
  user_ip_address varchar(100) NULL DEFAULT '', PRIMARY KEY (download_log_id),
  KEY permission_id (permission_id), FOREIGN KEY (permission_id)
  REFERENCES {PERMISSIONS} (permission_id) ON DELETE CASCADE);
CREATE TABLE wp_wc_orders (id bigint unsigned, status varchar(20) NULL, type varchar(20) NULL,
  date_updated_gmt datetime NULL, PRIMARY KEY (id));
CREATE TABLE wp_options (option_id bigint unsigned NOT NULL AUTO_INCREMENT,
  option_name varchar(191) NOT NULL DEFAULT '', option_value longtext NOT NULL,
  PRIMARY KEY (option_id), UNIQUE KEY option_name (option_name));
INSERT INTO wp_options(option_name, option_value) VALUES
  ('woocommerce_custom_orders_table_enabled', 'yes');
INSERT INTO wp_wc_orders(id, status, type) VALUES (100, 'wc-completed', 'shop_order')
"""


class WooCommerceTest(support.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not MariaServer.is_installed():
            raise unittest.SkipTest("MariaDB is not installed")
        cls.shop = MariaServer()
        cls.addClassCleanup(cls.shop.remove)
        cls.shop.start()
        cls.password = secrets.token_urlsafe(16)
        cls.shop.create_user("owner", cls.password, ["ALL ON shop.*"])
        for statement in SHOP.split(";\n"):
            cls.shop.execute(statement)

    def start_edge(self):
        server = Server({"links": {"authority": "shop"}})
        self.addCleanup(self._end, server)
        file = server.folder / "shop.password"
        file.touch(mode=0o600)
        file.write_text(self.password + "\n")
        self.shop.create_user("edge", self.password)
        self.addCleanup(self.shop.execute, "DROP USER edge")
        server.configure({"shop": {"url": self.shop.url("edge"), "password_file": str(file),
                                   "schema": "woocommerce", "poll": "100ms"}})
        server.command("shop", "init", "--config", server.config, "--url", self.shop.url("owner"),
                       "--password-file", file)
        grants = server.command("shop", "init", "--config", server.config, "--grants", "edge")
        for statement in filter(str.strip, grants.stdout.split(";\n")):
            self.shop.execute(statement)
        server.write("/a", some_bytes(64 * KIB))
        server.start()
        eventually(lambda: health(server)["shop"]["reachable"])
        return server

    def sell(self, remaining, order=100):
        """A permission; its id is the link's."""
        self.shop.execute(
            f"INSERT INTO {PERMISSIONS}(download_id, product_id, order_id, order_key, user_email,"
            " user_id, downloads_remaining) VALUES ('f', 1, %s, 'k', 'a@b.example', 3, %s)",
            order, remaining)
        return str(self.shop.value(f"SELECT MAX(permission_id) FROM {PERMISSIONS}"))

    def expect_row(self, permission, **expected):
        names = ", ".join(expected)
        eventually(lambda: self.shop.rows(
            f"SELECT {names} FROM {PERMISSIONS} WHERE permission_id = %s", permission), [expected])

    def answer(self, server, url):
        """The status of a whole download, or the name of its refusal; comes back where the shop
        takes too long to say."""
        while (response := server.get(url)).status == 503:
            pass
        return response.status if response.status == 200 else response.problem

    def test_downloads_are_what_woocommerce_would_have_written(self):
        server = self.start_edge()
        permission = self.sell("2")
        url = server.sign("/a", id=permission)
        self.assertEqual([self.answer(server, url) for _ in range(3)],
                         [200, 200, "downloads-exhausted"])
        self.expect_row(permission, downloads_remaining="0", download_count=2)
        eventually(
            lambda: self.shop.rows("SELECT user_id, user_ip_address FROM wp_wc_download_log"
                                   " WHERE permission_id = %s", permission),
            [{"user_id": 3, "user_ip_address": "127.0.0.1"}] * 2)
        self.assertEqual(self.shop.value(
            "SELECT COUNT(*) FROM wp_wc_download_log WHERE permission_id = %s"
            " AND ABS(TIMESTAMPDIFF(SECOND, timestamp, UTC_TIMESTAMP())) < 600", permission), 2)

    def test_a_ledger_that_was_restored_gives_what_remains(self):
        server = self.start_edge()
        permissions = [self.sell("4"), self.sell("1")]
        urls = [server.sign("/a", id=permission) for permission in permissions]
        self.assertEqual(self.answer(server, urls[0]), 200)
        self.expect_row(permissions[0], downloads_remaining="3", download_count=1)
        ledger, copy = server.folder / "ledger", server.folder / "copy"
        server.command("ledger", "backup", "--dir", ledger, "--to", copy)
        for url in urls:
            self.assertEqual(self.answer(server, url), 200)
        self.expect_row(permissions[0], downloads_remaining="2", download_count=2)
        self.expect_row(permissions[1], downloads_remaining="0", download_count=1)
        server.stop()
        shutil.rmtree(ledger)
        copy.rename(ledger)
        server.command("ledger", "adopt", "--config", server.config)
        server.start()
        eventually(lambda: health(server)["shop"]["reachable"])
        self.assertEqual([self.answer(server, urls[0]) for _ in range(3)],
                         [200, 200, "downloads-exhausted"])
        self.assertEqual(self.answer(server, urls[1]), "downloads-exhausted")
        self.expect_row(permissions[0], downloads_remaining="0", download_count=4)
        self.expect_row(permissions[1], downloads_remaining="0", download_count=1)

    def test_what_the_merchant_grants_in_woocommerce_holds(self):
        server = self.start_edge()
        permission = self.sell("1")
        url = server.sign("/a", id=permission)
        self.assertEqual([self.answer(server, url) for _ in range(2)], [200, "downloads-exhausted"])
        self.expect_row(permission, downloads_remaining="0", download_count=1)
        self.shop.execute(f"UPDATE {PERMISSIONS} SET downloads_remaining = '1'"
                          " WHERE permission_id = %s", permission)
        eventually(lambda: self.answer(server, url), 200)
        self.expect_row(permission, downloads_remaining="0", download_count=2)
        self.shop.execute(f"UPDATE {PERMISSIONS} SET downloads_remaining = ''"
                          " WHERE permission_id = %s", permission)
        eventually(lambda: self.answer(server, url), 200)
        self.expect_row(permission, downloads_remaining="", download_count=3)

    def test_an_order_that_is_refunded_ends_its_links_and_one_that_is_paid_opens_them(self):
        server = self.start_edge()
        self.shop.execute("REPLACE INTO wp_wc_orders(id, status, type) VALUES"
                          " (200, 'wc-completed', 'shop_order')")
        url = server.sign("/a", id=self.sell("", order=200))
        self.assertEqual(self.answer(server, url), 200)
        for status, answer in [("wc-refunded", "link-revoked"), ("wc-completed", 200),
                               ("wc-on-hold", "link-revoked"), ("wc-completed", 200)]:
            self.shop.execute("UPDATE wp_wc_orders SET status = %s WHERE id = 200", status)
            eventually(lambda: self.answer(server, url), answer)

    def test_a_permission_that_is_taken_away_is_gone_and_one_that_never_was_is_refused(self):
        server = self.start_edge()
        permission = self.sell("5")
        url = server.sign("/a", id=permission)
        self.assertEqual(self.answer(server, url), 200)
        self.expect_row(permission, download_count=1)
        self.shop.execute(f"DELETE FROM {PERMISSIONS} WHERE permission_id = %s", permission)
        eventually(lambda: self.answer(server, url), "link-revoked")
        self.assertEqual(self.answer(server, server.sign("/a", id="987654321")), "link-revoked")

    def test_the_operator_is_told_where_such_a_link_is_changed(self):
        server = self.start_edge()
        permission = self.sell("5")
        self.assertEqual(self.answer(server, server.sign("/a", id=permission)), 200)
        done = server.command("links", "revoke", "--config", server.config, permission, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is changed in WooCommerce", done.stderr)
        self.assertRegex(health(server)["shop"]["engine"], r"MariaDB \d+\.\d+.*WooCommerce")


if __name__ == "__main__":
    unittest.main()
