#include "core/http/content_disposition.h"

#include <array>

#include "core/http/syntax.h"
#include "core/http/text_writer.h"

namespace tallygate::http {
namespace {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

// Decodes the first code point of `text`, which is not empty. Overlong forms, surrogates and
// anything beyond U+10FFFF are invalid, one byte at a time.
CodePoint decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return {};
  char32_t value = lead & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0u) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  return {value, bytes, value >= kSmallest[bytes] && value <= 0x10ffff && !surrogate};
}

// Able to turn the text around them, or made to be overlooked: Unicode's Bidi_Control, the
// separators of lines and paragraphs, spaces without width. The two joiners (U+200C, U+200D) stay:
// Persian and emoji are written with them.
bool is_deceptive(char32_t c) {
  return c == 0x061c || c == 0x200b || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

bool may_stand_in_a_name(const CodePoint& c) {
  const bool is_control = c.value < 0x20 || (c.value >= 0x7f && c.value < 0xa0);
  return c.valid && !is_control && c.value != '/' && c.value != '\\' && !is_deceptive(c.value);
}

// Calls `visit(bytes, is_ascii)` for each code point of the name as it may be shown.
template <class Visit>
void for_each_code_point(std::string_view name, Visit visit) {
  while (!name.empty()) {
    const auto c = decode_utf8(name);
    if (may_stand_in_a_name(c)) {
      visit(name.substr(0, c.bytes), c.bytes == 1);
    } else {
      visit(std::string_view("_"), true);
    }
    name.remove_prefix(c.valid ? c.bytes : 1);
  }
}

// The front of `text`, at most `bytes_max` bytes, ending with a whole character.
std::string_view cut(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

// A file name in two pieces: what may be cut, and the extension that says what it is.
struct Name {
  std::string_view stem;
  std::string_view extension;

  explicit Name(std::string_view name) {
    constexpr std::size_t kExtensionBytesMax = 16;
    if (name.empty() || name == "." || name == "..") name = "download";
    if (name.size() > kFileNameBytesMax) {
      const auto dot = name.rfind('.');
      if (dot != std::string_view::npos && name.size() - dot <= kExtensionBytesMax) {
        extension = name.substr(dot);
      }
    }
    stem =
        cut(name.substr(0, name.size() - extension.size()), kFileNameBytesMax - extension.size());
  }
  template <class Visit>
  void for_each_code_point(Visit visit) const {
    http::for_each_code_point(stem, visit);
    http::for_each_code_point(extension, visit);
  }
};

// Inside the quotes of `filename`: "%" too, because some browsers decode it (RFC 6266 App. D).
bool may_stand_in_quotes(std::string_view code_point, bool is_ascii) {
  return is_ascii && code_point != "\"" && code_point != "%";
}

// attr-char (RFC 8187 §3.2.1).
bool is_attribute_char(char c) {
  return is_alnum(c) || std::string_view("!#$&+-.^_`|~").find(c) != std::string_view::npos;
}

void put_percent_encoded(TextWriter& out, std::string_view bytes) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  for (const char c : bytes) {
    if (is_attribute_char(c)) {
      out.put(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.put('%').put(kHexDigits[byte >> 4]).put(kHexDigits[byte & 0xf]);
    }
  }
}

}  // namespace

std::string_view write_content_disposition(std::span<char> out, Disposition disposition,
                                           std::string_view name) noexcept {
  const Name shown(name);
  TextWriter text(out);
  text.put(disposition == Disposition::attachment ? "attachment" : "inline");

  bool said_all = true;
  text.put("; filename=\"");
  shown.for_each_code_point([&](std::string_view code_point, bool is_ascii) {
    const bool fits = may_stand_in_quotes(code_point, is_ascii);
    text.put(fits ? code_point : "_");
    said_all = said_all && fits;
  });
  text.put('"');

  if (!said_all) {
    text.put("; filename*=UTF-8''");
    shown.for_each_code_point(
        [&](std::string_view code_point, bool) { put_percent_encoded(text, code_point); });
  }
  return text.text();
}

}  // namespace tallygate::http
