// The counting rule once more, the obvious way: for every byte of a file, how often it was
// acknowledged. For small files, and histories too short for a meter to have too many fragments; it
// shares nothing with core/ledger/meter.h, which must give the same answers.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tallygate::ledger::naive {

using Bytes = std::int64_t;
using Range = std::pair<Bytes, Bytes>;  // half-open

// One version of the file, as one link has read it.
struct Version {
  Bytes size = 0;
  std::vector<int> acknowledged;  // [byte]: how often a peer has it
  int empty_files = 0;            // an empty file has no bytes to look at
  Bytes left = 0;                 // every byte that left
  Bytes tail = 0;                 // what left when no copy was left
  Bytes doubt = 0;                // what crashes left in doubt
  bool before_reset = false;

  [[nodiscard]] int copies() const {
    if (size == 0) return empty_files;
    return *std::min_element(acknowledged.begin(), acknowledged.end());
  }
  // The least whole number of millionths of the file that `n` bytes fit into.
  [[nodiscard]] Bytes millionths(Bytes n) const {
    if (size == 0) return 0;
    const Bytes whole = n * 1'000'000 / size;
    return whole * size < n * 1'000'000 ? whole + 1 : whole;
  }
  // A, for sizes below 16 MiB, where half of the file is always the smaller.
  [[nodiscard]] Bytes grace() const { return size / 2; }
};

struct Transfer {
  int version = 0;   // index
  Bytes next = 0;    // first byte not yet acknowledged
  Bytes leased = 0;  // bytes before it may have left
  Bytes end = 0;
  bool late = false;
};

class Rule {
 public:
  explicit Rule(Bytes waste_permille) : waste_permille_(waste_permille) {}

  // "admitted", "exhausted", "traffic" or "busy"; when admitted, `ids` are the new transfers.
  std::string admit(int name, Bytes size, const std::vector<Range>& ranges, std::vector<int>& ids) {
    Bytes bytes = 0;
    for (const auto& [first, last] : ranges) bytes += last - first;
    // A version that is refused is forgotten again: it would change nothing.
    const bool was_known = known_.contains(name);
    const int v = was_known ? known_[name] : add_version(name, size);
    const bool late = limit_ && counted() >= *limit_;
    const std::string answer = judge(v, ranges, bytes, late);
    if (answer != "admitted") {
      if (!was_known) forget(name);
      return answer;
    }
    for (const auto& [first, last] : ranges) {
      ids.push_back(next_id_);
      transfers[next_id_++] = {v, first, first, last, late};
    }
    return answer;
  }

  bool lease(int id, Bytes upto) {
    Transfer& t = transfers.at(id);
    if (limit_) {
      const Bytes more = upto - t.leased;
      if (t.late ? !tail_suffices(t.version, more) : !traffic_suffices(t.version, more, true)) {
        return false;
      }
    }
    t.leased = upto;
    return true;
  }

  void settle(int id, Bytes acknowledged) {
    Transfer& t = transfers.at(id);
    Version& v = versions[index(t)];
    for (Bytes i = 0; i < acknowledged; ++i, ++t.next) {
      ++v.left;
      if (t.late) {
        ++v.tail;
      } else {
        ++v.acknowledged[static_cast<std::size_t>(t.next)];
      }
    }
  }

  void close(int id, Bytes unacknowledged, bool completed) {
    const Transfer t = transfers.at(id);
    Version& v = versions[index(t)];
    v.left += unacknowledged;
    if (t.late) v.tail += unacknowledged;
    if (v.size == 0 && completed && !t.late) ++v.empty_files;
    transfers.erase(id);
  }

  void crash() {
    for (const auto& [name, v] : known_) {
      Version& version = versions[static_cast<std::size_t>(v)];
      Bytes bytes = 0;
      Bytes interrupted = 0;
      for (const auto& [id, t] : transfers) {
        if (t.version != v || t.leased == t.next) continue;
        bytes += t.leased - t.next;
        ++interrupted;
      }
      // Bytes in doubt are given once more, but never more than one file for each transfer that
      // broke, nor than the limit in all.
      if (limit_ && *limit_ > 0) interrupted = std::min(interrupted, *limit_);
      const Bytes cap = version.size * interrupted;
      if (version.doubt < cap) version.doubt = std::min(version.doubt + bytes, cap);
    }
    // What may have left counts as delivered.
    while (!transfers.empty()) {
      const auto [id, t] = *transfers.begin();
      if (!versions[index(t)].before_reset) settle(id, t.leased - t.next);
      close(id, 0, true);
    }
  }

  void set_limit(std::optional<Bytes> limit) {
    limit_ = limit;
    if (limit_ && counted() >= *limit_) return;
    for (const auto& [name, v] : known_) versions[static_cast<std::size_t>(v)].tail = 0;
  }

  void reset() {
    for (const auto& [name, v] : known_) versions[static_cast<std::size_t>(v)].before_reset = true;
    known_.clear();
  }

  [[nodiscard]] Bytes copies() const {
    Bytes sum = 0;
    for (const auto& [name, v] : known_) sum += at(v).copies();
    return sum;
  }
  [[nodiscard]] Bytes counted() const {
    Bytes paid = 0;
    for (const auto& [name, v] : known_) {
      paid += at(v).millionths(at(v).left) - at(v).millionths(at(v).doubt);
    }
    if (!limit_) return copies();
    const Bytes beyond = paid - waste();
    return beyond < 0 ? copies() : std::max(copies(), beyond / 1'000'000);
  }
  [[nodiscard]] Bytes traffic() const {
    Bytes sum = 0;
    for (const auto& [name, v] : known_) sum += at(v).left;
    return sum;
  }
  // A copy is still allowed, and the traffic left would not bring it to an end. A version of which
  // nothing has left yet says nothing.
  [[nodiscard]] bool out_of_traffic() const {
    if (!limit_ || copies() >= *limit_) return false;
    if (counted() >= *limit_) return true;
    return std::any_of(known_.begin(), known_.end(), [&](const auto& entry) {
      const Version& v = at(entry.second);
      if (v.left == 0) return false;
      const auto missing = std::count(v.acknowledged.begin(), v.acknowledged.end(), v.copies());
      return !traffic_suffices(entry.second, missing, false);
    });
  }
  [[nodiscard]] std::size_t versions_served() const { return known_.size(); }
  // W, in millionths of the file.
  [[nodiscard]] Bytes waste() const {
    return waste_permille_ * 1000 * std::max<Bytes>(4, *limit_) / 4;
  }
  // The version now served under `name`, if it was ever admitted.
  [[nodiscard]] const Version* find(int name) const {
    const auto it = known_.find(name);
    return it == known_.end() ? nullptr : &at(it->second);
  }

  std::vector<Version> versions;
  std::map<int, Transfer> transfers;  // by id

 private:
  static std::size_t index(const Transfer& t) { return static_cast<std::size_t>(t.version); }
  [[nodiscard]] const Version& at(int v) const { return versions[static_cast<std::size_t>(v)]; }

  int add_version(int name, Bytes size) {
    Version v;
    v.size = size;
    v.acknowledged.resize(static_cast<std::size_t>(size));
    versions.push_back(v);
    return known_[name] = static_cast<int>(versions.size()) - 1;
  }
  void forget(int name) {
    known_.erase(name);
    versions.pop_back();
  }

  std::string judge(int v, const std::vector<Range>& ranges, Bytes bytes, bool late) const {
    if (!limit_) return "admitted";
    if (late) {
      if (bytes == 0 || !tail_suffices(v, bytes)) {
        return copies() >= *limit_ ? "exhausted" : "traffic";
      }
    } else {
      if (!traffic_suffices(v, bytes, false)) return "traffic";
      if (copies_if_all_finish(v, ranges) > *limit_) return "busy";
      if (!traffic_suffices(v, bytes, true)) return "busy";
    }
    Bytes in_flight = static_cast<Bytes>(ranges.size());
    for (const auto& [id, t] : transfers) in_flight += at(t.version).before_reset ? 0 : 1;
    return in_flight > 256 ? "busy" : "admitted";
  }

  // What the counts would be if every transfer, and `ranges` of `v`, came to their end.
  [[nodiscard]] Bytes copies_if_all_finish(int v, const std::vector<Range>& ranges) const {
    std::vector<Version> then = versions;
    const auto deliver = [&](Version& version, Bytes first, Bytes last) {
      if (version.size == 0) ++version.empty_files;
      for (; first < last; ++first) ++version.acknowledged[static_cast<std::size_t>(first)];
    };
    for (const auto& [id, t] : transfers) {
      if (!t.late) deliver(then[index(t)], t.next, t.end);
    }
    for (const auto& [first, last] : ranges)
      deliver(then[static_cast<std::size_t>(v)], first, last);
    Bytes sum = 0;
    for (const auto& [name, k] : known_) sum += then[static_cast<std::size_t>(k)].copies();
    return sum;
  }

  // May `n` more bytes of `v` leave: (limit + W) files and A, over all versions?
  [[nodiscard]] bool traffic_suffices(int v, Bytes n, bool with_leases) const {
    Bytes total = 0;
    for (const auto& [name, k] : known_) {
      Bytes bytes = at(k).left + (k == v ? n : 0);
      if (with_leases) bytes += on_lease(k, false);
      total += at(k).millionths(bytes) - at(k).millionths(at(k).doubt);
    }
    return total <= *limit_ * 1'000'000 + waste() + at(v).millionths(at(v).grace());
  }

  // May `n` more bytes of `v` be read although no copy is left?
  [[nodiscard]] bool tail_suffices(int v, Bytes n) const {
    Bytes total = at(v).millionths(at(v).tail + n + on_lease(v, true));
    for (const auto& [name, k] : known_) total += k == v ? 0 : at(k).millionths(at(k).tail);
    return total <= at(v).millionths(at(v).grace() + at(v).doubt);
  }

  [[nodiscard]] Bytes on_lease(int v, bool only_late) const {
    Bytes bytes = 0;
    for (const auto& [id, t] : transfers) {
      if (t.version == v && (t.late || !only_late)) bytes += t.leased - t.next;
    }
    return bytes;
  }

  Bytes waste_permille_;
  std::optional<Bytes> limit_;
  std::map<int, int> known_;  // name of a version that is served -> index
  int next_id_ = 1;
};

}  // namespace tallygate::ledger::naive
