#include "core/http/head_writer.h"

namespace tallygate::http {
HeadWriter& HeadWriter::status(Status status) noexcept {
  out_.put("HTTP/1.1 ").put(std::uint64_t{code(status)}).put(' ').put(reason_phrase(status));
  out_.put("\r\n");
  return *this;
}

HeadWriter& HeadWriter::line(std::string_view name, std::string_view value) noexcept {
  out_.put(name).put(": ").put(value).put("\r\n");
  return *this;
}

HeadWriter& HeadWriter::field(std::string_view name, FieldLiteral value) noexcept {
  return line(name, value.view());
}

HeadWriter& HeadWriter::field(std::string_view name, std::uint64_t number) noexcept {
  out_.put(name).put(": ").put(number).put("\r\n");
  return *this;
}

HeadWriter& HeadWriter::text_field(std::string_view name, std::string_view value) noexcept {
  return value.empty() || !is_field_value(value) ? *this : line(name, value);
}

}  // namespace tallygate::http
