// Writes signed URLs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/link/keyring.h"

namespace tallygate::link {

// What a signed URL is to say. Empty or zero: left out.
struct LinkSpec {
  std::string path;                        // decoded: "/music/Größe XL.flac"
  std::uint32_t folder_segments = 0;       // sign this many leading segments instead of the path;
                                           // the path may then be the folder itself: "/music/"
  std::string id;                          // the shop's link id
  std::uint32_t limit = 0;                 // complete copies; needs an id
  std::optional<std::int64_t> expires_at;  // unix seconds; without it the shop's row must have one
  std::optional<std::int64_t> not_before;  // unix seconds
  std::string client;                      // an address or CIDR block
  std::string file_name;
  std::uint32_t rate_kbytes = 0;  // 1000 bytes per second
  std::string data;
  std::string key_id;          // empty: the first key for signing
  bool token_in_path = false;  // as the first path segment instead of a query parameter
};

// What cannot be signed: which member of LinkSpec (or "keyring"), and why, as a sentence's end.
struct SpecMistake {
  std::string_view field;
  std::string message;
  friend bool operator==(const SpecMistake&, const SpecMistake&) = default;
};
// What Result::value() throws where there is a mistake: std::invalid_argument with the message.
[[noreturn]] void throw_exception_from_error(const SpecMistake& mistake,
                                             const boost::source_location& where);

// What `folder_segments` is to be for a link that is good for every file in the folder of `path`,
// or in `path` itself if it ends with a slash.
[[nodiscard]] Result<std::uint32_t, SpecMistake> segments_of_folder(std::string_view path);

// `base_url` ("https://dl.shop.example") with the signed target behind it, or all mistakes. A URL
// that comes out verifies with the same keyring, in its time, for its client; one for a folder
// itself, once a file's name stands behind it.
[[nodiscard]] Result<std::string, std::vector<SpecMistake>> sign_url(std::string_view base_url,
                                                                     const LinkSpec& spec,
                                                                     const Keyring& keys,
                                                                     std::int64_t now);

}  // namespace tallygate::link
