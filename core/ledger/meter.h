// The counting rule: how many copies of a file were delivered, and may these bytes be delivered
// too?
//
// "Exact coverage, leased." The copies of a link on one version of a file are the smallest number
// of times that any byte was acknowledged by a peer. A request is admitted only if, with every
// transfer in flight finished, no more copies than the limit could have been put together. Traffic
// is bounded as well: (limit + W) x size + A. Integers only; no clock and no client identity.
//
// Pure: not thread-safe, owned by whoever holds the link's lock. Sizes and positions are bytes.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/recycled.h"
#include "core/base/result.h"
#include "core/content/version.h"
#include "core/ledger/span.h"

namespace tallygate::ledger {

__extension__ using Uint128 = unsigned __int128;

// Transfers of one link at a time: bounds the work of one admission.
inline constexpr std::size_t kFlightsMax = 256;
inline constexpr std::uint64_t kMillion = 1'000'000;

// Path and ETag of what is served, hashed. Equal on every edge that has the same file.
using content::VersionKey;

// A limit in complete copies; nullopt: unlimited.
using Limit = std::optional<std::uint32_t>;

enum class Refusal : std::uint8_t {
  exhausted,    // no copy is left
  traffic,      // the traffic that the limit pays for is used up
  busy,         // every copy that is left is being downloaded at this moment
  unavailable,  // the ledger cannot make the answer durable (never said by the rule itself)
};

// Counters of one link on one version of its file.
struct Meter final : Recycled<Meter> {
  Meter(VersionKey version_key, std::uint64_t size_bytes);

  // A: what may be read beyond the last copy, so that a client that lost part of it can finish.
  [[nodiscard]] std::uint64_t allowance() const;
  // Beyond this many fragments a meter counts traffic only.
  [[nodiscard]] std::size_t fragments_max() const;
  // `n` bytes in millionths of the file, rounded up.
  [[nodiscard]] Uint128 share(std::uint64_t n) const;
  // Nothing was ever delivered.
  [[nodiscard]] bool is_blank() const { return traffic == 0 && copies == 0; }
  // Whether `span`, delivered once more, would leave no more than `fragments_max` fragments.
  [[nodiscard]] bool can_follow(Span span) const;
  // Bytes that left; `late`: when no copy was left. Sums stay at 2^64 - 1, beyond which nothing
  // real comes.
  void add_traffic(std::uint64_t bytes, bool late);
  // Counts [span) as delivered once more; returns the copies that this completed.
  std::uint32_t cover(Span span);
  std::uint32_t take_copies();

  VersionKey version;
  std::uint64_t size;
  std::uint64_t copies = 0;                           // complete copies
  boost::container::small_vector<SpanSet, 1> layers;  // [i]: delivered more than copies + i times
  std::uint64_t traffic = 0;                          // bytes that left
  std::uint64_t tail = 0;       // of these, bytes that left when no copy was left
  std::uint64_t doubt = 0;      // of these, bytes that crashes left in doubt
  std::uint32_t reset_gen = 0;  // of a detached meter: the generation that it counted in
  bool detached = false;        // from before a reset: only transfers admitted then still use it
  friend bool operator==(const Meter&, const Meter&) = default;
};

// One range of one transfer in flight.
struct Flight {
  std::uint32_t id = 0;
  Meter* meter = nullptr;
  std::uint64_t first = 0;  // next byte to be settled
  std::uint64_t upto = 0;   // bytes before it may have left (the lease)
  std::uint64_t last = 0;   // one past the end of what the transfer may deliver
  bool late = false;        // admitted when no copy was left: delivers no new copy
  bool journaled = false;   // its lease is in the journal (always so where the link has a limit)
};

// All meters and flights of one link.
class Meters {
 public:
  // W, in permille of a file, for limits up to 4; grows in proportion beyond. A setting.
  explicit Meters(std::uint32_t waste_permille) : waste_permille_(waste_permille) {}

  // -- what the shop and the customer are shown
  [[nodiscard]] Limit limit() const { return limit_; }
  [[nodiscard]] std::uint64_t copies() const;
  // Copies delivered, or paid for by traffic beyond the waste allowance.
  [[nodiscard]] std::uint64_t counted() const;
  [[nodiscard]] std::uint64_t traffic() const;
  // True when the traffic that is left does not suffice to finish a copy that the limit still
  // allows, of a version of which anything has left yet.
  [[nodiscard]] bool out_of_traffic() const;
  [[nodiscard]] std::size_t flights() const { return flights_.size(); }
  [[nodiscard]] bool unfinished_copy() const;

  // -- decisions
  // All `ranges` of one request, or none; returns the id of the first of ranges.size() consecutive
  // flights. Ranges are disjoint and within `size`.
  [[nodiscard]] Result<std::uint32_t, Refusal> admit(VersionKey version, std::uint64_t size,
                                                     std::span<const Span> ranges);
  // May bytes before `upto` leave (once this is durable)? False: end the transfer.
  [[nodiscard]] bool lease(std::uint32_t flight, std::uint64_t upto);

  // -- what happened
  // `acked` more bytes, in order, were acknowledged by the peer. Returns the copies this completed.
  std::uint32_t settle(std::uint32_t flight, std::uint64_t acked);
  // The transfer ended; `left` bytes left unacknowledged. Returns the copies this completed.
  std::uint32_t close(std::uint32_t flight, std::uint64_t left, bool completed);
  // The process died: what was leased and not settled counts as delivered, and is in doubt.
  void crash();
  // The same for one transfer. Returns the copies that this completed.
  std::uint32_t lose(std::uint32_t flight);
  [[nodiscard]] bool has_doubt() const;
  // What was in doubt did arrive.
  void resolve_doubt();

  // -- what the merchant changed
  void set_limit(Limit limit);
  // As new. Flights admitted before go on against the old meters.
  void reset();

  // -- recovery: the same changes, as the journal has them, without asking again
  Meter& meter(VersionKey version, std::uint64_t size);
  void open(VersionKey version, std::uint64_t size, const Flight& flight);
  void grant(std::uint32_t flight, std::uint64_t upto);
  void deliver_unleased(VersionKey version, std::uint64_t size, Span acked, std::uint64_t left,
                        bool completed);
  // A meter and a flight as an image has them; the flight uses the meter at `index`.
  void restore(Meter meter) { meters_.push_back(std::make_unique<Meter>(std::move(meter))); }
  void restore(Flight flight, std::size_t index);
  // The link has served this version since its last reset, or is serving it.
  [[nodiscard]] bool knows(VersionKey version) const;
  [[nodiscard]] bool has(VersionKey version) const { return current(version) != nullptr; }

  [[nodiscard]] Flight* find(std::uint32_t flight);
  [[nodiscard]] const boost::container::small_vector<std::unique_ptr<Meter>, 1>& meters() const {
    return meters_;
  }
  [[nodiscard]] boost::container::small_vector<Flight, 1>& all_flights() { return flights_; }
  [[nodiscard]] const boost::container::small_vector<Flight, 1>& all_flights() const {
    return flights_;
  }

 private:
  template <class F>
  void each_current(F&& f) const;
  [[nodiscard]] Meter* current(VersionKey version) const;
  [[nodiscard]] Uint128 waste() const;
  [[nodiscard]] std::uint64_t early_flights(const Meter& m) const;
  [[nodiscard]] bool surely_room(std::uint64_t more) const;
  [[nodiscard]] std::uint64_t potential(const Meter& m, std::span<const Span> more) const;
  [[nodiscard]] bool traffic_allows(const Meter& m, std::uint64_t n, bool with_leases) const;
  [[nodiscard]] bool tail_allows(const Meter& m, std::uint64_t n) const;
  std::uint32_t deliver(Flight& flight, std::uint64_t upto);

  std::uint32_t waste_permille_;
  Limit limit_;
  std::uint32_t next_flight_ = 1;
  boost::container::small_vector<std::unique_ptr<Meter>, 1>
      meters_;                                         // pointers stay valid while flights use them
  boost::container::small_vector<Flight, 1> flights_;  // in the order of their ids
};

}  // namespace tallygate::ledger
