#include "core/link/token.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/link/base64url.h"
#include "core/link/text.h"

namespace tallygate::link {
namespace {

constexpr std::string_view kFieldOrder = "kebinpafrds";
constexpr std::string_view kSegmentCarrier = "/tg=";
// "255.255.255.255" as IPv6 in full, with "/128".
constexpr std::size_t kBlockTextBytesMax = 49;

using Kind = TokenFault::Kind;

// Decimal digits only, without leading zero.
template <class Number>
std::optional<Number> parse_number(std::string_view text, Number max) noexcept {
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value > max) return std::nullopt;
  return value;
}

bool parse_time(std::string_view text, std::optional<std::int64_t>& time) noexcept {
  time = parse_number(text, std::numeric_limits<std::int64_t>::max());
  return time.has_value();
}

bool parse_count(std::string_view text, std::uint32_t& count) noexcept {
  const auto number = parse_number(text, kLimitMax);
  count = number.value_or(0);
  return number.has_value();
}

bool parse_client(std::string_view text, std::optional<IpBlock>& client) noexcept {
  std::array<std::uint8_t, kBlockTextBytesMax> decoded{};
  const auto size = decode_base64url(text, decoded);
  if (!size) return false;
  std::array<char, kBlockTextBytesMax> block{};
  std::copy_n(decoded.begin(), *size, block.begin());
  client = IpBlock::parse({block.data(), *size});
  return client.has_value();
}

bool parse_file_name(std::string_view text, FileNameBuffer& buffer,
                     std::string_view& name) noexcept {
  const auto size = decode_base64url(text, buffer.bytes);
  if (!size) return false;
  name = {reinterpret_cast<const char*>(buffer.bytes.data()), *size};
  return is_file_name(name);
}

bool parse_mac(std::string_view text, Mac& mac) noexcept {
  if (text.size() != 2 * mac.size()) return false;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    mac[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

// Sets the member that `letter` stands for. False: the value is not one of that field.
bool parse_value(char letter, std::string_view value, Token& token, FileNameBuffer& name) noexcept {
  switch (letter) {
    case 'k':
      token.key_id = value;
      return is_key_id(value);
    case 'e':
      return parse_time(value, token.expires_at);
    case 'b':
      return parse_time(value, token.not_before);
    case 'i':
      token.link_id = value;
      return is_link_id(value);
    case 'n':
      return parse_count(value, token.limit);
    case 'p':
      return parse_count(value, token.folder_segments) && token.folder_segments > 0;
    case 'a':
      return parse_client(value, token.client);
    case 'f':
      return parse_file_name(value, name, token.file_name);
    case 'r':
      return parse_count(value, token.rate_kbytes);
    case 'd':
      token.data = value;
      return is_id_text(value);
    case 's':
      return parse_mac(value, token.mac);
    default:
      return false;
  }
}

}  // namespace

std::string_view describe(CarrierFault fault) noexcept {
  return fault == CarrierFault::absent
             ? "there is no token: neither a query parameter 'tg' nor a first path segment 'tg=…'"
             : "there is more than one token: one query parameter 'tg' or one path segment 'tg=…'";
}

Result<CarriedToken, CarrierFault> find_token(std::string_view target) noexcept {
  const auto question_mark = target.find('?');
  CarriedToken found{.path = target.substr(0, question_mark), .token = {}, .in_path = false};
  bool seen = false;
  if (found.path.starts_with(kSegmentCarrier)) {
    const auto end = std::min(found.path.find('/', 1), found.path.size());
    found.token = found.path.substr(kSegmentCarrier.size(), end - kSegmentCarrier.size());
    found.path.remove_prefix(end);
    found.in_path = seen = true;
  }
  auto query = question_mark == std::string_view::npos ? std::string_view{}
                                                       : target.substr(question_mark + 1);
  while (!query.empty()) {
    const auto parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(parameter.size() + 1, query.size()));
    const auto name = parameter.substr(0, parameter.find('='));
    if (name != "tg") continue;
    if (seen) return CarrierFault::repeated;
    seen = true;
    found.token = parameter.substr(std::min(name.size() + 1, parameter.size()));
  }
  if (!seen) return CarrierFault::absent;
  return found;
}

std::string_view describe(TokenFault fault) noexcept {
  switch (fault.kind) {
    case Kind::version:
      return "the token does not begin with '1.'";
    case Kind::empty_field:
      return "a field is empty (two dots in a row, a dot at the end, or a letter without a value)";
    case Kind::unknown_field:
      return "no field has this letter";
    case Kind::out_of_order:
      return "the field is repeated or out of order (k e b i n p a f r d s)";
    case Kind::limit_without_id:
      return "a limit needs a link id 'i': without one every fresh URL would be a fresh link";
    case Kind::missing_field:
      return fault.field == 'k' ? "the key id is missing" : "the MAC is missing";
    case Kind::bad_value:
      break;
  }
  switch (fault.field) {
    case 'k':
      return "a key id is 1 to 16 of A-Z a-z 0-9 _ -";
    case 'e':
    case 'b':
      return "a time is unix seconds in decimal digits, without sign or leading zero, below 2^63";
    case 'i':
      return "a link id is 1 to 64 of A-Z a-z 0-9 _ -";
    case 'p':
      return "the number of leading path segments is decimal, without leading zero, from 1";
    case 'n':
    case 'r':
      return "the number is decimal, without sign or leading zero, below 2^31";
    case 'a':
      return "a client is an IP address or CIDR block, base64url of its text without padding";
    case 'f':
      return "a file name is base64url without padding of printable UTF-8 without separators, at "
             "most 1024 bytes";
    case 'd':
      return "data is made of A-Z a-z 0-9 _ -";
    case 's':
      return "the MAC is 64 lower-case hex digits";
    default:
      return "the value is not one of this field";
  }
}

Result<Token, TokenFault> parse_token(std::string_view text, FileNameBuffer& name) noexcept {
  if (!text.starts_with("1.")) return TokenFault{Kind::version};
  Token token;
  std::size_t next = 0;  // in kFieldOrder: what may come now
  for (std::size_t begin = 2; begin <= text.size();) {
    const auto end = std::min(text.find('.', begin), text.size());
    if (end == begin) return TokenFault{Kind::empty_field};
    const char letter = text[begin];
    const auto value = text.substr(begin + 1, end - begin - 1);

    const auto position = kFieldOrder.find(letter);
    if (position == std::string_view::npos) return TokenFault{Kind::unknown_field, letter};
    if (position < next) return TokenFault{Kind::out_of_order, letter};
    if (position > 0 && next == 0) return TokenFault{Kind::missing_field, 'k'};
    if (value.empty()) return TokenFault{Kind::empty_field, letter};
    if (!parse_value(letter, value, token, name)) return TokenFault{Kind::bad_value, letter};
    if (letter == 's') token.signed_text = text.substr(0, begin - 1);

    next = position + 1;
    begin = end + 1;
  }
  if (next != kFieldOrder.size()) return TokenFault{Kind::missing_field, 's'};
  if (token.limit > 0 && token.link_id.empty()) return TokenFault{Kind::limit_without_id, 'n'};
  return token;
}

bool is_file_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kFileNameBytesMax && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && !find_text_fault(name);
}

bool is_key_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kKeyIdBytesMax && is_id_text(text);
}

bool is_link_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kLinkIdBytesMax && is_id_text(text);
}

}  // namespace tallygate::link
