// Where a MariaDB or MySQL server is, from shop.url:
//
//   mysql://user@host[:port]/database?socket=/path&ssl-mode=…&ssl-ca=…&ssl-cert=…&ssl-key=…
//
// All parts may be percent-encoded. Pure: opens nothing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tallygate::shop {

enum class TlsMode : std::uint8_t {
  disabled,
  preferred,        // encrypted if the server can; protects against nobody who is active
  required,         // encrypted, with whomever
  verify_ca,        // the certificate is signed by one of `ssl_ca`
  verify_identity,  // and made out to `host`
};

struct MariaTarget {
  std::string host = "localhost";
  std::uint16_t port = 0;  // 0: the usual one
  std::string socket{};    // path of a Unix socket; empty: the usual one, or TCP
  bool over_tcp = false;
  std::string user{};
  std::string database{};
  TlsMode tls = TlsMode::disabled;
  std::string ssl_ca{};  // PEM files; empty: none, and for verify_identity the system's own CAs
  std::string ssl_cert{};
  std::string ssl_key{};
  friend bool operator==(const MariaTarget&, const MariaTarget&) = default;
};

// What is wrong: a sentence for the operator whose subject is the URL. Repeats no part of it that
// may hold a password.
struct BadMariaUrl {
  std::string text;
};

// Without a port and a socket, `localhost` means the usual Unix socket, as everywhere with MySQL. A
// socket never leaves the machine and the library encrypts none: TLS options with one are refused,
// as is whatever the library could not enforce.
[[nodiscard]] Result<MariaTarget, BadMariaUrl> parse_maria_url(std::string_view url);

}  // namespace tallygate::shop
