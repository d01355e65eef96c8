// One connection: reads requests, has them served in order, and settles what its peer acknowledged.
//
// One coroutine for its whole life, on its worker's thread. The frame owns the Connection; when it
// ends, whichever way, every admission and file that it held has ended too.
#pragma once
#include <boost/container/small_vector.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/recycled.h"
#include "core/http/problem.h"
#include "core/http/response_head.h"
#include "server/http/access_log.h"
#include "server/http/request.h"
#include "server/net/address_counts.h"
#include "server/net/channel.h"
#include "server/net/worker.h"
#include "server/transfer/delivery.h"

namespace tallygate::http {

// Why a request is not answered with a file.
struct Refused {
  Problem problem;
  std::string_view reason;                 // for the log; static text
  std::optional<std::uint64_t> file_size;  // for 416 only
};

class Connection final : public net::Member, public Recycled<Connection> {
 public:
  // Answers that are not acknowledged yet; with so many the next request waits.
  static constexpr std::size_t kDeliveriesMax = 64;

  // `peer`: as accept() has told it; a socket that was reset meanwhile would not know. `place`:
  // its place among the connections of that address. `tls`: the context to speak TLS with, or null.
  // `proxied`: a header of the PROXY protocol comes before all else.
  Connection(Socket socket, const link::IpAddress& peer, net::AddressCounts::Place place,
             SSL_CTX* tls, bool proxied, net::Worker& worker);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The coroutine of a connection, to be spawned.
  [[nodiscard]] static Task<> run(std::unique_ptr<Connection> connection);

  // -- for whoever serves a request
  [[nodiscard]] net::Worker& worker() { return worker_; }
  [[nodiscard]] const net::Services& services() const { return worker_.services(); }
  // What was in force when the request at hand began: the same until its answer has been sent,
  // whatever is reloaded meanwhile. Between two requests it may be another one after every wait.
  [[nodiscard]] const net::Policy& policy() const { return *policy_; }
  // Who asks, by the word of trusted proxies: whom the link must be for, and whom log and history
  // name. The same until the answer has been sent.
  [[nodiscard]] const link::IpAddress& client() const { return client_; }
  [[nodiscard]] std::string_view client_text() const { return client_text_.view(); }
  // The request at hand; not once its body blocks.
  [[nodiscard]] Request& request() { return *request_; }
  // What every answer says, for the request at hand.
  [[nodiscard]] Common common() const;
  [[nodiscard]] net::Channel& channel() { return channel_; }
  // Sends what the socket takes at once, and returns the rest; nullopt: the connection is over.
  // `more`: something follows at once (MSG_MORE).
  [[nodiscard]] std::optional<std::string_view> try_send(std::string_view bytes, bool more);
  // Sends all of it. False: the connection is over.
  [[nodiscard]] Task<bool> send(std::string bytes, bool more);
  // Waits until the socket takes more. False: the connection is over, or the peer has acknowledged
  // nothing for send_timeout.
  [[nodiscard]] Task<bool> writable();
  // Hands the kernel what TLS has taken and kept. False: the connection is over.
  [[nodiscard]] Task<bool> flush();
  // Bytes per second from here on; 0: as fast as it goes.
  void set_pace(std::uint64_t bytes_per_second);
  // Answers with a problem, as JSON or as a page.
  [[nodiscard]] Task<> refuse(Refused refused);
  // A body begins: the connection settles it from now on, beyond the end of the answer. The
  // reference is good until the coroutine next reads a request.
  transfer::Delivery& deliver(std::unique_ptr<transfer::Delivery> delivery) noexcept;
  // A body is on its way and the client is slower than we are: lets go of the request's memory.
  void release_request();
  // After this answer the connection is closed.
  void close_after_answer() { keep_alive_ = false; }
  // The connection is over: what is in flight cannot be finished.
  [[nodiscard]] bool is_over() const { return over_ || stopped_; }
  void end_now() { over_ = true; }
  [[nodiscard]] AccessRecord& record() { return record_; }
  // Whose link it was, for the log: that of the request's grant.
  void note_grant();

  // -- for its worker
  // Another policy is in force: a connection with nothing on its way takes it up at once, any other
  // one with its next request.
  void hear_of_policy();
  // True: there is more to look at in the next tick.
  [[nodiscard]] bool on_tick(std::chrono::steady_clock::time_point now);
  void on_deadline(std::chrono::steady_clock::time_point now);
  void settle();
  void settle_link(const ledger::LinkKey& link, std::chrono::seconds stalled);
  void cut_link(const ledger::LinkKey& link);
  // Counts its transfers of `link` (empty: all), and describes up to `most` of them.
  void see_transfers(std::string_view link, std::size_t most, net::TransfersSeen& out) const;
  // Ends the connection if the transfer of that number is its own.
  bool cut_transfer(std::uint64_t number);
  // Its client may be about to be answered: a head is on its way, or it has only just come.
  [[nodiscard]] bool is_unanswered() const {
    return phase_ == Phase::head || (phase_ == Phase::idle && started_ == Time{});
  }
  // Closes it if it is between two requests; otherwise after the answer at hand.
  void drain();
  // Closes it if it has waited for a request for some time and nothing is on its way. Whether.
  bool make_room(std::chrono::steady_clock::time_point now);
  // Sends no more; what is on its way may still arrive.
  void stop();
  // Ends it: what has not arrived never will.
  void cut();

 private:
  enum class Phase : std::uint8_t { idle, head, answering, lingering };
  using Time = std::chrono::steady_clock::time_point;

  void follow_policy();
  Task<bool> read_proxy_header();
  Task<bool> handshake();
  void count_handshake(bool done);
  void find_client();
  void set_client(const link::IpAddress& client);
  Task<bool> serve_one();
  // True: a head is in the request.
  Task<bool> read_head();
  Task<bool> drop_body(std::size_t bytes);
  Task<bool> wait_for_acknowledgements();
  Task<std::size_t> receive(std::span<char> into);
  Task<> answer_bad_head(Status status, std::string_view reason);
  Task<> linger();
  Task<> arrive();
  void enter(Phase phase, std::chrono::milliseconds timeout);
  void set_deadline(Time deadline);
  void expire();
  [[nodiscard]] bool concerns(const ledger::LinkKey& link) const;
  [[nodiscard]] bool is_too_slow(Time now);
  void note_answer();

  net::Worker& worker_;
  net::SharedPolicy policy_;
  net::Channel channel_;
  link::IpAddress peer_;  // of the connection, by the word of a PROXY header where one is demanded
  net::AddressCounts::Place place_;  // among those of peer_
  link::IpAddress client_;           // of the request at hand; else of the one before it
  link::IpText client_text_;         // as the log and the history show it

  const bool is_proxied_;

  Phase phase_ = Phase::idle;
  bool keep_alive_ = true;
  bool over_ = false;
  bool stopped_ = false;
  bool timed_out_ = false;

  // What was sent and is not acknowledged, oldest first.
  boost::container::small_vector<std::unique_ptr<transfer::Delivery>, 1> deliveries_;
  std::uint64_t last_acknowledged_ = 0;
  Time last_acknowledged_at_;
  // Since when the peer owes acknowledgements without a gap, and what it had acknowledged then.
  Time owing_since_;
  std::uint64_t owing_from_ = 0;
  std::uint64_t pace_ = 0;  // bytes per second; 0: none

  // The request at hand.
  std::unique_ptr<Request> request_;
  AccessRecord record_;
  std::string log_texts_;  // what record_ views once the request is gone
  Time started_;
};

// Memory of a connection between two requests, or with a body on its way. The frames of its
// coroutines, what Asio keeps for its socket and what the allocator does not give back are
// measured.
inline constexpr std::size_t kConnectionBytes = sizeof(Connection) + sizeof(Request) + 12 * 512;
// The most that one can take: with the largest head, its texts for the log, an answer that the
// socket does not take, and all deliveries.
inline constexpr std::size_t kConnectionBytesMax =
    kConnectionBytes + 2 * kHeadBytesMax + sizeof(net::Scratch::answer) +
    Connection::kDeliveriesMax * sizeof(transfer::Delivery);

}  // namespace tallygate::http
