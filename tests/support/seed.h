// Chance that can be repeated: TALLYGATE_SEED in the environment, or a fresh seed.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace tallygate {

inline std::uint64_t test_seed() {
  if (const char* given = std::getenv("TALLYGATE_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device()();
}

inline std::string seed_note(std::uint64_t seed) {
  return "replay with TALLYGATE_SEED=" + std::to_string(seed);
}

}  // namespace tallygate
