// The bytes under a link's MAC, in pieces, so that nobody has to join them.
//
//     tallygate-link-1\n
//     path:<decoded path>\n      or      prefix:/<first p segments, decoded>/\n
//     <the token as received, up to but without ".s…">
//
// No piece can hold the line feed that ends it, so nothing slides from one into the next. The first
// line keeps the key's other uses apart.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "core/link/path.h"

namespace tallygate::link {

struct SignedBytes {
  std::array<std::string_view, 5> parts;

  // The exact path, or the folder with a slash at its end.
  [[nodiscard]] std::string_view scope() const noexcept { return parts[2]; }
};

// `scope` is a folder if it ends with a slash; no file's path does.
[[nodiscard]] inline SignedBytes signed_bytes(std::string_view scope,
                                              std::string_view token_text) noexcept {
  const std::string_view label = scope.ends_with('/') ? "prefix:" : "path:";
  return {{"tallygate-link-1\n", label, scope, "\n", token_text}};
}

// Of a request for `path` under a token that signs its first `folder_segments` segments (0: all).
[[nodiscard]] inline SignedBytes signed_bytes(std::string_view path, std::uint32_t folder_segments,
                                              std::string_view token_text) noexcept {
  return signed_bytes(folder_segments == 0 ? path : leading_folder(path, folder_segments),
                      token_text);
}

}  // namespace tallygate::link
