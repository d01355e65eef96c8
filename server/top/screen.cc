#include "server/top/screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace tallygate::top {
namespace {

constexpr std::size_t kNameColumns = 11;
constexpr std::size_t kValueColumns = 10;
constexpr std::size_t kNoteColumns = 26;
constexpr std::size_t kWide = 104;      // from here on there is room for everything
constexpr std::size_t kTwoAcross = 79;  // two refusals beside each other

std::uint64_t sum_of_refusals(const Live& live) {
  std::uint64_t sum = 0;
  for (const auto& [name, total] : live.refusals) sum += total;
  return sum;
}

// -- the head

Line head(const View& view) {
  const Live& live = view.live;
  if (!view.any) return {"tallygate", Tone::heading};
  const std::int64_t up = live.now_ms / 1000 - live.started_at;
  const Tone tone = !view.trouble.empty()       ? Tone::soft
                    : live.status == "ok"       ? Tone::good
                    : live.status == "degraded" ? Tone::warning
                    : live.status == "draining" ? Tone::warning
                                                : Tone::bad;
  return {fmt::format("tallygate {}  {}  up {}", live.version, live.status, duration_text(up)),
          tone};
}

Line condition(const View& view) {
  if (!view.trouble.empty()) {
    return {fmt::format("no answer for {}, asked again every second: {}",
                        duration_text(view.lost_seconds), view.trouble),
            Tone::bad};
  }
  if (!view.any) return {"asking", Tone::soft};
  if (view.live.status == "ok") return {"all is well", Tone::soft};
  if (view.live.status == "draining") {
    return {"it is ending: no new connections, running downloads finish", Tone::warning};
  }
  const Tone tone = view.live.status == "failed" ? Tone::bad : Tone::warning;
  return {view.reasons.empty() ? "its standard error says why" : view.reasons, tone};
}

// -- what moves

struct Row {
  std::string_view name;
  std::string value;
  std::string note;
  Course course;
  double least;  // the scale reaches at least there
};

std::string or_dash(const std::optional<double>& value, std::string (*text)(double)) {
  return value ? text(*value) : "-";
}

std::string per_second(double bytes) {
  return bytes_text(bytes) + "/s";
}

std::string sync_note(const std::optional<Rates>& rates) {
  if (!rates || !rates->sync_half) return "99 of 100; idle";
  return "99 of 100; half " + seconds_text(*rates->sync_half);
}

std::array<Row, kCourses> courses(const View& view) {
  const Live& live = view.live;
  const std::optional<Rates>& rates = view.rates;
  const auto of = [&rates](double Rates::*member) {
    return rates ? std::optional((*rates).*member) : std::nullopt;
  };
  std::string lag = "no shop";
  std::string lag_note = "counts stay here";
  if (live.shop) {
    lag = duration_text(live.shop->lag_seconds);
    lag_note = live.shop->reachable ? live.shop->engine : "not reachable";
    if (live.shop->copies_waiting > 0) {
      lag_note += fmt::format(", {} waiting", count_text(live.shop->copies_waiting));
    }
  }
  return {{{"throughput", or_dash(of(&Rates::bytes), per_second),
            bytes_text(static_cast<double>(live.bytes_sent)) + " in all", Course::bytes, 1000},
           {"transfers", count_text(live.transfers),
            count_text(live.connections) + (live.connections == 1 ? " connection" : " connections"),
            Course::transfers, 1},
           {"requests", or_dash(of(&Rates::requests), rate_text),
            count_text(live.requests) + " in all", Course::requests, 1},
           {"refusals", or_dash(of(&Rates::refused), rate_text),
            count_text(sum_of_refusals(live)) + " in all", Course::refused, 1},
           {"fsync", or_dash(rates ? rates->sync_most : std::nullopt, seconds_text),
            sync_note(rates), Course::sync_most, 0.0001},
           {"shop lag", std::move(lag), std::move(lag_note), Course::lag, 1}}};
}

void draw_courses(const View& view, Size size, Glyphs glyphs, std::vector<Line>& out) {
  const std::size_t taken = kNameColumns + kValueColumns + 4;
  const bool moves = size.lines != 0;
  const bool notes = size.columns >= taken + kNoteColumns + 8 || !moves;
  const std::size_t width =
      size.columns - std::min(size.columns, taken + (notes ? kNoteColumns : 0));
  for (const Row& each : courses(view)) {
    std::string line =
        fit(each.name, kNameColumns, glyphs) + fit_right(each.value, kValueColumns, glyphs) + "  ";
    if (moves) line += sparkline(view.history.of(each.course), width, each.least, glyphs) + "  ";
    if (notes) line += printable(each.note, glyphs);
    out.push_back({std::move(line)});
  }
}

// -- refusals, two beside each other

struct Refused {
  std::string name;
  std::uint64_t total = 0;
  double now = 0;
};

// HTTP's own are one.
std::vector<Refused> refusals(const View& view) {
  std::vector<Refused> out;
  Refused http{.name = "http-..."};
  for (std::size_t i = 0; i < view.live.refusals.size(); ++i) {
    const auto& [name, total] = view.live.refusals[i];
    const double now = view.rates ? view.rates->refusals[i].second : 0;
    if (name.starts_with("http-")) {
      http.total += total;
      http.now += now;
    } else {
      out.push_back({name, total, now});
    }
  }
  if (!out.empty()) out.push_back(std::move(http));
  return out;
}

void draw_refusals(const View& view, Size size, Glyphs glyphs, std::vector<Line>& out) {
  const auto list = refusals(view);
  if (list.empty()) return;
  const bool cut = size.lines != 0;
  const bool wide = size.columns >= kWide || !cut;
  const std::size_t across = cut && size.columns >= kTwoAcross ? 2 : 1;
  const std::size_t down = (list.size() + across - 1) / across;
  const auto cell = [&](std::string_view name, std::string_view now, std::string_view total) {
    return fit(name, 23, glyphs) + fit_right(now, wide ? 10 : 8, glyphs) +
           fit_right(total, wide ? 12 : 8, glyphs) + (wide ? "    " : " ");
  };
  std::string heading;
  for (std::size_t i = 0; i < across; ++i) heading += cell("refused", "now", "in all");
  out.push_back({std::move(heading), Tone::heading});
  for (std::size_t row = 0; row < down; ++row) {
    std::string line;
    bool any = false;
    for (std::size_t i = row; i < list.size(); i += down) {
      const Refused& each = list[i];
      line += cell(printable(each.name, glyphs), view.rates ? rate_text(each.now) : "-",
                   wide ? count_text(each.total) : std::to_string(each.total));
      any |= list[i].total > 0;
    }
    out.push_back({std::move(line), any ? Tone::plain : Tone::soft});
  }
}

// -- transfers

std::string share(const Transfer& transfer) {
  if (transfer.bytes_total == 0) return "100 %";
  const double part =
      static_cast<double>(transfer.bytes_sent) / static_cast<double>(transfer.bytes_total);
  return fmt::format("{:.0f} %", std::min(part, 1.0) * 100);
}

void draw_transfers(const View& view, Size size, Glyphs glyphs, std::vector<Line>& out) {
  const Transfers& transfers = view.transfers;
  const std::size_t room = size.lines == 0 ? transfers.list.size() : size.lines - out.size() - 1;
  const std::size_t shown = std::min(room, transfers.list.size());
  const bool wide = size.columns >= kWide || size.lines == 0;
  const std::size_t link_columns = wide ? 16 : 14;
  const auto name = [&](std::string_view text, std::size_t width) {
    const std::string clean = printable(text, glyphs);
    const bool whole = size.lines == 0 && columns(clean) > width;
    return whole ? clean : fit(clean, width, glyphs);
  };
  const auto row = [&](std::string_view link, std::string_view sent, std::string_view of,
                       std::string_view part, std::string_view rate, std::string_view time,
                       std::string_view client, std::string_view path) {
    std::string line = name(link, link_columns) + fit_right(sent, 9, glyphs);
    if (wide) line += fit_right(of, 9, glyphs);
    line += fit_right(part, 6, glyphs) + fit_right(rate, 11, glyphs);
    if (wide) line += fit_right(time, 13, glyphs);
    return line + "  " + name(client, 15) + " " + printable(path, glyphs);
  };
  const std::string which = shown < transfers.total
                                ? fmt::format("{} of {}", shown, count_text(transfers.total))
                                : std::string("path");
  out.push_back({row("link", "sent", "of", "", "rate", "time", "client", which), Tone::heading});
  if (transfers.list.empty()) out.push_back({"nothing is being downloaded", Tone::soft});
  for (std::size_t i = 0; i < shown; ++i) {
    const Transfer& each = transfers.list[i];
    const std::int64_t seconds = (view.live.now_ms - each.started_at_ms) / 1000;
    out.push_back({row(each.link, bytes_text(static_cast<double>(each.bytes_sent)),
                       bytes_text(static_cast<double>(each.bytes_total)), share(each),
                       per_second(static_cast<double>(each.rate)), duration_text(seconds),
                       each.client, each.path)});
  }
}

std::string without_end(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

}  // namespace

std::vector<Line> draw(const View& view, Size size, Glyphs glyphs) {
  std::vector<Line> out{head(view), condition(view)};
  for (Line& line : out) line.text = printable(line.text, glyphs);
  if (view.any) {
    out.push_back({});
    draw_courses(view, size, glyphs, out);
    out.push_back({});
    const std::size_t before = out.size();
    draw_refusals(view, size, glyphs, out);
    out.push_back({});
    constexpr std::size_t kTransfersLeast = 4;
    if (size.lines != 0 && out.size() + kTransfersLeast > size.lines) out.resize(before);
    if (size.lines == 0 || out.size() + 2 <= size.lines) draw_transfers(view, size, glyphs, out);
  }
  if (size.lines != 0 && out.size() > size.lines) out.resize(size.lines);
  for (Line& line : out) {
    if (size.lines != 0) line.text = fit(line.text, size.columns, glyphs);
    line.text = without_end(std::move(line.text));
  }
  return out;
}

}  // namespace tallygate::top
