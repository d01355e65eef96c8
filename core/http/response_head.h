// The heads of all answers, each with its fields in one fixed order.
//
// Every function writes into `out` and returns the head as a view of it, or an empty view if it
// does not fit; kResponseHeadBytesMax always does. No allocation. A HEAD request gets the same head
// as GET, without the body.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/http/cors.h"
#include "core/http/multipart.h"
#include "core/http/problem.h"
#include "core/http/range.h"

namespace tallygate::http {

inline constexpr std::size_t kResponseHeadBytesMax = 4096;
inline constexpr std::string_view kDefaultCacheControl = "private, no-transform";

// What becomes of the connection after the answer (RFC 9112 §9.3).
enum class Persistence : std::uint8_t {
  implied,     // HTTP/1.1 goes on: nothing to say
  keep_alive,  // HTTP/1.0 goes on: has to be said
  close,
};
[[nodiscard]] constexpr Persistence persistence(unsigned version, bool keep_alive) {
  if (!keep_alive) return Persistence::close;
  return version == 10 ? Persistence::keep_alive : Persistence::implied;
}

// What every answer says.
struct Common {
  std::string_view date;  // format_date(now); a worker formats it once a second
  CorsGrant cors;
  Persistence persistence = Persistence::implied;
};

// What is said about one version of a file. The texts are made once, when it is opened; one from
// outside that has a control character in it is left out.
struct Representation {
  std::uint64_t size = 0;
  std::string_view etag;           // strong, with its quotes
  std::string_view last_modified;  // format_date(...)
  std::string_view content_type;
  std::string_view content_disposition;  // write_content_disposition(...)
  std::string_view cache_control = kDefaultCacheControl;
};

// 200
[[nodiscard]] std::string_view write_whole(std::span<char> out, const Common& common,
                                           const Representation& file) noexcept;
// 206 with one range. The span is not empty and lies in the file.
[[nodiscard]] std::string_view write_range(std::span<char> out, const Common& common,
                                           const Representation& file, ByteSpan span) noexcept;
// 206 with several.
[[nodiscard]] std::string_view write_multipart(std::span<char> out, const Common& common,
                                               const Representation& file,
                                               const Multipart& parts) noexcept;
// 304: what a cache needs to freshen what it has (RFC 9110 §15.4.5), no body.
[[nodiscard]] std::string_view write_not_modified(std::span<char> out, const Common& common,
                                                  const Representation& file) noexcept;
// 204 to OPTIONS. `is_preflight`: the request has Access-Control-Request-Method.
[[nodiscard]] std::string_view write_options(std::span<char> out, const Common& common,
                                             bool is_preflight) noexcept;

// A refusal; its body is problem_json or problem_page, of `body_bytes` bytes.
enum class ProblemForm : std::uint8_t { json, page };
// `file_size`: for 416 only, and only where the link was genuine.
[[nodiscard]] std::string_view write_problem(
    std::span<char> out, const Common& common, Problem problem, ProblemForm form,
    std::uint64_t body_bytes, std::optional<std::uint64_t> file_size = std::nullopt) noexcept;

}  // namespace tallygate::http
