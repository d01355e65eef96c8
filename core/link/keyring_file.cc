#include "core/link/keyring_file.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "core/config/nearest.h"
#include "core/config/toml.h"
#include "core/config/wrong.h"
#include "core/link/path.h"
#include "core/link/secret.h"
#include "core/link/text.h"

namespace tallygate::link {
namespace {

// About 250 keys. toml++ recurses into dotted names, and a longer text could exhaust the stack.
constexpr std::size_t kKeyringBytesMax = 32 * 1024;

constexpr std::array<std::string_view, 6> kEntryKeys = {"id",    "secret",    "use",
                                                        "scope", "not_after", "ids"};

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

std::optional<std::int64_t> unix_seconds(const toml::date_time& at) {
  using namespace std::chrono;
  const sys_days day{year{at.date.year} / month{at.date.month} / at.date.day};
  const auto offset = minutes{at.offset ? at.offset->minutes : 0};
  const auto time =
      day + hours{at.time.hour} + minutes{at.time.minute} + seconds{at.time.second} - offset;
  return time.time_since_epoch().count();
}

// A key's name for a message, in quotes and behind a space; empty if it might be a secret, which is
// longer than the name of any setting.
std::string shown(std::string_view name) {
  const bool is_plain = name.size() < kSecretBytesMin && is_id_text(name);
  return is_plain ? fmt::format(" '{}'", name) : std::string();
}

// Reads the entries; every mistake is noted and reading goes on. Values are not repeated in the
// messages: what stands in the wrong place may be a secret.
class EntryReader {
 public:
  std::vector<Key> keys;
  std::vector<KeyringMistake> mistakes;

  void read(toml::table& entry) {
    const auto mistakes_before = mistakes.size();
    for (auto&& [name, node] : entry) {
      if (std::find(kEntryKeys.begin(), kEntryKeys.end(), name.str()) == kEntryKeys.end()) {
        const auto meant = config::nearest(name.str(), kEntryKeys);
        report(node, fmt::format("unknown key{}{}", shown(name.str()),
                                 meant ? fmt::format(": did you mean '{}'?", *meant) : ""));
      }
    }
    const auto id = read_id(entry);
    const auto hmac = read_secret(entry);
    const auto use = read_use(entry);
    auto scope = read_scope(entry);
    const auto not_after = read_not_after(entry);
    auto ids = read_ids(entry);
    if (mistakes.size() == mistakes_before) {
      keys.push_back({KeyId(*id), *hmac, use, std::move(scope), std::move(ids), not_after});
    }
  }

  void report(std::uint32_t line, std::string message) {
    mistakes.push_back({line, std::move(message)});
  }
  void report(const toml::node& node, std::string message) {
    report(line_of(node), std::move(message));
  }

 private:
  std::vector<std::pair<std::string, std::uint32_t>> seen_ids_;

  std::string* read_string(toml::table& entry, std::string_view name) {
    auto* const node = entry.get(name);
    if (node == nullptr) return nullptr;
    auto* const text = node->as_string();
    if (text == nullptr) report(*node, fmt::format("{} must be a string", name));
    return text == nullptr ? nullptr : &text->get();
  }

  std::optional<std::string> read_id(toml::table& entry) {
    if (!entry.contains("id")) {
      report(entry, "the key has no id");
      return std::nullopt;
    }
    const auto* const id = read_string(entry, "id");
    if (id == nullptr) return std::nullopt;
    const auto line = line_of(*entry.get("id"));
    if (!is_key_id(*id)) {
      report(line, fmt::format("id must be 1 to {} of A-Z a-z 0-9 _ -", kKeyIdBytesMax));
      return std::nullopt;
    }
    const auto twin = std::find_if(seen_ids_.begin(), seen_ids_.end(),
                                   [&](const auto& seen) { return seen.first == *id; });
    if (twin != seen_ids_.end()) {
      report(line, fmt::format("id '{}' is already that of the key in line {}", *id, twin->second));
    }
    seen_ids_.emplace_back(*id, line);
    return *id;
  }

  std::optional<HmacSha256> read_secret(toml::table& entry) {
    if (!entry.contains("secret")) {
      report(entry, "the key has no secret");
      return std::nullopt;
    }
    auto* const text = read_string(entry, "secret");
    if (text == nullptr) return std::nullopt;
    const auto line = line_of(*entry.get("secret"));
    const auto hmac = key_from_secret(*text);
    OPENSSL_cleanse(text->data(), text->size());
    if (hmac) return *hmac;
    report(line, hmac.error());
    return std::nullopt;
  }

  Key::Use read_use(toml::table& entry) {
    const auto* const use = read_string(entry, "use");
    if (use == nullptr || *use == "sign") return Key::Use::sign;
    if (*use != "verify") {
      report(*entry.get("use"), "use must be \"sign\" or \"verify\"");
    }
    return Key::Use::verify;
  }

  std::string read_scope(toml::table& entry) {
    const auto* const scope = read_string(entry, "scope");
    if (scope == nullptr) return "/";
    const auto& node = *entry.get("scope");
    if (!scope->starts_with('/') || !scope->ends_with('/')) {
      report(node, "scope must begin and end with '/'");
    } else if (*scope != "/") {
      // Without its last slash it is a path, and must be one that a link can have.
      if (const auto fault = find_path_fault(std::string_view(*scope).substr(0, scope->size() - 1)))
        report(node, fmt::format("scope: {}", describe(*fault)));
    }
    return *scope;
  }

  std::optional<std::int64_t> read_not_after(toml::table& entry) {
    const auto* const node = entry.get("not_after");
    if (node == nullptr) return std::nullopt;
    if (const auto* const seconds = node->as_integer()) return seconds->get();
    if (const auto* const at = node->as_date_time()) return unix_seconds(at->get());
    if (const auto* const day = node->as_date()) return unix_seconds({day->get(), toml::time{}});
    report(*node, "not_after must be a date-time such as 2027-01-01T00:00:00Z, or unix seconds");
    return std::nullopt;
  }

  std::string read_ids(toml::table& entry) {
    const auto* const ids = read_string(entry, "ids");
    if (ids == nullptr) return {};
    if (!is_link_id(*ids)) {
      report(*entry.get("ids"),
             fmt::format("ids must be 1 to {} of A-Z a-z 0-9 _ -", kLinkIdBytesMax));
    }
    return *ids;
  }
};

// The parser's words may repeat what it read: not where that is a secret.
std::string describe(const toml::parse_error& error, std::string_view text) {
  for (auto line = error.source().begin.line; line > 1 && !text.empty(); --line) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  if (text.substr(0, text.find('\n')).find("secret") == std::string_view::npos) {
    return config::on_one_line(error.description());
  }
  return "this is not valid TOML; a secret stands in quotes, on one line";
}

void read_entries(toml::table& file, EntryReader& reader) {
  for (auto&& [name, node] : file) {
    if (name.str() != "key") {
      reader.report(node, fmt::format("unknown key{}: a keyring is made of [[key]] tables",
                                      shown(name.str())));
      continue;
    }
    auto* const entries = node.as_array();
    if (entries == nullptr) {
      reader.report(node, "a key is written [[key]], with two brackets on each side");
      continue;
    }
    for (auto& entry : *entries) {
      if (auto* const table = entry.as_table()) {
        reader.read(*table);
      } else {
        reader.report(entry, "a key is written [[key]], followed by id and secret");
      }
    }
  }
}

}  // namespace

Result<Keyring, std::vector<KeyringMistake>> parse_keyring(std::string_view text) {
  if (text.size() > kKeyringBytesMax) {
    return std::vector<KeyringMistake>{
        {0, fmt::format("the keyring is longer than {} KiB", kKeyringBytesMax / 1024)}};
  }
  EntryReader reader;
  auto parsed = toml::parse(text);
  if (parsed) {
    read_entries(parsed.table(), reader);
  } else {
    reader.report(parsed.error().source().begin.line, describe(parsed.error(), text));
  }
  if (!reader.mistakes.empty()) {
    std::stable_sort(reader.mistakes.begin(), reader.mistakes.end(),
                     [](const auto& a, const auto& b) { return a.line < b.line; });
    return std::move(reader.mistakes);
  }
  if (reader.keys.empty()) {
    return std::vector<KeyringMistake>{{0, "the keyring has no key: a key is written [[key]]"}};
  }
  return Keyring(std::move(reader.keys));
}

std::optional<std::string> find_keyring_mode_error(unsigned mode) {
  const auto permissions = mode & 07777U;
  if ((permissions & 0006U) != 0) {
    return fmt::format("others can {} it (mode {:04o}): chmod o-rwx",
                       (permissions & 0004U) != 0 ? "read" : "write", permissions);
  }
  if ((permissions & 0020U) != 0) {
    return fmt::format("its group can write it (mode {:04o}): chmod g-w", permissions);
  }
  return std::nullopt;
}

std::string format_keyring_entry(std::string_view id, std::span<const std::uint8_t, 32> secret) {
  TALLYGATE_ASSERT(is_key_id(id));
  std::string entry = fmt::format("[[key]]\nid = \"{}\"\nsecret = \"hex:", id);
  for (const auto byte : secret) fmt::format_to(std::back_inserter(entry), "{:02x}", byte);
  entry += "\"\nuse = \"sign\"\n\n";
  return entry;
}

}  // namespace tallygate::link
