// A string of bounded length that lives where it is declared and never allocates.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tallygate {

// Holds up to `Max` bytes. Appending beyond that is a bug of the caller: check `fits` first.
template <std::size_t Max>
class FixedString {
  static_assert(Max <= 255);

 public:
  constexpr FixedString() = default;
  constexpr explicit FixedString(std::string_view text) { append(text); }

  [[nodiscard]] static constexpr bool fits(std::string_view text) { return text.size() <= Max; }
  constexpr void append(std::string_view text) {
    const auto n = std::min(text.size(), Max - size_);
    std::copy_n(text.data(), n, bytes_.data() + size_);
    size_ = static_cast<std::uint8_t>(size_ + n);
  }
  constexpr void clear() { size_ = 0; }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
  [[nodiscard]] constexpr std::size_t size() const { return size_; }
  [[nodiscard]] constexpr std::string_view view() const { return {bytes_.data(), size_}; }
  [[nodiscard]] std::string str() const { return std::string(view()); }
  friend constexpr bool operator==(const FixedString& a, const FixedString& b) {
    return a.view() == b.view();
  }

 private:
  std::array<char, Max> bytes_{};
  std::uint8_t size_ = 0;
};

}  // namespace tallygate
