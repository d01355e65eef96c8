// The value of Range, for a file of any size: the first line of an input says which.
//
// Never a byte beyond the file nor more than the file has, never more than kRangesMax parts. For
// small files the selection is what a set of bytes says (tests/core/http/naive_range.h); ranges
// that are written out again select the same.
#include <array>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/http/multipart.h"
#include "core/http/range.h"
#include "tests/core/http/naive_range.h"
#include "tests/fuzz/target.h"

namespace tallygate::http {
namespace {

using Kind = Selection::Kind;

constexpr std::uint64_t kSmall = 4096;

// -- the text, a second time --------------------------------------------------------------------

// A decimal number of any length, without leading zeros.
std::optional<std::string> digits_of(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != text.npos) return std::nullopt;
  const auto first = text.find_first_not_of('0');
  return first == text.npos ? "" : std::string(text.substr(first));
}

bool is_greater(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() > b.size() : a > b;
}

std::uint64_t at_most(const std::string& digits, std::uint64_t most) {
  return is_greater(digits, std::to_string(most)) ? most
                                                  : std::strtoull(digits.c_str(), nullptr, 10);
}

std::string without_spaces(std::string text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.erase(0, 1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.pop_back();
  return text;
}

// nullopt: to be ignored.
std::optional<std::vector<InclusiveSpec>> read_specs(std::string_view set, std::uint64_t size) {
  std::vector<InclusiveSpec> specs;
  std::string text(set);
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto member = without_spaces(text.substr(begin, end - begin));
    begin = end + 1;
    if (member.empty()) continue;
    const auto dash = member.find('-');
    if (dash == member.npos) return std::nullopt;
    const auto left = member.substr(0, dash);
    const auto right = member.substr(dash + 1);
    const auto first = digits_of(left);
    const auto last = digits_of(right);
    if ((!first && !left.empty()) || (!last && !right.empty())) return std::nullopt;
    if (!first && !last) return std::nullopt;
    if (!first) {
      const auto length = at_most(*last, size);
      specs.push_back(length == 0 ? InclusiveSpec{size, size} : InclusiveSpec{size - length, size});
    } else {
      if (last && is_greater(*first, *last)) return std::nullopt;
      specs.push_back({at_most(*first, size), last ? at_most(*last, size) : size});
    }
  }
  if (specs.empty() || specs.size() > kRangeSpecsMax) return std::nullopt;
  return specs;
}

bool is_bytes(std::string unit) {
  for (char& c : unit) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return unit == "bytes";
}

NaiveSelection expected_of(std::string_view range, std::uint64_t size) {
  const NaiveSelection whole{Kind::whole,
                             size == 0 ? std::vector<ByteSpan>{} : std::vector{ByteSpan{0, size}}};
  const auto equals = range.find('=');
  if (equals == range.npos || !is_bytes(std::string(range.substr(0, equals)))) return whole;
  const auto specs = read_specs(range.substr(equals + 1), size);
  return specs ? select_naively(*specs, size) : whole;
}

// -- what holds of every answer -----------------------------------------------------------------

void check_text(ByteSpan span, std::uint64_t size) {
  const auto text = content_range(span, size).str();
  REQUIRE(text == "bytes " + std::to_string(span.first) + "-" + std::to_string(span.last - 1) +
                      "/" + std::to_string(size));
}

void check_parts(const Selection& selection, std::uint64_t size) {
  const Multipart body(selection, size, "application/octet-stream", make_boundary(1, 2));
  REQUIRE(body.content_length() <= size);
  std::uint64_t bytes = 0;
  std::array<char, kPartOverheadBytesMax> room;
  for (std::size_t i = 0; i < body.spans().size(); ++i) {
    bytes += body.part_head(i, room).size() + body.spans()[i].bytes();
  }
  bytes += body.closing(room).size();
  REQUIRE(bytes == body.content_length());
}

void check_selection(std::string_view range, std::uint64_t size) {
  const auto selection = select_bytes(range, size);
  const auto spans = selection.spans();
  REQUIRE(spans.size() <= kRangesMax);
  std::uint64_t bytes = 0;
  std::string again = "bytes=";
  for (std::size_t i = 0; i < spans.size(); ++i) {
    REQUIRE(spans[i].first < spans[i].last && spans[i].last <= size);
    for (std::size_t j = 0; j < i; ++j) {
      REQUIRE(spans[i].last <= spans[j].first || spans[j].last <= spans[i].first);
    }
    bytes += spans[i].bytes();
    check_text(spans[i], size);
    again += std::to_string(spans[i].first) + "-" + std::to_string(spans[i].last - 1) + ",";
  }
  REQUIRE(bytes == selection.file_bytes() && bytes <= size);
  switch (selection.kind()) {
    case Kind::unsatisfiable:
      REQUIRE(spans.empty());
      break;
    case Kind::whole:
      REQUIRE(bytes == size && spans.size() == (size == 0 ? 0u : 1u));
      break;
    case Kind::ranges: {
      REQUIRE(!spans.empty());
      if (selection.is_multipart()) check_parts(selection, size);
      const auto second = select_bytes(again, size);
      REQUIRE(second.kind() == Kind::ranges);
      REQUIRE(std::ranges::equal(second.spans(), spans));
    }
  }
  if (size == 0 || size > kSmall) return;
  const auto expected = expected_of(range, size);
  REQUIRE(selection.kind() == expected.kind);
  REQUIRE(std::ranges::equal(spans, expected.spans));
}

}  // namespace
}  // namespace tallygate::http

TALLYGATE_FUZZ(range) {
  using namespace tallygate;
  const auto size = std::strtoull(std::string(fuzz::take_line(input)).c_str(), nullptr, 10);
  http::check_selection(input, size);
  http::check_selection(input, size % (http::kSmall + 1));
}
