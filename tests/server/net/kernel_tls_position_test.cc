// Without kernel TLS: the test writes to a plain socket what the kernel would have made of the
// plaintext.
#include "server/net/kernel_tls_position.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "tests/support/tcp_pair.h"

namespace tallygate::net {
namespace {

constexpr std::uint64_t kRecord = 16'384;
constexpr std::uint64_t kOverhead = 22;

struct Line : TcpPair {
  Line() : TcpPair(4096, 64 * 1024) {}
  // As the kernel puts a whole record into its queue. False: the queue is full.
  bool put(std::uint64_t cipher_bytes) const {
    const std::string bytes(cipher_bytes, 'c');
    return ::send(server, bytes.data(), bytes.size(), MSG_DONTWAIT) ==
           static_cast<ssize_t>(cipher_bytes);
  }
  void take_all() const {
    std::string buffer(64 * 1024, '\0');
    for (int quiet = 0; quiet < 20;) {
      quiet = ::recv(client, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0 ? 0 : quiet + 1;
      ::poll(nullptr, 0, 1);
    }
  }
};

TEST(KernelTlsPosition, OfNothingWrittenIsNothing) {
  Line line;
  ASSERT_TRUE(line.put(3000));  // the handshake
  KernelTlsPosition position(line.server);
  EXPECT_EQ(position.acknowledged(), 0u);
}

TEST(KernelTlsPosition, IsExactWhenAllHasArrived) {
  Line line;
  ASSERT_TRUE(line.put(3000));
  KernelTlsPosition position(line.server);
  for (int answer = 1; answer <= 100; ++answer) {
    ASSERT_TRUE(line.put(300 + kOverhead));
    position.wrote(300, false);
    line.take_all();
    EXPECT_EQ(position.acknowledged(), position.written());
  }
}

TEST(KernelTlsPosition, IsALowerBoundWhileSomethingWaits) {
  Line line;
  KernelTlsPosition position(line.server);
  std::uint64_t records = 0;
  while (line.put(kRecord + kOverhead)) {
    position.wrote(kRecord, true);
    ++records;
    EXPECT_LE(position.acknowledged() + 2 * kRecord, std::max(2 * kRecord, position.written()));
  }
  EXPECT_LT(position.acknowledged(), records * kRecord);
}

TEST(KernelTlsPosition, DoesNotCountARecordThatIsStillOpen) {
  Line line;
  KernelTlsPosition position(line.server);
  position.wrote(100, true);  // held by the kernel: nothing is in the queue
  EXPECT_EQ(position.acknowledged(), 0u);
  ASSERT_TRUE(line.put(150 + kOverhead));
  position.wrote(50, false);
  line.take_all();
  EXPECT_EQ(position.acknowledged(), 150u);
}

TEST(KernelTlsPosition, DoesNotCountARecordThatFoundTheQueueFull) {
  Line line;
  KernelTlsPosition position(line.server);
  ASSERT_TRUE(line.put(kRecord + kOverhead));
  position.wrote(2 * kRecord, false);  // the second is not in the queue yet
  line.take_all();
  EXPECT_EQ(position.acknowledged(), 0u) << "though the queue is empty";
  ASSERT_TRUE(line.put(kRecord + kOverhead));
  line.take_all();
  EXPECT_EQ(position.acknowledged(), 2 * kRecord);
}

TEST(KernelTlsPosition, DoesNotTakeItsOwnEndForAByte) {
  Line line;
  KernelTlsPosition position(line.server);
  ASSERT_TRUE(line.put(100 + kOverhead));
  position.wrote(100, false);
  ::shutdown(line.server, SHUT_WR);
  position.shut_down();
  line.take_all();
  EXPECT_EQ(position.acknowledged(), 100u);
}

}  // namespace
}  // namespace tallygate::net
