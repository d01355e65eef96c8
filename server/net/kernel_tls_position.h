// How far the plaintext of a connection with kernel TLS has got.
//
// The kernel makes the records, so nobody tells us where they end. What is known: SIOCOUTQ counts
// the ciphertext that waits in TCP's queue, which is at least as much as the plaintext in it;
// beside the queue the kernel may hold one record that still fills (MSG_MORE) and one that found
// the queue full.
#pragma once
#include <cstdint>

namespace tallygate::net {

// Belongs to one connection, for its thread. Offsets count plaintext from the first byte.
class KernelTlsPosition {
 public:
  // From here on the kernel encrypts what is written to the socket; what was written before does
  // not count.
  explicit KernelTlsPosition(int socket);

  // `open`: the last record may not be complete: MSG_MORE, or a sendfile or splice that came back
  // short.
  void wrote(std::uint64_t bytes, bool open);
  [[nodiscard]] std::uint64_t written() const { return written_; }
  // After shutdown(SHUT_WR): the FIN counts as one byte in the queue.
  void shut_down() { fin_ = 1; }

  // A lower bound of what the peer's TCP has acknowledged, up to 32 KiB and the overhead of the
  // records in the queue too low; exact once all has been acknowledged. Never falls. One or two
  // system calls unless all was acknowledged before.
  std::uint64_t acknowledged();

 private:
  [[nodiscard]] std::uint64_t least_ciphertext() const;

  int socket_;
  std::uint64_t written_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t fin_ = 0;
  bool open_ = false;
  // Where plaintext and ciphertext are known to agree: all that was written had been acknowledged.
  std::uint64_t agreed_plain_ = 0;
  std::uint64_t agreed_cipher_ = 0;  // tcpi_bytes_acked
};

}  // namespace tallygate::net
