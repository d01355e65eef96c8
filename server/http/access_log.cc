#include "server/http/access_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <iterator>
#include <utility>

#include "core/link/mask.h"

namespace tallygate::http {
namespace {

// About 30,000 lines.
constexpr std::size_t kWaitingBytesMax = 8 << 20;
// Of one value; a longer one is cut.
constexpr std::size_t kValueBytesMax = 2048;

// A JSON string of bytes that may be anything: what is not UTF-8 is written as U+FFFD, what is not
// printable is escaped, so that neither a terminal nor a parser can be played with.
void append_string(std::string& out, std::string_view bytes) {
  bytes = bytes.substr(0, kValueBytesMax);
  out += '"';
  for (std::size_t i = 0; i < bytes.size();) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    if (c < 0x80) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += static_cast<char>(c);
      } else if (c < 0x20 || c == 0x7f) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
      } else {
        out += static_cast<char>(c);
      }
      ++i;
      continue;
    }
    const std::size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    const auto tail = bytes.substr(i + 1, length - 1);
    const bool continued =
        tail.size() == length - 1 && std::all_of(tail.begin(), tail.end(), [](char t) {
          return (static_cast<unsigned char>(t) & 0xc0) == 0x80;
        });
    std::uint32_t code = c & (0xffu >> (length + 1));
    for (const char t : tail) code = code << 6 | (static_cast<unsigned char>(t) & 0x3fu);
    const std::uint32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
    const bool valid = continued && c >= 0xc2 && c <= 0xf4 && code >= least && code <= 0x10ffff &&
                       (code < 0xd800 || code > 0xdfff);
    if (!valid) {
      out += "\\ufffd";
      ++i;
    } else if (code < 0xa0) {  // C1 controls
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
      i += length;
    } else {
      out.append(bytes.substr(i, length));
      i += length;
    }
  }
  out += '"';
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
  append_string(out, value);
}

}  // namespace

std::string shown_client(const link::IpAddress& client, config::ClientIp how) {
  if (how == config::ClientIp::none) return {};
  if (how == config::ClientIp::full) return client.to_string();
  const auto& bytes = client.bytes();
  if (client.is_v4()) return link::IpAddress::v4({bytes[12], bytes[13], bytes[14], 0}).to_string();
  std::array<std::uint8_t, 16> cut{};
  std::copy_n(bytes.begin(), 6, cut.begin());
  return link::IpAddress::v6(cut).to_string();
}

std::string format_json_line(const AccessRecord& r) {
  const auto time = std::chrono::system_clock::time_point(std::chrono::milliseconds(r.unix_ms));
  std::string out = fmt::format("{{\"time\":\"{:%Y-%m-%dT%H:%M:%S}.{:03}Z\"",
                                fmt::gmtime(std::chrono::system_clock::to_time_t(
                                    std::chrono::floor<std::chrono::seconds>(time))),
                                r.unix_ms % 1000);
  append_field(out, "client", r.client);
  append_field(out, "method", r.method);
  append_field(out, "target", r.target.empty() ? std::string() : link::mask_tokens(r.target));
  fmt::format_to(std::back_inserter(out),
                 ",\"protocol\":\"HTTP/{}.{}\",\"status\":{},\"body_bytes\":{},\"body_length\":{},"
                 "\"duration_us\":{}",
                 r.version / 10, r.version % 10, r.status, r.body_bytes, r.body_length,
                 r.duration_us);
  append_field(out, "reason", r.reason);
  append_field(out, "range", r.range);
  append_field(out, "link", r.link_id);
  append_field(out, "key", r.key_id);
  append_field(out, "data", r.data);
  append_field(out, "user_agent", r.user_agent);
  append_field(out, "referer", r.referer.empty() ? std::string() : link::mask_tokens(r.referer));
  out += "}\n";
  return out;
}

Result<std::unique_ptr<AccessLog>, std::string> AccessLog::open(const std::string& sink) {
  Descriptor fd;
  if (sink == "stdout") {
    fd = Descriptor(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  } else if (sink != "off") {
    // O_NONBLOCK: opening a FIFO that nobody reads is an error, not a wait.
    constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    fd = Descriptor(::open(sink.c_str(), kFlags, 0640));
  }
  if (!fd && sink != "off") {
    return "log.access " + sink + " cannot be opened: " + last_error().message();
  }
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(fd)));
}

AccessLog::AccessLog(Descriptor sink) : sink_(std::move(sink)) {
  struct stat status {};
  sink_is_file_ = ::fstat(sink_.get(), &status) == 0 && S_ISREG(status.st_mode);
  if (sink_) thread_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog() {
  if (is_off()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void AccessLog::write(const AccessRecord& record) {
  if (is_off()) return;
  const std::string line = format_json_line(record);
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() + line.size() > kWaitingBytesMax) {
      ++dropped_;
      return;
    }
    waiting_ += line;
  }
  wake_.notify_one();
}

std::uint64_t AccessLog::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void AccessLog::run() {
  std::string lines;
  bool mid_line = false;  // the sink has the beginning of a line whose rest was lost
  for (;;) {
    lines.assign(mid_line ? "\n" : "");
    bool last = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      lines += waiting_;
      waiting_.clear();
      last = stopping_;
    }
    const std::string_view rest = write_out(lines);
    if (!rest.empty()) {
      const std::size_t written = lines.size() - rest.size();
      if (written != 0) mid_line = lines[written - 1] != '\n';
      const std::lock_guard lock(mutex_);
      dropped_ += static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
    } else if (!lines.empty()) {
      mid_line = false;
    }
    if (last) return;
  }
}

// Returns what the sink did not take.
std::string_view AccessLog::write_out(std::string_view lines) {
  while (!lines.empty() && wait_for_room()) {
    // poll(2) promises room for PIPE_BUF bytes; the sink may be a pipe that blocks beyond, and not
    // ours alone to change that.
    const std::size_t bytes =
        sink_is_file_ ? lines.size() : std::min<std::size_t>(lines.size(), PIPE_BUF);
    const ssize_t n = ::write(sink_.get(), lines.data(), bytes);
    if (n > 0) {
      lines.remove_prefix(static_cast<std::size_t>(n));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      break;
    }
  }
  return lines;
}

// False: the log is being closed, and the sink has taken nothing for kLastWait.
bool AccessLog::wait_for_room() {
  if (sink_is_file_) return true;
  constexpr std::chrono::milliseconds kLook{50};
  pollfd sink{sink_.get(), POLLOUT, 0};
  for (auto waited = kLook; ::poll(&sink, 1, kLook.count()) <= 0; waited += kLook) {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      waited = {};
    } else if (waited >= kLastWait) {
      return false;
    }
  }
  return true;
}

}  // namespace tallygate::http
