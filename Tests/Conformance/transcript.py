# Owns: the form of a transcript: reading a file into setup files and steps. README.md describes it for writers.
# It must not know how steps run or how their output is compared.

import re
from dataclasses import dataclass, field

GUARD = re.compile(r"^\[(\d+\.\d+)?(-)?(\d+\.\d+)?\] ?")


class TranscriptError(Exception):
    """A transcript that cannot be read: file, line, why."""


@dataclass
class Line:
    """One expected line, and for which client versions."""

    text: str
    guard: tuple | None = None


@dataclass
class Step:
    """One command and what it must print. `again`: typed again until it fits."""

    command: str
    place: str
    again: bool = False
    guard: tuple | None = None
    stdout: list = field(default_factory=list)
    stderr: list = field(default_factory=list)
    statuses: list = field(default_factory=list)
    files: list = field(default_factory=list)

    def status(self, version):
        """The exit status that a client of this version must give."""
        fitting = [line for line in self.statuses if fits(line.guard, version)]
        return int(fitting[-1].text) if fitting else 0


@dataclass
class Transcript:
    name: str
    steps: list
    alone: bool = False


def fits(guard, version):
    """Whether a guard (lowest, highest), both included, takes a (major, minor)."""
    if guard is None:
        return True
    low, high = guard
    return (low is None or version >= low) and (high is None or version <= high)


def split_guard(text, place):
    match = GUARD.match(text)
    if not match or not (match[1] or match[3]):
        return None, text
    low, dash, high = match.groups()
    number = lambda word: tuple(map(int, word.split("."))) if word else None
    if not dash and high:
        raise TranscriptError(f"{place}: a guard is [1.31], [1.31-], [-1.31] or [1.30-1.31]")
    return (number(low), number(high if dash else low)), text[match.end():]


def read(path):
    """A transcript from its file."""
    result = Transcript(path.stem, [])
    pending_files, step, file = [], None, None
    for number, raw in enumerate(path.read_text().split("\n"), 1):
        place = f"{path.name}:{number}"
        if file is not None:
            if raw == "===":
                pending_files.append((file[0], "\n".join(file[1]) + "\n"))
                file = None
            else:
                file[1].append(raw)
            continue
        guard, text = split_guard(raw, place)
        if text.startswith("=== file "):
            file = (text[len("=== file "):].strip(), [])
        elif text == "@ alone":
            result.alone = True
        elif text.startswith(("$ ", "~ ")):
            step = Step(text[2:], place, again=text[0] == "~", guard=guard, files=pending_files)
            pending_files = []
            result.steps.append(step)
        elif text == "#" or text.startswith("# "):
            continue
        elif step is None:
            if text.strip():
                raise TranscriptError(f"{place}: \"{raw}\" belongs to no step")
        elif text.startswith("> ") and not step.stdout and not step.stderr:
            step.command += "\n" + text[2:]
        elif text.startswith("! ") or text == "!":
            step.stderr.append(Line(text[2:], guard))
        elif text.startswith("= "):
            step.statuses.append(Line(text[2:], guard))
        else:
            step.stdout.append(Line(text[1:] if text.startswith("\\") else text, guard))
    if file is not None:
        raise TranscriptError(f"{path.name}: file {file[0]} does not end with ===")
    for step in result.steps:
        while step.stdout and not step.stdout[-1].text.strip():
            step.stdout.pop()
    return result
