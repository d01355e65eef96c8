// What a reload replaces: the settings, the keys, and what follows from them.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/config/settings.h"
#include "core/http/cors.h"
#include "core/http/forwarded.h"
#include "core/link/ip_block.h"
#include "core/link/keyring.h"

namespace tallygate::net {

// All of it, made at once and never changed; any thread. Each worker has a pointer to the one in
// force and never looks at another thread's (Worker::policy); a request keeps the one that it began
// with (Connection::policy); who is on no worker asks Policies::current.
struct Policy {
  std::uint64_t generation = 1;  // the start is the first, each reload one more
  std::int64_t loaded_at = 0;    // unix seconds
  // Settings that need a restart are here as the process runs with them.
  config::Settings settings;
  std::shared_ptr<const link::Keyring> keyring;
  http::CorsPolicy cors;
  std::vector<link::IpBlock> trusted_proxies;
  std::string admin_token;                  // empty: none
  std::vector<std::string> restart_needed;  // settings whose new value waits for a restart

  // As the rules want it; good as long as this is.
  [[nodiscard]] http::TrustedProxies proxies() const {
    return {trusted_proxies, settings.server.forwarded_field == config::ForwardedField::forwarded
                                 ? http::ForwardedField::forwarded
                                 : http::ForwardedField::x_forwarded_for};
  }
};

using SharedPolicy = std::shared_ptr<const Policy>;

// The same policy behind a reference count of its own, so that those who count on different threads
// do not get in each other's way.
[[nodiscard]] SharedPolicy with_own_count(SharedPolicy policy);

// What a reload came to.
struct Reloaded {
  enum class Outcome : std::uint8_t {
    done,
    refused,  // for the mistakes, and nothing was changed
    ending,   // there was none: the process ends
  };
  Outcome outcome = Outcome::done;
  std::uint64_t generation = 0;  // in force now
  std::vector<std::string> restart_needed;
  std::vector<std::string> mistakes;  // lines for the operator: "file:line: message"
};

// Which policy is in force, and how the reloads went. Any thread; short locks, not for a download.
class Policies {
 public:
  explicit Policies(SharedPolicy first) : current_(std::move(first)) {}

  [[nodiscard]] SharedPolicy current() const;

  struct Reloads {
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    // Of the last one, if it failed; else 0 and nothing. For a gauge: last_failed().
    std::int64_t failed_at = 0;
    std::vector<std::string> mistakes;
    [[nodiscard]] bool last_failed() const { return failed_at != 0; }
  };
  [[nodiscard]] Reloads reloads() const;

  // -- whoever reloads; one at a time
  void replace(SharedPolicy policy);
  void note_failure(std::int64_t unix_now, std::vector<std::string> mistakes);

 private:
  mutable std::mutex mutex_;  // guards what follows
  SharedPolicy current_;
  Reloads reloads_;
};

}  // namespace tallygate::net
