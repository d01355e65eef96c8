#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/command/commands.h"
#include "server/command/exit_code.h"
#include "server/ledger/recovery.h"

namespace tallygate::command {
namespace {

struct LedgerOptions {
  std::string dir;
  bool as_json = false;
};

// The default; what a link is blocked by depends on the setting, but not whether the files are
// good.
constexpr std::uint32_t kWastePermille = 2000;

int check(const LedgerOptions& options) {
  auto directory = ledger::open_directory(options.dir, false);
  if (!directory) {
    fmt::print(stderr, "tallygate: {}: {}\n", options.dir, directory.error().message());
    return kFailed;
  }
  std::vector<ledger::Event> events;
  const auto found = ledger::recover(**directory, kWastePermille, UINT64_MAX, events);
  if (!found) {
    fmt::print(stderr, "tallygate: {}: {}\n", options.dir, found.error());
    return kFailed;
  }
  std::uint64_t copies = 0;
  for (const auto& [key, account] : found->accounts) copies += account->view().counted;
  if (options.as_json) {
    const boost::json::object out{{"file", found->file},
                                  {"links", found->accounts.size()},
                                  {"copies", copies},
                                  {"batches", found->batches},
                                  {"records", found->records},
                                  {"bytes", found->file_bytes},
                                  {"torn_bytes", found->torn_bytes},
                                  {"in_flight", found->in_doubt},
                                  {"written_at", found->written_at}};
    fmt::print("{}\n", boost::json::serialize(out));
    return kDone;
  }
  if (found->file.empty()) {
    fmt::print("{}: an empty ledger\n", options.dir);
    return kDone;
  }
  fmt::print("{}: good: {} links, {} copies, {} batches with {} records in {} bytes\n", found->file,
             found->accounts.size(), copies, found->batches, found->records, found->file_bytes);
  if (found->torn_bytes != 0) {
    fmt::print("{} bytes of an unfinished last write behind them\n", found->torn_bytes);
  }
  if (found->in_doubt != 0) fmt::print("{} transfers in flight\n", found->in_doubt);
  return kDone;
}

}  // namespace

void add_ledger_commands(CLI::App& app, int& exit_code) {
  CLI::App* ledger = app.add_subcommand("ledger", "look after the ledger's directory");
  ledger->require_subcommand(1);
  const auto o = std::make_shared<LedgerOptions>();
  CLI::App* check_command = ledger->add_subcommand(
      "check", "verify the files; changes nothing, and may run beside a server");
  check_command->add_option("--dir", o->dir, "the ledger's directory")->required();
  check_command->add_flag("--json", o->as_json, "print JSON");
  check_command->callback([o, &exit_code] { exit_code = check(*o); });
}

}  // namespace tallygate::command
