#include "server/command/application.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "core/config/combination.h"
#include "core/config/reload.h"
#include "server/command/handover.h"
#include "server/command/progress.h"
#include "server/net/room.h"
#include "server/net/say.h"

namespace tallygate::command {
namespace {

void note(const std::string& line) {
  say(Severity::warning, line);
}

constexpr const char* kMediaTypesFile = "/etc/mime.types";

// The first of a start; `before` is what a reload replaces.
net::SharedPolicy make_policy(const Configuration& configuration, const Clock& clock,
                              const net::Policy* before) {
  auto policy = std::make_shared<net::Policy>();
  policy->loaded_at = clock.unix_now();
  policy->settings = configuration.settings;
  if (before != nullptr) {
    policy->generation = before->generation + 1;
    policy->settings = config::after_reload(before->settings, configuration.settings);
    policy->restart_needed = config::needing_restart(before->settings, configuration.settings);
  }
  policy->keyring = configuration.keyring;
  policy->admin_token = configuration.admin_token;
  policy->cors = http::CorsPolicy(policy->settings.content.cors_origins);
  for (const std::string& text : policy->settings.server.trusted_proxies) {
    if (const auto block = link::IpBlock::parse(text)) policy->trusted_proxies.push_back(*block);
  }
  return policy;
}

void say_shortage(const net::Room& room) {
  const std::string shortage = net::describe_shortage(room);
  if (!shortage.empty()) say(Severity::warning, shortage);
}

std::chrono::seconds keep_expired(const config::Settings& settings) {
  return std::chrono::duration_cast<std::chrono::seconds>(settings.metering.keep_expired);
}

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

Application::Application(const Configuration& configuration, const Clock& clock)
    : clock_(clock),
      file_(configuration.file),
      policies_(make_policy(configuration, clock, nullptr)) {}

std::string Application::open_shop(const Configuration& configuration) {
  const auto& settings = configuration.settings;
  if (settings.shop.url.empty()) return {};
  auto database = shop::make_database(settings, configuration.shop_password);
  if (!database) return "shop.url: " + database.error().text;
  auto outbox = shop::Outbox::open(settings.ledger.dir + "/outbox.db", clock_, {});
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
  exchange.keep_history =
      std::chrono::duration_cast<std::chrono::seconds>(settings.shop.keep_history);
  sync_ = std::make_unique<shop::Sync>(std::move(*outbox), std::move(*database), clock_, exchange);
  return {};
}

std::string Application::open_ledger(const Configuration& configuration, Descriptor handed_over,
                                     bool run_goes_on) {
  const auto& settings = configuration.settings;
  Result<std::unique_ptr<ledger::Directory>> directory =
      handed_over ? ledger::use_directory(std::move(handed_over))
                  : ledger::open_directory(settings.ledger.dir, true);
  if (!directory) return "ledger.dir " + settings.ledger.dir + ": " + directory.error().message();
  // Locked before the outbox is touched, so that a second server changes nothing.
  if (const error_code ec = (*directory)->lock()) {
    return "ledger.dir " + settings.ledger.dir + ": " +
           (ec == boost::system::errc::operation_would_block ? "in use by another tallygate"
                                                             : ec.message());
  }
  if (std::string wrong = open_shop(configuration); !wrong.empty()) return wrong;
  ledger::Ledger::Options options;
  options.waste_permille = settings.metering.waste_permille;
  options.keep_expired = keep_expired(settings);
  options.continues = run_goes_on;
  ledger::Journal::Follower follower;
  if (sync_) {
    options.follower_cursor = [sync = sync_.get()] { return sync->consumed_seq(); };
    follower = [sync = sync_.get()](std::vector<ledger::Event> events) {
      sync->on_events(std::move(events));
    };
  }
  auto ledger =
      ledger::Ledger::open(std::move(*directory), options, clock_, std::move(follower), note);
  if (!ledger) return "ledger.dir " + settings.ledger.dir + ": " + ledger.error();
  ledger_ = std::move(*ledger);
  return {};
}

Result<std::vector<net::SslContext>, std::string> Application::make_contexts(
    const net::TlsCertificates& certificates) {
  std::vector<net::SslContext> contexts;
  for (unsigned i = 0; i < workers_->size(); ++i) {
    auto context = net::make_tls_context(certificates, tickets_);
    if (!context) return "tls: " + context.error();
    contexts.push_back(std::move(*context));
  }
  return contexts;
}

// Whatever may fail comes first. Returns what did.
std::vector<std::string> Application::take_in(const Configuration& configuration) {
  const net::SharedPolicy before = policies_.current();
  const net::SharedPolicy policy = make_policy(configuration, clock_, before.get());
  std::vector<std::string> mistakes;
  for (const config::Clash& clash : config::find_clashes(policy->settings)) {
    mistakes.push_back(fmt::format("{}: {}: {} (what needs a restart is as it was before)", file_,
                                   clash.name, clash.wrong.what));
  }
  std::vector<net::SslContext> contexts;
  if (policy->settings.tls.is_on() && configuration.certificates) {
    auto made = make_contexts(*configuration.certificates);
    if (made) {
      contexts = std::move(*made);
    } else {
      mistakes.push_back(made.error());
    }
  }
  if (!mistakes.empty()) return mistakes;

  policies_.replace(policy);
  ledger_->use(policy->settings.metering.waste_permille, keep_expired(policy->settings));
  workers_->use(policy, std::move(contexts));
  workers_->wait_until_heard();
  say_shortage(net::find_room(policy->settings, static_cast<unsigned>(workers_->size())));
  return {};
}

void Application::reload(Reloader::Answer answer) {
  reloader_->ask(std::move(answer));
}

net::Reloaded Application::do_reload() {
  net::Reloaded reloaded;
  if (auto configuration = load_configuration(file_, Purpose::serving)) {
    for (const std::string& line : configuration->warnings) {
      say(Severity::warning, "warning: " + line);
    }
    reloaded.mistakes = take_in(*configuration);
  } else {
    reloaded.mistakes = configuration.error();
  }
  const net::SharedPolicy now = policies_.current();
  reloaded.generation = now->generation;
  if (!reloaded.mistakes.empty()) {
    reloaded.outcome = net::Reloaded::Outcome::refused;
    policies_.note_failure(clock_.unix_now(), reloaded.mistakes);
    print_mistakes(reloaded.mistakes);
    say(Severity::error, "not reloaded: what was in force before still is");
    return reloaded;
  }
  reloaded.restart_needed = now->restart_needed;
  for (const std::string& name : reloaded.restart_needed) {
    say(Severity::warning, name + ": what it was changed to takes effect at the next start");
  }
  say(Severity::info, fmt::format("reloaded, generation {}", reloaded.generation));
  return reloaded;
}

Result<std::unique_ptr<Application>, std::string> Application::start(
    Configuration configuration, const Clock& clock, net::HandedOver handed_over,
    std::function<void()> on_drain, std::unique_ptr<Predecessor> predecessor) {
  std::unique_ptr<Application> app(new Application(configuration, clock));
  const auto& settings = configuration.settings;
  const unsigned threads = settings.server.threads != 0
                               ? settings.server.threads
                               : std::max(1u, std::thread::hardware_concurrency());

  const net::Room room = net::find_room(settings, threads);
  if (std::string wrong = net::why_too_small(room); !wrong.empty()) return wrong;
  auto root =
      content::ContentRoot::open(settings.content.root, net::descriptors_below(room.descriptors));
  if (!root) return root.error();
  app->root_ = std::make_unique<content::ContentRoot>(std::move(*root));
  const auto types = read_file(kMediaTypesFile);
  app->types_ = std::make_unique<http::MediaTypes>(types ? *types : std::string());

  Predecessor::Given given;
  if (predecessor) {
    auto taken = predecessor->take(handover_terms(settings));
    if (!taken) return taken.error();
    given = std::move(*taken);
    handed_over = std::move(given.sockets);
  }
  // The ports before all that is written: a server that cannot have them leaves no trace.
  auto listeners = net::bind_listeners(settings, threads, std::move(handed_over));
  if (!listeners) return listeners.error();
  app->addresses_ = listeners->addresses;
  auto log = http::AccessLog::open(settings.log);
  if (!log) return log.error();
  app->access_log_ = std::move(*log);
  if (std::string wrong =
          app->open_ledger(configuration, std::move(given.directory), given.run_goes_on);
      !wrong.empty()) {
    return wrong;
  }

  app->services_ = std::make_unique<net::Services>(
      net::Services{app->policies_, clock, *app->root_, *app->types_, *app->ledger_,
                    app->sync_.get(), *app->access_log_, app->blocking_pool_});
  app->workers_ = std::make_unique<net::Workers>(*app->services_, threads);
  if (predecessor) {
    app->workers_->cut_elsewhere_too(
        [before = predecessor.get()](const ledger::LinkKey& link) { before->cut(link); });
  }
  if (const auto& certificates = configuration.certificates) {
    app->tickets_ = std::make_shared<net::TlsTicketKeys>(clock);
    auto contexts = app->make_contexts(*certificates);
    if (!contexts) return contexts.error();
    app->workers_->use(app->policies_.current(), std::move(*contexts));
  }
  app->reloader_ = std::make_unique<Reloader>([whole = app.get()] { return whole->do_reload(); });
  auto admin = admin::Admin::start({.services = *app->services_,
                                    .workers = *app->workers_,
                                    .drain = std::move(on_drain),
                                    .reload = [whole = app.get()](Reloader::Answer answer) {
                                      whole->reload(std::move(answer));
                                    }});
  if (!admin) return admin.error();
  app->admin_ = std::move(*admin);
  if (!app->admin_->address().empty()) {
    say(Severity::info, fmt::format("admin interface on http://{}/", app->admin_->address()));
  }
  if (app->sync_) {
    app->bridge_ = std::make_unique<ShopBridge>(*app->ledger_, *app->workers_,
                                                settings.shop.on_revoke == config::OnRevoke::cut);
    app->sync_->start(*app->bridge_);
  }
  if (std::string wrong = app->workers_->start(std::move(*listeners)); !wrong.empty()) {
    return wrong;
  }
  if (predecessor) {
    app->predecessor_ = std::move(predecessor);
    app->predecessor_->follow(*app->ledger_);
  }
  say(Severity::info, net::describe(room));
  say_shortage(room);
  return app;
}

Pulse Application::pulse() const {
  Pulse pulse;
  for (std::size_t i = 0; i < workers_->size(); ++i) {
    pulse.worker_ticks.push_back(workers_->at(i).ticks());
  }
  pulse.journal_busy_for = ledger_->journal_busy_for();
  return pulse;
}

Result<pid_t, std::string> Application::hand_over(const std::function<bool()>& may_wait,
                                                  const std::function<void(pid_t)>& on_passing) {
  // Connections that have something to ask, or have only just come, are answered here.
  constexpr std::chrono::milliseconds kFirstAnswers{300};
  if (predecessor_ && !predecessor_->has_ended()) {
    return std::string("the process before this one still finishes its transfers");
  }
  if (std::string wrong = ledger_->failure(); !wrong.empty()) {
    return "the ledger cannot be handed over: " + wrong;
  }
  auto successor = Successor::start(file_, handover_terms(policies_.current()->settings), may_wait);
  if (!successor) return successor.error();
  successor_ = std::move(*successor);

  // From here on there is no way back.
  const std::vector<net::BoundSocket> sockets = workers_->give_up_sockets();
  workers_->close_idle(kFirstAnswers);
  reloader_->stop();
  admin_->stop();
  if (sync_) sync_->hand_over();
  if (!ledger_->hand_over([next = successor_.get()](auto records) { next->tell(records); })) {
    say(Severity::error, "not all of the ledger could be written: " + ledger_->failure());
  }
  on_passing(successor_->process_id());
  if (!successor_->give(sockets, ledger_->directory(), ledger_->has_begun_run(),
                        [this](const ledger::LinkKey& link) { workers_->cut_link(link); })) {
    say(Severity::error, "the new process has ended before it could serve");
  }
  ledger_->let_go();
  return successor_->process_id();
}

Application::~Application() {
  const std::atomic<bool> at_once{true};
  drain(at_once);
}

void Application::drain(const std::atomic<bool>& at_once) {
  if (drained_) return;
  drained_ = true;
  if (workers_) {
    workers_->drain(policies_.current()->settings.server.drain_timeout, at_once);
    // Nobody waits for the journal any more; what it has yet to write belongs to the shop too.
    static_cast<void>(ledger_->flush());
  }
  // Both answer whoever still asks, the admin interface among them.
  if (sync_) sync_->stop();
  if (reloader_) reloader_->stop();
  if (admin_) admin_->stop();
  predecessor_.reset();
  if (successor_) successor_->hear_no_more();
  workers_.reset();  // its frames may still tell the ledger something, what is posted the admin
  admin_.reset();
  ledger_.reset();
  successor_.reset();  // told to the end
}

}  // namespace tallygate::command
