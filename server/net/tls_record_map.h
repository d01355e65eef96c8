// Which plaintext has arrived once so much ciphertext has: TCP acknowledges the latter, links are
// metered in the former.
//
// Pure, for one direction of one TLS connection; not thread-safe. Offsets count bytes from the
// beginning of the connection, for the ciphertext with the handshake in front.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tallygate::net {

class TlsRecordMap {
 public:
  // The next record: `cipher_bytes` of the stream that hold `plain_bytes`. Without plaintext
  // (handshake, ticket, alert) it may as well be several records. Amortized O(1).
  void append(std::uint64_t cipher_bytes, std::uint64_t plain_bytes);

  // The stream has been acknowledged up to `cipher_offset`. Returns how much plaintext lies in
  // records that were acknowledged in full: half a record cannot be decrypted. Never falls,
  // whatever the offsets. Amortized O(1).
  std::uint64_t acknowledge(std::uint64_t cipher_offset);

  // As acknowledge() last said.
  [[nodiscard]] std::uint64_t plain_acknowledged() const { return plain_acknowledged_; }
  [[nodiscard]] std::uint64_t plain_end() const { return plain_end_; }
  [[nodiscard]] std::uint64_t cipher_end() const { return cipher_end_; }

  // Records of one size in a row take one run, so a large body has one or two. Beyond so many runs
  // (6 KiB) further records are not told apart: they are acknowledged together, later than they
  // might be.
  static constexpr std::size_t kRunsMax = 256;
  [[nodiscard]] std::size_t runs() const { return runs_.size() - first_; }

 private:
  // `count` records of the same size, none of them acknowledged.
  struct Run {
    std::uint64_t cipher_bytes;
    std::uint64_t plain_bytes;
    std::uint64_t count;
  };
  void forget_acknowledged();

  std::vector<Run> runs_;  // from first_ on; a vector, since an idle connection should hold nothing
  std::size_t first_ = 0;
  std::uint64_t cipher_acknowledged_ = 0;  // up to the end of a record
  std::uint64_t plain_acknowledged_ = 0;
  std::uint64_t cipher_end_ = 0;
  std::uint64_t plain_end_ = 0;
};

}  // namespace tallygate::net
