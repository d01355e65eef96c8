// PrestaShop 8 and 9: a link is a row of order_detail with a download_hash. Limit and last day
// belong to the product and hold for every past buyer; download_nb counts, and a merchant resets it
// by hand. So the limit of this edge is what it already charged to the row and what is left of it.
#include <fmt/format.h>

#include "server/shop/maria/tables.h"

namespace tallygate::shop::maria {

Tables prestashop_tables(std::string_view prefix) {
  const auto name = [&](std::string_view table) { return fmt::format("{}{}", prefix, table); };
  const auto detail = name("order_detail");
  const auto download = name("product_download");
  const auto orders = name("orders");
  const auto states = name("order_state");
  const auto configuration = name("configuration");

  Tables tables;
  tables.system = "PrestaShop";
  tables.changed_where =
      "is changed in PrestaShop: in the order (refund, return, state) or in the product's virtual "
      "file (limit, last day)";
  add_common(tables);
  tables.shop = {
      {detail,
       {"id_order_detail", "id_order", "product_id", "product_quantity_refunded",
        "product_quantity_return", "download_hash", "download_nb", "download_deadline"}},
      {download,
       {"id_product_download", "id_product", "date_expiration", "nb_downloadable", "active"}},
      {orders, {"id_order", "current_state"}},
      {states, {"id_order_state", "paid"}},
      {configuration, {"name", "value"}}};
  tables.watches = {
      {.name = "order_detail",
       .table = detail,
       .key = "id_order_detail",
       .columns = {"id_order", "product_id", "product_quantity_refunded", "product_quantity_return",
                   "download_hash", "download_nb", "download_deadline"},
       .only_if = "{row}.download_hash <> ''"},
      {.name = "orders",
       .table = orders,
       .key = "id_order",
       .kind = 'O',
       .columns = {"current_state"},
       .only_updates = true},
      {.name = "product_download",
       .table = download,
       .key = "id_product",
       .kind = 'D',
       .columns = {"date_expiration", "nb_downloadable", "active"}}};

  tables.rows_table = quoted(detail) + " d";
  tables.key = "d.id_order_detail";
  const auto seconds = [](std::string_view column) {
    return fmt::format(
        "CASE WHEN {0} >= '1000-01-01' THEN TIMESTAMPDIFF(SECOND, '1970-01-01', {0}) END", column);
  };
  tables.columns = fmt::format(
      "d.id_order_detail, CASE WHEN COALESCE(f.nb_downloadable, 0) = 0 THEN -1"
      " ELSE COALESCE(c.charged, 0) + GREATEST(0, CAST(f.nb_downloadable AS SIGNED) -"
      "  CAST(COALESCE(d.download_nb, 0) AS SIGNED)) END,"
      " COALESCE(d.download_nb, 0), COALESCE(d.download_nb, 0), NULL,"
      " LEAST(COALESCE({0}, {1}), COALESCE({1}, {0})),"
      " CASE WHEN d.product_quantity_refunded > 0 OR d.product_quantity_return > 0 THEN 2"
      " WHEN COALESCE(s.paid, 0) = 0 THEN 1"
      " WHEN f.id_product_download IS NULL OR f.active = 0 THEN 3 ELSE 0 END, 0",
      seconds("d.download_deadline"), seconds("f.date_expiration"));
  tables.joins = counter_join("LEFT JOIN", "d.id_order_detail") +
                 fmt::format(
                     " LEFT JOIN {} o ON o.id_order = d.id_order"
                     " LEFT JOIN {} s ON s.id_order_state = o.current_state"
                     " LEFT JOIN {} f ON f.id_product = d.product_id",
                     quoted(orders), quoted(states), quoted(download));
  tables.filter = " AND d.download_hash <> ''";
  tables.expansions = {{'O', "d.id_order", "bigint unsigned", false},
                       {'D', "d.product_id", "bigint unsigned", true}};
  tables.time_zone_query =
      fmt::format("SELECT value FROM {} WHERE name = 'PS_TIMEZONE' AND value <> '' LIMIT 1",
                  quoted(configuration));

  tables.charges = {
      {fmt::format("UPDATE{}STRAIGHT_JOIN {} d ON d.id_order_detail = j.k"
                   " STRAIGHT_JOIN tg_edge_count c ON c.link_id = j.id AND c.edge_id = ?"
                   " AND c.epoch = ?"
                   " SET d.download_nb = COALESCE(d.download_nb, 0) + j.n,"
                   " c.charged = c.charged + j.n WHERE d.download_hash <> ''",
                   charge_rows(), quoted(detail)),
       true}};

  tables.grants.push_back("SELECT, UPDATE(download_nb) ON " + quoted(detail));
  for (const auto& table : {download, orders, states, configuration}) {
    tables.grants.push_back("SELECT ON " + quoted(table));
  }
  return tables;
}

}  // namespace tallygate::shop::maria
