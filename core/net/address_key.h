// Whom connections and lines are counted by: a client's address, as a number.
//
// An IPv6 address counts with all of its /64: that is what one customer is given, and who may pick
// any of 2^64 addresses would never be counted twice (RFC 6177 2; RFC 4291 2.5.4 has 64 bits for
// the interface). Pure, allocates nothing.
#pragma once
#include <cstdint>

#include "core/link/ip_block.h"

namespace tallygate::net {

// The same for addresses that count as one, and for no others: IPv4 is at 0:ffff::/32, which is
// reserved (RFC 4291 2.4) and so no IPv6 client's.
[[nodiscard]] std::uint64_t address_key(const link::IpAddress& address) noexcept;

}  // namespace tallygate::net
