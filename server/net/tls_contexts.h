// The TLS context of a worker: certificates by server name, protocol versions, ciphers, tickets.
#pragma once
#include <memory>
#include <string>

#include "core/base/result.h"
#include "server/net/tls_certificates.h"
#include "server/net/tls_handles.h"
#include "server/net/tls_ticket_keys.h"

namespace tallygate::net {

// Complete for one worker: OpenSSL 3.0 locks badly across threads, so each has contexts, and copies
// of the certificates and keys, of its own. A client that asks for a name (SNI) which a site has,
// exactly or by wildcard, gets that site's certificate, any other one the default's, without an
// alert.
//
// TLS 1.2 with ECDHE and AEAD only, and 1.3; ALPN is http/1.1, where a client offers it at all; no
// renegotiation, no compression, no early data (a replayed GET would count as a copy), no OCSP
// response (the largest authorities have none any more). Sessions are resumed by ticket.
//
// For a reload make a new one and put it in the old one's place: sessions keep theirs alive, and
// with the same `tickets` they can be resumed. `certificates` is read during the call, from one
// thread at a time. The error is for the operator.
[[nodiscard]] Result<SslContext, std::string> make_tls_context(
    const TlsCertificates& certificates, const std::shared_ptr<TlsTicketKeys>& tickets);

}  // namespace tallygate::net
