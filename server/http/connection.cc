#include "server/http/connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <string>
#include <utility>

#include "core/http/accept.h"
#include "core/http/forwarded.h"
#include "core/net/proxy_protocol.h"
#include "server/transfer/body.h"
#include "server/transfer/serve.h"

namespace tallygate::http {
namespace {

using std::chrono::steady_clock;

// A connection that has waited for its next request for so long may be closed for others to come.
// One whose client is about to ask, or has just been let in, is not worth it.
constexpr std::chrono::seconds kIdleBeforeClosed{1};

}  // namespace

Connection::Connection(Socket socket, const link::IpAddress& peer, net::AddressCounts::Place place,
                       SSL_CTX* tls, bool proxied, net::Worker& worker)
    : worker_(worker),
      policy_(worker.policy()),
      channel_(std::move(socket), tls, worker.tls_buffers()),
      peer_(peer),
      place_(std::move(place)),
      client_(peer_),
      client_text_(shown_client(client_, policy_->settings.log.client_ip)),
      is_proxied_(proxied),
      last_acknowledged_at_(worker.coarse_now()),
      owing_since_(worker.coarse_now()),
      request_(std::make_unique<Request>()) {
  worker_.enter(*this);
}

Connection::~Connection() {
  settle();
  const std::uint64_t acknowledged = channel_.acknowledged();
  for (const auto& delivery : deliveries_) delivery->end(acknowledged);
  // What the ledger was told is lost must not arrive after all.
  if (acknowledged != channel_.written()) channel_.reset_when_closed();
  worker_.leave(*this);
}

Task<> Connection::run(std::unique_ptr<Connection> connection) {
  bool goes_on = true;
  if (connection->is_proxied_) goes_on = co_await connection->read_proxy_header();
  if (goes_on && connection->channel_.is_tls()) {
    goes_on = co_await connection->handshake();
    connection->count_handshake(goes_on);
  }
  if (!goes_on) co_return;
  while (goes_on) goes_on = co_await connection->serve_one();
  co_await connection->linger();
}

// Whom a proxy of bytes hands on. False: it is no trusted proxy, the header is none, or took longer
// than a head may take, or its client has too many connections. Nothing is answered: what the other
// side speaks is not known, and whoever comes by a way that it should not is told nothing.
//
// Only the header is taken from the socket: what follows is for TLS, which reads by itself.
Task<bool> Connection::read_proxy_header() {
  using State = net::ProxyHeader::State;
  metrics::WorkerCounters& counters = worker_.counters();
  if (!policy().proxies().include(peer_)) {
    counters.proxy_headers_untrusted.add();
    co_return false;
  }
  enter(Phase::head, policy().settings.server.header_timeout);
  for (;;) {
    const std::size_t before = request_->received().size();
    const auto room = request_->room();
    const net::Attempt seen = channel_.peek(room);
    if (seen.end == net::Attempt::End::blocked) {
      const auto [ec] = co_await channel_.socket().async_wait(Socket::wait_read, kAwait);
      if (!ec && !over_) continue;
    }
    if (seen.bytes == 0) break;
    request_->received(seen.bytes);
    const net::ProxyHeader header = net::parse_proxy_header(request_->received());
    if (header.state == State::malformed) break;
    const bool complete = header.state == State::complete;
    if (!channel_.take(room.first(complete ? header.bytes - before : seen.bytes))) break;
    if (!complete) continue;
    request_->consume(request_->received().size());
    if (!header.source) co_return true;
    set_client(peer_ = *header.source);
    auto place = worker_.find_place(peer_);
    if (!place) co_return false;
    place_ = std::move(*place);
    co_return true;
  }
  counters.proxy_headers_missing.add();
  co_return false;
}

// False: it failed, or took longer than a head may take.
Task<bool> Connection::handshake() {
  using Step = net::TlsSession::Status;
  enter(Phase::head, policy().settings.server.header_timeout);
  for (;;) {
    const Step step = channel_.handshake();
    if (step == Step::done) co_return true;
    if (step != Step::want_read && step != Step::want_write) co_return false;
    const auto [ec] = co_await channel_.socket().async_wait(
        step == Step::want_read ? Socket::wait_read : Socket::wait_write, kAwait);
    if (ec || over_) co_return false;
  }
}

// -- the policy ---------------------------------------------------------------------------------

void Connection::follow_policy() {
  if (policy_ == worker_.policy()) return;
  const bool other_ip = policy().settings.log.client_ip != worker_.policy()->settings.log.client_ip;
  policy_ = worker_.policy();
  if (other_ip) client_text_ = shown_client(client_, policy().settings.log.client_ip);
}

// What is on its way goes on under the time-outs that it began with.
void Connection::hear_of_policy() {
  const bool answering = phase_ == Phase::answering || phase_ == Phase::lingering;
  if (!answering && deliveries_.empty()) follow_policy();
}

void Connection::count_handshake(bool done) {
  metrics::WorkerCounters& counters = worker_.counters();
  if (!done) return counters.handshakes_failed.add();
  (channel_.is_resumed() ? counters.handshakes_resumed : counters.handshakes_full).add();
}

// -- one request --------------------------------------------------------------------------------

// Whom the request at hand is from: one connection of a proxy brings those of many clients.
void Connection::find_client() {
  const net::Policy& now = policy();
  set_client(now.trusted_proxies.empty() ? peer_
                                         : http::find_client(request_->head, peer_, now.proxies()));
}

void Connection::set_client(const link::IpAddress& client) {
  if (client == client_) return;
  client_ = client;
  client_text_ = shown_client(client, policy().settings.log.client_ip);
}

Task<bool> Connection::serve_one() {
  record_ = {};
  if (deliveries_.size() >= kDeliveriesMax) {
    const bool goes_on = co_await wait_for_acknowledgements();
    if (!goes_on) co_return false;
  }
  const bool has_head = co_await read_head();
  if (!has_head) co_return false;
  follow_policy();  // here the request begins
  settle();         // the next request is a good moment to look

  const RequestHead& head = request_->head;
  find_client();
  record_.method = head.method();
  record_.version = head.version();
  record_.target = head.target();
  if (!services().access_log.is_off()) {
    record_.range = head.find("Range").value_or("");
    record_.user_agent = head.find("User-Agent").value_or("");
    record_.referer = head.find("Referer").value_or("");
  }
  const auto checked = check_request(head);
  if (!checked) {
    keep_alive_ = false;
    request_->checked = {};
    request_->checked.target = head.target();
    if (head.method() == "HEAD") request_->checked.method = Method::head;
    co_await refuse({http_problem(checked.error().status), checked.error().reason, {}});
    note_answer();
    co_return false;
  }
  request_->checked = *checked;
  if (!checked->keep_alive || worker_.draining() || worker_.is_short_of_room()) {
    keep_alive_ = false;
  }
  // The head stays at the front of the buffer until it is answered, since all views are into it; a
  // body behind it is dropped first, within the time that the head had.
  const std::size_t body_in_buffer = std::min<std::size_t>(
      checked->body_bytes, request_->received().size() - request_->head_bytes);
  if (checked->body_bytes != body_in_buffer) {
    const bool dropped = co_await drop_body(checked->body_bytes - body_in_buffer);
    if (!dropped) co_return false;
  }
  // Each wait on the way has its own deadline.
  phase_ = Phase::answering;
  set_deadline(net::Deadlines::kNever);
  request_->head_bytes += body_in_buffer;
  if (transfer::Delivery* const body = co_await transfer::serve(*this); body != nullptr) {
    co_await transfer::stream(*this, *body);
  }
  if (channel_.has_kept()) static_cast<void>(co_await flush());
  note_answer();
  if (request_) request_->consume(request_->head_bytes);
  co_return keep_alive_ && !over_;
}

Task<bool> Connection::read_head() {
  if (!request_) request_ = std::make_unique<Request>();
  if (deliveries_.empty()) follow_policy();
  std::size_t scanned = 0;
  const bool begun = !request_->received().empty();
  const auto& timeouts = policy().settings.server;  // until something is waited for
  enter(begun ? Phase::head : Phase::idle, begun ? timeouts.header_timeout : timeouts.idle_timeout);
  for (;;) {
    if (!request_->received().empty()) {
      const ParsedHead parsed = parse_head(request_->received(), scanned, request_->head);
      if (parsed.state == HeadState::complete) {
        started_ = steady_clock::now();
        request_->head_bytes = parsed.bytes;
        co_return true;
      }
      if (parsed.state == HeadState::malformed) {
        co_await answer_bad_head(parsed.status, "malformed head");
        co_return false;
      }
    }
    if (phase_ == Phase::idle && worker_.draining()) co_return false;
    const std::size_t n = co_await receive(request_->room());
    if (n == 0) {
      if (timed_out_ && !request_->received().empty() && !over_) {
        co_await answer_bad_head(Status::request_timeout, "the head took too long");
      }
      co_return false;
    }
    if (request_->received().empty()) {
      enter(Phase::head, policy().settings.server.header_timeout);
    }
    request_->received(n);
  }
}

// A client that is not heard to the end is told why, and the connection is closed.
Task<> Connection::answer_bad_head(Status status, std::string_view reason) {
  keep_alive_ = false;
  timed_out_ = false;
  started_ = steady_clock::now();
  request_->head.start({}, {}, {}, 11);
  set_client(peer_);
  request_->checked = {};
  phase_ = Phase::answering;
  co_await refuse({http_problem(status), reason, {}});
  note_answer();
}

// Of a client that asks on and takes in nothing, what is kept for it stays bounded. False: the
// connection is over.
Task<bool> Connection::wait_for_acknowledgements() {
  constexpr std::chrono::milliseconds kLook{10};
  enter(Phase::idle, policy().settings.server.send_timeout);
  Timer pause(worker_.executor());
  for (settle(); deliveries_.size() >= kDeliveriesMax; settle()) {
    if (is_over() || timed_out_) co_return false;
    pause.expires_after(kLook);
    static_cast<void>(co_await pause.async_wait(kAwait));
  }
  co_return !is_over();
}

Task<bool> Connection::drop_body(std::size_t bytes) {
  std::array<char, 512> waste;
  while (bytes != 0) {
    const std::size_t n = co_await receive({waste.data(), std::min(bytes, waste.size())});
    if (n == 0) co_return false;
    bytes -= n;
  }
  co_return true;
}

// 0: the peer has closed, the deadline has passed, or the connection is over.
Task<std::size_t> Connection::receive(std::span<char> into) {
  if (over_) co_return 0;
  while (channel_.is_tls()) {
    const net::Attempt attempt = channel_.receive(into);
    if (attempt.bytes != 0) co_return attempt.bytes;
    if (attempt.end != net::Attempt::End::blocked) co_return 0;
    const auto [failure] = co_await channel_.socket().async_wait(Socket::wait_read, kAwait);
    if (failure || over_) co_return 0;
  }
  const auto [ec, n] =
      co_await channel_.socket().async_read_some(asio::buffer(into.data(), into.size()), kAwait);
  co_return ec ? 0 : n;
}

// -- answering ----------------------------------------------------------------------------------

Common Connection::common() const {
  const RequestHead& head = request_->head;
  Common common;
  common.date = worker_.date();
  common.cors = policy().cors.grant(head.find_only("Origin"));
  common.persistence = persistence(head.version(), keep_alive_);
  return common;
}

std::optional<std::string_view> Connection::try_send(std::string_view bytes, bool more) {
  while (!bytes.empty()) {
    if (is_over()) return std::nullopt;
    const net::Attempt attempt = channel_.send(bytes, more);
    bytes.remove_prefix(attempt.bytes);
    if (attempt.end == net::Attempt::End::blocked) return bytes;  // what TLS keeps is not in there
    if (attempt.end != net::Attempt::End::none) over_ = true;
  }
  return is_over() ? std::nullopt : std::optional(bytes);
}

Task<bool> Connection::send(std::string bytes, bool more) {
  auto rest = try_send(bytes, more);
  while (rest && !rest->empty()) {
    const bool ready = co_await writable();
    rest = ready ? try_send(*rest, more) : std::nullopt;
  }
  co_return rest.has_value();
}

Task<bool> Connection::flush() {
  while (channel_.has_kept()) {
    const bool ready = co_await writable();
    if (!ready) co_return false;
    const net::Attempt attempt = channel_.flush();
    const bool lives =
        attempt.end == net::Attempt::End::none || attempt.end == net::Attempt::End::blocked;
    if (!lives) over_ = true;
  }
  co_return !is_over();
}

Task<bool> Connection::writable() {
  if (is_over()) co_return false;
  set_deadline(worker_.coarse_now() + policy().settings.server.send_timeout);
  const auto [ec] = co_await channel_.socket().async_wait(Socket::wait_write, kAwait);
  // Also when the deadline passed: a peer that takes nothing is gone.
  if (ec && !stopped_) over_ = true;
  set_deadline(net::Deadlines::kNever);
  co_return !is_over();
}

void Connection::set_pace(std::uint64_t bytes_per_second) {
  if (bytes_per_second == pace_) return;
  pace_ = bytes_per_second;
  channel_.set_pace(bytes_per_second);
}

Task<> Connection::refuse(Refused refused) {
  const Problem problem = refused.problem;
  const bool is_head = request_->checked.method == Method::head;
  const bool page = prefers_html(request_->head);
  const std::string body =
      page ? problem_page(problem, policy().settings.server.contact_url) : problem_json(problem);
  std::string answer(write_problem(worker_.scratch().answer, common(), problem,
                                   page ? ProblemForm::page : ProblemForm::json, body.size(),
                                   refused.file_size));
  if (!is_head) answer += body;
  record_.status = code(describe(problem).status);
  record_.reason = refused.reason;
  worker_.counters().refusals[metrics::index_of(problem, refused.reason)].add();
  record_.body_length = is_head ? 0 : body.size();
  const bool sent = co_await send(std::move(answer), false);
  if (sent) record_.body_bytes = record_.body_length;
}

void Connection::note_grant() {
  const link::Grant& grant = request_->grant;
  record_.link_id = grant.link_id.view();
  record_.key_id = grant.key_id;
  record_.data = grant.data;
}

transfer::Delivery& Connection::deliver(std::unique_ptr<transfer::Delivery> delivery) noexcept {
  // Silence begins when there is something to acknowledge, not while the connection was idle.
  if (deliveries_.empty()) {
    last_acknowledged_at_ = worker_.coarse_now();
    owing_since_ = worker_.coarse_now();
    owing_from_ = channel_.acknowledged();
  }
  worker_.watch(*this);
  return *deliveries_.emplace_back(std::move(delivery));
}

void Connection::release_request() {
  if (!request_ || request_->received().size() != request_->head_bytes) return;
  if (services().access_log.is_off()) {
    const unsigned status = record_.status;
    record_ = {};
    record_.status = status;
  } else {
    const std::array texts{&record_.method,  &record_.target,  &record_.range,  &record_.user_agent,
                           &record_.referer, &record_.link_id, &record_.key_id, &record_.data};
    std::size_t bytes = 0;
    for (const auto* text : texts) bytes += text->size();
    log_texts_.clear();
    log_texts_.reserve(bytes);  // so that the views stay good
    for (auto* text : texts) {
      const std::size_t at = log_texts_.size();
      log_texts_ += *text;
      *text = std::string_view(log_texts_).substr(at);
    }
  }
  request_.reset();
}

// The answer is over: it is counted, and logged.
void Connection::note_answer() {
  worker_.counters().answers[metrics::index_of_status(record_.status)].add();
  AccessLog& log = services().access_log;
  if (log.is_off()) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto took = steady_clock::now() - started_;
  record_.duration_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  record_.unix_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  record_.client = client_text();
  if (record_.link_id.empty()) {
    log.write_refused(record_, client_, policy().settings.log.refused_per_minute);
  } else {
    log.write(record_);
  }
  log_texts_ = {};
}

// -- the end ------------------------------------------------------------------------------------

// A connection that the server ends is shut down for writing and kept until its queue is empty, the
// peer closes, or send_timeout: what is in the queue still arrives, and is counted. A peer that
// only will not send any more (a half-close) still takes.
//
// With TLS the end is announced only when all else has arrived. A client that has its answer may
// close without reading the announcement; its kernel then sends a reset, and the acknowledgement of
// the last bytes is lost with it.
Task<> Connection::linger() {
  if (over_ || timed_out_) co_return;
  if (channel_.has_kept()) static_cast<void>(co_await flush());
  if (channel_.is_tls()) co_await arrive();
  while (!over_ && !timed_out_ && !channel_.shut_down()) {
    const bool ready = co_await writable();
    if (!ready) co_return;
  }
  co_await arrive();
}

// Waits until everything is acknowledged, the peer closes, or send_timeout.
Task<> Connection::arrive() {
  enter(Phase::lingering, policy().settings.server.send_timeout);
  worker_.watch(*this);
  std::array<char, 256> waste;
  Timer pause(worker_.executor());
  bool peer_sends = true;
  for (;;) {
    settle();
    if (over_ || timed_out_ || channel_.acknowledged() == channel_.written()) co_return;
    if (peer_sends) {
      const auto [failure, n] =
          co_await channel_.socket().async_read_some(asio::buffer(waste), kAwait);
      peer_sends = failure != asio::error::eof;
      // Aborted: by the tick, when the queue is empty or the time is up.
      if (failure && peer_sends && failure != asio::error::operation_aborted) co_return;
    } else {
      pause.expires_after(net::Worker::kTick);
      static_cast<void>(co_await pause.async_wait(kAwait));
      if (channel_.is_reset()) co_return;
    }
  }
}

// -- for its worker -----------------------------------------------------------------------------

void Connection::set_deadline(Time deadline) {
  worker_.deadlines().set(*this, deadline);
}

void Connection::enter(Phase phase, std::chrono::milliseconds timeout) {
  phase_ = phase;
  set_deadline(worker_.coarse_now() + timeout);
}

void Connection::expire() {
  timed_out_ = true;
  error_code ec;
  channel_.socket().cancel(ec);
}

bool Connection::on_tick(Time now) {
  if (over_) return false;
  settle();
  if (phase_ == Phase::lingering) {
    if (channel_.acknowledged() != channel_.written()) return true;
    error_code ec;
    channel_.socket().cancel(ec);
    return false;
  }
  if (deliveries_.empty()) return false;
  // A short answer is in the queue at once, and we wait for the next request while it holds a copy.
  const auto silent_at = last_acknowledged_at_ + policy().settings.server.send_timeout;
  if ((phase_ == Phase::idle && now >= silent_at) || is_too_slow(now)) expire();
  return true;
}

void Connection::on_deadline(Time now) {
  if (over_) return;
  settle();
  // A slow peer that still acknowledges is no silent one, whether or not we could write.
  const auto silent_at = last_acknowledged_at_ + policy().settings.server.send_timeout;
  if (phase_ != Phase::head && !deliveries_.empty() && now < silent_at) {
    set_deadline(silent_at);
    return;
  }
  expire();
}

// Whether the peer, which owed acknowledgements all through the last send_timeout, has given less
// than min_rate.
bool Connection::is_too_slow(Time now) {
  const auto& server = policy().settings.server;
  const std::uint64_t acknowledged = channel_.acknowledged();
  if (acknowledged != channel_.written()) {
    const auto owing = now - owing_since_;
    if (owing < server.send_timeout) return false;
    const std::uint64_t rate =
        pace_ == 0 ? server.min_rate : std::min<std::uint64_t>(server.min_rate, pace_ / 2);
    const auto seconds = std::chrono::duration_cast<std::chrono::milliseconds>(owing).count();
    const auto wanted = rate * static_cast<std::uint64_t>(seconds) / 1000;
    if (acknowledged - owing_from_ < wanted) return true;
  }
  owing_since_ = now;
  owing_from_ = acknowledged;
  return false;
}

void Connection::settle() {
  if (over_ || deliveries_.empty()) return;  // once over, the frame that is sending must end first
  const std::uint64_t acknowledged = channel_.acknowledged();
  if (acknowledged > last_acknowledged_) {
    last_acknowledged_ = acknowledged;
    last_acknowledged_at_ = worker_.coarse_now();
  }
  const auto settled =
      std::remove_if(deliveries_.begin(), deliveries_.end(),
                     [&](const auto& delivery) { return delivery->settle(acknowledged); });
  deliveries_.erase(settled, deliveries_.end());
}

bool Connection::concerns(const ledger::LinkKey& link) const {
  return std::any_of(deliveries_.begin(), deliveries_.end(),
                     [&](const auto& delivery) { return delivery->concerns(link); });
}

void Connection::settle_link(const ledger::LinkKey& link, std::chrono::seconds stalled) {
  if (!concerns(link)) return;
  settle();
  const bool stuck = !deliveries_.empty() && stalled.count() != 0 &&
                     worker_.coarse_now() - last_acknowledged_at_ >= stalled;
  if (stuck) cut();
}

void Connection::cut_link(const ledger::LinkKey& link) {
  if (concerns(link)) cut();
}

void Connection::see_transfers(std::string_view link, std::size_t most,
                               net::TransfersSeen& out) const {
  std::size_t described = 0;
  for (const auto& delivery : deliveries_) {
    if (!link.empty() && delivery->link_id() != link) continue;
    ++out.total;
    if (described++ >= most) continue;
    net::TransferSeen& seen = out.transfers.emplace_back();
    seen.number = delivery->number();
    seen.link_id = delivery->link_id();
    seen.path = delivery->file().path;
    seen.client = client_text();
    seen.started_at = delivery->began_at();
    seen.bytes_sent = delivery->bytes_sent();
    seen.bytes_total = delivery->bytes_total();
    seen.is_tls = channel_.is_tls();
  }
}

bool Connection::cut_transfer(std::uint64_t number) {
  const bool own = std::any_of(deliveries_.begin(), deliveries_.end(),
                               [&](const auto& delivery) { return delivery->number() == number; });
  if (own) cut();
  return own;
}

void Connection::drain() {
  keep_alive_ = false;
  if (phase_ != Phase::idle) return;
  error_code ec;
  channel_.socket().cancel(ec);
}

bool Connection::make_room(Time now) {
  const auto idle_since = deadline() - policy().settings.server.idle_timeout;
  const bool is_idle = phase_ == Phase::idle && keep_alive_ && !over_ && deliveries_.empty();
  if (!is_idle || deadline() == net::Deadlines::kNever || now - idle_since < kIdleBeforeClosed) {
    return false;
  }
  drain();
  return true;
}

void Connection::stop() {
  stopped_ = true;
  keep_alive_ = false;
  if (phase_ == Phase::lingering) return;
  error_code ec;
  channel_.socket().cancel(ec);
}

void Connection::cut() {
  settle();
  const std::uint64_t acknowledged = channel_.acknowledged();
  for (const auto& delivery : deliveries_) delivery->end(acknowledged);
  over_ = true;
  error_code ec;
  channel_.socket().cancel(ec);
}

}  // namespace tallygate::http
