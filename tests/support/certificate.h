// Certificates for tests, signed by themselves, made on the spot: no keys in the tree.
#pragma once
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "core/config/settings.h"
#include "server/net/tls_handles.h"
#include "tests/support/temp_dir.h"

namespace tallygate {

struct CertificateOptions {
  std::vector<std::string> names;      // subjectAltName
  std::string common_name = "common";  // which nobody is to look at
  long from_seconds = -3600;           // valid, from now
  long until_seconds = 3600;
  unsigned rsa_bits = 0;        // 0: P-256
  std::string passphrase = {};  // of the key's file
  mode_t key_mode = 0600;
};

// Writes `stem`.pem and `stem`.key into the folder.
inline config::TlsSite make_certificate(const TempDir& folder, const std::string& stem,
                                        const CertificateOptions& options) {
  const net::PrivateKey key(options.rsa_bits == 0 ? EVP_EC_gen("P-256")
                                                  : EVP_RSA_gen(options.rsa_bits));
  const net::Certificate certificate(X509_new());
  X509* const x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), options.from_seconds);
  X509_gmtime_adj(X509_getm_notAfter(x509), options.until_seconds);
  X509_set_pubkey(x509, key.get());
  X509_NAME* const subject = X509_get_subject_name(x509);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(options.common_name.c_str()),
                             -1, -1, 0);
  X509_set_issuer_name(x509, subject);
  if (!options.names.empty()) {
    std::string names;
    for (const auto& name : options.names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(x509, key.get(), EVP_sha256());

  const config::TlsSite site{(folder / (stem + ".pem")).string(),
                             (folder / (stem + ".key")).string()};
  const net::Bio pem(BIO_new_file(site.certificate.c_str(), "w"));
  PEM_write_bio_X509(pem.get(), x509);
  const net::Bio key_pem(BIO_new_file(site.key.c_str(), "w"));
  const bool is_plain = options.passphrase.empty();
  PEM_write_bio_PrivateKey(
      key_pem.get(), key.get(), is_plain ? nullptr : EVP_aes_128_cbc(),
      is_plain ? nullptr : reinterpret_cast<const unsigned char*>(options.passphrase.data()),
      static_cast<int>(options.passphrase.size()), nullptr, nullptr);
  ::chmod(site.key.c_str(), options.key_mode);
  return site;
}

}  // namespace tallygate
