// Magento's tables, reduced to what a download needs, with the declared column types.
#include <gtest/gtest.h>

#include "tests/server/shop/maria/fixture.h"

namespace tallygate::shop {
namespace {

class Magento : public MariaShop {
 protected:
  Magento() {
    merchant.execute(
        {"CREATE TABLE m_sales_order_item (item_id int unsigned NOT NULL AUTO_INCREMENT,"
         " order_id int unsigned NOT NULL DEFAULT 0, qty_ordered decimal(12,4) DEFAULT '0.0000',"
         " qty_refunded decimal(12,4) DEFAULT '0.0000', qty_canceled decimal(12,4) DEFAULT"
         " '0.0000', PRIMARY KEY (item_id)) ENGINE=InnoDB",
         "CREATE TABLE m_downloadable_link_purchased_item (item_id int unsigned NOT NULL"
         " AUTO_INCREMENT, purchased_id int unsigned NOT NULL DEFAULT 0, order_item_id int unsigned"
         " DEFAULT 0, link_hash varchar(255) DEFAULT NULL, number_of_downloads_bought int unsigned"
         " NOT NULL DEFAULT 0, number_of_downloads_used int unsigned NOT NULL DEFAULT 0,"
         " status varchar(50) DEFAULT NULL, updated_at timestamp NOT NULL DEFAULT"
         " CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (item_id),"
         " KEY link_hash (link_hash), KEY order_item_id (order_item_id), CONSTRAINT oi FOREIGN KEY"
         " (order_item_id) REFERENCES m_sales_order_item (item_id) ON DELETE SET NULL)"
         " ENGINE=InnoDB",
         "INSERT INTO m_sales_order_item(item_id, order_id, qty_ordered) VALUES(50, 1, 2)",
         "INSERT INTO m_downloadable_link_purchased_item(item_id, order_item_id,"
         " number_of_downloads_bought, status) VALUES(7, 50, 3, 'available')"});
    make(config::Schema::magento, "m_");
  }
  std::string row() {
    return merchant.one(
        "SELECT number_of_downloads_used, number_of_downloads_bought, status FROM"
        " m_downloadable_link_purchased_item",
        3);
  }
  void set(const std::string& what) {
    merchant.execute("UPDATE m_downloadable_link_purchased_item SET " + what);
  }
};

TEST_F(Magento, PurchasedItemIsALink) {
  EXPECT_EQ(load("7").word, (Word{.max_copies = 3}));
  set("number_of_downloads_bought = 0");
  EXPECT_EQ(load("7").word.max_copies, kUnlimited);
}

TEST_F(Magento, PushNeverExceedsWhatWasBoughtAndEndsTheStatusWithIt) {
  EXPECT_EQ(push(*database, batch_of(1, {{"7", 0, 2}})), Pushed::applied);
  EXPECT_EQ(row(), "2|3|available");
  EXPECT_EQ(load("7").word.max_copies, 3);
  EXPECT_EQ(push(*database, batch_of(2, {{"7", 0, 5}})), Pushed::applied);
  EXPECT_EQ(row(), "3|3|expired");
  EXPECT_EQ(load("7").word, (Word{.max_copies = 7})) << "used up, not refunded: seven were had";
  EXPECT_TRUE(changes().empty());
  EXPECT_EQ(merchant.one("SELECT total, charged FROM tg_edge_count", 2), "7|7");
  // More than bought, by somebody else's hand, is left as it is.
  set("number_of_downloads_used = 5");
  EXPECT_EQ(push(*database, batch_of(3, {{"7", 0, 1}})), Pushed::applied);
  EXPECT_EQ(row(), "5|3|expired");
  // Unlimited goes on.
  set("number_of_downloads_bought = 0, status = 'available'");
  EXPECT_EQ(push(*database, batch_of(4, {{"7", 0, 2}})), Pushed::applied);
  EXPECT_EQ(row(), "7|0|available");
}

TEST_F(Magento, StatusAndQuantitiesDecide) {
  const auto state = [&](const std::string& what) {
    set(what);
    return load("7").word.state;
  };
  for (const auto* held : {"pending", "pending_payment", "payment_review"}) {
    EXPECT_EQ(state(std::string("status = '") + held + "'"), State::held);
  }
  EXPECT_EQ(state("status = NULL"), State::held);
  EXPECT_EQ(state("status = 'expired'"), State::refunded) << "not used up";
  EXPECT_EQ(state("number_of_downloads_used = 3"), State::active) << "used up: no copy is left";
  EXPECT_EQ(load("7").word.max_copies, 0);
  EXPECT_EQ(state("number_of_downloads_used = 0, status = 'available'"), State::active);
  merchant.execute("UPDATE m_sales_order_item SET qty_refunded = 1");
  EXPECT_EQ(load("7").word.state, State::active) << "one of two";
  merchant.execute("UPDATE m_sales_order_item SET qty_canceled = 1");
  EXPECT_EQ(load("7").word.state, State::refunded);
  merchant.execute("DELETE FROM m_sales_order_item");
  EXPECT_EQ(load("7").word.state, State::active) << "orders may be deleted";
}

TEST_F(Magento, ChangesAreMarked) {
  set("status = 'expired'");
  EXPECT_EQ(changes().at(0).rows.at(0).word.state, State::refunded);
  acknowledge_all();
  set("link_hash = 'x'");
  merchant.execute("UPDATE m_sales_order_item SET order_id = 9");
  EXPECT_TRUE(changes().empty());
  merchant.execute("UPDATE m_sales_order_item SET qty_refunded = 2");
  const auto found = changes();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].rows.at(0).link_id, "7");
  acknowledge_all();
  merchant.execute("DELETE FROM m_downloadable_link_purchased_item");
  EXPECT_EQ(changes().at(0).gone, std::vector<std::string>{"7"});
}

TEST_F(Magento, ShopsOwnStatementsWorkWithoutOurTables) {
  merchant.execute("DROP TABLE tg_dirty");
  set("status = 'expired'");
  merchant.execute({"UPDATE m_sales_order_item SET qty_refunded = 2",
                    "DELETE FROM m_downloadable_link_purchased_item"});
}

}  // namespace
}  // namespace tallygate::shop
