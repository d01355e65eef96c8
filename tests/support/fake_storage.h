// A disk in memory that fails and loses power on request, behind the ledger's storage interface.
//
// It keeps two images: what programs see (the system's cache), and what a power cut leaves. A write
// reaches the second with the file's sync; a create, rename or remove with the directory's. A sync
// that failed leaves sectors that look written, count as clean, and are not on the disk: that is
// what Linux does. Cost of a crash or a dropped cache: the sectors in which the two differ.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/ledger/storage.h"

namespace tallygate::ledger {

// What becomes of what was not synced.
enum class Crash : std::uint8_t {
  process,   // kill -9: programs see everything, as before; it still is not on the disk
  all_lost,  // power cut, nothing had been written back
  sectors,   // power cut; each sector, and each change of names, survives or not
};

enum class DiskCall : std::uint8_t {
  list,
  open,
  create,
  rename,
  remove,
  sync_names,
  size,
  read,
  write,
  allocate,
  sync,
};
inline constexpr std::size_t kDiskCalls = 11;

// Any thread. Directories and files borrow it.
class FakeDisk {
 public:
  static constexpr std::size_t kSectorBytes = 512;

  // As a process sees it; the handles of processes that crashed fail.
  [[nodiscard]] std::unique_ptr<Directory> directory();

  // -- faults; calls are counted from 1, over everything but locking and dropping caches
  void fail_call(std::uint64_t number, error_code error, bool forever) {
    const std::lock_guard guard(mutex_);
    calls_ = 0;
    fail_at_ = number;
    error_ = error;
    forever_ = forever;
    loses_power_ = false;
  }
  void fail_nothing() { fail_call(0, {}, false); }
  // Power goes off in the middle of that call: it, and all after it, fail.
  void crash_at_call(std::uint64_t number) {
    fail_call(number, make_error_code(boost::system::errc::io_error), true);
    const std::lock_guard guard(mutex_);
    loses_power_ = true;
  }
  // How a call ends, and how much of it was done before: eighths of a write, of the sectors of a
  // sync. What a failed sync has not written is clean for the system, and not on the disk.
  struct Fault {
    error_code error;
    unsigned eighths = 4;
  };
  // Asked before each call of the living process, with the file's name; before the other faults. It
  // may use the disk itself: other threads do so at such a moment. Empty: nobody is asked.
  using Judge = std::function<Fault(DiskCall, const std::string&)>;
  void set_judge(Judge judge) { judge_ = std::move(judge); }

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

  // Ends the process: its handles, and its lock, are gone. Faults of counted calls end too.
  void crash(Crash how, std::mt19937_64& random);

  // -- what programs see; for crafted files
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::string content(const std::string& name) const;
  void put(const std::string& name, std::string content);  // on the disk at once
  void remove(const std::string& name);

 private:
  friend class FakeFile;
  friend class FakeDirectory;

  using Sectors = std::vector<std::size_t>;  // ascending
  struct Inode {
    std::string seen;
    std::string disk;
    Sectors dirty;  // seen, and to be written with the next sync
    Sectors stale;  // seen, clean, and not on the disk
    bool sync_failed = false;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  // `to` is `inode` from now on, and `from` is gone; either may be empty.
  struct NameChange {
    std::string from;
    std::string to;
    std::shared_ptr<Inode> inode;
    void apply(Names& names) const {
      if (!from.empty()) names.erase(from);
      if (!to.empty()) names[to] = inode;
    }
  };
  void change_names(NameChange change) {
    change.apply(names_);
    name_changes_.push_back(std::move(change));
  }

  // Counts a call of the process `epoch`; the fault that it meets.
  [[nodiscard]] Fault meet(std::uint64_t epoch);
  // To be called without the lock.
  [[nodiscard]] Fault ask(std::uint64_t epoch, DiskCall call, const std::string& name) {
    {
      const std::lock_guard guard(mutex_);
      if (epoch != epoch_ || (loses_power_ && calls_ >= fail_at_)) return {};
    }
    return judge_ ? judge_(call, name) : Fault{};
  }
  // The process lives, and the disk has power or loses it just now.
  [[nodiscard]] bool works(std::uint64_t epoch) const {
    return epoch == epoch_ && (!loses_power_ || calls_ <= fail_at_);
  }
  void wait_while_stalled(std::unique_lock<std::mutex>& guard, std::uint64_t epoch) {
    resumed_.wait(guard, [&] { return !stalled_ || epoch != epoch_; });
  }
  static void add(Sectors& sectors, std::size_t sector);
  static void write(Inode& inode, std::uint64_t offset, std::string_view bytes);
  static void write_back(Inode& inode, unsigned eighths);
  static void to_disk(Inode& inode, std::size_t sector, std::size_t bytes_max = kSectorBytes);
  static void from_disk(Inode& inode, const Sectors& sectors);
  static void lose_power(Inode& inode, Crash how, std::mt19937_64& random);

  mutable std::mutex mutex_;
  std::condition_variable resumed_;
  Judge judge_;
  Names names_;
  Names disk_names_;
  std::vector<NameChange> name_changes_;  // since the last sync
  std::uint64_t epoch_ = 1;
  bool locked_ = false;
  bool stalled_ = false;
  std::uint64_t syncs_ = 0;
  std::uint64_t repeated_syncs_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t fail_at_ = 0;
  error_code error_;
  bool forever_ = false;
  bool loses_power_ = false;
};

class FakeFile final : public File {
 public:
  FakeFile(FakeDisk& disk, std::string name, std::shared_ptr<FakeDisk::Inode> inode,
           std::uint64_t epoch)
      : disk_(disk), name_(std::move(name)), inode_(std::move(inode)), epoch_(epoch) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> buffer) override {
    const FakeDisk::Fault asked = disk_.ask(epoch_, DiskCall::read, name_);
    const std::lock_guard guard(disk_.mutex_);
    if (const auto fault = either(asked); fault.error) return fault.error;
    if (offset >= inode_->seen.size()) return std::size_t{0};
    return inode_->seen.copy(buffer.data(), buffer.size(), static_cast<std::size_t>(offset));
  }
  // A write that fails has written its first half, unless the judge has said how much.
  error_code write_at(std::uint64_t offset, std::string_view bytes) override {
    const FakeDisk::Fault asked = disk_.ask(epoch_, DiskCall::write, name_);
    std::unique_lock guard(disk_.mutex_);
    disk_.wait_while_stalled(guard, epoch_);
    const auto fault = either(asked);
    if (!disk_.works(epoch_)) return fault.error;
    FakeDisk::write(*inode_, offset,
                    fault.error ? bytes.substr(0, bytes.size() * fault.eighths / 8) : bytes);
    return fault.error;
  }
  Result<std::uint64_t> size() override {
    const FakeDisk::Fault asked = disk_.ask(epoch_, DiskCall::size, name_);
    const std::lock_guard guard(disk_.mutex_);
    if (const auto fault = either(asked); fault.error) return fault.error;
    return std::uint64_t{inode_->seen.size()};
  }
  // One that fails has come half the way.
  error_code allocate(std::uint64_t bytes) override {
    const FakeDisk::Fault asked = disk_.ask(epoch_, DiskCall::allocate, name_);
    const std::lock_guard guard(disk_.mutex_);
    const auto fault = either(asked);
    const auto size = static_cast<std::size_t>(fault.error ? bytes * fault.eighths / 8 : bytes);
    if (disk_.works(epoch_) && inode_->seen.size() < size) inode_->seen.resize(size, '\0');
    return fault.error;
  }
  void drop_cache() override {
    const std::lock_guard guard(disk_.mutex_);
    if (!disk_.works(epoch_)) return;
    FakeDisk::from_disk(*inode_, inode_->stale);
    inode_->stale.clear();
  }
  error_code sync() override {
    const FakeDisk::Fault asked = disk_.ask(epoch_, DiskCall::sync, name_);
    std::unique_lock guard(disk_.mutex_);
    disk_.wait_while_stalled(guard, epoch_);
    const auto fault = either(asked);
    if (!disk_.works(epoch_)) return fault.error;
    ++disk_.syncs_;
    if (inode_->sync_failed) ++disk_.repeated_syncs_;
    if (!fault.error) {
      FakeDisk::write_back(*inode_, 8);
      return {};
    }
    inode_->sync_failed = true;
    // Of a disk that is gone for good, nothing says what it had taken.
    if (asked.error) {
      FakeDisk::write_back(*inode_, fault.eighths);
    } else if (!disk_.forever_) {
      FakeDisk::write_back(*inode_, 0);
    }
    return fault.error;
  }

 private:
  // Counts the call.
  [[nodiscard]] FakeDisk::Fault either(const FakeDisk::Fault& asked) {
    const FakeDisk::Fault met = disk_.meet(epoch_);
    return met.error ? met : asked;
  }
  FakeDisk& disk_;
  const std::string name_;
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
    const auto asked = disk_.ask(epoch_, DiskCall::list, {});
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = either(asked)) return ec;
    std::vector<std::string> names{".", ".."};
    for (const auto& [name, inode] : disk_.names_) names.push_back(name);
    return names;
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    const auto asked = disk_.ask(epoch_, DiskCall::open, name);
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = either(asked)) return ec;
    const auto it = disk_.names_.find(name);
    if (it == disk_.names_.end()) {
      return make_error_code(boost::system::errc::no_such_file_or_directory);
    }
    return handle(name, it->second);
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    const auto asked = disk_.ask(epoch_, DiskCall::create, name);
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = either(asked)) return ec;
    const auto inode = std::make_shared<FakeDisk::Inode>();
    disk_.change_names({{}, name, inode});
    return handle(name, inode);
  }
  error_code rename(const std::string& from, const std::string& to) override {
    const auto asked = disk_.ask(epoch_, DiskCall::rename, to);
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = either(asked)) return ec;
    const auto it = disk_.names_.find(from);
    if (it == disk_.names_.end()) {
      return make_error_code(boost::system::errc::no_such_file_or_directory);
    }
    disk_.change_names({from, to, it->second});
    return {};
  }
  error_code remove(const std::string& name) override {
    const auto asked = disk_.ask(epoch_, DiskCall::remove, name);
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = either(asked)) return ec;
    disk_.change_names({name, {}, nullptr});
    return {};
  }
  error_code sync() override {
    const auto asked = disk_.ask(epoch_, DiskCall::sync_names, {});
    const std::lock_guard guard(disk_.mutex_);
    if (const error_code ec = either(asked)) return ec;
    disk_.disk_names_ = disk_.names_;
    disk_.name_changes_.clear();
    return {};
  }

 private:
  // Counts the call.
  [[nodiscard]] error_code either(const FakeDisk::Fault& asked) {
    const error_code met = disk_.meet(epoch_).error;
    return met ? met : asked.error;
  }
  [[nodiscard]] std::unique_ptr<File> handle(const std::string& name,
                                             std::shared_ptr<FakeDisk::Inode> inode) {
    return std::make_unique<FakeFile>(disk_, name, std::move(inode), epoch_);
  }
  FakeDisk& disk_;
  const std::uint64_t epoch_;
  bool has_lock_ = false;
};

inline std::unique_ptr<Directory> FakeDisk::directory() {
  const std::lock_guard guard(mutex_);
  return std::make_unique<FakeDirectory>(*this, epoch_);
}

inline FakeDisk::Fault FakeDisk::meet(std::uint64_t epoch) {
  if (epoch != epoch_) return {make_error_code(boost::system::errc::io_error)};
  ++calls_;
  const bool meets = fail_at_ != 0 && (forever_ ? calls_ >= fail_at_ : calls_ == fail_at_);
  return meets ? Fault{error_} : Fault{};
}

inline void FakeDisk::add(Sectors& sectors, std::size_t sector) {
  if (sectors.empty() || sectors.back() < sector) return sectors.push_back(sector);
  const auto it = std::lower_bound(sectors.begin(), sectors.end(), sector);
  if (*it != sector) sectors.insert(it, sector);
}

inline void FakeDisk::write(Inode& inode, std::uint64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  const auto begin = static_cast<std::size_t>(offset);
  const std::size_t end = begin + bytes.size();
  if (inode.seen.size() < end) inode.seen.resize(end, '\0');
  bytes.copy(inode.seen.data() + begin, bytes.size());
  for (std::size_t s = begin / kSectorBytes; s <= (end - 1) / kSectorBytes; ++s) {
    add(inode.dirty, s);
  }
}

inline void FakeDisk::to_disk(Inode& inode, std::size_t sector, std::size_t bytes_max) {
  const std::size_t at = sector * kSectorBytes;
  if (at >= inode.disk.size() || at >= inode.seen.size()) return;
  const std::size_t bytes = std::min({bytes_max, inode.disk.size() - at, inode.seen.size() - at});
  std::copy_n(inode.seen.data() + at, bytes, inode.disk.data() + at);
}

// All of the dirty sectors are clean then; of them only some may be on the disk.
inline void FakeDisk::write_back(Inode& inode, unsigned eighths) {
  inode.disk.resize(inode.seen.size(), '\0');
  for (const std::size_t s : inode.dirty) {
    if (eighths == 8 || s * 5 % 8 < eighths) {
      to_disk(inode, s);
    } else {
      add(inode.stale, s);
    }
  }
  if (eighths == 8 && !inode.stale.empty()) {
    // What was written once more is no longer stale.
    std::erase_if(inode.stale, [&](std::size_t s) {
      return std::binary_search(inode.dirty.begin(), inode.dirty.end(), s);
    });
  }
  inode.dirty.clear();
}

// What is read next comes from the disk, unless it has yet to be written there.
inline void FakeDisk::from_disk(Inode& inode, const Sectors& sectors) {
  for (const std::size_t s : sectors) {
    const std::size_t at = s * kSectorBytes;
    if (at >= inode.seen.size()) continue;
    if (&sectors != &inode.dirty && std::binary_search(inode.dirty.begin(), inode.dirty.end(), s)) {
      continue;
    }
    const std::size_t bytes = std::min(kSectorBytes, inode.seen.size() - at);
    const std::size_t there = at < inode.disk.size() ? inode.disk.size() - at : 0;
    std::fill_n(inode.seen.data() + at, bytes, '\0');
    std::copy_n(inode.disk.data() + (there != 0 ? at : 0), std::min(bytes, there),
                inode.seen.data() + at);
  }
}

inline void FakeDisk::lose_power(Inode& inode, Crash how, std::mt19937_64& random) {
  if (how == Crash::sectors) {
    // The size changes on its own: sectors beyond it are lost, holes below it are zero.
    const std::size_t grown = inode.seen.size() - std::min(inode.seen.size(), inode.disk.size());
    inode.disk.resize(inode.disk.size() + (random() % 2 ? grown : random() % (grown + 1)), '\0');
    // None, few, half, most or all of the sectors, in any order; or the first ones, the last of
    // them torn.
    const std::uint64_t odds = random() % 6;
    if (odds == 5) {
      const std::size_t first = random() % (inode.dirty.size() + 1);
      for (std::size_t i = 0; i < first; ++i) {
        to_disk(inode, inode.dirty[i], i + 1 == first ? random() % kSectorBytes : kSectorBytes);
      }
    } else {
      for (const std::size_t s : inode.dirty) {
        if (random() % 4 < odds) to_disk(inode, s);
      }
    }
  }
  const Sectors dirty = std::exchange(inode.dirty, {});
  from_disk(inode, dirty);
  from_disk(inode, inode.stale);
  inode.stale.clear();
  inode.seen.resize(inode.disk.size(), '\0');
}

inline void FakeDisk::crash(Crash how, std::mt19937_64& random) {
  const std::lock_guard guard(mutex_);
  ++epoch_;
  locked_ = false;
  stalled_ = false;
  fail_at_ = 0;
  loses_power_ = false;
  resumed_.notify_all();
  if (how != Crash::process) {
    if (how == Crash::sectors) {
      // The first few of them, or any.
      const bool in_order = random() % 2 != 0;
      const std::size_t first = random() % (name_changes_.size() + 1);
      for (std::size_t i = 0; i < name_changes_.size(); ++i) {
        if (in_order ? i < first : random() % 2 != 0) name_changes_[i].apply(disk_names_);
      }
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
