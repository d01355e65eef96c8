// Which bytes of a file a Range field asks for (RFC 9110 §14).
//
// Pure and without allocation; callable from any thread. Spans are half-open everywhere in
// tallygate; only the text of Range and Content-Range names last bytes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/byte_span.h"
#include "core/base/fixed_string.h"

namespace tallygate::http {

// More parts than this, after merging, is no download but a load: the whole file is sent instead.
inline constexpr std::size_t kRangesMax = 16;
// Ranges closer together than this are sent as one: a part head would cost more than the gap.
inline constexpr std::uint64_t kRangeGapBytes = 80;
// What one part of a multipart body may cost beside its bytes; multipart.cc keeps to it.
inline constexpr std::uint64_t kPartOverheadBytesMax = 256;
// Range specs in one field; each costs a few bytes of a head that is bounded anyway.
inline constexpr std::size_t kRangeSpecsMax = 1024;

// The answer to a Range field.
class Selection {
 public:
  enum class Kind : std::uint8_t {
    whole,          // 200: the file, without regard to Range
    ranges,         // 206: one span: plain; several: multipart/byteranges
    unsatisfiable,  // 416
  };

  [[nodiscard]] static Selection whole(std::uint64_t file_size) noexcept;
  [[nodiscard]] static Selection unsatisfiable() noexcept;
  // 1 to kRangesMax of them.
  [[nodiscard]] static Selection ranges(std::span<const ByteSpan> spans) noexcept;

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool is_multipart() const noexcept { return kind_ == Kind::ranges && count_ > 1; }
  // What is to be sent, in this order: disjoint, none empty. For `whole` the whole file (nothing if
  // that is empty).
  [[nodiscard]] std::span<const ByteSpan> spans() const noexcept { return {spans_.data(), count_}; }
  // Bytes of the file, without part heads.
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;

 private:
  explicit Selection(Kind kind) noexcept : kind_(kind) {}

  Kind kind_;
  std::size_t count_ = 0;
  std::array<ByteSpan, kRangesMax> spans_;
};

// Resolves the value of Range (empty: there is none) for a file of `file_size` bytes.
//
// Malformed as a whole, or of another unit: ignored, so `whole`. A last position or suffix length
// beyond 64 bits saturates; a first position beyond the file is unsatisfiable, and so is "-0".
// Spans that overlap, touch or nearly touch are merged and take the place of the one named first;
// the others keep their order. More than kRangesMax then, or a body larger than the file: `whole`.
// A suffix of an empty file is the (empty) whole, because Content-Range cannot name it.
// Cost: a single range is one pass; of several, at most kRangeSpecsMax (24 KiB of stack) are
// sorted.
[[nodiscard]] Selection select_bytes(std::string_view range, std::uint64_t file_size) noexcept;

// The value of Content-Range (§14.4): "bytes 0-499/1234" of a 206 and of each part, and
// "bytes */1234" of a 416.
using ContentRangeText = FixedString<70>;
[[nodiscard]] ContentRangeText content_range(ByteSpan span, std::uint64_t file_size) noexcept;
[[nodiscard]] ContentRangeText unsatisfied_content_range(std::uint64_t file_size) noexcept;

}  // namespace tallygate::http
