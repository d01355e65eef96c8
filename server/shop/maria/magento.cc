// Magento 2 and Adobe Commerce: a link is a row of downloadable_link_purchased_item. Beyond its
// limit Magento takes a link for unlimited while its status is `available`, so a push never exceeds
// what was bought, and ends the status in the same transaction.
#include <fmt/format.h>

#include "server/shop/maria/tables.h"

namespace tallygate::shop::maria {

Tables magento_tables(std::string_view prefix) {
  const auto items = fmt::format("{}downloadable_link_purchased_item", prefix);
  const auto sold = fmt::format("{}sales_order_item", prefix);

  Tables tables;
  tables.system = "Magento";
  tables.changed_where = "is changed in Magento: in the order, or by an extension for downloads";
  add_common(tables);
  tables.shop = {{items,
                  {"item_id", "order_item_id", "number_of_downloads_bought",
                   "number_of_downloads_used", "status"}},
                 {sold, {"item_id", "qty_ordered", "qty_refunded", "qty_canceled"}}};
  tables.watches = {{.name = "purchased_item",
                     .table = items,
                     .key = "item_id",
                     .columns = {"order_item_id", "number_of_downloads_bought",
                                 "number_of_downloads_used", "status"}},
                    {.name = "order_item",
                     .table = sold,
                     .key = "item_id",
                     .kind = 'O',
                     .columns = {"qty_ordered", "qty_refunded", "qty_canceled"},
                     .only_updates = true}};

  tables.rows_table = quoted(items) + " i";
  tables.key = "i.item_id";
  // `expired` is what Magento sets for a refund and for the last download alike.
  tables.columns =
      "i.item_id, CASE WHEN i.number_of_downloads_bought = 0 THEN -1"
      " ELSE COALESCE(c.charged, 0) + GREATEST(0, CAST(i.number_of_downloads_bought AS SIGNED) -"
      "  CAST(i.number_of_downloads_used AS SIGNED)) END,"
      " i.number_of_downloads_used, i.number_of_downloads_used, NULL, NULL,"
      " CASE WHEN s.qty_ordered > 0 AND COALESCE(s.qty_refunded, 0) + COALESCE(s.qty_canceled, 0)"
      "  >= s.qty_ordered THEN 2"
      " WHEN i.status = 'available' THEN 0"
      " WHEN i.status = 'expired' THEN IF(i.number_of_downloads_bought > 0 AND"
      "  i.number_of_downloads_used >= i.number_of_downloads_bought, 0, 2)"
      " ELSE 1 END, 0";
  tables.joins = counter_join("LEFT JOIN", "i.item_id") +
                 fmt::format(" LEFT JOIN {} s ON s.item_id = i.order_item_id", quoted(sold));
  tables.expansions = {{'O', "i.order_item_id", "bigint unsigned", false}};

  // All that was delivered is charged, also beyond what was bought: see woocommerce.cc.
  tables.charges = {
      {fmt::format("UPDATE{}STRAIGHT_JOIN {} i ON i.item_id = j.k"
                   " STRAIGHT_JOIN tg_edge_count c ON c.link_id = j.id AND c.edge_id = ?"
                   " AND c.epoch = ?"
                   " SET i.number_of_downloads_used = IF(i.number_of_downloads_bought > 0,"
                   "  GREATEST(i.number_of_downloads_used, LEAST(i.number_of_downloads_bought,"
                   "  i.number_of_downloads_used + j.n)), i.number_of_downloads_used + j.n),"
                   " c.charged = c.charged + j.n",
                   charge_rows(), quoted(items)),
       true},
      {fmt::format("UPDATE{}STRAIGHT_JOIN {} i ON i.item_id = j.k SET i.status = 'expired'"
                   " WHERE i.status = 'available' AND i.number_of_downloads_bought > 0"
                   " AND i.number_of_downloads_used >= i.number_of_downloads_bought",
                   charge_rows(), quoted(items)),
       false}};

  tables.grants.push_back("SELECT, UPDATE(number_of_downloads_used, status) ON " + quoted(items));
  tables.grants.push_back("SELECT ON " + quoted(sold));
  return tables;
}

}  // namespace tallygate::shop::maria
