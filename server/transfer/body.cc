#include "server/transfer/body.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "core/http/multipart.h"
#include "server/http/connection.h"

namespace tallygate::transfer {
namespace {

// One sendfile: large enough that the system call costs nothing, small enough that a worker is back
// in its loop within a fraction of a millisecond.
constexpr std::uint64_t kQuantumBytes = 512 * 1024;
// Up to here a body goes out with its head in one send: a system call less than sendfile.
constexpr std::uint64_t kSmallBodyBytes = 8 * 1024;

http::Boundary random_boundary() {
  static thread_local std::random_device device;  // getrandom(2)
  const auto random = [] { return std::uint64_t{device()} << 32 | device(); };
  const std::uint64_t high = random();
  return http::make_boundary(high, random());
}

}  // namespace

Answer::Answer(http::Connection& connection, const http::RequestHead& head,
               const link::Grant& grant, std::shared_ptr<const content::OpenFile> file)
    : connection_(connection), head_(head), grant_(grant), file_(std::move(file)) {
  const bool attach =
      connection.services().settings.content.disposition == config::Disposition::attachment;
  disposition_ = http::write_content_disposition(
      disposition_space_, attach ? http::Disposition::attachment : http::Disposition::inline_,
      grant.file_name);
}

http::Representation Answer::representation() const {
  http::Representation r;
  r.size = file_->version.size;
  r.etag = file_->etag.view();
  r.last_modified = file_->last_modified_text.view();
  r.content_type = file_->content_type;
  r.content_disposition = disposition_;
  return r;
}

std::string_view Answer::write_head(const http::Selection& selection, const http::Multipart* parts,
                                    Space& space) const {
  const http::Common common = connection_.common(head_);
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

Task<> Answer::send_not_modified() const {
  Space space;
  const auto head = http::write_not_modified(space, connection_.common(head_), representation());
  connection_.record().status = http::code(http::Status::not_modified);
  static_cast<void>(co_await connection_.send(head, false));
}

Task<> Answer::send_head_only(const http::Selection& selection) const {
  Space space;
  const auto head = write_head(selection, nullptr, space);
  connection_.record().body_length = 0;
  static_cast<void>(co_await connection_.send(head, false));
}

Task<> Answer::stream(const http::Selection& selection, Delivery& delivery) const {
  set_pace();
  Space space;
  std::string_view head;
  bool whole = false;
  const std::uint64_t begin = connection_.stream().written();
  if (selection.is_multipart()) {
    const http::Multipart parts(selection, file_->version.size, file_->content_type,
                                random_boundary());
    head = write_head(selection, &parts, space);
    whole = co_await send_multipart(head, parts, delivery);
  } else {
    head = write_head(selection, nullptr, space);
    if (selection.file_bytes() <= kSmallBodyBytes) {
      whole = co_await send_small(head, delivery);
    } else {
      whole = co_await send_plain(head, delivery);
    }
  }
  const std::uint64_t written = connection_.stream().written() - begin;
  connection_.record().body_bytes = written - std::min<std::uint64_t>(written, head.size());
  if (whole) {
    delivery.all_sent();
    connection_.settle();
  } else {
    connection_.close_after_answer();  // short of its Content-Length: the client knows to resume
  }
}

// The link's rate is the kernel's to keep; a later request on the connection may have another.
void Answer::set_pace() const {
  if (grant_.bytes_per_second == 0 && !connection_.is_paced()) return;
  connection_.set_pace(grant_.bytes_per_second);
}

// Head and body in one buffer. The lease was granted with the admission.
Task<bool> Answer::send_small(std::string_view head, Delivery& delivery) const {
  std::array<char, http::kResponseHeadBytesMax + kSmallBodyBytes> buffer;
  std::memcpy(buffer.data(), head.data(), head.size());
  delivery.begin_part(0, connection_.stream().written() + head.size());
  const auto wanted = static_cast<std::size_t>(co_await delivery.leased());
  ssize_t n = 0;
  do {
    n = ::pread(file_->descriptor.get(), buffer.data() + head.size(), wanted,
                static_cast<off_t>(delivery.position()));
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(wanted)) {
    connection_.worker().files().forget(grant_.path);
    co_return false;
  }
  const std::uint64_t before = connection_.stream().written();
  const bool sent = co_await connection_.send({buffer.data(), head.size() + wanted}, false);
  const std::uint64_t written = connection_.stream().written() - before;
  delivery.sent(written > head.size() ? written - head.size() : 0);
  co_return sent&& delivery.part_sent();
}

Task<bool> Answer::send_plain(std::string_view head, Delivery& delivery) const {
  const bool head_sent = co_await connection_.send(head, true);
  if (!head_sent) co_return false;
  delivery.begin_part(0, connection_.stream().written());
  const bool sent = co_await send_part(delivery);
  co_return sent;
}

Task<bool> Answer::send_multipart(std::string_view head, const http::Multipart& parts,
                                  Delivery& delivery) const {
  bool sent = co_await connection_.send(head, true);
  std::array<char, http::kPartOverheadBytesMax> space;
  for (std::size_t i = 0; sent && i < parts.spans().size(); ++i) {
    sent = co_await connection_.send(parts.part_head(i, space), true);
    if (!sent) break;
    delivery.begin_part(i, connection_.stream().written());
    sent = co_await send_part(delivery);
  }
  if (sent) sent = co_await connection_.send(parts.closing(space), false);
  co_return sent;
}

// The bytes of the current part, by sendfile, in quanta, a lease ahead of them.
Task<bool> Answer::send_part(Delivery& delivery) const {
  while (!delivery.part_sent()) {
    if (delivery.at_window_end()) connection_.settle();
    const std::uint64_t leased = co_await delivery.leased();
    if (leased == 0 || connection_.is_over()) co_return false;
    auto offset = static_cast<off_t>(delivery.position());
    const auto quantum = static_cast<std::size_t>(std::min(leased, kQuantumBytes));
    const ssize_t n =
        ::sendfile(connection_.descriptor(), file_->descriptor.get(), &offset, quantum);
    if (n > 0) {
      const auto bytes = static_cast<std::uint64_t>(n);
      connection_.stream().wrote(bytes);
      delivery.sent(bytes);
      if (bytes == quantum) {
        // A fast client never makes us wait; the others on this worker get their turn here.
        co_await asio::post(connection_.worker().executor(), asio::use_awaitable_t<Executor>{});
        continue;
      }
    } else if (n == 0) {
      connection_.worker().files().forget(grant_.path);  // it has shrunk
      co_return false;
    } else if (errno == EINTR) {
      continue;
    } else if (errno != EAGAIN) {
      if (errno == EIO) connection_.worker().files().forget(grant_.path);
      co_return false;
    }
    const bool ready = co_await connection_.writable();
    if (!ready) co_return false;
  }
  co_return true;
}

}  // namespace tallygate::transfer
