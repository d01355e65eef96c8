#include "core/link/path.h"

#include <algorithm>

#include "core/link/text.h"

namespace tallygate::link {
namespace {

constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr bool is_unreserved(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

PathFault path_fault_of(TextFault fault) noexcept {
  switch (fault) {
    case TextFault::control_character:
      return PathFault::control_character;
    case TextFault::backslash:
      return PathFault::backslash;
    case TextFault::invalid_utf8:
      break;
  }
  return PathFault::invalid_utf8;
}

std::optional<PathFault> find_segment_fault(std::string_view path) noexcept {
  for (std::size_t begin = 1;;) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto segment = path.substr(begin, end - begin);
    if (segment.empty()) return PathFault::empty_segment;
    if (segment == "." || segment == "..") return PathFault::dot_segment;
    if (end == path.size()) return std::nullopt;
    begin = end + 1;
  }
}

}  // namespace

std::string_view describe(PathFault fault) noexcept {
  switch (fault) {
    case PathFault::not_absolute:
      return "the path does not begin with '/'";
    case PathFault::too_long:
      return "the path is longer than 8192 bytes";
    case PathFault::fragment:
      return "the path has a '#', which in a path is written %23";
    case PathFault::bad_percent_encoding:
      return "the path has a '%' that two hex digits do not follow (a percent sign is written %25)";
    case PathFault::encoded_separator:
      return "the path has %2F or %5C: a slash or backslash cannot be part of a name";
    case PathFault::control_character:
      return "the path has a control character";
    case PathFault::backslash:
      return "the path has a backslash";
    case PathFault::invalid_utf8:
      return "the path is not valid UTF-8";
    case PathFault::empty_segment:
      return "the path has an empty segment (two slashes in a row, or one at its end)";
    case PathFault::dot_segment:
      return "the path has a segment '.' or '..'";
  }
  return "the path is malformed";
}

Result<std::string_view, PathFault> decode_path(std::string_view encoded,
                                                PathBuffer& buffer) noexcept {
  if (encoded.size() > buffer.bytes.size()) return PathFault::too_long;
  std::size_t size = 0;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    char c = encoded[i];
    if (c == '#') return PathFault::fragment;
    if (c == '%') {
      if (encoded.size() - i < 3) return PathFault::bad_percent_encoding;
      const int high = hex_value(encoded[i + 1]);
      const int low = hex_value(encoded[i + 2]);
      if (high < 0 || low < 0) return PathFault::bad_percent_encoding;
      c = static_cast<char>(high << 4 | low);
      if (c == '/' || c == '\\') return PathFault::encoded_separator;
      i += 2;
    }
    buffer.bytes[size++] = c;
  }
  const std::string_view path(buffer.bytes.data(), size);
  if (const auto fault = find_path_fault(path)) return *fault;
  return path;
}

std::optional<PathFault> find_path_fault(std::string_view path) noexcept {
  if (!path.starts_with('/')) return PathFault::not_absolute;
  if (const auto fault = find_text_fault(path)) return path_fault_of(*fault);
  return find_segment_fault(path);
}

std::string encode_path(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(path.size() * 3);
  for (const char c : path) {
    if (is_unreserved(c) || c == '/') {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

std::size_t count_segments(std::string_view path) noexcept {
  return static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
}

std::string_view leading_folder(std::string_view path, std::size_t segments) noexcept {
  std::size_t end = 0;
  for (std::size_t i = 0; i < segments; ++i) {
    end = path.find('/', end + 1);
    TALLYGATE_ASSERT(end != std::string_view::npos);
  }
  return path.substr(0, end + 1);
}

std::string_view last_segment(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace tallygate::link
