#include "server/net/tls_session.h"

#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <random>
#include <tuple>

#include "tests/server/net/tls_client.h"

namespace {
int sends = 0;  // calls of send(2) in this process; OpenSSL's own sockets use write(2)
}

// In the place of the C library's.
extern "C" ssize_t send(int socket, const void* bytes, size_t size, int flags) {
  ++sends;
  return ::syscall(SYS_sendto, socket, bytes, size, flags, nullptr, 0);
}

namespace tallygate::net {
namespace {

using Status = TlsSession::Status;

std::string bytes_of_chance(std::size_t size) {
  std::mt19937_64 random(size);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// A session with its client behind it, up to the end of the handshake.
struct Talk {
  explicit Talk(int version = 0, int receive_bytes = 0, int send_bytes = 0)
      : pair(receive_bytes, send_bytes),
        session(TlsSession::open(context.get(), pair.server, world.buffers)),
        client(pair.client, {.version = version}) {
    EXPECT_TRUE(shake_hands(*session, client));
    client.read_all(received);  // the ticket
  }
  // Ciphertext that the client's TCP has.
  [[nodiscard]] std::uint64_t arrived_cipher() {
    int waiting = 0;
    ::ioctl(pair.client, FIONREAD, &waiting);
    return BIO_number_read(SSL_get_rbio(client.native())) + static_cast<std::uint64_t>(waiting);
  }
  [[nodiscard]] bool all_acknowledged() {
    return comes_true([&] { return session->acknowledged() == session->written(); });
  }
  // Whether this machine's kernel has TLS and took the session over.
  [[nodiscard]] bool in_kernel() const { return session->has_kernel_tls(); }

  TlsWorld world;
  SslContext context = world.make_context();
  TcpPair pair;
  std::unique_ptr<TlsSession> session;
  TlsClient client;
  std::string received;
};

class TlsVersions : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(TlsSession, TlsVersions, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(TlsVersions, CarryARequestAndItsAnswer) {
  Talk talk(GetParam());
  EXPECT_EQ(talk.client.version(), GetParam());
  EXPECT_EQ(talk.session->handshake(), Status::done) << "again";
  char buffer[100];
  EXPECT_EQ(talk.session->read(buffer).status, Status::want_read);
  ASSERT_TRUE(talk.client.write("GET / HTTP/1.1\r\n\r\n"));
  const auto got = talk.session->read(buffer);
  ASSERT_EQ(got.status, Status::done);
  EXPECT_EQ(std::string_view(buffer, got.bytes), "GET / HTTP/1.1\r\n\r\n");
  const auto put = talk.session->write(std::string_view("HTTP/1.1 204 No Content\r\n\r\n"), false);
  EXPECT_EQ(put.status, Status::done);
  EXPECT_EQ(put.bytes, 27u);
  EXPECT_EQ(talk.client.read_all(talk.received), SSL_ERROR_WANT_READ);
  EXPECT_EQ(talk.received, "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(talk.session->written(), 27u);
  EXPECT_TRUE(talk.all_acknowledged());
}

// Ten mebibytes, to a client that reads at its leisure, from a server that offers what it has.
TEST_P(TlsVersions, DeliverALargeBodyAndKnowAtEachMomentWhatHasArrived) {
  for (const int buffer_bytes : {0, 32 * 1024}) {
    Talk talk(GetParam(), buffer_bytes, buffer_bytes);
    const std::string body = bytes_of_chance(10 << 20);
    std::span<const char> rest(body);
    const std::uint64_t before = talk.arrived_cipher();
    std::uint64_t last = 0;
    std::mt19937 random(1);
    int stalls = 0;
    while (talk.received.size() < body.size()) {
      if (!rest.empty()) {
        // Sizes of all kinds, now and then more than the socket takes.
        const std::size_t size = random() % 4 == 0 ? random() % 700'000 : talk.session->room();
        const auto put = talk.session->write(rest.first(std::min(rest.size(), size)), false);
        ASSERT_TRUE(put.status == Status::done || put.status == Status::want_write);
        if (put.status == Status::want_write) ++stalls;
        rest = rest.subspan(put.bytes);
      } else {
        static_cast<void>(talk.session->flush());
      }
      EXPECT_EQ(talk.session->written(), body.size() - rest.size());
      const std::uint64_t acknowledged = talk.session->acknowledged();
      EXPECT_GE(acknowledged, last);
      last = acknowledged;
      const std::uint64_t records = (acknowledged + kTlsRecordBytes - 1) / kTlsRecordBytes;
      ASSERT_LE(acknowledged + records * 21, talk.arrived_cipher() - before);
      ASSERT_EQ(talk.client.read_all(talk.received, random() % 300'000), SSL_ERROR_WANT_READ);
    }
    EXPECT_TRUE(talk.received == body) << "what arrived is not what was sent";
    EXPECT_TRUE(talk.all_acknowledged());
    EXPECT_EQ(talk.session->acknowledged(), body.size());
    if (!talk.in_kernel() && buffer_bytes != 0) {
      EXPECT_GT(stalls, 0);
    }
  }
}

TEST(TlsSession, SendsABatchWithOneCall) {
  Talk talk(0, 4 << 20, 4 << 20);
  if (talk.in_kernel()) GTEST_SKIP() << "the kernel makes the records here";
  const std::string body = bytes_of_chance(2 * kTlsBatchBytes);
  sends = 0;
  const auto put = talk.session->write(body, false);
  EXPECT_EQ(put.status, Status::done);
  EXPECT_EQ(put.bytes, kTlsBatchBytes) << "a batch and no more";
  EXPECT_EQ(sends, 1);
  ASSERT_TRUE(comes_true([&] {
    static_cast<void>(talk.session->flush());
    talk.client.read_all(talk.received);
    return talk.received.size() >= kTlsBatchBytes;
  }));
  EXPECT_TRUE(talk.received == body.substr(0, kTlsBatchBytes));
}

TEST(TlsSession, KeepsWhatTheSocketDoesNotTakeAndTakesNothingMeanwhile) {
  Talk talk(0, 4096, 4096);
  if (talk.in_kernel()) GTEST_SKIP() << "the kernel makes the records here";
  const std::string body = bytes_of_chance(kTlsBatchBytes);
  ASSERT_EQ(talk.session->write(body, false).bytes, body.size());
  EXPECT_GT(talk.session->kept_bytes(), 0u);
  EXPECT_LE(talk.session->kept_bytes(), TlsBuffers::kCipherBytes);
  EXPECT_EQ(talk.session->write(body, false).status, Status::want_write);
  EXPECT_EQ(talk.session->written(), body.size());
  EXPECT_LT(talk.session->acknowledged(), body.size());
  ASSERT_TRUE(comes_true([&] {
    talk.client.read_all(talk.received);
    return talk.session->flush() == Status::done;
  }));
  EXPECT_EQ(talk.session->kept_bytes(), 0u);
  EXPECT_TRUE(comes_true([&] {
    talk.client.read_all(talk.received);
    return talk.session->acknowledged() == body.size();
  }));
  EXPECT_TRUE(comes_true([&] {
    talk.client.read_all(talk.received);
    return talk.received == body;
  }));
}

TEST(TlsSession, PreparesAsMuchAsTheSocketTakesAndNothingOnceItMustBeWaitedFor) {
  Talk talk(64 * 1024);
  if (talk.in_kernel()) GTEST_SKIP() << "the kernel makes the records here";
  const std::string body = bytes_of_chance(kTlsBatchBytes);
  const auto is_writable = [&] {
    pollfd server{talk.pair.server, POLLOUT, 0};
    return ::poll(&server, 1, 0) == 1;
  };
  std::size_t written = 0;
  while (const std::size_t room = talk.session->room()) {
    EXPECT_EQ(room % kTlsRecordBytes, 0u);
    ASSERT_LE(room, kTlsBatchBytes);
    written += talk.session->write(std::span<const char>(body).first(room), true).bytes;
    ASSERT_EQ(talk.session->kept_bytes(), 0u);
    ASSERT_LT(written, std::size_t{1} << 30) << "the client does not read";
  }
  // An acknowledgement may come between the two questions.
  EXPECT_TRUE(comes_true([&] { return (talk.session->room() != 0) == is_writable(); }))
      << "who waits now would be called at once";
  ASSERT_TRUE(comes_true([&] {
    talk.client.read_all(talk.received);
    return is_writable();
  }));
  EXPECT_GT(talk.session->room(), 0u) << "who was called now would wait again";
}

// Linux calls it writable whenever anything is free.
TEST(TlsSession, OffersASocketWithASmallBufferARecord) {
  Talk talk(0, 4096, 4096);
  if (talk.in_kernel()) GTEST_SKIP() << "the kernel makes the records here";
  EXPECT_EQ(talk.session->room(), kTlsRecordBytes);
}

TEST(TlsSession, ReadsSeveralRecordsThatCameTogether) {
  Talk talk;
  for (const char* record : {"one", "two", "three"}) ASSERT_TRUE(talk.client.write(record));
  std::string all;
  char buffer[2];
  for (;;) {
    const auto got = talk.session->read(buffer);
    if (got.status != Status::done) {
      EXPECT_EQ(got.status, Status::want_read);
      break;
    }
    all.append(buffer, got.bytes);
    if (all == "on") {
      EXPECT_TRUE(talk.session->pending());
    }
  }
  EXPECT_EQ(all, "onetwothree");
  EXPECT_FALSE(talk.session->pending());
}

TEST(TlsSession, SaysGoodbyeBehindAllThatWasWritten) {
  Talk talk(0, 4096, 4096);
  const std::string body = bytes_of_chance(100'000);
  std::size_t written = 0;
  while (written < body.size()) {
    written += talk.session->write(std::span<const char>(body).subspan(written), false).bytes;
    talk.client.read_all(talk.received);
  }
  int end = SSL_ERROR_WANT_READ;
  ASSERT_TRUE(comes_true([&] {
    end = talk.client.read_all(talk.received);
    return talk.session->shut_down() == Status::done;
  }));
  ASSERT_TRUE(comes_true([&] {
    end = talk.client.read_all(talk.received);
    return end != SSL_ERROR_WANT_READ;
  }));
  EXPECT_EQ(end, SSL_ERROR_ZERO_RETURN) << "a close_notify, not just the end of the stream";
  EXPECT_TRUE(talk.received == body);
  EXPECT_TRUE(talk.all_acknowledged()) << "the FIN is no byte of ours";
  EXPECT_EQ(talk.session->shut_down(), Status::done) << "again";
}

TEST(TlsSession, GoesOnWritingToAPeerThatHasClosedItsDirection) {
  Talk talk;
  talk.client.send_close_notify();
  char buffer[10];
  EXPECT_EQ(talk.session->read(buffer).status, Status::closed);
  EXPECT_EQ(talk.session->read(buffer).status, Status::closed);
  EXPECT_EQ(talk.session->write(std::string_view("late"), false).status, Status::done);
  talk.client.read_all(talk.received);
  EXPECT_EQ(talk.received, "late");
}

TEST(TlsSession, TakesAnEndWithoutGoodbyeForAnEnd) {
  Talk talk;
  ::shutdown(talk.pair.client, SHUT_WR);
  char buffer[10];
  EXPECT_EQ(talk.session->read(buffer).status, Status::closed);
}

TEST(TlsSession, NoticesThatThePeerHasGone) {
  Talk talk;
  const std::string body = bytes_of_chance(kTlsBatchBytes);
  static_cast<void>(talk.session->write(body, false));
  talk.pair.close_client();  // with unread bytes: a reset
  EXPECT_TRUE(
      comes_true([&] { return talk.session->write(body, false).status == Status::closed; }));
  char buffer[10];
  EXPECT_EQ(talk.session->read(buffer).status, Status::closed);
  EXPECT_EQ(talk.session->flush(), Status::closed);
  EXPECT_EQ(talk.session->shut_down(), Status::closed);
  EXPECT_LE(talk.session->acknowledged(), talk.session->written());
}

TEST(TlsSession, FailsOnARecordThatWasTamperedWith) {
  Talk talk;
  const std::string_view forged("\x17\x03\x03\x00\x20 this is not what they agreed on", 37);
  ASSERT_EQ(::write(talk.pair.client, forged.data(), forged.size()), 37);
  char buffer[10];
  EXPECT_EQ(talk.session->read(buffer).status, Status::failed);
  EXPECT_EQ(talk.session->write(std::string_view("x"), false).status, Status::failed);
  EXPECT_EQ(talk.client.read_all(talk.received), SSL_ERROR_SSL);
  EXPECT_EQ(talk.client.reason(), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC) << "it was told";
}

TEST(TlsSession, AnswersAKeyUpdateInTheMidstOfABody) {
  Talk talk(TLS1_3_VERSION);
  char buffer[10];
  ASSERT_EQ(talk.session->write(std::string_view("before "), false).status, Status::done);
  ASSERT_EQ(SSL_key_update(talk.client.native(), SSL_KEY_UPDATE_REQUESTED), 1);
  ASSERT_TRUE(talk.client.write("x"));
  const auto got = talk.session->read(buffer);
  if (talk.in_kernel()) {
    EXPECT_EQ(got.status, Status::failed) << "the kernel cannot change its keys";
    return;
  }
  ASSERT_EQ(got.status, Status::done);
  ASSERT_EQ(talk.session->write(std::string_view("after"), false).status, Status::done);
  talk.client.read_all(talk.received);
  EXPECT_EQ(talk.received, "before after");
  EXPECT_TRUE(talk.all_acknowledged());
}

TEST(TlsSession, GrowsWithNoFloodOfKeyUpdates) {
  Talk talk(TLS1_3_VERSION, 4096, 4096);
  if (talk.in_kernel()) GTEST_SKIP() << "the kernel cannot change its keys";
  const std::string body = bytes_of_chance(kTlsBatchBytes);
  ASSERT_EQ(talk.session->write(body, false).status, Status::done);
  Status status = Status::want_read;
  for (int i = 0; i < 20'000 && status != Status::failed; ++i) {
    SSL_key_update(talk.client.native(), SSL_KEY_UPDATE_REQUESTED);
    static_cast<void>(talk.client.write("x"));
    char buffer[10];
    status = talk.session->read(buffer).status;
  }
  EXPECT_EQ(status, Status::failed);
  EXPECT_LE(talk.session->kept_bytes(), TlsBuffers::kCipherBytes + 64 * 1024);
}

TEST(TlsSession, ComesBackFromAPeerThatSendsNothingButKeyUpdates) {
  Talk talk(TLS1_3_VERSION, 0, 0);
  if (talk.in_kernel()) GTEST_SKIP() << "the kernel cannot change its keys";
  for (int i = 0; i < 3000; ++i) {
    SSL_key_update(talk.client.native(), SSL_KEY_UPDATE_NOT_REQUESTED);
    talk.client.handshake();  // sends it
  }
  ASSERT_TRUE(talk.client.write("at last"));
  int calls = 0;
  char buffer[10];
  for (;;) {
    ++calls;
    const auto got = talk.session->read(buffer);
    if (got.status == Status::done) break;
    ASSERT_EQ(got.status, Status::want_read);
    ASSERT_LT(calls, 100);
  }
  EXPECT_GE(calls, 3) << "others on the worker had their turn in between";
}

TEST(TlsSession, ClosesOnGarbageInsteadOfAHandshake) {
  TlsWorld world;
  const auto context = world.make_context();
  TcpPair pair;
  const auto session = TlsSession::open(context.get(), pair.server, world.buffers);
  EXPECT_EQ(session->handshake(), Status::want_read);
  const std::string_view plain = "GET / HTTP/1.1\r\nHost: dl.shop.example\r\n\r\n";
  ASSERT_GT(::write(pair.client, plain.data(), plain.size()), 0);
  EXPECT_EQ(session->handshake(), Status::failed);
  EXPECT_EQ(session->handshake(), Status::failed) << "again";
  EXPECT_EQ(session->acknowledged(), 0u);
  EXPECT_EQ(session->shut_down(), Status::failed);
}

TEST(TlsSession, ClosesWhenThePeerGoesInMidHandshake) {
  TlsWorld world;
  const auto context = world.make_context();
  TcpPair pair;
  const auto session = TlsSession::open(context.get(), pair.server, world.buffers);
  TlsClient client(pair.client);
  EXPECT_EQ(client.handshake(), SSL_ERROR_WANT_READ);
  EXPECT_EQ(session->handshake(), Status::want_read);
  pair.close_client();
  EXPECT_TRUE(comes_true([&] { return session->handshake() == Status::closed; }));
}

TEST(TlsSession, OutlivesItsWorkersInterestInItsContext) {
  Talk talk;
  talk.context.reset();
  EXPECT_EQ(talk.session->write(std::string_view("still here"), false).status, Status::done);
  talk.client.read_all(talk.received);
  EXPECT_EQ(talk.received, "still here");
}

TEST(TlsSession, ShareABufferWithoutMixing) {
  Talk one(0, 4096, 4096);
  TcpPair pair;
  const auto second = TlsSession::open(one.context.get(), pair.server, one.world.buffers);
  TlsClient client(pair.client);
  ASSERT_TRUE(shake_hands(*second, client));
  const std::string body = bytes_of_chance(200'000);
  const std::string other(50'000, 'o');
  std::string other_received;
  static_cast<void>(one.session->write(body, false));
  static_cast<void>(second->write(other, false));
  EXPECT_TRUE(comes_true([&] {
    static_cast<void>(one.session->flush());
    static_cast<void>(second->flush());
    one.client.read_all(one.received);
    client.read_all(other_received);
    return one.received.size() == body.size() && other_received.size() == other.size();
  }));
  EXPECT_TRUE(one.received == body);
  EXPECT_TRUE(other_received == other);
}

// Kernel TLS, where the machine has it: the plaintext path serves.
TEST(TlsSession, LetsPlaintextIntoTheSocketWithKernelTls) {
  Talk talk;
  if (!talk.in_kernel()) {
    GTEST_SKIP() << "this kernel has no TLS (cat /proc/sys/net/ipv4/tcp_available_ulp)";
  }
  const std::string head = "head ";
  ASSERT_EQ(::send(talk.pair.server, head.data(), head.size(), MSG_MORE), 5);
  talk.session->wrote_directly(5, true);
  EXPECT_EQ(talk.session->acknowledged(), 0u) << "its record is still open";
  ASSERT_EQ(talk.session->write(std::string_view("body"), false).bytes, 4u);
  EXPECT_TRUE(talk.all_acknowledged());
  talk.client.read_all(talk.received);
  EXPECT_EQ(talk.received, "head body");
  EXPECT_EQ(talk.session->shut_down(), Status::done);
}

}  // namespace
}  // namespace tallygate::net
