// The body of a multipart/byteranges answer (RFC 9110 §14.6): what stands between the ranges.
//
// Each part is `part_head(i)` and then the bytes of `selection.spans()[i]`; after the last one
// comes `closing()`.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/fixed_string.h"
#include "core/http/range.h"

namespace tallygate::http {

// 128 random bits: that they occur in a file by chance is not worth a look at its bytes.
using Boundary = FixedString<32>;
[[nodiscard]] Boundary make_boundary(std::uint64_t random_high, std::uint64_t random_low) noexcept;

class Multipart {
 public:
  // Keeps copies of all but `content_type` (at most kMediaTypeBytesMax), which is viewed.
  Multipart(const Selection& selection, std::uint64_t file_size, std::string_view content_type,
            const Boundary& boundary) noexcept;

  // Exact: heads, bytes and closing delimiter. At most the size of the file.
  [[nodiscard]] std::uint64_t content_length() const noexcept { return content_length_; }
  [[nodiscard]] const Boundary& boundary() const noexcept { return boundary_; }
  [[nodiscard]] std::span<const ByteSpan> spans() const noexcept { return selection_.spans(); }

  // Written into `out` (kPartOverheadBytesMax is always enough) and returned as a view of it.
  [[nodiscard]] std::string_view part_head(std::size_t index, std::span<char> out) const noexcept;
  [[nodiscard]] std::string_view closing(std::span<char> out) const noexcept;

 private:
  Selection selection_;
  std::uint64_t file_size_;
  std::string_view content_type_;
  Boundary boundary_;
  std::uint64_t content_length_ = 0;
};

}  // namespace tallygate::http
