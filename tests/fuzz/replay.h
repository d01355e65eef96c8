// Runs a target's corpus as a case of GoogleTest. Included by target.h.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace tallygate::fuzz {

// The beginnings of longer inputs cost more than they find.
inline constexpr std::size_t kCutBytesMax = 600;

inline void replay(const std::string& name, void (*target)(std::string_view)) {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(TALLYGATE_CORPUS "/" + name)) {
    files.push_back(file.path());
  }
  ASSERT_FALSE(files.empty());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    current_input = file.string();
    target(bytes);
    if (bytes.size() > kCutBytesMax) continue;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      current_input = file.string() + ", its first " + std::to_string(size) + " bytes";
      // In memory of its own, so that a look behind its end is noticed.
      const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      target({cut.data(), cut.size()});
    }
  }
  current_input.clear();
}

}  // namespace tallygate::fuzz

#define TALLYGATE_FUZZ(name)                      \
  static void run_target(std::string_view input); \
  TEST(FuzzCorpus, name) {                        \
    ::tallygate::fuzz::replay(#name, run_target); \
  }                                               \
  static void run_target(std::string_view input)
