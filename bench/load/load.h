// The ways in which a client can be a burden: connections that each ask for the next thing at once,
// connections made anew for each request, one transfer for each connection, requests at a fixed
// rate, and customers that take next to nothing.
#pragma once
#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "bench/load/connection.h"
#include "bench/load/latencies.h"
#include "bench/load/requests.h"

namespace tallygate::load {

enum class Mode : std::uint8_t {
  keep_alive,  // the next request as soon as an answer is complete
  new_each,    // a connection for each request; the server closes it
  once,        // one request for each connection; ends early when all are answered
  probe,       // `rate` requests a second, whether or not the last was answered
  slow,        // each connection reads the head and then nothing, until the end
};

struct Plan {
  Mode mode = Mode::keep_alive;
  std::size_t connections = 1;
  std::chrono::nanoseconds window{};
  std::uint64_t requests_max = 0;  // 0: as many as the window takes
  double rate = 0;
  bool each_once = false;  // ends when every request was sent once
};

struct Report {
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;  // of bodies
  std::uint64_t resumed = 0;
  double seconds = 0;
  Latencies latencies;
};

class Load {
 public:
  // Makes the connections, except where making them is what is measured.
  Load(const Plan& plan, const Endpoint& endpoint, Requests& requests);

  // Runs the window. Connections are closed at its end; those of slow customers live on.
  [[nodiscard]] Report run();

 private:
  using Event = Connection::Event;
  static constexpr int kEventsMax = 128;

  [[nodiscard]] bool connects_in_the_window() const {
    return plan_.mode == Mode::new_each || plan_.mode == Mode::slow;
  }
  void open(std::size_t index);
  void open_and_ask(std::size_t index);
  void establish();
  void begin();
  [[nodiscard]] bool is_over(Clock::time_point now) const;
  void wait_for_events();
  void handle(std::size_t index);
  void answered(std::size_t index);
  void ask_next(std::size_t index, Clock::time_point since);
  void tick();
  void finish();

  const Plan plan_;
  Endpoint endpoint_;
  Requests& requests_;
  Descriptor epoll_;
  Descriptor timer_;  // of the probe
  std::vector<Connection> connections_;
  std::array<::epoll_event, kEventsMax> events_{};

  Report report_;
  Clock::time_point begin_;
  Clock::time_point end_;
  Clock::time_point last_event_;
  std::size_t opened_ = 0;                 // or asked for the first time
  std::size_t done_ = 0;                   // connections with nothing more to do
  bool is_exhausted_ = false;              // no request is left
  std::deque<std::size_t> idle_;           // of the probe: connections, and
  std::deque<Clock::time_point> overdue_;  // requests that found none of them free
};

}  // namespace tallygate::load
