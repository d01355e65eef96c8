#include "server/top/screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tallygate::top {
namespace {

using testing::HasSubstr;

View some() {
  View view;
  view.any = true;
  view.live.now_ms = 1'000'000'000;
  view.live.started_at = 1'000'000 - 93'784;
  view.live.version = "1.2.3";
  view.live.status = "ok";
  view.live.connections = 41;
  view.live.transfers = 2;
  view.live.bytes_sent = 3'200'000'000'000;
  view.live.requests = 1'236'061;
  view.live.refusals = {{"link-invalid", 3}, {"link-expired", 1}, {"http-400", 2}, {"http-405", 5}};
  view.live.shop = Shop{.engine = "SQLite 3", .reachable = true, .lag_seconds = 7};
  view.rates = Rates{
      .bytes = 105e6,
      .requests = 68,
      .refused = 1.5,
      .refusals = {{"link-invalid", 1}, {"link-expired", 0}, {"http-400", 0.5}, {"http-405", 0}},
      .sync_half = 0.0013,
      .sync_most = 0.0049};
  for (int i = 0; i < 5; ++i) view.history.add(view.live, view.rates);
  view.transfers.total = 2;
  for (const char* link : {"order-1", "order-2"}) {
    view.transfers.list.push_back({.id = "0-1",
                                   .link = link,
                                   .path = "/music/Größe XL.flac",
                                   .client = "192.0.2.7",
                                   .started_at_ms = view.live.now_ms - 95'000,
                                   .bytes_sent = 171'000'000,
                                   .bytes_total = 400'000'000,
                                   .rate = 5'540'000});
  }
  return view;
}

std::string text(const std::vector<Line>& lines) {
  std::string out;
  for (const Line& line : lines) out += line.text + "\n";
  return out;
}

TEST(TopScreen, HasEverything) {
  const std::string all = text(draw(some(), {}, Glyphs::unicode));
  for (const char* part : {"tallygate 1.2.3  ok  up 1 d 2 h",
                           "all is well",
                           "105 MB/s",
                           "3.20 TB in all",
                           "41 connections",
                           "68 /s",
                           "1,236,061 in all",
                           "1.5 /s",
                           "11 in all",
                           "4.9 ms",
                           "99 of 100; half 1.3 ms",
                           "7 s",
                           "SQLite 3",
                           "link-invalid",
                           "link-expired",
                           "order-1",
                           "order-2",
                           "171 MB",
                           "400 MB",
                           "43 %",
                           "5.54 MB/s",
                           "1 min 35 s",
                           "192.0.2.7",
                           "/music/Größe XL.flac"}) {
    EXPECT_THAT(all, HasSubstr(part));
  }
  EXPECT_THAT(all, testing::ContainsRegex("http-\\.\\.\\. +0\\.5 /s +7")) << "HTTP's own are one";
  EXPECT_THAT(all, testing::Not(HasSubstr("▁"))) << "nothing moves in what is printed once";
}

TEST(TopScreen, ShowsTheCourseOnATerminal) {
  EXPECT_THAT(text(draw(some(), {100, 40}, Glyphs::unicode)), HasSubstr("█████"));
  EXPECT_THAT(text(draw(some(), {100, 40}, Glyphs::ascii)), HasSubstr("#####"));
}

TEST(TopScreen, NeverHasMoreLinesOrColumnsThanThereAre) {
  View view = some();
  while (view.transfers.list.size() < 100) view.transfers.list.push_back(view.transfers.list[0]);
  view.transfers.total = 5000;
  view.trouble = std::string(300, 'x');
  for (std::size_t width : {1u, 10u, 39u, 40u, 78u, 79u, 80u, 103u, 104u, 105u, 200u, 400u}) {
    for (std::size_t height = 1; height < 50; ++height) {
      const auto lines = draw(view, {width, height}, Glyphs::unicode);
      ASSERT_LE(lines.size(), height);
      for (const Line& line : lines) ASSERT_LE(columns(line.text), width);
    }
  }
}

TEST(TopScreen, FitsWhollyOnTheUsualTerminal) {
  const std::string all = text(draw(some(), {80, 24}, Glyphs::unicode));
  for (const char* part :
       {"throughput", "shop lag", "link-invalid", "http-...", "order-2", "/music/"}) {
    EXPECT_THAT(all, HasSubstr(part));
  }
}

TEST(TopScreen, SaysHowManyTransfersThereAreMore) {
  View view = some();
  view.transfers.total = 5000;
  EXPECT_THAT(text(draw(view, {120, 40}, Glyphs::unicode)), HasSubstr("2 of 5,000"));
  view.transfers = {};
  EXPECT_THAT(text(draw(view, {120, 40}, Glyphs::unicode)),
              HasSubstr("nothing is being downloaded"));
}

TEST(TopScreen, NamesCannotMoveTheCursor) {
  View view = some();
  view.transfers.list[0].path = "/a\x1b[2J\nb";
  view.transfers.list[0].link = "\x1b]0;title\x07";
  view.reasons = "file\x1b[31m:1";
  view.live.status = "failed";
  view.live.shop->engine = "x\x9b";
  for (const Size size : {Size{}, Size{120, 40}}) {
    for (const Line& line : draw(view, size, Glyphs::unicode)) {
      EXPECT_EQ(line.text, printable(line.text, Glyphs::unicode));
    }
  }
}

TEST(TopScreen, SaysWhatIsWrong) {
  View view = some();
  view.live.status = "degraded";
  view.reasons = "the shop's database is away";
  auto lines = draw(view, {120, 40}, Glyphs::unicode);
  EXPECT_EQ(lines[0].tone, Tone::warning);
  EXPECT_EQ(lines[1].text, "the shop's database is away");
  view.live.status = "failed";
  EXPECT_EQ(draw(view, {120, 40}, Glyphs::unicode)[0].tone, Tone::bad);
  view.live.status = "draining";
  EXPECT_THAT(draw(view, {120, 40}, Glyphs::unicode)[1].text, HasSubstr("ending"));
  view.trouble = "no answer from the server";
  view.lost_seconds = 75;
  lines = draw(view, {120, 40}, Glyphs::unicode);
  EXPECT_EQ(lines[1].text,
            "no answer for 1 min 15 s, asked again every second: no answer from the server");
  EXPECT_EQ(lines[1].tone, Tone::bad);
  EXPECT_THAT(text(lines), HasSubstr("3.20 TB in all")) << "what came last stays";
}

TEST(TopScreen, BeforeTheFirstAnswerThereIsNoFigure) {
  View view;
  EXPECT_EQ(text(draw(view, {80, 24}, Glyphs::unicode)), "tallygate\nasking\n");
  view.trouble = "no answer";
  EXPECT_THAT(text(draw(view, {80, 24}, Glyphs::unicode)), HasSubstr("asked again"));
}

TEST(TopScreen, NoShopIsSaid) {
  View view = some();
  view.live.shop.reset();
  EXPECT_THAT(text(draw(view, {80, 24}, Glyphs::unicode)), HasSubstr("no shop"));
  view.live.shop =
      Shop{.engine = "x", .reachable = false, .lag_seconds = 60, .copies_waiting = 1200};
  EXPECT_THAT(text(draw(view, {}, Glyphs::unicode)), HasSubstr("not reachable, 1,200 waiting"));
}

}  // namespace
}  // namespace tallygate::top
