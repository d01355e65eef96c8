// One link in the ledger: who it is, what was signed, what the shop says, its meters, and what of
// all that the journal and the shop have yet to be told.
//
// Every change goes through here and leaves records and events in `Entries`; replaying the records
// on a fresh Account gives the same Account. An account without a transfer in flight is kept as an
// image, some twenty bytes: account_image.cc has both directions. Pure: not thread-safe, owned by
// the shard that holds it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/recycled.h"
#include "core/ledger/meter.h"
#include "core/ledger/record.h"

namespace tallygate::ledger {

// What is asked before the first byte of an answer leaves.
struct AdmitRequest {
  std::string_view link_id;
  std::string_view parent_id;              // folder links: whose row holds state and expiry
  std::string_view path;                   // decoded
  Limit signed_limit;                      // the URL's `n`; nullopt: unlimited
  std::optional<std::int64_t> expires_at;  // the URL's `e`
  shop::Word word;  // in force: the link's own row combined with its folder's
  VersionKey version;
  std::uint64_t size = 0;
  std::span<const Span> ranges;    // disjoint, within `size`; at most kFlightsMax
  std::uint64_t window_bytes = 0;  // length of the first lease
};

struct Admitted {
  std::uint32_t first_flight = 0;  // ids are consecutive, one for each range
  std::uint64_t upto = 0;          // bytes of the first range before it are leased
  bool counted = false;            // the link has a limit: no byte leaves before this is durable
};

enum class LeaseAnswer : std::uint8_t {
  refused,  // the traffic that the limit pays for is used up: end the transfer
  granted,  // once it is durable
  free,     // the link is unlimited: at once
};

// Who a link is.
struct Identity {
  std::string id;
  std::string parent_id;  // folder links: whose row holds state and expiry
  std::string path;       // of the file last asked for; empty: the files on disk have it
  bool used = false;      // was admitted once
  friend bool operator==(const Identity&, const Identity&) = default;
};

// What an operator or the shop is shown.
struct AccountView {
  Identity identity;
  Signed signed_terms;
  Spoken spoken;
  Limit limit;  // of this edge: the shop's word or as signed, less what other edges delivered
  std::uint64_t counted = 0;
  std::uint64_t copies = 0;
  std::uint64_t traffic_bytes = 0;
  std::size_t in_flight = 0;
  Blocked blocked = Blocked::none;
  bool unfinished_copy = false;
};

class Account final : public Recycled<Account> {
 public:
  Account(std::uint32_t waste_permille, std::string_view link_id) : meters_(waste_permille) {
    identity_.id = link_id;
  }
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  // -- a download
  [[nodiscard]] Result<Admitted, Refusal> admit(const AdmitRequest& request, Entries& out);
  // What `admit` would say to a whole GET, reserving nothing. For HEAD.
  [[nodiscard]] std::optional<Refusal> peek(const AdmitRequest& request);
  [[nodiscard]] LeaseAnswer lease(std::uint32_t flight, std::uint64_t upto, Entries& out);
  // Both return the copies that this completed.
  std::uint32_t settle(std::uint32_t flight, std::uint64_t acked, Entries& out);
  std::uint32_t close(std::uint32_t flight, std::uint64_t acked, std::uint64_t left, bool completed,
                      Entries& out);

  // -- a process hands the ledger over to another one
  // Leases every transfer in flight to its end, unlimited ones as well, so that the journal has all
  // of them. One that the traffic left does not pay for keeps the lease that it has.
  void lease_all(Entries& out);
  // Bytes before it are leased; 0: no such transfer is in flight.
  [[nodiscard]] std::uint64_t leased_upto(std::uint32_t flight) const;
  // Nobody will say what became of the transfer: what is leased and not settled counts as
  // delivered, and is in doubt. Nothing happens if it is over.
  void lose(std::uint32_t flight, Entries& out);

  // -- the shop
  // `own`: what the link's own row says; `in_force`: that, combined with its folder's.
  void hear(const shop::Word& own, const shop::Word& in_force, Entries& out);
  // The row is there, as its creation was acknowledged: if it is gone later, that is a revocation.
  void row_acknowledged(Entries& out);
  // There is no row (any more). True if that revokes the link.
  bool row_gone(Entries& out);
  // What crashes left in doubt is known to have arrived.
  void resolve_doubt(Entries& out);

  // -- recovery
  // Applies a change as it was journalled. False: it makes no sense here; the account is unusable.
  [[nodiscard]] bool replay(const Change& what, Entries& out);
  // -- at rest: everything but the id, the parent's and the path
  void write_image(std::string& out) const;
  // Into a fresh account. False: no such image was ever written; the account is unusable. `is_own`:
  // write_image() made it, as a checksum or this process vouches, and what its layers hold is not
  // looked through again.
  [[nodiscard]] bool read_image(std::string_view image, bool is_own = false);

  [[nodiscard]] AccountView view() const;
  [[nodiscard]] const Identity& identity() const { return identity_; }
  [[nodiscard]] const Spoken& spoken() const { return spoken_; }
  [[nodiscard]] const Signed& signed_terms() const { return signed_; }
  [[nodiscard]] bool unfinished_copy() const { return meters_.unfinished_copy(); }
  [[nodiscard]] std::size_t in_flight() const { return meters_.flights(); }
  [[nodiscard]] const auto& flights() const { return meters_.all_flights(); }
  // Nothing has been recorded of it: as if it had never been asked for.
  [[nodiscard]] bool is_blank() const {
    return !identity_.used && !signed_.seen && spoken_ == Spoken{} && in_flight() == 0;
  }

 private:
  template <class What>
  void record(const What& what, Entries& out) const {
    append(out, identity_.id, what);
  }
  void note_signed(const AdmitRequest& request, Entries& out);
  void use_limit(const shop::Word& in_force, Entries& out);
  void adopt_flights(Entries& out);
  void take_word(const Spoken& spoken);
  std::uint32_t deliver(std::uint32_t flight, std::uint64_t acked, Entries& out);
  std::uint32_t end(std::uint32_t flight, std::uint64_t acked, std::uint64_t left, bool completed,
                    Entries& out);
  void count_detached(std::uint32_t reset_gen, std::uint32_t copies, Entries& out);
  void report(Entries& out);
  [[nodiscard]] Blocked blocked_now() const;
  bool apply(const Used& change, Entries& out);
  bool apply(const Signed& change, Entries& out);
  bool apply(const Spoken& change, Entries& out);
  bool apply(const LimitSet& change, Entries& out);
  bool apply(const Opened& change, Entries& out);
  bool apply(const Leased& change, Entries& out);
  bool apply(const Settled& change, Entries& out);
  bool apply(const Closed& change, Entries& out);
  bool apply(const Delivered& change, Entries& out);
  bool apply(const TransferEnded& change, Entries& out);
  bool apply(const Crashed& change, Entries& out);
  bool apply(const Forgotten& change, Entries& out);
  bool apply(const Resolved& change, Entries& out);
  bool apply(const Lost& change, Entries& out);

  Identity identity_;
  Signed signed_;
  Spoken spoken_;
  Meters meters_;
  std::uint64_t reported_ = 0;       // copies that the shop has been told of, in this generation
  Blocked blocked_ = Blocked::none;  // as the shop has been told
};

// A transfer of the link is over: nothing is counted by it, the history wants it.
void record_ended(std::string_view link_id, TransferEnded transfer, Entries& out);

// What an admission asks first: the shop's word, and whether a copy has begun that may be finished
// late.
struct Glance {
  Spoken spoken;
  bool unfinished_copy = false;
};
// Of an account at rest, without reading the rest of it: its cost does not grow with the fragments.
// nullopt: not an image.
[[nodiscard]] std::optional<Glance> image_glance(std::string_view image);

// What decides how long an image is kept, without the rest of it. nullopt: not an image.
struct ImageTerms {
  std::optional<std::int64_t> expires_at;  // the shop's word, else as signed
  bool in_flight = false;
};
[[nodiscard]] std::optional<ImageTerms> image_terms(std::string_view image);

}  // namespace tallygate::ledger
