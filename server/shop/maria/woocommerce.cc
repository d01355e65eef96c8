// WooCommerce 9: a link is a row of woocommerce_downloadable_product_permissions, which knows how
// many downloads remain ('' is unlimited, NULL is none) rather than how many there may be. So the
// limit of this edge is what it already charged to the row and what remains of it.
#include <fmt/format.h>

#include "server/shop/maria/tables.h"

namespace tallygate::shop::maria {

Tables woocommerce_tables(std::string_view prefix, bool hpos) {
  const auto name = [&](std::string_view table) { return fmt::format("{}{}", prefix, table); };
  const auto permissions = name("woocommerce_downloadable_product_permissions");
  const auto log = name("wc_download_log");
  const auto options = name("options");
  const auto orders = name(hpos ? "wc_orders" : "posts");
  const std::string order_id = hpos ? "id" : "ID";
  const std::string status = hpos ? "status" : "post_status";

  Tables tables;
  tables.system = hpos ? "WooCommerce" : "WooCommerce with orders in posts";
  tables.changed_where =
      "is changed in WooCommerce: in the order, under \"Downloadable product permissions\"";
  add_common(tables);
  tables.shop = {{permissions,
                  {"permission_id", "order_id", "user_id", "download_id", "downloads_remaining",
                   "access_expires", "download_count"}},
                 {log, {"timestamp", "permission_id", "user_id", "user_ip_address"}},
                 {orders, {order_id, status}},
                 {options, {"option_name", "option_value"}}};
  tables.watches = {
      {.name = "permission",
       .table = permissions,
       .key = "permission_id",
       .columns = {"downloads_remaining", "access_expires", "order_id", "download_id"}},
      {.name = "order",
       .table = orders,
       .key = order_id,
       .kind = 'O',
       .columns = {status},
       .only_updates = true,
       .only_if = hpos ? "" : "{row}.post_type = 'shop_order'"}};

  tables.rows_table = quoted(permissions) + " p";
  tables.key = "p.permission_id";
  // Text that is no number counts as none, as in PHP. An access_expires is a day, the last one on
  // which the link is honoured; a date of zeros is none.
  tables.columns = fmt::format(
      "p.permission_id, CASE WHEN p.downloads_remaining = '' THEN -1"
      " WHEN p.downloads_remaining REGEXP '^[0-9]+$'"
      "  THEN COALESCE(c.charged, 0) + CAST(p.downloads_remaining AS SIGNED)"
      " ELSE COALESCE(c.charged, 0) END,"
      " p.download_count, p.download_count, NULL,"
      " CASE WHEN p.access_expires >= '1000-01-01' THEN"
      "  TIMESTAMPDIFF(SECOND, '1970-01-01', DATE(p.access_expires)) + 86400 END,"
      " CASE WHEN o.{0} IS NULL OR o.{1} = 'wc-completed' THEN 0"
      " WHEN o.{1} = 'wc-refunded' THEN 2"
      " WHEN o.{1} = 'wc-processing' AND (SELECT MAX(option_value) FROM {2} WHERE option_name ="
      "  'woocommerce_downloads_grant_access_after_payment') = 'yes' THEN 0 ELSE 1 END, 0",
      order_id, status, quoted(options));
  tables.joins = counter_join("LEFT JOIN", "p.permission_id") +
                 fmt::format(" LEFT JOIN {} o ON o.{} = p.order_id", quoted(orders), order_id);
  tables.expansions = {{'O', "p.order_id", "bigint unsigned", false}};

  // What remains never falls below none, but all that was delivered is charged: a merchant who then
  // grants one more grants one more.
  tables.charges = {
      {fmt::format("UPDATE{}STRAIGHT_JOIN {} p ON p.permission_id = j.k"
                   " STRAIGHT_JOIN tg_edge_count c ON c.link_id = j.id AND c.edge_id = ?"
                   " AND c.epoch = ?"
                   " SET p.download_count = p.download_count + j.n, p.downloads_remaining ="
                   "  CASE WHEN p.downloads_remaining REGEXP '^[0-9]+$'"
                   "  THEN GREATEST(0, CAST(p.downloads_remaining AS SIGNED) - j.n)"
                   "  ELSE p.downloads_remaining END,"
                   " c.charged = c.charged + j.n",
                   charge_rows(), quoted(permissions)),
       true}};
  // WooCommerce takes the greater of download_count and the number of these.
  tables.log = fmt::format(
      "INSERT INTO {}(timestamp, permission_id, user_id, user_ip_address)"
      " SELECT '1970-01-01' + INTERVAL j.at SECOND, p.permission_id, p.user_id, j.ip FROM{}"
      "STRAIGHT_JOIN {} p ON p.permission_id = j.k",
      quoted(log),
      json_rows("k bigint unsigned PATH '$[0]', at bigint PATH '$[1]', ip varchar(100) PATH"
                " '$[2]'"),
      quoted(permissions));

  tables.grants.push_back("SELECT, UPDATE(download_count, downloads_remaining) ON " +
                          quoted(permissions));
  tables.grants.push_back("SELECT, INSERT ON " + quoted(log));
  tables.grants.push_back("SELECT ON " + quoted(orders));
  tables.grants.push_back("SELECT ON " + quoted(options));
  return tables;
}

}  // namespace tallygate::shop::maria
