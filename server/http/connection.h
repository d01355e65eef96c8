// One connection: reads requests, has them served in order, and settles what its peer acknowledged.
//
// One coroutine for its whole life, on its worker's thread. The frame owns the Connection; when it
// ends, whichever way, every admission and file that it held has ended too.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "core/http/problem.h"
#include "core/http/request_check.h"
#include "core/http/request_head.h"
#include "core/http/response_head.h"
#include "core/link/verify.h"
#include "server/http/access_log.h"
#include "server/http/head_parser.h"
#include "server/net/worker.h"
#include "server/transfer/delivery.h"
#include "server/transfer/stream_position.h"

namespace tallygate::http {

class Connection {
 public:
  Connection(Socket socket, net::Worker& worker);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The coroutine of a connection, to be spawned.
  [[nodiscard]] static Task<> run(std::unique_ptr<Connection> connection);

  // -- for whoever serves a request
  [[nodiscard]] net::Worker& worker() { return worker_; }
  [[nodiscard]] const net::Services& services() const { return worker_.services(); }
  [[nodiscard]] int descriptor() { return socket_.native_handle(); }
  [[nodiscard]] const link::IpAddress& peer() const { return peer_; }
  [[nodiscard]] const std::string& client_text() const { return client_text_; }
  [[nodiscard]] link::Scratch& scratch() { return scratch_; }
  // What every answer says, for the request at hand.
  [[nodiscard]] Common common(const RequestHead& head);
  [[nodiscard]] transfer::StreamPosition& stream() { return stream_; }
  // Sends all of it; `more`: something follows at once (MSG_MORE). False: the connection is over.
  [[nodiscard]] Task<bool> send(std::string_view bytes, bool more);
  // Waits until the socket takes more. False: the connection is over, or the peer has acknowledged
  // nothing for send_timeout.
  [[nodiscard]] Task<bool> writable();
  // Bytes per second from here on, kept by the kernel; 0: as fast as it goes.
  void set_pace(std::uint64_t bytes_per_second);
  [[nodiscard]] bool is_paced() const { return paced_; }
  // Answers with a problem, as JSON or as a page. The reason is for the log; static text.
  [[nodiscard]] Task<> refuse(const RequestHead& head, const CheckedRequest& request,
                              Problem problem, std::string_view reason,
                              std::optional<std::uint64_t> file_size = std::nullopt);
  // A body begins: the connection settles it from now on, beyond the end of the answer. The
  // reference is good until the coroutine next reads a request.
  transfer::Delivery& deliver(std::unique_ptr<transfer::Delivery> delivery);
  // After this answer the connection is closed.
  void close_after_answer() { keep_alive_ = false; }
  // The connection is over: what is in flight cannot be finished.
  [[nodiscard]] bool is_over() const { return over_ || stopped_; }
  [[nodiscard]] AccessRecord& record() { return record_; }
  // Whose link it was, for the log.
  void note(const link::Grant& grant);

  // -- for its worker
  void on_tick(std::chrono::steady_clock::time_point now);
  void settle();
  void settle_link(const ledger::LinkKey& link, std::chrono::seconds stalled);
  void cut_link(const ledger::LinkKey& link);
  // Closes it if it is between two requests; otherwise after the answer at hand.
  void drain();
  // Sends no more; what is on its way may still arrive.
  void stop();
  // Ends it: what has not arrived never will.
  void cut();

 private:
  enum class Phase : std::uint8_t { idle, head, answering, lingering };

  Task<bool> serve_one();
  // True: a head is in the buffer, of head_bytes_.
  Task<bool> read_head(RequestHead& head);
  Task<bool> drop_body(std::size_t bytes);
  Task<std::size_t> receive(char* into, std::size_t bytes);
  Task<> answer_bad_head(Status status, std::string_view reason);
  Task<> linger();
  void enter(Phase phase, std::chrono::milliseconds timeout);
  void log_answer(std::string_view target);

  Socket socket_;
  net::Worker& worker_;
  net::Worker::Connections::iterator place_;
  link::IpAddress peer_;
  transfer::StreamPosition stream_;
  std::deque<std::unique_ptr<transfer::Delivery>> deliveries_;  // unsettled, oldest first
  std::uint64_t last_acknowledged_ = 0;
  std::chrono::steady_clock::time_point last_acknowledged_at_;

  std::string client_text_;  // as the log and the history show it

  Phase phase_ = Phase::idle;
  std::chrono::steady_clock::time_point deadline_;
  bool keep_alive_ = true;
  bool paced_ = false;
  bool over_ = false;
  bool stopped_ = false;
  bool timed_out_ = false;

  // The request at hand.
  std::size_t received_ = 0;    // bytes in buffer_
  std::size_t head_bytes_ = 0;  // of them, the head at its front
  std::array<char, kHeadBytesMax> buffer_;
  link::Scratch scratch_;
  AccessRecord record_;
  link::LinkId link_id_;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace tallygate::http
