// The answers of /v1/live and /v1/transfers as values.
//
// The command may be older or newer than the server that it asks: what is missing is zero, what is
// not known is passed over.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"

namespace tallygate::top {

struct Shop {
  std::string engine;
  bool reachable = false;
  std::int64_t lag_seconds = 0;
  std::uint64_t copies_waiting = 0;
};

// Totals only grow while the server runs.
struct Live {
  std::int64_t now_ms = 0;      // unix
  std::int64_t started_at = 0;  // unix seconds
  std::string version;
  std::string status;  // "ok", "degraded", "failed", "draining"
  std::uint64_t connections = 0;
  std::uint64_t transfers = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t requests = 0;
  std::uint64_t copies = 0;
  std::vector<std::pair<std::string, std::uint64_t>> refusals;  // by name
  std::uint64_t syncs = 0;
  std::vector<std::pair<double, std::uint64_t>>
      syncs_up_to;  // so many took at most so many seconds
  std::optional<Shop> shop;
};

struct Transfer {
  std::string id;
  std::string link;
  std::string path;
  std::string client;
  std::int64_t started_at_ms = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_total = 0;
  std::uint64_t rate = 0;  // bytes per second over its life
  bool tls = false;
};

struct Transfers {
  std::uint64_t total = 0;
  std::vector<Transfer> list;  // perhaps not all of them
};

// The error is a sentence: this is no such answer.
[[nodiscard]] Result<Live, std::string> read_live(std::string_view json);
[[nodiscard]] Result<Transfers, std::string> read_transfers(std::string_view json);

// Why the server is not well, by its /healthz; empty: it does not say.
[[nodiscard]] std::string read_reasons(std::string_view json);

}  // namespace tallygate::top
