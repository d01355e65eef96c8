#include "server/transfer/body.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <chrono>
#include <random>
#include <utility>

#include "core/http/multipart.h"
#include "server/http/connection.h"

namespace tallygate::transfer {
namespace {

using End = net::Attempt::End;

// Up to here a body goes out with its head in one send: a system call less than sendfile.
constexpr std::uint64_t kSmallBodyBytes = net::Scratch::kSmallBodyBytes;

// What is read from the disk at a time. While a pipe is emptied into a socket the others wait: less
// is better for them, more for the disk.
constexpr std::size_t kColdBytes = 512 * 1024;

// A sendfile that takes longer, and slept, has waited for the disk, whatever the look at its pages
// said: then the file is read through the cold path for a while.
constexpr std::chrono::milliseconds kStall{2};
constexpr std::chrono::seconds kColdFor{1};
// A disk that gives nothing for so long ends the transfer, which can be resumed.
constexpr std::chrono::seconds kReadTimeout{30};

// How often this thread has given up its core to wait for something; that others took it away does
// not count.
long sleeps() {
  rusage used{};
  ::getrusage(RUSAGE_THREAD, &used);
  return used.ru_nvcsw;
}

std::string part_head(const http::Multipart& parts, std::size_t index) {
  std::array<char, http::kPartOverheadBytesMax> space;
  return std::string(parts.part_head(index, space));
}

std::string closing(const http::Multipart& parts) {
  std::array<char, http::kPartOverheadBytesMax> space;
  return std::string(parts.closing(space));
}

http::Boundary random_boundary() {
  static thread_local std::random_device device;  // getrandom(2)
  const auto random = [] { return std::uint64_t{device()} << 32 | device(); };
  const std::uint64_t high = random();
  return http::make_boundary(high, random());
}

}  // namespace

// -- heads --------------------------------------------------------------------------------------

http::Representation Answer::representation() const {
  http::Representation r;
  r.size = file_->version.size;
  r.etag = file_->etag.view();
  r.last_modified = file_->last_modified_text.view();
  r.content_type = file_->content_type;
  const bool attach =
      connection_.policy().settings.content.disposition == config::Disposition::attachment;
  r.content_disposition = http::write_content_disposition(
      connection_.worker().scratch().disposition,
      attach ? http::Disposition::attachment : http::Disposition::inline_,
      connection_.request().grant.file_name);
  return r;
}

std::string_view Answer::write_head(const http::Multipart* parts) const {
  const http::Selection& selection = connection_.request().selection;
  auto& space = connection_.worker().scratch().answer;
  const http::Common common = connection_.common();
  http::AccessRecord& record = connection_.record();
  if (selection.kind() == http::Selection::Kind::whole) {
    record.status = http::code(http::Status::ok);
    record.body_length = file_->version.size;
    return http::write_whole(space, common, representation());
  }
  record.status = http::code(http::Status::partial_content);
  if (parts != nullptr) {
    record.body_length = parts->content_length();
    return http::write_multipart(space, common, representation(), *parts);
  }
  record.body_length = selection.file_bytes();
  return http::write_range(space, common, representation(), selection.spans().front());
}

std::unique_ptr<const http::Multipart> Answer::parts() const {
  const http::Selection& selection = connection_.request().selection;
  if (!selection.is_multipart()) return nullptr;
  return std::make_unique<http::Multipart>(selection, file_->version.size, file_->content_type,
                                           random_boundary());
}

Task<> Answer::send_not_modified() const {
  const auto head = http::write_not_modified(connection_.worker().scratch().answer,
                                             connection_.common(), representation());
  connection_.record().status = http::code(http::Status::not_modified);
  static_cast<void>(co_await connection_.send(std::string(head), false));
}

Task<> Answer::send_head_only() const {
  const auto head = write_head(nullptr);
  connection_.record().body_length = 0;
  static_cast<void>(co_await connection_.send(std::string(head), false));
}

// -- bodies -------------------------------------------------------------------------------------

// The link's rate is the kernel's to keep; a later request on the connection may have another.
void Answer::set_pace() const {
  connection_.set_pace(connection_.request().grant.bytes_per_second);
}

void Answer::end(Delivery& delivery, bool whole) const {
  auto& sent = connection_.record().body_bytes;
  sent = std::max(sent, delivery.bytes_sent());  // several parts have heads besides
  if (whole) {
    // What has arrived is looked at with the next request, or in the next tick.
    delivery.all_sent();
  } else {
    connection_.close_after_answer();  // short of its Content-Length: the client knows to resume
  }
}

std::optional<std::string_view> Answer::try_small(Delivery& delivery) const {
  const http::Selection& selection = connection_.request().selection;
  if (selection.is_multipart() || selection.file_bytes() > kSmallBodyBytes) return std::nullopt;
  auto& space = connection_.worker().scratch().answer;
  const std::string_view head = write_head(nullptr);
  const auto wanted = static_cast<std::size_t>(selection.file_bytes());
  if (wanted != 0) {
    const ssize_t n =
        disk::read_now(file_->file_system, file_->descriptor.get(),
                       {space.data() + head.size(), wanted}, selection.spans().front().first);
    if (n != static_cast<ssize_t>(wanted)) return std::nullopt;
  }
  set_pace();
  delivery.begin_part(0, connection_.channel().written() + head.size());
  // The first lease, of a MiB at least, came with the admission.
  TALLYGATE_ASSERT(delivery.leased_now() == wanted);
  const auto rest = connection_.try_send({space.data(), head.size() + wanted}, false);
  delivery.sent_upto(connection_.channel().written());
  if (!rest || rest->empty()) end(delivery, rest.has_value());
  return rest.value_or(std::string_view());
}

Task<> Answer::finish_small(std::string rest, Delivery& delivery) const {
  const bool sent = co_await connection_.send(std::move(rest), false);
  delivery.sent_upto(connection_.channel().written());
  end(delivery, sent);
}

// One coroutine for all of it, since this is where slow clients wait: its frame, and those of the
// connection, are held for each of them.
Task<> stream(http::Connection& connection, Delivery& delivery) {
  const Answer answer(connection, delivery.shared_file());
  const auto several = answer.parts();
  net::Channel& channel = connection.channel();
  answer.set_pace();
  channel.set_corked(true);
  const auto rest = connection.try_send(answer.write_head(several.get()), true);
  bool goes_on = rest.has_value();
  if (goes_on && !rest->empty()) goes_on = co_await connection.send(std::string(*rest), true);
  const std::uint64_t begin = channel.written();
  std::uint64_t looked_upto = UINT64_MAX;  // the last page before it was in memory a moment ago
  const std::size_t parts = several ? several->spans().size() : 1;
  for (std::size_t i = 0; goes_on && i < parts; ++i) {
    if (several) goes_on = co_await connection.send(part_head(*several, i), true);
    if (!goes_on) break;
    delivery.begin_part(i, channel.written());
    // In quanta, a lease ahead of them.
    while (goes_on && !delivery.part_sent()) {
      if (delivery.at_window_end()) connection.settle();
      std::uint64_t leased = delivery.leased_now();
      if (leased == 0) leased = co_await delivery.leased();
      goes_on = leased != 0 && !connection.is_over();
      if (!goes_on) break;
      net::Attempt attempt;
      if (answer.is_hot(delivery.position(), leased, looked_upto)) {
        attempt = answer.send_hot(delivery.position(), leased);
      } else {
        attempt = co_await answer.send_cold(delivery.position(), leased);
      }
      delivery.sent_upto(channel.written());
      if (attempt.end == End::closed || attempt.end == End::failed) {
        // The file has shrunk, or cannot be read; or the peer is gone.
        const bool is_file = attempt.error != EPIPE && attempt.error != ECONNRESET;
        if (is_file) connection.worker().files().forget(delivery.file());
        goes_on = false;
      } else if (attempt.end == End::blocked) {
        connection.release_request();
        goes_on = co_await connection.writable();
        if (goes_on && channel.has_kept()) goes_on = co_await connection.flush();
      } else if (!delivery.part_sent() || i + 1 < parts) {
        // A fast client never makes us wait; the others on this worker get their turn here.
        co_await asio::post(connection.worker().executor(), asio::use_awaitable_t<Executor>{});
      }
    }
  }
  if (several) {
    if (goes_on) goes_on = co_await connection.send(closing(*several), false);
    connection.record().body_bytes = channel.written() - begin;
  }
  channel.set_corked(false);
  answer.end(delivery, goes_on);
}

std::size_t Answer::quantum(std::uint64_t leased) const {
  return static_cast<std::size_t>(std::min<std::uint64_t>(leased, connection_.channel().quantum()));
}

// Its first and last byte are looked at: what lies between came with them, as a rule. Where it did
// not, the stall is seen by send_hot().
bool Answer::is_hot(std::uint64_t at, std::uint64_t leased, std::uint64_t& looked_upto) const {
  using disk::Residency;
  const int file = file_->descriptor.get();
  const disk::FileSystem& on = file_->file_system;
  const std::uint64_t upto = at + quantum(leased);
  const bool hot = connection_.worker().coarse_now() >= file_->cold_until &&
                   (at == looked_upto || disk::look(on, file, at) == Residency::hot) &&
                   disk::look(on, file, upto - 1) == Residency::hot;
  if (hot) looked_upto = upto;
  return hot;
}

net::Attempt Answer::send_hot(std::uint64_t at, std::uint64_t leased) const {
  net::Worker& worker = connection_.worker();
  const long sleeps_before = sleeps();
  const disk::Timed timed(worker.stalls());
  const net::Attempt attempt =
      connection_.channel().send_file(file_->descriptor.get(), at, quantum(leased));
  if (timed.elapsed() > kStall && sleeps() != sleeps_before) {
    file_->cold_until = worker.coarse_now() + kColdFor;
  }
  return attempt;
}

Task<net::Attempt> Answer::send_cold(std::uint64_t at, std::uint64_t leased) const {
  const std::size_t bytes = std::min(quantum(leased), kColdBytes);
  auto filled = co_await connection_.worker().cold_reader().fill(
      file_, file_->descriptor.get(), file_->file_system, at, bytes, kReadTimeout);
  if (connection_.is_over()) co_return net::Attempt{0, End::closed, EPIPE};
  if (filled.error != 0) co_return net::Attempt{0, End::failed, filled.error};
  if (filled.bytes == 0) co_return net::Attempt{0, End::closed, 0};
  // A pipe is held for this one attempt. What the socket does not take is let go with it: the pages
  // are in memory now, and a slow client keeps no pipe from others.
  co_return connection_.channel().send_pipe(filled.pipe.reading(), filled.bytes);
}

}  // namespace tallygate::transfer
