#include "server/net/room.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

#include "server/http/connection.h"

namespace tallygate::net {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
constexpr std::string_view kWhereToSet = "LimitNOFILE= of the unit, `ulimit -Hn` of a shell";

std::uint64_t descriptors_max(std::uint64_t needed) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kNoLimit;
  if (limit.rlim_cur < needed && limit.rlim_cur < limit.rlim_max) {
    // All of it: the next reload may need more, and nothing here minds large numbers (select(2)).
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur == RLIM_INFINITY ? kNoLimit : limit.rlim_cur;
}

// memory.max of our control group and of all above it (cgroups(7), version 2).
std::uint64_t memory_of_group() {
  std::uint64_t least = kNoLimit;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    constexpr std::string_view kUnified = "0::";
    if (!line.starts_with(kUnified)) continue;
    std::filesystem::path group = line.substr(kUnified.size());
    for (;; group = group.parent_path()) {
      std::ifstream file("/sys/fs/cgroup" + (group / "memory.max").string());
      std::uint64_t bytes = 0;
      if (file >> bytes) least = std::min(least, bytes);  // else it says "max"
      if (group == group.parent_path()) break;
    }
  }
  return least;
}

std::uint64_t memory_max() {
  const auto pages = ::sysconf(_SC_PHYS_PAGES);
  const auto page_bytes = ::sysconf(_SC_PAGESIZE);
  const std::uint64_t machine =
      pages <= 0 || page_bytes <= 0
          ? kNoLimit
          : static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
  return std::min(machine, memory_of_group());
}

std::string size(std::uint64_t bytes) {
  constexpr double kKib = 1024;
  const auto amount = static_cast<double>(bytes);
  if (amount < kKib * kKib) return fmt::format("{:.1f} KiB", amount / kKib);
  if (amount < kKib * kKib * kKib) return fmt::format("{:.0f} MiB", amount / kKib / kKib);
  return fmt::format("{:.1f} GiB", amount / kKib / kKib / kKib);
}

}  // namespace

std::size_t open_files_max(unsigned threads) {
  constexpr std::size_t kMost = 4096;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMost;
  return std::clamp<std::size_t>(limit.rlim_cur / kOpenFilesShare / std::max(1u, threads), 8,
                                 kMost);
}

// Unprivileged processes of one user have 128 pipes of the size that cold files want.
std::size_t pipes_max(unsigned threads) {
  return std::clamp<std::size_t>(128 / std::max(1u, threads), 4, 32);
}

Equipment equipment_of(const config::Settings& settings, unsigned threads) {
  const std::size_t https = settings.tls.is_on() ? settings.tls.listen.size() : 0;
  return {.threads = threads,
          .listeners = settings.server.listen.size() + https,
          .pipes_max = pipes_max(threads)};
}

Room find_room(const config::Settings& settings, unsigned threads) {
  const Equipment equipment = equipment_of(settings, threads);
  Room room;
  room.connections_wanted = settings.server.max_connections;
  room.descriptors_needed = descriptors_for(room.connections_wanted, equipment);
  room.descriptors = descriptors_max(room.descriptors_needed);
  room.connections =
      std::min(room.connections_wanted, connections_within(room.descriptors, equipment));
  room.bytes_each = http::kConnectionBytes;
  room.bytes_each_max = http::kConnectionBytesMax;
  room.memory_bytes = memory_max();
  return room;
}

std::string why_too_small(const Room& room) {
  if (room.connections >= std::min(room.connections_wanted, kConnectionsLeast)) return {};
  return fmt::format(
      "the {} descriptors that the process may have are enough for {} connections: {} are needed "
      "for the {} of server.max_connections; raise the limit ({})",
      room.descriptors, room.connections, room.descriptors_needed, room.connections_wanted,
      kWhereToSet);
}

std::string describe(const Room& room) {
  return fmt::format(
      "room for {} connections: {} of memory each, {} at most, without TLS' "
      "and the kernel's: {} to {} of {}; {} of {} descriptors",
      room.connections, size(room.bytes_each), size(room.bytes_each_max),
      size(room.connections * room.bytes_each), size(room.connections * room.bytes_each_max),
      size(room.memory_bytes), std::min(room.descriptors_needed, room.descriptors),
      room.descriptors == kNoLimit ? "unlimited" : fmt::format("{}", room.descriptors));
}

std::string describe_shortage(const Room& room) {
  if (room.connections < room.connections_wanted) {
    return fmt::format(
        "server.max_connections is {}, and only {} are accepted at a time: the process may have {} "
        "descriptors, and {} are needed; raise the limit ({}) or lower the setting",
        room.connections_wanted, room.connections, room.descriptors, room.descriptors_needed,
        kWhereToSet);
  }
  if (room.connections * room.bytes_each_max > room.memory_bytes) {
    return fmt::format(
        "server.max_connections is {}: so many connections may take {} of memory, and there are "
        "{}; "
        "lower the setting",
        room.connections_wanted, size(room.connections * room.bytes_each_max),
        size(room.memory_bytes));
  }
  return {};
}

}  // namespace tallygate::net
