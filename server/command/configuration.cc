#include "server/command/configuration.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/config/form.h"
#include "core/config/parse.h"
#include "core/link/keyring_file.h"
#include "server/content/root.h"
#include "server/net/clock.h"
#include "server/net/descriptor.h"
#include "server/net/say.h"

namespace tallygate::command {
namespace {

// Settings and keyrings are written by hand; a larger file is the wrong file.
constexpr std::size_t kFileBytesMax = 16 << 20;

Result<std::string> read_all(int fd) {
  std::string text;
  char block[16384];
  for (;;) {
    const ssize_t n = ::read(fd, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error();
    if (n == 0) return text;
    text.append(block, static_cast<std::size_t>(n));
    if (text.size() > kFileBytesMax) return make_error_code(boost::system::errc::file_too_large);
  }
}

std::shared_ptr<const link::Keyring> load_keyring(const std::string& path,
                                                  std::vector<std::string>& mistakes) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    mistakes.push_back(
        fmt::format("{}: the keyring cannot be read: {}", path, last_error().message()));
    return nullptr;
  }
  if (const auto wrong = link::find_keyring_mode_error(status.st_mode)) {
    mistakes.push_back(path + ": " + *wrong);
    return nullptr;
  }
  auto text = read_all(fd.get());
  if (!text) {
    mistakes.push_back(
        fmt::format("{}: the keyring cannot be read: {}", path, text.error().message()));
    return nullptr;
  }
  auto keyring = link::parse_keyring(*text);
  OPENSSL_cleanse(text->data(), text->size());
  if (!keyring) {
    for (const link::KeyringMistake& m : keyring.error()) {
      mistakes.push_back(m.line == 0 ? fmt::format("{}: {}", path, m.message)
                                     : fmt::format("{}:{}: {}", path, m.line, m.message));
    }
    return nullptr;
  }
  return std::make_shared<const link::Keyring>(std::move(*keyring));
}

// Puts files in place of credentials. One that is not there is a mistake, and then the setting is
// empty.
void find_secret_files(config::Settings& settings, const std::string& file, Purpose purpose,
                       std::vector<std::string>& mistakes) {
  const auto find = [&](std::string_view name, std::string& text) {
    auto found = find_secret_file(name, text);
    if (!found) mistakes.push_back(fmt::format("{}: {}", file, found.error().front()));
    text = found ? std::move(*found) : std::string();
    return found.has_value();
  };
  find("links.keyring", settings.links.keyring);
  if (purpose != Purpose::serving) return;
  find("shop.password_file", settings.shop.password_file);
  find("admin.token_file", settings.admin.token_file);
  auto& tls = settings.tls;
  bool found = find("tls.certificate", tls.certificate) & find("tls.key", tls.key);
  for (config::TlsSite& site : tls.sites) {
    found = find("tls.site", site.certificate) & find("tls.site", site.key) & found;
  }
  if (!found) tls.certificate.clear();  // nothing is to be looked for in the others
}

// The one line of a file that others must not be able to read. `what` it is, for the error.
Result<std::string, std::vector<std::string>> read_secret_line(const std::string& path,
                                                               std::string_view what) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    return std::vector{
        fmt::format("{}: {} cannot be read: {}", path, what, last_error().message())};
  }
  if ((status.st_mode & 0007U) != 0) {
    return std::vector{fmt::format("{}: others have access to it (mode {:04o}): chmod o-rwx", path,
                                   status.st_mode & 07777U)};
  }
  auto text = read_all(fd.get());
  if (!text) {
    return std::vector{
        fmt::format("{}: {} cannot be read: {}", path, what, text.error().message())};
  }
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  if (text->empty() || text->find_first_of(std::string_view("\0\n", 2)) != std::string::npos) {
    return std::vector{fmt::format("{}: is not {}: it must be one line", path, what)};
  }
  return std::move(*text);
}

// Against guessing, and for a field value of HTTP (RFC 9110, 5.5).
Result<std::string, std::vector<std::string>> read_admin_token(const std::string& path) {
  constexpr std::size_t kTokenBytesMin = 16;
  constexpr std::size_t kTokenBytesMax = 1024;
  auto token = read_secret_line(path, "the admin interface's token");
  if (!token) return token;
  const bool plain =
      std::all_of(token->begin(), token->end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain || token->size() < kTokenBytesMin || token->size() > kTokenBytesMax) {
    return std::vector{
        fmt::format("{}: a token is {} to {} bytes of printable ASCII without spaces; "
                    "`openssl rand -hex 32` makes one",
                    path, kTokenBytesMin, kTokenBytesMax)};
  }
  return token;
}

}  // namespace

Result<std::string, std::vector<std::string>> find_secret_file(std::string_view setting,
                                                               const std::string& text) {
  if (!text.starts_with(config::kCredentialPrefix)) return std::string(text);
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");  // systemd.exec(5)
  if (directory == nullptr) {
    return std::vector{fmt::format(
        "{}: {}: there are no credentials, which only a unit of systemd with LoadCredential= has",
        setting, text)};
  }
  return fmt::format("{}/{}", directory, text.substr(config::kCredentialPrefix.size()));
}

Result<std::string, std::vector<std::string>> read_shop_password(const config::Settings& settings) {
  if (settings.shop.password_file.empty()) return std::string();
  const auto path = find_secret_file("shop.password_file", settings.shop.password_file);
  if (!path) return path.error();
  return read_secret_line(*path, "the password of the shop's database");
}

Result<std::string, std::vector<std::string>> read_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return std::vector{path + ": " + last_error().message()};
  auto text = read_all(fd.get());
  if (!text) return std::vector{path + ": " + text.error().message()};
  return std::move(*text);
}

Result<std::string, std::vector<std::string>> read_admin_socket(const std::string& file) {
  const auto text = read_file(file);
  if (!text) return text.error();
  config::Parsed parsed = config::parse_settings(*text, file);
  if (parsed.mistakes.empty()) return std::move(parsed.settings.admin.socket);
  std::vector<std::string> mistakes;
  for (const config::Mistake& m : parsed.mistakes) mistakes.push_back(m.text());
  return mistakes;
}

Result<Configuration, std::vector<std::string>> load_configuration(const std::string& file,
                                                                   Purpose purpose) {
  const auto text = read_file(file);
  if (!text) return text.error();
  config::Parsed parsed = config::parse_settings(*text, file);
  std::vector<std::string> mistakes;
  for (const config::Mistake& m : parsed.mistakes) mistakes.push_back(m.text());
  Configuration configuration;
  configuration.file = file;
  configuration.settings = std::move(parsed.settings);
  find_secret_files(configuration.settings, file, purpose, mistakes);
  const config::Settings& settings = configuration.settings;
  if (!settings.content.root.empty()) {
    const auto root = content::ContentRoot::open(settings.content.root);
    if (!root) mistakes.push_back(file + ": " + root.error());
  }
  if (!settings.links.keyring.empty()) {
    configuration.keyring = load_keyring(settings.links.keyring, mistakes);
  }
  if (purpose == Purpose::serving) {
    auto password = read_shop_password(settings);
    if (password) {
      configuration.shop_password = std::move(*password);
    } else {
      for (const std::string& line : password.error()) mistakes.push_back(line);
    }
  }
  if (!settings.admin.token_file.empty() && purpose == Purpose::serving) {
    auto token = read_admin_token(settings.admin.token_file);
    if (token) {
      configuration.admin_token = std::move(*token);
    } else {
      for (const std::string& line : token.error()) mistakes.push_back(line);
    }
  }
  if (settings.tls.is_on() && purpose == Purpose::serving) {
    auto certificates = net::load_certificates(settings.tls);
    if (certificates) {
      configuration.warnings = net::find_doubtful(*certificates, system_clock().unix_now());
      configuration.certificates =
          std::make_shared<const net::TlsCertificates>(std::move(*certificates));
    } else {
      for (const std::string& line : certificates.error()) mistakes.push_back(line);
    }
  }
  if (!mistakes.empty()) return mistakes;
  return configuration;
}

void print_mistakes(const std::vector<std::string>& mistakes) {
  for (const std::string& line : mistakes) say_of_file(Severity::error, line);
}

}  // namespace tallygate::command
