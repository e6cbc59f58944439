#!/usr/bin/env python3
# Owns: a run of chaos from its arguments to its report: the cluster, its tormentor, its clients, the healing, the
# checks, and what is kept for who wants to know what happened.
# It must not know what a deed or a check does.

import argparse
import collections
import contextlib
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import traceback

import blows
import checks
import crew as crews
import informer
import machines
import nemesis as torments
import workload as loads
from machines import boottime

# Seconds within which everything has ended after the healing: pods of lost nodes are replaced, back-offs are over.
HEALED = 150
# What the coordinator may hold more at rest than at the begin: KiB, descriptors.
GROWTH = (98304, 24)


class Log:
    """A file of lines, each there at once."""

    def __init__(self, path):
        self._file = open(path, "w", buffering=1)
        self._lock = threading.Lock()

    def __call__(self, line):
        with self._lock:
            self._file.write(line + "\n")


def end_of(record):
    """How a Job ended, in a word or two."""
    failed = record.job and informer.condition(record.job, "Failed")
    if failed:
        own = "" if record.kind in loads.MAY_FAIL else " by deeds"
        return failed["reason"] + own
    if record.job and informer.condition(record.job, "Complete"):
        return "Complete"
    return "deleted" if record.deletion_sent and record.uids else "not there" if not record.uids else "?"


def commit():
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(["git", "-C", machines.ROOT, "describe", "--always", "--dirty"], capture_output=True,
                              text=True, timeout=10).stdout.strip()
    return None


class Run:
    """One seed."""

    def __init__(self, options):
        self.options = options
        obstacles = blows.obstacles()
        self.lacks = {what: why for what, why in obstacles.items() if why}
        self.has = obstacles.keys() - self.lacks.keys()
        self.directory = options.directory / f"seed-{options.seed}"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.violations = []
        self.numbers = {}
        self.most = {}
        self.load = None

    def play(self):
        begin = boottime()
        with crews.TormentedCluster(self.has) as cluster:
            crew = crews.Crew(cluster)
            try:
                self.torment(cluster, crew)
            except Exception as error:
                self.violations.append(f"the run itself: {error!r}"[:600])
                (self.directory / "error").write_text(traceback.format_exc())
            finally:
                if self.load:
                    self.load.stop()
                crew.end()
                self.keep(cluster)
        self.numbers["seconds in all"] = round(boottime() - begin)

    def torment(self, cluster, crew):
        options = self.options
        cluster.begin()
        (cluster.shared / "kubeconfig").chmod(0o600)
        before = checks.holdings(cluster, crews.NODES)
        crew.begin()
        load = self.load = loads.Workload(cluster, options.seed, options.rate, Log(self.directory / "clients.log"))
        hand = blows.Blows(cluster, cluster.relay, crew, random.Random(f"blows {options.seed}"))
        deeds = torments.plan(options.seed, options.seconds, crews.NODES, crews.RELAYED, self.has, options.mean)
        nemesis = torments.Nemesis(deeds, hand, Log(self.directory / "nemesis.log"))
        nemesis.wait()
        healing = boottime()
        stuck = nemesis.heal()
        self.violations += [f"H6 not taken back: {name}" for name in stuck]
        self.violations += [f"the run itself: failed: {deed.words()}" for deed in nemesis.failed]
        load.end()
        self.rest(cluster, load, healing)
        self.numbers["seconds from healing to rest"] = round(boottime() - healing)
        self.judge(cluster, load, nemesis)
        self.clear(cluster, load)
        self.weigh(before, checks.holdings(cluster, crews.NODES), crew)
        self.count(load, nemesis, crew)

    def rest(self, cluster, load, healing):
        """H6: all nodes come back, all Jobs end."""
        if not loads.wait_until(lambda: cluster.ready_nodes() == set(crews.NODES), 90):
            self.violations.append(f"H6 Ready 90 s after the healing: {sorted(cluster.ready_nodes())}")
        load.resume_all()
        if not loads.wait_until(load.is_at_rest, max(5, healing + HEALED - boottime())):
            names = load.restless()
            self.violations.append(f"H6 {len(names)} Jobs have not ended {HEALED} s after the healing: {names[:8]}")

    def judge(self, cluster, load, nemesis):
        records = list(load.records.values())
        self.violations += checks.inventories_agree(cluster, crews.NODES, 10)
        self.violations += checks.caches_are_right(cluster, load)
        truth = checks.Truth(cluster.shared / "ledger", records)
        deeds = [(nemesis.begin + deed.at, deed) for deed in nemesis.done]
        self.violations += load.faults
        self.violations += checks.acknowledged_exist(records, truth)
        self.violations += checks.successes_are_real(records, truth, load.succeeded_pods)
        self.violations += checks.never_two(records, truth)
        self.violations += checks.failures_have_reasons(records, truth, deeds, nemesis.killed)
        self.violations += checks.corruptions_end(cluster.relay)

    def clear(self, cluster, load):
        """Everything is deleted; then nothing is left, and nothing has begun."""
        cluster.must_stint("delete", "job", "--all", "--wait=false", seconds=60)
        for record in load.records.values():
            record.deletion_sent = record.deletion_sent or boottime()
        if not loads.wait_until(lambda: not cluster.get("pods")["items"] and not cluster.get("jobs")["items"], 60):
            self.violations.append("H6 not all is deleted 60 s after it was told to be")
        self.violations += checks.nothing_is_left(cluster, crews.NODES)
        records = list(load.records.values())
        truth = checks.Truth(cluster.shared / "ledger", records)
        self.violations += checks.deleted_stay_away(records, truth)
        self.most = checks.most_on(truth)
        gaps = sorted(truth.gaps(records))
        self.numbers["copies of pods"] = len(truth.copies)
        self.numbers["ended well"] = sum(copy.has_ended for copy in truth.copies.values())
        if gaps:
            self.numbers["replacements of an index"] = len(gaps)
            self.numbers["gaps (s)"] = (f"least {gaps[0]:.2f}, median {gaps[len(gaps) // 2]:.2f}, most {gaps[-1]:.2f}")

    def weigh(self, before, after, crew):
        self.violations += checks.grown(before, after, *GROWTH, self.most)
        for who in (("head", "coordinator"), ("node-1", "agent"), ("node-1", "keeper")):
            cells = [held and f"{held[0] // 1024} MiB, {held[1]} fds" for held in
                     (before.get(who), crew.peaks.get(who), after.get(who))]
            self.numbers[f"{who[1]} of {who[0]}"] = " | ".join(cell or "?" for cell in cells) + " (begin | most | end)"

    def count(self, load, nemesis, crew):
        records = load.records.values()
        self.numbers["deeds done, missed, failed"] = (
            f"{len(nemesis.done)}, {len(nemesis.missed)}, {len(nemesis.failed)}")
        kinds = collections.Counter(deed.kind for deed in nemesis.done)
        self.numbers["deeds"] = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        self.numbers["jobs sent, acknowledged"] = (
            f"{len(records)}, {sum(bool(record.acknowledged) for record in records)}")
        ends = collections.Counter(end_of(record) for record in records)
        self.numbers["jobs' ends"] = ", ".join(f"{end} {count}" for end, count in sorted(ends.items()))
        self.numbers["requests of clients, refused or unanswered"] = f"{load.requests}, {load.refused}"
        self.numbers["lists, watches, events of caches"] = ", ".join(
            str(getattr(load.jobs, what) + getattr(load.pods, what)) for what in ("lists", "watches", "events"))
        self.numbers["started again by the crew"] = crew.restarts

    def keep(self, cluster):
        """The logs of all processes, and all ledgers in one file: each line begins with its Job's request."""
        shutil.copytree(cluster.logs, self.directory / "logs", dirs_exist_ok=True)
        with open(self.directory / "ledger", "w") as file:
            for signs in sorted((cluster.shared / "ledger").glob("*/signs")):
                for line in signs.read_text(errors="replace").splitlines():
                    file.write(f"{signs.parent.name} {line}\n")

    def report(self):
        options = self.options
        lines = [f"chaos: seed {options.seed}, {options.seconds:g} s of deeds, {options.rate:g} pods/s asked for"]
        lines.append(f"  {machines.binary()}, commit of these tests: {commit() or 'not known'}")
        lines += [f"  {name}: {number}" for name, number in self.numbers.items()]
        lines += [f"  without {what}: {why}" for what, why in self.lacks.items()]
        lines.append(f"  violations: {len(self.violations)}")
        lines += [f"    {violation}" for violation in self.violations[:60]]
        lines.append(f"  kept in {self.directory}")
        text = "\n".join(lines)
        (self.directory / "report").write_text(text + "\n")
        return text


def main():
    parser = argparse.ArgumentParser(description="Torments a cluster of real processes and checks what it promises.")
    parser.add_argument("--seconds", type=float, default=120, help="how long deeds are begun (default: 120)")
    parser.add_argument("--seed", type=int, default=1, help="which deeds and Jobs (default: 1)")
    parser.add_argument("--rate", type=float, default=4, help="pods a second that are asked for (default: 4)")
    parser.add_argument("--mean", type=float, default=1.5, help="seconds between two tries of a deed (default: 1.5)")
    parser.add_argument("--directory", type=pathlib.Path, default=machines.ROOT / ".build" / "chaos",
                        help="where logs and ledgers are kept (default: .build/chaos)")
    options = parser.parse_args()
    obstacle = machines.obstacle()
    if obstacle:
        print(f"skipped: chaos ({obstacle})")
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    run = Run(options)
    run.play()
    print(run.report())
    return 1 if run.violations else 0


if __name__ == "__main__":
    sys.exit(main())
