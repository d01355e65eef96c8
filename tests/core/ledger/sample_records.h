// One record of each type, every field with a value of its own.
#pragma once
#include <string>
#include <variant>
#include <vector>

#include "core/ledger/record.h"

namespace tallygate::ledger {

// In the order of their types, from 1.
inline std::vector<Record> sample_records() {
  const std::string link = "i1001-7";
  const VersionKey version{0x1111'2222'3333'4444};
  TransferEnded ended;
  ended.started_at = 1'700'000'001;
  ended.ended_at = 1'700'000'009;
  ended.first = 100;
  ended.last = 900;
  ended.bytes_sent = 800;
  ended.bytes_acked = 790;
  ended.file_size = 1000;
  ended.version = version.hash;
  ended.copies = 1;
  ended.outcome = Outcome::probe;
  ended.whole = true;
  ended.client_ip = "2001:db8::1";
  ended.user_agent = "curl/8";
  return {
      {link, Used{"i1001", "/music/a.flac"}},
      {link, Signed{true, 3, 1'767'225'600}},
      {link, Spoken{true, {5, 1'700'000'000, std::nullopt, shop::State::held, 2, 7}}},
      {link, LimitSet{4}},
      {link, Opened{version, 1000, 9, 100, 300, 900, true}},
      {link, Leased{9, 500}},
      {link, Settled{9, 150}},
      {link, Closed{9, 60, 20, true}},
      {link, Delivered{version, 1000, 10, 20, 30, true}},
      {link, ended},
      {link, Crashed{}},
      {link, Forgotten{}},
      {link, Resolved{}},
      {link, Lost{9}},
  };
}

inline void append(Entries& entries, const Record& record) {
  std::visit([&](const auto& what) { append(entries, record.link_id, what); }, record.what);
}

inline std::string encoded(const Record& record) {
  Entries entries;
  append(entries, record);
  return entries.bytes;
}

}  // namespace tallygate::ledger
