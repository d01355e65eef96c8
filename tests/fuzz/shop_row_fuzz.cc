// A row as a database hands it over: the texts of its columns, one a line, "NULL" for none.
//
//     link_id, max_copies, used, not_before, expires_at, state, reset_gen, own, time zone
//
// Whatever they hold becomes a word within its bounds, never a milder one than the row's, and what
// a shop with local times says stays within a day of what it wrote. The ledger's journal gives the
// word back as it was.
#include <date/tz.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>

#include "core/ledger/record.h"
#include "server/shop/column.h"
#include "server/shop/history_reader.h"
#include "server/shop/local_time.h"
#include "server/shop/row_values.h"
#include "tests/core/ledger/sample_records.h"
#include "tests/fuzz/target.h"

namespace tallygate::shop {
namespace {

using Limits = std::numeric_limits<std::int64_t>;
__extension__ using Wide = __int128;

// Digit by digit, in more bits than any column has.
std::int64_t naive_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  Wide value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    value = std::min<Wide>(value * 10 + (c - '0'), static_cast<Wide>(Limits::max()) + 1);
  }
  if (negative) return static_cast<std::int64_t>(-value);
  return static_cast<std::int64_t>(std::min<Wide>(value, Limits::max()));
}

std::optional<std::int64_t> maybe(std::string_view text) {
  if (text == "NULL") return std::nullopt;
  REQUIRE(column_integer(text) == naive_integer(text));
  return column_integer(text);
}

std::int64_t number(std::string_view text) {
  return maybe(text).value_or(0);
}

const date::time_zone& zone_of(std::string_view text) {
  static const std::array<const date::time_zone*, 5> zones{
      date::locate_zone("Etc/UTC"), date::locate_zone("Europe/Berlin"),
      date::locate_zone("America/New_York"), date::locate_zone("Pacific/Kiritimati"),
      date::locate_zone("Australia/Lord_Howe")};
  return *zones[text.size() % zones.size()];
}

void check_local_time(const date::time_zone& zone, std::int64_t local) {
  const auto at = utc_of(zone, local);
  const auto within = std::clamp<std::int64_t>(local, -62'167'219'200, 253'402'300'799);
  REQUIRE(at >= within - 86'400 && at <= within + 86'400);
  REQUIRE(utc_of(zone, within) == at);
}

std::uint64_t at_least_0(std::int64_t value) {
  return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

void check_row(const RowValues& values, std::string_view state) {
  const auto row = to_row(values);
  const auto& word = row.word;
  REQUIRE(row.link_id == values.link_id && row.used == at_least_0(values.used));
  REQUIRE(word.not_before == values.not_before && word.expires_at == values.expires_at);
  REQUIRE(word.max_copies.has_value() == values.max_copies.has_value());
  if (word.max_copies) {
    const auto most = std::numeric_limits<std::int32_t>::max();
    REQUIRE(*word.max_copies == std::clamp<std::int64_t>(*values.max_copies, kUnlimited, most));
  }
  REQUIRE(word.state == (state == "0"   ? State::active
                         : state == "1" ? State::held
                         : state == "2" ? State::refunded
                                        : State::revoked));
  REQUIRE(is_active(word) == (state == "0"));
  const auto most = std::int64_t{std::numeric_limits<std::uint32_t>::max()};
  REQUIRE(word.reset_gen == std::clamp<std::int64_t>(values.reset_gen, 0, most));
  const auto own = at_least_0(values.own);
  REQUIRE(word.used_elsewhere == (row.used > own ? row.used - own : 0));

  const auto count = to_count(values.link_id, values.reset_gen, values.own);
  REQUIRE(count.reset_gen == word.reset_gen && count.charged == own);
}

void check_word(const Word& word) {
  // What is left never exceeds what the row and the signature allow, and no row means none.
  for (const std::optional<std::uint32_t> is_signed :
       {std::optional<std::uint32_t>(), std::optional(3u), std::optional(0x7fff'ffffu)}) {
    const auto limit = effective_limit(word, is_signed);
    if (!limit) {
      REQUIRE(word.max_copies ? *word.max_copies == kUnlimited : !is_signed);
    } else {
      const auto whole =
          word.max_copies ? static_cast<std::uint32_t>(*word.max_copies) : *is_signed;
      REQUIRE(*limit <= whole && whole - *limit <= word.used_elsewhere);
    }
  }
  REQUIRE(effective_expiry(word, 5) == word.expires_at.value_or(5));
  REQUIRE(effective_start(word, std::nullopt) == word.not_before);
  const Word parent{std::nullopt, 1, 2, State::held, 9, 9};
  const auto both = combine(word, parent);
  REQUIRE(both.state >= word.state && both.state >= parent.state);
  REQUIRE(both.reset_gen == word.reset_gen && both.used_elsewhere == word.used_elsewhere);

  const ledger::Record record{"7", ledger::Spoken{true, word}};
  const auto bytes = ledger::encoded(record);
  std::string_view rest = bytes;
  const auto again = ledger::take_record(rest);
  REQUIRE(again && *again == record && rest.empty());
}

void check_event_id(std::string_view text, std::int64_t ended_at) {
  HistoryReader page(1000);
  page.add(text, ended_at);
  REQUIRE(page.result().rows == 1 && page.old_rows() == (ended_at < 1000 ? 1u : 0u));
  const auto& id = page.result().last;
  for (std::size_t i = text.size() / 2; i < id.size(); ++i) REQUIRE(id[i] == 0);
}

}  // namespace
}  // namespace tallygate::shop

TALLYGATE_FUZZ(shop_row) {
  using namespace tallygate;
  using namespace tallygate::shop;
  std::array<std::string_view, 9> columns;
  for (auto& column : columns) column = fuzz::take_line(input);
  RowValues values{.link_id = std::string(columns[0]),
                   .max_copies = maybe(columns[1]),
                   .used = number(columns[2]),
                   .not_before = maybe(columns[3]),
                   .expires_at = maybe(columns[4]),
                   .state = column_state(columns[5]),
                   .reset_gen = number(columns[6]),
                   .own = number(columns[7])};
  check_row(values, columns[5]);
  check_word(to_row(values).word);
  check_event_id(columns[0], values.used);
  if (!values.expires_at) return;
  const auto& zone = zone_of(columns[8]);
  check_local_time(zone, *values.expires_at);
  values.expires_at = utc_of(zone, *values.expires_at);
  check_word(to_row(values).word);
}
