# Owns: how the partition table looks in the documentation: its rows as Markdown, its timelines as a picture.
# It must not know how they were measured.

import html

import machines

PAGE = machines.ROOT / "docs" / "partitions.md"
PICTURE = machines.ROOT / "docs" / "partitions.svg"
BEGIN, END = "<!-- the table, written by make partitions -->", "<!-- the end of the table -->"
HEADINGS = ["fault", "what is done", "last sign (s)", "gap (ms)", "replaced after (s)", "longest pause (s)",
            "lost work (s)", "outcome"]

# The picture's measures. Time runs evenly from FIRST to BREAK; what comes after the break has an axis of its own.
WIDTH, LEFT, TOP, LANE, BAR = 1060, 330, 62, 38, 9
FIRST, BREAK, PIXELS = -12, 84, 6
LATE, LATE_END, LATE_PIXELS = 1190, 1216, 4
GAP = 26
STYLE = """
  text { font: 12px sans-serif; fill: #24292f; }
  .small { font-size: 11px; fill: #57606a; }
  .sheet { fill: #ffffff; }
  .stripe { fill: #f3f4f6; }
  .grid { stroke: #d0d7de; stroke-width: 1; }
  .fault { fill: #cf222e; }
  .moment { stroke: #cf222e; stroke-width: 2; }
  .old { fill: #0969da; }
  .new { fill: #1a7f37; }
  .bad { fill: #cf222e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9198a1; }
    .sheet { fill: #0d1117; }
    .stripe { fill: #151b23; }
    .grid { stroke: #3d444d; }
    .fault { fill: #f85149; }
    .moment { stroke: #f85149; }
    .old { fill: #4493f8; }
    .new { fill: #3fb950; }
    .bad { fill: #f85149; }
  }
"""


def place(time):
    """Where a time is, from the left."""
    if time <= BREAK:
        return LEFT + (max(time, FIRST) - FIRST) * PIXELS
    begin = LEFT + (BREAK - FIRST) * PIXELS
    if time < LATE:
        return begin + GAP / 2
    return begin + GAP + (min(time, LATE_END) - LATE) * LATE_PIXELS


def bar(kind, begin, end, top, height):
    left, right = place(begin), place(end)
    return f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{max(right - left, 1.5):.1f}" height="{height}"/>'


def note(result):
    if result.faults:
        return result.verdict()
    if result.gap is not None:
        return f"gap {result.gap / 1000:.2f} s"
    return "same copy goes on" + (f", stood still for {result.pause:.1f} s" if result.pause > 3 else "")


def lane(number, result):
    """A row: its name, the fault as a strip, below it the first copy, below that one the second."""
    top = TOP + number * LANE
    parts = []
    if number % 2 == 0:
        parts.append(f'<rect class="stripe" x="0" y="{top}" width="{WIDTH}" height="{LANE}"/>')
    kind = ' class="bad"' if result.faults else ""
    parts.append(f'<text{kind} x="8" y="{top + 16}">{html.escape(result.title)}</text>')
    parts.append(f'<text class="small" x="8" y="{top + 30}">{html.escape(note(result))}</text>')
    if result.healed is None:
        parts.append(f'<path class="moment" d="M{place(0):.1f} {top + 2}v{LANE - 4}"/>')
    else:
        parts.append(bar("fault", 0, result.healed, top + 4, 4))
    for level, life in enumerate(result.lives):
        kind = "old" if level == 0 else "new"
        height = top + 12 + min(level, 1) * (BAR + 2)
        for begin, end in life["spans"]:
            parts.append(bar(kind, begin, end, height, BAR))
        if len(life["spans"]) > 1:
            parts.append(bar(kind, life["spans"][0][0], life["spans"][-1][1], height + BAR // 2, 1))
    return parts


def draw(results):
    height = TOP + len(results) * LANE + 10
    bottom = height - 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="The partition table as timelines: no second copy begins before the first one stops">',
        f"<style>{STYLE}</style>", f'<rect class="sheet" width="{WIDTH}" height="{height}"/>',
        '<text x="8" y="20">Seconds after the fault</text>']
    legend = (("fault", 4, "the fault"), ("old", BAR, "first copy at work (thin: it stands still)"),
              ("new", BAR, "its replacement"))
    left = LEFT
    for kind, tall, text in legend:
        parts.append(f'<rect class="{kind}" x="{left}" y="{16 - tall // 2}" width="22" height="{tall}"/>')
        parts.append(f'<text class="small" x="{left + 28}" y="20">{text}</text>')
        left += 60 + 7 * len(text)
    lanes = [part for number, result in enumerate(results) for part in lane(number, result)]
    stripes = [part for part in lanes if 'class="stripe"' in part]
    parts += stripes
    for time in [*range(-10, BREAK, 10), 1200, 1210]:
        parts.append(f'<path class="grid" d="M{place(time):.1f} {TOP - 8}V{bottom}"/>')
        parts.append(f'<text class="small" text-anchor="middle" x="{place(time):.1f}" y="{TOP - 14}">{time:,d}</text>')
    edge = place(BREAK)
    for left in (edge + 4, edge + GAP - 4):
        parts.append(f'<path class="grid" stroke-dasharray="3 3" d="M{left:.1f} {TOP - 8}V{bottom}"/>')
    parts += [part for part in lanes if part not in stripes]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def table(results):
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|" + "---:|" * 5 + "---|"]
    lines += ["| " + " | ".join([result.title, result.did, *result.cells(), result.verdict()]) + " |"
              for result in results]
    return "\n".join(lines)


def write(results):
    """The page's table and the picture beside it."""
    PICTURE.write_text(draw(results))
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}")
