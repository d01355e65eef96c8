// The answer to a good request: its head, and the bytes of the file behind it.
#pragma once
#include <array>
#include <memory>
#include <string_view>

#include "core/http/range.h"
#include "core/http/request_head.h"
#include "core/http/response_head.h"
#include "core/link/verify.h"
#include "server/net/executor.h"
#include "server/transfer/delivery.h"

namespace tallygate::http {
class Connection;
}

namespace tallygate::transfer {

// Lives for one request; borrows all it is made from.
class Answer {
 public:
  Answer(http::Connection& connection, const http::RequestHead& head, const link::Grant& grant,
         std::shared_ptr<const content::OpenFile> file);

  [[nodiscard]] Task<> send_not_modified() const;
  // HEAD: as GET without the body.
  [[nodiscard]] Task<> send_head_only(const http::Selection& selection) const;
  // Head and body. A file that shrinks, a lease that is refused, or a peer that goes away ends the
  // connection; nothing is padded.
  [[nodiscard]] Task<> stream(const http::Selection& selection, Delivery& delivery) const;

 private:
  using Space = std::array<char, http::kResponseHeadBytesMax>;
  [[nodiscard]] http::Representation representation() const;
  [[nodiscard]] std::string_view write_head(const http::Selection& selection,
                                            const http::Multipart* parts, Space& space) const;
  [[nodiscard]] Task<bool> send_part(Delivery& delivery) const;
  [[nodiscard]] Task<bool> send_small(std::string_view head, Delivery& delivery) const;
  [[nodiscard]] Task<bool> send_plain(std::string_view head, Delivery& delivery) const;
  [[nodiscard]] Task<bool> send_multipart(std::string_view head, const http::Multipart& parts,
                                          Delivery& delivery) const;
  void set_pace() const;

  http::Connection& connection_;
  const http::RequestHead& head_;
  const link::Grant& grant_;
  std::shared_ptr<const content::OpenFile> file_;
  std::array<char, http::kContentDispositionBytesMax> disposition_space_;
  std::string_view disposition_;
};

}  // namespace tallygate::transfer
