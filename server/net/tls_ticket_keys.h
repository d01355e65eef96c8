// The keys that session tickets are encrypted with: shared by all workers, kept over reloads of the
// certificates, made anew by themselves, never written anywhere.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <span>

#include "server/net/clock.h"
#include "server/net/tls_handles.h"

namespace tallygate::net {

// Callable from any thread; a short lock per handshake.
class TlsTicketKeys {
 public:
  // A new key encrypts after so long, and the last three decrypt: a customer who comes back the
  // same working day resumes, and whoever steals the keys from memory opens the TLS 1.2 sessions of
  // one day (those of TLS 1.3 have a key exchange of their own).
  static constexpr std::chrono::hours kRotation{8};
  static constexpr std::size_t kKept = 3;
  // For how long a ticket is good: one that was made at the end of its key's turn as well.
  static constexpr std::chrono::hours kTicketLifetime = kRotation * (kKept - 1);

  // `clock` outlives it.
  explicit TlsTicketKeys(const Clock& clock);
  ~TlsTicketKeys();  // wipes them
  TlsTicketKeys(const TlsTicketKeys&) = delete;
  TlsTicketKeys& operator=(const TlsTicketKeys&) = delete;

  using Name = std::span<unsigned char, 16>;
  using Iv = std::span<unsigned char, EVP_MAX_IV_LENGTH>;
  // As OpenSSL asks (SSL_CTX_set_tlsext_ticket_key_evp_cb): -1 failed, 0 no ticket (of ours), 1 go
  // on, 2 go on and give the client a new one.
  [[nodiscard]] int begin_encrypt(Name name, Iv iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);
  [[nodiscard]] int begin_decrypt(Name name, Iv iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);

 private:
  struct Key {
    std::array<unsigned char, 16> name;
    std::array<unsigned char, 32> cipher;
    std::array<unsigned char, 32> mac;
    std::chrono::steady_clock::time_point made_at;
  };
  [[nodiscard]] bool renew(std::chrono::steady_clock::time_point now);

  const Clock& clock_;
  const CipherMethod method_;  // fetched once: OpenSSL takes global locks to do so

  // guarded by mutex_
  std::mutex mutex_;
  std::array<Key, kKept> keys_;  // newest first
  std::size_t count_ = 0;
};

}  // namespace tallygate::net
