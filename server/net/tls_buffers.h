// What all TLS sessions of a worker share: room for one batch, as plaintext and as ciphertext.
//
// An idle session therefore owns no buffers. For the worker's thread; used within a call and empty
// between two, so that no connection ever holds it while it waits.
#pragma once
#include <cstddef>
#include <memory>
#include <span>

namespace tallygate::net {

inline constexpr std::size_t kTlsRecordBytes = 16'384;  // plaintext, RFC 8446 §5.1
inline constexpr std::size_t kTlsBatchRecords = 16;
// Plaintext that is encrypted for one send(). Larger batches gain nothing (bench/README.md), and a
// worker is back in its loop within a tenth of a millisecond.
inline constexpr std::size_t kTlsBatchBytes = kTlsBatchRecords * kTlsRecordBytes;

class TlsBuffers {
 public:
  // Header, authentication tag, explicit nonce: 22 bytes in TLS 1.3, 29 at most with what we offer
  // in 1.2; a batch also has room for alerts and key updates between its records.
  static constexpr std::size_t kCipherBytes = kTlsBatchBytes + kTlsBatchRecords * 64 + 3072;

  // Allocated at the first use: a worker without TLS has none.
  [[nodiscard]] std::span<char> plain() { return allocated(plain_, kTlsBatchBytes); }
  [[nodiscard]] std::span<const char> cipher() const { return {cipher_.get(), cipher_bytes_}; }

  // False, and nothing appended: no room.
  [[nodiscard]] bool append_cipher(std::span<const char> bytes);
  void clear_cipher() { cipher_bytes_ = 0; }

  // One call takes no more from its socket: OpenSSL goes on by itself for as long as there are
  // messages that bring no data, and a peer that sends nothing but key updates would have the
  // worker for itself.
  static constexpr std::size_t kReceivedBytesMax = 16 * 1024;
  void start_receiving() { received_bytes_ = 0; }
  void received(std::size_t bytes) { received_bytes_ += bytes; }
  [[nodiscard]] bool may_receive() const { return received_bytes_ < kReceivedBytesMax; }

 private:
  static std::span<char> allocated(std::unique_ptr<char[]>& buffer, std::size_t bytes);

  std::unique_ptr<char[]> plain_;
  std::unique_ptr<char[]> cipher_;
  std::size_t cipher_bytes_ = 0;
  std::size_t received_bytes_ = 0;
};

}  // namespace tallygate::net
