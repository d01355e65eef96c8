#include "core/net/proxy_protocol.h"

#include <algorithm>
#include <array>

namespace tallygate::net {
namespace {

using link::IpAddress;
using State = ProxyHeader::State;
using MaybeAddress = std::optional<IpAddress>;

constexpr ProxyHeader kIncomplete{State::incomplete, 0, {}};
constexpr ProxyHeader kMalformed{State::malformed, 0, {}};

// Whether one of the two begins with the other.
bool agree(std::string_view a, std::string_view b) {
  const std::size_t common = std::min(a.size(), b.size());
  return a.substr(0, common) == b.substr(0, common);
}

// -- version 1 ----------------------------------------------------------------------------------

constexpr std::string_view kLinePrefix = "PROXY ";

// What stands before the next space, which must be there; taken off `rest`.
std::optional<std::string_view> take_word(std::string_view& rest) {
  const auto space = rest.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto word = rest.substr(0, space);
  rest.remove_prefix(space + 1);
  return word;
}

// 0 to 65535, without leading zeros.
bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
  unsigned number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return number <= 65535;
}

MaybeAddress parse_address(std::string_view text, bool is_v6) {
  const bool looks_v6 = text.find(':') != std::string_view::npos;
  return looks_v6 == is_v6 ? IpAddress::parse(text) : std::nullopt;
}

// The line behind "PROXY ", without its end (§2.1).
ProxyHeader parse_line(std::string_view line, std::size_t bytes) {
  constexpr std::string_view kUnknown = "UNKNOWN";
  if (line.starts_with(kUnknown)) {
    // What follows is to be ignored.
    const bool ends_there = line.size() == kUnknown.size() || line[kUnknown.size()] == ' ';
    return ends_there ? ProxyHeader{State::complete, bytes, {}} : kMalformed;
  }
  const auto family = take_word(line);
  const auto source = take_word(line);
  const auto destination = take_word(line);
  const auto source_port = take_word(line);
  if (!family || !source || !destination || !source_port) return kMalformed;
  if (*family != "TCP4" && *family != "TCP6") return kMalformed;
  const bool is_v6 = *family == "TCP6";
  const MaybeAddress client = parse_address(*source, is_v6);
  if (!client || !parse_address(*destination, is_v6)) return kMalformed;
  if (!is_port(*source_port) || !is_port(line)) return kMalformed;
  return {State::complete, bytes, client};
}

ProxyHeader parse_version_1(std::string_view received) {
  const auto within = received.substr(0, kProxyLineBytesMax);
  const auto end = within.find_first_of("\r\n");
  if (end == std::string_view::npos) {
    // Its CR LF has no room any more.
    return within.size() + 1 < kProxyLineBytesMax ? kIncomplete : kMalformed;
  }
  if (within[end] == '\n' || end + 2 > kProxyLineBytesMax) return kMalformed;
  if (end + 1 == within.size()) return kIncomplete;
  if (within[end + 1] != '\n' || end < kLinePrefix.size()) return kMalformed;
  return parse_line(within.substr(kLinePrefix.size(), end - kLinePrefix.size()), end + 2);
}

// -- version 2 ----------------------------------------------------------------------------------

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kFixedBytes = 16;  // signature, version and command, family, length

constexpr unsigned kLocal = 0x20;  // version 2 in the upper half
constexpr unsigned kProxy = 0x21;

// §2.2: address family and transport in one byte, and the bytes that its addresses take.
constexpr unsigned kUnspecified = 0x00;
constexpr unsigned kTcp4 = 0x11;
constexpr unsigned kTcp6 = 0x21;
constexpr unsigned kUnixStream = 0x31;
constexpr std::size_t kTcp4Bytes = 12;
constexpr std::size_t kTcp6Bytes = 36;
constexpr std::size_t kUnixBytes = 216;

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

template <std::size_t kBytes>
std::array<std::uint8_t, kBytes> bytes_at(std::string_view bytes, std::size_t at) {
  std::array<std::uint8_t, kBytes> out{};
  std::transform(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + kBytes), out.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return out;
}

// How much of the length its addresses take; nullopt: no such family over TCP.
std::optional<std::size_t> address_bytes(unsigned family) {
  switch (family) {
    case kUnspecified:
      return 0;
    case kTcp4:
      return kTcp4Bytes;
    case kTcp6:
      return kTcp6Bytes;
    case kUnixStream:
      return kUnixBytes;
    default:
      return std::nullopt;
  }
}

ProxyHeader parse_version_2(std::string_view received) {
  if (received.size() <= kSignature.size()) return kIncomplete;
  const unsigned command = byte_at(received, 12);
  if (command != kLocal && command != kProxy) return kMalformed;
  if (received.size() < kFixedBytes) return kIncomplete;
  const unsigned family = byte_at(received, 13);
  const std::size_t length = byte_at(received, 14) << 8 | byte_at(received, 15);
  const std::size_t bytes = kFixedBytes + length;
  if (bytes > kProxyHeaderBytesMax) return kMalformed;
  if (command == kProxy) {
    const auto needed = address_bytes(family);
    if (!needed || length < *needed) return kMalformed;
  }
  if (received.size() < bytes) return kIncomplete;
  ProxyHeader header{State::complete, bytes, {}};
  if (command == kProxy && family == kTcp4) {
    header.source = IpAddress::v4(bytes_at<4>(received, kFixedBytes));
  } else if (command == kProxy && family == kTcp6) {
    header.source = IpAddress::v6(bytes_at<16>(received, kFixedBytes));
  }
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view received) noexcept {
  if (received.empty()) return kIncomplete;
  if (agree(received, kLinePrefix)) return parse_version_1(received);
  if (agree(received, kSignature)) return parse_version_2(received);
  return kMalformed;
}

}  // namespace tallygate::net
