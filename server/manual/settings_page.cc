#include <fmt/format.h>

#include "core/config/declarations.h"
#include "core/config/describe.h"
#include "server/manual/manual.h"
#include "server/manual/roff.h"

namespace tallygate::manual {
namespace {

constexpr std::string_view kDescription = R"(.SH DESCRIPTION
The settings of
.BR tallygate (1)
are a file in TOML.
.I content.root
and
.I links.keyring
have no default; whatever else is absent has the one that is shown.
.B tallygate check
names every mistake at once. Durations are texts with a unit: ms, s, m, h or d. Paths are absolute.
They are read at the start, and again when the server is asked to reload
.RB ( "systemctl reload tallygate" ,
.B tallygate reload
or SIGHUP); what is marked so needs a restart.
)";

constexpr std::string_view kEnd = R"(.SH EXAMPLE
.nf
.RS
[content]
root = "/srv/downloads"

[links]
keyring = "/etc/tallygate/keyring.toml"
.RE
.fi
.SH "SEE ALSO"
.BR tallygate (1)
)";

std::string setting(const config::Declaration& declaration) {
  const config::SettingText text = config::setting_text(declaration);
  return fmt::format(".TP\n\\fB{}\\fR = {}\n{}\n{}\n", roff_literal(declaration.key),
                     roff_literal(text.shown), roff(text.sentences), roff(text.type_and_bounds));
}

}  // namespace

std::string settings_page(std::string_view date) {
  std::string out = roff_title("TALLYGATE.TOML", 5, date, "File Formats");
  out += ".SH NAME\ntallygate.toml \\- settings of the download edge tallygate\n";
  out += kDescription;
  for (const config::Table& table : config::tables()) {
    out += fmt::format(".SH [{}]\n{}{}\n", table.name, roff(table.sentence),
                       table.optional ? " Off unless this table is there." : "");
    for (const config::Declaration& declaration : config::declarations()) {
      if (declaration.table == table.name) out += setting(declaration);
    }
  }
  return out + std::string(kEnd);
}

}  // namespace tallygate::manual
