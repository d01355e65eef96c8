// What a connection needs while it reads and answers a request, and not while a body is on its way.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/recycled.h"
#include "core/http/range.h"
#include "core/http/request_check.h"
#include "core/http/request_head.h"
#include "core/link/verify.h"
#include "server/http/head_parser.h"
#include "server/ledger/ledger.h"

namespace tallygate::http {

// One object for each connection that is not in the midst of a long body; all views in it are into
// its own memory. Worker's thread only.
class Request final : public Recycled<Request> {
 public:
  // What was received and not answered yet: a head at its front, perhaps more behind it.
  [[nodiscard]] std::string_view received() const { return {bytes_, size_}; }
  // Where the next bytes go; empty at kHeadBytesMax. Moves the bytes if it has to make room: no
  // view may be in use then.
  [[nodiscard]] std::span<char> room();
  void received(std::size_t bytes) { size_ += bytes; }
  // The head and what belongs to it has been answered.
  void consume(std::size_t bytes);

  // Takes over the views of a grant, whose path and file name are in memory that others use.
  void keep(const link::Grant& from);

  RequestHead head;
  std::size_t head_bytes = 0;
  CheckedRequest checked;
  // What the stages of serving it have found, one after the other.
  link::Grant grant;
  ledger::Look look;
  Selection selection = Selection::unsatisfiable();

 private:
  // Most heads fit. Larger ones get a buffer for the largest.
  static constexpr std::size_t kUsualBytes = 1024;

  std::array<char, kUsualBytes> usual_;
  std::unique_ptr<char[]> large_;
  char* bytes_ = usual_.data();
  std::size_t size_ = 0;
  std::string names_;
};

}  // namespace tallygate::http
