// An image, read as the README has it on paper: what account_image.cc does must be what it says.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/ledger/codec.h"

namespace tallygate::ledger {

struct ImageFields {
  struct Meter {
    bool detached = false;
    std::uint32_t reset_gen = 0;
    std::uint64_t version = 0, size = 0, copies = 0, traffic = 0, tail = 0, doubt = 0;
    std::vector<std::vector<std::pair<std::uint64_t, std::uint64_t>>> layers;  // gap, length
    friend auto operator<=>(const Meter&, const Meter&) = default;
  };
  struct Flight {
    std::uint32_t id = 0;
    std::uint64_t meter = 0;
    bool late = false;
    std::uint64_t first = 0, upto = 0, last = 0;
    friend auto operator<=>(const Flight&, const Flight&) = default;
  };

  std::uint64_t flags = 0;
  std::uint64_t signed_limit = 0;
  std::int64_t signed_expiry = 0;  // of all times: seconds from 2026
  std::uint8_t terms = 0;
  std::int64_t max_copies = 0, not_before = 0, expires_at = 0;
  std::uint64_t reset_gen = 0, used_elsewhere = 0;
  std::uint64_t limit = 0;  // plus one; 0: unlimited
  std::vector<Meter> meters;
  std::uint64_t reported = 0;
  std::vector<Flight> flights;
  friend bool operator==(const ImageFields&, const ImageFields&) = default;

  // nullopt: too short, too long, or a number that is not in its shortest form.
  static std::optional<ImageFields> read(std::string_view image) {
    ByteReader r(image);
    ImageFields f;
    f.flags = r.get_varint();
    const auto has = [&](int bit) { return (f.flags >> bit & 1) != 0; };
    if (has(2)) f.signed_limit = r.get_varint();
    if (has(3)) f.signed_expiry = r.get_signed_varint();
    if (has(10)) {
      f.terms = r.get<std::uint8_t>();
      if (f.terms & 1) f.max_copies = r.get_signed_varint();
      if (f.terms & 2) f.not_before = r.get_signed_varint();
      if (f.terms & 4) f.expires_at = r.get_signed_varint();
    }
    if (has(13)) {
      f.reset_gen = r.get_varint();
      f.used_elsewhere = r.get_varint();
    }
    if (has(11)) f.limit = r.get_varint();
    if (has(9)) {
      Meter& m = f.meters.emplace_back();
      m.version = r.get<std::uint64_t>();
      m.size = r.get_varint();
      m.copies = r.get_varint();
      m.traffic = m.size * m.copies;
    }
    if (has(14)) {
      for (std::uint64_t n = r.get_varint(); n != 0 && r.ok(); --n) read_meter(r, f);
    }
    if (has(12)) f.reported = r.get_varint();
    if (has(15)) {
      for (std::uint64_t n = r.get_varint(); n != 0 && r.ok(); --n) read_flight(r, f);
    }
    if (!r.ok() || r.left() != 0) return std::nullopt;
    return f;
  }

  // Meters stand in the order in which the account met them, and a HEAD meets them without leaving
  // a record: two accounts that know the same may have them in different orders.
  [[nodiscard]] ImageFields in_order() const {
    ImageFields f = *this;
    std::sort(f.meters.begin(), f.meters.end());
    for (Flight& flight : f.flights) {
      const auto it = std::find(f.meters.begin(), f.meters.end(), meters[flight.meter]);
      flight.meter = static_cast<std::uint64_t>(it - f.meters.begin());
    }
    return f;
  }

 private:
  static void read_meter(ByteReader& r, ImageFields& f) {
    Meter& m = f.meters.emplace_back();
    m.detached = r.get_bool();
    if (m.detached) m.reset_gen = r.get_small<std::uint32_t>();
    m.version = r.get<std::uint64_t>();
    for (std::uint64_t* n : {&m.size, &m.copies, &m.traffic, &m.tail, &m.doubt}) {
      *n = r.get_varint();
    }
    for (std::uint64_t layers = r.get_varint(); layers != 0 && r.ok(); --layers) {
      auto& layer = m.layers.emplace_back();
      for (std::uint64_t spans = r.get_varint(); spans != 0 && r.ok(); --spans) {
        const std::uint64_t gap = r.get_varint();
        layer.emplace_back(gap, r.get_varint());
      }
    }
  }
  static void read_flight(ByteReader& r, ImageFields& f) {
    Flight& flight = f.flights.emplace_back();
    flight.id = r.get_small<std::uint32_t>();
    flight.meter = r.get_varint();
    flight.late = r.get_bool();
    flight.first = r.get_varint();
    flight.upto = flight.first + r.get_varint();
    flight.last = flight.upto + r.get_varint();
  }
};

}  // namespace tallygate::ledger
