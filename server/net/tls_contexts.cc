#include "server/net/tls_contexts.h"

#include <openssl/err.h>

#include <chrono>
#include <functional>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace tallygate::net {
namespace {

constexpr std::string_view kProtocol = "http/1.1";
constexpr unsigned char kSessionContext[] = "tallygate";

// AES-128 is ahead of ChaCha20 wherever the processor has AES; a client that prefers ChaCha20 has
// none, and gets it.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256";

// What the callbacks of a context need; goes with the context, which may outlive its worker's
// interest in it.
struct Behind {
  std::shared_ptr<TlsTicketKeys> tickets;
  std::vector<SslContext> sites;                         // without the default; of the default
  std::map<std::string, SSL_CTX*, std::less<>> by_name;  // null: the default
};

void free_behind(void* /*context*/, void* behind, CRYPTO_EX_DATA* /*all*/, int /*index*/,
                 long /*number*/, void* /*pointer*/) {
  std::unique_ptr<Behind>(static_cast<Behind*>(behind)).reset();
}

int behind_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_behind);
  return index;
}

Behind& behind(const SSL_CTX* context) {
  return *static_cast<Behind*>(SSL_CTX_get_ex_data(context, behind_index()));
}

// nullptr: the default.
SSL_CTX* find_site(const Behind& sites, std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (const auto exact = sites.by_name.find(name); exact != sites.by_name.end()) {
    return exact->second;
  }
  const auto dot = name.find('.');
  if (dot == std::string::npos || dot == 0) return nullptr;
  const auto wildcard = sites.by_name.find("*" + name.substr(dot));
  return wildcard == sites.by_name.end() ? nullptr : wildcard->second;
}

int on_server_name(SSL* ssl, int* /*alert*/, void* sites) noexcept {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_CTX* const site = find_site(*static_cast<const Behind*>(sites), name);
  if (site != nullptr && SSL_set_SSL_CTX(ssl, site) == nullptr) return SSL_TLSEXT_ERR_ALERT_FATAL;
  return SSL_TLSEXT_ERR_OK;
}

// RFC 7301 §3.2: a client that offers protocols, none of them ours, is told so and goes.
int on_protocols(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_bytes,
                 const unsigned char* offered, unsigned int bytes, void* /*argument*/) {
  std::string_view rest(reinterpret_cast<const char*>(offered), bytes);
  while (!rest.empty()) {
    const auto size = static_cast<unsigned char>(rest.front());
    const auto protocol = rest.substr(1, size);
    if (protocol == kProtocol) {
      *chosen = reinterpret_cast<const unsigned char*>(protocol.data());
      *chosen_bytes = size;
      return SSL_TLSEXT_ERR_OK;
    }
    rest.remove_prefix(1 + protocol.size());
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
              EVP_MAC_CTX* mac, int encrypt) {
  TlsTicketKeys& keys = *behind(SSL_get_SSL_CTX(ssl)).tickets;
  const TlsTicketKeys::Name name_bytes(name, TlsTicketKeys::Name::extent);
  const TlsTicketKeys::Iv iv_bytes(iv, TlsTicketKeys::Iv::extent);
  if (encrypt == 1) return keys.begin_encrypt(name_bytes, iv_bytes, cipher, mac);
  const int outcome = keys.begin_decrypt(name_bytes, iv_bytes, cipher, mac);
  // With TLS 1.3 a ticket is good for one connection (RFC 8446 §C.4): each gets one for the next.
  return outcome == 1 && SSL_version(ssl) >= TLS1_3_VERSION ? 2 : outcome;
}

bool set_policy(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_ENABLE_KTLS |
                                   // Clients that have what they want just close. A body has its
                                   // length in the head, so nothing can be cut off unnoticed.
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);  // one recv() for a request, not one for its record header
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(
      context,
      std::chrono::duration_cast<std::chrono::seconds>(TlsTicketKeys::kTicketLifetime).count());
  SSL_CTX_set_alpn_select_cb(context, on_protocols, nullptr);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context, kCiphers12) == 1 &&
         SSL_CTX_set_ciphersuites(context, kCiphers13) == 1 &&
         SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
         SSL_CTX_set_num_tickets(context, 1) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1 &&
         SSL_CTX_set_recv_max_early_data(context, 0) == 1 &&
         SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1) ==
             1 &&
         SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1;
}

bool set_certificate(SSL_CTX* context, const TlsSite& site) {
  const Certificate leaf(X509_dup(site.leaf.get()));
  const PrivateKey key(EVP_PKEY_dup(site.key.get()));
  if (!leaf || !key || SSL_CTX_use_certificate(context, leaf.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return false;
  }
  for (const Certificate& each : site.chain) {
    Certificate issuer(X509_dup(each.get()));
    if (!issuer || SSL_CTX_add0_chain_cert(context, issuer.get()) != 1) return false;
    static_cast<void>(issuer.release());  // the context's now
  }
  return true;
}

SslContext make_site(const TlsSite& site, const std::shared_ptr<TlsTicketKeys>& tickets) {
  SslContext context(SSL_CTX_new(TLS_server_method()));
  if (!context || !set_policy(context.get()) || !set_certificate(context.get(), site)) {
    return nullptr;
  }
  auto state = std::make_unique<Behind>();
  state->tickets = tickets;
  if (SSL_CTX_set_ex_data(context.get(), behind_index(), state.get()) != 1) return nullptr;
  static_cast<void>(state.release());
  return context;
}

}  // namespace

Result<SslContext, std::string> make_tls_context(const TlsCertificates& certificates,
                                                 const std::shared_ptr<TlsTicketKeys>& tickets) {
  SslContext whole;
  for (const TlsSite& site : certificates.sites) {
    ERR_clear_error();
    SslContext context = make_site(site, tickets);
    if (!context) {
      const char* reason = ERR_reason_error_string(ERR_peek_last_error());
      ERR_clear_error();
      return site.file + ": no TLS context: " + (reason == nullptr ? "out of memory" : reason);
    }
    SSL_CTX* const target = whole ? context.get() : nullptr;
    if (!whole) {
      whole = std::move(context);
    } else {
      behind(whole.get()).sites.push_back(std::move(context));
    }
    for (const std::string& name : site.names) {
      behind(whole.get()).by_name.insert({name, target});  // the first to have it keeps it
    }
  }
  if (!whole) return "no certificate";
  // SSL_CTX_set_tlsext_servername_callback, whose macro has a cast of the old style.
  SSL_CTX_callback_ctrl(whole.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(on_server_name));
  SSL_CTX_set_tlsext_servername_arg(whole.get(), &behind(whole.get()));
  return whole;
}

}  // namespace tallygate::net
