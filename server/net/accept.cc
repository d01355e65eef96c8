// Who is let in: the accepting half of Worker and Workers.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <exception>
#include <new>

#include "core/net/address_key.h"
#include "server/http/access_line.h"
#include "server/http/connection.h"
#include "server/net/descriptor.h"
#include "server/net/memory_reserve.h"
#include "server/net/say.h"
#include "server/net/user_timeout.h"
#include "server/net/worker.h"

namespace tallygate::net {
namespace {

// When descriptors or the cap on connections have run out: how long accepting pauses. A loop that
// tries again at once burns a core and accepts nothing.
constexpr std::chrono::milliseconds kAcceptPause{100};

// For so long there is pressure once somebody was seen who waits: until accepting looks again.
constexpr std::chrono::milliseconds kShortOfRoom = 3 * kAcceptPause;

// Idle connections that a worker closes in a tick at most, so that it is no storm.
constexpr std::size_t kClosedInATick = 32;

// Between two lines about addresses that have too many connections.
constexpr std::chrono::minutes kFullAddressPause{1};

// The error is of the connection that was to be accepted, which is gone: the next one may be well
// (accept(2), "Error handling").
bool is_of_the_peer(const error_code& ec) {
  using namespace boost::system::errc;
  return ec == connection_aborted || ec == connection_reset || ec == protocol_error ||
         ec == network_down || ec == network_unreachable || ec == host_unreachable ||
         ec == no_protocol_option || ec == timed_out;
}

bool has_somebody_waiting(int listening) {
  pollfd ready{listening, POLLIN, 0};
  return ::poll(&ready, 1, 0) == 1;
}

}  // namespace

// -- Worker -------------------------------------------------------------------------------------

bool Worker::is_short_of_room() const {
  return workers_.is_short_of_room(now_);
}

std::optional<AddressCounts::Place> Worker::find_place(const link::IpAddress& address) {
  if (policy_->proxies().include(address)) return AddressCounts::Place();
  const auto& settings = policy_->settings;
  const std::uint32_t most = settings.server.max_connections_per_address;
  auto place = workers_.address_counts().take(address_key(address), most);
  if (!place) {
    counters_.closed_for_address.add();
    workers_.note_full_address(http::shown_client(address, settings.log.client_ip).view(), most);
  }
  return place;
}

void Worker::set_user_timeouts() {
  for (auto& acceptor : acceptors_) {
    set_user_timeout(acceptor.socket.native_handle(), policy_->settings.server.send_timeout);
  }
}

// In the order in which they were accepted.
void Worker::make_room() {
  std::size_t closed = 0;
  for (Member& member : connections_) {
    if (!static_cast<http::Connection&>(member).make_room(now_)) continue;
    counters_.closed_for_room.add();
    if (++closed == kClosedInATick) return;
  }
}

bool Worker::has_descriptors(Acceptor& acceptor) const {
  // The lowest one that is free.
  const Descriptor probe(::fcntl(acceptor.socket.native_handle(), F_DUPFD_CLOEXEC, 0));
  return probe && probe.get() < descriptors_below_;
}

// Who may not be accepted waits in the kernel's queue, and costs nothing. Where descriptors or
// memory have run out (EMFILE, ENFILE, ENOBUFS, ENOMEM), trying again at once would fail again.
Task<> Worker::accept(Acceptor& acceptor, Running) {
  Timer pause(*context_);
  while (!draining_ && acceptor.socket.is_open()) {
    if (descriptors_are_tight_) descriptors_are_tight_ = !has_descriptors(acceptor);
    if (descriptors_are_tight_ || !workers_.may_accept()) {
      (descriptors_are_tight_ ? counters_.pauses_for_errors : counters_.pauses_at_limit).add();
      if (has_somebody_waiting(acceptor.socket.native_handle())) workers_.ask_for_room(now_);
      pause.expires_after(kAcceptPause);
      static_cast<void>(co_await pause.async_wait(kAwait));
      continue;
    }
    Socket socket(*context_);
    asio::ip::tcp::endpoint peer;
    const auto [ec] = co_await acceptor.socket.async_accept(socket, peer, kAwait);
    if (ec == asio::error::operation_aborted) co_return;
    if (ec && is_of_the_peer(ec)) continue;
    bool failed = bool(ec);
    while (!failed && is_memory_short() && !draining_) {
      counters_.pauses_for_errors.add();
      pause.expires_after(kAcceptPause);
      static_cast<void>(co_await pause.async_wait(kAwait));
    }
    if (!failed) {
      (acceptor.is_tls ? counters_.accepted_https : counters_.accepted_http).add();
      descriptors_are_tight_ = socket.native_handle() >= descriptors_below_;
      try {
        serve(std::move(socket), peer, acceptor);
      } catch (const std::bad_alloc&) {
        failed = true;  // that connection is closed
      }
    }
    if (!failed) continue;
    counters_.pauses_for_errors.add();
    workers_.ask_for_room(now_);
    pause.expires_after(kAcceptPause);
    static_cast<void>(co_await pause.async_wait(kAwait));
  }
}

// -- Workers ------------------------------------------------------------------------------------

bool Workers::may_accept() const {
  return connections_ < connections_max_;
}

void Workers::ask_for_room(std::chrono::steady_clock::time_point now) {
  short_of_room_until_.store((now + kShortOfRoom).time_since_epoch().count(),
                             std::memory_order_relaxed);
}

bool Workers::is_short_of_room(std::chrono::steady_clock::time_point now) const {
  return now.time_since_epoch().count() < short_of_room_until_.load(std::memory_order_relaxed);
}

void Workers::note_full_address(std::string_view client, std::uint32_t most) {
  const Ticks now = std::chrono::steady_clock::now().time_since_epoch().count();
  Ticks said = full_address_said_.load(std::memory_order_relaxed);
  const Ticks pause = std::chrono::steady_clock::duration(kFullAddressPause).count();
  if (said != 0 && now - said < pause) return;
  if (!full_address_said_.compare_exchange_strong(said, now)) return;
  say(Severity::warning,
      fmt::format("{} has {} connections, as many as server.max_connections_per_address allows: "
                  "further ones are closed; others like it are not named for a minute",
                  client.empty() ? "an address" : client, most));
}

}  // namespace tallygate::net
