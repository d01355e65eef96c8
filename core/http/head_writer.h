// Writes the head of an answer, line by line, into a buffer of the caller's.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "core/http/status.h"
#include "core/http/syntax.h"
#include "core/http/text_writer.h"

namespace tallygate::http {

// Our own words as a field value. A control character in them does not compile.
class FieldLiteral {
 public:
  // Implicit: a literal is what it says.
  consteval FieldLiteral(const char* text) : FieldLiteral(std::string_view(text)) {}
  consteval FieldLiteral(std::string_view text) : text_(text) {
    if (!is_field_value(text)) throw "a field value has no control characters";
  }
  [[nodiscard]] constexpr std::string_view view() const { return text_; }

 private:
  std::string_view text_;
};

// No value can begin a line of its own, whoever wrote it (response splitting, RFC 9112 §11.1).
class HeadWriter {
 public:
  explicit HeadWriter(std::span<char> out) noexcept : out_(out) {}

  HeadWriter& status(Status status) noexcept;
  HeadWriter& field(std::string_view name, FieldLiteral value) noexcept;
  HeadWriter& field(std::string_view name, std::uint64_t number) noexcept;
  // Text that was put together, or came from a file, a setting or a peer: no field at all if it is
  // empty or has a control character in it.
  HeadWriter& text_field(std::string_view name, std::string_view value) noexcept;

  // The whole head, with its empty line; empty if it did not fit.
  [[nodiscard]] std::string_view finish() noexcept { return out_.put("\r\n").text(); }

 private:
  HeadWriter& line(std::string_view name, std::string_view value) noexcept;

  TextWriter out_;
};

}  // namespace tallygate::http
