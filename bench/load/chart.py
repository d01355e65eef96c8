"""The chart: one small panel for each row, a bar for each server, light or dark as the reader's
screen is. Plain SVG, no library."""

import html

from report import is_client_bound, median, number
from rows import FIGURES

WIDTH, COLUMNS, GAP = 1120, 2, 40
LABEL, VALUE = 172, 96   # left and right of the bars
BAR, STEP, HEAD, FOOT = 14, 22, 46, 22
TOP = 76

STYLE = """
  .page { fill: #ffffff } .ink { fill: #1c1f23 } .soft { fill: #5c6670 }
  .ours { fill: #1769c2 } .theirs { fill: #9aa5b1 } .limit { fill: none; stroke: #7a8591 }
  .axis { stroke: #c9d0d6 }
  text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
  .title { font-size: 18px; font-weight: 600 } .row { font-size: 13px; font-weight: 600 }
  .value { font-variant-numeric: tabular-nums } .strong { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #14171a } .ink { fill: #e8ebee } .soft { fill: #9aa5b1 }
    .ours { fill: #5aa9f5 } .theirs { fill: #5b6670 } .limit { stroke: #8a949e }
    .axis { stroke: #3a4249 }
  }
"""


def _text(x, y, words, kind, anchor="start"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">'
            f'{html.escape(words)}</text>')


def _panel(row, of_row, x, y, width):
    figure = row.figures[0]
    title, _, more = FIGURES[figure]
    names = [name for name in row.contenders if name in of_row]
    values = {name: median(of_row[name], figure) for name in names}
    most = max((value for value in values.values() if value), default=1)
    room = width - LABEL - VALUE
    shapes = [_text(x, y + 14, row.title, "ink row"),
              _text(x, y + 32, f"{title}, {'more' if more else 'less'} is better", "soft")]
    for index, name in enumerate(names):
        top = y + HEAD + index * STEP
        ours = name.startswith("tallygate")
        kind = "ours" if ours else "limit" if name == "limit" else "theirs"
        length = max(1.0, room * max(values[name] or 0, 0) / most)
        strong = " strong" if ours else ""
        shapes.append(_text(x + LABEL - 8, top + 11, name, "ink" + strong, "end"))
        shapes.append(f'<rect x="{x + LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" '
                      f'rx="2" class="{kind}"/>')
        bound = " *" if is_client_bound(of_row[name]) else ""
        shapes.append(_text(x + LABEL + length + 6, top + 11,
                            number(values[name], figure) + bound, "ink value" + strong))
    bottom = y + HEAD + len(names) * STEP
    shapes.append(f'<line x1="{x + LABEL}" x2="{x + LABEL}" y1="{y + HEAD - 4}" '
                  f'y2="{bottom - 4}" class="axis"/>')
    return shapes, bottom + FOOT


def svg(rows, results, about):
    """The whole file."""
    shapes = [_text(GAP, 36, "tallygate beside others: medians, one machine, over loopback",
                    "ink title"),
              _text(GAP, 56, f"{about['machine']}, kernel {about['kernel']}, commit "
                             f"{about['commit']}, {about['date']}    "
                             "* the client was the limit", "soft")]
    width = (WIDTH - GAP * (COLUMNS + 1)) // COLUMNS
    bottoms = [TOP] * COLUMNS
    for row in rows:
        if of_row := results.get(row.name):
            column = bottoms.index(min(bottoms))
            panel, bottoms[column] = _panel(row, of_row, GAP + column * (width + GAP),
                                            bottoms[column], width)
            shapes += panel
    height = max(bottoms) + 8
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="tallygate beside others">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>', *shapes, "</svg>")) + "\n"
