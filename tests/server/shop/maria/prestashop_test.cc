// PrestaShop's tables, reduced to what a download needs, with the installer's column types.
#include <gtest/gtest.h>

#include "tests/server/shop/maria/fixture.h"

namespace tallygate::shop {
namespace {

class PrestaShop : public MariaShop {
 protected:
  PrestaShop() {
    merchant.execute(
        {"SET sql_mode = ''",
         "CREATE TABLE ps_order_detail (id_order_detail int(10) unsigned NOT NULL auto_increment,"
         " id_order int(10) unsigned NOT NULL, product_id int(10) unsigned NOT NULL,"
         " product_quantity int(10) unsigned NOT NULL DEFAULT '0',"
         " product_quantity_refunded int(10) unsigned NOT NULL DEFAULT '0',"
         " product_quantity_return int(10) unsigned NOT NULL DEFAULT '0',"
         " download_hash varchar(255) DEFAULT NULL, download_nb int(10) unsigned DEFAULT '0',"
         " download_deadline datetime DEFAULT NULL, PRIMARY KEY (id_order_detail),"
         " KEY order_detail_order (id_order), KEY product_id (product_id)) ENGINE=InnoDB",
         "CREATE TABLE ps_product_download ("
         " id_product_download int(10) unsigned NOT NULL auto_increment,"
         " id_product int(10) unsigned NOT NULL, filename varchar(255) DEFAULT NULL,"
         " date_expiration datetime DEFAULT NULL, nb_days_accessible int(10) unsigned DEFAULT NULL,"
         " nb_downloadable int(10) unsigned DEFAULT '1', active tinyint(1) unsigned NOT NULL"
         " DEFAULT '1', PRIMARY KEY (id_product_download), UNIQUE KEY id_product (id_product))"
         " ENGINE=InnoDB",
         "CREATE TABLE ps_orders (id_order int(10) unsigned NOT NULL auto_increment,"
         " current_state int(10) unsigned NOT NULL, date_upd datetime NOT NULL,"
         " PRIMARY KEY (id_order)) ENGINE=InnoDB",
         "CREATE TABLE ps_order_state (id_order_state int(10) unsigned NOT NULL auto_increment,"
         " paid tinyint(1) unsigned NOT NULL DEFAULT '0', PRIMARY KEY (id_order_state))"
         " ENGINE=InnoDB",
         "CREATE TABLE ps_configuration (id_configuration int(10) unsigned NOT NULL auto_increment,"
         " name varchar(254) NOT NULL, value text, PRIMARY KEY (id_configuration)) ENGINE=InnoDB",
         "INSERT INTO ps_configuration(name, value) VALUES('PS_TIMEZONE', 'Europe/Berlin')",
         "INSERT INTO ps_order_state VALUES(1, 0), (2, 1)",
         "INSERT INTO ps_orders VALUES(100, 2, '2026-01-01')",
         "INSERT INTO ps_product_download(id_product, nb_downloadable) VALUES(5, 3)",
         "INSERT INTO ps_order_detail(id_order_detail, id_order, product_id, download_hash)"
         " VALUES(7, 100, 5, 'abc'), (8, 100, 6, '')"});
    make(config::Schema::prestashop, "ps_");
  }
};

TEST_F(PrestaShop, OrderDetailWithAHashIsALink) {
  EXPECT_EQ(load("7").word, (Word{.max_copies = 3}));
  EXPECT_TRUE(database->load(std::vector<std::string>{"8"}).value().empty()) << "nothing to load";
  EXPECT_EQ(database->scan("", 10).value().size(), 1u);
}

TEST_F(PrestaShop, LimitIsTheProductsAndCountsAreAdded) {
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 2}})), Pushed::applied);
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 2}})), Pushed::already_applied);
  EXPECT_EQ(merchant.one("SELECT download_nb FROM ps_order_detail WHERE id_order_detail = 7"), "2");
  EXPECT_EQ(load("7").word.max_copies, 3);
  EXPECT_EQ(load("7").used, 2u);
  EXPECT_EQ(load("7").word.used_elsewhere, 0u);
  EXPECT_TRUE(changes().empty());
  merchant.execute(
      "UPDATE ps_order_detail SET download_nb = download_nb + 1 WHERE download_nb = 2");
  EXPECT_EQ(load("7").word.max_copies, 2) << "one downloaded from PrestaShop itself";
  merchant.execute("UPDATE ps_order_detail SET download_nb = 0");
  EXPECT_EQ(load("7").word.max_copies, 5) << "the merchant reset it";
  for (const auto* none : {"0", "NULL"}) {
    merchant.execute(std::string("UPDATE ps_product_download SET nb_downloadable = ") + none);
    EXPECT_EQ(load("7").word.max_copies, kUnlimited);
  }
  merchant.execute("UPDATE ps_order_detail SET download_nb = NULL");
  EXPECT_EQ(push(*database, batch_of(2, {{"7", 0, 1}, {"8", 0, 1}})), Pushed::applied);
  EXPECT_EQ(merchant.rows("SELECT download_nb FROM ps_order_detail ORDER BY id_order_detail"),
            (std::vector<std::string>{"1", "NULL"}));
}

TEST_F(PrestaShop, ExpiryIsTheEarlierOfTwoLocalTimes) {
  const auto expires = [&](const std::string& deadline, const std::string& last) {
    merchant.execute("UPDATE ps_order_detail SET download_deadline = " + deadline);
    merchant.execute("UPDATE ps_product_download SET date_expiration = " + last);
    return load("7").word.expires_at;
  };
  constexpr std::int64_t kWinter = 1'893'452'400;  // 2030-01-01 00:00 in Berlin
  constexpr std::int64_t kSummer = 1'909'087'200;  // 2030-07-01 00:00 in Berlin
  EXPECT_EQ(expires("NULL", "NULL"), std::nullopt);
  EXPECT_EQ(expires("'0000-00-00 00:00:00'", "'0000-00-00 00:00:00'"), std::nullopt);
  EXPECT_EQ(expires("'2030-01-01'", "NULL"), kWinter);
  EXPECT_EQ(expires("'0000-00-00 00:00:00'", "'2030-07-01'"), kSummer);
  EXPECT_EQ(expires("'2030-07-01'", "'2030-01-01'"), kWinter);
  EXPECT_EQ(expires("'2030-03-31 02:30:00'", "NULL"), 1'901'149'200) << "a time that there is not";
}

TEST_F(PrestaShop, StateIsTheOrdersTheDetailsAndTheProducts) {
  const auto after = [&](const std::string& sql) {
    merchant.execute(sql);
    return load("7").word.state;
  };
  EXPECT_EQ(after("UPDATE ps_orders SET current_state = 1"), State::held);
  EXPECT_EQ(after("UPDATE ps_orders SET current_state = 9"), State::held);
  EXPECT_EQ(after("UPDATE ps_orders SET current_state = 2"), State::active);
  EXPECT_EQ(after("UPDATE ps_order_detail SET product_quantity_refunded = 1"), State::refunded);
  EXPECT_EQ(after("UPDATE ps_order_detail SET product_quantity_refunded = 0"), State::active);
  EXPECT_EQ(after("UPDATE ps_order_detail SET product_quantity_return = 1"), State::refunded);
  EXPECT_EQ(after("UPDATE ps_order_detail SET product_quantity_return = 0"), State::active);
  EXPECT_EQ(after("UPDATE ps_product_download SET active = 0"), State::revoked);
  EXPECT_EQ(after("DELETE FROM ps_product_download"), State::revoked);
}

TEST_F(PrestaShop, ProductsChangeReachesTheLinksThatThisEdgeKnows) {
  merchant.execute(
      "INSERT INTO ps_order_detail(id_order_detail, id_order, product_id, download_hash)"
      " VALUES(9, 100, 5, 'def')");
  acknowledge_all();
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 1}})), Pushed::applied);
  merchant.execute("UPDATE ps_product_download SET nb_downloadable = 9");
  auto found = changes();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].mark.kind, 'D');
  ASSERT_EQ(found[0].rows.size(), 1u) << "9 was never used here";
  EXPECT_EQ(found[0].rows[0].word.max_copies, 9);
  acknowledge_all();
  merchant.execute({"UPDATE ps_product_download SET filename = 'x'",
                    "UPDATE ps_orders SET date_upd = '2026-02-02'",
                    "INSERT INTO ps_order_detail(id_order, product_id) VALUES(100, 6)"});
  EXPECT_TRUE(changes().empty());
  merchant.execute("UPDATE ps_orders SET current_state = 1");
  found = changes();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].rows.size(), 2u);
  acknowledge_all();
  merchant.execute("DELETE FROM ps_order_detail WHERE id_order_detail = 9");
  EXPECT_EQ(changes().at(0).gone, std::vector<std::string>{"9"});
}

TEST_F(PrestaShop, UnknownTimeZoneIsSaidRatherThanGuessed) {
  merchant.execute("UPDATE ps_configuration SET value = 'Mars/Olympus'");
  EXPECT_NE(open_fails().find("Mars/Olympus"), std::string::npos);
  merchant.execute("DELETE FROM ps_configuration");
  EXPECT_NE(open_fails().find("no time zone"), std::string::npos);
}

TEST_F(PrestaShop, ShopsOwnStatementsWorkWithoutOurTables) {
  merchant.execute({"DROP TABLE tg_dirty", "UPDATE ps_order_detail SET download_nb = 2",
                    "UPDATE ps_orders SET current_state = 1", "DELETE FROM ps_product_download",
                    "DELETE FROM ps_order_detail"});
}

TEST_F(PrestaShop, CountThatDoesNotFitIsParked) {
  merchant.execute("UPDATE ps_order_detail SET download_nb = 4294967295 WHERE id_order_detail = 7");
  const auto report = database->push(batch_of(1, {{"7", 0, 1}})).value();
  ASSERT_EQ(report.parked.size(), 1u);
  EXPECT_EQ(report.parked[0].link_id, "7");
  EXPECT_EQ(merchant.one("SELECT total, charged FROM tg_edge_count", 2), "1|0");
}

}  // namespace
}  // namespace tallygate::shop
