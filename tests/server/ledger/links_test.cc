#include "server/ledger/links.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <thread>

namespace tallygate::ledger {
namespace {

// What customers do with one link; every call locks its shard as the ledger does.
class Customer {
 public:
  Customer(Links& links, std::string link_id)
      : links_(links), id_(std::move(link_id)), key_(link_key(id_)) {}

  // 0: refused.
  std::uint32_t open(Limit limit = 3, Span range = {0, 1000}) {
    AdmitRequest request;
    request.link_id = id_;
    request.path = "/f";
    request.signed_limit = limit;
    request.expires_at = 2'000'000'000;
    request.version = {1};
    request.size = 1000;
    request.ranges = {&range, 1};
    request.window_bytes = 1000;
    auto links = links_.lock(key_);
    const auto admitted = links.find_or_make(key_, id_).admit(request, entries_);
    links.rest(key_);
    return admitted ? admitted->first_flight : 0;
  }
  void close(std::uint32_t flight, std::uint64_t acked, std::uint64_t left = 0) {
    auto links = links_.lock(key_);
    links.awake(key_).close(flight, acked, left, left == 0, entries_);
    links.rest(key_);
  }
  [[nodiscard]] std::optional<AccountView> view() const {
    const auto links = links_.lock(key_);
    std::optional<Account> space;
    const Account* account = links.look(key_, id_, space);
    return account != nullptr ? std::optional(account->view()) : std::nullopt;
  }
  [[nodiscard]] bool is_awake() const { return links_.lock(key_).is_awake(key_); }
  [[nodiscard]] const LinkKey& key() const { return key_; }

 private:
  Links& links_;
  const std::string id_;
  const LinkKey key_;
  Entries entries_;
};

std::map<LinkKey, std::string> all_resting(Links& links) {
  std::map<LinkKey, std::string> all;
  for (std::size_t shard = 0; shard < Links::kShards; ++shard) {
    links.lock_shard(shard).each_resting([&](const LinkKey& key, std::string_view image) {
      EXPECT_TRUE(all.emplace(key, image).second) << "in two shards";
    });
  }
  return all;
}

TEST(Links, AreAwakeWhileATransferIsInFlightAndRestAfterIt) {
  Links links(2000);
  Customer a(links, "a");
  EXPECT_FALSE(a.view());
  const auto first = a.open();
  const auto second = a.open();
  EXPECT_TRUE(a.is_awake());
  EXPECT_EQ(links.size(), 1u);
  a.close(first, 1000);
  EXPECT_TRUE(a.is_awake());
  EXPECT_EQ(a.view()->identity.path, "/f");
  a.close(second, 400, 100);
  EXPECT_FALSE(a.is_awake());
  EXPECT_EQ(links.size(), 1u) << "at rest, and counted once";
  const AccountView view = *a.view();
  EXPECT_FALSE(a.is_awake()) << "looking does not wake it";
  EXPECT_EQ(view.copies, 1u);
  EXPECT_EQ(view.traffic_bytes, 1500u);
  EXPECT_TRUE(view.unfinished_copy);
  EXPECT_TRUE(view.identity.used);
  EXPECT_EQ(view.identity.path, "") << "that is on disk only";
  EXPECT_EQ(view.signed_terms, (Signed{true, 3, 2'000'000'000}));
}

TEST(Links, ComeBackExactly) {
  Links links(2000);
  Customer a(links, "a");
  a.close(a.open(2), 1000);
  a.close(a.open(2, {500, 1000}), 500);
  EXPECT_FALSE(a.is_awake());
  // Of the second copy the first half is left, and nothing else; once more would be the third.
  const auto rest = a.open(2, {0, 500});
  ASSERT_NE(rest, 0u);
  EXPECT_EQ(a.open(2), 0u);
  EXPECT_TRUE(a.is_awake()) << "a refusal puts nobody to rest who is in flight";
  a.close(rest, 500);
  EXPECT_EQ(a.view()->copies, 2u);
  EXPECT_EQ(a.open(2), 0u);
  EXPECT_FALSE(a.is_awake());
  EXPECT_EQ(a.view()->limit, 2u);
}

TEST(Links, OfWhichNothingWasRecordedAreGone) {
  Links links(2000);
  const LinkKey key = link_key("a");
  {
    auto locked = links.lock(key);
    static_cast<void>(locked.find_or_make(key, "a"));
    EXPECT_TRUE(locked.is_awake(key));
    locked.rest(key);
    EXPECT_FALSE(locked.is_awake(key));
    EXPECT_EQ(locked.find(key, "a"), nullptr);
  }
  EXPECT_EQ(links.size(), 0u);
  Customer(links, "a").open();
  EXPECT_EQ(links.size(), 1u) << "awake, and never at rest before";
}

TEST(Links, ArePutReplacedErasedAndCleared) {
  Links links(2000);
  std::map<LinkKey, std::string> expected;
  for (int i = 0; i < 10'000; ++i) {
    const LinkKey key = link_key(fmt::format("link-{}", i));
    expected[key] = fmt::format("image {}", i);
    links.lock(key).put(key, "another");
    links.lock(key).put(key, expected[key]);
    if (i % 3 == 0) {
      links.lock(key).erase(key);
      expected.erase(key);
    }
  }
  EXPECT_EQ(links.size(), expected.size());
  EXPECT_EQ(all_resting(links), expected);
  links.clear();
  EXPECT_EQ(links.size(), 0u);
  EXPECT_TRUE(all_resting(links).empty());
}

TEST(Links, StandInTheirShardsInTheOrderOfTheirKeys) {
  Links links(2000);
  const LinkKey keys[] = {{0, 0}, {1, 5}, {std::uint64_t{1} << 52, 0}, {UINT64_MAX, UINT64_MAX}};
  for (const LinkKey& key : keys) links.lock(key).put(key, "image");
  std::vector<LinkKey> found;
  for (std::size_t shard = 0; shard < Links::kShards; ++shard) {
    std::map<LinkKey, int> sorted;
    links.lock_shard(shard).each_resting(
        [&](const LinkKey& key, std::string_view) { sorted[key] = 1; });
    for (const auto& [key, one] : sorted) found.push_back(key);
  }
  EXPECT_EQ(found, std::vector<LinkKey>(std::begin(keys), std::end(keys)));
}

TEST(Links, TakeAtMostFortyEightBytesEachAtRest) {  // J18
  Links links(2000);
  std::string image;
  {
    Account account(2000, "a");
    AdmitRequest request;
    request.link_id = "a";
    request.path = "/f";
    request.signed_limit = 3;
    request.expires_at = 1'800'000'000;
    request.version = {1};
    request.size = 700'000'000;
    const Span whole{0, request.size};
    request.ranges = {&whole, 1};
    request.window_bytes = request.size;
    Entries entries;
    const auto admitted = account.admit(request, entries);
    ASSERT_TRUE(admitted);
    account.close(admitted->first_flight, request.size, 0, true, entries);
    account.write_image(image);
  }
  // Of a hundred million, as many as stand in these shards.
  constexpr std::size_t kSomeShards = 16;
  constexpr std::size_t kLinks = 100'000'000 / Links::kShards * kSomeShards;
  const std::size_t empty = links.memory_bytes();
  LinkKey key{0, 0};
  for (std::size_t i = 0; i < kLinks; ++i) {
    key.high += (std::uint64_t{kSomeShards} << 52) / kLinks;
    key.low = key.low * 6364136223846793005u + 1442695040888963407u;
    links.lock(key).put(key, image);
  }
  EXPECT_EQ(links.size(), kLinks);
  EXPECT_LE(links.memory_bytes() - empty, kLinks * 48) << image.size() << " bytes an image";
}

// -- with threads -------------------------------------------------------------------------------

TEST(LinksThreads, CountEveryCopy) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  constexpr int kLinks = 16;  // few, so that all want the same ones
  Links links(2000);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&links, t] {
      for (int round = 0; round < kRounds; ++round) {
        Customer customer(links, fmt::format("link-{}", (round + t) % kLinks));
        const auto flight = customer.open(std::nullopt);
        ASSERT_NE(flight, 0u);
        customer.close(flight, 1000);
        EXPECT_TRUE(customer.view()->identity.used);
        if (round % 50 == 0) {
          EXPECT_LE(links.size(), static_cast<std::size_t>(kLinks));
          EXPECT_GT(links.memory_bytes(), 0u);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::uint64_t copies = 0;
  for (int i = 0; i < kLinks; ++i) {
    const auto view = Customer(links, fmt::format("link-{}", i)).view();
    copies += view->copies;
    EXPECT_EQ(view->in_flight, 0u);
  }
  EXPECT_EQ(copies, std::uint64_t{kThreads} * kRounds);
  EXPECT_EQ(all_resting(links).size(), static_cast<std::size_t>(kLinks));
}

}  // namespace
}  // namespace tallygate::ledger
