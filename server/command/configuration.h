// Reads the settings, the keyring and the certificates from their files, and checks what only the
// machine knows.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "core/link/keyring.h"
#include "server/net/tls_certificates.h"

namespace tallygate::command {

struct Configuration {
  std::string file;           // that it was read from
  config::Settings settings;  // with the files of credentials in place of their names
  std::shared_ptr<const link::Keyring> keyring;
  std::shared_ptr<const net::TlsCertificates> certificates;  // null: no TLS, or for signing
  std::string shop_password;                                 // empty: none
  std::string admin_token;                                   // empty: none
  std::vector<std::string> warnings;  // lines for standard error: to be known, and no mistake
};

// Who signs links has no need of the certificates' keys, and may not be allowed to read them.
enum class Purpose : std::uint8_t { serving, signing };

// Every mistake at once, each a line for standard error ("file:line: message"). Nothing is changed
// on disk, and no port is opened.
[[nodiscard]] Result<Configuration, std::vector<std::string>> load_configuration(
    const std::string& file, Purpose purpose);

// The file that a setting names, which may be a credential of systemd ("credential:NAME"). The
// error is a line for standard error: there are no credentials.
[[nodiscard]] Result<std::string, std::vector<std::string>> find_secret_file(
    std::string_view setting, const std::string& text);

// What shop.password_file names, without the newline at its end; empty: the setting is. Refused if
// others could read it. The error is a line for standard error.
[[nodiscard]] Result<std::string, std::vector<std::string>> read_shop_password(
    const config::Settings& settings);

// Where the running server's admin socket is, from the settings alone: no keyring is needed to ask
// it. The error is every mistake in them.
[[nodiscard]] Result<std::string, std::vector<std::string>> read_admin_socket(
    const std::string& file);

// The bytes of a small file. The error is its name and why.
[[nodiscard]] Result<std::string, std::vector<std::string>> read_file(const std::string& path);

// Prints the lines to standard error.
void print_mistakes(const std::vector<std::string>& mistakes);

}  // namespace tallygate::command
