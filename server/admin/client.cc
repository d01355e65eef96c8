#include "server/admin/client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>

namespace tallygate::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using Local = asio::local::stream_protocol;

constexpr std::chrono::seconds kTimeout{10};

}  // namespace

Result<ClientAnswer, std::string> ask_admin(const std::string& socket_path, std::string_view method,
                                            const std::string& target, const std::string& body) {
  asio::io_context context{1};
  beast::basic_stream<Local> stream(context);
  beast::http::request<beast::http::string_body> request;
  request.method_string({method.data(), method.size()});
  request.target(target);
  request.set(beast::http::field::host, "admin");
  request.body() = body;
  request.prepare_payload();
  beast::flat_buffer buffer;
  beast::http::response<beast::http::string_body> response;
  beast::error_code result;
  // Asynchronous only for the sake of the deadline, which Beast keeps for us.
  stream.expires_after(kTimeout);
  stream.async_connect(Local::endpoint(socket_path), [&](beast::error_code ec) {
    if ((result = ec)) return;
    beast::http::async_write(stream, request, [&](beast::error_code write_ec, std::size_t) {
      if ((result = write_ec)) return;
      beast::http::async_read(stream, buffer, response,
                              [&](beast::error_code read_ec, std::size_t) { result = read_ec; });
    });
  });
  context.run();
  if (result) {
    return "no answer from the server at " + socket_path + ": " + result.message() +
           " (is it running, and may you open the socket?)";
  }
  return ClientAnswer{response.result_int(), response.body()};
}

}  // namespace tallygate::admin
