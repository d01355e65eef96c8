#include "core/net/capacity.h"

#include <algorithm>
#include <limits>

namespace tallygate::net {

std::uint64_t descriptors_reserved(const Equipment& equipment) noexcept {
  const std::uint64_t of_worker =
      kDescriptorsOfWorker + equipment.listeners + 2 * equipment.pipes_max;
  return kDescriptorsOfProcess + equipment.threads * of_worker;
}

std::uint64_t connections_within(std::uint64_t descriptors, const Equipment& equipment) noexcept {
  const std::uint64_t for_all = descriptors - descriptors / kOpenFilesShare;
  const std::uint64_t reserved = descriptors_reserved(equipment);
  return for_all <= reserved ? 0 : for_all - reserved;
}

std::uint64_t descriptors_for(std::uint64_t connections, const Equipment& equipment) noexcept {
  const std::uint64_t for_all = connections + descriptors_reserved(equipment);
  // d - d / share >= for_all; from there on every further one may be the cache's.
  return for_all + (for_all - 1) / (kOpenFilesShare - 1);
}

int descriptors_below(std::uint64_t descriptors) noexcept {
  constexpr std::uint64_t kMost = std::numeric_limits<int>::max();
  return static_cast<int>(
      std::min(kMost, descriptors - std::min(descriptors, kDescriptorsOfProcess)));
}

}  // namespace tallygate::net
