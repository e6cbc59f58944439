# Owns: what pods write down themselves (start, sign, end; by CLOCK_BOOTTIME, which all machines here share), the Job
# whose pods do so, and what follows from it: lives of copies, their gaps and overlaps.
# It must not know what the cluster says of its pods, nor what was done to it.

import pathlib
from typing import NamedTuple

# Seconds between two signs. A copy may have lived so much longer than its last one.
BEAT = 0.1
# /proc/uptime, which is CLOCK_BOOTTIME in hundredths. Nothing is forked, so a hundred pods cost little; a line is one
# write to a file that is opened to append, so lines of many pods do not mix.
SIGN = """\
sign() {
  local up
  read -r up _ </proc/uptime
  echo "$1 $POD_UID ${JOB_COMPLETION_INDEX:-0} $NODE_NAME $up $BASHPID $STINT_FENCING_TOKEN $HOSTNAME" >>/ledger/signs
}
"""
WORK = SIGN + """\
exec {nothing}<> <(:)
sign start
beat=0
until [[ -e /ledger/go ]] || (( BEATS > 0 && beat >= BEATS )); do
  read -rt 0.1 -u "$nothing"
  sign sign
  beat=$((beat + 1))
done
sign end
"""


def job(name, pods=1, parallelism=None, seconds=None, directory="/mnt/shared/ledger", script=WORK, node=None):
    """A Job of `pods` indexes whose pods sign for so many seconds of their own time, or, without, until the file `go`
    is in `directory`, which every machine has. `node`: the only one on which they may run."""
    fields = {"POD_UID": "metadata.uid", "NODE_NAME": "spec.nodeName"}
    environment = [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()]
    environment.append({"name": "BEATS", "value": str(round(seconds / BEAT) if seconds else 0)})
    pod = {
        "restartPolicy": "Never",
        "containers": [{
            "name": "main", "image": "host", "command": ["bash", "-c", script], "env": environment,
            "volumeMounts": [{"name": "ledger", "mountPath": "/ledger"}]}],
        "volumes": [{"name": "ledger", "hostPath": {"path": directory}}]}
    if node:
        pod["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"completions": pods, "parallelism": parallelism or pods, "completionMode": "Indexed",
                 "template": {"spec": pod}}}


class Sign(NamedTuple):
    """One line of a pod."""
    word: str
    uid: str
    index: int
    node: str
    time: float
    pid: int
    token: int
    pod: str


class Copy:
    """One pod of an index: all that it has signed."""

    def __init__(self, sign):
        self.uid, self.index, self.node, self.token, self.pod = sign.uid, sign.index, sign.node, sign.token, sign.pod
        self.signs = []

    @property
    def first(self):
        return self.signs[0].time

    @property
    def last(self):
        return self.signs[-1].time

    def count(self, word):
        return sum(sign.word == word for sign in self.signs)

    @property
    def has_ended(self):
        return self.count("end") > 0

    def worked(self):
        """Seconds that it was at work: pauses are none."""
        return sum(min(after.time - sign.time, 5 * BEAT) for sign, after in zip(self.signs, self.signs[1:]))

    def longest_pause(self):
        """Seconds, and when it began."""
        return max(((after.time - sign.time, sign.time) for sign, after in zip(self.signs, self.signs[1:])),
                   default=(0.0, self.first))


class Overlap(NamedTuple):
    """Two copies of one index at a time."""
    index: int
    old: Copy
    new: Copy
    seconds: float

    def __str__(self):
        return (f"index {self.index}: {self.old.pod} on {self.old.node} signed until {self.old.last}, "
                f"{self.new.pod} on {self.new.node} from {self.new.first}: {self.seconds:.2f} s at once")


class Ledger:
    """The file as it is now. A line that is being written, or is no pod's, is left out."""

    def __init__(self, path):
        self.copies = []
        by_uid = {}
        path = pathlib.Path(path)
        text = path.read_text(errors="replace") if path.exists() else ""
        for line in text.split("\n")[:-1]:
            words = line.split(" ")
            try:
                word, uid, index, node, time, pid, token, pod = words
                sign = Sign(word, uid, int(index), node, float(time), int(pid), int(token), pod)
            except ValueError:
                continue
            if sign.uid not in by_uid:
                by_uid[sign.uid] = Copy(sign)
            by_uid[sign.uid].signs.append(sign)
        for copy in by_uid.values():
            copy.signs.sort(key=lambda sign: sign.time)
        self.copies = sorted(by_uid.values(), key=lambda copy: (copy.first, copy.token))

    def of(self, index):
        """The copies of an index, oldest first."""
        return [copy for copy in self.copies if copy.index == index]

    def indexes(self):
        return sorted({copy.index for copy in self.copies})

    def overlaps(self):
        """Every two copies of an index of which the later one began before the earlier one's last sign. Copies of
        several Jobs must not be in one ledger, for their indexes are the same."""
        found = []
        for index in self.indexes():
            copies = self.of(index)
            for place, old in enumerate(copies):
                found += [Overlap(index, old, new, min(old.last, new.last) - new.first)
                          for new in copies[place + 1:] if new.first <= old.last]
        return found

    def gaps(self):
        """Of each replacement: (old copy, new copy, seconds between the last sign of any before it and its first)."""
        found = []
        for index in self.indexes():
            copies = self.of(index)
            for place in range(1, len(copies)):
                old = max(copies[:place], key=lambda copy: copy.last)
                found.append((old, copies[place], copies[place].first - old.last))
        return found

    def most_at_once(self):
        steps = sorted([(copy.first, 1) for copy in self.copies] + [(copy.last, -1) for copy in self.copies])
        running = most = 0
        for _, step in steps:
            running += step
            most = max(most, running)
        return most

    def problems(self, parallelism=None):
        """What must never be in a ledger, in words; empty: nothing is."""
        said = [str(overlap) for overlap in self.overlaps()]
        for copy in self.copies:
            if copy.count("start") != 1:
                said.append(f"{copy.pod} on {copy.node} started {copy.count('start')} times")
            if copy.count("end") > 1:
                said.append(f"{copy.pod} on {copy.node} ended {copy.count('end')} times")
        for index in self.indexes():
            if sum(copy.has_ended for copy in self.of(index)) > 1:
                said.append(f"index {index} was done more than once")
        if parallelism and self.most_at_once() > parallelism:
            said.append(f"{self.most_at_once()} copies at once, {parallelism} may")
        return said
