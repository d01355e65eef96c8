// The requests that a load client sends: signed and written out before the clock runs, so that
// neither signing nor formatting is measured along with the server.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tallygate::load {

// How the links of each server are signed.
enum class Scheme : std::uint8_t {
  none,         // the path alone
  tallygate,    // HMAC-SHA256 of tallygate's token, key "k1"
  secure_link,  // nginx: MD5 of expiry, path, id and secret
  lua,          // nginx with Lua: HMAC-SHA256 of id, limit, expiry and path
};

struct Wanted {
  Scheme scheme = Scheme::none;
  std::string secret;              // raw bytes
  std::string host = "127.0.0.1";  // of the Host field
  std::vector<std::string> paths;  // decoded, of characters that need no encoding; taken in turn
  std::uint64_t file_bytes = 0;    // of each of them
  std::uint64_t range_bytes = 0;   // 0: whole files; else ranges of this length, anywhere
  std::uint32_t limit = 0;         // complete copies that a link is good for; 0: unlimited
  std::size_t links = 1;           // each with an id that no earlier run has used
  bool close = false;              // asks for the end of the connection
};

// One request and what its answer must be.
struct Request {
  std::string_view text;
  std::uint64_t body_bytes = 0;
  std::uint64_t first_byte = 0;
  bool partial = false;
};

class Requests {
 public:
  explicit Requests(const Wanted& wanted);

  // In order; after the last the first again, or, with `each_once`, null.
  [[nodiscard]] const Request* next(bool each_once) {
    if (next_ == requests_.size()) {
      if (each_once) return nullptr;
      next_ = 0;
    }
    return &requests_[next_++];
  }
  [[nodiscard]] std::size_t size() const { return requests_.size(); }

 private:
  std::string text_;  // of all of them
  std::vector<Request> requests_;
  std::size_t next_ = 0;
};

}  // namespace tallygate::load
