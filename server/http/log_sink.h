// Where the lines of the access log go: a file or standard output, the local syslog, the journal.
//
// A sink belongs to the log's thread once it is made. It never waits for whoever reads it.
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "server/net/descriptor.h"

namespace tallygate::http {

class LogSink {
 public:
  LogSink() = default;
  virtual ~LogSink() = default;
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  // Takes bytes from the front of `bytes`, at least one, and says how many. `entry` is how many of
  // them belong to the first entry; a datagram takes that and no more. The error: it takes nothing
  // now (whatever the reason, it may later), or this entry never (message_size).
  [[nodiscard]] virtual Result<std::size_t> write(std::string_view bytes, std::size_t entry) = 0;
  // Returns when it may take something again, at the latest after `at_most`.
  virtual void wait(std::chrono::milliseconds at_most) = 0;
};

// Standard output, or what somebody else has opened; it may be a pipe that blocks.
[[nodiscard]] Result<std::unique_ptr<LogSink>> open_stdout_sink();
// Appends to `path`, which is made if it is absent (mode 0640). A FIFO must have a reader.
[[nodiscard]] Result<std::unique_ptr<LogSink>> open_file_sink(const std::string& path);
// The socket of syslog(3), facility daemon, severity info. An entry is a line with its newline.
// Whether somebody listens at `path` is seen when something is sent.
[[nodiscard]] std::unique_ptr<LogSink> open_syslog_sink(std::string path);
// The journal's native protocol. An entry is a datagram of it. As written here rather than by
// sd_journal_sendv, which waits for as long as the journal takes nothing (systemd 252).
[[nodiscard]] std::unique_ptr<LogSink> open_journal_sink(std::string path);

}  // namespace tallygate::http
