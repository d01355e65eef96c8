// Any bytes at all in the place of a ledger's files: nothing crashes, nothing is believed before it
// was seen, and whatever is accepted can be written and read again as it was.
//
// The first byte says how far the rest is helped past the checksums (see Mode). With
// TALLYGATE_FUZZ_SEEDS=<folder> the program writes the seeds of its corpus there, and nothing else.
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/ledger/account.h"
#include "core/ledger/codec.h"
#include "core/ledger/segment_format.h"
#include "core/ledger/snapshot_format.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/files.h"
#include "server/ledger/find_use.h"
#include "server/ledger/snapshot_file.h"
#include "tests/core/ledger/sample_records.h"
#include "tests/fuzz/target.h"
#include "tests/server/ledger/crafted_segment.h"
#include "tests/support/memory_directory.h"

namespace tallygate::ledger {
namespace {

enum class Mode : std::uint8_t {
  segment,         // the bytes of a segment
  snapshot,        // the bytes of a snapshot
  sealed_segment,  // the same, with all check values made right
  sealed_snapshot,
  batches,  // payloads of batches, in segments and runs that are in order
  links,    // links for a snapshot in order, then payloads of batches
  image,    // of an account
  record,   // one or more
};
constexpr std::uint8_t kModes = 8;

constexpr std::uint32_t kWaste = 2000;

// -- whole ledgers ------------------------------------------------------------------------------

struct Link {
  std::string id;
  std::string parent_id;
  std::string path;
  std::string image;
  friend bool operator==(const Link&, const Link&) = default;
};
using Links = std::map<LinkKey, Link>;

struct Outcome {
  bool accepted = false;
  Chronicle chronicle;
  Links links;
};

Outcome read(Directory& directory, const ChronicleOptions& options) {
  Outcome out;
  auto result = read_chronicle(directory, options, [&](const StoredLink& link) {
    REQUIRE(link.key == link_key(link.id));
    REQUIRE(out.links
                .emplace(link.key, Link{std::string(link.id), std::string(link.parent_id),
                                        std::string(link.path), std::string(link.image)})
                .second);
  });
  if (!result) {
    REQUIRE(!result.error().text.empty());
    return out;
  }
  out.accepted = true;
  out.chronicle = std::move(*result);
  return out;
}

// A server asks it something; whatever it has been through, it answers.
void ask(Account& account) {
  static_cast<void>(account.view());
  for (const std::uint64_t version : {1u, 5u}) {
    Entries entries;
    AdmitRequest request;
    request.link_id = account.identity().id;
    request.signed_limit = 3;
    request.version = {version ^ 0x5a5a'5a5a'5a5a'5a5a};
    request.size = 1000 * version;
    const Span range{0, request.size};
    request.ranges = {&range, 1};
    request.window_bytes = 500;
    static_cast<void>(account.peek(request));
    const auto admitted = account.admit(request, entries);
    if (!admitted) continue;
    account.settle(admitted->first_flight, 100, entries);
    static_cast<void>(account.lease(admitted->first_flight, request.size, entries));
    account.close(admitted->first_flight, 300, 50, false, entries);
  }
  Entries entries;
  shop::Word word = account.spoken().word;
  word.max_copies = 2;
  account.hear(word, word, entries);
  static_cast<void>(account.row_gone(entries));
}

void check_image(std::string_view id, std::string_view image) {
  Account account(kWaste, id);
  REQUIRE(account.read_image(image));
  const auto terms = image_terms(image);
  REQUIRE(terms && terms->in_flight == (account.in_flight() != 0));
  std::string again;
  account.write_image(again);
  Account second(kWaste, id);
  REQUIRE(second.read_image(again));
  std::string once_more;
  second.write_image(once_more);
  REQUIRE(once_more == again);
  REQUIRE(second.view().counted == account.view().counted);
  REQUIRE(second.view().copies == account.view().copies);
  REQUIRE(second.view().traffic_bytes == account.view().traffic_bytes);
  REQUIRE(second.view().limit == account.view().limit);
  REQUIRE(second.view().blocked == account.view().blocked);
  REQUIRE(second.in_flight() == account.in_flight());
  ask(second);
}

// What was accepted goes into a snapshot, and comes back.
void check_rewriting(const Outcome& outcome) {
  MemoryDirectory directory;
  const std::uint64_t number = outcome.chronicle.next_segment + 1;
  SnapshotWriter writer(directory, number);
  for (const auto& [key, link] : outcome.links) {
    writer.add({key, link.id, link.parent_id, link.path, link.image});
  }
  REQUIRE(writer.finish(outcome.chronicle.place, 0).empty());
  ChronicleOptions options;
  options.until_segment = number;
  for (const bool verify : {false, true}) {
    options.verify_images = verify;
    const Outcome again = read(directory, options);
    REQUIRE(again.accepted);
    REQUIRE(again.links == outcome.links);
    REQUIRE(again.chronicle.place == outcome.chronicle.place);
  }
}

void check_ledger(MemoryDirectory& directory) {
  ChronicleOptions options;
  options.cursor = 0;
  const Outcome unverified = read(directory, options);
  options.verify_images = true;
  const Outcome plain = read(directory, options);
  REQUIRE(unverified.accepted || !plain.accepted);
  static_cast<void>(find_use(directory, "a"));
  if (!plain.accepted) return;
  for (const auto& [key, link] : plain.links) check_image(link.id, link.image);
  check_rewriting(plain);

  // In passes it is the same.
  options.records_bytes_max = 6000;
  const Outcome passes = read(directory, options);
  REQUIRE(passes.accepted && passes.links == plain.links);
  REQUIRE(passes.chronicle.events == plain.chronicle.events);
  options.records_bytes_max = std::size_t{1} << 30;

  // A start: nothing is in flight any more.
  options.new_run = true;
  options.from_disk = true;
  const Outcome start = read(directory, options);
  REQUIRE(start.accepted);
  for (const auto& [key, link] : start.links) {
    check_image(link.id, link.image);
    REQUIRE(!image_terms(link.image)->in_flight);
  }
  check_rewriting(start);
  std::uint64_t seq = 0;
  for (const Event& event : start.chronicle.events) {
    REQUIRE(event.seq >= seq);
    seq = event.seq;
  }
}

// -- making check values right ------------------------------------------------------------------

void put_at(std::string& bytes, std::size_t at, std::uint64_t value) {
  if (at + sizeof value <= bytes.size()) std::memcpy(bytes.data() + at, &value, sizeof value);
}

std::string sealed_segment(std::string bytes) {
  const SegmentHead head{1, 77, 1, bytes.size() + (1 << 20), {5, 6}};
  const std::string head_block = encode_segment_head(head);
  if (bytes.size() < kBlockBytes) return head_block + bytes;
  bytes.replace(0, kBlockBytes, head_block);
  std::uint64_t chain = head.ledger_id;
  for (std::size_t at = kBlockBytes; at + kBatchHeadBytes <= bytes.size();) {
    const std::size_t left = bytes.size() - at - kBatchHeadBytes;
    auto batch = parse_batch_head(std::string_view(bytes).substr(at));
    if (!batch) {
      at += kBlockBytes;
      continue;
    }
    const std::size_t payload = std::min<std::size_t>(left, batch->payload_bytes);
    std::string sealed = bytes.substr(at, kBatchHeadBytes + payload);
    batch->chain = chain;
    seal_batch(head, *batch, sealed);
    chain = batch->check;
    const std::size_t length = std::min(sealed.size(), bytes.size() - at);
    bytes.replace(at, length, sealed, 0, length);
    at += sealed.size();
  }
  return bytes;
}

std::string sealed_snapshot(std::string bytes) {
  bytes.resize(std::max(bytes.size(), kBlockBytes), '\0');
  const std::string prefix = file_prefix(FileKind::snapshot);
  bytes.replace(0, prefix.size(), prefix);
  put_at(bytes, kFilePrefixBytes, 1);  // its number
  constexpr std::size_t kChecked = kFilePrefixBytes + 16 * 8;
  const auto seal_head = [&] { put_at(bytes, kChecked, XXH3_64bits(bytes.data(), kChecked)); };
  seal_head();
  const SnapshotHead head = *parse_snapshot_head(std::string_view(bytes).substr(0, kBlockBytes));
  if (head.index_at > bytes.size() || head.blocks > bytes.size() / 24) return bytes;
  const auto index_bytes = std::string_view(bytes).substr(
      static_cast<std::size_t>(head.index_at), static_cast<std::size_t>(head.blocks) * 24);
  const std::vector<IndexEntry> index = parse_index(index_bytes);
  put_at(bytes, kChecked - 16, index_check(head.nonce, index_bytes));
  seal_head();
  for (std::size_t i = 0; i < index.size(); ++i) {
    const std::uint64_t end = i + 1 < index.size() ? index[i + 1].offset : head.index_at;
    const std::uint64_t begin = index[i].offset;
    if (end > bytes.size() || begin > end || end - begin < kLinkBlockHeadBytes) continue;
    if (begin < kBlockBytes) continue;
    const auto at = static_cast<std::size_t>(begin);
    const auto payload = std::string_view(bytes).substr(
        at + kLinkBlockHeadBytes, static_cast<std::size_t>(end - begin) - kLinkBlockHeadBytes);
    std::uint32_t links = 0;
    std::memcpy(&links, bytes.data() + at + 8, sizeof links);
    const std::uint64_t fields[] = {std::uint64_t{payload.size()} << 32 | links, i + 1};
    const std::uint64_t of_head = XXH3_64bits_withSeed(fields, sizeof fields, head.nonce);
    const std::uint64_t check = XXH3_64bits_withSeed(payload.data(), payload.size(), of_head);
    const auto length = static_cast<std::uint32_t>(payload.size());
    const std::uint32_t magic = 0x4c'47'54'01;
    std::memcpy(bytes.data() + at, &magic, sizeof magic);
    std::memcpy(bytes.data() + at + 4, &length, sizeof length);
    std::memset(bytes.data() + at + 12, 0, 4);
    put_at(bytes, at + 16, i + 1);
    put_at(bytes, at + 24, check);
  }
  return bytes;
}

// -- from parts ---------------------------------------------------------------------------------

enum BatchFlag : std::uint8_t { kNewSegment = 1, kNewRun = 2, kWrongCount = 4, kEnd = 8 };

// Batches, each: flags, u16 length, payload. They go into segments behind `place`.
void put_batches(MemoryDirectory& directory, std::string_view bytes, JournalPlace place) {
  CraftedSegment segment(
      {1, place.ledger_id, std::max<std::uint64_t>(place.run, 1), 1 << 20, {5, 6}}, place);
  // Each takes a block at least: not more of them than some hundred kilobytes.
  for (int batches = 0; batches < 50 && bytes.size() >= 3; ++batches) {
    ByteReader r(bytes);
    const auto flags = r.get<std::uint8_t>();
    const std::size_t length = r.get<std::uint16_t>();
    bytes.remove_prefix(3);
    const std::string_view payload = bytes.substr(0, length);
    bytes.remove_prefix(payload.size());
    if (flags & (kNewSegment | kNewRun) && segment.bytes.size() > kBlockBytes) {
      directory.put(segment_name(segment.head.number), segment.bytes);
      segment = segment.next(segment.head.run + ((flags & kNewRun) != 0 ? 1 : 0));
    }
    std::uint32_t records = (flags & kWrongCount) != 0 ? 1 : 0;
    for (std::string_view rest = payload; const auto head = peek_record(rest); ++records) {
      rest.remove_prefix(head->bytes);
    }
    segment.add(payload, records);
    if (flags & kEnd) segment.end();
  }
  directory.put(segment_name(segment.head.number), segment.bytes);
}

// Links, each: id, parent's id, path, image; then, behind an empty id, batches.
void put_links(MemoryDirectory& directory, std::string_view bytes) {
  Links links;
  ByteReader r(bytes);
  while (r.left() != 0) {
    const std::string_view id = r.get_bytes();
    if (!r.ok()) return;
    if (id.empty()) break;
    Link link;
    link.id = id.substr(0, UINT8_MAX);
    link.parent_id = r.get_bytes();
    link.path = r.get_bytes();
    link.image = r.get_bytes();
    if (!r.ok()) return;
    links[link_key(link.id)] = link;
  }
  const JournalPlace place{77, 1, 100, 10, 0x1234, {}};
  SnapshotWriter writer(directory, 1);
  for (const auto& [key, link] : links) {
    writer.add({key, link.id, link.parent_id, link.path, link.image});
  }
  REQUIRE(writer.finish(place, 0).empty());
  put_batches(directory, bytes.substr(bytes.size() - r.left()), place);
}

void check_records(std::string_view bytes) {
  Account account(kWaste, "a");
  Entries events;
  while (const auto record = take_record(bytes)) {
    Entries entries;
    append(entries, *record);
    std::string_view again = entries.bytes;
    REQUIRE(peek_record(again)->bytes == entries.bytes.size());
    const auto second = take_record(again);
    REQUIRE(second && *second == *record && again.empty());
    if (!account.replay(record->what, events)) return;
    std::string image;
    account.write_image(image);
    check_image("a", image);
  }
}

// -- seeds --------------------------------------------------------------------------------------

std::string batch_of(std::uint8_t flags, const Entries& entries) {
  std::string out;
  ByteWriter w(out);
  w.put(flags);
  w.put(static_cast<std::uint16_t>(entries.bytes.size()));
  return out + entries.bytes;
}

std::string seed(Mode mode, std::string_view bytes) {
  return std::string(1, static_cast<char>(mode)).append(bytes);
}

[[maybe_unused]] std::map<std::string, std::string> seeds() {
  std::map<std::string, std::string> out;
  // A life: served, leased, settled; lost in a crash; and told about by the shop.
  Entries first;
  append(first, "a", Used{"folder", "/f"});
  append(first, "a", Signed{true, 2, 1'900'000'000});
  append(first, "a", LimitSet{2});
  append(first, "a", Opened{{5}, 1000, 1, 0, 600, 1000, false});
  append(first, "b", Used{"", "/g"});
  append(first, "b", Delivered{{6}, 500, 0, 500, 0, true});
  Entries second;
  append(second, "a", Settled{1, 400});
  append(second, "a", Leased{1, 1000});
  append(second, "a", Closed{1, 300, 100, false});
  append(second, "a", Opened{{5}, 1000, 2, 0, 1000, 1000, false});
  append(second, "a", TransferEnded{});
  Entries third;
  append(third, "a", Spoken{true, {5, {}, 1'900'000'000, shop::State::active, 1, 3}});
  append(third, "b", Forgotten{});
  Entries all;
  for (const Record& record : sample_records()) append(all, record);
  const std::string batches =
      batch_of(0, first) + batch_of(kNewSegment, second) + batch_of(kNewRun | kEnd, third);
  out["batches"] = seed(Mode::batches, batches);
  out["record_each"] = seed(Mode::record, all.bytes);
  out["record_life"] = seed(Mode::record, first.bytes + second.bytes + third.bytes);

  CraftedSegment segment;
  segment.add(first);
  segment.add(second);
  segment.end();
  out["segment"] = seed(Mode::segment, segment.bytes);
  out["segment_sealed"] = seed(Mode::sealed_segment, segment.bytes);

  MemoryDirectory directory;
  put_batches(directory, batches, {77, 1, 1, 0, 77, {}});
  const Outcome outcome = read(directory, {});
  SnapshotWriter writer(directory, 9);
  std::string links;
  ByteWriter w(links);
  for (const auto& [key, link] : outcome.links) {
    writer.add({key, link.id, link.parent_id, link.path, link.image});
    for (const std::string& field : {link.id, link.parent_id, link.path, link.image}) {
      w.put_bytes(field);
    }
    out["image_" + link.id] = seed(Mode::image, link.image);
  }
  static_cast<void>(writer.finish(outcome.chronicle.place, 0));
  out["snapshot"] = seed(Mode::snapshot, directory.bytes(snapshot_name(9)));
  out["snapshot_sealed"] = seed(Mode::sealed_snapshot, directory.bytes(snapshot_name(9)));
  w.put_bytes("");
  out["links"] = seed(Mode::links, links + batches);
  return out;
}

}  // namespace
}  // namespace tallygate::ledger

#ifndef TALLYGATE_REPLAY
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("TALLYGATE_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  for (const auto& [name, bytes] : tallygate::ledger::seeds()) {
    std::ofstream(std::string(folder) + "/" + name, std::ios::binary) << bytes;
  }
  std::exit(0);
}
#endif

TALLYGATE_FUZZ(ledger_reader) {
  using namespace tallygate::ledger;
  if (input.empty()) return;
  const std::string bytes(input.substr(1));
  MemoryDirectory directory;
  switch (static_cast<Mode>(static_cast<std::uint8_t>(input.front()) % kModes)) {
    case Mode::segment:
      directory.put(segment_name(1), bytes);
      break;
    case Mode::snapshot:
      directory.put(snapshot_name(1), bytes);
      directory.put(segment_name(1), encode_segment_head({1, 77, 1, 1 << 20, {5, 6}}));
      break;
    case Mode::sealed_segment:
      directory.put(segment_name(1), sealed_segment(bytes));
      break;
    case Mode::sealed_snapshot: {
      directory.put(snapshot_name(1), sealed_snapshot(bytes));
      const auto snapshot = SnapshotFile::open(directory, 1);
      const std::uint64_t ledger_id = snapshot ? snapshot->head().place.ledger_id : 77;
      directory.put(segment_name(1), encode_segment_head({1, ledger_id, 1, 1 << 20, {5, 6}}));
      break;
    }
    case Mode::batches:
      put_batches(directory, bytes, {77, 1, 1, 0, 77, {}});
      break;
    case Mode::links:
      put_links(directory, bytes);
      break;
    case Mode::image: {
      Account account(kWaste, "a");
      if (account.read_image(bytes)) check_image("a", bytes);
      static_cast<void>(image_terms(bytes));
      return;
    }
    case Mode::record:
      check_records(bytes);
      return;
  }
  check_ledger(directory);
}
