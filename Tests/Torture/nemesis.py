# Owns: the plan of a run's torments, made from its seed alone, and its execution: each deed and its undoing is a line
# of the nemesis' log. It must not know how a deed is done, nor judge what came of it.

import random
import threading
from typing import NamedTuple

import blows
from machines import boottime

# Machines other than the coordinator's that may be out of reach at a time: with more the brake on mass losses waits.
MOST_LOST = 2


class Deed(NamedTuple):
    """What is done, at so many seconds from the start, for so long."""
    number: int
    at: float
    kind: str
    target: str
    seconds: float
    parameters: dict

    def words(self):
        return " ".join([str(self.number), self.kind, self.target,
                         *[f"{key}={value}" for key, value in self.parameters.items()]])


class Kind(NamedTuple):
    weight: int
    # Whom it may befall: head, nodes, relayed (nodes behind the relay), laptop; several by spaces.
    targets: str
    seconds: tuple
    parameters: dict
    # Whether the target may be lost by it.
    loses: bool = False
    needs: str = ""


# Seconds are short, or beyond the time after which work is replaced (a tenth of them by `LONG`).
LONG = (19, 32)
KINDS = [
    ("kill-init", Kind(14, "nodes", (0, 0), {})),
    ("kill", Kind(9, "nodes", (0, 0), {"what": ("agent",)})),
    ("kill", Kind(7, "nodes", (0, 0), {"what": ("keeper",)})),
    ("kill", Kind(7, "head", (0, 0), {"what": ("coordinator",)})),
    ("stop", Kind(10, "nodes", (0.5, 9), {"what": ("agent", "keeper", "agent+keeper")}, True)),
    ("stop", Kind(4, "head", (0.5, 9), {"what": ("coordinator",)})),
    ("cut", Kind(8, "nodes", (0.5, 9), {}, True)),
    ("cut", Kind(2, "head laptop", (0.5, 9), {})),
    ("mute", Kind(7, "nodes", (0.5, 9), {"towards": ("coordinator", "node")}, True)),
    ("slow", Kind(4, "nodes head", (2, 9), {"kilobits": (64, 256, 1024)}, True)),
    ("delay", Kind(3, "relayed", (2, 12), {"milliseconds": (50, 300, 900)}, True)),
    ("drip", Kind(3, "relayed", (2, 12), {"rate": (200, 1000, 5000)}, True)),
    ("hold", Kind(3, "relayed", (1, 9), {}, True)),
    ("corrupt", Kind(6, "relayed", (3, 3), {"way": ("up", "down")})),
    ("reset", Kind(4, "relayed", (0, 0), {})),
    ("power", Kind(5, "nodes", (0.1, 9), {"loses": (False, True)}, True, "disks")),
    ("power", Kind(3, "head", (0.1, 6), {"loses": (False, True)}, False, "disks")),
    ("tear-out", Kind(3, "nodes", (2, 9), {}, True, "disks")),
    ("tear-out", Kind(2, "head", (1, 4), {}, False, "disks")),
    ("fill", Kind(4, "nodes head", (3, 9), {}, False, "disks")),
    ("hang", Kind(4, "nodes head", (0.5, 9), {}, True, "disks")),
    ("fail-writes", Kind(4, "nodes head", (0.3, 3), {"error": ("EIO", "ENOSPC")}, False, "tracers")),
    ("squeeze", Kind(4, "nodes head", (2, 6), {"kibibytes": (64, 512, 2048)}, False, "memory")),
    ("double", Kind(2, "nodes", (6, 12), {}, False)),
    ("cordon", Kind(3, "nodes", (2, 12), {})),
    ("clock", Kind(6, "nodes head", (2, 20), {"seconds": (-3000, -60, -7, 7, 60, 3000)}, False, "clocks")),
]


def plan(seed, seconds, nodes, relayed, has, mean):
    """The deeds of a run. Nobody has two at a time, and after one that lost it a machine has time to come back."""
    draw = random.Random(f"nemesis {seed}")
    kinds = [(name, kind) for name, kind in KINDS if not kind.needs or kind.needs in has]
    who = {"head": ["head"], "laptop": ["laptop"], "nodes": list(nodes), "relayed": list(relayed)}
    free, lost, double_until, deeds = {}, {}, 0.0, []
    at = 3.0
    while at < seconds:
        name, kind = draw.choices(kinds, [kind.weight for _, kind in kinds])[0]
        targets = [target for group in kind.targets.split() for target in who[group] if free.get(target, 0) <= at]
        most = sum(until > at for until in lost.values())
        target = draw.choice(targets) if targets else None
        duration = draw.uniform(*kind.seconds)
        if kind.seconds[1] >= 9 and draw.random() < 0.12 and target != "head":
            duration = draw.uniform(*LONG)
        parameters = {key: draw.choice(values) for key, values in kind.parameters.items()}
        may = target and not (kind.loses and target != "head" and most >= MOST_LOST)
        if may and not (name == "double" and double_until > at):
            deeds.append(Deed(len(deeds) + 1, at, name, target, duration, parameters))
            free[target] = at + duration + 1
            if kind.loses and target != "head":
                lost[target] = at + duration + (20 if name in ("power", "tear-out") else 4)
            if name == "double":
                double_until = at + duration + 3
        at += draw.expovariate(1 / mean)
    return deeds


class Nemesis:
    """Does the deeds of a plan, each in a thread of its own."""

    def __init__(self, deeds, hand, log):
        self.deeds, self.hand = deeds, hand
        self.done, self.missed, self.failed = [], [], []
        # Of each init that was killed the uid of its pod.
        self.killed = set()
        self._log = log
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = []
        self.begin = boottime()
        self._clock = threading.Thread(target=self._run, daemon=True)
        self._clock.start()

    def wait(self):
        """Until the last deed of the plan was begun."""
        self._clock.join()

    def heal(self):
        """Takes everything back, now."""
        self._is_over.set()
        self._clock.join()
        for thread in self._threads:
            thread.join(180)
        return [thread.name for thread in self._threads if thread.is_alive()]

    def _run(self):
        for deed in self.deeds:
            if self._is_over.wait(max(0, self.begin + deed.at - boottime())):
                return
            thread = threading.Thread(target=self._do, args=(deed,), name=deed.words(), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _say(self, word, deed, more=""):
        self._log(f"{boottime():.2f} {word} {deed.words()} {more}".rstrip())

    def _do(self, deed):
        try:
            self._say("do", deed, f"for={deed.seconds:.1f}s")
            undo = self._strike(deed)
        except blows.Missing as error:
            self.missed.append(deed)
            self._say("missed", deed, f"({error})")
            return
        except Exception as error:
            self.failed.append(deed)
            self._say("failed", deed, repr(error))
            return
        self.done.append(deed)
        if undo is None:
            return
        self._is_over.wait(deed.seconds)
        try:
            undo()
            self._say("undone", deed)
        except Exception as error:
            self.failed.append(deed)
            self._say("failed to undo", deed, repr(error))

    def _strike(self, deed):
        if deed.kind != "kill-init":
            return self.hand.do(deed.kind, deed.target, deed.parameters)
        with self._lock:
            self.hand.do(deed.kind, deed.target, deed.parameters)
            self.killed.add(self.hand.told["uid"])
            self._say("hit", deed, " ".join(f"{key}={value}" for key, value in self.hand.told.items()))
        return None
