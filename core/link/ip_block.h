// IP addresses and blocks of them, as values.
//
// Nothing here allocates, except the `to_string`s. IPv4 addresses written as IPv6
// (::ffff:192.0.2.1) are IPv4: a listener on "::" sees every IPv4 client that way.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tallygate::link {

// The text of an address, in its own memory.
class IpText {
 public:
  [[nodiscard]] std::string_view view() const noexcept { return {chars_.data(), size_}; }

 private:
  friend class IpAddress;
  std::array<char, 46> chars_{};  // INET6_ADDRSTRLEN
  std::uint8_t size_ = 0;
};

class IpAddress {
 public:
  // In network byte order, as asio's to_bytes() yields them.
  [[nodiscard]] static IpAddress v4(const std::array<std::uint8_t, 4>& bytes) noexcept;
  [[nodiscard]] static IpAddress v6(const std::array<std::uint8_t, 16>& bytes) noexcept;
  // Without zone, port or brackets.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text) noexcept;

  [[nodiscard]] bool is_v4() const noexcept;
  // IPv4 in its last four bytes, behind ::ffff:.
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }
  [[nodiscard]] IpText text() const noexcept;
  [[nodiscard]] std::string to_string() const { return std::string(text().view()); }
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

// An address, or all addresses that share its first bits.
class IpBlock {
 public:
  // "192.0.2.7", "192.0.2.0/24", "2001:db8::/64". Bits behind the prefix are ignored. nullopt: not
  // such a text, a prefix longer than the address, or a block with addresses of both families.
  [[nodiscard]] static std::optional<IpBlock> parse(std::string_view text) noexcept;

  // Never true for an address of the other family.
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;
  [[nodiscard]] std::string to_string() const;

 private:
  IpBlock(const IpAddress& base, unsigned prefix_bits) : base_(base), prefix_bits_(prefix_bits) {}

  IpAddress base_;
  unsigned prefix_bits_;  // of the 128; IPv4 begins at 96
};

}  // namespace tallygate::link
