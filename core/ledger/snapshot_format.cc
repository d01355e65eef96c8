#include "core/ledger/snapshot_format.h"

#include <xxhash.h>

#include "core/ledger/codec.h"
#include "core/ledger/segment_format.h"

namespace tallygate::ledger {
namespace {

constexpr std::uint32_t kBlockMagic = 0x4c'47'54'01;  // never 0
constexpr std::uint64_t kNoTime = 0;

void put_time(ByteWriter& w, const std::optional<std::int64_t>& time) {
  w.put(static_cast<std::uint64_t>(time.has_value()));
  w.put(time.value_or(0));
}
std::optional<std::int64_t> get_time(ByteReader& r) {
  const auto has = r.get<std::uint64_t>();
  const auto time = r.get<std::int64_t>();
  return has != kNoTime ? std::optional(time) : std::nullopt;
}

std::uint64_t check_of(std::uint64_t nonce, const LinkBlockHead& head,
                       std::string_view payload) noexcept {
  const std::uint64_t fields[] = {std::uint64_t{head.payload_bytes} << 32 | head.links,
                                  head.number};
  const std::uint64_t of_head = XXH3_64bits_withSeed(fields, sizeof fields, nonce);
  return XXH3_64bits_withSeed(payload.data(), payload.size(), of_head);
}

}  // namespace

std::string encode_snapshot_head(const SnapshotHead& head) {
  std::string block = file_prefix(FileKind::snapshot);
  block.reserve(kBlockBytes);
  ByteWriter w(block);
  const JournalPlace& p = head.place;
  for (const std::uint64_t n : {head.number, p.ledger_id, p.run, p.next_seq, p.batches, p.chain}) {
    w.put(n);
  }
  put_time(w, p.clock.last());
  put_time(w, p.clock.doubted_at());
  w.put(head.written_at);
  for (const std::uint64_t n :
       {head.links, head.blocks, head.index_at, head.index_check, head.nonce}) {
    w.put(n);
  }
  w.put(static_cast<std::uint64_t>(XXH3_64bits(block.data(), block.size())));
  block.resize(kBlockBytes, '\0');
  return block;
}

Result<SnapshotHead, std::string> parse_snapshot_head(std::string_view block) {
  if (block.size() < kBlockBytes) return std::string("is shorter than its head");
  if (std::string wrong = check_file_prefix(block, FileKind::snapshot); !wrong.empty()) {
    return wrong;
  }
  ByteReader r(block.substr(kFilePrefixBytes));
  SnapshotHead head;
  JournalPlace& p = head.place;
  for (std::uint64_t* n : {&head.number, &p.ledger_id, &p.run, &p.next_seq, &p.batches, &p.chain}) {
    *n = r.get<std::uint64_t>();
  }
  const auto last = get_time(r);
  p.clock = ClockWatch(last, get_time(r));
  head.written_at = r.get<std::int64_t>();
  for (std::uint64_t* n :
       {&head.links, &head.blocks, &head.index_at, &head.index_check, &head.nonce}) {
    *n = r.get<std::uint64_t>();
  }
  const std::size_t checked = block.size() - r.left();
  if (r.get<std::uint64_t>() != XXH3_64bits(block.data(), checked)) {
    return std::string("has a damaged head (checksum mismatch)");
  }
  return head;
}

void LinkBlockWriter::add(const StoredLink& link) {
  std::uint64_t number = 0;
  if (!link.path.empty()) {
    const auto known = path_numbers_.find(link.path);
    if (known != path_numbers_.end()) {
      number = known->second;
    } else {
      number = path_numbers_.size() + 1;
      path_numbers_.emplace(link.path, number);
      ByteWriter(paths_).put_bytes(link.path);
    }
  }
  ByteWriter w(links_);
  w.put_bytes(link.id);
  w.put_bytes(link.parent_id);
  w.put_varint(number);
  w.put_bytes(link.image);
  ++count_;
}

std::string LinkBlockWriter::take(std::uint64_t nonce, std::uint64_t number) {
  std::string payload;
  ByteWriter p(payload);
  p.put_varint(path_numbers_.size());
  payload += paths_;
  payload += links_;
  LinkBlockHead head;
  head.payload_bytes = static_cast<std::uint32_t>(payload.size());
  head.links = count_;
  head.number = number;
  head.check = check_of(nonce, head, payload);
  std::string block;
  block.reserve(kLinkBlockHeadBytes + payload.size());
  ByteWriter w(block);
  w.put(kBlockMagic);
  w.put(head.payload_bytes);
  w.put(head.links);
  w.put(std::uint32_t{0});
  w.put(head.number);
  w.put(head.check);
  block += payload;
  paths_.clear();
  links_.clear();
  path_numbers_.clear();
  count_ = 0;
  return block;
}

std::optional<LinkBlockHead> parse_link_block_head(std::string_view bytes) {
  ByteReader r(bytes);
  if (r.get<std::uint32_t>() != kBlockMagic) return std::nullopt;
  LinkBlockHead head;
  head.payload_bytes = r.get<std::uint32_t>();
  head.links = r.get<std::uint32_t>();
  const auto zero = r.get<std::uint32_t>();
  head.number = r.get<std::uint64_t>();
  head.check = r.get<std::uint64_t>();
  if (!r.ok() || zero != 0 || head.payload_bytes > kBatchBytesMax) return std::nullopt;
  return head;
}

bool link_block_intact(std::uint64_t nonce, const LinkBlockHead& head,
                       std::string_view payload) noexcept {
  return payload.size() == head.payload_bytes && check_of(nonce, head, payload) == head.check;
}

LinkBlockReader::LinkBlockReader(std::string_view payload, std::uint32_t links) : left_(links) {
  ByteReader r(payload);
  const std::uint64_t paths = r.get_varint();
  ok_ = r.ok() && paths <= r.left();
  for (std::uint64_t i = 0; ok_ && i < paths; ++i) {
    paths_.push_back(r.get_bytes());
    ok_ = r.ok();
  }
  rest_ = payload.substr(payload.size() - r.left());
}

std::optional<StoredLink> LinkBlockReader::next() {
  if (!ok_) return std::nullopt;
  if (left_ == 0) {
    ok_ = rest_.empty();
    return std::nullopt;
  }
  ByteReader r(rest_);
  StoredLink link;
  link.id = r.get_bytes();
  link.parent_id = r.get_bytes();
  const std::uint64_t path = r.get_varint();
  link.image = r.get_bytes();
  ok_ = r.ok() && !link.id.empty() && link.id.size() <= UINT8_MAX && path <= paths_.size();
  if (!ok_) return std::nullopt;
  if (path != 0) link.path = paths_[path - 1];
  link.key = link_key(link.id);
  rest_ = rest_.substr(rest_.size() - r.left());
  --left_;
  return link;
}

std::string encode_index(const std::vector<IndexEntry>& index) {
  std::string bytes;
  ByteWriter w(bytes);
  for (const IndexEntry& entry : index) {
    w.put(entry.first.high);
    w.put(entry.first.low);
    w.put(entry.offset);
  }
  return bytes;
}

std::vector<IndexEntry> parse_index(std::string_view bytes) {
  std::vector<IndexEntry> index;
  ByteReader r(bytes);
  while (r.left() >= 24) {
    IndexEntry& entry = index.emplace_back();
    entry.first.high = r.get<std::uint64_t>();
    entry.first.low = r.get<std::uint64_t>();
    entry.offset = r.get<std::uint64_t>();
  }
  return index;
}

std::uint64_t index_check(std::uint64_t nonce, std::string_view bytes) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), nonce);
}

}  // namespace tallygate::ledger
