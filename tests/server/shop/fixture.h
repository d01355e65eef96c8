// What the tests of the shop's side share: a directory, a clock, a ledger, a merchant.
#pragma once
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/ledger/event.h"
#include "server/net/clock.h"
#include "server/shop/exchange.h"
#include "server/shop/ledger_port.h"
#include "server/shop/outbox.h"
#include "server/shop/sqlite/sqlite_database.h"

namespace tallygate::shop {

using namespace std::chrono_literals;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tallygate-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

class ManualClock final : public Clock {
 public:
  std::int64_t unix_now() const noexcept override {
    return 1'700'000'000 + std::chrono::duration_cast<std::chrono::seconds>(passed.load()).count();
  }
  std::chrono::steady_clock::time_point steady_now() const noexcept override {
    return std::chrono::steady_clock::time_point(1h) + passed.load();
  }
  void advance(std::chrono::nanoseconds by) { passed = passed.load() + by; }

 private:
  std::atomic<std::chrono::nanoseconds> passed{0ns};
};

// Keeps what it is told. Callable from any thread.
class FakeLedger final : public LedgerPort {
 public:
  bool knows(std::string_view link_id) override {
    const std::scoped_lock lock(mutex_);
    return knows_all || known.contains(std::string(link_id));
  }
  void apply_word(std::string_view link_id, const Word& word) override {
    const std::scoped_lock lock(mutex_);
    words[std::string(link_id)] = word;
    gone.erase(std::string(link_id));
    changed_.notify_all();
  }
  void row_gone(std::string_view link_id) override {
    const std::scoped_lock lock(mutex_);
    gone.insert(std::string(link_id));
  }
  void row_acknowledged(std::string_view link_id) override {
    const std::scoped_lock lock(mutex_);
    acknowledged.insert(std::string(link_id));
  }
  bool make_durable() override { return durable; }

  Word word(const std::string& link_id) {
    const std::scoped_lock lock(mutex_);
    return words[link_id];
  }

  // False: the ledger was not told within 10 s.
  bool wait_for_word(
      const std::string& link_id,
      const std::function<bool(const Word&)>& says = [](const Word&) { return true; }) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] {
      const auto word = words.find(link_id);
      return word != words.end() && says(word->second);
    });
  }

  bool knows_all = true;
  bool durable = true;
  std::set<std::string> known;
  std::map<std::string, Word> words;
  std::set<std::string> gone;
  std::set<std::string> acknowledged;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

// Somebody with the sqlite3 shell and the same file: plain SQL, no extension, own connection.
class Merchant {
 public:
  explicit Merchant(const std::filesystem::path& file) {
    EXPECT_EQ(sqlite3_open_v2(file.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
    sqlite3_busy_timeout(db_, 5000);
  }
  ~Merchant() { sqlite3_close(db_); }
  Merchant(const Merchant&) = delete;
  Merchant& operator=(const Merchant&) = delete;

  void execute(const std::string& sql) {
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << sql << ": " << (error ? error : "");
    sqlite3_free(error);
  }
  // All rows, columns joined by '|'.
  std::vector<std::string> rows(const std::string& sql) {
    std::vector<std::string> result;
    const auto add = [](void* out, int n, char** values, char**) {
      std::string row;
      for (int i = 0; i < n; ++i) {
        if (i > 0) row += '|';
        row += values[i] ? values[i] : "NULL";
      }
      static_cast<std::vector<std::string>*>(out)->push_back(row);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), add, &result, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(db_);
    return result;
  }
  std::string one(const std::string& sql) {
    const auto all = rows(sql);
    return all.empty() ? "no row" : all.front();
  }
  // A consistent copy of the whole database to or from another file, while it is in use.
  void backup_to(const std::filesystem::path& file) {
    execute("VACUUM INTO '" + file.string() + "'");
  }
  void restore_from(const std::filesystem::path& file) {
    sqlite3* from = nullptr;
    ASSERT_EQ(sqlite3_open_v2(file.c_str(), &from, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
    auto* backup = sqlite3_backup_init(db_, "main", from, "main");
    ASSERT_NE(backup, nullptr);
    EXPECT_EQ(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    sqlite3_backup_finish(backup);
    sqlite3_close(from);
  }

 private:
  sqlite3* db_ = nullptr;
};

inline ledger::Event used(std::uint64_t seq, std::string link, std::string parent = {}) {
  return {seq, std::move(link), ledger::LinkUsed{"/music/a.flac", std::move(parent)}};
}
inline ledger::Event counted(std::uint64_t seq, std::string link, std::uint64_t copies,
                             std::uint32_t reset_gen = 0) {
  return {seq, std::move(link), ledger::CopiesCounted{reset_gen, copies}};
}
inline ledger::Event blocked(std::uint64_t seq, std::string link, ledger::Blocked why) {
  return {seq, std::move(link), ledger::BlockedChanged{why}};
}
inline ledger::Event ended(std::uint64_t seq, std::string link, std::uint64_t first,
                           std::uint64_t last, std::uint32_t copies = 0) {
  constexpr std::uint64_t kSize = 1'000'000;
  const bool whole = first == 0 && last == kSize;
  return {
      seq, std::move(link),
      ledger::TransferEnded{.started_at = 1000,
                            .ended_at = 1010,
                            .first = first,
                            .last = last,
                            .bytes_sent = last - first,
                            .bytes_acked = last - first,
                            .file_size = kSize,
                            .version = 1,
                            .copies = copies,
                            .outcome = whole ? ledger::Outcome::complete : ledger::Outcome::partial,
                            .whole = whole,
                            .client_ip = "192.0.2.1",
                            .user_agent = "curl/8"}};
}

}  // namespace tallygate::shop
