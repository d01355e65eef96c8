// The access log: makes a line of each request and has it written, by a thread of its own.
//
// Lines are made on the worker, and a blocked sink never holds up a download: what a sink does not
// take waits in a queue, and what does not fit into that is dropped and counted. When there is room
// again, one line says how many are missing at that place. A line is written whole or not at all,
// but for one that a full disk cut and that was never finished.
//
// Requests without a genuine link, which anybody can send for nothing, have a quota of lines for
// each client and minute; at the end of the minute one line says how many were left out.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "core/http/log_quota.h"
#include "core/link/ip_block.h"
#include "server/http/access_line.h"
#include "server/http/log_sink.h"

namespace tallygate::http {

class AccessLog {
 public:
  static constexpr std::chrono::milliseconds kLastWait{500};
  // Of the queue; about 30,000 lines.
  static constexpr std::size_t kWaitingBytesMax = 8 << 20;
  // For which LogQuota counts.
  static constexpr std::chrono::seconds kQuotaWindow{60};

  // The sockets of the machine's own logs.
  struct Sockets {
    std::string syslog = "/dev/log";
    std::string journal = "/run/systemd/journal/socket";
  };

  // The error is for the operator.
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>, std::string> open(
      const config::Settings::Log& settings, const Sockets& sockets);
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>, std::string> open(
      const config::Settings::Log& settings);
  ~AccessLog();  // writes what waits, unless the sink takes nothing for kLastWait
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Any thread; never waits for the sink.
  void write(const AccessRecord& record);
  // Of a request without a genuine link: at most `lines_max` in a window for each client (0: all).
  // A line that is left out is counted and never made.
  void write_refused(const AccessRecord& record, const link::IpAddress& client,
                     std::uint32_t lines_max);
  // Opens the file anew, after it was renamed: lines go on in the new one, and none is lost. The
  // error, for the operator: it cannot be opened, and the old one is written on. Any thread.
  [[nodiscard]] Result<void, std::string> reopen();
  [[nodiscard]] bool is_off() const { return !thread_.joinable(); }
  // Lines that were lost because the sink did not keep up.
  [[nodiscard]] std::uint64_t dropped() const;
  // Lines that write_refused() left out.
  [[nodiscard]] std::uint64_t left_out() const;

 private:
  // Entries, one behind the other. Memory is kept for the next ones.
  struct Queue {
    std::string bytes;
    std::vector<std::size_t> ends;  // of each entry, in `bytes`
    void end_entry() { ends.push_back(bytes.size()); }
    void clear();
    [[nodiscard]] std::size_t begin_of(std::size_t entry) const;
  };

  AccessLog(const config::Settings::Log& settings, Sockets sockets);
  [[nodiscard]] Result<std::unique_ptr<LogSink>> open_sink() const;
  void append_entry(std::string& out, const AccessRecord& record) const;
  // A line about lines that are missing.
  template <class Append>
  void append_note(Queue& queue, Append&& append) const;
  void append_loss(Queue& queue, std::uint64_t lines) const;
  void append_left_out(Queue& queue);
  void run();
  bool write_out(const Queue& queue);
  [[nodiscard]] bool use_next_sink();
  void lose(std::uint64_t lines);

  const std::string where_;
  const config::LogFormat format_;
  const Sockets sockets_;
  std::unique_ptr<LogSink> sink_;  // the log's thread's

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Queue waiting_;
  bool is_full_ = false;
  std::unique_ptr<LogSink> next_sink_;  // to be used from now on
  std::uint64_t dropped_ = 0;
  std::uint64_t lost_ = 0;  // of those, the ones that no line tells of yet
  LogQuota quota_;
  std::chrono::steady_clock::time_point window_ends_;  // unless the quota is empty
  std::uint64_t left_out_ = 0;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace tallygate::http
