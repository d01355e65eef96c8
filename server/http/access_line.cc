#include "server/http/access_line.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>

#include "core/link/mask.h"

namespace tallygate::http {
namespace {

// Characters beyond ASCII that show nothing themselves but break lines, turn the direction of
// writing or hide: a parser may stumble over them, and a terminal show something else than is
// there.
bool is_invisible(std::uint32_t code) {
  struct Range {
    std::uint32_t first;
    std::uint32_t last;
  };
  static constexpr std::array kRanges{
      Range{0x80, 0x9f},        // C1 controls
      Range{0xad, 0xad},        // soft hyphen
      Range{0x61c, 0x61c},      // Arabic letter mark
      Range{0x180e, 0x180e},    // Mongolian vowel separator
      Range{0x200b, 0x200f},    // zero width, left-to-right and right-to-left marks
      Range{0x2028, 0x202e},    // line and paragraph separator, embeddings and overrides
      Range{0x2060, 0x206f},    // joiners, isolates, deprecated formatting
      Range{0xfeff, 0xfeff},    // byte-order mark
      Range{0xfff9, 0xfffb},    // interlinear annotation
      Range{0xe0000, 0xe0fff},  // tags, variation selectors
  };
  return std::ranges::any_of(
      kRanges, [&](Range range) { return code >= range.first && code <= range.last; });
}

void append_escape(std::string& out, std::uint32_t code) {
  auto at = std::back_inserter(out);
  if (code < 0x10000) {
    fmt::format_to(at, "\\u{:04x}", code);
  } else {  // a surrogate pair
    fmt::format_to(at, "\\u{:04x}\\u{:04x}", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
  }
}

// One character of UTF-8; size 0: none begins here.
struct Character {
  std::uint32_t code = 0;
  std::size_t size = 0;
};

Character read_character(std::string_view bytes) {
  const auto c = static_cast<unsigned char>(bytes.front());
  if (c < 0x80) return {c, 1};
  if (c < 0xc2 || c > 0xf4) return {};
  const std::size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (bytes.size() < size) return {};
  std::uint32_t code = c & (0xffu >> (size + 1));
  for (const char t : bytes.substr(1, size - 1)) {
    if ((static_cast<unsigned char>(t) & 0xc0) != 0x80) return {};
    code = code << 6 | (static_cast<unsigned char>(t) & 0x3fu);
  }
  const std::uint32_t least = size == 4 ? 0x10000 : size == 3 ? 0x800 : 0x80;
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < least || code > 0x10ffff || is_surrogate ? Character{} : Character{code, size};
}

// A JSON string of bytes that may be anything.
void append_json_string(std::string& out, std::string_view bytes) {
  out += '"';
  while (!bytes.empty()) {
    const Character c = read_character(bytes);
    if (c.size == 0) {
      out += "\\ufffd";
      bytes.remove_prefix(1);
      continue;
    }
    if (c.code == '"' || c.code == '\\') {
      out += '\\';
      out += static_cast<char>(c.code);
    } else if (c.code < 0x20 || c.code == 0x7f || is_invisible(c.code)) {
      append_escape(out, c.code);
    } else {
      out.append(bytes.substr(0, c.size));
    }
    bytes.remove_prefix(c.size);
  }
  out += '"';
}

// As ap_escape_logitem of Apache's httpd.
void append_apache_text(std::string& out, std::string_view bytes) {
  constexpr std::string_view kNamed = "\b\n\r\t\v\\\"";
  constexpr std::string_view kNames = "bnrtv\\\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (const auto named = kNamed.find(c); named != kNamed.npos) {
      out += '\\';
      out += kNames[named];
    } else if (byte < 0x20 || byte > 0x7e) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
}

// What a client sent, without tokens. The mask comes before the cut, so that no part of a token is
// left at the end.
std::string shown(std::string_view sent) {
  std::string text = link::mask_tokens(sent);
  if (text.size() > kLoggedValueBytesMax) text.resize(kLoggedValueBytesMax);
  return text;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
  append_json_string(out, value.substr(0, kLoggedValueBytesMax));
}

void append_sent(std::string& out, std::string_view name, std::string_view value) {
  if (!value.empty()) append_field(out, name, shown(value));
}

void append_quoted_sent(std::string& out, std::string_view value) {
  out += '"';
  append_apache_text(out, value.empty() ? std::string("-") : shown(value));
  out += '"';
}

std::chrono::sys_time<std::chrono::milliseconds> time_of(std::int64_t unix_ms) {
  return std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(unix_ms));
}

void append_json_time(std::string& out, std::int64_t unix_ms) {
  const auto time = time_of(unix_ms);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  fmt::format_to(std::back_inserter(out), "{{\"time\":\"{:%FT%T}.{:03}Z\"", seconds,
                 (time - seconds).count());
}

// The names of months are English, whatever the locale.
void append_apache_time(std::string& out, std::int64_t unix_ms) {
  static constexpr std::array<std::string_view, 12> kMonths{
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time_of(unix_ms));
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(seconds - day);
  fmt::format_to(std::back_inserter(out), "[{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000]",
                 static_cast<unsigned>(date.day()),
                 kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                 time.hours().count(), time.minutes().count(), time.seconds().count());
}

// Of lines that are not there.
void append_combined_note(std::string& out, std::int64_t unix_ms, std::string_view client,
                          std::uint64_t lines, std::string_view what) {
  append_apache_text(out, client.empty() ? std::string_view("-") : client);
  out += " - - ";
  append_apache_time(out, unix_ms);
  fmt::format_to(std::back_inserter(out), " \"-\" 000 - \"-\" \"tallygate: {} lines {}\"", lines,
                 what);
}

void append_journal_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out += name;
  out += '=';
  for (const char c : value.substr(0, kLoggedValueBytesMax))
    out += c >= 0x20 && c <= 0x7e ? c : '?';
  out += '\n';
}

}  // namespace

link::IpText shown_client(const link::IpAddress& client, config::ClientIp how) {
  if (how == config::ClientIp::none) return {};
  if (how == config::ClientIp::full) return client.text();
  const auto& bytes = client.bytes();
  if (client.is_v4()) return link::IpAddress::v4({bytes[12], bytes[13], bytes[14], 0}).text();
  std::array<std::uint8_t, 16> cut{};
  std::copy_n(bytes.begin(), 6, cut.begin());
  return link::IpAddress::v6(cut).text();
}

void append_json_line(std::string& out, const AccessRecord& r) {
  append_json_time(out, r.unix_ms);
  append_field(out, "client", r.client);
  append_sent(out, "method", r.method);
  append_sent(out, "target", r.target);
  fmt::format_to(std::back_inserter(out),
                 ",\"protocol\":\"HTTP/{}.{}\",\"status\":{},\"body_bytes\":{},\"body_length\":{},"
                 "\"duration_us\":{}",
                 r.version / 10, r.version % 10, r.status, r.body_bytes, r.body_length,
                 r.duration_us);
  append_field(out, "reason", r.reason);
  append_sent(out, "range", r.range);
  append_field(out, "link", r.link_id);
  append_field(out, "key", r.key_id);
  append_field(out, "data", r.data);
  append_sent(out, "user_agent", r.user_agent);
  append_sent(out, "referer", r.referer);
  out += '}';
}

void append_combined_line(std::string& out, const AccessRecord& r) {
  append_apache_text(out, r.client.empty() ? std::string_view("-") : r.client);
  out += " - - ";
  append_apache_time(out, r.unix_ms - static_cast<std::int64_t>(r.duration_us / 1000));
  if (r.method.empty() && r.target.empty()) {
    out += " \"-\"";
  } else {
    out += " \"";
    append_apache_text(out, shown(r.method));
    out += ' ';
    append_apache_text(out, shown(r.target));
    fmt::format_to(std::back_inserter(out), " HTTP/{}.{}\"", r.version / 10, r.version % 10);
  }
  fmt::format_to(std::back_inserter(out), " {:03} ", r.status);
  if (r.body_bytes == 0) {
    out += "- ";
  } else {
    fmt::format_to(std::back_inserter(out), "{} ", r.body_bytes);
  }
  append_quoted_sent(out, r.referer);
  out += ' ';
  append_quoted_sent(out, r.user_agent);
}

void append_json_loss(std::string& out, std::int64_t unix_ms, std::uint64_t lines) {
  append_json_time(out, unix_ms);
  fmt::format_to(std::back_inserter(out), ",\"lines_lost\":{}}}", lines);
}

void append_combined_loss(std::string& out, std::int64_t unix_ms, std::uint64_t lines) {
  append_combined_note(out, unix_ms, {}, lines, "lost");
}

void append_json_left_out(std::string& out, std::int64_t unix_ms, std::string_view client,
                          std::uint64_t lines) {
  append_json_time(out, unix_ms);
  append_field(out, "client", client);
  fmt::format_to(std::back_inserter(out), ",\"lines_left_out\":{}}}", lines);
}

void append_combined_left_out(std::string& out, std::int64_t unix_ms, std::string_view client,
                              std::uint64_t lines) {
  append_combined_note(out, unix_ms, client, lines, "left out");
}

void append_journal_fields(std::string& out, const AccessRecord& r) {
  fmt::format_to(std::back_inserter(out),
                 "TALLYGATE_STATUS={}\nTALLYGATE_BODY_BYTES={}\nTALLYGATE_BODY_LENGTH={}\n"
                 "TALLYGATE_DURATION_US={}\n",
                 r.status, r.body_bytes, r.body_length, r.duration_us);
  append_journal_field(out, "TALLYGATE_LINK", r.link_id);
  append_journal_field(out, "TALLYGATE_KEY", r.key_id);
  append_journal_field(out, "TALLYGATE_REASON", r.reason);
  append_journal_field(out, "TALLYGATE_CLIENT", r.client);
}

}  // namespace tallygate::http
