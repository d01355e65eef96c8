#include "server/net/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <future>
#include <iterator>
#include <mutex>
#include <utility>

#include "server/http/connection.h"
#include "server/net/room.h"
#include "server/net/say.h"

namespace tallygate::net {
namespace {

link::IpAddress address_of(const asio::ip::tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  return address.is_v4() ? link::IpAddress::v4(address.to_v4().to_bytes())
                         : link::IpAddress::v6(address.to_v6().to_bytes());
}

// What is not answered at all costs no more than a packet, and nobody keeps its memory.
void close_at_once(Socket& socket) {
  error_code ec;
  socket.set_option(asio::socket_base::linger(true, 0), ec);
  socket.close(ec);
}

void report_escaped(const char* where, const std::exception_ptr& escaped) {
  if (!escaped) return;
  try {
    std::rethrow_exception(escaped);
  } catch (const std::exception& e) {
    say(Severity::error, fmt::format("{} ended by an exception: {}", where, e.what()));
  }
}

}  // namespace

// -- Worker -------------------------------------------------------------------------------------

Worker::Worker(const Services& services, Workers& workers, unsigned threads)
    : services_(services),
      workers_(workers),
      policy_(with_own_count(services.policies.current())),
      context_(std::make_unique<asio::io_context>(1)),
      room_(std::make_unique<ledger::WaitingRoom>(executor(), ledger::kDurableTimeout)),
      off_loop_(std::make_unique<disk::OffLoop>(executor(), services.blocking_pool)),
      cold_reader_(std::make_unique<disk::ColdReader>(
          executor(), *off_loop_, disk::ColdReader::Options{.pipes_max = pipes_max(threads)})),
      files_(services.root, services.types, services.clock, open_files_max(threads), *off_loop_),
      descriptors_below_(descriptors_below(find_room(policy_->settings, threads).descriptors)),
      now_(services.clock.steady_now()),
      deadlines_(now_, kTick) {}

Worker::~Worker() {
  stop();
  // As cut_all() has done already, unless the thread hung in a call all through the end: then what
  // they have to tell is told while there is a room for it.
  each_connection([](http::Connection& connection) { connection.cut(); });
  acceptors_.clear();
  room_.reset();  // and with it the frames that wait there
  cold_reader_.reset();
  off_loop_.reset();
  context_.reset();
}

error_code Worker::start(std::vector<BoundSocket> sockets) {
  for (BoundSocket& socket : sockets) {
    auto& acceptor = acceptors_.emplace_back(
        Acceptor{decltype(Acceptor::socket)(*context_), socket.is_tls, socket.is_proxied});
    error_code ec;
    acceptor.socket.assign(socket.is_v6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(),
                           socket.fd.get(), ec);
    if (ec) return ec;
    static_cast<void>(socket.fd.release());
    acceptor.socket.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return ec;
  }
  set_user_timeouts();
  for (auto& acceptor : acceptors_) {
    asio::co_spawn(*context_, accept(acceptor), [](const std::exception_ptr& escaped) {
      report_escaped("accepting connections", escaped);
    });
  }
  asio::co_spawn(*context_, tick(),
                 [](const std::exception_ptr& escaped) { report_escaped("the tick", escaped); });
  thread_ = std::thread([this] { context_->run(); });
  return {};
}

void Worker::post(std::function<void()> work) {
  asio::post(*context_, std::move(work));
}

void Worker::stop() {
  context_->stop();
  if (thread_.joinable()) thread_.join();
}

void Worker::use(SharedPolicy policy, SslContext tls) {
  policy_ = std::move(policy);
  if (tls) tls_ = std::move(tls);
  set_user_timeouts();
  each_connection([](http::Connection& connection) { connection.hear_of_policy(); });
}

bool Worker::is_first_in_turn() {
  if (std::exchange(turn_has_one_, true)) return false;
  asio::post(*context_, [this] { turn_has_one_ = false; });
  return true;
}

std::string_view Worker::date() {
  const std::int64_t second = services_.clock.unix_now();
  if (second != date_at_) {
    date_at_ = second;
    date_ = http::format_date(second);
  }
  return date_.view();
}

void Worker::enter(Member& connection) {
  workers_.connection_opened();
  connections_.push_back(connection);
}

void Worker::leave(Member& connection) {
  connections_.erase(connections_.iterator_to(connection));
  workers_.connection_closed();
}

void Worker::watch(Member& connection) {
  if (!connection.ListHook<WatchedConnection>::is_linked()) watched_.push_back(connection);
}

void Worker::serve(Socket socket, const asio::ip::tcp::endpoint& peer, const Acceptor& acceptor) {
  const link::IpAddress address = address_of(peer);
  AddressCounts::Place place;
  // Of a proxy that hands on bytes its header names the client, who then needs the place.
  if (!acceptor.is_proxied) {
    auto found = find_place(address);
    if (!found) return close_at_once(socket);
    place = std::move(*found);
  }
  auto connection = std::make_unique<http::Connection>(std::move(socket), address, std::move(place),
                                                       acceptor.is_tls ? tls_.get() : nullptr,
                                                       acceptor.is_proxied, *this);
  asio::co_spawn(
      *context_, http::Connection::run(std::move(connection)),
      [](const std::exception_ptr& escaped) { report_escaped("a connection", escaped); });
}

Task<> Worker::tick() {
  Timer timer(*context_);
  for (;;) {
    timer.expires_after(kTick);
    static_cast<void>(co_await timer.async_wait(kAwait));
    // Late is what a timer comes after something that held up the loop.
    stalls_.add(std::chrono::steady_clock::now() - timer.expiry());
    now_ = services_.clock.steady_now();
    for (auto at = watched_.begin(); at != watched_.end();) {
      auto& connection = static_cast<http::Connection&>(*at);
      at = connection.on_tick(now_) ? std::next(at) : watched_.erase(at);
    }
    deadlines_.advance(now_, [this](Deadlines::Owner& owner) {
      static_cast<http::Connection&>(owner).on_deadline(now_);
    });
    if (is_short_of_room()) make_room();
    room_->tick();  // behind what was settled just now
    ticks_.fetch_add(1, std::memory_order_relaxed);
  }
}

template <class F>
void Worker::each_connection(F&& f) {
  for (Member& member : connections_) f(static_cast<http::Connection&>(member));
}

void Worker::settle_link(const ledger::LinkKey& link, std::chrono::seconds stalled) {
  for (Member& member : watched_) {
    static_cast<http::Connection&>(member).settle_link(link, stalled);
  }
}

void Worker::cut_link(const ledger::LinkKey& link) {
  for (Member& member : watched_) static_cast<http::Connection&>(member).cut_link(link);
}

void Worker::see_transfers(std::string_view link, std::size_t most, TransfersSeen& out) {
  const std::size_t before = out.transfers.size();
  for (Member& member : watched_) {
    const std::size_t room = most - std::min(most, out.transfers.size() - before);
    static_cast<http::Connection&>(member).see_transfers(link, room, out);
  }
}

bool Worker::cut_transfer(std::uint64_t number) {
  return std::any_of(watched_.begin(), watched_.end(), [&](Member& member) {
    return static_cast<http::Connection&>(member).cut_transfer(number);
  });
}

std::vector<BoundSocket> Worker::give_up_sockets() {
  std::vector<BoundSocket> sockets;
  for (auto& acceptor : acceptors_) {
    if (!acceptor.socket.is_open()) continue;
    error_code ec;
    const bool is_v6 = acceptor.socket.local_endpoint(ec).protocol() == asio::ip::tcp::v6();
    // Closing would leave it in our epoll, as long as somebody else has a copy of it.
    sockets.push_back(
        {Descriptor(acceptor.socket.release(ec)), is_v6, acceptor.is_tls, acceptor.is_proxied});
  }
  return sockets;
}

std::size_t Worker::unanswered() {
  std::size_t count = 0;
  each_connection([&](const http::Connection& connection) {
    if (connection.is_unanswered()) ++count;
  });
  return count;
}

void Worker::drain() {
  draining_ = true;
  static_cast<void>(give_up_sockets());
  each_connection([](http::Connection& connection) { connection.drain(); });
}

void Worker::stop_all() {
  each_connection([](http::Connection& connection) { connection.stop(); });
}

void Worker::cut_all() {
  room_->give_up();
  each_connection([](http::Connection& connection) { connection.cut(); });
}

// -- Workers ------------------------------------------------------------------------------------

Workers::Workers(const Services& services, unsigned threads)
    : connections_max_(static_cast<std::uint32_t>(
          find_room(services.policies.current()->settings, threads).connections)) {
  for (unsigned i = 0; i < threads; ++i) {
    workers_.push_back(std::make_unique<Worker>(services, *this, threads));
  }
}

Workers::~Workers() = default;

void Workers::use(const SharedPolicy& policy, std::vector<SslContext> tls) {
  connections_max_ = static_cast<std::uint32_t>(
      find_room(policy->settings, static_cast<unsigned>(workers_.size())).connections);
  tls.resize(workers_.size());
  // Before start() as well: what is posted then runs before anything is accepted.
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const auto context = std::make_shared<SslContext>(std::move(tls[i]));
    workers_[i]->post([worker = workers_[i].get(), own = with_own_count(policy), context] {
      worker->use(own, std::move(*context));
    });
  }
}

void Workers::wait_until_heard() {
  constexpr std::chrono::seconds kAtMost{5};
  constexpr std::chrono::milliseconds kLook{100};  // whether one has ended
  std::vector<std::future<void>> heard;
  for (const auto& worker : workers_) {
    const auto promise = std::make_shared<std::promise<void>>();
    heard.push_back(promise->get_future());
    worker->post([promise] { promise->set_value(); });
  }
  const auto deadline = std::chrono::steady_clock::now() + kAtMost;
  for (std::size_t i = 0; i < heard.size(); ++i) {
    while (heard[i].wait_for(kLook) != std::future_status::ready && !workers_[i]->is_stopped() &&
           std::chrono::steady_clock::now() < deadline) {
    }
  }
}

std::string Workers::start(Listeners listeners) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (const error_code ec = workers_[i]->start(std::move(listeners.sockets[i]))) {
      return "cannot listen: " + ec.message();
    }
  }
  return {};
}

template <class F>
auto Workers::ask_each(F f) {
  using Answer = decltype(f(*workers_.front()));
  std::vector<std::future<Answer>> answers;
  for (const auto& worker : workers_) {
    const auto promise = std::make_shared<std::promise<Answer>>();
    answers.push_back(promise->get_future());
    worker->post([worker = worker.get(), promise, f] { promise->set_value(f(*worker)); });
  }
  std::vector<Answer> all;
  for (auto& answer : answers) all.push_back(answer.get());
  return all;
}

std::vector<BoundSocket> Workers::give_up_sockets() {
  std::vector<BoundSocket> all;
  for (auto& own : ask_each([](Worker& worker) { return worker.give_up_sockets(); })) {
    std::ranges::move(own, std::back_inserter(all));
  }
  return all;
}

void Workers::close_idle(std::chrono::milliseconds at_most) {
  constexpr std::chrono::milliseconds kLook{10};
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  const auto is_somebody_unanswered = [this] {
    return std::ranges::any_of(ask_each([](Worker& worker) { return worker.unanswered(); }),
                               [](std::size_t count) { return count != 0; });
  };
  while (is_somebody_unanswered() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kLook);
  }
  draining_ = true;
  static_cast<void>(ask_each([](Worker& worker) {
    worker.drain();
    return true;
  }));
}

Task<> Workers::settle_link(ledger::LinkKey link, std::chrono::seconds stalled) {
  struct Progress {
    explicit Progress(const Executor& executor) : timer(executor) {}
    Timer timer;
    std::size_t left = 0;
  };
  const Executor executor = co_await asio::this_coro::executor;
  const auto progress = std::make_shared<Progress>(executor);
  progress->left = workers_.size();
  progress->timer.expires_after(std::chrono::seconds(1));
  for (const auto& worker : workers_) {
    worker->post([worker = worker.get(), link, stalled, progress, executor] {
      worker->settle_link(link, stalled);
      asio::post(executor, [progress] {
        if (--progress->left == 0) progress->timer.cancel();
      });
    });
  }
  static_cast<void>(co_await progress->timer.async_wait(kAwait));
}

void Workers::settle_link_and_wait(const ledger::LinkKey& link) {
  std::vector<std::future<void>> done;
  for (const auto& worker : workers_) {
    auto promise = std::make_shared<std::promise<void>>();
    done.push_back(promise->get_future());
    worker->post([worker = worker.get(), link, promise] {
      worker->settle_link(link, std::chrono::seconds(0));
      promise->set_value();
    });
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (auto& future : done) future.wait_until(deadline);
}

void Workers::cut_link(const ledger::LinkKey& link) {
  for (const auto& worker : workers_) {
    worker->post([worker = worker.get(), link] { worker->cut_link(link); });
  }
  if (cut_elsewhere_) cut_elsewhere_(link);
}

void Workers::see_transfers(std::string link, std::size_t most,
                            std::function<void(TransfersSeen)> callback) {
  struct Gathering {
    std::mutex mutex;  // guards what follows
    TransfersSeen seen;
    std::size_t left = 0;
  };
  const auto gathering = std::make_shared<Gathering>();
  gathering->left = workers_.size();
  for (std::uint32_t index = 0; index < workers_.size(); ++index) {
    Worker& worker = *workers_[index];
    worker.post([&worker, index, link, most, gathering, callback] {
      TransfersSeen own;
      worker.see_transfers(link, most, own);
      const std::scoped_lock lock(gathering->mutex);
      TransfersSeen& all = gathering->seen;
      all.total += own.total;
      for (TransferSeen& transfer : own.transfers) {
        transfer.worker = index;
        all.transfers.push_back(std::move(transfer));
      }
      if (--gathering->left != 0) return;
      std::stable_sort(all.transfers.begin(), all.transfers.end(),
                       [](const auto& a, const auto& b) { return a.started_at < b.started_at; });
      if (all.transfers.size() > most) all.transfers.resize(most);
      callback(std::move(all));
    });
  }
}

void Workers::cut_transfer(std::uint32_t worker, std::uint64_t number,
                           std::function<void(bool)> callback) {
  if (worker >= workers_.size()) return callback(false);
  Worker& its = *workers_[worker];
  its.post([&its, number, callback = std::move(callback)] { callback(its.cut_transfer(number)); });
}

void Workers::drain(std::chrono::milliseconds timeout, const std::atomic<bool>& at_once) {
  constexpr std::chrono::milliseconds kLook{20};
  // Of a transfer whose time is up, what is on its way may arrive, so that a client resumes just
  // where the ledger believes it to be.
  constexpr std::chrono::seconds kArrive{5};
  const auto wait_for_the_end = [&](std::chrono::milliseconds at_most) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (connections_ != 0 && !at_once && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(kLook);
    }
  };
  draining_ = true;
  for (const auto& worker : workers_) worker->post([worker = worker.get()] { worker->drain(); });
  wait_for_the_end(timeout);
  for (const auto& worker : workers_) worker->post([worker = worker.get()] { worker->stop_all(); });
  wait_for_the_end(kArrive);
  for (const auto& worker : workers_) worker->post([worker = worker.get()] { worker->cut_all(); });
  // Frames that wait for the ledger or the shop have deadlines of their own.
  const auto last = std::chrono::steady_clock::now() + ledger::kDurableTimeout * 2;
  while (connections_ != 0 && std::chrono::steady_clock::now() < last) {
    std::this_thread::sleep_for(kLook);
  }
  for (const auto& worker : workers_) worker->stop();
}

}  // namespace tallygate::net
