// The process that takes over from this one: a new binary, or the same one started anew.
//
// It is a child of ours, and we talk through a pair of sockets (handover.h): it says when it could
// serve; we give it the listening sockets and the ledger; from then on it serves, and we only tell
// it what becomes of the transfers that we still finish.
#pragma once
#include <sys/types.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "core/ledger/record.h"
#include "server/net/descriptor.h"
#include "server/net/listeners.h"

namespace tallygate::command {

class Successor {
 public:
  // Starts `serve --config FILE` of the program that lies now where ours was started from, and
  // waits until it could serve: its settings, keys and certificates are read by then. `terms` must
  // be the same on both sides (handover_terms). `may_wait` is asked several times a second; false
  // gives up. The error is for the operator; the child has ended then, and nothing has changed
  // here.
  [[nodiscard]] static Result<std::unique_ptr<Successor>, std::string> start(
      const std::string& settings_file, std::string_view terms,
      const std::function<bool()>& may_wait);
  ~Successor();  // tells what waits, two minutes at most
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  [[nodiscard]] pid_t process_id() const { return process_id_; }
  // It owns them all from now on. `directory`: the ledger's, whose lock it thereby holds.
  // `run_goes_on`: see Ledger::Options::continues. `cut` is called, on a thread of our own, for a
  // link whose transfers are to end, until hear_no_more(). False: it has ended.
  [[nodiscard]] bool give(const std::vector<net::BoundSocket>& sockets, int directory,
                          bool run_goes_on, std::function<void(const ledger::LinkKey&)> cut);
  void hear_no_more();
  // Any thread; does not wait. For Journal::Successor.
  void tell(std::string_view records);

 private:
  Successor(pid_t process_id, Descriptor channel);
  void run();
  void hear();

  const pid_t process_id_;
  const Descriptor channel_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::string waiting_;  // frames
  bool ending_ = false;
  std::thread thread_;
  std::function<void(const ledger::LinkKey&)> cut_;
  std::thread hearing_;
};

}  // namespace tallygate::command
