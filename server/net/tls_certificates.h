// The certificates and private keys of all sites, as the settings name them: read, checked, and
// ready to be put into contexts.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/settings.h"
#include "server/net/tls_handles.h"

namespace tallygate::net {

struct TlsSite {
  std::string file;  // of the certificate, for messages
  Certificate leaf;
  std::vector<Certificate> chain;  // the issuers that are sent along, from the leaf upwards
  PrivateKey key;
  // DNS names of the certificate (subjectAltName; the common name does not count), in lower case;
  // "*.shop.example" stands for one label more.
  std::vector<std::string> names;
};

// Values, for any thread as long as nobody changes them.
struct TlsCertificates {
  std::vector<TlsSite> sites;  // the first is the default, for names that no other has
};

// Reads the files of [tls] and of each [[tls.site]]. Otherwise every mistake, each a line for the
// operator that begins with the file: unreadable, not PEM, a key that others can read or that has a
// passphrase or belongs to another certificate, a key too weak for OpenSSL, a site without names.
// Key texts are wiped. Reads files; for the start and for a reload.
[[nodiscard]] Result<TlsCertificates, std::vector<std::string>> load_certificates(
    const config::Settings::Tls& settings);

// What is no mistake and yet should be known: certificates that have expired or are not valid yet,
// names that two of them have. Lines, as above.
[[nodiscard]] std::vector<std::string> find_doubtful(const TlsCertificates& certificates,
                                                     std::int64_t unix_now);

}  // namespace tallygate::net
