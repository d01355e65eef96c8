#include "server/http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "core/http/accept.h"
#include "server/transfer/serve.h"

namespace tallygate::http {
namespace {

link::IpAddress address_of(Socket& socket) {
  error_code ec;
  const auto endpoint = socket.remote_endpoint(ec);
  if (ec) return link::IpAddress::v4({0, 0, 0, 0});
  const auto address = endpoint.address();
  return address.is_v4() ? link::IpAddress::v4(address.to_v4().to_bytes())
                         : link::IpAddress::v6(address.to_v6().to_bytes());
}

// Whether the peer has reset the connection, for when nobody reads from it.
bool is_reset(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
         info.tcpi_state == TCP_CLOSE;
}

}  // namespace

Connection::Connection(Socket socket, net::Worker& worker)
    : socket_(std::move(socket)),
      worker_(worker),
      place_(worker.enter(*this)),
      peer_(address_of(socket_)),
      stream_(socket_.native_handle()),
      last_acknowledged_at_(worker.coarse_now()),
      client_text_(shown_client(peer_, worker.services().settings.log.client_ip)) {
  error_code ec;
  socket_.native_non_blocking(true, ec);
  socket_.set_option(asio::ip::tcp::no_delay(true), ec);
}

Connection::~Connection() {
  settle();
  const std::uint64_t acknowledged = stream_.acknowledged();
  for (const auto& delivery : deliveries_) delivery->end(acknowledged);
  if (acknowledged != stream_.written()) {
    // What the ledger was told is lost must not arrive after all: the kernel drops it (RST).
    const struct ::linger at_once { 1, 0 };
    ::setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  worker_.leave(place_);
}

Task<> Connection::run(std::unique_ptr<Connection> connection) {
  for (;;) {
    const bool again = co_await connection->serve_one();
    if (!again) break;
  }
  co_await connection->linger();
}

// -- one request --------------------------------------------------------------------------------

Task<bool> Connection::serve_one() {
  RequestHead head;
  record_ = {};
  const bool has_head = co_await read_head(head);
  if (!has_head) co_return false;
  settle();  // the next request is a good moment to look

  record_.method = head.method();
  record_.version = head.version();
  record_.range = head.find("Range").value_or("");
  record_.user_agent = head.find("User-Agent").value_or("");
  record_.referer = head.find("Referer").value_or("");
  const auto checked = check_request(head);
  if (!checked) {
    keep_alive_ = false;
    CheckedRequest as_received;
    as_received.target = head.target();
    if (head.method() == "HEAD") as_received.method = Method::head;
    co_await refuse(head, as_received, http_problem(checked.error().status),
                    checked.error().reason);
    log_answer(head.target());
    co_return false;
  }
  if (!checked->keep_alive || worker_.draining()) keep_alive_ = false;
  // The head stays at the front of the buffer until it is answered, since all views are into it; a
  // body behind it is dropped first, within the time that the head had.
  const std::size_t body_in_buffer =
      std::min<std::size_t>(checked->body_bytes, received_ - head_bytes_);
  const bool dropped = co_await drop_body(checked->body_bytes - body_in_buffer);
  if (!dropped) co_return false;
  // Each wait on the way has its own deadline.
  phase_ = Phase::answering;
  deadline_ = std::chrono::steady_clock::time_point::max();
  co_await transfer::serve(*this, head, *checked);
  log_answer(head.target());
  const std::size_t consumed = head_bytes_ + body_in_buffer;
  std::memmove(buffer_.data(), buffer_.data() + consumed, received_ - consumed);
  received_ -= consumed;
  co_return keep_alive_ && !over_;
}

Task<bool> Connection::read_head(RequestHead& head) {
  const auto& timeouts = services().settings.server;
  std::size_t scanned = 0;
  enter(received_ == 0 ? Phase::idle : Phase::head,
        received_ == 0 ? timeouts.idle_timeout : timeouts.header_timeout);
  for (;;) {
    if (received_ != 0) {
      const ParsedHead parsed = parse_head({buffer_.data(), received_}, scanned, head);
      if (parsed.state == HeadState::complete) {
        started_ = std::chrono::steady_clock::now();
        head_bytes_ = parsed.bytes;
        co_return true;
      }
      if (parsed.state == HeadState::malformed) {
        co_await answer_bad_head(parsed.status, "malformed head");
        co_return false;
      }
    }
    if (phase_ == Phase::idle && worker_.draining()) co_return false;
    const std::size_t n = co_await receive(buffer_.data() + received_, buffer_.size() - received_);
    if (n == 0) {
      if (timed_out_ && received_ != 0 && !over_) {
        co_await answer_bad_head(Status::request_timeout, "the head took too long");
      }
      co_return false;
    }
    if (received_ == 0) enter(Phase::head, timeouts.header_timeout);
    received_ += n;
  }
}

// A client that is not heard to the end is told why, and the connection is closed.
Task<> Connection::answer_bad_head(Status status, std::string_view reason) {
  keep_alive_ = false;
  timed_out_ = false;
  started_ = std::chrono::steady_clock::now();
  RequestHead nothing;
  nothing.start({}, {}, {}, 11);
  const CheckedRequest as_get;
  phase_ = Phase::answering;
  co_await refuse(nothing, as_get, http_problem(status), reason);
  log_answer({});
}

Task<bool> Connection::drop_body(std::size_t bytes) {
  std::array<char, 2048> waste;
  while (bytes != 0) {
    const std::size_t n = co_await receive(waste.data(), std::min(bytes, waste.size()));
    if (n == 0) co_return false;
    bytes -= n;
  }
  co_return true;
}

// 0: the peer has closed, the deadline has passed, or the connection is over.
Task<std::size_t> Connection::receive(char* into, std::size_t bytes) {
  if (over_) co_return 0;
  const auto [ec, n] = co_await socket_.async_read_some(asio::buffer(into, bytes), kAwait);
  co_return ec ? 0 : n;
}

// -- answering ----------------------------------------------------------------------------------

Common Connection::common(const RequestHead& head) {
  Common common;
  common.date = worker_.date();
  common.cors = services().cors.grant(head.find_only("Origin"));
  common.persistence = persistence(head.version(), keep_alive_);
  return common;
}

Task<bool> Connection::send(std::string_view bytes, bool more) {
  while (!bytes.empty()) {
    if (is_over()) co_return false;
    const ssize_t n = ::send(descriptor(), bytes.data(), bytes.size(),
                             MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (n > 0) {
      stream_.wrote(static_cast<std::uint64_t>(n));
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) {
      over_ = true;
      co_return false;
    }
    const bool ready = co_await writable();
    if (!ready) co_return false;
  }
  co_return !is_over();
}

Task<bool> Connection::writable() {
  if (is_over()) co_return false;
  deadline_ = worker_.coarse_now() + services().settings.server.send_timeout;
  const auto [ec] = co_await socket_.async_wait(Socket::wait_write, kAwait);
  // Also when the deadline passed: a peer that takes nothing is gone.
  if (ec && !stopped_) over_ = true;
  deadline_ = std::chrono::steady_clock::time_point::max();
  co_return !is_over();
}

void Connection::set_pace(std::uint64_t bytes_per_second) {
  const std::uint64_t rate =
      bytes_per_second == 0 ? std::numeric_limits<std::uint64_t>::max() : bytes_per_second;
  paced_ = bytes_per_second != 0;
  // tcp(7), socket(7): paced by the kernel, without timers of ours and without an fq discipline.
  ::setsockopt(descriptor(), SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate);
}

Task<> Connection::refuse(const RequestHead& head, const CheckedRequest& request, Problem problem,
                          std::string_view reason, std::optional<std::uint64_t> file_size) {
  const bool page = prefers_html(head);
  const std::string body =
      page ? problem_page(problem, services().settings.server.contact_url) : problem_json(problem);
  const Common said = common(head);
  std::array<char, kResponseHeadBytesMax> space;
  std::string answer(write_problem(
      space, said, problem, page ? ProblemForm::page : ProblemForm::json, body.size(), file_size));
  if (request.method != Method::head) answer += body;
  record_.status = code(describe(problem).status);
  record_.reason = reason;
  record_.body_length = request.method == Method::head ? 0 : body.size();
  const bool sent = co_await send(answer, false);
  if (sent) record_.body_bytes = record_.body_length;
}

void Connection::note(const link::Grant& grant) {
  link_id_ = grant.link_id;
  record_.link_id = link_id_.view();
  record_.key_id = grant.key_id;
  record_.data = grant.data;
}

transfer::Delivery& Connection::deliver(std::unique_ptr<transfer::Delivery> delivery) {
  // Silence begins when there is something to acknowledge, not while the connection was idle.
  if (deliveries_.empty()) last_acknowledged_at_ = worker_.coarse_now();
  return *deliveries_.emplace_back(std::move(delivery));
}

void Connection::log_answer(std::string_view target) {
  AccessLog& log = services().access_log;
  if (log.is_off()) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto took = std::chrono::steady_clock::now() - started_;
  record_.duration_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  record_.unix_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  record_.client = client_text_;
  record_.target = target;
  log.write(record_);
}

// -- the end ------------------------------------------------------------------------------------

// A connection that the server ends is shut down for writing and kept until its queue is empty, the
// peer closes, or send_timeout: what is in the queue still arrives, and is counted. A peer that
// only will not send any more (a half-close) still takes.
Task<> Connection::linger() {
  if (over_ || timed_out_) co_return;
  error_code ec;
  socket_.shutdown(Socket::shutdown_send, ec);
  if (ec) co_return;
  stream_.shut_down();
  enter(Phase::lingering, services().settings.server.send_timeout);
  std::array<char, 2048> waste;
  Timer pause(worker_.executor());
  bool peer_sends = true;
  for (;;) {
    settle();
    if (over_ || timed_out_ || stream_.acknowledged() == stream_.written()) co_return;
    if (peer_sends) {
      const auto [failure, n] = co_await socket_.async_read_some(asio::buffer(waste), kAwait);
      peer_sends = failure != asio::error::eof;
      // Aborted: by the tick, when the queue is empty or the time is up.
      if (failure && peer_sends && failure != asio::error::operation_aborted) co_return;
    } else {
      pause.expires_after(net::Worker::kTick);
      static_cast<void>(co_await pause.async_wait(kAwait));
      if (is_reset(descriptor())) co_return;
    }
  }
}

// -- for its worker -----------------------------------------------------------------------------

void Connection::enter(Phase phase, std::chrono::milliseconds timeout) {
  phase_ = phase;
  deadline_ = worker_.coarse_now() + timeout;
}

void Connection::on_tick(std::chrono::steady_clock::time_point now) {
  if (over_) return;
  settle();
  const bool drained = phase_ == Phase::lingering && stream_.acknowledged() == stream_.written();
  const auto silent_at = last_acknowledged_at_ + services().settings.server.send_timeout;
  // A short answer is in the queue at once, and we wait for the next request while it holds a copy.
  const bool silent = phase_ == Phase::idle && !deliveries_.empty() && now >= silent_at;
  if (now < deadline_ && !drained && !silent) return;
  // A slow peer that still acknowledges is no silent one, whether or not we could write.
  if (!drained && phase_ != Phase::head && !deliveries_.empty() && now < silent_at) {
    deadline_ = silent_at;
    return;
  }
  timed_out_ = !drained;
  deadline_ = std::chrono::steady_clock::time_point::max();
  error_code ec;
  socket_.cancel(ec);
}

void Connection::settle() {
  if (over_ || deliveries_.empty()) return;  // once over, the frame that is sending must end first
  const std::uint64_t acknowledged = stream_.acknowledged();
  if (acknowledged > last_acknowledged_) {
    last_acknowledged_ = acknowledged;
    last_acknowledged_at_ = worker_.coarse_now();
  }
  std::erase_if(deliveries_, [&](const auto& delivery) { return delivery->settle(acknowledged); });
}

void Connection::settle_link(const ledger::LinkKey& link, std::chrono::seconds stalled) {
  const bool concerned = std::any_of(deliveries_.begin(), deliveries_.end(),
                                     [&](const auto& d) { return d->concerns(link); });
  if (!concerned) return;
  settle();
  const bool stuck = !deliveries_.empty() && stalled.count() != 0 &&
                     worker_.coarse_now() - last_acknowledged_at_ >= stalled;
  if (stuck) cut();
}

void Connection::cut_link(const ledger::LinkKey& link) {
  const bool concerned = std::any_of(deliveries_.begin(), deliveries_.end(),
                                     [&](const auto& d) { return d->concerns(link); });
  if (concerned) cut();
}

void Connection::drain() {
  keep_alive_ = false;
  if (phase_ != Phase::idle) return;
  error_code ec;
  socket_.cancel(ec);
}

void Connection::stop() {
  stopped_ = true;
  keep_alive_ = false;
  if (phase_ == Phase::lingering) return;
  error_code ec;
  socket_.cancel(ec);
}

void Connection::cut() {
  settle();
  const std::uint64_t acknowledged = stream_.acknowledged();
  for (const auto& delivery : deliveries_) delivery->end(acknowledged);
  over_ = true;
  error_code ec;
  socket_.cancel(ec);
}

}  // namespace tallygate::http
