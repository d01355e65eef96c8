// Any bytes at all where a header of the PROXY protocol is demanded: nothing crashes, and what is
// made of them does not depend on how many come at a time.
#include <string_view>

#include "core/net/proxy_protocol.h"
#include "tests/fuzz/target.h"

namespace tallygate::net {
namespace {

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

TALLYGATE_FUZZ(proxy_protocol) {
  check(input);
}

}  // namespace tallygate::net
