#include "core/http/range.h"

#include <algorithm>
#include <optional>

#include "core/base/result.h"
#include "core/http/syntax.h"
#include "core/http/text_writer.h"

namespace tallygate::http {
namespace {

constexpr auto kLargest = std::numeric_limits<std::uint64_t>::max();

// One range-spec as it stands there: positions are inclusive, and saturated at 64 bits.
struct Spec {
  enum class Form : std::uint8_t { from, between, suffix };
  Form form;
  std::uint64_t first;  // or the length of the suffix
  std::uint64_t last;
};

// Compares numbers that may be longer than 64 bits.
bool is_less(std::string_view a, std::string_view b) {
  const auto strip = [](std::string_view digits) {
    return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
  };
  a = strip(a);
  b = strip(b);
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

std::optional<Spec> parse_spec(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto left = text.substr(0, dash);
  const auto right = text.substr(dash + 1);
  const auto last = parse_saturating(right);
  if (!last && !right.empty()) return std::nullopt;

  if (left.empty()) {
    return last ? std::optional(Spec{Spec::Form::suffix, *last, 0}) : std::nullopt;
  }
  const auto first = parse_saturating(left);
  if (!first) return std::nullopt;
  if (!last) return Spec{Spec::Form::from, *first, kLargest};
  if (*last <= *first && is_less(right, left)) return std::nullopt;
  return Spec{Spec::Form::between, *first, *last};
}

// The bytes that a spec names; empty if it is unsatisfiable. The file has at least one byte.
ByteSpan resolve(const Spec& spec, std::uint64_t file_size) {
  if (spec.form == Spec::Form::suffix) {
    return {file_size - std::min(spec.first, file_size), file_size};
  }
  if (spec.first >= file_size) return {};
  return {spec.first, std::min(spec.last, file_size - 1) + 1};
}

// An empty file has no bytes to name: "-n" asks for all of it, any position is beyond its end.
Selection select_from_empty(std::string_view set) {
  bool wants_suffix = false;
  bool has_spec = false;
  while (const auto member = next_list_member(set)) {
    const auto spec = parse_spec(*member);
    if (!spec) return Selection::whole(0);
    has_spec = true;
    wants_suffix = wants_suffix || (spec->form == Spec::Form::suffix && spec->first > 0);
  }
  return wants_suffix || !has_spec ? Selection::whole(0) : Selection::unsatisfiable();
}

// A span that was asked for. Without initializers, so that room for many costs nothing.
struct Wanted {
  std::uint64_t first;
  std::uint64_t last;
  std::size_t position;  // in the field, of the earliest spec in it
};

// Sorts by first byte and merges neighbours; returns how many are left.
std::size_t merge(std::span<Wanted> wanted) {
  std::ranges::sort(wanted, {}, &Wanted::first);
  std::size_t merged = 0;
  for (const auto& next : wanted.subspan(1)) {
    auto& current = wanted[merged];
    if (next.first > current.last && next.first - current.last >= kRangeGapBytes) {
      wanted[++merged] = next;
    } else {
      current.last = std::max(current.last, next.last);
      current.position = std::min(current.position, next.position);
    }
  }
  return merged + 1;
}

Selection select_merged(std::span<Wanted> wanted, std::uint64_t file_size) {
  wanted = wanted.first(merge(wanted));
  if (wanted.size() > kRangesMax) return Selection::whole(file_size);
  std::ranges::sort(wanted, {}, &Wanted::position);

  std::array<ByteSpan, kRangesMax> spans;
  std::uint64_t bytes = 0;  // disjoint spans: at most the file
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    spans[i] = {wanted[i].first, wanted[i].last};
    bytes += spans[i].bytes();
  }
  if (wanted.size() > 1 && file_size - bytes < wanted.size() * kPartOverheadBytesMax) {
    return Selection::whole(file_size);
  }
  return Selection::ranges({spans.data(), wanted.size()});
}

Selection select_single(std::string_view text, std::uint64_t file_size) {
  const auto spec = parse_spec(trim(text));
  if (!spec) return Selection::whole(file_size);
  const auto span = resolve(*spec, file_size);
  return span.bytes() > 0 ? Selection::ranges({&span, 1}) : Selection::unsatisfiable();
}

Selection select_several(std::string_view set, std::uint64_t file_size) {
  std::array<Wanted, kRangeSpecsMax> wanted;
  std::size_t specs = 0;
  std::size_t satisfiable = 0;
  while (const auto member = next_list_member(set)) {
    const auto spec = parse_spec(*member);
    if (!spec || specs == kRangeSpecsMax) return Selection::whole(file_size);
    const auto span = resolve(*spec, file_size);
    if (span.bytes() > 0) wanted[satisfiable++] = {span.first, span.last, specs};
    ++specs;
  }
  if (specs == 0) return Selection::whole(file_size);
  if (satisfiable == 0) return Selection::unsatisfiable();
  return select_merged({wanted.data(), satisfiable}, file_size);
}

}  // namespace

Selection Selection::whole(std::uint64_t file_size) noexcept {
  Selection selection(Kind::whole);
  selection.spans_[0] = {0, file_size};
  selection.count_ = file_size > 0 ? 1 : 0;
  return selection;
}

Selection Selection::unsatisfiable() noexcept {
  return Selection(Kind::unsatisfiable);
}

Selection Selection::ranges(std::span<const ByteSpan> spans) noexcept {
  TALLYGATE_ASSERT(!spans.empty() && spans.size() <= kRangesMax);
  Selection selection(Kind::ranges);
  std::ranges::copy(spans, selection.spans_.begin());
  selection.count_ = spans.size();
  return selection;
}

std::uint64_t Selection::file_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& span : spans()) bytes += span.bytes();
  return bytes;
}

Selection select_bytes(std::string_view range, std::uint64_t file_size) noexcept {
  const auto equals = range.find('=');
  if (equals == std::string_view::npos || !equal_ignoring_case(range.substr(0, equals), "bytes")) {
    return Selection::whole(file_size);
  }
  const auto set = range.substr(equals + 1);
  if (file_size == 0) return select_from_empty(set);
  return set.find(',') == std::string_view::npos ? select_single(set, file_size)
                                                 : select_several(set, file_size);
}

ContentRangeText content_range(ByteSpan span, std::uint64_t file_size) noexcept {
  TALLYGATE_ASSERT(span.first < span.last && span.last <= file_size);
  std::array<char, 70> buffer;
  TextWriter out(buffer);
  out.put("bytes ").put(span.first).put('-').put(span.last - 1).put('/').put(file_size);
  return ContentRangeText(out.text());
}

ContentRangeText unsatisfied_content_range(std::uint64_t file_size) noexcept {
  std::array<char, 70> buffer;
  TextWriter out(buffer);
  out.put("bytes */").put(file_size);
  return ContentRangeText(out.text());
}

}  // namespace tallygate::http
