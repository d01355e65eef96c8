// The server, put together: makes the parts, hands them to each other, runs, drains.
//
// Threads: the caller's (waits for signals); one for each worker; the journal's; the shop's; the
// admin interface's; the access log's. Who touches what is said in each part's header.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/http/cors.h"
#include "core/http/mime.h"
#include "server/admin/admin.h"
#include "server/command/configuration.h"
#include "server/content/root.h"
#include "server/http/access_log.h"
#include "server/ledger/ledger.h"
#include "server/net/tls_contexts.h"
#include "server/net/worker.h"
#include "server/shop/sync.h"

namespace tallygate::command {

class ShopBridge;

class Application {
 public:
  // Everything that can fail fails here, before anything is served. The error is for the operator.
  [[nodiscard]] static Result<std::unique_ptr<Application>, std::string> start(
      Configuration configuration, const Clock& clock);
  ~Application();  // drains at once
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  // Where it listens, with real ports ("127.0.0.1:8080").
  [[nodiscard]] const std::vector<std::string>& addresses() const { return addresses_; }
  [[nodiscard]] const Configuration& configuration() const { return configuration_; }
  // Reads the files of [tls] again: connections from now on get what is in them, all others keep
  // what they began with. Mistakes change nothing; each is a line for the operator. The main
  // thread.
  [[nodiscard]] std::vector<std::string> reload_certificates();
  // Opens the access log's file anew, after it was renamed. The error is for the operator, and the
  // old one is written on.
  [[nodiscard]] Result<void, std::string> reopen_log() { return access_log_->reopen(); }
  // Finishes running transfers within drain_timeout, settles, syncs, tells the shop. `at_once` cuts
  // the waiting short. Idempotent.
  void drain(const std::atomic<bool>& at_once);

 private:
  explicit Application(Configuration configuration);
  [[nodiscard]] std::string use_certificates(const net::TlsCertificates& certificates);
  [[nodiscard]] std::string open_shop(const Clock& clock);
  [[nodiscard]] std::string open_ledger(const Clock& clock);

  Configuration configuration_;
  std::unique_ptr<content::ContentRoot> root_;
  std::unique_ptr<http::MediaTypes> types_;
  std::unique_ptr<http::CorsPolicy> cors_;
  std::unique_ptr<http::AccessLog> access_log_;
  std::unique_ptr<shop::Sync> sync_;  // null: no shop
  std::unique_ptr<ledger::Ledger> ledger_;
  disk::BlockingPool blocking_pool_;
  std::unique_ptr<net::Services> services_;
  std::shared_ptr<net::TlsTicketKeys> tickets_;  // survive a reload
  std::unique_ptr<net::Workers> workers_;
  std::unique_ptr<ShopBridge> bridge_;
  std::unique_ptr<admin::Admin> admin_;
  std::vector<std::string> addresses_;
  bool drained_ = false;
};

}  // namespace tallygate::command
