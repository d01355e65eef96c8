#include "server/net/kernel_tls_position.h"

#include <linux/tcp.h>  // the C library's <netinet/tcp.h> ends before tcpi_bytes_acked
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "server/net/socket_queue.h"

namespace tallygate::net {
namespace {

constexpr std::uint64_t kRecordBytes = 16'384;
constexpr std::uint64_t kOverheadBytesMin = 21;  // of a record: TLS 1.2 with ChaCha20
constexpr std::uint64_t kHeldBytesMax = 2 * kRecordBytes;

// Ciphertext that the peer has acknowledged since the connection began.
std::uint64_t acknowledged_bytes(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_acked;
}

}  // namespace

// The handshake may still be in the queue. In this order, so that an acknowledgement in between
// makes the sum too low (all is believed to have arrived a little early) and not too high (never).
KernelTlsPosition::KernelTlsPosition(int socket)
    : socket_(socket),
      agreed_cipher_(acknowledged_bytes(socket) + queued_bytes(socket).value_or(0)) {}

void KernelTlsPosition::wrote(std::uint64_t bytes, bool open) {
  written_ += bytes;
  if (bytes != 0) open_ = open;
}

std::uint64_t KernelTlsPosition::acknowledged() {
  if (acknowledged_ == written_) return acknowledged_;
  const auto queued = queued_bytes(socket_);
  if (!queued) return acknowledged_;
  const std::uint64_t waiting = *queued - std::min(*queued, fin_);
  if (waiting == 0 && !open_) {
    // A record that found the queue full is put into it a moment after there is room again, and in
    // that moment the queue may be empty: hence the look at what has been acknowledged in all.
    const std::uint64_t cipher = acknowledged_bytes(socket_);
    if (cipher >= least_ciphertext()) {
      agreed_plain_ = written_;
      agreed_cipher_ = cipher;
      return acknowledged_ = written_;
    }
  }
  const std::uint64_t missing = std::min(written_, waiting + kHeldBytesMax);
  return acknowledged_ = std::max(acknowledged_, written_ - missing);
}

// Where the stream ends at the earliest, for all that was written to be in it.
std::uint64_t KernelTlsPosition::least_ciphertext() const {
  const std::uint64_t plain = written_ - agreed_plain_;
  const std::uint64_t records = (plain + kRecordBytes - 1) / kRecordBytes;
  return agreed_cipher_ + plain + records * kOverheadBytesMin;
}

}  // namespace tallygate::net
