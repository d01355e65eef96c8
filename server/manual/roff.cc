#include "server/manual/roff.h"

#include <fmt/format.h>

namespace tallygate::manual {
namespace {

std::string escaped(std::string_view text, bool literal) {
  std::string out;
  bool bold = false;
  for (const char c : text) {
    if (c == '`' && !literal) {
      out += bold ? "\\fR" : "\\fB";
      bold = !bold;
    } else if (c == '\\') {
      out += "\\e";
    } else if (c == '-' && (literal || bold)) {
      out += "\\-";
    } else if (c == '\'') {
      out += literal || bold ? "\\(aq" : "'";
    } else {
      out += c;
    }
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

}  // namespace

std::string roff(std::string_view text) {
  return escaped(text, false);
}

std::string roff_literal(std::string_view text) {
  return escaped(text, true);
}

std::string roff_title(std::string_view name, int section, std::string_view date,
                       std::string_view kind) {
  return fmt::format(".TH {} {} {} \"tallygate {}\" \"{}\"\n", name, section, date,
                     TALLYGATE_VERSION, kind);
}

}  // namespace tallygate::manual
