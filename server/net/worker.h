// A worker: one thread, one io_context, its own listening sockets, and the connections it accepted.
//
// A connection never leaves its worker. All members are for the worker's own thread, except where
// they say otherwise; other threads come in through post().
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/http/content_disposition.h"
#include "core/http/date.h"
#include "core/http/mime.h"
#include "core/http/response_head.h"
#include "core/ledger/record.h"
#include "core/link/ip_block.h"
#include "core/link/verify.h"
#include "server/content/open_files.h"
#include "server/disk/blocking_pool.h"
#include "server/disk/cold_reader.h"
#include "server/disk/off_loop.h"
#include "server/disk/stall_histogram.h"
#include "server/metrics/worker_counters.h"
#include "server/net/address_counts.h"
#include "server/net/deadlines.h"
#include "server/net/executor.h"
#include "server/net/listeners.h"
#include "server/net/member.h"
#include "server/net/policy.h"
#include "server/net/tls_buffers.h"
#include "server/net/tls_handles.h"

namespace tallygate {
namespace http {
class AccessLog;
class Connection;
}  // namespace http
namespace ledger {
class Ledger;
class WaitingRoom;
}  // namespace ledger
namespace shop {
class Sync;
}

namespace net {

class Workers;

// A response body in flight, as an operator sees it.
struct TransferSeen {
  std::uint32_t worker = 0;
  std::uint64_t number = 0;  // of its worker's transfers since the start; never used again
  std::string link_id;
  std::string path;
  std::string client;  // as the log shows it
  std::chrono::steady_clock::time_point started_at;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_total = 0;
  bool is_tls = false;
};

struct TransfersSeen {
  std::uint64_t total = 0;  // that are of the link asked for
  std::vector<TransferSeen> transfers;
};

// What all workers share. Made by main, outlives them; each part says itself that it is
// thread-safe.
struct Services {
  Policies& policies;  // a worker has the one in force at hand, see Worker::policy
  const Clock& clock;
  const content::ContentRoot& root;
  const http::MediaTypes& types;
  ledger::Ledger& ledger;
  shop::Sync* shop;  // null: there is none
  http::AccessLog& access_log;
  disk::BlockingPool& blocking_pool;
};

// Memory for what is made and used up between two suspensions of a coroutine.
struct Scratch {
  static constexpr std::size_t kSmallBodyBytes = 8 * 1024;  // sent in one piece with their head
  link::Scratch link;
  std::array<char, http::kResponseHeadBytesMax + kSmallBodyBytes> answer;
  std::array<char, http::kContentDispositionBytesMax> disposition;
};

class Worker {
 public:
  // How often what was sent and not settled is looked at, and deadlines are.
  static constexpr std::chrono::milliseconds kTick{100};

  // One of `threads` workers, which share what the process may have.
  Worker(const Services& services, Workers& workers, unsigned threads);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes bound sockets, listens, and runs the thread.
  [[nodiscard]] error_code start(std::vector<BoundSocket> sockets);

  // -- any thread
  void post(std::function<void()> work);
  [[nodiscard]] const Services& services() const { return services_; }
  [[nodiscard]] Workers& workers() const { return workers_; }
  // What is counted here; written by its own thread.
  [[nodiscard]] metrics::WorkerCounters& counters() { return counters_; }
  [[nodiscard]] const metrics::WorkerCounters& counters() const { return counters_; }
  [[nodiscard]] const content::OpenFiles::Counters& file_counters() const {
    return files_.counters();
  }
  [[nodiscard]] const disk::ColdReader::Counters& cold_counters() const {
    return cold_reader_->counters();
  }
  // How often it has ticked: stands still when the loop does.
  [[nodiscard]] std::uint64_t ticks() const { return ticks_.load(std::memory_order_relaxed); }
  void stop();  // and waits for the thread
  [[nodiscard]] bool is_stopped() const { return context_->stopped(); }

  // -- own thread
  [[nodiscard]] Executor executor() { return context_->get_executor(); }
  [[nodiscard]] content::OpenFiles& files() { return files_; }
  // Reads what is not in memory.
  [[nodiscard]] disk::ColdReader& cold_reader() { return *cold_reader_; }
  // Calls that might block are timed with it; any thread may read it.
  [[nodiscard]] disk::StallHistogram& stalls() { return stalls_; }
  [[nodiscard]] const disk::StallHistogram& stalls() const { return stalls_; }
  // What is in force. A request that waits for something keeps its own: Connection::policy.
  [[nodiscard]] const SharedPolicy& policy() const { return policy_; }
  // From now on; transfers that are running keep what they began with. Connections that come in on
  // TLS sockets get `tls`; null: what they got before.
  void use(SharedPolicy policy, SslContext tls);
  [[nodiscard]] TlsBuffers& tls_buffers() { return tls_buffers_; }
  // True for the first one who asks in this turn of the loop.
  [[nodiscard]] bool is_first_in_turn();
  // Where coroutines wait for the ledger's disk.
  [[nodiscard]] ledger::WaitingRoom& room() { return *room_; }
  // Of the last tick; good for deadlines.
  [[nodiscard]] std::chrono::steady_clock::time_point coarse_now() const { return now_; }
  // For the Date field; made once a second.
  [[nodiscard]] std::string_view date();
  [[nodiscard]] bool draining() const { return draining_; }
  // New connections wait for a place, or for a descriptor: whoever keeps one that he does not use
  // is to give it up. Of the last tick.
  [[nodiscard]] bool is_short_of_room() const;
  // A place among the connections of that address. nullopt: it has as many as it may have, which is
  // counted. Trusted proxies speak for many and need none.
  [[nodiscard]] std::optional<AddressCounts::Place> find_place(const link::IpAddress& address);

  [[nodiscard]] Scratch& scratch() { return *scratch_; }
  [[nodiscard]] Deadlines& deadlines() { return deadlines_; }

  void enter(Member& connection);
  void leave(Member& connection);
  // It is asked in every tick, until it says that there is nothing more to look at.
  void watch(Member& connection);

  // Settles every transfer of the link, and cuts one whose peer has acknowledged nothing for
  // `stalled` (0: none is cut).
  void settle_link(const ledger::LinkKey& link, std::chrono::seconds stalled);
  // Ends every transfer of the link, or of a folder link's files.
  void cut_link(const ledger::LinkKey& link);
  // Adds this worker's transfers: of `link`, or of all if it is empty. At most `most` of them are
  // described, the longest-running ones.
  void see_transfers(std::string_view link, std::size_t most, TransfersSeen& out);
  // Ends the transfer's connection. False: there is no such transfer.
  bool cut_transfer(std::uint64_t number);
  // Accepts no more. The sockets go on listening until all copies of them are closed: who connects
  // meanwhile waits for whoever accepts next.
  [[nodiscard]] std::vector<BoundSocket> give_up_sockets();
  // Connections whose first request, or the next one, is on its way to us or may be.
  [[nodiscard]] std::size_t unanswered();
  // No new connections; idle ones are closed, the others after their answer.
  void drain();
  // Sends no more; what is on its way may still arrive.
  void stop_all();
  // Ends everything at once.
  void cut_all();

 private:
  struct Acceptor {
    asio::basic_socket_acceptor<asio::ip::tcp, Executor> socket;
    bool is_tls;
    bool is_proxied;
  };
  Task<> accept(Acceptor& acceptor);
  // There are descriptors left that are for connections. Asked when they are nearly used up.
  [[nodiscard]] bool has_descriptors(Acceptor& acceptor) const;
  void serve(Socket socket, const asio::ip::tcp::endpoint& peer, const Acceptor& acceptor);
  // Closes connections that wait for their next request, some in each tick.
  void make_room();
  void set_user_timeouts();
  Task<> tick();
  template <class F>
  void each_connection(F&& f);

  const Services& services_;
  Workers& workers_;
  SharedPolicy policy_;  // with a count of this worker's own
  // ~Worker ends these before all the others, which frames in them use: first the room and who
  // waits in it, then what reads from disks, then the rest of the frames.
  std::unique_ptr<asio::io_context> context_;
  std::unique_ptr<ledger::WaitingRoom> room_;
  std::unique_ptr<disk::OffLoop> off_loop_;
  std::unique_ptr<disk::ColdReader> cold_reader_;
  disk::StallHistogram stalls_;
  metrics::WorkerCounters counters_;
  content::OpenFiles files_;
  TlsBuffers tls_buffers_;
  SslContext tls_;  // null: no TLS
  std::list<Acceptor> acceptors_;
  int descriptors_below_;               // core/net/capacity.h
  bool descriptors_are_tight_ = false;  // the last connection got none of these
  std::chrono::steady_clock::time_point now_;
  Deadlines deadlines_;
  MemberList<EveryConnection> connections_;
  MemberList<WatchedConnection> watched_;
  const std::unique_ptr<Scratch> scratch_ = std::make_unique<Scratch>();
  std::int64_t date_at_ = -1;
  http::DateText date_;
  std::atomic<std::uint64_t> ticks_{0};
  bool draining_ = false;
  bool turn_has_one_ = false;
  std::thread thread_;
};

// All workers of the process. Made and ended by main; any thread may ask.
class Workers {
 public:
  Workers(const Services& services, unsigned threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Begins to serve. Empty: done; else why not, for the operator.
  [[nodiscard]] std::string start(Listeners listeners);

  [[nodiscard]] std::size_t size() const { return workers_.size(); }
  [[nodiscard]] const Worker& at(std::size_t index) const { return *workers_[index]; }
  // Has every worker use both, see Worker::use: one context for each, or none at all. Also before
  // start(). A worker does so when it comes by; wait_until_heard() waits for that.
  void use(const SharedPolicy& policy, std::vector<SslContext> tls);
  // Waits until every worker has done what it was asked until now, five seconds at most. Not from a
  // worker.
  void wait_until_heard();

  // Every worker settles the link's transfers; completes when all have. From a worker's coroutine.
  [[nodiscard]] Task<> settle_link(ledger::LinkKey link, std::chrono::seconds stalled);
  // The same for a thread that may wait; gives up after a second.
  void settle_link_and_wait(const ledger::LinkKey& link);
  void cut_link(const ledger::LinkKey& link);
  // Transfers are cut in another process as well. Before anybody cuts.
  void cut_elsewhere_too(std::function<void(const ledger::LinkKey&)> cut) {
    cut_elsewhere_ = std::move(cut);
  }
  // The transfers of `link`, or of all links if it is empty; the longest-running first, at most
  // `most`. `callback` runs on a worker's thread; it is not called if a worker has ended.
  void see_transfers(std::string link, std::size_t most,
                     std::function<void(TransfersSeen)> callback);
  // See Worker::cut_transfer. `worker` may be any number.
  void cut_transfer(std::uint32_t worker, std::uint64_t number, std::function<void(bool)> callback);
  // The same for all workers; see Worker. Another process takes over, so idle connections are
  // closed once those have been answered that had something to ask, as far as `at_most` allows.
  [[nodiscard]] std::vector<BoundSocket> give_up_sockets();
  void close_idle(std::chrono::milliseconds at_most);
  // Finishes what is running, within the timeout; then cuts it. Returns when all threads have
  // ended.
  void drain(std::chrono::milliseconds timeout, const std::atomic<bool>& at_once);

  // Admission of connections over all workers. At most one more for each listening socket is let
  // in than there may be: those that wait on them at the moment.
  [[nodiscard]] bool may_accept() const;
  // Somebody waits who may not be accepted, or cannot. Holds for some ticks.
  void ask_for_room(std::chrono::steady_clock::time_point now);
  [[nodiscard]] bool is_short_of_room(std::chrono::steady_clock::time_point now) const;
  [[nodiscard]] AddressCounts& address_counts() { return address_counts_; }
  // That a connection of the address was closed; said once a minute. `client`: as the log shows it.
  void note_full_address(std::string_view client, std::uint32_t most);
  void connection_opened() { ++connections_; }
  void connection_closed() { --connections_; }
  [[nodiscard]] std::uint32_t connections() const { return connections_; }
  [[nodiscard]] std::uint32_t connections_max() const { return connections_max_; }
  // Unix seconds.
  [[nodiscard]] std::int64_t started_at() const { return started_at_; }
  // The end has begun: no new connections. Any thread.
  [[nodiscard]] bool is_draining() const { return draining_; }

 private:
  // What each worker returns for `f(worker)`, on its own thread; not from a worker.
  template <class F>
  auto ask_each(F f);

  using Ticks = std::chrono::steady_clock::rep;

  AddressCounts address_counts_;  // all connections end before it does
  std::atomic<Ticks> short_of_room_until_{0};
  std::atomic<Ticks> full_address_said_{0};
  std::atomic<std::uint32_t> connections_max_;
  std::atomic<std::uint32_t> connections_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
  const std::int64_t started_at_ = system_clock().unix_now();
  std::atomic<bool> draining_{false};
  std::function<void(const ledger::LinkKey&)> cut_elsewhere_;
};

}  // namespace net
}  // namespace tallygate
