#include <fmt/format.h>

#include "server/command/exit_code.h"
#include "server/manual/command_line.h"
#include "server/manual/manual.h"
#include "server/manual/roff.h"

namespace tallygate::manual {
namespace {

// What stands for the value of an option.
std::string placeholder(const CLI::Option& option, std::string_view name) {
  if (name == "config" || name.ends_with("-file")) return "FILE";
  if (name == "dir") return "DIR";
  return option.get_type_name();
}

// "--id TEXT"
std::string spelled(const CLI::Option& option) {
  if (option.get_positional()) return "\\fI" + roff_literal(option.get_name(true)) + "\\fR";
  std::string out;
  for (const std::string& name : option.get_snames()) out += "\\fB\\-" + name + "\\fR, ";
  for (const std::string& name : option.get_lnames()) {
    out += "\\fB\\-\\-" + roff_literal(name) + "\\fR, ";
  }
  out.resize(out.size() - 2);
  if (option.get_items_expected_max() > 0) {
    out += " \\fI" + roff_literal(placeholder(option, option.get_lnames().front())) + "\\fR";
  }
  return out;
}

std::string describe_options(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : options_of(command)) {
    const bool is_help = option == command.get_help_ptr() || option == command.get_help_all_ptr();
    if (is_help && command.get_parent() != nullptr) continue;  // said once, above
    out += fmt::format(".TP\n{}\n{}{}\n", spelled(*option), roff(option->get_description()),
                       option->get_required() ? " (required)" : "");
  }
  return out;
}

std::string synopsis(const CLI::App& command, const std::string& name) {
  std::string out = "\\fB" + roff_literal(name) + "\\fR";
  bool optional = false;
  for (const CLI::Option* option : options_of(command)) {
    if (option == command.get_help_ptr() || option == command.get_help_all_ptr()) continue;
    if (option->get_required()) {
      out += " " + spelled(*option);
    } else {
      optional = true;
    }
  }
  return out + (optional ? " [\\fIoption\\fR ...]" : "");
}

// Commands that do something, not those that only have commands below them.
template <class F>
void each_command(const CLI::App& app, const std::string& name, F&& f) {
  const auto below = commands_below(app);
  if (below.empty()) f(app, name);
  for (const CLI::App* command : below) each_command(*command, name + ' ' + command->get_name(), f);
}

constexpr std::string_view kBehindTheCommands = R"(.SH SIGNALS
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
The server takes no new connections, lets running downloads finish within \fIserver.drain_timeout\fR,
settles what was delivered, and exits with 0. A second one does not wait.
.TP
\fBSIGHUP\fR
It reads its settings again. A mistake in them changes nothing, and is said on standard error.
.TP
\fBSIGUSR1\fR
It opens the file of its access log anew.
.TP
\fBSIGUSR2\fR
A new process of the program that lies now where this one was started from takes over, with the
listening sockets and the ledger. This one finishes the transfers that are in flight, within
\fIserver.drain_timeout\fR. If the new one does not come up, this one serves on and says why.
.SH "UNDER SYSTEMD"
\fBtallygate serve\fR tells the service manager when it is ready, reloads and stops
.RB ( Type=notify ),
and that it still moves
.RB ( WatchdogSec= ):
every worker's loop, and the journal.
.PP
It serves on listening sockets that a
.B .socket
unit hands over, in place of
.I server.listen
those with
.BR FileDescriptorName=http ,
in place of
.I tls.listen
those with
.BR FileDescriptorName=https .
Ports below 1024 need no capability then, and connections wait while it restarts.
)";

constexpr std::string_view kEnd = R"(.SH FILES
.TP
.I /etc/tallygate/tallygate.toml
The settings:
.BR tallygate.toml (5).
.TP
.I /etc/tallygate/keyring.toml
The keys that sign links.
.TP
.I /var/lib/tallygate/ledger
The counts.
.TP
.I /run/tallygate/admin.sock
Where commands reach the running server; its owner and its group may.
.SH EXAMPLES
A link to a file below
.IR content.root ,
good for three downloads within a week:
.PP
.nf
.RS
tallygate sign \-\-config /etc/tallygate/tallygate.toml /music/album.flac \e
    \-\-id 1001\-7 \-\-max 3 \-\-expires 7d
.RE
.fi
.SH "SEE ALSO"
.BR tallygate.toml (5),
.BR systemd.service (5),
.BR systemd.socket (5)
)";

std::string exit_codes() {
  using namespace command;
  std::string out = ".SH \"EXIT STATUS\"\n";
  const auto add = [&](int code, std::string_view meaning) {
    out += fmt::format(".TP\n.B {}\n{}\n", code, meaning);
  };
  add(kDone, "Done.");
  add(kFailed, "Refused, or failed.");
  add(kUsage, "Wrong words on the command line.");
  add(kSettings, "Mistakes in the settings, the keyring or the certificates.");
  return out;
}

}  // namespace

std::string command_page(const CLI::App& app, std::string_view date) {
  std::string out = roff_title("TALLYGATE", 1, date, "User Commands");
  out += ".SH NAME\ntallygate \\- a download edge for shops\n.SH SYNOPSIS\n.nf\n";
  each_command(app, "tallygate", [&](const CLI::App& command, const std::string& name) {
    out += synopsis(command, name) + "\n";
  });
  out += ".fi\n.SH DESCRIPTION\n" + roff(app.get_description()) +
         "\nResults go to standard output, messages to standard error.\n.SH OPTIONS\n" +
         describe_options(app) + ".SH COMMANDS\n";
  each_command(app, "tallygate", [&](const CLI::App& command, const std::string& name) {
    const std::string what = command.get_description();
    out += fmt::format(".SS \"{}\"\n{}\n{}", roff_literal(name), roff(what),
                       describe_options(command));
  });
  return out + exit_codes() + std::string(kBehindTheCommands) + std::string(kEnd);
}

}  // namespace tallygate::manual
