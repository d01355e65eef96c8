// The head of one request, as views into the buffer it was received in.
//
// Owned by a connection and used again for each of its requests; allocates nothing. It only holds:
// whether the head is acceptable is decided in request_check.h.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/http/syntax.h"

namespace tallygate::http {

// Browsers send about 20 fields, proxies add 10. More than this is 431.
inline constexpr std::size_t kFieldsMax = 64;

class RequestHead {
 public:
  // Begins a new head. `received` is the buffer that the parser reads from, at most 64 KiB of it:
  // views given to `add` stay valid as long as it does. `version` is 10 for HTTP/1.0, 11 for
  // HTTP/1.1.
  void start(std::string_view received, std::string_view method, std::string_view target,
             unsigned version) noexcept;

  // Adds a field. One that spans several lines (obs-fold, RFC 9112 §5.2) is noted and not kept; its
  // value is never read, because the parser may have joined it in memory that is gone by now.
  void add(std::string_view name, std::string_view value) noexcept;

  [[nodiscard]] std::string_view method() const noexcept { return method_; }
  [[nodiscard]] std::string_view target() const noexcept { return target_; }
  [[nodiscard]] unsigned version() const noexcept { return version_; }
  [[nodiscard]] std::size_t fields() const noexcept { return size_; }
  [[nodiscard]] bool has_folded_field() const noexcept { return folded_; }
  [[nodiscard]] bool has_too_many_fields() const noexcept { return too_many_; }

  // Names are compared without regard to case.
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;
  // The first line of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
  // The value of a field that is not a list: nullopt if it is absent or stands there twice.
  [[nodiscard]] std::optional<std::string_view> find_only(std::string_view name) const noexcept;
  // Calls `visit(value)` for each line of that name, in order. Lines of a list-based field are one
  // list (RFC 9110 §5.3), which is never joined in memory.
  template <class Visit>
  void each(std::string_view name, Visit visit) const {
    if ((seen_ & mark(name)) == 0) return;
    for (std::size_t i = 0; i < size_; ++i) {
      if (equal_ignoring_case(name_of(fields_[i]), name)) visit(value_of(fields_[i]));
    }
  }
  // The same from the last line to the first, as long as `visit` returns true.
  template <class Visit>
  void each_backwards(std::string_view name, Visit visit) const {
    if ((seen_ & mark(name)) == 0) return;
    for (std::size_t i = size_; i > 0; --i) {
      const Place& p = fields_[i - 1];
      if (equal_ignoring_case(name_of(p), name) && !visit(value_of(p))) return;
    }
  }
  // Whether the list-based field has this member, without regard to case.
  [[nodiscard]] bool lists(std::string_view name, std::string_view member) const noexcept;

 private:
  // One of 64 bits for each name. Most fields that we ask for are absent, and a mark that was never
  // seen says so without a look at the fields.
  static constexpr std::uint64_t mark(std::string_view name) {
    const auto letter = name.empty() ? '\0' : to_lower(name.back());
    return std::uint64_t{1} << ((name.size() * 5 + static_cast<unsigned char>(letter)) & 63u);
  }

  // Where a field stands in the buffer. Half the size of views, and there are 64 of them.
  struct Place {
    std::uint16_t name_at;
    std::uint16_t name_size;
    std::uint16_t value_at;
    std::uint16_t value_size;
  };
  [[nodiscard]] std::string_view name_of(Place p) const {
    return received_.substr(p.name_at, p.name_size);
  }
  [[nodiscard]] std::string_view value_of(Place p) const {
    return received_.substr(p.value_at, p.value_size);
  }

  std::string_view received_;
  std::string_view method_;
  std::string_view target_;
  unsigned version_ = 11;
  std::array<Place, kFieldsMax> fields_;
  std::size_t size_ = 0;
  std::uint64_t seen_ = 0;  // marks of all names
  bool folded_ = false;
  bool too_many_ = false;
};

}  // namespace tallygate::http
