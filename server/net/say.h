// What the server says to its operator: lines on standard error.
//
// Where standard error is the journal's (sd-daemon(3): $JOURNAL_STREAM names its device and inode),
// a line begins with its severity, "<3>", and the journal adds name and time. Elsewhere it begins
// with "tallygate: ", and has no time either: whoever collects it adds one. Any thread.
//
// A server never waits for whoever collects: see say_or_drop().
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace tallygate {

// As syslog(3) numbers them.
enum class Severity : std::uint8_t { error = 3, warning = 4, info = 6 };

void say(Severity severity, std::string_view text);
// For a line that names a file rather than tallygate ("file:3: …").
void say_of_file(Severity severity, std::string_view text);

// From now on a line is dropped rather than waited for when standard error takes none: a pipe that
// is full and not read. The next one that is taken says how many are missing. For what serves; a
// command waits, since `| less` is no fault.
void say_or_drop();

// What is written: one line whatever is in `text`, its control characters replaced. `prefix` is for
// where there is no journal.
[[nodiscard]] std::string said_line(Severity severity, std::string_view prefix,
                                    std::string_view text, bool to_journal);
// `journal_stream`: the value of the variable, or null.
[[nodiscard]] bool is_journal(int descriptor, const char* journal_stream);

}  // namespace tallygate
