#include "core/config/rule.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "core/config/duration.h"
#include "core/config/nearest.h"

namespace tallygate::config {
namespace {

using Problems = std::vector<Problem>;

Problems wrong(const Value& value, std::string what) {
  return {Problem{value.line, Wrong{std::move(what)}}};
}

Problems wrong_type(const Value& value, std::string_view wanted) {
  return wrong(value, fmt::format("must be {}, not {}", wanted, describe(value)));
}

Problems out_of_bounds(const Value& value, std::string_view shown, std::string_view bounds,
                       std::string_view reason) {
  return wrong(value, fmt::format("{} is out of bounds, {}: {}", shown, bounds, reason));
}

std::string format_ratio(std::uint32_t permille) {
  auto text = fmt::format("{}.{:03}", permille / 1'000, permille % 1'000);
  while (text.ends_with('0') && !text.ends_with(".0")) text.pop_back();
  return text;
}

std::string bounds(const Count& rule) {
  return fmt::format("{} to {}", rule.min, rule.max);
}
std::string bounds(const Duration& rule) {
  const std::string range =
      fmt::format("{} to {}", format_duration(rule.min), format_duration(rule.max));
  return rule.zero.empty() ? range : fmt::format("{}, or 0s: {}", range, rule.zero);
}
std::string bounds(const Ratio& rule) {
  return fmt::format("{} to {}", format_ratio(rule.min_permille), format_ratio(rule.max_permille));
}

// "full", "truncated" or "none"
std::string alternatives(std::span<const std::string_view> words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += in_quotes(words[i]);
  }
  return out;
}

// A TOML basic string.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

// As inline tables, which say the same as [[tls.site]].
std::string toml_sites(const std::vector<TlsSite>& sites) {
  std::vector<std::string> items;
  for (const auto& site : sites) {
    items.push_back(fmt::format("{{ certificate = {}, key = {} }}", toml_string(site.certificate),
                                toml_string(site.key)));
  }
  return fmt::format("[{}]", fmt::join(items, ", "));
}

struct Read {
  const Value& value;
  Settings& settings;

  Problems operator()(const Count& rule) const {
    const auto* number = std::get_if<std::int64_t>(&value.is);
    if (number == nullptr) return wrong_type(value, "a whole number");
    if (*number < rule.min || *number > rule.max) {
      return out_of_bounds(value, fmt::format("{}", *number), bounds(rule), rule.reason);
    }
    rule.field(settings) = static_cast<std::uint32_t>(*number);
    return {};
  }

  Problems operator()(const Duration& rule) const {
    if (const auto* number = std::get_if<std::int64_t>(&value.is)) {
      return wrong(value, fmt::format("{} has no unit: \"{}s\" would be seconds ({})", *number,
                                      *number, kDurationUnits));
    }
    const auto* text = std::get_if<std::string>(&value.is);
    if (text == nullptr) return wrong_type(value, "a duration with unit, such as \"10s\"");
    const auto duration = parse_duration(*text);
    if (!duration) return wrong(value, duration.error().what);
    const bool is_zero = duration->count() == 0 && !rule.zero.empty();
    if (!is_zero && (*duration < rule.min || *duration > rule.max)) {
      return out_of_bounds(value, in_quotes(*text), bounds(rule), rule.reason);
    }
    rule.field(settings) = *duration;
    return {};
  }

  Problems operator()(const Ratio& rule) const {
    double number = 0;
    if (const auto* whole = std::get_if<std::int64_t>(&value.is)) {
      number = static_cast<double>(*whole);
    } else if (const auto* fraction = std::get_if<double>(&value.is)) {
      number = *fraction;
    } else {
      return wrong_type(value, "a number");
    }
    const double permille = number * 1'000;
    // Written so that NaN is out of bounds.
    if (!(permille >= rule.min_permille && permille <= rule.max_permille)) {
      return out_of_bounds(value, fmt::format("{}", number), bounds(rule), rule.reason);
    }
    const double nearest_permille = std::round(permille);
    if (std::abs(permille - nearest_permille) > 1e-6) {
      return wrong(value, fmt::format("{} has more than three decimals", number));
    }
    rule.field(settings) = static_cast<std::uint32_t>(nearest_permille);
    return {};
  }

  Problems operator()(const Choice& rule) const {
    const auto* text = std::get_if<std::string>(&value.is);
    if (text == nullptr) return wrong_type(value, alternatives(rule.words));
    const auto found = std::find(rule.words.begin(), rule.words.end(), *text);
    if (found == rule.words.end()) {
      const auto meant = nearest(*text, rule.words);
      return wrong(value,
                   meant ? fmt::format("{} is not {}; did you mean {}?", in_quotes(*text),
                                       alternatives(rule.words), in_quotes(*meant))
                         : fmt::format("{} is not {}", in_quotes(*text), alternatives(rule.words)));
    }
    rule.set(settings, static_cast<std::size_t>(found - rule.words.begin()));
    return {};
  }

  Problems operator()(const Text& rule) const {
    const auto* text = std::get_if<std::string>(&value.is);
    if (text == nullptr) return wrong_type(value, "a text in quotation marks");
    const bool none = text->empty() && rule.field(settings).empty();
    if (!none) {
      if (auto bad = rule.form->check(*text)) return wrong(value, std::move(bad->what));
    }
    rule.field(settings) = *text;
    return {};
  }

  Problems operator()(const TextList& rule) const {
    const auto check = [&](const std::string& text, std::vector<std::string>& out) {
      auto bad = rule.form->check(text);
      if (!bad) out.push_back(text);
      return bad;
    };
    return read_list(rule.field(settings), check);
  }

  Problems operator()(const AddressList& rule) const {
    const auto check = [](const std::string& text,
                          std::vector<ListenAddress>& out) -> std::optional<Wrong> {
      const auto address = parse_listen_address(text);
      if (!address) return address.error();
      // With SO_REUSEPORT binding the same address twice would go unnoticed.
      if (address->port != 0 && std::find(out.begin(), out.end(), *address) != out.end()) {
        return Wrong{fmt::format("{} is listed twice", in_quotes(text))};
      }
      out.push_back(*address);
      return std::nullopt;
    };
    const auto* list = std::get_if<std::vector<Value>>(&value.is);
    if (list != nullptr && list->empty() && rule.example.empty()) {
      return wrong(value, "needs at least one address:port");
    }
    return read_list(rule.field(settings), check);
  }

  Problems operator()(const SiteList& rule) const {
    const auto* list = std::get_if<std::vector<Value>>(&value.is);
    if (list == nullptr) return wrong_type(value, "tables, each below a [[tls.site]]");
    if (list->size() > kListMax) {
      return wrong(value, fmt::format("has {} entries: {} at most", list->size(), kListMax));
    }
    Problems problems;
    std::vector<TlsSite> out;
    for (const auto& item : *list) read_site(item, out.emplace_back(), problems);
    if (problems.empty()) rule.field(settings) = std::move(out);
    return problems;
  }

  static void read_site(const Value& item, TlsSite& site, Problems& problems) {
    const auto complain = [&](std::uint32_t line, std::string what) {
      problems.push_back({line, Wrong{std::move(what)}});
    };
    const auto* table = std::get_if<Value::Table>(&item.is);
    if (table == nullptr) {
      return complain(item.line, fmt::format("must list tables, not {}", describe(item)));
    }
    bool misspelt = false;
    for (const auto& [key, line, text] : table->members) {
      auto* const field = key == "certificate" ? &site.certificate
                          : key == "key"       ? &site.key
                                               : nullptr;
      const auto* path = std::get_if<std::string>(&text.is);
      if (field == nullptr) {
        misspelt = true;
        complain(line,
                 fmt::format("no such setting: {}; there are certificate and key", in_quotes(key)));
      } else if (path == nullptr) {
        *field = "misread";
        complain(line,
                 fmt::format("{} must be a text in quotation marks, not {}", key, describe(text)));
      } else {
        *field = *path;
        if (auto bad = check_secret_file(*path))
          complain(line, fmt::format("{} {}", key, bad->what));
      }
    }
    if (misspelt) return;  // what is missing is probably there
    if (site.certificate.empty()) complain(item.line, "certificate is missing");
    if (site.key.empty()) complain(item.line, "key is missing");
  }

  // `check(text, out)` appends to out, or says what is wrong.
  template <class T, class Checker>
  Problems read_list(std::vector<T>& field, const Checker& check) const {
    const auto* list = std::get_if<std::vector<Value>>(&value.is);
    if (list == nullptr) return wrong_type(value, "a list of texts in brackets");
    if (list->size() > kListMax) {
      return wrong(value, fmt::format("has {} entries: {} at most", list->size(), kListMax));
    }
    Problems problems;
    std::vector<T> out;
    for (const auto& item : *list) {
      if (const auto* text = std::get_if<std::string>(&item.is)) {
        if (auto bad = check(*text, out)) problems.push_back({item.line, std::move(*bad)});
      } else {
        problems.push_back(
            {item.line, Wrong{fmt::format("must list texts, not {}", describe(item))}});
      }
    }
    if (problems.empty()) field = std::move(out);
    return problems;
  }
};

struct Copy {
  Settings& from;
  Settings& to;

  void operator()(const Choice& rule) const { rule.set(to, rule.get(from)); }
  void operator()(const auto& rule) const { rule.field(to) = rule.field(from); }
};

struct TomlText {
  Settings& settings;

  std::string operator()(const Count& rule) const {
    return fmt::format("{}", rule.field(settings));
  }
  std::string operator()(const Duration& rule) const {
    return toml_string(format_duration(rule.field(settings)));
  }
  std::string operator()(const Ratio& rule) const { return format_ratio(rule.field(settings)); }
  std::string operator()(const Choice& rule) const {
    return toml_string(rule.words[rule.get(settings)]);
  }
  std::string operator()(const Text& rule) const { return toml_string(rule.field(settings)); }
  std::string operator()(const TextList& rule) const {
    std::vector<std::string> items;
    for (const auto& text : rule.field(settings)) items.push_back(toml_string(text));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  std::string operator()(const AddressList& rule) const {
    std::vector<std::string> items;
    for (const auto& address : rule.field(settings)) {
      items.push_back(toml_string(format_listen_address(address)));
    }
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  std::string operator()(const SiteList& rule) const { return toml_sites(rule.field(settings)); }
};

struct ExampleText {
  std::string operator()(const Text& rule) const {
    return rule.example.empty() ? std::string() : toml_string(rule.example);
  }
  std::string operator()(const TextList& rule) const {
    return fmt::format("[{}]", toml_string(rule.example));
  }
  std::string operator()(const AddressList& rule) const {
    return rule.example.empty() ? std::string() : fmt::format("[{}]", toml_string(rule.example));
  }
  std::string operator()(const SiteList& /*rule*/) const {
    return toml_sites({{"/etc/tallygate/other.pem", "/etc/tallygate/other.key"}});
  }
  std::string operator()(const auto&) const { return {}; }
};

struct TypeText {
  std::string operator()(const Count& rule) const {
    return fmt::format("whole number, {}", bounds(rule));
  }
  std::string operator()(const Duration& rule) const {
    return fmt::format("duration, {}", bounds(rule));
  }
  std::string operator()(const Ratio& rule) const {
    return fmt::format("number, {}", bounds(rule));
  }
  std::string operator()(const Choice& rule) const { return alternatives(rule.words); }
  std::string operator()(const Text& rule) const { return std::string(rule.form->name); }
  std::string operator()(const TextList& rule) const {
    return fmt::format("list, each: {}", rule.form->name);
  }
  std::string operator()(const AddressList&) const { return "list of address:port"; }
  std::string operator()(const SiteList&) const {
    return "list of tables, each with certificate and key, absolute paths or credential:NAME of "
           "systemd";
  }
};

struct Reason {
  std::string_view operator()(const auto& rule) const {
    if constexpr (requires { rule.reason; }) {
      return rule.reason;
    } else {
      return {};
    }
  }
};

}  // namespace

std::vector<Problem> read(const Rule& rule, const Value& value, Settings& settings) {
  return std::visit(Read{value, settings}, rule);
}

void copy(const Rule& rule, const Settings& from, Settings& to) {
  auto source = from;  // fields are reached through a mutable Settings
  std::visit(Copy{source, to}, rule);
}

std::string toml_text(const Rule& rule, const Settings& settings) {
  auto copy = settings;  // fields are reached through a mutable Settings
  return std::visit(TomlText{copy}, rule);
}

std::string example_text(const Rule& rule) {
  return std::visit(ExampleText{}, rule);
}

std::string type_text(const Rule& rule) {
  return std::visit(TypeText{}, rule);
}

std::string_view reason(const Rule& rule) {
  return std::visit(Reason{}, rule);
}

}  // namespace tallygate::config
