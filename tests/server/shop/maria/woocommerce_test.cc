// WooCommerce's tables as its installer makes them, and its own statements beside ours.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/server/shop/maria/fixture.h"

namespace tallygate::shop {
namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kFirstOf2030 = 1'893'456'000;

// `hpos`: orders in wc_orders, else in posts.
void make_shop(Merchant& merchant, bool hpos) {
  merchant.execute(
      {"SET sql_mode = ''",
       "CREATE TABLE wp_woocommerce_downloadable_product_permissions ("
       " permission_id BIGINT UNSIGNED NOT NULL auto_increment, download_id varchar(36) NOT NULL,"
       " product_id BIGINT UNSIGNED NOT NULL, order_id BIGINT UNSIGNED NOT NULL DEFAULT 0,"
       " order_key varchar(200) NOT NULL, user_email varchar(200) NOT NULL,"
       " user_id BIGINT UNSIGNED NULL, downloads_remaining varchar(9) NULL,"
       " access_granted datetime NOT NULL default '0000-00-00 00:00:00',"
       " access_expires datetime NULL default null,"
       " download_count BIGINT UNSIGNED NOT NULL DEFAULT 0, PRIMARY KEY (permission_id),"
       " KEY download_order_key_product (product_id,order_id,order_key(16),download_id),"
       " KEY download_order_product (download_id,order_id,product_id), KEY order_id (order_id),"
       " KEY user_order_remaining_expires (user_id,order_id,downloads_remaining,access_expires)"
       ") DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci",
       "CREATE TABLE wp_wc_download_log ("
       " download_log_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, timestamp datetime NOT NULL,"
       " permission_id BIGINT UNSIGNED NOT NULL, user_id BIGINT UNSIGNED NULL,"
       " user_ip_address VARCHAR(100) NULL DEFAULT '', PRIMARY KEY (download_log_id),"
       " KEY permission_id (permission_id), KEY timestamp (timestamp),"
       " CONSTRAINT fk_wp_wc_download_log_permission_id FOREIGN KEY (permission_id)"
       " REFERENCES wp_woocommerce_downloadable_product_permissions (permission_id)"
       " ON DELETE CASCADE) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci",
       "CREATE TABLE wp_options (option_id bigint unsigned NOT NULL auto_increment,"
       " option_name varchar(191) NOT NULL default '', option_value longtext NOT NULL,"
       " autoload varchar(20) NOT NULL default 'yes', PRIMARY KEY (option_id),"
       " UNIQUE KEY option_name (option_name))"
       " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci",
       "CREATE TABLE wp_posts (ID bigint unsigned NOT NULL auto_increment,"
       " post_status varchar(20) NOT NULL default 'publish',"
       " post_type varchar(20) NOT NULL default 'post',"
       " post_modified_gmt datetime NOT NULL default '0000-00-00 00:00:00', PRIMARY KEY (ID),"
       " KEY type_status_date (post_type,post_status,ID))"
       " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci",
       "CREATE TABLE wp_wc_orders (id bigint unsigned, status varchar(20) null,"
       " currency varchar(10) null, type varchar(20) null, date_updated_gmt datetime null,"
       " PRIMARY KEY (id), KEY date_updated (date_updated_gmt))"
       " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci",
       "INSERT INTO wp_options(option_name, option_value) VALUES"
       " ('woocommerce_downloads_grant_access_after_payment', 'yes')"});
  if (!hpos) return;
  merchant.execute(
      "INSERT INTO wp_options(option_name, option_value) VALUES"
      " ('woocommerce_custom_orders_table_enabled', 'yes')");
}

std::string permission(const std::string& values) {
  return "INSERT INTO wp_woocommerce_downloadable_product_permissions(permission_id, download_id,"
         " product_id, order_id, order_key, user_email, user_id, downloads_remaining,"
         " access_expires) VALUES(" +
         values + ")";
}

class WooCommerce : public MariaShop {
 protected:
  WooCommerce() {
    make_shop(merchant, true);
    merchant.execute(
        {"INSERT INTO wp_wc_orders(id, status, type) VALUES(100, 'wc-completed', 'shop_order')",
         "ALTER TABLE wp_woocommerce_downloadable_product_permissions AUTO_INCREMENT = 7"});
    merchant.execute(permission("7, 'f1', 1, 100, 'k', 'a@b.example', 3, '3', NULL"));
    make(config::Schema::woocommerce, "wp_");
  }
  std::string row(const std::string& id = "7") {
    return merchant.one(
        "SELECT downloads_remaining, download_count FROM"
        " wp_woocommerce_downloadable_product_permissions WHERE permission_id = " +
            id,
        2);
  }
  static constexpr const char* kSet = "UPDATE wp_woocommerce_downloadable_product_permissions SET ";
};

TEST_F(WooCommerce, PermissionIsALinkWhoseLimitIsWhatRemains) {
  EXPECT_FALSE(database->makes_rows());
  EXPECT_NE(database->engine().find("WooCommerce"), std::string::npos);
  const auto row = load("7");
  EXPECT_EQ(row.link_id, "7");
  EXPECT_EQ(row.word, (Word{.max_copies = 3}));
  EXPECT_TRUE(database->load(std::vector<std::string>{"07", "7:ab", "x", "8", ""}).value().empty());
}

TEST_F(WooCommerce, EveryFormOfTheColumnsHasAMeaning) {
  const auto max = [&](const std::string& remaining) {
    merchant.execute(kSet + ("downloads_remaining = " + remaining));
    return load("7").word.max_copies.value_or(-99);
  };
  EXPECT_EQ(max("''"), kUnlimited);
  EXPECT_EQ(max("NULL"), 0);
  EXPECT_EQ(max("'0'"), 0);
  EXPECT_EQ(max("'12'"), 12);
  EXPECT_EQ(max("'999999999'"), 999'999'999);
  EXPECT_EQ(max("'-3'"), 0);
  EXPECT_EQ(max("'abc'"), 0);
  const auto expires = [&](const std::string& date) {
    merchant.execute(kSet + ("access_expires = " + date));
    return load("7").word.expires_at;
  };
  EXPECT_EQ(expires("'2030-01-01'"), kFirstOf2030 + kDay) << "that day is still good";
  EXPECT_EQ(expires("'2030-01-01 15:00:00'"), kFirstOf2030 + kDay);
  EXPECT_EQ(expires("'0000-00-00 00:00:00'"), std::nullopt);
  EXPECT_EQ(expires("NULL"), std::nullopt);
  EXPECT_EQ(expires("'2100-01-01'"), 4'102'444'800 + kDay) << "beyond 2038";
  EXPECT_EQ(expires("'9999-12-31'"), 253'402'300'800);
}

TEST_F(WooCommerce, OrdersStateDecides) {
  const auto state = [&](const std::string& status) {
    merchant.execute("UPDATE wp_wc_orders SET status = '" + status + "'");
    return load("7").word.state;
  };
  EXPECT_EQ(state("wc-completed"), State::active);
  EXPECT_EQ(state("wc-processing"), State::active);
  EXPECT_EQ(state("wc-refunded"), State::refunded);
  for (const auto* other : {"wc-pending", "wc-on-hold", "wc-cancelled", "trash"}) {
    EXPECT_EQ(state(other), State::held) << other;
  }
  merchant.execute("UPDATE wp_options SET option_value = 'no' WHERE option_name LIKE '%payment'");
  EXPECT_EQ(state("wc-processing"), State::held);
  merchant.execute("DELETE FROM wp_wc_orders");
  EXPECT_EQ(load("7").word.state, State::active) << "as WooCommerce does";
}

TEST_F(WooCommerce, CopiesAreCountedChargedAndLogged) {
  auto batch = batch_of(1, {{"7", 0, 2}, {"999", 0, 1}, {"no-number", 0, 1}});
  batch.history = {{.event_id = event_id(7, 1, 0),
                    .link_id = "7",
                    .ended_at = 1'700'000'000,
                    .client_ip = "192.0.2.1",
                    .counted = 1}};
  EXPECT_EQ(push(*database, batch), Pushed::applied);
  EXPECT_EQ(push(*database, batch), Pushed::already_applied);
  EXPECT_EQ(row(), "1|2");
  EXPECT_EQ(
      merchant.rows("SELECT timestamp, permission_id, user_id, user_ip_address FROM"
                    " wp_wc_download_log ORDER BY download_log_id",
                    4),
      (std::vector<std::string>{"2023-11-14 22:13:20|7|3|192.0.2.1", "2023-11-14 22:13:20|7|3|"}));
  EXPECT_EQ(merchant.rows("SELECT link_id, total, charged FROM tg_edge_count ORDER BY link_id", 3),
            (std::vector<std::string>{"7|2|2", "999|1|0", "no-number|1|0"}));
  EXPECT_EQ(load("7").word, (Word{.max_copies = 3})) << "two delivered, one remains";
  EXPECT_EQ(load("7").used, 2u);
  EXPECT_TRUE(changes().empty()) << "own pushes leave no marks";
  EXPECT_EQ(merchant.one("SELECT count(*) FROM tg_download"), "1");
}

TEST_F(WooCommerce, PruningLeavesTheShopsOwnLogAlone) {
  auto batch = batch_of(1, {{"7", 0, 2}});
  batch.history = {{.event_id = event_id(7, 1, 0),
                    .link_id = "7",
                    .ended_at = 1'700'000'000,
                    .client_ip = "192.0.2.1",
                    .counted = 2}};
  ASSERT_EQ(push(*database, batch), Pushed::applied);
  EXPECT_EQ(database->prune_history({}, 2'000'000'000, 100).value().deleted, 1u);
  EXPECT_EQ(merchant.one("SELECT count(*) FROM tg_download"), "0");
  EXPECT_EQ(merchant.one("SELECT count(*) FROM wp_wc_download_log"), "2");
  EXPECT_EQ(row(), "1|2");
}

TEST_F(WooCommerce, WhatRemainsNeverFallsBelowNoneAndNeverBecomesNull) {
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 5}})), Pushed::applied);
  EXPECT_EQ(row(), "0|5");
  EXPECT_EQ(load("7").word.max_copies, 5);
  merchant.execute(kSet + std::string("downloads_remaining = '1'"));
  EXPECT_EQ(load("7").word.max_copies, 6) << "the merchant grants one more";
  for (const std::string odd : {"", "abc", "-3"}) {
    merchant.execute(kSet + ("downloads_remaining = '" + odd + "'"));
    EXPECT_EQ(push(*database, batch_of(database->last_seq().value() + 1, {{"7", 0, 1}})),
              Pushed::applied);
    EXPECT_TRUE(row().starts_with(odd + "|")) << row();
  }
  merchant.execute(kSet + std::string("downloads_remaining = NULL"));
  EXPECT_EQ(push(*database, batch_of(5, {{"7", 0, 1}})), Pushed::applied);
  EXPECT_EQ(row(), "NULL|9");
  EXPECT_EQ(merchant.one("SELECT count(*) FROM wp_wc_download_log"), "9");
}

TEST_F(WooCommerce, GenerationsAreOneAsTheShopHasNone) {
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 1}, {"7", 1, 1}})), Pushed::applied);
  EXPECT_EQ(row(), "1|2");
  EXPECT_EQ(load("7").word.max_copies, 3);
}

TEST_F(WooCommerce, TwoEdgesShareWhatRemains) {
  const auto second = edge({"edge-2", 9});
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 2}})), Pushed::applied);
  const auto seen = second->take_changes(10).value();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].rows.at(0).word.max_copies, 1);
  EXPECT_EQ(load("7").word.max_copies, 3);
}

TEST_F(WooCommerce, MerchantsChangesAreMarked) {
  acknowledge_all();
  const std::pair<const char*, std::size_t> edits[] = {
      {"UPDATE wp_woocommerce_downloadable_product_permissions SET downloads_remaining = '9'", 1},
      {"UPDATE wp_woocommerce_downloadable_product_permissions SET access_expires = '2030-01-01'",
       1},
      {"UPDATE wp_woocommerce_downloadable_product_permissions SET user_email = 'x'", 0},
      {"UPDATE wp_woocommerce_downloadable_product_permissions SET downloads_remaining ="
       " downloads_remaining, download_count = 4",
       0},
      {"UPDATE wp_wc_orders SET status = 'wc-refunded'", 1},
      {"UPDATE wp_wc_orders SET date_updated_gmt = '2026-01-01'", 0},
  };
  for (const auto& [edit, marks] : edits) {
    merchant.execute(std::string(edit));
    const auto found = changes();
    EXPECT_EQ(found.size(), marks) << edit;
    for (const auto& change : found) {
      ASSERT_EQ(change.rows.size(), 1u) << edit;
      EXPECT_EQ(change.rows[0].link_id, "7");
      EXPECT_TRUE(change.gone.empty());
    }
    acknowledge_all();
  }
  EXPECT_EQ(load("7").word.state, State::refunded);
  merchant.execute(permission("NULL, 'f2', 1, 100, 'k', 'a@b.example', 3, '3', NULL"));
  EXPECT_EQ(changes().at(0).rows.at(0).link_id, "8");
  acknowledge_all();
  merchant.execute("UPDATE wp_wc_orders SET status = 'wc-completed'");
  EXPECT_EQ(changes().at(0).rows.size(), 2u) << "an order has several";
  acknowledge_all();
  merchant.execute("DELETE FROM wp_woocommerce_downloadable_product_permissions");
  EXPECT_EQ(changes().at(0).gone, std::vector<std::string>{"7"});
}

TEST_F(WooCommerce, RevokedPermissionIsNamedAmongTheLost) {
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 1}, {"7:ab", 0, 1}})), Pushed::applied);
  EXPECT_EQ(database->scan_lost("", 10).value().link_ids, std::vector<std::string>{"7:ab"});
  merchant.execute("DELETE FROM wp_woocommerce_downloadable_product_permissions");
  EXPECT_EQ(merchant.one("SELECT count(*) FROM wp_wc_download_log"), "0") << "the foreign key";
  EXPECT_EQ(database->scan_lost("", 10).value().link_ids, (std::vector<std::string>{"7", "7:ab"}));
  EXPECT_EQ(push(*database, batch_of(2, {{"7", 0, 1}})), Pushed::applied);
}

TEST_F(WooCommerce, ScanIsInTheOrderOfNumbers) {
  merchant.execute(permission("10, 'f', 1, 100, 'k', 'x', 3, '3', NULL"));
  merchant.execute(permission("9, 'f', 1, 100, 'k', 'x', 3, '3', NULL"));
  std::vector<std::string> seen;
  for (std::string after;;) {
    const auto page = database->scan(after, 2).value();
    for (const auto& row : page) seen.push_back(row.link_id);
    if (page.size() < 2) break;
    after = page.back().link_id;
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"7", "9", "10"}));
}

TEST_F(WooCommerce, ShopsOwnStatementsWorkWithoutOurTables) {
  merchant.execute("DROP TABLE tg_dirty");
  merchant.execute(kSet + std::string("downloads_remaining = '9'"));
  merchant.execute("UPDATE wp_wc_orders SET status = 'wc-refunded'");
  merchant.execute("DELETE FROM wp_woocommerce_downloadable_product_permissions");
}

TEST_F(WooCommerce, EditSaysWhereTheMerchantChangesIt) {
  const auto edited = database->edit("7", {.state = State::revoked});
  ASSERT_FALSE(edited);
  EXPECT_TRUE(edited.error().retryable) << "the connection is fine";
  EXPECT_NE(edited.error().text.find("is changed in WooCommerce"), std::string::npos);
}

TEST_F(WooCommerce, MissingPartsAndRightsAreNamed) {
  merchant.execute(
      {"REVOKE UPDATE(downloads_remaining) ON wp_woocommerce_downloadable_product_permissions"
       " FROM edge",
       "REVOKE INSERT ON wp_wc_download_log FROM edge", "ALTER TABLE wp_wc_orders ENGINE=MyISAM"});
  const auto text = open_fails();
  for (const auto* part : {"UPDATE command denied", "downloads_remaining", "INSERT command denied",
                           "table wp_wc_orders is MyISAM"}) {
    EXPECT_NE(text.find(part), text.npos) << part << " in " << text;
  }
  merchant.execute("DROP TABLE wp_wc_download_log");
  EXPECT_NE(open_fails().find("wp_wc_download_log"), std::string::npos);
}

// A shop's own download: it writes back the whole row as it read it, then counts relatively, then
// logs. Ours come in between: what is counted relatively must add up.
TEST_F(WooCommerce, CountsBesideTheShopsOwnAddUp) {
  constexpr int kEach = 40;
  for (int id = 20; id < 30; ++id) {
    merchant.execute(permission(std::to_string(id) + ", 'f', 1, 100, 'k', 'x', 3, '9999', NULL"));
  }
  const auto of_shop = [&] {
    Merchant shop;
    for (int i = 0; i < kEach; ++i) {
      const auto id = std::to_string(20 + i % 10);
      shop.insist(
          "UPDATE wp_woocommerce_downloadable_product_permissions SET download_count ="
          " download_count + 1, downloads_remaining = IF(downloads_remaining = '', '',"
          " GREATEST(0, downloads_remaining - 1)) WHERE permission_id = " +
          id);
      shop.insist(
          "INSERT INTO wp_wc_download_log(timestamp, permission_id, user_id, user_ip_address)"
          " VALUES(UTC_TIMESTAMP(), " +
          id + ", 3, '192.0.2.9')");
    }
  };
  const auto of_edge = [&](const Edge& as) {
    const auto connection = edge(as);
    for (int seq = 1; seq <= kEach; ++seq) {
      std::vector<CountedCopies> counts;
      for (int id = 20; id < 30; ++id) counts.push_back({std::to_string(id), 0, 1});
      const auto batch = batch_of(static_cast<std::uint64_t>(seq), counts);
      EXPECT_EQ(push(*connection, batch), Pushed::applied);
      EXPECT_EQ(push(*connection, batch), Pushed::already_applied);
    }
  };
  {
    std::jthread shop(of_shop);
    std::jthread first([&] { of_edge({"edge-1", 7}); });
    std::jthread second([&] { of_edge({"edge-2", 9}); });
  }
  // Ten permissions: four copies each of the shop's, forty of each edge.
  EXPECT_EQ(
      merchant.one("SELECT min(download_count), max(download_count),"
                   " min(downloads_remaining), max(downloads_remaining) FROM"
                   " wp_woocommerce_downloadable_product_permissions WHERE permission_id >= 20",
                   4),
      "84|84|9915|9915");
  EXPECT_EQ(merchant.one("SELECT count(*) FROM wp_wc_download_log"), "840");
  EXPECT_EQ(merchant.one("SELECT sum(charged), sum(total) FROM tg_edge_count", 2), "800|800");
  EXPECT_EQ(load("20").word.max_copies, 9915 + 40);
}

// The full-row write undoes what was counted since its SELECT, ours included; WooCommerce has the
// log to heal download_count from, and so have we our own counts.
TEST_F(WooCommerce, AbsoluteWriteOfTheShopLosesNoLogAndNoCharge) {
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 2}})), Pushed::applied);
  merchant.execute(kSet + std::string("downloads_remaining = '3', download_count = 0"));
  EXPECT_EQ(load("7").word.max_copies, 5) << "believed: the merchant may have meant it";
  EXPECT_EQ(changes().size(), 1u);
  EXPECT_EQ(merchant.one("SELECT count(*) FROM wp_wc_download_log"), "2");
}

TEST_F(MariaShop, WooCommerceWithOrdersInPosts) {
  make_shop(merchant, false);
  merchant.execute(
      {"INSERT INTO wp_posts(ID, post_status, post_type) VALUES(100, 'wc-processing', "
       "'shop_order'),"
       " (101, 'publish', 'page')"});
  merchant.execute(permission("7, 'f1', 1, 100, 'k', 'a@b.example', NULL, '', '2030-01-01'"));
  make(config::Schema::woocommerce, "wp_");
  EXPECT_EQ(load("7").word, (Word{.max_copies = kUnlimited, .expires_at = kFirstOf2030 + kDay}));
  merchant.execute({"UPDATE wp_posts SET post_status = 'draft' WHERE ID = 101",
                    "UPDATE wp_posts SET post_modified_gmt = '2026-01-01' WHERE ID = 100"});
  EXPECT_TRUE(changes().empty());
  merchant.execute("UPDATE wp_posts SET post_status = 'wc-refunded' WHERE ID = 100");
  EXPECT_EQ(changes().at(0).rows.at(0).word.state, State::refunded);
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 1}})), Pushed::applied);
  EXPECT_EQ(merchant.one("SELECT count(*) FROM wp_wc_download_log WHERE user_id IS NULL"), "1");
  EXPECT_EQ(load("7").word.max_copies, kUnlimited);
}

}  // namespace
}  // namespace tallygate::shop
