// Appends text to a buffer of the caller's and notices when it does not fit.
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <span>
#include <string_view>

namespace tallygate::http {

// After an overflow nothing more is written and `text()` is empty: half a head is never sent.
class TextWriter {
 public:
  explicit TextWriter(std::span<char> out) noexcept : out_(out) {}

  TextWriter& put(std::string_view text) noexcept {
    if (overflowed_ || text.size() > out_.size() - size_) {
      overflowed_ = true;
      return *this;
    }
    std::copy_n(text.data(), text.size(), out_.data() + size_);
    size_ += text.size();
    return *this;
  }
  TextWriter& put(char c) noexcept { return put(std::string_view(&c, 1)); }
  TextWriter& put(std::uint64_t number) noexcept {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return put(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
  }

  [[nodiscard]] std::string_view text() const noexcept {
    return overflowed_ ? std::string_view() : std::string_view(out_.data(), size_);
  }

 private:
  std::span<char> out_;
  std::size_t size_ = 0;
  bool overflowed_ = false;
};

}  // namespace tallygate::http
