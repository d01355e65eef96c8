#include "server/command/handover.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/config/form.h"

namespace tallygate::command {
namespace {

// No group of records is that long.
constexpr std::uint32_t kPayloadBytesMax = 64 << 20;

struct Head {
  std::uint32_t type;
  std::uint32_t length;
};

bool send_all(int channel, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(channel, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// `descriptor` takes the one that comes with these bytes.
bool receive_all(int channel, char* to, std::size_t bytes, Descriptor* descriptor) {
  while (bytes != 0) {
    iovec part{to, bytes};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
      Descriptor taken(fd);
      if (descriptor != nullptr) *descriptor = std::move(taken);
    }
    to += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

std::string handover_terms(const config::Settings& settings) {
  std::string terms = "server.listen";
  for (const auto& address : settings.server.listen) {
    terms += ' ' + config::format_listen_address(address);
  }
  if (!settings.tls.is_on()) return terms;
  terms += " tls.listen";
  for (const auto& address : settings.tls.listen) {
    terms += ' ' + config::format_listen_address(address);
  }
  return terms;
}

std::string encode_link(const ledger::LinkKey& link) {
  std::string payload(sizeof link.high + sizeof link.low, '\0');
  std::memcpy(payload.data(), &link.high, sizeof link.high);
  std::memcpy(payload.data() + sizeof link.high, &link.low, sizeof link.low);
  return payload;
}

std::optional<ledger::LinkKey> decode_link(std::string_view payload) {
  ledger::LinkKey link;
  if (payload.size() != sizeof link.high + sizeof link.low) return std::nullopt;
  std::memcpy(&link.high, payload.data(), sizeof link.high);
  std::memcpy(&link.low, payload.data() + sizeof link.high, sizeof link.low);
  return link;
}

std::string encode_frame(FrameType type, std::string_view payload) {
  const Head head{static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(payload.size())};
  std::string frame(sizeof head, '\0');
  std::memcpy(frame.data(), &head, sizeof head);
  return frame.append(payload);
}

bool send_frame(int channel, FrameType type, std::string_view payload, int descriptor) {
  const std::string frame = encode_frame(type, payload);
  if (descriptor < 0) return send_all(channel, frame);
  iovec part{const_cast<char*>(frame.data()), frame.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof descriptor);
  std::memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
  ssize_t n = 0;
  do {
    n = ::sendmsg(channel, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n > 0 && send_all(channel, std::string_view(frame).substr(static_cast<std::size_t>(n)));
}

std::optional<Frame> receive_frame(int channel) {
  Frame frame;
  Head head{};
  if (!receive_all(channel, reinterpret_cast<char*>(&head), sizeof head, &frame.descriptor) ||
      head.length > kPayloadBytesMax || head.type < static_cast<std::uint32_t>(FrameType::ready) ||
      head.type > static_cast<std::uint32_t>(FrameType::cut)) {
    return std::nullopt;
  }
  frame.type = static_cast<FrameType>(head.type);
  frame.payload.resize(head.length);
  if (!receive_all(channel, frame.payload.data(), head.length, nullptr)) return std::nullopt;
  return frame;
}

}  // namespace tallygate::command
