// A disk in memory that fails and loses power on request, behind the ledger's storage interface.
//
// It keeps two images: what programs see (the system's cache), and what a power cut leaves. A write
// reaches the second with the file's sync; a create, rename or remove with the directory's. A sync
// that failed leaves sectors that look written, count as clean, and are not on the disk: that is
// what Linux does.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/ledger/storage.h"

namespace tallygate::ledger {

// What becomes of what was not synced.
enum class Crash : std::uint8_t {
  process,   // kill -9: programs see everything, as before; it still is not on the disk
  all_lost,  // power cut, nothing had been written back
  sectors,   // power cut; each sector, and the first few changes of names, survive or not
};

// Any thread. Directories and files borrow it.
class FakeDisk {
 public:
  static constexpr std::size_t kSectorBytes = 512;

  // As a process sees it; the handles of processes that crashed fail.
  [[nodiscard]] std::unique_ptr<Directory> directory();

  // -- faults; calls are counted from 1, over everything but locking
  void fail_call(std::uint64_t number, error_code error, bool forever) {
    const std::lock_guard guard(mutex_);
    calls_ = 0;
    fail_at_ = number;
    error_ = error;
    forever_ = forever;
  }
  void fail_nothing() { fail_call(0, {}, false); }
  // Power goes off in the middle of that call: it, and all after it, fail.
  void crash_at_call(std::uint64_t number) {
    fail_call(number, make_error_code(boost::system::errc::io_error), true);
  }
  [[nodiscard]] std::uint64_t calls() const {
    const std::lock_guard guard(mutex_);
    return calls_;
  }
  [[nodiscard]] bool failed() const {
    const std::lock_guard guard(mutex_);
    return fail_at_ != 0 && calls_ >= fail_at_;
  }
  // Syncs of a file of which one had failed before; never right.
  [[nodiscard]] std::uint64_t repeated_syncs() const {
    const std::lock_guard guard(mutex_);
    return repeated_syncs_;
  }
  // Writes and syncs wait, as on a disk that stalls, until `resume`.
  void stall() {
    const std::lock_guard guard(mutex_);
    stalled_ = true;
  }
  void resume() {
    const std::lock_guard guard(mutex_);
    stalled_ = false;
    resumed_.notify_all();
  }
  [[nodiscard]] std::uint64_t syncs() const {
    const std::lock_guard guard(mutex_);
    return syncs_;
  }

  // Ends the process: its handles, and its lock, are gone. Faults end too.
  void crash(Crash how, std::mt19937_64& random);

  // -- what programs see; for crafted files
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::string content(const std::string& name) const;
  void put(const std::string& name, std::string content);  // on the disk at once
  void remove(const std::string& name);

 private:
  friend class FakeFile;
  friend class FakeDirectory;

  struct Inode {
    std::string seen;
    std::string disk;
    std::set<std::size_t> dirty;  // sectors
    bool sync_failed = false;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  // Counts a call of the process `epoch`; the fault that it meets.
  [[nodiscard]] error_code meet(std::uint64_t epoch);
  void wait_while_stalled(std::unique_lock<std::mutex>& guard, std::uint64_t epoch) {
    resumed_.wait(guard, [&] { return !stalled_ || epoch != epoch_; });
  }
  static void write(Inode& inode, std::uint64_t offset, std::string_view bytes);
  static void write_back(Inode& inode);
  static void lose_power(Inode& inode, Crash how, std::mt19937_64& random);

  mutable std::mutex mutex_;
  std::condition_variable resumed_;
  Names names_;
  Names disk_names_;
  std::vector<Names> name_changes_;  // what each change since the last sync made of the names
  std::uint64_t epoch_ = 1;
  bool locked_ = false;
  bool stalled_ = false;
  std::uint64_t syncs_ = 0;
  std::uint64_t repeated_syncs_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t fail_at_ = 0;
  error_code error_;
  bool forever_ = false;
};

class FakeFile final : public File {
 public:
  FakeFile(FakeDisk& disk, std::shared_ptr<FakeDisk::Inode> inode, std::uint64_t epoch)
      : disk_(disk), inode_(std::move(inode)), epoch_(epoch) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> buffer) override {
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = disk_.meet(epoch_)) return ec;
    if (offset >= inode_->seen.size()) return std::size_t{0};
    return inode_->seen.copy(buffer.data(), buffer.size(), static_cast<std::size_t>(offset));
  }
  // A write that fails has written its first half.
  error_code write_at(std::uint64_t offset, std::string_view bytes) override {
    std::unique_lock guard(disk_.mutex_);
    disk_.wait_while_stalled(guard, epoch_);
    const bool alive = epoch_ == disk_.epoch_;
    const error_code ec = disk_.meet(epoch_);
    if (alive) FakeDisk::write(*inode_, offset, ec ? bytes.substr(0, bytes.size() / 2) : bytes);
    return ec;
  }
  error_code sync() override {
    std::unique_lock guard(disk_.mutex_);
    disk_.wait_while_stalled(guard, epoch_);
    const error_code ec = disk_.meet(epoch_);
    if (epoch_ != disk_.epoch_) return ec;
    ++disk_.syncs_;
    if (inode_->sync_failed) ++disk_.repeated_syncs_;
    if (ec) {
      inode_->sync_failed = true;
      if (!disk_.forever_) inode_->dirty.clear();
    } else {
      FakeDisk::write_back(*inode_);
    }
    return ec;
  }

 private:
  FakeDisk& disk_;
  const std::shared_ptr<FakeDisk::Inode> inode_;
  const std::uint64_t epoch_;
};

class FakeDirectory final : public Directory {
 public:
  FakeDirectory(FakeDisk& disk, std::uint64_t epoch) : disk_(disk), epoch_(epoch) {}
  ~FakeDirectory() override {
    const std::lock_guard guard(disk_.mutex_);
    if (has_lock_ && epoch_ == disk_.epoch_) disk_.locked_ = false;
  }

  error_code lock() override {
    const std::lock_guard guard(disk_.mutex_);
    if (disk_.locked_ && !has_lock_) {
      return make_error_code(boost::system::errc::operation_would_block);
    }
    disk_.locked_ = has_lock_ = true;
    return {};
  }
  Result<std::vector<std::string>> list() override {
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = disk_.meet(epoch_)) return ec;
    std::vector<std::string> names{".", ".."};
    for (const auto& [name, inode] : disk_.names_) names.push_back(name);
    return names;
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = disk_.meet(epoch_)) return ec;
    const auto it = disk_.names_.find(name);
    if (it == disk_.names_.end()) {
      return make_error_code(boost::system::errc::no_such_file_or_directory);
    }
    return handle(it->second);
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = disk_.meet(epoch_)) return ec;
    const auto inode = std::make_shared<FakeDisk::Inode>();
    disk_.names_[name] = inode;
    disk_.name_changes_.push_back(disk_.names_);
    return handle(inode);
  }
  error_code rename(const std::string& from, const std::string& to) override {
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = disk_.meet(epoch_)) return ec;
    const auto it = disk_.names_.find(from);
    if (it == disk_.names_.end()) {
      return make_error_code(boost::system::errc::no_such_file_or_directory);
    }
    disk_.names_[to] = it->second;
    disk_.names_.erase(from);
    disk_.name_changes_.push_back(disk_.names_);
    return {};
  }
  error_code remove(const std::string& name) override {
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = disk_.meet(epoch_)) return ec;
    disk_.names_.erase(name);
    disk_.name_changes_.push_back(disk_.names_);
    return {};
  }
  error_code sync() override {
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = disk_.meet(epoch_)) return ec;
    disk_.disk_names_ = disk_.names_;
    disk_.name_changes_.clear();
    return {};
  }

 private:
  [[nodiscard]] std::unique_ptr<File> handle(std::shared_ptr<FakeDisk::Inode> inode) {
    return std::make_unique<FakeFile>(disk_, std::move(inode), epoch_);
  }
  FakeDisk& disk_;
  const std::uint64_t epoch_;
  bool has_lock_ = false;
};

inline std::unique_ptr<Directory> FakeDisk::directory() {
  const std::lock_guard guard(mutex_);
  return std::make_unique<FakeDirectory>(*this, epoch_);
}

inline error_code FakeDisk::meet(std::uint64_t epoch) {
  if (epoch != epoch_) return make_error_code(boost::system::errc::io_error);
  ++calls_;
  const bool meets = fail_at_ != 0 && (forever_ ? calls_ >= fail_at_ : calls_ == fail_at_);
  return meets ? error_ : error_code();
}

inline void FakeDisk::write(Inode& inode, std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  const auto begin = static_cast<std::size_t>(offset);
  const std::size_t end = begin + bytes.size();
  if (inode.seen.size() < end) inode.seen.resize(end, '\0');
  inode.seen.replace(begin, bytes.size(), bytes);
  for (std::size_t s = begin / kSectorBytes; s <= (end - 1) / kSectorBytes; ++s) {
    inode.dirty.insert(s);
  }
}

inline void FakeDisk::write_back(Inode& inode) {
  inode.disk.resize(inode.seen.size(), '\0');
  for (const std::size_t s : inode.dirty) {
    const std::size_t at = s * kSectorBytes;
    if (at >= inode.seen.size()) continue;
    inode.disk.replace(at, kSectorBytes, inode.seen.substr(at, kSectorBytes));
  }
  inode.dirty.clear();
}

inline void FakeDisk::lose_power(Inode& inode, Crash how, std::mt19937_64& random) {
  if (how == Crash::sectors) {
    // The size changes on its own: sectors beyond it are lost, holes below it are zero.
    const std::size_t grown = inode.seen.size() - std::min(inode.seen.size(), inode.disk.size());
    const std::size_t size = inode.disk.size() + (random() % 2 ? grown : random() % (grown + 1));
    const std::uint64_t odds = random() % 5;  // of 4: none, few, half, most, all of the sectors
    inode.disk.resize(size, '\0');
    for (const std::size_t s : inode.dirty) {
      const std::size_t at = s * kSectorBytes;
      if (random() % 4 >= odds || at >= size) continue;
      const std::size_t bytes = std::min(kSectorBytes, size - at);
      inode.disk.replace(at, bytes, inode.seen.substr(at, bytes));
    }
  }
  inode.seen = inode.disk;
  inode.dirty.clear();
}

inline void FakeDisk::crash(Crash how, std::mt19937_64& random) {
  const std::lock_guard guard(mutex_);
  ++epoch_;
  locked_ = false;
  stalled_ = false;
  fail_at_ = 0;
  resumed_.notify_all();
  if (how != Crash::process) {
    if (how == Crash::sectors && !name_changes_.empty()) {
      const std::size_t survive = random() % (name_changes_.size() + 1);
      if (survive != 0) disk_names_ = name_changes_[survive - 1];
    }
    names_ = disk_names_;
    name_changes_.clear();
    for (const auto& [name, inode] : names_) lose_power(*inode, how, random);
  }
  for (const auto& [name, inode] : names_) inode->sync_failed = false;  // another process asks
}

inline std::vector<std::string> FakeDisk::names() const {
  const std::lock_guard guard(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, inode] : names_) names.push_back(name);
  return names;
}

inline std::string FakeDisk::content(const std::string& name) const {
  const std::lock_guard guard(mutex_);
  return names_.at(name)->seen;
}

inline void FakeDisk::put(const std::string& name, std::string content) {
  const std::lock_guard guard(mutex_);
  const auto inode = std::make_shared<Inode>();
  inode->seen = inode->disk = std::move(content);
  names_[name] = disk_names_[name] = inode;
}

inline void FakeDisk::remove(const std::string& name) {
  const std::lock_guard guard(mutex_);
  names_.erase(name);
  disk_names_.erase(name);
}

}  // namespace tallygate::ledger
