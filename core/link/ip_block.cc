#include "core/link/ip_block.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace tallygate::link {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

// "/0" to "/128", without the slash; no sign, no leading zero.
std::optional<unsigned> parse_prefix_bits(std::string_view text) noexcept {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return bits;
}

}  // namespace

IpAddress IpAddress::v4(const std::array<std::uint8_t, 4>& bytes) noexcept {
  IpAddress address;
  std::copy(kMapped.begin(), kMapped.end(), address.bytes_.begin());
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin() + kMapped.size());
  return address;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) noexcept {
  IpAddress address;
  address.bytes_ = bytes;
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) noexcept {
  // inet_pton wants a NUL at the end; one within the text would hide the rest of it.
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size()) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated.begin());

  if (text.find(':') != std::string_view::npos) {
    std::array<std::uint8_t, 16> bytes{};
    if (inet_pton(AF_INET6, terminated.data(), bytes.data()) != 1) return std::nullopt;
    return v6(bytes);
  }
  std::array<std::uint8_t, 4> bytes{};
  if (inet_pton(AF_INET, terminated.data(), bytes.data()) != 1) return std::nullopt;
  return v4(bytes);
}

bool IpAddress::is_v4() const noexcept {
  return std::equal(kMapped.begin(), kMapped.end(), bytes_.begin());
}

IpText IpAddress::text() const noexcept {
  static_assert(sizeof(IpText::chars_) == INET6_ADDRSTRLEN);
  IpText text;
  const bool four = is_v4();
  inet_ntop(four ? AF_INET : AF_INET6, bytes_.data() + (four ? kMapped.size() : 0),
            text.chars_.data(), INET6_ADDRSTRLEN);
  text.size_ = static_cast<std::uint8_t>(std::string_view(text.chars_.data()).size());
  return text;
}

std::optional<IpBlock> IpBlock::parse(std::string_view text) noexcept {
  const auto slash = text.find('/');
  const auto address_text = text.substr(0, slash);
  const auto base = IpAddress::parse(address_text);
  if (!base) return std::nullopt;
  if (slash == std::string_view::npos) return IpBlock(*base, 128);

  auto bits = parse_prefix_bits(text.substr(slash + 1));
  if (!bits) return std::nullopt;
  const bool dotted_only = address_text.find(':') == std::string_view::npos;
  if (*bits > (dotted_only ? 32U : 128U)) return std::nullopt;
  if (dotted_only) *bits += kMappedBits;
  if (base->is_v4() && *bits < kMappedBits) return std::nullopt;
  return IpBlock(*base, *bits);
}

bool IpBlock::contains(const IpAddress& address) const noexcept {
  if (address.is_v4() != base_.is_v4()) return false;
  const auto& ours = base_.bytes();
  const auto& theirs = address.bytes();
  const auto whole = prefix_bits_ / 8;
  if (!std::equal(ours.begin(), ours.begin() + whole, theirs.begin())) return false;
  const auto rest = prefix_bits_ % 8;
  if (rest == 0) return true;
  return (ours[whole] ^ theirs[whole]) >> (8 - rest) == 0;
}

std::string IpBlock::to_string() const {
  auto text = base_.to_string();
  if (prefix_bits_ < 128) {
    text += '/';
    text += std::to_string(prefix_bits_ - (base_.is_v4() ? kMappedBits : 0));
  }
  return text;
}

}  // namespace tallygate::link
