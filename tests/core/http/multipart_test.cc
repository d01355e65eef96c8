#include "core/http/multipart.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "core/http/mime.h"

namespace tallygate::http {
namespace {

const Boundary kBoundary = make_boundary(0x0123456789abcdef, 0xfedcba9876543210);

// The body as it goes over the line.
std::string body_of(const Multipart& multipart, std::string_view file) {
  std::array<char, kPartOverheadBytesMax> buffer;
  std::string body;
  for (std::size_t i = 0; i < multipart.spans().size(); ++i) {
    const auto span = multipart.spans()[i];
    body += multipart.part_head(i, buffer);
    body += file.substr(span.first, span.bytes());
  }
  body += multipart.closing(buffer);
  return body;
}

TEST(Multipart, ABoundaryIs128BitsInHex) {
  EXPECT_EQ(kBoundary.view(), "0123456789abcdeffedcba9876543210");
  EXPECT_EQ(make_boundary(0, 1).view(), "00000000000000000000000000000001");
}

TEST(Multipart, LooksAsRfc9110Shows) {
  std::string file(8000, 'x');
  file.replace(500, 3, "abc");
  file.replace(7000, 2, "de");
  const auto selection = select_bytes("bytes=500-502,7000-7001", file.size());
  const Multipart multipart(selection, file.size(), "application/pdf", kBoundary);
  EXPECT_EQ(body_of(multipart, file),
            "\r\n--0123456789abcdeffedcba9876543210\r\n"
            "Content-Type: application/pdf\r\n"
            "Content-Range: bytes 500-502/8000\r\n\r\nabc"
            "\r\n--0123456789abcdeffedcba9876543210\r\n"
            "Content-Type: application/pdf\r\n"
            "Content-Range: bytes 7000-7001/8000\r\n\r\nde"
            "\r\n--0123456789abcdeffedcba9876543210--\r\n");
}

TEST(Multipart, ItsLengthIsExactAndNeverLargerThanTheFile) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string longest_type = "application/" + std::string(kMediaTypeBytesMax - 12, 'x');
  int several = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::string file(1 + random() % 20'000, 'x');
    std::string range = "bytes=";
    for (auto left = 1 + random() % 20; left > 0; --left) {
      const auto first = random() % file.size();
      range += std::to_string(first) + "-" + std::to_string(first + random() % 300) + ",";
    }
    const auto selection = select_bytes(range, file.size());
    if (!selection.is_multipart()) continue;
    ++several;
    const Multipart multipart(selection, file.size(), longest_type, kBoundary);
    ASSERT_EQ(multipart.content_length(), body_of(multipart, file).size()) << range;
    ASSERT_LE(multipart.content_length(), file.size()) << range;
  }
  EXPECT_GT(several, 100);
}

TEST(Multipart, AHeadWithTheLongestTypeAndLargestNumbersFits) {
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
  const std::string longest_type = "application/" + std::string(kMediaTypeBytesMax - 12, 'x');
  const auto selection = select_bytes("bytes=9223372036854770000-9223372036854770001,-1", kHuge);
  const Multipart multipart(selection, kHuge, longest_type, kBoundary);
  std::array<char, kPartOverheadBytesMax> buffer;
  EXPECT_NE(multipart.part_head(0, buffer), "");
  EXPECT_NE(multipart.part_head(1, buffer), "");
  EXPECT_EQ(multipart.part_head(0, std::span(buffer).first(100)), "");
}

}  // namespace
}  // namespace tallygate::http
