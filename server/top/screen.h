// One screen of `tallygate top` as lines of text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "server/top/answers.h"
#include "server/top/rates.h"
#include "server/top/text.h"

namespace tallygate::top {

// All that is shown. `live` is what came last, also while the server does not answer.
struct View {
  bool any = false;  // false: it has not answered yet; `live` and `transfers` are empty
  Live live{};
  Transfers transfers{};
  std::optional<Rates> rates{};
  History history{};
  std::string reasons{};          // why it is not well
  std::string trouble{};          // why it does not answer; empty: it does
  std::int64_t lost_seconds = 0;  // for how long
};

struct Size {
  std::size_t columns = 100;
  std::size_t lines = 0;  // 0: as many as it takes, and no line is cut
};

enum class Tone : std::uint8_t { plain, heading, good, warning, bad, soft };
struct Line {
  std::string text;
  Tone tone = Tone::plain;
};

// At most size.lines lines of size.columns columns. What matters less gives way: transfers first,
// then refusals.
[[nodiscard]] std::vector<Line> draw(const View& view, Size size, Glyphs glyphs);

}  // namespace tallygate::top
