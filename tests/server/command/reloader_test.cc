#include "server/command/reloader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

namespace tallygate::command {
namespace {

// What asking came to, once it has come.
std::future<net::Reloaded> ask(Reloader& reloader) {
  const auto promise = std::make_shared<std::promise<net::Reloaded>>();
  reloader.ask([promise](net::Reloaded reloaded) { promise->set_value(std::move(reloaded)); });
  return promise->get_future();
}

TEST(Reloader, AnswersWhatTheReloadCameTo) {
  std::atomic<std::uint64_t> generation{1};
  Reloader reloader([&] {
    net::Reloaded reloaded;
    reloaded.generation = ++generation;
    return reloaded;
  });
  EXPECT_EQ(ask(reloader).get().generation, 2u);
  EXPECT_EQ(ask(reloader).get().generation, 3u);
  reloader.ask({});  // nobody waits for it
}

TEST(Reloader, WhatIsAskedForDuringAReloadIsDoneOnceBehindIt) {
  std::atomic<int> reloads{0};
  std::promise<void> begun;
  std::promise<void> go_on;
  Reloader reloader([&] {
    if (++reloads == 1) {
      begun.set_value();
      go_on.get_future().wait();
    }
    net::Reloaded reloaded;
    reloaded.generation = static_cast<std::uint64_t>(reloads.load());
    return reloaded;
  });
  auto first = ask(reloader);
  begun.get_future().wait();
  // The file may have been changed since the first one read it.
  auto second = ask(reloader);
  auto third = ask(reloader);
  go_on.set_value();
  EXPECT_EQ(first.get().generation, 1u);
  EXPECT_EQ(second.get().generation, 2u);
  EXPECT_EQ(third.get().generation, 2u);
  EXPECT_EQ(reloads, 2);
}

TEST(Reloader, OneThatEndsReloadsNothingAndAnswersAll) {
  std::atomic<int> reloads{0};
  std::promise<void> begun;
  std::promise<void> go_on;
  Reloader reloader([&] {
    ++reloads;
    begun.set_value();
    go_on.get_future().wait();
    return net::Reloaded{};
  });
  auto running = ask(reloader);
  begun.get_future().wait();
  auto waiting = ask(reloader);
  auto stopping = std::async(std::launch::async, [&] { reloader.stop(); });
  // Only when it is told to stop does it answer at once.
  for (;;) {
    auto late = ask(reloader);
    if (late.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) continue;
    EXPECT_EQ(late.get().outcome, net::Reloaded::Outcome::ending);
    break;
  }
  go_on.set_value();
  stopping.get();
  EXPECT_EQ(running.get().outcome, net::Reloaded::Outcome::done);
  EXPECT_EQ(waiting.get().outcome, net::Reloaded::Outcome::ending);
  EXPECT_EQ(reloads, 1);
}

}  // namespace
}  // namespace tallygate::command
