#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "core/ledger/account.h"
#include "server/command/commands.h"
#include "server/command/exit_code.h"
#include "server/command/ledger_adopt.h"
#include "server/command/ledger_backup.h"
#include "server/command/progress.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/files.h"
#include "server/ledger/snapshot_file.h"
#include "server/net/clock.h"
#include "server/shop/outbox.h"

namespace tallygate::command {
namespace {

namespace json = boost::json;

struct LedgerOptions {
  std::string dir;
  bool as_json = false;
};

// The default; what a link is blocked by depends on the setting, but not whether the files are
// good.
constexpr std::uint32_t kWastePermille = 2000;

int fail(const std::string& dir, const std::string& why) {
  fmt::print(stderr, "tallygate: {}: {}\n", dir, why);
  return kFailed;
}

// Reads all of it, every image too. `what`: for whoever waits for a large one.
Result<ledger::Chronicle, std::string> read(const char* what, ledger::Directory& directory,
                                            ledger::ChronicleOptions options,
                                            const ledger::VisitLink& visit) {
  Progress progress;
  options.waste_permille = kWastePermille;
  options.verify_images = true;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    progress.bytes(what, done, total);
  };
  auto found = ledger::read_chronicle(directory, options, visit);
  progress.end();
  if (!found) return std::move(found.error().text);
  return std::move(*found);
}

// As the link stands; nullopt never comes of files that were read.
std::optional<ledger::AccountView> view_of(const ledger::StoredLink& link) {
  ledger::Account account(kWastePermille, link.id);
  if (!account.read_image(link.image)) return std::nullopt;
  auto view = account.view();
  view.identity.parent_id = link.parent_id;
  view.identity.path = link.path;
  return view;
}

// -- check --------------------------------------------------------------------------------------

int check(const LedgerOptions& options) {
  auto directory = ledger::open_directory(options.dir, false);
  if (!directory) return fail(options.dir, directory.error().message());
  std::uint64_t copies = 0;
  const auto found = read("check", **directory, {}, [&copies](const ledger::StoredLink& link) {
    if (const auto view = view_of(link)) copies += view->counted;
  });
  if (!found) return fail(options.dir, found.error());
  const ledger::JournalPlace& place = found->place;
  if (options.as_json) {
    const json::object out{{"snapshot", found->snapshot},
                           {"segment", found->next_segment - 1},
                           {"links", found->links},
                           {"copies", copies},
                           {"batches", place.batches},
                           {"records", place.next_seq - 1},
                           {"bytes", found->snapshot_bytes + found->journal_bytes},
                           {"torn_bytes", found->torn_bytes},
                           {"in_flight", found->in_flight},
                           {"written_at", place.clock.last().value_or(0)}};
    fmt::print("{}\n", json::serialize(out));
    return kDone;
  }
  if (place.batches == 0) {
    fmt::print("{}: an empty ledger\n", options.dir);
    return kDone;
  }
  fmt::print("{}: good: {} links, {} copies, {} records in the journal of {} bytes since ",
             options.dir, found->links, copies, found->records, found->journal_bytes);
  fmt::print("{}\n", found->snapshot == 0 ? std::string("the beginning")
                                          : ledger::snapshot_name(found->snapshot));
  if (found->torn_bytes != 0) {
    fmt::print("{}: {} bytes of an unfinished last write behind them\n", found->torn_file,
               found->torn_bytes);
  }
  if (found->in_flight != 0) fmt::print("{} transfers in flight\n", found->in_flight);
  return kDone;
}

// -- export -------------------------------------------------------------------------------------

template <class T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::object describe(const ledger::AccountView& view) {
  static constexpr const char* kStates[] = {"active", "held", "refunded", "revoked"};
  static constexpr const char* kBlocked[] = {nullptr, "copies", "traffic"};
  const auto text = [](const std::string& s) { return s.empty() ? json::value() : json::value(s); };
  const char* blocked = kBlocked[static_cast<std::size_t>(view.blocked)];
  const shop::Word& word = view.spoken.word;
  return {{"id", view.identity.id},
          {"folder", text(view.identity.parent_id)},
          {"path", text(view.identity.path)},
          {"limit", or_null(view.limit)},
          {"signed_limit", or_null(view.signed_terms.limit)},
          {"signed_expires_at", or_null(view.signed_terms.expires_at)},
          {"max_copies", or_null(word.max_copies)},
          {"not_before", or_null(word.not_before)},
          {"expires_at", or_null(word.expires_at)},
          {"state", kStates[static_cast<std::size_t>(word.state)]},
          {"reset_gen", word.reset_gen},
          {"counted", view.counted},
          {"copies", view.copies},
          {"traffic_bytes", view.traffic_bytes},
          {"blocked", blocked == nullptr ? json::value(nullptr) : json::value(blocked)},
          {"in_flight", view.in_flight}};
}

int export_links(const LedgerOptions& options) {
  auto directory = ledger::open_directory(options.dir, false);
  if (!directory) return fail(options.dir, directory.error().message());
  bool written = true;
  const auto found = read("export", **directory, {}, [&](const ledger::StoredLink& link) {
    const auto view = view_of(link);
    if (!view || !written) return;
    const std::string line = json::serialize(describe(*view)) + "\n";
    written = std::fwrite(line.data(), 1, line.size(), stdout) == line.size();
  });
  if (!found) return fail(options.dir, found.error());
  if (!written || std::fflush(stdout) != 0) return fail("standard output", "cannot be written");
  return kDone;
}

// How many of the ledger's records the outbox beside it, if there is one, has not taken yet.
std::uint64_t lacking_in_outbox(const std::string& dir, std::uint64_t last_seq) {
  const std::filesystem::path file = std::filesystem::path(dir) / "outbox.db";
  if (!std::filesystem::exists(file)) return 0;
  const auto backlog = shop::Outbox::inspect(file);
  if (!backlog) return last_seq;
  return last_seq - std::min(last_seq, backlog->consumed_seq);
}

// -- compact ------------------------------------------------------------------------------------

// One snapshot of everything, and nothing beside it. Transfers that a crash has left in flight stay
// so: the next start settles them.
int compact(const LedgerOptions& options) {
  auto directory = ledger::open_directory(options.dir, false);
  if (!directory) return fail(options.dir, directory.error().message());
  if (const ledger::error_code ec = (*directory)->lock()) {
    return fail(options.dir, ec == boost::system::errc::operation_would_block
                                 ? "in use by a tallygate that runs"
                                 : "cannot be locked: " + ec.message());
  }
  const auto before = ledger::list_files(**directory);
  if (!before) return fail(options.dir, before.error().message());
  const std::uint64_t number = before->segments.empty() ? 1 : before->segments.back() + 1;
  ledger::ChronicleOptions from_disk;
  from_disk.from_disk = true;
  ledger::SnapshotWriter writer(**directory, number);
  const auto found = read("compact", **directory, from_disk,
                          [&writer](const ledger::StoredLink& link) { writer.add(link); });
  if (!found) return fail(options.dir, found.error());
  if (found->records == 0) {
    fmt::print("{}: nothing to do\n", options.dir);
    return kDone;
  }
  const std::uint64_t lacking = lacking_in_outbox(options.dir, found->place.next_seq - 1);
  if (lacking != 0) {
    return fail(options.dir, fmt::format("the shop's outbox has yet to take {} records: start and "
                                         "stop the server once",
                                         lacking));
  }
  const std::string wrong = writer.finish(found->place, system_clock().unix_now());
  if (!wrong.empty()) return fail(options.dir, wrong);
  // The snapshot is followed by a segment that is empty: as if a server had just begun it.
  ledger::SegmentHead head;
  head.number = number;
  head.ledger_id = found->place.ledger_id;
  head.run = found->place.run;
  head.length = ledger::kBlockBytes;
  if (const auto made = ledger::make_segment(**directory, head); !made) {
    return fail(options.dir, ledger::segment_name(number) + ": " + made.error().message());
  }
  for (const std::uint64_t segment : before->segments) {
    if (segment != number) static_cast<void>((*directory)->remove(ledger::segment_name(segment)));
  }
  for (const std::uint64_t snapshot : before->snapshots) {
    if (snapshot != number)
      static_cast<void>((*directory)->remove(ledger::snapshot_name(snapshot)));
  }
  static_cast<void>((*directory)->sync());
  fmt::print("{}: {} links in {} of {} bytes\n", options.dir, writer.links(),
             ledger::snapshot_name(number), writer.bytes());
  return kDone;
}

}  // namespace

void add_ledger_commands(CLI::App& app, int& exit_code) {
  CLI::App* ledger = app.add_subcommand("ledger", "look after the ledger's directory");
  ledger->require_subcommand(1);
  const auto o = std::make_shared<LedgerOptions>();
  const auto add = [&](const char* name, const char* what, int (*run)(const LedgerOptions&)) {
    CLI::App* command = ledger->add_subcommand(name, what);
    command->add_option("--dir", o->dir, "the ledger's directory")->required();
    command->callback([o, run, &exit_code] { exit_code = run(*o); });
    return command;
  };
  add("check", "verify the files; changes nothing, and may run beside a server", check)
      ->add_flag("--json", o->as_json, "print JSON");
  add("export", "print every link as a line of JSON; changes nothing, may run beside a server",
      export_links);
  add("compact", "write everything into one snapshot; for a server that is stopped", compact);
  const auto b = std::make_shared<BackupOptions>();
  CLI::App* backup = ledger->add_subcommand(
      "backup", "copy ledger and outbox, verified; changes nothing, and may run beside a server");
  backup->add_option("--dir", b->dir, "the ledger's directory")->required();
  backup->add_option("--to", b->to, "a new or an empty directory")->type_name("DIR")->required();
  backup->add_flag("--json", b->as_json, "print JSON");
  backup->callback([b, &exit_code] { exit_code = backup_ledger(*b); });
  const auto config = std::make_shared<std::string>();
  CLI::App* adopt = ledger->add_subcommand(
      "adopt",
      "bring a ledger that was restored from a backup, or lost its outbox.db, and the shop's "
      "database to the same counts; for a server that is stopped");
  adopt->add_option("--config", *config, "settings (TOML)")->required();
  adopt->callback([config, &exit_code] { exit_code = adopt_ledger(*config); });
}

}  // namespace tallygate::command
