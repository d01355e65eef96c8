// How many records should be encrypted for one send()?
//
// A file of 64 MiB from memory, read by pread and sent through a TLS session over loopback; the
// peer is a thread that throws the ciphertext away. The figure is the processor time of the
// server's thread for each GiB. A batch beyond which it no longer falls is large enough; one record
// for each call is what other servers do. Loopback makes every send dear, since the receiving side
// runs within it: over a network card less is gained.
//
//   taskset -c 0,1 bench.server.net.tls_session --benchmark_repetitions=5
#include <benchmark/benchmark.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <memory>
#include <string>
#include <thread>

#include "server/net/tls_contexts.h"
#include "server/net/tls_session.h"
#include "tests/support/certificate.h"
#include "tests/support/fake_clock.h"
#include "tests/support/tcp_pair.h"

namespace tallygate::net {
namespace {

constexpr std::int64_t kFileBytes = 64 << 20;

int file_in_memory() {
  const int fd = ::memfd_create("body", MFD_CLOEXEC);
  const std::string part(1 << 20, 'x');
  for (std::int64_t at = 0; at < kFileBytes; at += 1 << 20) {
    if (::write(fd, part.data(), part.size()) < 0) return -1;
  }
  return fd;
}

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void wait_for(int socket, short events) {
  pollfd poll{socket, events, 0};
  ::poll(&poll, 1, 1000);
}

// A session after its handshake, and the peer that takes everything in.
class Line {
 public:
  explicit Line(const char* suite) {
    std::signal(SIGPIPE, SIG_IGN);
    const TempDir folder;
    const auto site = make_certificate(folder, "bench", {.names = {"bench.example"}});
    config::Settings::Tls settings;
    settings.certificate = site.certificate;
    settings.key = site.key;
    context_ = std::move(
        *make_tls_context(*load_certificates(settings), std::make_shared<TlsTicketKeys>(clock_)));
    session = TlsSession::open(context_.get(), pair_.server, buffers);
    const SslContext client_context(SSL_CTX_new(TLS_client_method()));
    const Ssl client(SSL_new(client_context.get()));
    SSL_set_ciphersuites(client.get(), suite);
    SSL_set_fd(client.get(), pair_.client);
    while (SSL_connect(client.get()) != 1 || session->handshake() != TlsSession::Status::done) {
      static_cast<void>(session->handshake());
    }
    SSL_set_quiet_shutdown(client.get(), 1);
    drain_ = std::thread([socket = pair_.client] {
      for (;;) {
        const ssize_t n = ::recv(socket, nullptr, 1 << 20, MSG_TRUNC | MSG_DONTWAIT);
        if (n == 0) return;
        if (n < 0) wait_for(socket, POLLIN);
      }
    });
  }
  ~Line() {
    while (session->shut_down() == TlsSession::Status::want_write) wait_for(pair_.server, POLLOUT);
    drain_.join();
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  void wait() const { wait_for(pair_.server, POLLOUT); }

  TlsBuffers buffers;
  std::unique_ptr<TlsSession> session;

 private:
  FakeClock clock_;
  SslContext context_;
  TcpPair pair_;
  std::thread drain_;
};

// `batch`: how much to prepare for the next write.
template <class Batch>
void send_file(benchmark::State& state, const char* suite, const Batch& batch) {
  Line line(suite);
  const int file = file_in_memory();
  const double begin = thread_seconds();
  std::uint64_t writes = 0;
  for (auto _ : state) {
    for (std::int64_t at = 0; at < kFileBytes;) {
      if (line.session->flush() == TlsSession::Status::want_write) {
        line.wait();
        continue;
      }
      const auto plain = line.buffers.plain().first(batch(*line.session));
      if (plain.empty()) {
        line.wait();
        continue;
      }
      const ssize_t n = ::pread(file, plain.data(), plain.size(), at);
      if (n <= 0) return state.SkipWithError("pread failed");
      const auto put = line.session->write(plain.first(static_cast<std::size_t>(n)), true);
      if (put.status != TlsSession::Status::done) return state.SkipWithError("write failed");
      at += static_cast<std::int64_t>(put.bytes);
      ++writes;
      benchmark::DoNotOptimize(line.session->acknowledged());
    }
  }
  const double gib = static_cast<double>(state.iterations() * kFileBytes) / (1 << 30);
  state.counters["cpu_s_per_GiB"] = (thread_seconds() - begin) / gib;
  state.counters["KiB_per_write"] = gib * (1 << 20) / static_cast<double>(writes);
  state.SetBytesProcessed(state.iterations() * kFileBytes);
  ::close(file);
}

void BM_TlsBody_Aes128(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0)) * kTlsRecordBytes;
  send_file(state, "TLS_AES_128_GCM_SHA256", [&](const TlsSession&) { return bytes; });
}
BENCHMARK(BM_TlsBody_Aes128)->ArgName("records")->Arg(1)->Arg(4)->Arg(8)->Arg(16);

void BM_TlsBody_ChaCha20(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0)) * kTlsRecordBytes;
  send_file(state, "TLS_CHACHA20_POLY1305_SHA256", [&](const TlsSession&) { return bytes; });
}
BENCHMARK(BM_TlsBody_ChaCha20)->ArgName("records")->Arg(1)->Arg(16);

// As a connection does it: as much as the socket will take.
void BM_TlsBody_Aes128AsRoomIs(benchmark::State& state) {
  send_file(state, "TLS_AES_128_GCM_SHA256",
            [](const TlsSession& session) { return session.room(); });
}
BENCHMARK(BM_TlsBody_Aes128AsRoomIs);

}  // namespace
}  // namespace tallygate::net
