#include "server/admin/client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <memory>
#include <utility>

namespace tallygate::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using Local = asio::local::stream_protocol;

constexpr std::chrono::seconds kTimeout{10};

// Held by what is under way; asynchronous for the sake of the deadline, which Beast keeps for us.
class Asking : public std::enable_shared_from_this<Asking> {
 public:
  Asking(asio::io_context& context, std::string socket_path, std::function<void(ClientResult)> done)
      : stream_(context), socket_path_(std::move(socket_path)), done_(std::move(done)) {}

  void begin(std::string_view method, const std::string& target, const std::string& body) {
    request_.method_string({method.data(), method.size()});
    request_.target(target);
    request_.set(beast::http::field::host, "admin");
    request_.body() = body;
    request_.prepare_payload();
    stream_.expires_after(kTimeout);
    stream_.async_connect(Local::endpoint(socket_path_),
                          [self = shared_from_this()](beast::error_code ec) {
                            if (ec) return self->end(ec);
                            self->write();
                          });
  }

 private:
  void write() {
    beast::http::async_write(stream_, request_,
                             [self = shared_from_this()](beast::error_code ec, std::size_t) {
                               if (ec) return self->end(ec);
                               self->read();
                             });
  }
  void read() {
    beast::http::async_read(
        stream_, buffer_, response_,
        [self = shared_from_this()](beast::error_code ec, std::size_t) { self->end(ec); });
  }
  void end(beast::error_code ec) {
    if (ec) {
      return done_("no answer from the server at " + socket_path_ + ": " + ec.message() +
                   " (is it running, and may you open the socket?)");
    }
    done_(ClientAnswer{response_.result_int(), std::move(response_.body())});
  }

  beast::basic_stream<Local> stream_;
  const std::string socket_path_;
  const std::function<void(ClientResult)> done_;
  beast::http::request<beast::http::string_body> request_;
  beast::flat_buffer buffer_;
  beast::http::response<beast::http::string_body> response_;
};

}  // namespace

void ask_admin(asio::io_context& context, const std::string& socket_path, std::string_view method,
               const std::string& target, const std::string& body,
               std::function<void(ClientResult)> done) {
  std::make_shared<Asking>(context, socket_path, std::move(done))->begin(method, target, body);
}

ClientResult ask_admin(const std::string& socket_path, std::string_view method,
                       const std::string& target, const std::string& body) {
  asio::io_context context{1};
  ClientResult result = std::string("no answer");
  ask_admin(context, socket_path, method, target, body,
            [&result](ClientResult answer) { result = std::move(answer); });
  context.run();
  return result;
}

}  // namespace tallygate::admin
