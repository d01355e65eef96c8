// The text of a settings file.
//
// What is wrong is told with its line, on one line each. Settings that pass are written out again
// and read as the same; what they name in forms of their own (addresses, blocks, URLs) can be read
// by those who need it; and a reload to them leaves nothing that needs a restart.
#include <algorithm>
#include <string>
#include <vector>

#include "core/config/combination.h"
#include "core/config/declarations.h"
#include "core/config/duration.h"
#include "core/config/form.h"
#include "core/config/parse.h"
#include "core/config/reload.h"
#include "core/link/ip_block.h"
#include "core/shop/maria_url.h"
#include "tests/core/link/naive_link.h"
#include "tests/fuzz/target.h"

namespace tallygate::config {
namespace {

void check_mistakes(const Parsed& parsed, std::string_view text) {
  const auto lines = static_cast<std::uint32_t>(std::ranges::count(text, '\n')) + 1;
  std::uint32_t last = 0;
  for (const auto& mistake : parsed.mistakes) {
    REQUIRE(mistake.file == "settings.toml" && mistake.line >= last && mistake.line >= 1);
    REQUIRE(mistake.line <= lines);
    last = mistake.line;
    REQUIRE(!mistake.message.empty() && link::naive::is_utf8(mistake.message));
    REQUIRE(std::ranges::none_of(
        mistake.message, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
  }
}

// Every setting that differs from its default.
std::string written(const Settings& settings) {
  std::string out;
  for (const auto& table : tables()) {
    std::string lines;
    for (const auto& declaration : declarations()) {
      if (declaration.table != table.name || is_default(declaration, settings)) continue;
      lines += std::string(declaration.key) + " = " + toml_text(declaration.rule, settings) + "\n";
    }
    if (!lines.empty()) out += "[" + std::string(table.name) + "]\n" + lines;
  }
  return out;
}

void check_same(const Settings& a, const Settings& b) {
  for (const auto& declaration : declarations()) {
    REQUIRE(toml_text(declaration.rule, a) == toml_text(declaration.rule, b));
  }
}

void check_address(const ListenAddress& address) {
  REQUIRE(link::IpAddress::parse(address.host));
  const auto again = parse_listen_address(format_listen_address(address));
  REQUIRE(again && *again == address);
}

void check_usable(const Settings& settings) {
  REQUIRE(!settings.content.root.empty() && !settings.links.keyring.empty());
  REQUIRE(find_clashes(settings).empty());
  REQUIRE(!settings.server.listen.empty());
  for (const auto& address : settings.server.listen) check_address(address);
  for (const auto& address : settings.tls.listen) check_address(address);
  for (const auto& block : settings.server.trusted_proxies) REQUIRE(link::IpBlock::parse(block));
  if (!settings.admin.listen.empty()) REQUIRE(parse_listen_address(settings.admin.listen));
  REQUIRE(settings.admin.socket.size() < 108);  // sockaddr_un
  const auto& url = settings.shop.url;
  if (url.starts_with("mysql:")) REQUIRE(shop::parse_maria_url(url));
  REQUIRE(url.empty() || url.starts_with("mysql:") || url.starts_with("postgresql:") ||
          url.starts_with("sqlite:/"));
  REQUIRE(!settings.shop.edge_id.empty() && settings.shop.edge_id.size() <= 32);
  const auto timeout = settings.server.header_timeout;
  const auto again = parse_duration(format_duration(timeout));
  REQUIRE(again && *again == timeout);
}

void check_reload(const Settings& settings) {
  const Settings defaults;
  REQUIRE(needing_restart(settings, settings).empty());
  const auto after = after_reload(defaults, settings);
  REQUIRE(needing_restart(defaults, after).empty());
  check_same(after_reload(settings, settings), settings);
}

void check(std::string_view text) {
  const auto parsed = parse_settings(text, "settings.toml");
  check_mistakes(parsed, text);
  if (!parsed.mistakes.empty()) return;
  check_usable(parsed.settings);
  check_reload(parsed.settings);
  const auto again = parse_settings(written(parsed.settings), "settings.toml");
  REQUIRE(again.mistakes.empty());
  check_same(again.settings, parsed.settings);
}

}  // namespace
}  // namespace tallygate::config

TALLYGATE_FUZZ(settings) {
  using namespace tallygate::config;
  check(input);
  // And with what has no default, so that less is needed to pass.
  check(std::string(input) + "\n[content]\nroot = \"/srv/f\"\n[links]\nkeyring = \"/etc/k\"\n");
  static_cast<void>(parse_duration(input));
  if (const auto duration = parse_duration(input)) {
    const auto again = parse_duration(format_duration(*duration));
    REQUIRE(again && *again == *duration);
  }
}
