#include "server/net/room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace tallygate::net {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// The soft limit alone is changed, so that it can be put back.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t soft) {
    ::getrlimit(RLIMIT_NOFILE, &saved_);
    const rlimit few{soft, saved_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &saved_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  [[nodiscard]] rlim_t hard() const { return saved_.rlim_max; }

 private:
  rlimit saved_{};
};

rlim_t soft_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

config::Settings with_connections(std::uint32_t connections) {
  config::Settings settings;
  settings.server.max_connections = connections;
  return settings;
}

Room room_with(std::uint64_t descriptors, std::uint32_t wanted) {
  const auto settings = with_connections(wanted);
  const Equipment equipment = equipment_of(settings, 2);
  Room room = find_room(with_connections(1), 2);
  room.connections_wanted = wanted;
  room.descriptors = descriptors;
  room.descriptors_needed = descriptors_for(wanted, equipment);
  room.connections = std::min<std::uint64_t>(wanted, connections_within(descriptors, equipment));
  return room;
}

TEST(Room, RaisesTheSoftLimitOfDescriptorsWhenMoreAreNeeded) {
  const FewDescriptors few(256);
  if (few.hard() < 4096) GTEST_SKIP() << "the hard limit is " << few.hard();
  const Room room = find_room(with_connections(500), 1);
  EXPECT_EQ(room.connections, 500u);
  EXPECT_EQ(soft_limit(), few.hard());
  EXPECT_THAT(why_too_small(room), IsEmpty());
}

TEST(Room, LeavesASoftLimitThatIsEnough) {
  const FewDescriptors few(2048);
  if (few.hard() < 2048) GTEST_SKIP() << "the hard limit is " << few.hard();
  EXPECT_EQ(find_room(with_connections(100), 1).connections, 100u);
  EXPECT_EQ(soft_limit(), 2048u);
}

TEST(Room, HasAListenerForEachAddressOfEachThread) {
  auto settings = with_connections(1);
  EXPECT_EQ(equipment_of(settings, 4).listeners, 1u);
  settings.tls.listen = {{"127.0.0.1", 1}, {"127.0.0.1", 2}};
  EXPECT_EQ(equipment_of(settings, 4).listeners, 1u);  // there is no [tls]
  settings.tls.certificate = "/a";
  EXPECT_EQ(equipment_of(settings, 4).listeners, 3u);
  EXPECT_EQ(equipment_of(settings, 4).threads, 4u);
}

TEST(Room, OfFewDescriptorsIsForFewerConnectionsAndSaysSo) {
  const Room room = room_with(4096, 10'000);
  EXPECT_LT(room.connections, 10'000u);
  EXPECT_GT(room.connections, 2'000u);
  EXPECT_THAT(why_too_small(room), IsEmpty());
  const std::string shortage = describe_shortage(room);
  EXPECT_THAT(shortage, HasSubstr("server.max_connections is 10000"));
  EXPECT_THAT(shortage, HasSubstr(std::to_string(room.connections)));
  EXPECT_THAT(shortage, HasSubstr(std::to_string(room.descriptors_needed)));
  EXPECT_THAT(shortage, HasSubstr("LimitNOFILE"));
  EXPECT_THAT(describe_shortage(room_with(65'536, 10'000)), IsEmpty());
}

TEST(Room, WithoutDescriptorsForAnybodyIsTooSmallToStart) {
  const std::string why = why_too_small(room_with(128, 10'000));
  EXPECT_THAT(why, HasSubstr("128 descriptors"));
  EXPECT_THAT(why, HasSubstr("LimitNOFILE"));
  EXPECT_THAT(why_too_small(room_with(1024, 1)), IsEmpty());  // few are wanted
}

TEST(Room, KnowsTheMemoryOfAConnectionAndOfTheMachine) {
  Room room = find_room(with_connections(100), 1);
  EXPECT_GT(room.bytes_each, 2'000u);
  EXPECT_LE(room.bytes_each, 10u * 1024);
  EXPECT_LE(room.bytes_each_max, 128u * 1024);
  EXPECT_GT(room.memory_bytes, 64u << 20);
  EXPECT_THAT(describe(room), HasSubstr("room for 100 connections"));
  EXPECT_THAT(describe_shortage(room), IsEmpty());
  room.memory_bytes = room.bytes_each_max * 99;
  EXPECT_THAT(describe_shortage(room), HasSubstr("of memory"));
}

}  // namespace
}  // namespace tallygate::net
