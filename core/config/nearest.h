// The known name that somebody probably meant by a misspelt one.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace tallygate::config {

// Number of bytes to insert, delete, replace, or swap with their neighbour, to turn one into the
// other (optimal string alignment). Cost: the product of the lengths.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

// The name in `known` nearest to `name`, if any is near: up to a third of its letters differ, or
// one of the two is the beginning of the other ("key" for "keyring"); of several that are, the one
// with fewer letters to change. The first of equals.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view name,
                                                      std::span<const std::string_view> known);

}  // namespace tallygate::config
