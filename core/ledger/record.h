// The records of the journal: every change of a link's meters, as it was decided.
//
// A record says what happened, not what was asked, so that replaying needs no rule and no clock.
// README.md in this folder gives the bytes. Values only; callable from any thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/ledger/event.h"
#include "core/ledger/meter.h"
#include "core/shop/word.h"

namespace tallygate::ledger {

// XXH3-128 of a link's id: the key of the table of links.
struct LinkKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const LinkKey&, const LinkKey&) = default;
};
[[nodiscard]] LinkKey link_key(std::string_view link_id) noexcept;

struct LinkKeyHash {
  std::size_t operator()(const LinkKey& key) const noexcept {
    return static_cast<std::size_t>(key.low);  // already a hash
  }
};

// The link is used: for the first time, or for another file or version than before.
struct Used {
  std::string parent_id;  // folder links: whose row holds state and expiry
  std::string path;       // decoded
  friend bool operator==(const Used&, const Used&) = default;
};
// What genuine URLs of the link have carried so far.
struct Signed {
  bool seen = false;                       // any at all
  Limit limit;                             // the largest `n`; nullopt: one was unlimited
  std::optional<std::int64_t> expires_at;  // the latest `e`
  friend bool operator==(const Signed&, const Signed&) = default;
};
// What the shop says. A row whose creation was acknowledged and that is gone is revoked.
struct Spoken {
  bool row_known = false;
  shop::Word word;
  friend bool operator==(const Spoken&, const Spoken&) = default;
};
struct LimitSet {
  Limit limit;
  friend bool operator==(const LimitSet&, const LimitSet&) = default;
};
struct Opened {
  VersionKey version;
  std::uint64_t size = 0;
  std::uint32_t flight = 0;
  std::uint64_t first = 0;
  std::uint64_t upto = 0;
  std::uint64_t last = 0;
  bool late = false;
  friend bool operator==(const Opened&, const Opened&) = default;
};
struct Leased {
  std::uint32_t flight = 0;
  std::uint64_t upto = 0;
  friend bool operator==(const Leased&, const Leased&) = default;
};
struct Settled {
  std::uint32_t flight = 0;
  std::uint64_t acked = 0;
  friend bool operator==(const Settled&, const Settled&) = default;
};
struct Closed {
  std::uint32_t flight = 0;
  std::uint64_t acked = 0;
  std::uint64_t left = 0;
  bool completed = false;
  friend bool operator==(const Closed&, const Closed&) = default;
};
// Settled bytes of a transfer that has no lease in the journal: its link is unlimited.
struct Delivered {
  VersionKey version;
  std::uint64_t size = 0;
  std::uint64_t first = 0;
  std::uint64_t acked = 0;
  std::uint64_t left = 0;
  bool completed = false;
  friend bool operator==(const Delivered&, const Delivered&) = default;
};
// The process had died before this point: everything leased is in doubt.
struct Crashed {
  friend bool operator==(const Crashed&, const Crashed&) = default;
};
// The link expired long ago: nothing is known of it any more.
struct Forgotten {
  friend bool operator==(const Forgotten&, const Forgotten&) = default;
};
// The process that held this transfer is gone, and with it what it knew: its lease is in doubt.
struct Lost {
  std::uint32_t flight = 0;
  friend bool operator==(const Lost&, const Lost&) = default;
};
// What a crash had left in doubt did arrive, as the shop knows: it may not be fetched once more.
struct Resolved {
  friend bool operator==(const Resolved&, const Resolved&) = default;
};

using Change = std::variant<Used, Signed, Spoken, LimitSet, Opened, Leased, Settled, Closed,
                            Delivered, TransferEnded, Crashed, Forgotten, Resolved, Lost>;
struct Record {
  std::string link_id;  // at most 255 bytes, never empty
  Change what;
  friend bool operator==(const Record&, const Record&) = default;
};

// Records on their way to the journal, and the events that they cause.
struct Entries {
  std::string bytes;
  std::uint32_t records = 0;
  std::vector<Event> events;  // Event::seq counts from the first record of these entries
  bool wants_events = true;   // false: nobody follows, `events` stays empty
  [[nodiscard]] bool empty() const { return records == 0; }
  void clear() {
    bytes.clear();
    records = 0;
    events.clear();
  }
};

// Appends the encoded record. Cost: its size. `what` is one of the alternatives of Change.
template <class What>
void append(Entries& entries, std::string_view link_id, const What& what);

// The id of the first record of `bytes` and the record's length; nullopt: no record begins there.
// Whether its fields make sense is not looked at.
struct RecordHead {
  std::string_view link_id;
  std::size_t bytes = 0;
};
[[nodiscard]] std::optional<RecordHead> peek_record(std::string_view bytes);

// Takes the first record off `bytes`; nullopt: the bytes are not a record (`bytes` is unchanged).
// Lengths are checked before anything is allocated.
[[nodiscard]] std::optional<Record> take_record(std::string_view& bytes);

}  // namespace tallygate::ledger
