// A worker: one thread, one io_context, its own listening sockets, and the connections it accepted.
//
// A connection never leaves its worker. All members are for the worker's own thread, except where
// they say otherwise; other threads come in through post().
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/config/settings.h"
#include "core/http/cors.h"
#include "core/http/date.h"
#include "core/http/mime.h"
#include "core/ledger/record.h"
#include "core/link/keyring.h"
#include "server/content/open_files.h"
#include "server/net/executor.h"
#include "server/net/listeners.h"

namespace tallygate {
namespace http {
class AccessLog;
class Connection;
}  // namespace http
namespace ledger {
class Ledger;
}
namespace shop {
class Sync;
}

namespace net {

class Workers;

// What all workers share. Made by main, outlives them; each part says itself that it is
// thread-safe.
struct Services {
  const config::Settings& settings;
  const Clock& clock;
  const content::ContentRoot& root;
  const http::MediaTypes& types;
  const http::CorsPolicy& cors;
  const link::Keyring& keyring;
  ledger::Ledger& ledger;
  shop::Sync* shop;  // null: there is none
  http::AccessLog& access_log;
};

class Worker {
 public:
  // How often what was sent and not settled is looked at, and deadlines are.
  static constexpr std::chrono::milliseconds kTick{100};

  Worker(const Services& services, Workers& workers);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes bound sockets, listens, and runs the thread.
  [[nodiscard]] error_code start(std::vector<BoundSocket> sockets);

  // -- any thread
  void post(std::function<void()> work);
  [[nodiscard]] const Services& services() const { return services_; }
  [[nodiscard]] Workers& workers() const { return workers_; }
  void stop();  // and waits for the thread

  // -- own thread
  [[nodiscard]] Executor executor() { return context_->get_executor(); }
  [[nodiscard]] content::OpenFiles& files() { return files_; }
  // Of the last tick; good for deadlines.
  [[nodiscard]] std::chrono::steady_clock::time_point coarse_now() const { return now_; }
  // For the Date field; made once a second.
  [[nodiscard]] std::string_view date();
  [[nodiscard]] bool draining() const { return draining_; }

  using Connections = std::list<http::Connection*>;
  [[nodiscard]] Connections::iterator enter(http::Connection& connection);
  void leave(Connections::iterator place);

  // Settles every transfer of the link, and cuts one whose peer has acknowledged nothing for
  // `stalled` (0: none is cut).
  void settle_link(const ledger::LinkKey& link, std::chrono::seconds stalled);
  // Ends every transfer of the link, or of a folder link's files.
  void cut_link(const ledger::LinkKey& link);
  // No new connections; idle ones are closed, the others after their answer.
  void drain();
  // Sends no more; what is on its way may still arrive.
  void stop_all();
  // Ends everything at once.
  void cut_all();

 private:
  Task<> accept(asio::basic_socket_acceptor<asio::ip::tcp, Executor>& acceptor);
  Task<> tick();

  const Services& services_;
  Workers& workers_;
  std::unique_ptr<asio::io_context> context_;  // ends first: frames in it use all the others
  content::OpenFiles files_;
  std::list<asio::basic_socket_acceptor<asio::ip::tcp, Executor>> acceptors_;
  Connections connections_;
  std::chrono::steady_clock::time_point now_;
  std::int64_t date_at_ = -1;
  http::DateText date_;
  bool draining_ = false;
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

  // Every worker settles the link's transfers; completes when all have. From a worker's coroutine.
  [[nodiscard]] Task<> settle_link(ledger::LinkKey link, std::chrono::seconds stalled);
  // The same for a thread that may wait; gives up after a second.
  void settle_link_and_wait(const ledger::LinkKey& link);
  void cut_link(const ledger::LinkKey& link);
  // Finishes what is running, within the timeout; then cuts it. Returns when all threads have
  // ended.
  void drain(std::chrono::milliseconds timeout, const std::atomic<bool>& at_once);

  // Admission of connections over all workers.
  [[nodiscard]] bool may_accept() const;
  void connection_opened() { ++connections_; }
  void connection_closed() { --connections_; }
  [[nodiscard]] std::uint32_t connections() const { return connections_; }

 private:
  const std::uint32_t connections_max_;
  std::atomic<std::uint32_t> connections_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace net
}  // namespace tallygate
