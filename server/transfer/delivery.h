// One response body on its way: its flights in the ledger, what of it has left, what has arrived.
//
// Belongs to a connection and lives from the admission until the peer's TCP has acknowledged every
// byte, or the connection ends; whichever way it ends, the ledger is told. Worker's thread only.
#pragma once
#include <boost/container/small_vector.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/recycled.h"
#include "core/link/link_id.h"
#include "server/content/open_files.h"
#include "server/ledger/ledger.h"
#include "server/metrics/worker_counters.h"

namespace tallygate::transfer {

// Bytes that are leased at a time: a transfer holds at most two windows, and a crash puts at most
// that much of it in doubt.
[[nodiscard]] std::uint64_t lease_window(std::uint64_t file_size) noexcept;

class Delivery final : public Recycled<Delivery> {
 public:
  // `admission` is what the ledger gave for `spans`. `about` has all that is known at the start.
  // `parent`: the key of the folder's row, for a folder link; else the link's own. `room` and
  // `counters` are the worker's.
  Delivery(ledger::Ledger& ledger, ledger::WaitingRoom& room, const ledger::Admission& admission,
           std::string_view link_id, ledger::LinkKey parent,
           std::shared_ptr<const content::OpenFile> file, std::span<const ledger::Span> spans,
           ledger::TransferEnded about, const Clock& clock, metrics::WorkerCounters& counters);
  ~Delivery();  // as `end` with nothing more acknowledged
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  [[nodiscard]] const content::OpenFile& file() const { return *file_; }
  [[nodiscard]] const std::shared_ptr<const content::OpenFile>& shared_file() const {
    return file_;
  }
  [[nodiscard]] std::string_view link_id() const { return link_id_.view(); }
  // Which of its worker's transfers this is, from 1 on.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] std::chrono::steady_clock::time_point began_at() const { return began_at_; }
  [[nodiscard]] std::uint64_t bytes_total() const;
  [[nodiscard]] bool concerns(const ledger::LinkKey& link) const {
    return link == link_ || link == parent_;
  }

  // -- sending, part by part
  // The bytes of part `index` begin at this offset of the connection's stream.
  void begin_part(std::size_t index, std::uint64_t stream_offset);
  // How many bytes of the current part may leave now; 0: none before leased() says so.
  [[nodiscard]] std::uint64_t leased_now();
  // Waits until more of the current part is leased, and returns how many bytes of it may leave now;
  // 0: no lease was granted, the transfer ends.
  [[nodiscard]] Task<std::uint64_t> leased();
  // All that is leased of the current part has been sent: a good moment to settle.
  [[nodiscard]] bool at_window_end() const {
    return parts_[current_].position() == parts_[current_].upto;
  }
  void sent(std::uint64_t bytes);
  // All of the current part that stands before this offset of the stream has been sent.
  void sent_upto(std::uint64_t stream_offset);
  // Position in the file of the next byte to be sent.
  [[nodiscard]] std::uint64_t position() const { return parts_[current_].position(); }
  [[nodiscard]] bool part_sent() const;
  [[nodiscard]] std::uint64_t bytes_sent() const { return about_.bytes_sent; }
  // Nothing more will be sent; the rest is waiting for acknowledgement.
  void all_sent() { all_sent_ = true; }

  // -- settling
  // Tells the ledger what arrived. True: everything was sent and has arrived; this is over.
  bool settle(std::uint64_t acknowledged_offset) noexcept;
  // The connection ends: what left and was not acknowledged is traffic, not copies.
  void end(std::uint64_t acknowledged_offset) noexcept;

 private:
  struct Part {
    ledger::FlightRef flight;
    ledger::Span span;
    std::uint64_t stream_begin = 0;
    std::uint64_t sent = 0;
    std::uint64_t settled = 0;
    std::uint64_t upto = 0;  // leased and durable: file position
    bool begun = false;
    bool closed = false;
    [[nodiscard]] std::uint64_t position() const { return span.first + sent; }
    [[nodiscard]] std::uint64_t arrived(std::uint64_t acknowledged_offset) const;
  };
  void ask_ahead();
  void close(Part& part, std::uint64_t arrived);
  void completed(std::uint32_t copies);
  void tell_history();

  ledger::Ledger& ledger_;
  ledger::WaitingRoom& room_;
  const ledger::LinkKey link_;
  const link::LinkId link_id_;
  const ledger::LinkKey parent_;
  std::shared_ptr<const content::OpenFile> file_;
  const Clock& clock_;
  metrics::WorkerCounters& counters_;
  const std::uint64_t number_;
  const std::chrono::steady_clock::time_point began_at_;
  ledger::TransferEnded about_;
  boost::container::small_vector<Part, 1> parts_;
  std::size_t current_ = 0;
  std::uint64_t window_;
  std::optional<ledger::PendingLease> ahead_;  // asked for while the current window is being sent
  std::uint64_t ahead_upto_ = 0;
  bool all_sent_ = false;
  bool over_ = false;
};

}  // namespace tallygate::transfer
