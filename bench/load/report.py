"""From rounds to a table: medians, ratios to the named opponents, targets met and missed."""

import statistics

from rows import FIGURES

# A client core busier than this was the limit, not the server; unless others kept it busy.
BOUND, BOUND_OWN = 0.95, 0.8
# Of a core. The kernel's own threads (the file system's journal, softirqs) take some of it; more
# than this belongs to neither side only where somebody else works.
OTHERS = 0.3


def values_of(rounds, figure):
    """Of the rounds that have it: some are void (None), some figures do not apply."""
    return [one[figure] for one in rounds if one and one.get(figure) is not None]


def median(rounds, figure):
    values = values_of(rounds, figure)
    return statistics.median(values) if values else None


def is_client_bound(rounds):
    busy, own = median(rounds, "client_busy"), median(rounds, "client_own")
    return busy is not None and busy > BOUND and own > BOUND_OWN


def spread(rounds, figure):
    """Half of the range, in percent of the median; None with fewer than two rounds."""
    values = values_of(rounds, figure)
    if len(values) < 2 or not statistics.median(values):
        return None
    return 50 * (max(values) - min(values)) / statistics.median(values)


def best(results, names, figure):
    """Of the opponents that ran, the one with the best median."""
    ran = [name for name in names if median(results.get(name, ()), figure) is not None]
    order = max if FIGURES[figure][2] else min
    return order(ran, key=lambda name: median(results[name], figure), default=None)


def ratio(results, who, opponent, figure):
    """The median of the rounds' ratios: neighbours in time see the same machine."""
    pairs = [(mine[figure], theirs[figure])
             for mine, theirs in zip(results[who], results[opponent])
             if mine and theirs and mine.get(figure) is not None and theirs.get(figure)]
    return statistics.median(mine / theirs for mine, theirs in pairs) if pairs else None


def judge(row, results):
    """A sentence for each target that could be looked at."""
    for target in row.targets:
        title, _, more = FIGURES[target.figure]
        opponent = best(results, target.against, target.figure)
        if opponent is None or target.who not in results:
            continue
        value = ratio(results, target.who, opponent, target.figure)
        if value is None:
            continue
        is_met = value >= target.factor if more else value <= target.factor
        # Where the client was the limit, the processor time tells more.
        cost = ratio(results, target.who, opponent, "cpu_us") \
            if target.figure == "per_second" else None
        yield (f"{target.who}: {title} {value:.2f} × {opponent}"
               + (f" (µs CPU/request {cost:.2f} ×)" if cost is not None else "")
               + f"; target {'≥' if more else '≤'} {target.factor:g}: "
               + ("met" if is_met else "**missed**"))


def number(value, figure):
    return "–" if value is None else f"{value:,.{FIGURES[figure][1]}f}"


def _table(row, results):
    titles = [FIGURES[figure][0] for figure in row.figures]
    yield (f"| `{row.name}` | {' | '.join(titles)} | spread "
           "| cores busy: server / client; by others |")
    yield "|---" * (len(titles) + 3) + "|"
    for name in (name for name in row.contenders if name in results):
        rounds = results[name]
        cells = [number(median(rounds, figure), figure) for figure in row.figures]
        of_rounds = spread(rounds, row.figures[0])
        cells.append("–" if of_rounds is None else f"± {of_rounds:.0f} %")
        parts = [median(rounds, f"{side}_busy") for side in ("server", "client", "others")]
        cells.append("{} / {}; {}".format(*("–" if part is None else f"{100 * part:.0f} %"
                                            for part in parts))
                     + (" **client-bound**" if is_client_bound(rounds) else ""))
        yield f"| {name} | {' | '.join(cells)} |"


def markdown(rows, outcome, about):
    lines = [f"{about['machine']}, kernel {about['kernel']}, commit {about['commit']}, "
             f"{about['date']}; {about['versions']}. {about['how']}", ""]
    others = [median(rounds, "others_busy") for results in outcome.results.values()
              for rounds in results.values()]
    if any(part is not None and part > OTHERS for part in others):
        lines += ["**Others used the cores meanwhile: these figures mean little.**", ""]
    for row in rows:
        notes = [f"- {name} left out: {reason}"
                 for (of_row, name), reason in outcome.skipped.items() if of_row == row.name]
        notes += [f"- {name}, round {round_number} is void: {failure.splitlines()[0]}"
                  for of_row, name, round_number, failure in outcome.void if of_row == row.name]
        lines += [f"### {row.title}", ""]
        if results := outcome.results[row.name]:
            lines += [*_table(row, results), ""]
            notes = [f"- {sentence}" for sentence in judge(row, results)] + notes
        if notes:
            lines += [*notes, ""]
    return "\n".join(lines).rstrip() + "\n"
