// One record of each type, every field with a value of its own.
#pragma once
#include <vector>

#include "core/ledger/record.h"

namespace tallygate::ledger {

inline Meter sample_meter() {
  Meter meter({0x1111'2222'3333'4444, 0x5555'6666'7777'8888}, 1000);
  meter.copies = 2;
  meter.traffic = 2750;
  meter.tail = 40;
  meter.doubt = 30;
  meter.cover({0, 400});
  meter.cover({500, 600});
  meter.cover({100, 200});
  return meter;
}

// In the order of their types, from 1.
inline std::vector<Record> sample_records() {
  const LinkKey link = link_key("i1001-7");
  const VersionKey version{0x1111'2222'3333'4444, 0x5555'6666'7777'8888};
  const Identity identity{"i1001-7", "i1001", "/music/a.flac", true};
  const Signed signed_terms{true, 3, 1'767'225'600};
  const Spoken spoken{true, {5, 1'700'000'000, std::nullopt, shop::State::held, 2, 7}};
  TransferEnded ended;
  ended.started_at = 1'700'000'001;
  ended.ended_at = 1'700'000'009;
  ended.first = 100;
  ended.last = 900;
  ended.bytes_sent = 800;
  ended.bytes_acked = 790;
  ended.file_size = 1000;
  ended.version = version.low;
  ended.copies = 1;
  ended.outcome = Outcome::probe;
  ended.whole = true;
  ended.client_ip = "2001:db8::1";
  ended.user_agent = "curl/8";
  return {
      {link, identity},
      {link, signed_terms},
      {link, spoken},
      {link, LimitSet{4}},
      {link, Opened{version, 1000, 9, 100, 300, 900, true}},
      {link, Leased{9, 500}},
      {link, Settled{9, 150}},
      {link, Closed{9, 60, 20, true}},
      {link, Delivered{version, 1000, 10, 20, 30, true}},
      {link, ended},
      {link, Crashed{}},
      {link, Standing{identity, signed_terms, spoken, 4, 2, Blocked::traffic, {sample_meter()}}},
  };
}

}  // namespace tallygate::ledger
