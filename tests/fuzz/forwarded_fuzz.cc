// Any bytes at all in the fields that proxies write: nothing crashes, and whatever a client sends,
// it is whom the proxy says that it is.
//
// Each line of an input is a line of the field.
#include <string>
#include <string_view>
#include <vector>

#include "core/http/forwarded.h"
#include "tests/fuzz/target.h"

namespace tallygate::http {
namespace {

using link::IpAddress;
using link::IpBlock;

// Whom `lines` say to be the client of a request from `peer`.
IpAddress client_of(ForwardedField field, const std::vector<std::string>& lines,
                    std::string_view peer) {
  static const std::vector<IpBlock> trusted{*IpBlock::parse("10.0.0.0/8"),
                                            *IpBlock::parse("2001:db8:1::/48")};
  const std::string_view name =
      field == ForwardedField::forwarded ? "Forwarded" : "X-Forwarded-For";
  std::string received;
  for (const std::string& line : lines) received += std::string(name) + ":" + line + "\n";
  RequestHead head;
  head.start(received, "GET", "/", 11);
  std::size_t at = 0;
  for (const std::string& line : lines) {
    const std::string_view all(received);
    head.add(all.substr(at, name.size()), all.substr(at + name.size() + 1, line.size()));
    at += name.size() + line.size() + 2;
  }
  return find_client(head, *IpAddress::parse(peer), {trusted, field});
}

void check(std::string_view bytes) {
  std::vector<std::string> lines(1);
  for (const char c : bytes) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  // As a parser has them: without white space at the ends, so that no line looks folded.
  for (std::string& line : lines) line = trim(line);
  if (lines.size() > kFieldsMax - 1) return;
  const IpAddress client = *IpAddress::parse("203.0.113.9");
  for (const ForwardedField field : {ForwardedField::x_forwarded_for, ForwardedField::forwarded}) {
    static_cast<void>(client_of(field, lines, "10.0.0.1"));
    REQUIRE(client_of(field, lines, "203.0.113.9") == client);
    const bool is_forwarded = field == ForwardedField::forwarded;
    for (const std::string_view own :
         is_forwarded
             ? std::vector<std::string_view>{"for=203.0.113.9", "by=x;for=\"203.0.113.9:1\"",
                                             "for=203.0.113.9;host=\"a,\\\"b\\\\\""}
             : std::vector<std::string_view>{"203.0.113.9", "203.0.113.9:4711"}) {
      auto appended = lines;
      appended.back() += "," + std::string(own);
      REQUIRE(client_of(field, appended, "10.0.0.1") == client);
      appended = lines;
      appended.emplace_back(own);
      REQUIRE(client_of(field, appended, "10.0.0.1") == client);
      appended.emplace_back(is_forwarded ? "for=10.0.0.2" : "10.0.0.2");
      REQUIRE(client_of(field, appended, "2001:db8:1::1") == client ||
              lines.size() + 2 > kFieldsMax);
    }
  }
}

}  // namespace

TALLYGATE_FUZZ(forwarded) {
  check(input);
}

}  // namespace tallygate::http
