// A ledger on a real disk, for benchmarks: in TALLYGATE_BENCH_DIR, or where temporary files go.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "server/ledger/ledger.h"
#include "tests/support/forwarding_storage.h"
#include "tests/support/temp_dir.h"

namespace tallygate::ledger {

// Counts the syncs of segments.
class CountingFile final : public ForwardingFile {
 public:
  CountingFile(std::unique_ptr<File> file, std::atomic<std::uint64_t>& syncs)
      : ForwardingFile(std::move(file)), syncs_(syncs) {}
  error_code sync() override {
    ++syncs_;
    return ForwardingFile::sync();
  }

 private:
  std::atomic<std::uint64_t>& syncs_;
};

class CountingDirectory final : public ForwardingDirectory {
 public:
  CountingDirectory(std::unique_ptr<Directory> directory, std::atomic<std::uint64_t>& syncs)
      : ForwardingDirectory(std::move(directory)), syncs_(syncs) {}
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    auto file = ForwardingDirectory::create(name);
    if (!file) return file.error();
    return std::unique_ptr<File>(std::make_unique<CountingFile>(std::move(*file), syncs_));
  }

 private:
  std::atomic<std::uint64_t>& syncs_;
};

class BenchLedger {
 public:
  explicit BenchLedger(const Ledger::Options& options = {}) : options_(options) { open(); }

  // Also again, after close().
  void open() {
    auto opened = Ledger::open(
        std::make_unique<CountingDirectory>(std::move(*open_directory(folder(), true)), syncs_),
        options_, system_clock(), {}, [](const std::string&) {});
    TALLYGATE_ASSERT(opened.has_value());
    ledger_ = std::move(*opened);
  }
  void close() { ledger_.reset(); }
  [[nodiscard]] Ledger& ledger() { return *ledger_; }
  [[nodiscard]] std::string folder() const { return folder_.str(); }
  [[nodiscard]] std::uint64_t syncs() const { return syncs_; }

 private:
  static std::filesystem::path parent() {
    const char* chosen = std::getenv("TALLYGATE_BENCH_DIR");
    return chosen != nullptr ? std::filesystem::path(chosen)
                             : std::filesystem::temp_directory_path();
  }

  const Ledger::Options options_;
  TempDir folder_{parent()};
  std::atomic<std::uint64_t> syncs_{0};
  std::unique_ptr<Ledger> ledger_;
};

// A whole GET of a 4 KiB file, delivered at once. False: it was not admitted.
inline Task<bool> download(Ledger& ledger, WaitingRoom& room, std::string_view link_id,
                           Limit limit) {
  static constexpr std::uint64_t kFileBytes = 4096;
  const Span whole{0, kFileBytes};
  AdmitRequest request;
  request.link_id = link_id;
  request.path = "/music/album/01 first track.flac";
  request.signed_limit = limit;
  request.expires_at = 1'800'000'000;
  request.version = {0x9d3f'11c2'6a70'4be5};
  request.size = kFileBytes;
  request.ranges = {&whole, 1};
  request.window_bytes = 1 << 20;
  const auto admitted = co_await ledger.admit(request, room);
  if (!admitted) co_return false;
  ledger.close({admitted->link, admitted->first_flight}, kFileBytes, 0, true, &room);
  co_return true;
}

}  // namespace tallygate::ledger
