# Owns: what every row of the partition table has in common: a cluster whose first node has all the work, the fault's
# clock, the end of the work, and the verdict of the pods' ledger.
# It must not know which fault is made.

import json
import time

import ledger as ledgers
import machines
from machines import Failure, boottime, eventually

# Work before the fault.
BEFORE = 10
# What the documentation promises with the defaults: lease 5 s, toleration 10 s, R = 1.05 × (5 + 10) + 2 s. What comes
# on top is a heartbeat, the way to the node, and the pod's start on a machine that others use too.
FROZEN_AFTER = 15
REPLACED_AFTER = 17.75
SLACK = 7
# Longer than R: what was to be replaced is replaced by then.
LONG = 60
# The longest time without a sign of a copy that runs: it is one of many processes on two processors.
HICCUP = 2.5
REPLACED, GOES_ON = "replaced", "same copy goes on: no replacement"


class Stage:
    """One row at work."""

    def __init__(self, row, cluster):
        self.row, self.cluster = row, cluster
        self.fault = self.healed = None

    def prepare(self):
        """All pods of the Job are at work, on the first node unless the row says otherwise; the others would take
        them."""
        cluster, pods = self.cluster, self.row.pods
        directory = cluster.shared / "ledger"
        directory.mkdir()
        (directory / "signs").touch()
        # Escaped programs of pods have lost their root.
        directory.chmod(0o777)
        (directory / "signs").chmod(0o666)
        self.row.prepare(cluster)
        cluster.begin()
        others = [] if self.row.is_spread else cluster.nodes[1:]
        if others:
            cluster.must_stint("cordon", *others)
        cluster.apply(ledgers.job("work", pods=pods, script=self.row.script))
        eventually("all pods sign", lambda: self.signers() >= pods * self.row.signers, seen=cluster.story)
        eventually("all pods are shown ready", lambda: cluster.job_status("work").get("ready") == pods)
        if others:
            cluster.must_stint("uncordon", *others)
        begin = max(copy.first for copy in self.ledger().copies)
        time.sleep(max(0, begin + BEFORE - boottime()))

    def ledger(self):
        return ledgers.Ledger(self.cluster.shared / "ledger" / "signs")

    def signers(self):
        return len({(sign.uid, sign.pid) for copy in self.ledger().copies for sign in copy.signs})

    def strike(self):
        """Now is the fault."""
        self.fault = boottime()

    def heal(self):
        """Now it is over."""
        self.healed = boottime()

    def until(self, seconds):
        """Waits until so many seconds after the fault."""
        time.sleep(max(0, self.fault + seconds - boottime()))

    def replacements(self):
        """Waits until every index has a second copy."""
        eventually("every pod is replaced", lambda: len(self.ledger().copies) >= 2 * self.row.pods, LONG,
                   seen=self.cluster.story)

    def signs_on(self, seconds=5):
        """Waits until every copy that was there at the fault signs after now."""
        now = boottime()
        eventually("the pods sign on", lambda: all(copy.last > now for copy in self.ledger().copies[:self.row.pods]), seconds,
                   seen=self.cluster.story)

    def finish(self):
        """All nodes are Ready again, the Job ends, and the ledger says what happened."""
        for node in self.cluster.nodes:
            self.cluster.wait_for_ready(node, 90)
        # What was to wake up where it should not has woken up by now.
        time.sleep(3)
        (self.cluster.shared / "ledger" / "go").touch()
        self.cluster.wait_for_completion("work")
        return Result(self.row, self.ledger(), self.fault, self.healed, self.cluster.job_status("work"))


class Result:
    """What the ledger says of a row; times are seconds after the fault."""

    def __init__(self, row, ledger, fault, healed, status):
        self.name, self.title, self.did, self.promise = row.name, row.title, row.did, row.promise
        self.healed = round(healed - fault, 2) if healed else None
        gaps = ledger.gaps()
        self.gap = round(min(gap for _, _, gap in gaps) * 1000) if gaps else None
        self.replaced = round(max(new.first for _, new, _ in gaps) - fault, 2) if gaps else None
        self.old_end = round(max(old.last for old, _, _ in gaps) - fault, 2) if gaps else None
        self.lost = round(max((copy.worked() for copy in ledger.copies if not copy.has_ended), default=0), 1)
        pauses = [copy.longest_pause()[0] for copy in ledger.copies if not gaps]
        self.pause = round(max(pauses), 2) if pauses else None
        shown = min(gaps, key=lambda gap: gap[2])[0].index if gaps else 0
        self.lives = [{"node": copy.node, "ended": copy.has_ended, "spans": spans(copy, fault)}
                      for copy in ledger.of(shown)]
        self.faults = self.judge(row, ledger, status)

    def judge(self, row, ledger, status):
        """What is not as it was promised, in words."""
        pods, said = row.pods, ledger.problems(row.pods)
        if status.get("succeeded", 0) != pods:
            said.append(f"succeeded is {status.get('succeeded', 0)}, not {pods}")
        if status.get("failed", 0) != 0:
            said.append(f"{status['failed']} attempts are counted as failed")
        if len(ledger.indexes()) != pods:
            said.append(f"indexes {ledger.indexes()} signed")
        # Of each index.
        copies = [len(ledger.of(index)) for index in ledger.indexes()]
        if not copies:
            said.append("nothing signed")
        elif row.promise == GOES_ON:
            if any(count != 1 for count in copies):
                said.append(f"{sum(count > 1 for count in copies)} of {pods} copies were replaced")
            elif self.pause > row.limit:
                said.append(f"a copy stood still for {self.pause} s, {row.limit} s at most was promised")
        elif any(count != 2 for count in copies):
            said.append(f"copies of the indexes: {copies}")
        elif self.gap <= 0:
            said.append("the gap is not positive")
        elif self.replaced > row.limit:
            said.append(f"replaced after {self.replaced} s, {row.limit} s at most was promised")
        return said

    def verdict(self):
        return "; ".join(self.faults) if self.faults else self.promise

    def cells(self):
        def text(value, form):
            # Without a zero that has a sign.
            return "–" if value is None else format(round(value, 1) + 0, form)

        return [text(self.old_end, ".1f"), text(self.gap, ",d"), text(self.replaced, ".1f"), text(self.pause, ".1f"),
                text(self.lost, ".1f")]

    def to_json(self):
        return self.__dict__

    @classmethod
    def of_json(cls, fields):
        result = cls.__new__(cls)
        result.__dict__.update(fields)
        return result


def spans(copy, fault):
    """When it was at work, as pairs; between them it stood still."""
    found = [[copy.first, copy.first]]
    for sign in copy.signs[1:]:
        if sign.time - found[-1][1] > 1:
            found.append([sign.time, sign.time])
        found[-1][1] = sign.time
    return [[round(begin - fault, 2), round(end - fault, 2)] for begin, end in found]


def play(row, save_story):
    """The result of a row; of one that went wrong itself a result that says so."""
    with machines.Cluster(**row.options) as cluster:
        stage = Stage(row, cluster)
        try:
            stage.prepare()
            row.act(stage)
            result = stage.finish()
        except Exception as error:
            save_story(f"{error!r}\n{cluster.story(40)}")
            raise Failure(str(error).partition(" -- ")[0].partition("\n")[0]) from error
        if result.faults:
            text = (cluster.shared / "ledger" / "signs").read_text(errors="replace")
            save_story("\n".join([*result.faults, json.dumps(cluster.get("pods")), cluster.story(60), text]))
        return result
