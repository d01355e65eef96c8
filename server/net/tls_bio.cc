#include "server/net/tls_bio.h"

#include <sys/socket.h>

#include <cerrno>
#include <memory>

namespace tallygate::net {
namespace {

struct Ends {
  int socket;
  TlsBuffers& buffers;
  bool at_end = false;  // the peer has closed
};

Ends& ends(BIO* bio) {
  return *static_cast<Ends*>(BIO_get_data(bio));
}

int read_bio(BIO* bio, char* into, std::size_t bytes, std::size_t* read) {
  BIO_clear_retry_flags(bio);
  *read = 0;
  if (!ends(bio).buffers.may_receive()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  for (;;) {
    const ssize_t n = ::recv(ends(bio).socket, into, bytes, MSG_DONTWAIT);
    if (n > 0) {
      *read = static_cast<std::size_t>(n);
      ends(bio).buffers.received(*read);
      return 1;
    }
    if (n == 0) {
      ends(bio).at_end = true;
      return 0;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) BIO_set_retry_read(bio);
    return -1;
  }
}

int write_bio(BIO* bio, const char* from, std::size_t bytes, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  *written = 0;
  if (!ends(bio).buffers.append_cipher({from, bytes})) return -1;
  *written = bytes;
  return 1;
}

long control_bio(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return ends(bio).at_end ? 1 : 0;
    default:
      return 0;  // among them: no kernel TLS here
  }
}

int destroy_bio(BIO* bio) {
  std::unique_ptr<Ends>(static_cast<Ends*>(BIO_get_data(bio))).reset();
  BIO_set_data(bio, nullptr);
  return 1;
}

BIO_METHOD* make_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tallygate tls");
  if (method == nullptr) return nullptr;
  BIO_meth_set_read_ex(method, read_bio);
  BIO_meth_set_write_ex(method, write_bio);
  BIO_meth_set_ctrl(method, control_bio);
  BIO_meth_set_destroy(method, destroy_bio);
  return method;
}

}  // namespace

Bio make_tls_bio(int socket, TlsBuffers& buffers) {
  static BIO_METHOD* const method = make_method();  // for the life of the process
  if (method == nullptr) return nullptr;
  Bio bio(BIO_new(method));
  if (!bio) return nullptr;
  BIO_set_data(bio.get(), std::make_unique<Ends>(Ends{socket, buffers}).release());
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace tallygate::net
