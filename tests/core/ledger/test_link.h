// A link and the requests that customers make of it, for the tests of the counting rule.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <ostream>
#include <span>
#include <vector>

#include "core/ledger/meter.h"

namespace tallygate::ledger {

enum class Answer : std::uint8_t { ok, cut, exhausted, traffic, busy };

inline void PrintTo(Answer answer, std::ostream* out) {
  constexpr const char* kNames[] = {"ok", "cut", "exhausted", "traffic", "busy"};
  *out << kNames[static_cast<int>(answer)];
}

inline Answer to_answer(Refusal refusal) {
  switch (refusal) {
    case Refusal::exhausted:
      return Answer::exhausted;
    case Refusal::traffic:
      return Answer::traffic;
    default:
      return Answer::busy;
  }
}

inline VersionKey version(std::uint64_t n) {
  return {n};
}

// What a request asks for and how it goes; the defaults are a plain GET that succeeds.
struct Request {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> last = {};  // absent: to the end
  std::optional<std::uint64_t> break_at =
      {};                            // bytes of the body that leave before the line breaks
  std::uint64_t unacknowledged = 0;  // of these, how many the peer never acknowledged
  std::uint64_t version_number = 1;
};

class TestLink {
 public:
  explicit TestLink(Limit limit, std::uint32_t waste_permille = 2000) : meters(waste_permille) {
    meters.set_limit(limit);
  }

  Answer get(std::uint64_t size, const Request& request = {}) {
    const Span range{request.first, request.last.value_or(size)};
    const auto flight = admit(size, range, request.version_number);
    if (!flight) return to_answer(flight.error());
    const std::uint64_t sent = request.break_at.value_or(range.bytes());
    if (sent > 0 && !meters.lease(*flight, range.first + sent)) {
      meters.close(*flight, 0, false);
      return Answer::traffic;
    }
    const std::uint64_t lost = std::min(sent, request.unacknowledged);
    meters.settle(*flight, sent - lost);
    meters.close(*flight, lost, sent == range.bytes());
    return sent == range.bytes() || request.break_at ? Answer::ok : Answer::cut;
  }

  Result<std::uint32_t, Refusal> admit(std::uint64_t size, Span range, std::uint64_t number = 1) {
    return meters.admit(version(number), size, std::span(&range, 1));
  }

  // Leases, delivers and closes what is left of `flight`.
  Answer finish(std::uint32_t flight) {
    const Flight before = *meters.find(flight);
    if (!meters.lease(flight, before.last)) {
      meters.close(flight, 0, false);
      return Answer::traffic;
    }
    meters.settle(flight, before.last - before.first);
    meters.close(flight, 0, true);
    return Answer::ok;
  }

  [[nodiscard]] std::uint64_t used() const {
    const Limit limit = meters.limit();
    return limit ? std::min<std::uint64_t>(meters.counted(), *limit) : meters.counted();
  }

  Meters meters;
};

}  // namespace tallygate::ledger
