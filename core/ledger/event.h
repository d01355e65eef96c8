// What the ledger tells its follower (the shop's sync) once it is on disk.
//
// Events are numbered by the journal: a follower that stores the number of the last one it took,
// in the same transaction as what it made of it, sees each exactly once, whatever crashes.
#pragma once
#include <cstdint>
#include <string>
#include <variant>

namespace tallygate::ledger {

// The link was used for the first time: its row should exist.
struct LinkUsed {
  std::string path;       // of the file first asked for
  std::string parent_id;  // folder links: the id whose row holds state and expiry; else empty
  friend bool operator==(const LinkUsed&, const LinkUsed&) = default;
};

// `copies` more copies of the link count as used. Never negative.
struct CopiesCounted {
  std::uint32_t reset_gen;  // measured in this generation: not charged after a later reset
  std::uint64_t copies;
  friend bool operator==(const CopiesCounted&, const CopiesCounted&) = default;
};

// How a transfer ended; the column tg_download.outcome.
enum class Outcome : std::uint8_t { complete = 0, partial = 1, probe = 2, refused = 3 };

// One transfer (one response body) is over and settled.
struct TransferEnded {
  std::int64_t started_at = 0;  // unix seconds
  std::int64_t ended_at = 0;
  std::uint64_t first = 0;  // the half-open span of the file that was asked for
  std::uint64_t last = 0;
  std::uint64_t bytes_sent = 0;   // body bytes that left, acknowledged or not
  std::uint64_t bytes_acked = 0;  // of these, bytes that the peer acknowledged
  std::uint64_t file_size = 0;
  std::uint64_t version = 0;  // equal for transfers of the same version of the same path
  std::uint32_t copies = 0;   // copies that it completed
  Outcome outcome = Outcome::partial;
  bool whole = false;      // the whole file was asked for, without a range
  std::string client_ip;   // as configured: full, truncated, or empty
  std::string user_agent;  // at most 256 bytes
  friend bool operator==(const TransferEnded&, const TransferEnded&) = default;
};

// The shop's row is blocked for a new reason, or no more (the column tg_link.blocked).
enum class Blocked : std::uint8_t { none = 0, copies = 1, traffic = 2 };
struct BlockedChanged {
  Blocked blocked;
  friend bool operator==(const BlockedChanged&, const BlockedChanged&) = default;
};

struct Event {
  std::uint64_t seq = 0;  // of the journal record it came from; several events may share one
  std::string link_id;    // as in the shop's table, at most 96 bytes
  std::variant<LinkUsed, CopiesCounted, TransferEnded, BlockedChanged> what;
  friend bool operator==(const Event&, const Event&) = default;
};

}  // namespace tallygate::ledger
