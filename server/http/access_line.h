// The lines of the access log: one for each request, as JSON or in Apache's combined format.
//
// Nothing that a client sends can break a line or be obeyed by a terminal, and a token is written
// as ***, whole. Pure; callable from any thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/config/settings.h"
#include "core/link/ip_block.h"

namespace tallygate::http {

// The client's address as the settings allow it to be stored: whole, cut to /24 or /48, or empty.
[[nodiscard]] link::IpText shown_client(const link::IpAddress& client, config::ClientIp how);

struct AccessRecord {
  std::int64_t unix_ms = 0;  // of the end
  std::string_view client;   // as shown_client gives it
  std::string_view method;
  std::string_view target;        // as received; masked here, as all that a client sent
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

// Of one value in a line; a longer one is cut.
inline constexpr std::size_t kLoggedValueBytesMax = 2048;

// Each appends one line, without a newline.

// {"time":"2026-01-01T00:00:00.042Z","client":"192.0.2.7",…}; what is empty is left out. UTF-8,
// where what is not is U+FFFD, and controls, line separators and formatting characters are escaped.
void append_json_line(std::string& out, const AccessRecord& record);

// What Apache writes for "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"": ASCII, all
// else as \xhh. The time is UTC, and that of the beginning; the status of a connection that was
// closed without an answer is 000.
void append_combined_line(std::string& out, const AccessRecord& record);

// That lines are missing here, in the same formats.
void append_json_loss(std::string& out, std::int64_t unix_ms, std::uint64_t lines);
void append_combined_loss(std::string& out, std::int64_t unix_ms, std::uint64_t lines);
// That lines of a client (as shown_client gives it; empty: of many) were left out before here.
void append_json_left_out(std::string& out, std::int64_t unix_ms, std::string_view client,
                          std::uint64_t lines);
void append_combined_left_out(std::string& out, std::int64_t unix_ms, std::string_view client,
                              std::uint64_t lines);

// The record's fields as the journal's native protocol has them (systemd's
// JOURNAL_NATIVE_PROTOCOL), "TALLYGATE_STATUS=206\n…". Printable ASCII only.
void append_journal_fields(std::string& out, const AccessRecord& record);

}  // namespace tallygate::http
