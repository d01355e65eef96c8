#include <fmt/format.h>

#include <string>

#include "server/manual/command_line.h"
#include "server/manual/manual.h"

namespace tallygate::manual {
namespace {

// Everything that may stand behind the command: the commands below it, then its options.
std::string words(const CLI::App& command) {
  std::string out;
  for (const CLI::App* sub : commands_below(command)) out += sub->get_name() + ' ';
  for (const CLI::Option* option : options_of(command)) {
    for (const std::string& name : option->get_lnames()) out += "--" + name + ' ';
  }
  if (!out.empty()) out.pop_back();
  return out;
}

// Of a case in bash: what the words before the cursor make the command, and what may follow it.
void add_cases(const CLI::App& command, const std::string& path, std::string& steps,
               std::string& follows) {
  follows += fmt::format("    \"{}\") words=\"{}\" ;;\n", path, words(command));
  for (const CLI::App* sub : commands_below(command)) {
    const std::string deeper = path.empty() ? sub->get_name() : path + ' ' + sub->get_name();
    steps += fmt::format("      \"{} {}\") command=\"{}\" ;;\n", path, sub->get_name(), deeper);
    add_cases(*sub, deeper, steps, follows);
  }
}

void collect_valued(const CLI::App& command, std::string& directories, std::string& files,
                    std::string& others) {
  for (const CLI::Option* option : options_of(command)) {
    if (option->get_items_expected_max() == 0) continue;
    for (const std::string& name : option->get_lnames()) {
      if (name == "config") continue;
      std::string& kind = name == "dir" ? directories : name.ends_with("-file") ? files : others;
      if (("|" + kind + "|").find("|--" + name + "|") != std::string::npos) continue;
      kind += (kind.empty() ? "--" : "|--") + name;
    }
  }
  for (const CLI::App* sub : commands_below(command))
    collect_valued(*sub, directories, files, others);
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::string steps;
  std::string follows;
  add_cases(app, "", steps, follows);
  std::string directories;
  std::string files;
  std::string others;
  collect_valued(app, directories, files, others);
  const auto values = [](const std::string& names, std::string_view what) {
    return names.empty() ? std::string() : fmt::format("    {}) {}; return ;;\n", names, what);
  };
  return "# bash completion of tallygate(1), made from its commands\n"
         "_tallygate() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local command=\"\" words=\"\" word\n"
         "  COMPREPLY=()\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \"$command $word\" in\n" +
         steps +
         "    esac\n"
         "  done\n"
         "  case \"$prev\" in\n"
         "    --config) compopt -o filenames 2>/dev/null\n"
         "      mapfile -t COMPREPLY < <(compgen -f -X '!*.toml' -- \"$cur\"; compgen -d -- "
         "\"$cur\")\n"
         "      return ;;\n" +
         values(directories,
                "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "
                "\"$cur\")") +
         values(files,
                "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "
                "\"$cur\")") +
         values(others, ":") +
         "  esac\n"
         "  case \"$command\" in\n" +
         follows +
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
         "}\n"
         "complete -F _tallygate tallygate\n";
}

}  // namespace tallygate::manual
