#include "server/net/tls_buffers.h"

#include <cstring>

namespace tallygate::net {

bool TlsBuffers::append_cipher(std::span<const char> bytes) {
  const auto buffer = allocated(cipher_, kCipherBytes);
  if (bytes.size() > buffer.size() - cipher_bytes_) return false;
  std::memcpy(buffer.data() + cipher_bytes_, bytes.data(), bytes.size());
  cipher_bytes_ += bytes.size();
  return true;
}

std::span<char> TlsBuffers::allocated(std::unique_ptr<char[]>& buffer, std::size_t bytes) {
  if (!buffer) buffer = std::make_unique<char[]>(bytes);
  return {buffer.get(), bytes};
}

}  // namespace tallygate::net
