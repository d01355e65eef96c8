// How OpenSSL reaches the socket of a TLS session: reads go straight to recv(), what is written is
// gathered in the worker's buffers, so that one send() carries many records.
//
// Writing never asks to be tried again; without room it fails, which ends the connection. Kernel
// TLS cannot engage through it: for that, OpenSSL must have a plain socket BIO to write to while
// the handshake runs.
#pragma once
#include "server/net/tls_buffers.h"
#include "server/net/tls_handles.h"

namespace tallygate::net {

// Borrows both; `buffers` is the worker's. Null: out of memory.
[[nodiscard]] Bio make_tls_bio(int socket, TlsBuffers& buffers);

}  // namespace tallygate::net
