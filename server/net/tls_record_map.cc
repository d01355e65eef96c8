#include "server/net/tls_record_map.h"

#include <algorithm>

#include "core/base/result.h"

namespace tallygate::net {

void TlsRecordMap::append(std::uint64_t cipher_bytes, std::uint64_t plain_bytes) {
  TALLYGATE_ASSERT(cipher_bytes != 0 || plain_bytes == 0);
  if (cipher_bytes == 0) return;
  cipher_end_ += cipher_bytes;
  plain_end_ += plain_bytes;
  if (runs() == 0) {
    runs_.push_back({cipher_bytes, plain_bytes, 1});
    return;
  }
  Run& last = runs_.back();
  if (last.cipher_bytes == cipher_bytes && last.plain_bytes == plain_bytes) {
    ++last.count;
  } else if (runs() < kRunsMax) {
    runs_.push_back({cipher_bytes, plain_bytes, 1});
  } else {
    last = {last.cipher_bytes * last.count + cipher_bytes,
            last.plain_bytes * last.count + plain_bytes, 1};
  }
}

std::uint64_t TlsRecordMap::acknowledge(std::uint64_t cipher_offset) {
  while (runs() != 0 && cipher_offset > cipher_acknowledged_) {
    Run& run = runs_[first_];
    const std::uint64_t whole =
        std::min(run.count, (cipher_offset - cipher_acknowledged_) / run.cipher_bytes);
    cipher_acknowledged_ += whole * run.cipher_bytes;
    plain_acknowledged_ += whole * run.plain_bytes;
    run.count -= whole;
    if (run.count != 0) break;
    ++first_;
  }
  forget_acknowledged();
  return plain_acknowledged_;
}

// Moves at most as many runs as were acknowledged since the last time.
void TlsRecordMap::forget_acknowledged() {
  if (first_ == runs_.size()) {
    runs_.clear();
  } else if (first_ * 2 > runs_.size()) {
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(first_));
  } else {
    return;
  }
  first_ = 0;
}

}  // namespace tallygate::net
