// The process that this one takes over from (see successor.h): where it is started as such, its
// parent. Until take() it serves; behind take() this one does, and it tells what becomes of the
// transfers that it still finishes.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/base/result.h"
#include "server/ledger/ledger.h"
#include "server/net/descriptor.h"
#include "server/net/handed_over.h"

namespace tallygate::command {

class Predecessor {
 public:
  // Null: nobody did. Before any thread is started, and once: it takes the variable out of the
  // environment.
  [[nodiscard]] static std::unique_ptr<Predecessor> find();
  ~Predecessor();  // hears no more: what is not settled then will be in doubt
  Predecessor(const Predecessor&) = delete;
  Predecessor& operator=(const Predecessor&) = delete;

  struct Given {
    net::HandedOver sockets;
    Descriptor directory;  // the ledger's, locked
    bool run_goes_on = false;
  };
  // Says that all is ready, and waits for what is to be taken over; for as long as the other
  // process lives. `terms`: see Successor::start. The error is for the operator.
  [[nodiscard]] Result<Given, std::string> take(std::string_view terms);
  // On a thread of its own: what the other process tells goes to `ledger`, and when it has ended,
  // its transfers that it has not settled are in doubt. `ledger` is borrowed for life.
  void follow(ledger::Ledger& ledger);
  // Has it end the link's transfers. Any thread.
  void cut(const ledger::LinkKey& link);
  // Any thread.
  [[nodiscard]] bool has_ended() const { return ended_; }

 private:
  explicit Predecessor(Descriptor channel) : channel_(std::move(channel)) {}
  void run(ledger::Ledger& ledger);

  const Descriptor channel_;
  std::mutex sending_;
  std::atomic<bool> ended_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace tallygate::command
