#include "core/http/multipart.h"

#include <array>

#include "core/base/result.h"
#include "core/http/mime.h"
#include "core/http/text_writer.h"

namespace tallygate::http {
namespace {

constexpr std::string_view kDelimiter = "\r\n--";
constexpr std::string_view kTypeField = "\r\nContent-Type: ";
constexpr std::string_view kRangeField = "\r\nContent-Range: ";
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kBodyEnd = "--\r\n";

// The bound that select_bytes counts on. Sizes of files are below 2^63: 19 digits. The closing
// delimiter is shared by two parts at least.
constexpr std::size_t kBoundaryBytes = 32;
constexpr std::size_t kRangeTextBytes = 6 + 19 + 1 + 19 + 1 + 19;
constexpr std::size_t kHeadBytes = kDelimiter.size() + kBoundaryBytes + kTypeField.size() +
                                   kMediaTypeBytesMax + kRangeField.size() + kRangeTextBytes +
                                   kHeadEnd.size();
constexpr std::size_t kClosingBytes = kDelimiter.size() + kBoundaryBytes + kBodyEnd.size();
static_assert(kHeadBytes + kClosingBytes / 2 <= kPartOverheadBytesMax);

}  // namespace

Boundary make_boundary(std::uint64_t random_high, std::uint64_t random_low) noexcept {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  Boundary boundary;
  for (const auto half : {random_high, random_low}) {
    for (int shift = 60; shift >= 0; shift -= 4) {
      boundary.append(kHexDigits.substr((half >> shift) & 0xf, 1));
    }
  }
  return boundary;
}

Multipart::Multipart(const Selection& selection, std::uint64_t file_size,
                     std::string_view content_type, const Boundary& boundary) noexcept
    : selection_(selection),
      file_size_(file_size),
      content_type_(content_type),
      boundary_(boundary) {
  TALLYGATE_ASSERT(content_type.size() <= kMediaTypeBytesMax);
  std::array<char, kPartOverheadBytesMax> buffer;
  content_length_ = selection_.file_bytes() + closing(buffer).size();
  for (std::size_t i = 0; i < spans().size(); ++i) content_length_ += part_head(i, buffer).size();
}

std::string_view Multipart::part_head(std::size_t index, std::span<char> out) const noexcept {
  TextWriter text(out);
  text.put(kDelimiter).put(boundary_.view());
  text.put(kTypeField).put(content_type_);
  text.put(kRangeField).put(content_range(spans()[index], file_size_).view());
  return text.put(kHeadEnd).text();
}

std::string_view Multipart::closing(std::span<char> out) const noexcept {
  return TextWriter(out).put(kDelimiter).put(boundary_.view()).put(kBodyEnd).text();
}

}  // namespace tallygate::http
