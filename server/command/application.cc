#include "server/command/application.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "server/command/progress.h"

namespace tallygate::command {
namespace {

void note(const std::string& line) {
  fmt::print(stderr, "tallygate: {}\n", line);
}

constexpr const char* kMediaTypesFile = "/etc/mime.types";

}  // namespace

// What the shop says goes to the ledger, and a revocation to the transfers that are running.
class ShopBridge final : public shop::LedgerPort {
 public:
  ShopBridge(ledger::Ledger& ledger, net::Workers& workers, bool cut_on_revoke)
      : ledger_(ledger), workers_(workers), cut_on_revoke_(cut_on_revoke) {}

  bool knows(std::string_view link_id) override { return ledger_.knows(link_id); }
  void apply_word(std::string_view link_id, const shop::Word& word) override {
    ledger_.hear(link_id, word, false);
    if (!shop::is_active(word)) cut(link_id);
  }
  void row_gone(std::string_view link_id) override {
    if (ledger_.row_gone(link_id)) cut(link_id);
  }
  void row_acknowledged(std::string_view link_id) override { ledger_.row_acknowledged(link_id); }
  bool make_durable() override { return ledger_.flush(); }

 private:
  void cut(std::string_view link_id) {
    if (cut_on_revoke_) workers_.cut_link(ledger::link_key(link_id));
  }

  ledger::Ledger& ledger_;
  net::Workers& workers_;
  const bool cut_on_revoke_;
};

Application::Application(Configuration configuration) : configuration_(std::move(configuration)) {}

std::string Application::open_shop(const Clock& clock) {
  const auto& settings = configuration_.settings;
  if (settings.shop.url.empty()) return {};
  auto database = shop::make_database(settings, configuration_.shop_password);
  if (!database) return "shop.url: " + database.error().text;
  auto outbox = shop::Outbox::open(settings.ledger.dir + "/outbox.db", clock, {});
  if (!outbox) return "the outbox in " + settings.ledger.dir + ": " + outbox.error().text;
  if ((*outbox)->lineage() != shop::Lineage::own) {
    return "ledger.dir " + settings.ledger.dir +
           ((*outbox)->lineage() == shop::Lineage::backup
                ? " is a backup that was restored"
                : " is older than what the shop was told in its name") +
           ": run `tallygate ledger adopt` with these settings before the server starts, so that "
           "no copy is given again";
  }
  shop::ExchangeOptions exchange;
  exchange.on_first_scan = [progress = std::make_shared<Progress>()](auto rows) {
    rows ? progress->count("shop: first scan", *rows, "rows") : progress->end();
  };
  exchange.edge_id = settings.shop.edge_id;
  exchange.poll = settings.shop.poll;
  sync_ = std::make_unique<shop::Sync>(std::move(*outbox), std::move(*database), clock, exchange);
  return {};
}

std::string Application::open_ledger(const Clock& clock) {
  const auto& settings = configuration_.settings;
  auto directory = ledger::open_directory(settings.ledger.dir, true);
  if (!directory) return "ledger.dir " + settings.ledger.dir + ": " + directory.error().message();
  // Locked before the outbox is touched, so that a second server changes nothing.
  if (const error_code ec = (*directory)->lock()) {
    return "ledger.dir " + settings.ledger.dir + ": " +
           (ec == boost::system::errc::operation_would_block ? "in use by another tallygate"
                                                             : ec.message());
  }
  if (std::string wrong = open_shop(clock); !wrong.empty()) return wrong;
  ledger::Ledger::Options options;
  options.waste_permille = settings.metering.waste_permille;
  options.keep_expired =
      std::chrono::duration_cast<std::chrono::seconds>(settings.metering.keep_expired);
  ledger::Journal::Follower follower;
  if (sync_) {
    options.follower_cursor = [sync = sync_.get()] { return sync->consumed_seq(); };
    follower = [sync = sync_.get()](std::vector<ledger::Event> events) {
      sync->on_events(std::move(events));
    };
  }
  auto ledger =
      ledger::Ledger::open(std::move(*directory), options, clock, std::move(follower), note);
  if (!ledger) return "ledger.dir " + settings.ledger.dir + ": " + ledger.error();
  ledger_ = std::move(*ledger);
  return {};
}

std::string Application::use_certificates(const net::TlsCertificates& certificates) {
  std::vector<net::SslContext> contexts;
  for (unsigned i = 0; i < workers_->size(); ++i) {
    auto context = net::make_tls_context(certificates, tickets_);
    if (!context) return "tls: " + context.error();
    contexts.push_back(std::move(*context));
  }
  workers_->use_tls(std::move(contexts));
  return {};
}

std::vector<std::string> Application::reload_certificates() {
  const config::Settings& settings = configuration_.settings;
  if (!settings.tls.is_on()) return {};
  const auto certificates = net::load_certificates(settings.tls);
  if (!certificates) return certificates.error();
  if (std::string wrong = use_certificates(*certificates); !wrong.empty()) return {wrong};
  return {};
}

Result<std::unique_ptr<Application>, std::string> Application::start(Configuration configuration,
                                                                     const Clock& clock) {
  std::unique_ptr<Application> app(new Application(std::move(configuration)));
  const auto& settings = app->configuration_.settings;
  const unsigned threads = settings.server.threads != 0
                               ? settings.server.threads
                               : std::max(1u, std::thread::hardware_concurrency());

  // The ports first: a server that cannot have them leaves no trace.
  auto listeners = net::bind_listeners(settings, threads);
  if (!listeners) return listeners.error();
  app->addresses_ = listeners->addresses;

  auto root = content::ContentRoot::open(settings.content.root);
  if (!root) return root.error();
  app->root_ = std::make_unique<content::ContentRoot>(std::move(*root));
  const auto types = read_file(kMediaTypesFile);
  app->types_ = std::make_unique<http::MediaTypes>(types ? *types : std::string());
  app->cors_ = std::make_unique<http::CorsPolicy>(settings.content.cors_origins);
  auto log = http::AccessLog::open(settings.log.access);
  if (!log) return log.error();
  app->access_log_ = std::move(*log);
  if (std::string wrong = app->open_ledger(clock); !wrong.empty()) return wrong;

  app->services_ = std::make_unique<net::Services>(net::Services{
      settings, clock, *app->root_, *app->types_, *app->cors_, *app->configuration_.keyring,
      *app->ledger_, app->sync_.get(), *app->access_log_, app->blocking_pool_});
  app->workers_ = std::make_unique<net::Workers>(*app->services_, threads);
  if (const auto& certificates = app->configuration_.certificates) {
    app->tickets_ = std::make_shared<net::TlsTicketKeys>(clock);
    if (std::string wrong = app->use_certificates(*certificates); !wrong.empty()) return wrong;
  }
  auto admin = admin::Admin::start(*app->services_, *app->workers_);
  if (!admin) return admin.error();
  app->admin_ = std::move(*admin);
  if (app->sync_) {
    app->bridge_ = std::make_unique<ShopBridge>(*app->ledger_, *app->workers_,
                                                settings.shop.on_revoke == config::OnRevoke::cut);
    app->sync_->start(*app->bridge_);
  }
  if (std::string wrong = app->workers_->start(std::move(*listeners)); !wrong.empty()) {
    return wrong;
  }
  return app;
}

Application::~Application() {
  const std::atomic<bool> at_once{true};
  drain(at_once);
}

void Application::drain(const std::atomic<bool>& at_once) {
  if (drained_) return;
  drained_ = true;
  if (workers_) {
    workers_->drain(configuration_.settings.server.drain_timeout, at_once);
    // Nobody waits for the journal any more; what it has yet to write belongs to the shop too.
    static_cast<void>(ledger_->flush());
  }
  if (sync_) sync_->stop();  // answers whoever still asks, the admin interface among them
  admin_.reset();
  workers_.reset();  // its frames may still tell the ledger something
  ledger_.reset();
}

}  // namespace tallygate::command
