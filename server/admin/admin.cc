#include "server/admin/admin.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <thread>
#include <utility>

#include "server/admin/links.h"
#include "server/http/access_log.h"
#include "server/ledger/ledger.h"
#include "server/shop/sync.h"

namespace tallygate::admin {
namespace {

namespace beast = boost::beast;
namespace json = boost::json;
using Local = asio::local::stream_protocol;
using Stream = beast::basic_stream<Local, Executor>;
using Request = beast::http::request<beast::http::string_body>;
using Response = beast::http::response<beast::http::string_body>;

constexpr std::chrono::seconds kRequestTimeout{10};
constexpr std::size_t kRequestBytesMax = 64 * 1024;
constexpr std::size_t kLinkIdBytesMax = 96;

Response respond(const Request& request, beast::http::status status, const json::object& body) {
  Response response(status, request.version());
  response.set(beast::http::field::content_type, "application/json");
  response.set(beast::http::field::cache_control, "no-store");
  response.keep_alive(request.keep_alive());
  response.body() = json::serialize(body) + "\n";
  response.prepare_payload();
  return response;
}

Response error(const Request& request, beast::http::status status, std::string_view detail) {
  return respond(request, status, {{"error", detail}});
}

// How long workers were away from their loops, all of them together: calls that took up to so many
// milliseconds, and the longest.
json::object loop_stall(const net::Workers& workers) {
  using disk::StallHistogram;
  using Milliseconds = std::chrono::duration<double, std::milli>;
  std::chrono::nanoseconds longest{0};
  json::object up_to;
  for (std::size_t bucket = 0; bucket < StallHistogram::kBuckets; ++bucket) {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      count += workers.at(i).stalls().in_bucket(bucket);
      longest = std::max(longest, workers.at(i).stalls().max());
    }
    if (count == 0) continue;
    const bool has_end = bucket + 1 < StallHistogram::kBuckets;
    const double bound = Milliseconds(StallHistogram::upper_bound(bucket)).count();
    up_to[has_end ? fmt::format("{}", bound) : "more"] = count;
  }
  return {{"longest_ms", Milliseconds(longest).count()}, {"up_to_ms", std::move(up_to)}};
}

json::object health(const net::Services& services, const net::Workers& workers, bool& failed) {
  json::object body;
  const std::string ledger = services.ledger.failure();
  failed = !ledger.empty();
  bool degraded = false;
  json::object of_ledger{{"links", services.ledger.links()}};
  if (failed) of_ledger["failure"] = ledger;
  if (const std::string warning = services.ledger.warning(); !warning.empty()) {
    degraded = true;
    of_ledger["warning"] = warning;
  }
  if (services.shop != nullptr) {
    const shop::Status status = services.shop->status();
    degraded |= !status.reachable || !status.alarm.empty() || !status.warning.empty() ||
                status.history_dropped != 0;
    const std::int64_t lag =
        status.oldest_waiting_at == 0 ? 0 : services.clock.unix_now() - status.oldest_waiting_at;
    json::object of_shop{{"engine", status.engine},
                         {"reachable", status.reachable},
                         {"events_waiting", status.events_waiting},
                         {"batches_waiting", status.batches_waiting},
                         {"copies_waiting", status.copies_waiting},
                         {"lag_seconds", std::max<std::int64_t>(lag, 0)},
                         {"last_push_at", status.last_push_at},
                         {"last_scan_at", status.last_scan_at}};
    if (status.oldest_waiting_at != 0) of_shop["oldest_waiting_at"] = status.oldest_waiting_at;
    if (!status.last_error.empty()) of_shop["last_error"] = status.last_error;
    if (!status.warning.empty()) of_shop["warning"] = status.warning;
    if (status.history_dropped != 0) of_shop["history_dropped"] = status.history_dropped;
    if (!status.alarm.empty()) of_shop["alarm"] = status.alarm;
    failed |= status.overtaken;
    if (status.parked != 0) {
      of_shop["parked"] = status.parked;
      of_shop["last_parked"] = status.last_parked;
    }
    body["shop"] = std::move(of_shop);
  }
  body["status"] = failed ? "failed" : degraded ? "degraded" : "ok";
  body["version"] = TALLYGATE_VERSION;
  body["ledger"] = std::move(of_ledger);
  body["connections"] = workers.connections();
  body["loop_stall"] = loop_stall(workers);
  body["log_lines_dropped"] = services.access_log.dropped();
  return body;
}

// An absent member changes nothing; null means "as signed".
template <class T>
bool read_member(const json::object& body, std::string_view name, std::int64_t least,
                 std::int64_t most, std::optional<std::optional<T>>& out) {
  const json::value* value = body.if_contains(name);
  if (value == nullptr) return true;
  if (value->is_null()) {
    out.emplace();
    return true;
  }
  const std::int64_t* number = value->if_int64();
  if (number == nullptr || *number < least || *number > most) return false;
  out.emplace(static_cast<T>(*number));
  return true;
}

// Empty: `edit` is what `body` asks for. Else what is wrong with it.
std::string read_edit(const std::string& text, shop::Edit& edit) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_object()) return "the body must be a JSON object";
  const json::object& body = parsed.get_object();
  const json::value* action = body.if_contains("action");
  if (action == nullptr || !action->is_string()) return "\"action\" is missing";
  const std::string_view name = action->get_string();
  if (name == "set") {
    edit.create = true;
    if (!read_member<std::int32_t>(body, "max", -1, INT32_MAX, edit.max_copies)) {
      return "\"max\" must be null, -1 (unlimited) or a number below 2^31";
    }
    if (!read_member<std::int64_t>(body, "expires", 0, INT64_MAX, edit.expires_at)) {
      return "\"expires\" must be null or unix seconds";
    }
    if (!edit.max_copies && !edit.expires_at) return "\"set\" needs \"max\" or \"expires\"";
  } else if (name == "revoke") {
    edit.create = true;
    edit.state = shop::State::revoked;
  } else if (name == "restore") {
    edit.state = shop::State::active;
  } else if (name == "reset") {
    edit.reset = true;
  } else {
    return "\"action\" must be set, revoke, restore or reset";
  }
  return {};
}

bool is_link_id(std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == ':' || c == '.';
  };
  return !id.empty() && id.size() <= kLinkIdBytesMax && std::all_of(id.begin(), id.end(), allowed);
}

}  // namespace

struct Admin::Server {
  Server(const net::Services& shared, net::Workers& all) : services(shared), workers(all) {}

  Task<> accept();
  Task<> serve(Stream stream);
  Task<Response> answer(const Request& request);
  Task<Response> answer_link(const Request& request, std::string id);

  const net::Services& services;
  net::Workers& workers;
  std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>(1);
  asio::basic_socket_acceptor<Local, Executor> acceptor{*context};
  std::thread thread;
};

Task<> Admin::Server::accept() {
  Timer pause(*context);
  for (;;) {
    asio::basic_stream_socket<Local, Executor> socket(*context);
    const auto [ec] = co_await acceptor.async_accept(socket, kAwait);
    if (ec == asio::error::operation_aborted) co_return;
    if (ec) {
      pause.expires_after(std::chrono::milliseconds(100));
      static_cast<void>(co_await pause.async_wait(kAwait));
      continue;
    }
    asio::co_spawn(*context, serve(Stream(std::move(socket))), [](const std::exception_ptr&) {});
  }
}

Task<> Admin::Server::serve(Stream stream) {
  beast::flat_buffer buffer(kRequestBytesMax);
  for (;;) {
    Request request;
    stream.expires_after(kRequestTimeout);
    const auto [read_error, read] =
        co_await beast::http::async_read(stream, buffer, request, kAwait);
    if (read_error) co_return;
    Response response = co_await answer(request);
    stream.expires_after(kRequestTimeout);
    const auto [write_error, written] = co_await beast::http::async_write(stream, response, kAwait);
    if (write_error || !response.keep_alive()) co_return;
  }
}

Task<Response> Admin::Server::answer(const Request& request) {
  const std::string_view target(request.target().data(), request.target().size());
  if (target == "/healthz" && request.method() == beast::http::verb::get) {
    bool failed = false;
    const json::object body = health(services, workers, failed);
    co_return respond(
        request, failed ? beast::http::status::service_unavailable : beast::http::status::ok, body);
  }
  constexpr std::string_view kLinks = "/v1/links/";
  if (target.starts_with(kLinks)) {
    std::string id(target.substr(kLinks.size()));
    if (!is_link_id(id)) {
      co_return error(request, beast::http::status::bad_request,
                      "a link's id is 1 to 96 of A-Z a-z 0-9 - _ : .");
    }
    Response response = co_await answer_link(request, std::move(id));
    co_return response;
  }
  co_return error(request, beast::http::status::not_found, "no such resource");
}

Task<Response> Admin::Server::answer_link(const Request& request, std::string id) {
  if (request.method() == beast::http::verb::post) {
    shop::Edit edit;
    const std::string mistake = read_edit(request.body(), edit);
    if (!mistake.empty()) co_return error(request, beast::http::status::bad_request, mistake);
    const EditAnswer edited = co_await edit_link(services, workers, id, edit);
    if (edited.outcome == EditOutcome::failed) {
      co_return error(request, beast::http::status::service_unavailable, edited.error);
    }
    if (edited.outcome == EditOutcome::no_such_link) {
      co_return error(request, beast::http::status::not_found, "no such link");
    }
  } else if (request.method() != beast::http::verb::get) {
    co_return error(request, beast::http::status::method_not_allowed, "GET or POST");
  }
  const auto link = co_await show_link(services, workers, id);
  if (!link) co_return error(request, beast::http::status::not_found, "no such link");
  co_return respond(request, beast::http::status::ok, *link);
}

Result<std::unique_ptr<Admin>, std::string> Admin::start(const net::Services& services,
                                                         net::Workers& workers) {
  const std::string& path = services.settings.admin.socket;
  const auto failed = [&](const error_code& ec) {
    return "admin.socket " + path + ": " + ec.message();
  };
  auto server = std::make_unique<Server>(services, workers);
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return "admin.socket " + path + ": the path of a socket is at most 107 bytes long";
  }
  const auto slash = path.rfind('/');
  if (slash != std::string::npos && slash != 0) ::mkdir(path.substr(0, slash).c_str(), 0755);
  const Local::endpoint endpoint(path);
  error_code ec;
  {
    // A socket that somebody answers on is in use; one that nobody does is left from a crash.
    asio::basic_stream_socket<Local, Executor> probe(*server->context);
    probe.connect(endpoint, ec);
    if (!ec) return failed(asio::error::address_in_use);
    struct stat status {};
    const bool is_socket = ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
    if (ec == asio::error::connection_refused && is_socket) ::unlink(path.c_str());
  }
  server->acceptor.open(Local(), ec);
  if (!ec) server->acceptor.bind(endpoint, ec);
  if (!ec && ::chmod(path.c_str(), 0660) != 0) ec = last_error();
  if (!ec) server->acceptor.listen(16, ec);
  if (ec) return failed(ec);
  asio::co_spawn(*server->context, server->accept(), [](const std::exception_ptr&) {});
  server->thread = std::thread([context = server->context.get()] { context->run(); });
  return std::unique_ptr<Admin>(new Admin(std::move(server)));
}

Admin::Admin(std::unique_ptr<Server> server) : server_(std::move(server)) {}

Admin::~Admin() {
  ::unlink(server_->services.settings.admin.socket.c_str());
  server_->context->stop();
  server_->thread.join();
  error_code ec;
  server_->acceptor.close(ec);
  server_->context.reset();
}

}  // namespace tallygate::admin
