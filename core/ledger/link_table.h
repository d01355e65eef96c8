// Images of idle links by key, at a few bytes each beyond what they hold.
//
// Entries stand one after the other in chunks of 2 KiB; an index of four bytes for each finds them.
// An entry keeps its place while its image fits; else it moves to the end, and the table is
// rewritten when an eighth of it is dead. For a ledger that is a few dozen kilobytes, since a link
// table holds one shard of many. Cost of all calls: a few cache misses, now and then a rewrite.
//
// Pure: not thread-safe, owned by the shard that holds it. At most 16 MiB of entries (some 400,000
// links): beyond, `put` stops the process.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/ledger/record.h"

namespace tallygate::ledger {

class LinkTable {
 public:
  LinkTable() = default;
  ~LinkTable();
  LinkTable(const LinkTable&) = delete;
  LinkTable& operator=(const LinkTable&) = delete;

  // Valid until the next change.
  [[nodiscard]] std::optional<std::string_view> find(const LinkKey& key) const;
  // Adds it, or replaces what is there.
  void put(const LinkKey& key, std::string_view image);
  // False: there was none.
  bool erase(const LinkKey& key);

  [[nodiscard]] std::size_t size() const { return size_; }
  // All memory that the table has asked for.
  [[nodiscard]] std::size_t memory_bytes() const;
  // Visits (key, image) in no particular order; the table must not change meanwhile.
  template <class Visit>
  void each(Visit&& visit) const {
    for (const std::uint32_t slot : index_) {
      if (slot == 0) continue;
      const char* entry = at(slot);
      visit(key_of(entry), image_of(entry));
    }
  }

 private:
  // An index slot: ten bits of the key, and where the entry stands, in units of four bytes, plus
  // one. 0: empty.
  using Slot = std::uint32_t;
  static constexpr std::size_t kUnit = 4;
  static constexpr std::size_t kChunkBytes = 2032;  // 2 KiB with what malloc adds
  static constexpr std::uint32_t kPlaceBits = 22;
  static constexpr std::size_t kHeadBytes = 2 + sizeof(LinkKey);
  // Longer images (of meters in many pieces) are kept outside, and the entry points to them.
  static constexpr std::size_t kInlineBytesMax = 200;

  [[nodiscard]] const char* at(Slot slot) const;
  [[nodiscard]] char* at(Slot slot) {
    return const_cast<char*>(static_cast<const LinkTable*>(this)->at(slot));
  }
  [[nodiscard]] static LinkKey key_of(const char* entry);
  [[nodiscard]] static std::string_view image_of(const char* entry);
  [[nodiscard]] static std::size_t extent(const char* entry);
  static void set_image(char* entry, std::string_view image);
  void drop_image(char* entry);
  [[nodiscard]] std::size_t home(const LinkKey& key) const;
  [[nodiscard]] static Slot tag(const LinkKey& key) {
    return static_cast<Slot>(key.low) << kPlaceBits;
  }
  // Where the key's slot is, or the empty one where it would be.
  [[nodiscard]] std::size_t seek(const LinkKey& key) const;
  Slot append(std::size_t bytes);
  void grow_index();
  void rewrite();

  std::vector<std::unique_ptr<char[]>> chunks_;
  std::vector<Slot> index_;
  std::size_t size_ = 0;
  std::size_t end_ = kChunkBytes;  // used bytes of the last chunk
  std::size_t dead_bytes_ = 0;
  std::size_t outside_bytes_ = 0;
};

}  // namespace tallygate::ledger
