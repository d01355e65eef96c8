// Any bytes at all where a header of the PROXY protocol is demanded: nothing crashes, and what is
// made of them does not depend on how many come at a time.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/net/proxy_protocol.h"

namespace tallygate::net {
namespace {

#define REQUIRE(holds)                                                         \
  do {                                                                         \
    if (!(holds)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #holds); \
      std::abort();                                                            \
    }                                                                          \
  } while (false)

using State = ProxyHeader::State;

void check(std::string_view bytes) {
  const ProxyHeader whole = parse_proxy_header(bytes);
  State last = State::incomplete;
  for (std::size_t size = 0; size <= bytes.size() && size <= kProxyHeaderBytesMax + 1; ++size) {
    const ProxyHeader header = parse_proxy_header(bytes.substr(0, size));
    if (last == State::malformed) REQUIRE(header.state == State::malformed);
    last = header.state;
    if (header.state != State::complete) {
      REQUIRE(!header.source && header.bytes == 0);
      continue;
    }
    // It is complete with its last byte and not before, and what follows changes nothing.
    REQUIRE(header.bytes == size && size <= kProxyHeaderBytesMax);
    REQUIRE(whole.state == State::complete);
    REQUIRE(whole.bytes == header.bytes && whole.source == header.source);
    return;
  }
  REQUIRE(whole.state == last);
  if (bytes.size() >= kProxyHeaderBytesMax) REQUIRE(last == State::malformed);
}

}  // namespace
}  // namespace tallygate::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tallygate::net::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
