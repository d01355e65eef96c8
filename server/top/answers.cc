#include "server/top/answers.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace tallygate::top {
namespace {

namespace json = boost::json;

const json::object kNothing{};

std::optional<json::object> parse(std::string_view text) {
  boost::system::error_code ec;
  json::value value = json::parse({text.data(), text.size()}, ec);
  if (ec || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

template <class T>
T number(const json::value& value) {
  boost::system::error_code ec;
  const T found = value.to_number<T>(ec);
  return ec ? T{} : found;
}

template <class T>
T number(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? T{} : number<T>(*value);
}

std::string text(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool flag(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object& part(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_object() ? value->get_object() : kNothing;
}

std::vector<std::pair<double, std::uint64_t>> buckets(const json::object& fsync) {
  std::vector<std::pair<double, std::uint64_t>> out;
  const json::value* le = fsync.if_contains("le");
  if (le == nullptr || !le->is_array()) return out;
  for (const json::value& each : le->get_array()) {
    if (!each.is_array() || each.get_array().size() != 2) continue;
    out.emplace_back(number<double>(each.get_array()[0]),
                     number<std::uint64_t>(each.get_array()[1]));
  }
  return out;
}

Transfer read_transfer(const json::object& object) {
  return {.id = text(object, "id"),
          .link = text(object, "link"),
          .path = text(object, "path"),
          .client = text(object, "client"),
          .started_at_ms = number<std::int64_t>(object, "started_at_ms"),
          .bytes_sent = number<std::uint64_t>(object, "bytes_sent"),
          .bytes_total = number<std::uint64_t>(object, "bytes_total"),
          .rate = number<std::uint64_t>(object, "rate"),
          .tls = flag(object, "tls")};
}

}  // namespace

Result<Live, std::string> read_live(std::string_view json) {
  const auto answer = parse(json);
  if (!answer || !answer->contains("now_ms")) return "the server's answer has no figures";
  Live live;
  live.now_ms = number<std::int64_t>(*answer, "now_ms");
  live.started_at = number<std::int64_t>(*answer, "started_at");
  live.version = text(*answer, "version");
  live.status = text(*answer, "status");
  live.connections = number<std::uint64_t>(*answer, "connections");
  live.transfers = number<std::uint64_t>(*answer, "transfers");
  live.bytes_sent = number<std::uint64_t>(*answer, "bytes_sent_total");
  live.requests = number<std::uint64_t>(*answer, "requests_total");
  live.copies = number<std::uint64_t>(*answer, "copies_total");
  for (const auto& [name, total] : part(*answer, "refusals")) {
    live.refusals.emplace_back(std::string(name), number<std::uint64_t>(total));
  }
  live.syncs = number<std::uint64_t>(part(*answer, "fsync"), "count");
  live.syncs_up_to = buckets(part(*answer, "fsync"));
  if (const json::object& shop = part(*answer, "shop"); !shop.empty()) {
    live.shop = Shop{.engine = text(shop, "engine"),
                     .reachable = flag(shop, "reachable"),
                     .lag_seconds = number<std::int64_t>(shop, "lag_seconds"),
                     .copies_waiting = number<std::uint64_t>(shop, "copies_waiting")};
  }
  return live;
}

Result<Transfers, std::string> read_transfers(std::string_view json) {
  const auto answer = parse(json);
  const json::value* list = answer ? answer->if_contains("transfers") : nullptr;
  if (list == nullptr || !list->is_array()) return "the server's answer has no transfers";
  Transfers transfers;
  transfers.total = number<std::uint64_t>(*answer, "total");
  for (const json::value& each : list->get_array()) {
    if (each.is_object()) transfers.list.push_back(read_transfer(each.get_object()));
  }
  return transfers;
}

std::string read_reasons(std::string_view json) {
  const auto answer = parse(json);
  if (!answer) return {};
  const json::object& ledger = part(*answer, "ledger");
  const json::object& shop = part(*answer, "shop");
  std::string out;
  const auto add = [&out](const std::string& reason) {
    if (reason.empty()) return;
    if (!out.empty()) out += "; ";
    out += reason;
  };
  add(text(ledger, "failure"));
  add(text(ledger, "warning"));
  add(text(shop, "alarm"));
  add(text(shop, "warning"));
  if (!shop.empty() && !flag(shop, "reachable")) add(text(shop, "last_error"));
  const json::value* mistakes = part(*answer, "settings").if_contains("mistakes");
  if (mistakes != nullptr && mistakes->is_array()) {
    for (const json::value& each : mistakes->get_array()) {
      if (each.is_string()) add("not reloaded: " + std::string(each.get_string()));
    }
  }
  return out;
}

}  // namespace tallygate::top
