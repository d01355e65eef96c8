// How far a connection's byte stream has got: handed to the kernel, and acknowledged by the peer.
#pragma once
#include <cstdint>

namespace tallygate::net {

// Belongs to one connection; offsets count the bytes of its outgoing stream from its first byte.
class StreamPosition {
 public:
  explicit StreamPosition(int socket) : socket_(socket) {}

  void wrote(std::uint64_t bytes) { written_ += bytes; }
  [[nodiscard]] std::uint64_t written() const { return written_; }
  // After shutdown(SHUT_WR): the FIN counts as one byte in the queue.
  void shut_down() { fin_ = 1; }

  // What the peer's TCP has acknowledged: written less SIOCOUTQ (tcp(7)). One system call unless
  // all was acknowledged before. Never falls.
  std::uint64_t acknowledged();

 private:
  int socket_;
  std::uint64_t written_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t fin_ = 0;
};

}  // namespace tallygate::net
