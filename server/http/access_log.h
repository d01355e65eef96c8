// One JSON line for each request, to standard output, a file, or nowhere.
//
// Lines are made on the worker and written by a thread of the log's own, so that a blocked sink
// never holds up a download: what does not fit into the queue is dropped and counted. Nothing that
// a client sends can break a line, and a token is written as ***, whole.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "core/link/ip_block.h"
#include "server/net/descriptor.h"

namespace tallygate::http {

// The client's address as the settings allow it to be stored: whole, cut to /24 or /48, or empty.
[[nodiscard]] std::string shown_client(const link::IpAddress& client, config::ClientIp how);

struct AccessRecord {
  std::int64_t unix_ms = 0;
  std::string_view client;  // as shown_client gives it
  std::string_view method;
  std::string_view target;        // as received; masked here
  unsigned version = 11;          // 10 or 11
  unsigned status = 0;            // 0: closed without an answer
  std::string_view reason;        // why a refusal was one; never in the answer
  std::uint64_t body_bytes = 0;   // of the answer, handed to the kernel
  std::uint64_t body_length = 0;  // of the answer, promised
  std::uint64_t duration_us = 0;
  std::string_view range;
  std::string_view user_agent;
  std::string_view referer;
  std::string_view link_id;
  std::string_view key_id;
  std::string_view data;  // the token's field `d`
};

[[nodiscard]] std::string format_json_line(const AccessRecord& record);

class AccessLog {
 public:
  static constexpr std::chrono::milliseconds kLastWait{500};

  // `sink`: "stdout", "off" or a path that is appended to. The error is for the operator.
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>, std::string> open(
      const std::string& sink);
  ~AccessLog();  // writes what waits, unless the sink takes nothing for kLastWait
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Any thread; never waits for the sink.
  void write(const AccessRecord& record);
  [[nodiscard]] bool is_off() const { return !thread_.joinable(); }
  // Lines that were lost because the sink did not keep up.
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  explicit AccessLog(Descriptor sink);
  void run();
  [[nodiscard]] bool wait_for_room();
  [[nodiscard]] std::string_view write_out(std::string_view lines);

  Descriptor sink_;
  bool sink_is_file_ = false;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string waiting_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace tallygate::http
