// The server, put together: makes the parts, hands them to each other, runs, drains.
//
// Threads: the caller's (waits for signals); one for each worker; the journal's; the shop's; the
// admin interface's; the access log's; the reloader's. Who touches what is said in each part's
// header.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/http/mime.h"
#include "server/admin/admin.h"
#include "server/command/configuration.h"
#include "server/command/predecessor.h"
#include "server/command/reloader.h"
#include "server/command/successor.h"
#include "server/content/root.h"
#include "server/http/access_log.h"
#include "server/ledger/ledger.h"
#include "server/net/policy.h"
#include "server/net/tls_contexts.h"
#include "server/net/worker.h"
#include "server/shop/sync.h"

namespace tallygate::command {

class ShopBridge;

struct Pulse {
  std::vector<std::uint64_t> worker_ticks;
  std::chrono::nanoseconds journal_busy_for{0};
};

class Application {
 public:
  // Everything that can fail fails here, before anything is served. The error is for the operator.
  // Sockets that were handed over are used instead of binding (listeners.h). With a predecessor
  // they come from there, and so does the ledger. `on_drain` is called, on the admin thread, when
  // somebody asks for the end there; empty: nobody can.
  [[nodiscard]] static Result<std::unique_ptr<Application>, std::string> start(
      Configuration configuration, const Clock& clock, net::HandedOver handed_over = {},
      std::function<void()> on_drain = {}, std::unique_ptr<Predecessor> predecessor = {});
  ~Application();  // drains at once
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  // Where it listens, with real ports ("127.0.0.1:8080").
  [[nodiscard]] const std::vector<std::string>& addresses() const { return addresses_; }
  [[nodiscard]] net::SharedPolicy policy() const { return policies_.current(); }
  // Asks for a reload and does not wait: the settings, the keyring and the certificates are read
  // again, from the file that the server was started with, and the workers go by them; or there is
  // a mistake in them, and nothing is changed. What came of it is said on standard error, then to
  // `answer` (on another thread; it may be empty) once all workers have heard. Requests that are
  // being answered keep what they began with. Any thread.
  void reload(Reloader::Answer answer);
  // Opens the access log's file anew, after it was renamed. The error is for the operator, and the
  // old one is written on.
  [[nodiscard]] Result<void, std::string> reopen_log() { return access_log_->reopen(); }
  // How often each worker has ticked, and how long the disk has not answered the journal: for
  // whoever watches that they move. Any thread, until drain().
  [[nodiscard]] Pulse pulse() const;
  // Starts a process that takes over and gives it all but the transfers in flight: those end here,
  // which is left to drain(). Who connects meanwhile waits for the new process to read the ledger.
  // The error is for the operator; this process serves on then. `may_wait`: Successor::start.
  // `on_passing` is told the new process's id before that one can serve.
  [[nodiscard]] Result<pid_t, std::string> hand_over(const std::function<bool()>& may_wait,
                                                     const std::function<void(pid_t)>& on_passing);
  // Finishes running transfers within drain_timeout, settles, syncs, tells the shop. `at_once` cuts
  // the waiting short. Idempotent.
  void drain(const std::atomic<bool>& at_once);

 private:
  Application(const Configuration& configuration, const Clock& clock);
  [[nodiscard]] Result<std::vector<net::SslContext>, std::string> make_contexts(
      const net::TlsCertificates& certificates);
  [[nodiscard]] std::string open_shop(const Configuration& configuration);
  // `handed_over`: the ledger's directory, if another process had it; `run_goes_on`: with its run.
  [[nodiscard]] std::string open_ledger(const Configuration& configuration, Descriptor handed_over,
                                        bool run_goes_on);
  // Both on the reloader's thread.
  [[nodiscard]] net::Reloaded do_reload();
  [[nodiscard]] std::vector<std::string> take_in(const Configuration& configuration);

  const Clock& clock_;
  const std::string file_;  // with the settings
  net::Policies policies_;
  std::unique_ptr<content::ContentRoot> root_;
  std::unique_ptr<http::MediaTypes> types_;
  std::unique_ptr<http::AccessLog> access_log_;
  std::unique_ptr<shop::Sync> sync_;      // null: no shop
  std::unique_ptr<Successor> successor_;  // hears what the ledger records, once it is there
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<Predecessor> predecessor_;  // tells the ledger what it still finishes
  disk::BlockingPool blocking_pool_;
  std::unique_ptr<net::Services> services_;
  std::shared_ptr<net::TlsTicketKeys> tickets_;  // survive a reload
  std::unique_ptr<net::Workers> workers_;
  std::unique_ptr<ShopBridge> bridge_;
  std::unique_ptr<Reloader> reloader_;
  std::unique_ptr<admin::Admin> admin_;
  std::vector<std::string> addresses_;
  bool drained_ = false;
};

}  // namespace tallygate::command
