#include "core/shop/word.h"

#include <algorithm>

namespace tallygate::shop {
namespace {

template <class T>
std::optional<T> first_of(std::optional<T> preferred, std::optional<T> otherwise) {
  return preferred ? preferred : otherwise;
}

}  // namespace

Word combine(const Word& own, const Word& parent) noexcept {
  Word word = own;
  word.max_copies = first_of(own.max_copies, parent.max_copies);
  word.not_before = first_of(own.not_before, parent.not_before);
  word.expires_at = first_of(own.expires_at, parent.expires_at);
  word.state = std::max(own.state, parent.state);
  return word;
}

std::optional<std::uint32_t> effective_limit(const Word& word,
                                             std::optional<std::uint32_t> signed_limit) noexcept {
  auto limit = signed_limit;
  if (word.max_copies) {
    if (*word.max_copies < 0) return std::nullopt;
    limit = static_cast<std::uint32_t>(*word.max_copies);
  }
  if (!limit) return std::nullopt;
  const auto elsewhere = std::min<std::uint64_t>(word.used_elsewhere, *limit);
  return *limit - static_cast<std::uint32_t>(elsewhere);
}

std::optional<std::int64_t> effective_expiry(const Word& word,
                                             std::optional<std::int64_t> signed_expiry) noexcept {
  return first_of(word.expires_at, signed_expiry);
}

std::optional<std::int64_t> effective_start(const Word& word,
                                            std::optional<std::int64_t> signed_start) noexcept {
  return first_of(word.not_before, signed_start);
}

}  // namespace tallygate::shop
