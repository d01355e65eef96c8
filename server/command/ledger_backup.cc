#include "server/command/ledger_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "server/command/exit_code.h"
#include "server/command/progress.h"
#include "server/ledger/copy.h"
#include "server/net/descriptor.h"
#include "server/shop/outbox.h"

namespace tallygate::command {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int kAttempts = 5;
constexpr const char* kOutbox = "outbox.db";

std::string system_error(const std::string& what) {
  return what + ": " + last_error().message();
}

std::string sync_path(const fs::path& path, int flags) {
  const Descriptor fd(::open(path.c_str(), flags | O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return system_error(path.string());
  return {};
}

// The copy in the making, beside the place where it goes; removed unless it got there.
class Draft {
 public:
  explicit Draft(fs::path to) : to_(std::move(to)) {}
  ~Draft() { remove(); }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  std::string make() {
    std::string pattern = to_.string() + ".new-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) return system_error(pattern);
    path_ = pattern;
    return {};
  }
  void remove() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
    path_.clear();
  }
  // Everything in it is on disk. An empty directory there is replaced, anything else is not.
  std::string put_in_place() {
    if (std::string wrong = sync_path(path_, O_DIRECTORY); !wrong.empty()) return wrong;
    if (::rename(path_.c_str(), to_.c_str()) != 0) return system_error(to_.string());
    path_.clear();
    return sync_path(to_.parent_path(), O_DIRECTORY);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  const fs::path to_;
  fs::path path_;
};

// Empty, or why nothing can be put there.
std::string check_place(const fs::path& to) {
  std::error_code ec;
  if (!fs::is_directory(to.parent_path(), ec)) {
    return to.parent_path().string() + ": no such directory";
  }
  if (!fs::exists(fs::symlink_status(to, ec))) return {};
  if (!fs::is_directory(fs::symlink_status(to, ec)) || !fs::is_empty(to, ec)) {
    return to.string() + ": is there already; a backup goes to a new or an empty directory";
  }
  return {};
}

using Copied = Result<ledger::Chronicle, ledger::CopyError>;

// The outbox first: what the ledger is then found to have beyond it, the outbox takes from the
// ledger at its start, as after a crash. The other way round, it could have taken what the ledger
// lacks.
Copied copy_into(const fs::path& dir, const fs::path& draft, Progress& progress) {
  ledger::CopyOptions options;
  if (fs::exists(dir / kOutbox)) {
    progress.step("backup: copying " + std::string(kOutbox));
    const auto taken = shop::Outbox::copy(dir / kOutbox, draft / kOutbox);
    if (!taken) return ledger::CopyError{taken.error().text, false};
    if (std::string wrong = sync_path(draft / kOutbox, 0); !wrong.empty()) {
      return ledger::CopyError{std::move(wrong), false};
    }
    options.cursor = *taken;
  }
  const auto from = ledger::open_directory(dir, false);
  if (!from) return ledger::CopyError{from.error().message(), false};
  const auto to = ledger::open_directory(draft, false);
  if (!to) return ledger::CopyError{to.error().message(), false};
  options.progress = [&](const char* what, std::uint64_t done, std::uint64_t total) {
    progress.bytes(std::string("backup: ") + what, done, total);
  };
  return ledger::copy_ledger(**from, **to, options);
}

int fail(const std::string& why) {
  fmt::print(stderr, "tallygate: {}\n", why);
  return kFailed;
}

}  // namespace

int backup_ledger(const BackupOptions& options) {
  fs::path to = fs::absolute(options.to).lexically_normal();
  if (!to.has_filename()) to = to.parent_path();
  if (std::string wrong = check_place(to); !wrong.empty()) return fail(wrong);
  Draft draft(to);
  Progress progress;
  std::optional<Copied> copied;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    draft.remove();
    if (std::string wrong = draft.make(); !wrong.empty()) return fail(wrong);
    copied = copy_into(options.dir, draft.path(), progress);
    if (*copied || !copied->error().again) break;
  }
  progress.end();
  if (!*copied) return fail(options.dir + ": " + copied->error().text);
  const bool has_outbox = fs::exists(draft.path() / kOutbox);
  if (std::string wrong = draft.put_in_place(); !wrong.empty()) return fail(wrong);
  const ledger::Chronicle& found = **copied;
  if (options.as_json) {
    const json::object out{{"to", to.string()},
                           {"links", found.links},
                           {"records", found.place.next_seq - 1},
                           {"in_flight", found.in_flight},
                           {"bytes", found.snapshot_bytes + found.journal_bytes},
                           {"outbox", has_outbox}};
    fmt::print("{}\n", json::serialize(out));
    return kDone;
  }
  fmt::print("{}: a good copy of {}: {} links{}\n", to.string(), options.dir, found.links,
             has_outbox ? "; before a server starts on it: tallygate ledger adopt" : "");
  return kDone;
}

}  // namespace tallygate::command
