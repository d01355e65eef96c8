#include "server/command/ledger_adopt.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/config/parse.h"
#include "core/ledger/account.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/command/progress.h"
#include "server/ledger/chronicle.h"
#include "server/ledger/ledger.h"
#include "server/net/clock.h"
#include "server/shop/database.h"
#include "server/shop/outbox.h"

namespace tallygate::command {
namespace {

using shop::EdgeCount;

constexpr std::size_t kPage = 1000;
constexpr const char* kOutbox = "outbox.db";
constexpr const char* kNewOutbox = "outbox.db.new";
constexpr std::size_t kEventsPerConsume = 10'000;

// What ends the command: said to the operator, and everything stays as it was.
struct Refused {
  std::string why;
};

template <class T>
T must(shop::Answer<T> answer) {
  if (!answer) throw Refused{answer.error().text};
  return std::move(*answer);
}
void must(const shop::Answer<void>& answer) {
  if (!answer) throw Refused{answer.error().text};
}

// What the ledger counted of a link, in the generation that it knows.
struct Counted {
  std::string link_id;
  std::string parent_id;
  std::string path;
  bool used = false;
  std::uint32_t reset_gen = 0;
  std::uint64_t copies = 0;
  bool was_in_flight = false;  // … when the backup was made
  ledger::Blocked blocked = ledger::Blocked::none;
};

class Adoption {
 public:
  Adoption(const config::Settings& settings, shop::Database& database)
      : settings_(settings), database_(database) {}

  // What was done, for the operator. Throws Refused.
  std::string run();

 private:
  void open_outbox();
  void commit_outbox();
  void find_streams();
  [[nodiscard]] bool is_needed();
  void catch_up(ledger::Directory& directory);
  void find_in_flight(ledger::Directory& directory);
  void open_ledger(std::unique_ptr<ledger::Directory> directory);
  void begin_stream();
  void take(const ledger::StoredLink& link);
  void settle_page();
  void settle(const Counted& link, std::uint64_t charged, bool is_told, bool has_row);
  void hear_unknown();
  [[nodiscard]] ledger::ChronicleOptions reading() const;

  const config::Settings& settings_;
  shop::Database& database_;
  Progress progress_;

  bool had_outbox_ = false;
  std::unique_ptr<shop::Outbox> outbox_;
  shop::Lineage lineage_ = shop::Lineage::own;
  std::uint64_t sealed_ = 0;  // the last batch that the outbox had made
  // The stream that told the database until now; nullopt: none ever did.
  std::optional<std::uint64_t> old_epoch_;
  std::uint64_t known_seq_ = 0;  // the last batch of it that the database has
  bool is_ahead_ = false;        // … and it was made elsewhere
  std::unordered_set<std::string> in_flight_;
  std::unordered_map<std::string, std::uint64_t> unacknowledged_;
  std::uint64_t last_event_ = 0;
  std::unique_ptr<ledger::Ledger> ledger_;

  std::vector<Counted> page_;
  std::vector<EdgeCount> inherited_;
  std::vector<std::string> arrived_;  // links of whose doubts the shop knows the end
  std::uint64_t links_ = 0;
  std::uint64_t raised_ = 0;  // copies that the shop knew of and the ledger did not
  std::uint64_t told_ = 0;    // … the other way round
};

// -- the outbox: one that is new gets its name when it is whole ---------------------------------

namespace fs = std::filesystem;

void remove_database(const fs::path& file) {
  for (const char* part : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    fs::remove(file.string() + part, ignored);
  }
}

void Adoption::open_outbox() {
  const fs::path dir = settings_.ledger.dir;
  had_outbox_ = fs::exists(dir / kOutbox);
  if (!had_outbox_) remove_database(dir / kNewOutbox);
  const auto name = had_outbox_ ? kOutbox : kNewOutbox;
  outbox_ = must(shop::Outbox::open(dir / name, system_clock(), {}));
  lineage_ = outbox_->lineage();
  sealed_ = outbox_->sealed_seq();
}

void Adoption::commit_outbox() {
  must(outbox_->commit_anew());
  outbox_.reset();
  if (had_outbox_) return;
  auto directory = ledger::open_directory(settings_.ledger.dir, false);
  ledger::error_code ec = directory ? ledger::error_code() : directory.error();
  if (!ec) ec = (*directory)->rename(kNewOutbox, kOutbox);
  if (!ec) ec = (*directory)->sync();
  if (ec) throw Refused{settings_.ledger.dir + ": " + ec.message()};
}

// -- what there is ------------------------------------------------------------------------------

void Adoption::find_streams() {
  const auto edges = must(database_.edges());
  const std::string& edge_id = settings_.shop.edge_id;
  std::int64_t seen_at = 0;
  for (const shop::EdgeSeen& seen : edges) {
    if (had_outbox_) {
      if (seen.edge.epoch != outbox_->epoch()) continue;
      if (seen.edge.edge_id != edge_id) {
        throw Refused{fmt::format(
            "this ledger is known to the shop as edge {}, and shop.edge_id is {}: keep the name",
            seen.edge.edge_id, edge_id)};
      }
    } else if (seen.edge.edge_id != edge_id || (old_epoch_ && seen.seen_at < seen_at)) {
      continue;
    }
    old_epoch_ = seen.edge.epoch;
    known_seq_ = seen.last_seq;
    seen_at = seen.seen_at;
  }
}

// False: the server will do by itself whatever there is to do.
bool Adoption::is_needed() {
  if (!had_outbox_ || lineage_ != shop::Lineage::own) return true;
  if (known_seq_ > sealed_) return true;
  if (known_seq_ == sealed_) return false;
  return !must(outbox_->read(known_seq_ + 1)).has_value();
}

ledger::ChronicleOptions Adoption::reading() const {
  ledger::ChronicleOptions options;
  options.waste_permille = settings_.metering.waste_permille;
  options.from_disk = true;
  options.new_run = true;
  options.verify_images = true;
  return options;
}

// The outbox takes what the ledger has and it lacks, as at a start of the server.
void Adoption::catch_up(ledger::Directory& directory) {
  ledger::ChronicleOptions options = reading();
  if (had_outbox_) options.cursor = outbox_->consumed_seq();
  options.progress = [this](std::uint64_t done, std::uint64_t total) {
    progress_.bytes("adopt: reading", done, total);
  };
  auto found = ledger::read_chronicle(directory, options, [](const ledger::StoredLink&) {});
  if (!found) throw Refused{settings_.ledger.dir + ": " + found.error().text};
  last_event_ = found->place.next_seq - 1;
  if (had_outbox_ && outbox_->consumed_seq() > last_event_) {
    // Counts in batches that the database has are in its table; those in others are nowhere else.
    if (known_seq_ < outbox_->sealed_seq() || outbox_->has_open_items()) {
      throw Refused{fmt::format(
          "{}: outbox.db is newer than the ledger, and has counts that neither the ledger nor the "
          "shop has: restore both of one backup",
          settings_.ledger.dir)};
    }
    lineage_ = shop::Lineage::backup;
    return;
  }
  const auto& events = found->events;
  for (auto first = events.begin(); first != events.end();) {
    auto last = first + std::min<std::ptrdiff_t>(kEventsPerConsume, events.end() - first);
    while (last != events.end() && last->seq == std::prev(last)->seq) ++last;
    must(outbox_->consume({first, last}));
    first = last;
  }
}

// Transfers in flight in the files, which a start, and all that is read after this, takes for lost.
void Adoption::find_in_flight(ledger::Directory& directory) {
  ledger::ChronicleOptions options;
  options.waste_permille = settings_.metering.waste_permille;
  const auto read = ledger::read_chronicle(directory, options, [&](const ledger::StoredLink& link) {
    const auto terms = ledger::image_terms(link.image);
    if (terms && terms->in_flight) in_flight_.emplace(link.id);
  });
  if (!read) throw Refused{settings_.ledger.dir + ": " + read.error().text};
}

// -- what is done -------------------------------------------------------------------------------

// What it says to its follower from now on, the next start of the server hands to the new stream.
void Adoption::open_ledger(std::unique_ptr<ledger::Directory> directory) {
  ledger::Ledger::Options options;
  options.waste_permille = settings_.metering.waste_permille;
  options.keep_expired =
      std::chrono::duration_cast<std::chrono::seconds>(settings_.metering.keep_expired);
  options.follower_cursor = [last = last_event_] { return last; };
  auto ledger = ledger::Ledger::open(
      std::move(directory), options, system_clock(), [](std::vector<ledger::Event>) {},
      [](const std::string&) {});
  if (!ledger) throw Refused{settings_.ledger.dir + ": " + ledger.error()};
  ledger_ = std::move(*ledger);
}

void Adoption::begin_stream() {
  if (is_ahead_ && lineage_ != shop::Lineage::backup) {
    unacknowledged_ = must(outbox_->unacknowledged());
  }
  must(outbox_->begin_anew(known_seq_, last_event_));
  must(database_.register_edge({settings_.shop.edge_id, outbox_->epoch()}));
  must(database_.begin_after(outbox_->acknowledged_seq()));
}

void Adoption::take(const ledger::StoredLink& link) {
  ledger::Account account(settings_.metering.waste_permille, link.id);
  if (!account.read_image(link.image)) return;  // it was verified when it was read
  const ledger::AccountView view = account.view();
  page_.push_back({std::string(link.id), std::string(link.parent_id), std::string(link.path),
                   view.identity.used, view.spoken.word.reset_gen, view.counted,
                   in_flight_.contains(std::string(link.id)), view.blocked});
  if (page_.size() == kPage) settle_page();
}

// The copies of one link that the shop and the ledger both know of become the new stream's part of
// the row; what only the ledger knows is told, what only the shop knows is an other's.
void Adoption::settle(const Counted& link, std::uint64_t charged, bool is_told, bool has_row) {
  // A server may have counted on a plain copy before this. What was not acknowledged may be that:
  // it is told, at worst a second time.
  std::uint64_t known = link.copies;
  if (const auto open = unacknowledged_.find(fmt::format("{} {}", link.link_id, link.reset_gen));
      open != unacknowledged_.end()) {
    known -= std::min(known, open->second);
  }
  const std::uint64_t common = std::min(known, charged);
  raised_ += charged - common;
  told_ += link.copies - common;
  // They went on elsewhere after the backup, and what came of them is in the shop's count.
  if (is_ahead_ && link.was_in_flight && charged >= link.copies) arrived_.push_back(link.link_id);
  if (common != 0) inherited_.push_back({link.link_id, link.reset_gen, common});

  shop::Restated restated{.link_id = link.link_id, .reset_gen = link.reset_gen};
  restated.copies = link.copies - common;
  // One that was told and has no row was deleted by the merchant.
  if (link.used && !has_row && !is_told) restated.file_id = link.path;
  const bool is_stale = restated.copies != 0 || restated.file_id;
  if (is_stale && link.blocked != ledger::Blocked::none) restated.blocked = link.blocked;
  if (is_stale) must(outbox_->restate(restated));
}

void Adoption::settle_page() {
  if (page_.empty()) return;
  std::vector<std::string> ids;
  for (const Counted& link : page_) {
    ids.push_back(link.link_id);
    if (!link.parent_id.empty()) ids.push_back(link.parent_id);
  }
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  std::unordered_map<std::string, EdgeCount> counters;
  if (old_epoch_) {
    for (EdgeCount& c : must(database_.counters_of(*old_epoch_, ids))) counters[c.link_id] = c;
  }
  std::unordered_set<std::string> rows;
  for (shop::Row& row : must(database_.load(ids))) rows.insert(std::move(row.link_id));

  for (const Counted& link : page_) {
    const auto counter = counters.find(link.link_id);
    const bool is_told = counter != counters.end();
    const bool counts = is_told && counter->second.reset_gen == link.reset_gen;
    settle(link, counts ? counter->second.charged : 0, is_told, rows.contains(link.link_id));
    const std::string& parent = link.parent_id;
    if (!parent.empty() && !rows.contains(parent) && !counters.contains(parent)) {
      must(outbox_->restate({.link_id = parent, .file_id = link.path}));
    }
  }
  if (!inherited_.empty()) must(database_.make_counters(inherited_));
  // Only now is what other edges, and the ledger before it was restored, delivered right.
  for (const shop::Row& row : must(database_.load(ids))) {
    ledger_->hear(row.link_id, row.word, false);
  }
  for (const std::string& link_id : arrived_) ledger_->resolve_doubt(link_id);
  arrived_.clear();
  links_ += page_.size();
  progress_.count("adopt", links_, "links");
  inherited_.clear();
  page_.clear();
}

// Links that were sold or used after the backup.
void Adoption::hear_unknown() {
  if (!old_epoch_) return;
  std::string after;
  for (;;) {
    const auto counters = must(database_.counters_after(*old_epoch_, after, kPage));
    std::vector<std::string> ids;
    for (const EdgeCount& counter : counters) {
      if (counter.charged == 0 || ledger_->knows(counter.link_id)) continue;
      ids.push_back(counter.link_id);
      raised_ += counter.charged;
    }
    for (const shop::Row& row : must(database_.load(ids))) {
      ledger_->hear(row.link_id, row.word, true);
    }
    links_ += ids.size();
    progress_.count("adopt", links_, "links");
    if (counters.size() < kPage) return;
    after = counters.back().link_id;
  }
}

std::string Adoption::run() {
  const std::string& dir = settings_.ledger.dir;
  auto directory = ledger::open_directory(dir, false);
  if (!directory) throw Refused{dir + ": " + directory.error().message()};
  if (const ledger::error_code ec = (*directory)->lock()) {
    throw Refused{dir + ": " +
                  (ec == boost::system::errc::operation_would_block
                       ? "in use by a tallygate that runs: stop it first"
                       : "cannot be locked: " + ec.message())};
  }
  progress_.step("adopt: connecting to " + database_.name());
  must(database_.open(false));
  open_outbox();
  find_streams();
  catch_up(**directory);
  if (!is_needed()) return "nothing to do: the server can start";

  is_ahead_ = had_outbox_ && known_seq_ > sealed_;
  if (is_ahead_) find_in_flight(**directory);
  auto reader = ledger::open_directory(dir, false);
  if (!reader) throw Refused{dir + ": " + reader.error().message()};
  open_ledger(std::move(*directory));
  begin_stream();
  const auto read = ledger::read_chronicle(
      **reader,
      [&] {
        auto options = reading();
        options.from_disk = false;  // it was just read from there
        return options;
      }(),
      [this](const ledger::StoredLink& link) { take(link); });
  if (!read) throw Refused{dir + ": " + read.error().text};
  settle_page();
  hear_unknown();
  if (!ledger_->flush()) throw Refused{dir + ": cannot be written"};
  ledger_.reset();
  commit_outbox();
  return fmt::format(
      "{} links: {} copies that the shop knew of and this ledger did not are kept from being given "
      "again; {} that the shop did not know of will be told when the server starts",
      links_, raised_, told_);
}

int fail(const std::string& why) {
  fmt::print(stderr, "tallygate: {}\n", why);
  return kFailed;
}

}  // namespace

int adopt_ledger(const std::string& config) {
  const auto text = read_file(config);
  if (!text) {
    print_mistakes(text.error());
    return kSettings;
  }
  const config::Parsed parsed = config::parse_settings(*text, config);
  for (const config::Mistake& m : parsed.mistakes) fmt::print(stderr, "{}\n", m.text());
  if (!parsed.mistakes.empty()) return kSettings;
  if (parsed.settings.shop.url.empty()) {
    fmt::print(stderr, "{}: there is no [shop]\n", config);
    return kSettings;
  }
  auto password = read_shop_password(parsed.settings);
  if (!password) {
    print_mistakes(password.error());
    return kSettings;
  }
  const auto database = shop::make_database(parsed.settings, std::move(*password));
  if (!database) {
    fmt::print(stderr, "{}: shop.url: {}\n", config, database.error().text);
    return kSettings;
  }
  std::string done;
  try {
    done = Adoption(parsed.settings, **database).run();
  } catch (const Refused& refused) {
    return fail(refused.why);
  }
  fmt::print("{}: {}\n", parsed.settings.ledger.dir, done);
  return kDone;
}

}  // namespace tallygate::command
