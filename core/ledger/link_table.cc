#include "core/ledger/link_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tallygate::ledger {
namespace {

// An entry: its extent in units, the length of its image, the key, the image.
constexpr std::size_t kExtentAt = 0;
constexpr std::size_t kLengthAt = 1;
constexpr std::size_t kKeyAt = 2;
constexpr std::size_t kImageAt = kKeyAt + sizeof(LinkKey);
constexpr std::uint8_t kOutside = 255;  // the image's place has a pointer and a length instead

struct Outside {
  char* bytes = nullptr;
  std::size_t size = 0;
};

std::uint8_t byte_at(const char* entry, std::size_t at) {
  return static_cast<std::uint8_t>(entry[at]);
}
Outside outside(const char* entry) {
  Outside out;
  std::memcpy(&out, entry + kImageAt, sizeof out);
  return out;
}

}  // namespace

LinkTable::~LinkTable() {
  if (outside_bytes_ == 0) return;
  for (const Slot slot : index_) {
    if (slot != 0) drop_image(at(slot));
  }
}

const char* LinkTable::at(Slot slot) const {
  const std::size_t place = ((slot & ((Slot{1} << kPlaceBits) - 1)) - 1) * kUnit;
  return chunks_[place / kChunkBytes].get() + place % kChunkBytes;
}

LinkKey LinkTable::key_of(const char* entry) {
  LinkKey key;
  std::memcpy(&key, entry + kKeyAt, sizeof key);
  return key;
}

std::string_view LinkTable::image_of(const char* entry) {
  const std::uint8_t length = byte_at(entry, kLengthAt);
  if (length != kOutside) return {entry + kImageAt, length};
  const Outside image = outside(entry);
  return {image.bytes, image.size};
}

std::size_t LinkTable::extent(const char* entry) {
  return byte_at(entry, kExtentAt) * kUnit;
}

// Into an entry that has room for it and no image yet.
void LinkTable::set_image(char* entry, std::string_view image) {
  if (image.size() <= kInlineBytesMax) {
    entry[kLengthAt] = static_cast<char>(image.size());
    std::memcpy(entry + kImageAt, image.data(), image.size());
    return;
  }
  Outside copy{new char[image.size()], image.size()};
  std::memcpy(copy.bytes, image.data(), image.size());
  entry[kLengthAt] = static_cast<char>(kOutside);
  std::memcpy(entry + kImageAt, &copy, sizeof copy);
}

void LinkTable::drop_image(char* entry) {
  if (byte_at(entry, kLengthAt) != kOutside) return;
  const Outside image = outside(entry);
  outside_bytes_ -= image.size;
  delete[] image.bytes;
  entry[kLengthAt] = 0;
}

// Any number of slots: the key's hash, scaled to it.
std::size_t LinkTable::home(const LinkKey& key) const {
  return static_cast<std::size_t>((key.low >> 32) * index_.size() >> 32);
}

std::size_t LinkTable::seek(const LinkKey& key) const {
  constexpr Slot kTagMask = ~((Slot{1} << kPlaceBits) - 1);
  std::size_t i = home(key);
  while (index_[i] != 0) {
    if ((index_[i] & kTagMask) == tag(key) && key_of(at(index_[i])) == key) break;
    if (++i == index_.size()) i = 0;
  }
  return i;
}

std::optional<std::string_view> LinkTable::find(const LinkKey& key) const {
  if (size_ == 0) return std::nullopt;
  const Slot slot = index_[seek(key)];
  if (slot == 0) return std::nullopt;
  return image_of(at(slot));
}

void LinkTable::put(const LinkKey& key, std::string_view image) {
  const std::size_t stored = image.size() <= kInlineBytesMax ? image.size() : sizeof(Outside);
  const std::size_t need = (kHeadBytes + stored + kUnit - 1) / kUnit * kUnit;
  if (size_ * 20 >= index_.size() * 17) grow_index();  // beyond 85 % probes become long
  std::size_t i = seek(key);
  if (index_[i] != 0) {
    char* entry = at(index_[i]);
    drop_image(entry);
    if (need > extent(entry)) {
      dead_bytes_ += extent(entry);
      index_[i] = 0;
    }
  } else {
    ++size_;
  }
  if (index_[i] == 0) {
    index_[i] = tag(key) | append(need);
    char* entry = at(index_[i]);
    entry[kExtentAt] = static_cast<char>(need / kUnit);
    std::memcpy(entry + kKeyAt, &key, sizeof key);
  }
  if (image.size() > kInlineBytesMax) outside_bytes_ += image.size();
  set_image(at(index_[i]), image);
  if (dead_bytes_ > kChunkBytes && dead_bytes_ * 8 > chunks_.size() * kChunkBytes) rewrite();
}

bool LinkTable::erase(const LinkKey& key) {
  if (size_ == 0) return false;
  std::size_t gap = seek(key);
  if (index_[gap] == 0) return false;
  char* entry = at(index_[gap]);
  drop_image(entry);
  dead_bytes_ += extent(entry);
  --size_;
  // Whatever stands behind and would be found from the gap's side of it moves up.
  const std::size_t n = index_.size();
  for (std::size_t i = (gap + 1) % n; index_[i] != 0; i = (i + 1) % n) {
    const std::size_t from_home = (i + n - home(key_of(at(index_[i])))) % n;
    if (from_home >= (i + n - gap) % n) {
      index_[gap] = index_[i];
      gap = i;
    }
  }
  index_[gap] = 0;
  if (dead_bytes_ > kChunkBytes && dead_bytes_ * 8 > chunks_.size() * kChunkBytes) rewrite();
  return true;
}

// Room for an entry at the end; entries do not straddle chunks.
LinkTable::Slot LinkTable::append(std::size_t bytes) {
  if (end_ + bytes > kChunkBytes) {
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunkBytes));
    end_ = 0;
  }
  const std::size_t place = (chunks_.size() - 1) * kChunkBytes + end_;
  end_ += bytes;
  TALLYGATE_ASSERT(place / kUnit + 1 < (std::size_t{1} << kPlaceBits));
  return static_cast<Slot>(place / kUnit + 1);
}

// By a quarter at a time, so that little of it stands empty.
void LinkTable::grow_index() {
  std::vector<Slot> old(std::max<std::size_t>(16, index_.size() + index_.size() / 4 + 1), 0);
  old.swap(index_);
  for (const Slot slot : old) {
    if (slot == 0) continue;
    std::size_t i = home(key_of(at(slot)));
    while (index_[i] != 0) i = (i + 1) % index_.size();
    index_[i] = slot;
  }
}

void LinkTable::rewrite() {
  auto old = std::exchange(chunks_, {});
  end_ = kChunkBytes;
  dead_bytes_ = 0;
  constexpr Slot kPlaceMask = (Slot{1} << kPlaceBits) - 1;
  for (Slot& slot : index_) {
    if (slot == 0) continue;
    const std::size_t place = ((slot & kPlaceMask) - 1) * kUnit;
    const char* from = old[place / kChunkBytes].get() + place % kChunkBytes;
    const std::size_t bytes = extent(from);
    slot = (slot & ~kPlaceMask) | append(bytes);
    std::memcpy(at(slot), from, bytes);
  }
}

std::size_t LinkTable::memory_bytes() const {
  constexpr std::size_t kMallocBytes = 16;
  return chunks_.size() * (kChunkBytes + kMallocBytes) +
         chunks_.capacity() * sizeof(chunks_.front()) + index_.capacity() * sizeof(Slot) +
         outside_bytes_;
}

}  // namespace tallygate::ledger
