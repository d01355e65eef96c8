// The answer to a good request: its head, and the bytes of the file behind it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/http/range.h"
#include "core/http/response_head.h"
#include "server/net/channel.h"
#include "server/transfer/delivery.h"

namespace tallygate::http {
class Connection;
}

namespace tallygate::transfer {

// Lives for one request; borrows the connection.
class Answer {
 public:
  Answer(http::Connection& connection, std::shared_ptr<const content::OpenFile> file)
      : connection_(connection), file_(std::move(file)) {}

  [[nodiscard]] Task<> send_not_modified() const;
  // HEAD: as GET without the body.
  [[nodiscard]] Task<> send_head_only() const;
  // Head and body of a small file that is in memory, in one send. Returns what the socket did not
  // take, for finish_small(); nullopt: nothing was done, stream() it.
  [[nodiscard]] std::optional<std::string_view> try_small(Delivery& delivery) const;
  [[nodiscard]] Task<> finish_small(std::string rest, Delivery& delivery) const;

 private:
  friend Task<> stream(http::Connection& connection, Delivery& delivery);
  [[nodiscard]] http::Representation representation() const;
  // Into the worker's scratch memory.
  [[nodiscard]] std::string_view write_head(const http::Multipart* parts) const;
  // Null: the answer has one part, or is the whole file.
  [[nodiscard]] std::unique_ptr<const http::Multipart> parts() const;
  // Of `leased` bytes from `at`, as much as is sent at a time.
  [[nodiscard]] std::size_t quantum(std::uint64_t leased) const;
  [[nodiscard]] bool is_hot(std::uint64_t at, std::uint64_t leased,
                            std::uint64_t& looked_upto) const;
  [[nodiscard]] net::Attempt send_hot(std::uint64_t at, std::uint64_t leased) const;
  [[nodiscard]] Task<net::Attempt> send_cold(std::uint64_t at, std::uint64_t leased) const;
  void set_pace() const;
  void end(Delivery& delivery, bool whole) const;

  http::Connection& connection_;
  std::shared_ptr<const content::OpenFile> file_;
};

// Head and body. A file that shrinks, a lease that is refused, or a peer that goes away ends the
// connection; nothing is padded.
[[nodiscard]] Task<> stream(http::Connection& connection, Delivery& delivery);

}  // namespace tallygate::transfer
