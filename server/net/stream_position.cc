#include "server/net/stream_position.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace tallygate::net {

std::uint64_t StreamPosition::acknowledged() {
  if (acknowledged_ == written_) return acknowledged_;
  int queued = 0;
  if (::ioctl(socket_, SIOCOUTQ, &queued) != 0 || queued < 0) return acknowledged_;
  auto waiting = static_cast<std::uint64_t>(queued);
  waiting -= std::min(waiting, fin_);
  acknowledged_ = std::max(acknowledged_, written_ - std::min(waiting, written_));
  return acknowledged_;
}

}  // namespace tallygate::net
