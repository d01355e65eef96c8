// The media type of a file, from its extension.
#pragma once
#include <map>
#include <string>
#include <string_view>

namespace tallygate::http {

// The longest registered one has 73; a bound on what stands in each part head.
inline constexpr std::size_t kMediaTypeBytesMax = 96;

// Immutable after construction; callable from any thread.
class MediaTypes {
 public:
  // `mime_types` is the text of a file in the format of /etc/mime.types (type, then extensions; "#"
  // begins a comment). Lines that are not like that are skipped. The first line that names an
  // extension wins; a built-in table of usual types fills the gaps.
  explicit MediaTypes(std::string_view mime_types = {});

  // The type of the file at `path`: the longest extension of its last segment that is known
  // ("tar.gz" before "gz"), without regard to case; otherwise application/octet-stream.
  // The result lives as long as this object.
  [[nodiscard]] std::string_view type_of(std::string_view path) const noexcept;

 private:
  void add_lines(std::string_view text);

  std::map<std::string, std::string, std::less<>> by_extension_;  // in lower case, without the dot
};

}  // namespace tallygate::http
