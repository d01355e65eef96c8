#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "server/admin/client.h"
#include "server/command/commands.h"
#include "server/command/configuration.h"
#include "server/command/exit_code.h"
#include "server/command/terminal.h"
#include "server/top/screen.h"

namespace tallygate::command {
namespace {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds kEvery{1};
constexpr const char* kTransfers = "/v1/transfers?limit=200";
constexpr char kControlC = 3;
constexpr char kControlL = 12;  // draw it all anew

// Asks the server and keeps what it said. Everything happens on the context's thread.
class Watcher {
 public:
  Watcher(asio::io_context& context, std::string socket)
      : context_(context), socket_(std::move(socket)) {}

  // One look; `done` when the view has changed.
  void look(std::function<void()> done) {
    done_ = std::move(done);
    began_ = Steady::now();
    ask("/v1/live", [this](const std::string& body) { take_live(body); });
  }
  [[nodiscard]] Steady::time_point began() const { return began_; }

  // The seconds without an answer grow by themselves.
  [[nodiscard]] const top::View& view() {
    if (!view_.trouble.empty()) {
      view_.lost_seconds =
          std::chrono::duration_cast<std::chrono::seconds>(Steady::now() - lost_at_).count();
    }
    return view_;
  }

 private:
  void ask(const std::string& target, std::function<void(const std::string&)> then) {
    admin::ask_admin(context_, socket_, "GET", target, {},
                     [this, target, then = std::move(then)](admin::ClientResult answer) {
                       if (!answer) return lose(answer.error());
                       // Health says why it has failed with a status that is no success.
                       const bool fine = answer->status == 200 || target == "/healthz";
                       if (!fine) return lose(fmt::format("{}: status {}", target, answer->status));
                       then(answer->body);
                     });
  }

  void lose(const std::string& trouble) {
    if (view_.trouble.empty()) lost_at_ = began_;
    view_.trouble = trouble;
    view_.rates.reset();
    view_.history.add_hole();
    done_();
  }

  void take_live(const std::string& body) {
    auto live = top::read_live(body);
    if (!live) return lose(live.error());
    next_ = std::move(*live);
    ask(kTransfers, [this](const std::string& text) { take_transfers(text); });
  }

  void take_transfers(const std::string& body) {
    auto transfers = top::read_transfers(body);
    if (!transfers) return lose(transfers.error());
    view_.rates = view_.any ? top::rates_between(view_.live, next_) : std::nullopt;
    view_.live = std::move(next_);
    view_.transfers = std::move(*transfers);
    view_.history.add(view_.live, view_.rates);
    view_.any = true;
    view_.trouble.clear();
    view_.reasons.clear();
    const bool well = view_.live.status == "ok" || view_.live.status == "draining";
    if (well) return done_();
    ask("/healthz", [this](const std::string& text) {
      view_.reasons = top::read_reasons(text);
      done_();
    });
  }

  asio::io_context& context_;
  const std::string socket_;
  std::function<void()> done_;
  Steady::time_point began_{};
  Steady::time_point lost_at_{};
  top::Live next_{};
  top::View view_{};
};

// -- one plain block

int print_once(const std::string& socket) {
  asio::io_context context{1};
  Watcher watcher(context, socket);
  asio::steady_timer timer(context);
  // Rates need two looks.
  watcher.look([&] {
    if (!watcher.view().trouble.empty()) return;
    timer.expires_after(kEvery);
    timer.async_wait([&](boost::system::error_code) { watcher.look([] {}); });
  });
  context.run();
  const top::View& view = watcher.view();
  if (!view.trouble.empty()) {
    fmt::print(stderr, "tallygate: {}\n", view.trouble);
    return kFailed;
  }
  for (const top::Line& line : top::draw(view, {}, top::Glyphs::unicode)) {
    fmt::print("{}\n", line.text);
  }
  return kDone;
}

// -- on a terminal

class Screen {
 public:
  explicit Screen(const std::string& socket) : watcher_(context_, socket) {}

  void run() {
    signals_.add(SIGWINCH);
    keys_.assign(STDIN_FILENO);
    wait_for_keys();
    wait_for_signals();
    draw();
    look();
    context_.run();
    keys_.release();
  }

 private:
  void draw() { terminal_.show(top::draw(watcher_.view(), terminal_.size(), glyphs_)); }

  void look() {
    watcher_.look([this] {
      draw();
      timer_.expires_at(std::max(watcher_.began() + kEvery, Steady::now()));
      timer_.async_wait([this](boost::system::error_code ec) {
        if (!ec) look();
      });
    });
  }

  void wait_for_keys() {
    keys_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [this](boost::system::error_code ec) {
                       if (!ec && !is_end(terminal_.read_keys())) return wait_for_keys();
                       context_.stop();
                     });
  }

  bool is_end(const std::string& keys) {
    if (keys.find(kControlL) != std::string::npos) draw();
    return keys.empty() || keys.find_first_of("qQ") != std::string::npos ||
           keys.find(kControlC) != std::string::npos;
  }

  void wait_for_signals() {
    signals_.async_wait([this](boost::system::error_code ec, int signal) {
      if (ec) return;
      if (signal != SIGWINCH) return context_.stop();
      draw();
      wait_for_signals();
    });
  }

  const top::Glyphs glyphs_ = Terminal::glyphs();
  asio::io_context context_{1};
  asio::steady_timer timer_{context_};
  asio::posix::stream_descriptor keys_{context_};
  asio::signal_set signals_{context_, SIGINT, SIGTERM, SIGHUP};
  Watcher watcher_;
  Terminal terminal_;
};

int run_top(const std::string& config, bool once) {
  const auto socket = read_admin_socket(config);
  if (!socket) {
    print_mistakes(socket.error());
    return kSettings;
  }
  if (once || !Terminal::is_there()) return print_once(*socket);
  Screen(*socket).run();
  return kDone;
}

}  // namespace

void add_top(CLI::App& app, int& exit_code) {
  struct Options {
    std::string config;
    bool once = false;
  };
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "top", "watch the running server: throughput, transfers, refusals, fsync times, shop lag");
  command->add_option("--config", o->config, "settings (TOML), which name its admin socket")
      ->required();
  command->add_flag("--once", o->once,
                    "print it once and end, as it does where there is no terminal");
  command->footer("Keys: q or Ctrl-C ends it. NO_COLOR in the environment: no colours.");
  command->callback([o, &exit_code] { exit_code = run_top(o->config, o->once); });
}

}  // namespace tallygate::command
