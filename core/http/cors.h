// Which pages of other origins may read our answers (Fetch standard, CORS protocol).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tallygate::http {

// What one answer says about it.
struct CorsGrant {
  std::string_view allow_origin;  // value of Access-Control-Allow-Origin; empty: no such field
  bool vary = false;              // the answer depends on Origin, so caches must know
};

// Immutable; callable from any thread.
class CorsPolicy {
 public:
  // Origins as browsers write them ("https://shop.example"), or "*" for all; none: no CORS.
  explicit CorsPolicy(std::vector<std::string> origins = {});

  // The grant for a request with this Origin field. Views the policy's own text, never the peer's.
  [[nodiscard]] CorsGrant grant(std::optional<std::string_view> origin) const noexcept;

 private:
  std::vector<std::string> origins_;
  bool any_ = false;
};

}  // namespace tallygate::http
