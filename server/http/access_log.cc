#include "server/http/access_log.h"

#include <algorithm>
#include <boost/system/errc.hpp>
#include <chrono>
#include <utility>

#include "core/net/address_key.h"

namespace tallygate::http {
namespace {

constexpr std::string_view kOff = "off";
constexpr std::string_view kStdout = "stdout";
constexpr std::string_view kSyslog = "syslog";
constexpr std::string_view kJournald = "journald";

// How often a log that waits for its sink looks whether it is to end or has another sink.
constexpr std::chrono::milliseconds kLook{50};

// Every datagram's: severity info, facility daemon.
constexpr std::string_view kJournalHead =
    "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=tallygate\n";

std::int64_t unix_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void AccessLog::Queue::clear() {
  bytes.clear();
  ends.clear();
}

std::size_t AccessLog::Queue::begin_of(std::size_t entry) const {
  return entry == 0 ? 0 : ends[entry - 1];
}

Result<std::unique_ptr<AccessLog>, std::string> AccessLog::open(
    const config::Settings::Log& settings) {
  return open(settings, Sockets{});
}

Result<std::unique_ptr<AccessLog>, std::string> AccessLog::open(
    const config::Settings::Log& settings, const Sockets& sockets) {
  std::unique_ptr<AccessLog> log(new AccessLog(settings, sockets));
  if (settings.access == kOff) return log;
  auto sink = log->open_sink();
  if (!sink) {
    return "log.access " + settings.access + " cannot be opened: " + sink.error().message();
  }
  log->sink_ = std::move(*sink);
  log->thread_ = std::thread([raw = log.get()] { raw->run(); });
  return log;
}

AccessLog::AccessLog(const config::Settings::Log& settings, Sockets sockets)
    : where_(settings.access), format_(settings.format), sockets_(std::move(sockets)) {}

AccessLog::~AccessLog() {
  if (is_off()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Result<std::unique_ptr<LogSink>> AccessLog::open_sink() const {
  if (where_ == kStdout) return open_stdout_sink();
  if (where_ == kSyslog) return open_syslog_sink(sockets_.syslog);
  if (where_ == kJournald) return open_journal_sink(sockets_.journal);
  return open_file_sink(where_);
}

void AccessLog::write(const AccessRecord& record) {
  if (is_off()) return;
  thread_local std::string entry;
  entry.clear();
  append_entry(entry, record);
  {
    const std::lock_guard lock(mutex_);
    // Behind a line that does not fit nothing else does, so that what is missing is in one place.
    is_full_ = is_full_ || waiting_.bytes.size() + entry.size() > kWaitingBytesMax;
    if (is_full_) {
      ++dropped_;
      ++lost_;
      return;
    }
    waiting_.bytes += entry;
    waiting_.end_entry();
  }
  wake_.notify_one();
}

void AccessLog::write_refused(const AccessRecord& record, const link::IpAddress& client,
                              std::uint32_t lines_max) {
  if (is_off()) return;
  if (lines_max != 0) {
    const std::lock_guard lock(mutex_);
    // The log's thread is told of the window by the first line in it.
    if (quota_.is_empty()) window_ends_ = std::chrono::steady_clock::now() + kQuotaWindow;
    if (!quota_.admit(net::address_key(client), record.client, lines_max)) {
      ++left_out_;
      return;
    }
  }
  write(record);
}

void AccessLog::append_entry(std::string& out, const AccessRecord& record) const {
  const bool is_journal = where_ == kJournald;
  if (is_journal) {
    out += kJournalHead;
    append_journal_fields(out, record);
    out += "MESSAGE=";
  }
  if (format_ == config::LogFormat::json) {
    append_json_line(out, record);
  } else {
    append_combined_line(out, record);
  }
  out += '\n';
}

template <class Append>
void AccessLog::append_note(Queue& queue, Append&& append) const {
  std::string& out = queue.bytes;
  if (where_ == kJournald) {
    out += kJournalHead;
    out += "MESSAGE=";
  }
  append(out);
  out += '\n';
  queue.end_entry();
}

void AccessLog::append_loss(Queue& queue, std::uint64_t lines) const {
  append_note(queue, [&](std::string& out) {
    if (format_ == config::LogFormat::json) {
      append_json_loss(out, unix_ms_now(), lines);
    } else {
      append_combined_loss(out, unix_ms_now(), lines);
    }
  });
}

void AccessLog::append_left_out(Queue& queue) {
  quota_.end_window([&](std::string_view client, std::uint64_t lines) {
    append_note(queue, [&](std::string& out) {
      if (format_ == config::LogFormat::json) {
        append_json_left_out(out, unix_ms_now(), client, lines);
      } else {
        append_combined_left_out(out, unix_ms_now(), client, lines);
      }
    });
  });
}

Result<void, std::string> AccessLog::reopen() {
  // Nobody can have renamed standard output, and the sockets are looked up whenever they fail.
  if (is_off() || where_ == kStdout || where_ == kSyslog || where_ == kJournald) return {};
  auto sink = open_sink();
  if (!sink) return "log.access " + where_ + " cannot be opened: " + sink.error().message();
  {
    const std::lock_guard lock(mutex_);
    next_sink_ = std::move(*sink);
  }
  wake_.notify_one();
  return {};
}

std::uint64_t AccessLog::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

std::uint64_t AccessLog::left_out() const {
  const std::lock_guard lock(mutex_);
  return left_out_;
}

void AccessLog::run() {
  Queue taken;
  for (;;) {
    taken.clear();
    bool last = false;
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [this] {
        return stopping_ || next_sink_ != nullptr || lost_ != 0 || !waiting_.ends.empty();
      };
      if (quota_.is_empty()) {
        wake_.wait(lock, has_work);
      } else {
        wake_.wait_until(lock, window_ends_, has_work);
      }
      std::swap(taken, waiting_);
      is_full_ = false;
      const bool window_is_over =
          !quota_.is_empty() && std::chrono::steady_clock::now() >= window_ends_;
      if (window_is_over || stopping_) append_left_out(taken);
      if (const auto lost = std::exchange(lost_, 0); lost != 0) append_loss(taken, lost);
      last = stopping_;
    }
    static_cast<void>(use_next_sink());
    const bool goes_on = write_out(taken);
    if (last || !goes_on) return;
  }
}

// False: the log is being closed, and the sink has taken nothing for kLastWait.
bool AccessLog::write_out(const Queue& queue) {
  const std::string_view bytes = queue.bytes;
  std::size_t at = 0;
  std::chrono::milliseconds waited{0};
  for (std::size_t entry = 0; entry < queue.ends.size();) {
    // What was begun in another file is written once more, whole.
    if (use_next_sink()) at = queue.begin_of(entry);
    const auto taken = sink_->write(bytes.substr(at), queue.ends[entry] - at);
    if (taken) {
      at += *taken;
      while (entry < queue.ends.size() && queue.ends[entry] <= at) ++entry;
      waited = {};
      continue;
    }
    if (taken.error() == boost::system::errc::message_size) {
      at = queue.ends[entry++];
      lose(1);
      continue;
    }
    // Who comes instead of a reader that is gone has not read the beginning.
    if (taken.error() == boost::system::errc::broken_pipe) at = queue.begin_of(entry);
    sink_->wait(kLook);
    {
      const std::lock_guard lock(mutex_);
      waited = stopping_ ? waited + kLook : std::chrono::milliseconds(0);
    }
    if (waited >= kLastWait) {
      lose(queue.ends.size() - entry);
      return false;
    }
  }
  return true;
}

bool AccessLog::use_next_sink() {
  const std::lock_guard lock(mutex_);
  if (next_sink_ == nullptr) return false;
  sink_ = std::move(next_sink_);
  return true;
}

void AccessLog::lose(std::uint64_t lines) {
  const std::lock_guard lock(mutex_);
  dropped_ += lines;
  lost_ += lines;
}

}  // namespace tallygate::http
