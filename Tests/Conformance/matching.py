# Owns: comparing what a command printed with what it should: placeholders, tables by cells, a diff to read.
# It must not know where either text comes from.

import difflib
import re

# What each placeholder stands for. `<kind:name>` is bound at its first use and the same text from then on.
KINDS = {
    "age": r"(?:<invalid>|\d+[smhdy](?:\d+[smhd])?)",
    "duration": r"\d+[smh](?:\d+[sm])?",
    "suffix": r"[bcdfghjklmnpqrstvwxz2456789]{5}",
    "uid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "micro": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}Z",
    "date": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
    "ip": r"\d{1,3}(?:\.\d{1,3}){3}",
    "n": r"\d+",
    "hex": r"[0-9a-f]+",
    "word": r"\S+",
    "text": r".+",
    "any": r".*",
    "node": r"node-\d",
}
PLACEHOLDER = re.compile(r"<(%s)(?::([a-z][a-z0-9]*))?>" % "|".join(KINDS))
GAP = re.compile(r" {2,}")
UPPER = re.compile(r"^[A-Z][A-Z0-9/()%. -]*$")


def fill(text, bound):
    """Text with the placeholders that are bound replaced by what they stand for."""
    return PLACEHOLDER.sub(lambda match: bound.get((match[1], match[2]), match[0]) if match[2] else match[0], text)


def match_text(pattern, text, bound):
    """The bindings after `pattern` took the whole of `text`, or None."""
    parts, groups, at = [], [], 0
    for match in PLACEHOLDER.finditer(pattern):
        parts.append(re.escape(pattern[at:match.start()]))
        key, at = (match[1], match[2]), match.end()
        if key[1] and key in bound:
            parts.append(re.escape(bound[key]))
        elif key in groups:
            parts.append(f"(?P=g{groups.index(key)})")
        elif key[1]:
            parts.append(f"(?P<g{len(groups)}>{KINDS[key[0]]})")
            groups.append(key)
        else:
            parts.append(f"(?:{KINDS[key[0]]})")
    found = re.fullmatch("".join(parts) + re.escape(pattern[at:]), text)
    if not found:
        return None
    return bound | {key: found[f"g{number}"] for number, key in enumerate(groups)} if groups else bound


class Header:
    """Where the columns of a printed table begin."""

    def __init__(self, line):
        self.indent = len(line) - len(line.lstrip(" "))
        self.starts, at = [], self.indent
        for cell in GAP.split(line.strip(" ")):
            at = line.index(cell, at)
            self.starts.append(at)
            at += len(cell)

    def cells(self, line):
        """A row's cells; None for a line that is not cut at this table's columns."""
        if not line.strip() or line[:self.indent].strip():
            return None
        ends = self.starts[1:] + [len(line) + 1]
        if all(line[start - 1:start] in (" ", "") for start in self.starts[1:]):
            return [line[start:end].strip(" ") for start, end in zip(self.starts, ends)]
        # A watch's later rows may be wider than its header.
        cells = GAP.split(line.strip(" "))
        return cells if len(cells) == len(self.starts) else None


def is_header(lines, index):
    """A table begins here: all capitals, or underlined with dashes as describe does, or a pod's conditions."""
    cells = GAP.split(lines[index].strip(" "))
    if len(cells) < 2:
        return False
    under = lines[index + 1].strip(" ") if index + 1 < len(lines) else ""
    return (
        all(UPPER.match(cell) for cell in cells)
        or (under != "" and set(under) <= {"-", " "})
        or (cells == ["Type", "Status"] and lines[index].startswith("  ")))


def compare(expected, actual, bound):
    """The bindings after all expected lines took all actual ones, or None. `<...>` takes any number of lines."""

    def walk(i, j, bound, want, got):
        # `want` and `got` are the headers of the table that line i and line j stand in.
        while i < len(expected):
            line = expected[i]
            if line.strip() == "<...>":
                for skip in range(j, len(actual) + 1):
                    found = walk(i + 1, skip, bound, want, got)
                    if found is not None:
                        return found
                return None
            if j >= len(actual):
                return None
            if is_header(expected, i):
                want, got = Header(line), Header(actual[j])
                cells, others = GAP.split(line.strip(" ")), GAP.split(actual[j].strip(" "))
            else:
                cells = want.cells(line) if want else None
                others = got.cells(actual[j]) if cells else None
                if want and cells is None:
                    want = got = None
            if cells and others:
                if len(cells) != len(others):
                    return None
                for cell, other in zip(cells, others):
                    bound = match_text(cell, other, bound)
                    if bound is None:
                        return None
            else:
                bound = match_text(line, actual[j], bound)
                if bound is None:
                    return None
            i, j = i + 1, j + 1
        return bound if j == len(actual) else None

    return walk(0, 0, bound, None, None)


def difference(expected, actual, bound):
    """Lines of a diff in which what a placeholder rightly took is no difference."""
    if compare(expected, actual, bound) is not None:
        return []
    for loosely in (True, False):
        plain = (lambda text: GAP.sub("  ", text.rstrip())) if loosely else (lambda text: text)
        shown, rest = [], list(actual)
        for line in expected:
            taken = next((text for text in rest if match_text(plain(line), plain(text), bound) is not None), None)
            if taken is not None:
                rest.remove(taken)
            shown.append(fill(line, bound) if taken is None else taken)
        diff = list(difflib.unified_diff(shown, actual, lineterm="", n=1))[2:]
        if diff:
            break
    return [text for text in diff if not text.startswith("@@")]
