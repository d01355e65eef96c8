#include "server/net/tls_certificates.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "core/link/keyring_file.h"
#include "server/net/descriptor.h"

namespace tallygate::net {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;  // a chain has a few KiB

// OpenSSL's reason for what has just failed, without its file names and numbers.
std::string openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  const std::string text = reason == nullptr ? "no reason given" : reason;
  ERR_clear_error();
  return text;
}

// The text of a PEM file, wiped when it goes.
class PemText {
 public:
  PemText() = default;
  PemText(PemText&& other) noexcept : text_(std::exchange(other.text_, {})) {}
  PemText& operator=(PemText&&) = delete;
  PemText(const PemText&) = delete;
  PemText& operator=(const PemText&) = delete;
  ~PemText() { OPENSSL_cleanse(text_.data(), text_.size()); }

  // Of the whole size at once, so that no copies of it are left behind by a growing buffer.
  [[nodiscard]] static Result<PemText> read(int fd, std::size_t size) {
    PemText pem;
    pem.text_.resize(size);
    std::size_t got = 0;
    while (got < size) {
      const ssize_t n = ::read(fd, pem.text_.data() + got, size - got);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return last_error();
      if (n == 0) break;
      got += static_cast<std::size_t>(n);
    }
    pem.text_.resize(got);
    return pem;
  }
  // Borrows the text.
  [[nodiscard]] Bio open() const {
    return Bio(BIO_new_mem_buf(text_.data(), static_cast<int>(text_.size())));
  }

 private:
  std::string text_;
};

// One site's two files; what is wrong with them goes to `mistakes`.
class Loader {
 public:
  explicit Loader(std::vector<std::string>& mistakes) : mistakes_(mistakes) {}

  std::optional<TlsSite> load(const std::string& certificate, const std::string& key) {
    const std::size_t before = mistakes_.size();
    TlsSite site;
    site.file = certificate;
    load_chain(site);
    load_key(site, key);
    if (mistakes_.size() == before) check_pair(site, key);
    if (mistakes_.size() != before) return std::nullopt;
    return site;
  }

 private:
  void complain(const std::string& file, std::string_view what) {
    mistakes_.push_back(fmt::format("{}: {}", file, what));
  }

  std::optional<PemText> read(const std::string& file, bool is_secret) {
    const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
      complain(file, "cannot be read: " + last_error().message());
      return std::nullopt;
    }
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) > kFileBytesMax) {
      complain(file, "is not a PEM file");
      return std::nullopt;
    }
    if (is_secret) {
      if (const auto wrong = link::find_keyring_mode_error(status.st_mode)) {
        complain(file, *wrong);
        return std::nullopt;
      }
    }
    auto text = PemText::read(fd.get(), static_cast<std::size_t>(status.st_size));
    if (!text) {
      complain(file, "cannot be read: " + text.error().message());
      return std::nullopt;
    }
    return std::move(*text);
  }

  void load_chain(TlsSite& site) {
    const auto text = read(site.file, false);
    if (!text) return;
    const Bio bio = text->open();
    ERR_clear_error();
    site.leaf.reset(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
    if (!site.leaf) return complain(site.file, "has no certificate in PEM: " + openssl_reason());
    while (X509* issuer = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
      site.chain.emplace_back(issuer);
    }
    // The end of the file is an error as well.
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
      complain(site.file, fmt::format("its certificate {} cannot be read: {}",
                                      site.chain.size() + 2, openssl_reason()));
    }
    ERR_clear_error();
    site.names = names_of(site.leaf.get());
  }

  void load_key(TlsSite& site, const std::string& file) {
    const auto text = read(file, true);
    if (!text) return;
    const Bio bio = text->open();
    bool wants_passphrase = false;
    const auto no_passphrase = [](char*, int, int, void* wants) {
      *static_cast<bool*>(wants) = true;
      return -1;
    };
    ERR_clear_error();
    site.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, &wants_passphrase));
    if (site.key) return;
    complain(file, wants_passphrase
                       ? "is protected by a passphrase, which nobody could type at a start: "
                         "store it without"
                       : "has no private key in PEM: " + openssl_reason());
    ERR_clear_error();
  }

  // Whether they belong together, and OpenSSL takes them under the system's policy.
  void check_pair(TlsSite& site, const std::string& key) {
    ERR_clear_error();
    if (X509_check_private_key(site.leaf.get(), site.key.get()) != 1) {
      ERR_clear_error();
      return complain(key, "is not the key of the certificate in " + site.file);
    }
    const SslContext trial(SSL_CTX_new(TLS_server_method()));
    if (!trial || SSL_CTX_use_certificate(trial.get(), site.leaf.get()) != 1 ||
        SSL_CTX_use_PrivateKey(trial.get(), site.key.get()) != 1) {
      complain(site.file, "cannot be used: " + openssl_reason());
    }
  }

  static std::vector<std::string> names_of(X509* certificate) {
    const std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>> all(
        static_cast<GENERAL_NAMES*>(
            X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    std::vector<std::string> names;
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
      if (name->type != GEN_DNS) continue;
      const ASN1_IA5STRING* text = name->d.dNSName;
      std::string dns(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<std::size_t>(ASN1_STRING_length(text)));
      std::transform(dns.begin(), dns.end(), dns.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
      names.push_back(std::move(dns));
    }
    return names;
  }

  std::vector<std::string>& mistakes_;
};

std::string shown_day(const ASN1_TIME* time) {
  std::tm day{};
  if (ASN1_TIME_to_tm(time, &day) != 1) return "a date that is none";
  return fmt::format("{:04}-{:02}-{:02}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
}

}  // namespace

Result<TlsCertificates, std::vector<std::string>> load_certificates(
    const config::Settings::Tls& settings) {
  std::vector<std::string> mistakes;
  TlsCertificates certificates;
  Loader loader(mistakes);
  if (auto site = loader.load(settings.certificate, settings.key)) {
    certificates.sites.push_back(std::move(*site));
  }
  for (const config::TlsSite& each : settings.sites) {
    auto site = loader.load(each.certificate, each.key);
    if (!site) continue;
    if (site->names.empty()) {
      mistakes.push_back(each.certificate +
                         ": has no DNS name (subjectAltName), so that no client would get it");
    }
    certificates.sites.push_back(std::move(*site));
  }
  if (!mistakes.empty()) return mistakes;
  return certificates;
}

std::vector<std::string> find_doubtful(const TlsCertificates& certificates, std::int64_t unix_now) {
  std::vector<std::string> lines;
  std::map<std::string_view, std::string_view> seen;  // name, file
  for (const TlsSite& site : certificates.sites) {
    auto now = static_cast<std::time_t>(unix_now);
    const ASN1_TIME* not_before = X509_get0_notBefore(site.leaf.get());
    const ASN1_TIME* not_after = X509_get0_notAfter(site.leaf.get());
    if (X509_cmp_time(not_after, &now) < 0) {
      lines.push_back(fmt::format("{}: the certificate expired on {}; browsers refuse it",
                                  site.file, shown_day(not_after)));
    } else if (X509_cmp_time(not_before, &now) > 0) {
      lines.push_back(fmt::format("{}: the certificate is valid only from {}; browsers refuse it",
                                  site.file, shown_day(not_before)));
    }
    for (const std::string& name : site.names) {
      const auto [first, is_new] = seen.insert({name, site.file});
      if (!is_new && first->second != site.file) {
        lines.push_back(fmt::format("{}: {} is a name of {} too, which is used for it", site.file,
                                    name, first->second));
      }
    }
  }
  return lines;
}

}  // namespace tallygate::net
