#include "core/net/address_key.h"

#include <cstddef>

namespace tallygate::net {

std::uint64_t address_key(const link::IpAddress& address) noexcept {
  constexpr std::uint64_t kV4 = 0xffff;
  const bool is_v4 = address.is_v4();
  const std::size_t first = is_v4 ? 12 : 0;
  const std::size_t count = is_v4 ? 4 : 8;
  std::uint64_t key = is_v4 ? kV4 : 0;
  for (std::size_t i = first; i < first + count; ++i) key = key << 8 | address.bytes()[i];
  return key;
}

}  // namespace tallygate::net
