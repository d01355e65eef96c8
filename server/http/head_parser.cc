#include "server/http/head_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "core/http/request_check.h"

namespace tallygate::http {
namespace {

namespace beast = boost::beast;

class Parser final : public beast::http::basic_parser<true> {
 public:
  Parser(std::string_view received, RequestHead& head) : received_(received), head_(head) {
    header_limit(static_cast<std::uint32_t>(kHeadBytesMax));
    body_limit(boost::none);
    skip(true);  // a body has no meaning for our methods; whoever reads the head drops it
  }

 private:
  using Text = beast::string_view;
  using Error = beast::error_code;
  static std::string_view view(Text text) { return {text.data(), text.size()}; }

  void on_request_impl(beast::http::verb, Text method, Text target, int version, Error&) override {
    head_.start(received_, view(method), view(target), static_cast<unsigned>(version));
  }
  void on_field_impl(beast::http::field, Text name, Text value, Error&) override {
    head_.add(view(name), view(value));
  }
  void on_response_impl(int, Text, int, Error&) override {}
  void on_header_impl(Error&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, Error&) override {}
  std::size_t on_body_impl(Text, Error&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Error&) override { return 0; }
  void on_finish_impl(Error&) override {}

  std::string_view received_;
  RequestHead& head_;
};

Status status_for(const beast::error_code& ec) {
  if (ec == beast::http::error::bad_version) return Status::version_not_supported;
  if (ec == beast::http::error::header_limit) return Status::header_fields_too_large;
  return Status::bad_request;
}

// A request line that does not end within its bound has too long a target, or is no HTTP.
Status too_long(std::string_view received) {
  const auto line = received.substr(0, received.find('\n'));
  return line.size() > kTargetBytesMax ? Status::uri_too_long : Status::header_fields_too_large;
}

}  // namespace

ParsedHead parse_head(std::string_view received, std::size_t& scanned, RequestHead& head) {
  // RFC 9112 §2.2: an empty line before the request line is ignored. One is enough for the clients
  // that had this fault.
  const std::size_t skipped = received.starts_with("\r\n") ? 2 : 0;
  const std::string_view text = received.substr(skipped);
  const std::size_t from = std::max(scanned, skipped + 3) - 3;  // the end may straddle two reads
  const std::size_t end = received.find("\r\n\r\n", from);
  scanned = received.size();
  // A first line that ends without CR is no HTTP, or garbage. Said before the parser, which takes
  // it for a wrong version, and before the rest of the head, which may never come.
  const auto line_end = text.find('\n');
  if (line_end != std::string_view::npos && (line_end == 0 || text[line_end - 1] != '\r')) {
    return {HeadState::malformed, 0, Status::bad_request};
  }
  if (end == std::string_view::npos) {
    if (received.size() >= kHeadBytesMax) {
      return {HeadState::malformed, 0, too_long(text)};
    }
    return {};
  }
  const std::size_t bytes = end + 4;
  if (bytes > kHeadBytesMax) return {HeadState::malformed, 0, too_long(text)};
  Parser parser(received, head);
  beast::error_code ec;
  const std::string_view exact = received.substr(skipped, bytes - skipped);
  parser.put(boost::asio::buffer(exact.data(), exact.size()), ec);
  if (ec) return {HeadState::malformed, 0, status_for(ec)};
  if (!parser.is_header_done()) return {HeadState::malformed, 0, Status::bad_request};
  return {HeadState::complete, bytes, Status::ok};
}

}  // namespace tallygate::http
