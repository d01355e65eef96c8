#include "server/http/request.h"

#include <cstring>

namespace tallygate::http {

std::span<char> Request::room() {
  if (!large_ && size_ == kUsualBytes) {
    large_ = std::make_unique<char[]>(kHeadBytesMax);
    std::memcpy(large_.get(), bytes_, size_);
    bytes_ = large_.get();
  }
  return {bytes_ + size_, (large_ ? kHeadBytesMax : kUsualBytes) - size_};
}

void Request::consume(std::size_t bytes) {
  size_ -= bytes;
  if (size_ != 0) std::memmove(bytes_, bytes_ + bytes, size_);
  if (!large_ || size_ > kUsualBytes) return;
  std::memcpy(usual_.data(), bytes_, size_);
  bytes_ = usual_.data();
  large_.reset();
}

void Request::keep(const link::Grant& from) {
  grant = from;
  names_.assign(from.path);
  names_ += from.file_name;
  grant.path = std::string_view(names_).substr(0, from.path.size());
  grant.file_name = std::string_view(names_).substr(from.path.size());
}

}  // namespace tallygate::http
