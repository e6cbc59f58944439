#!/usr/bin/env python3
# Owns: the partition table: each way in which a node, its keeper, its network, its disk, its clock or the coordinator
# fails, made on machines that are namespaces, and what the pods' own ledgers say of it.
# It must not know how pods are fenced: only what is promised.

import argparse
import concurrent.futures
import json
import os
import pathlib
import sys
import time

import ledger
import machines
import picture
import stage
from machines import AGENT_DATA, COORDINATOR_DATA, Failure, eventually
from stage import FROZEN_AFTER, GOES_ON, HICCUP, LONG, REPLACED, REPLACED_AFTER, SLACK

RESULTS = machines.ROOT / ".build" / "partitions"
NODE, HEAD = "node-1", "head"
HOUR = 3600
COPY = "/var/lib/stint-copy"
SUID = "/usr/local/lib/stint-escape"
# In each pod a program that has left its session, twice forked, and one that is set-uid to another user, twice forked
# too: neither dies of its parent's death. They sign as the pod does.
ESCAPE = ledger.WORK.replace("sign start\n", f"""\
escaped="$(declare -f sign)
exec {{nothing}}<> <(:)
until [[ -e /ledger/go ]]; do read -rt 0.1 -u \\$nothing; sign sign; done"
(setsid bash -c "$escaped" &)
({SUID} -p -c "(( EUID != UID )) || exit; $escaped" &)
sign start
""")
# Its lines go to the node's disk, so the keeper meets it.
TALK = ledger.WORK.replace("  sign sign\n", "  sign sign\n  echo a line of some length for the log\n")

# The faults.


def kill_agent(at):
    agent = at.cluster.must_find("agent", NODE)
    at.strike()
    agent.kill()
    return agent


def agent_killed(at):
    kill_agent(at)
    at.replacements()
    at.until(30)
    at.cluster.start_agent(NODE)
    at.heal()


def agent_restarted(at):
    kill_agent(at).wait()
    at.until(2)
    at.cluster.start_agent(NODE)
    at.heal()
    # Who was not adopted stands still by then.
    at.until(2 + FROZEN_AFTER + 10)
    at.signs_on()


def stopped(*kinds):
    def act(at):
        processes = [at.cluster.must_find(kind, NODE) for kind in kinds]
        at.strike()
        for process in processes:
            process.stop()
        at.replacements()
        at.until(LONG)
        for process in processes:
            process.resume()
        at.heal()
    return act


def keeper_killed(at):
    keeper = at.cluster.must_find("keeper", NODE)
    at.strike()
    keeper.kill()
    at.replacements()
    at.until(15)


def power_off(at):
    at.strike()
    at.cluster.power_off(NODE)
    at.replacements()
    at.until(30)
    at.cluster.boot(NODE)
    at.cluster.start_agent(NODE)
    at.heal()


def network(cut, join):
    def act(at):
        at.strike()
        cut(at.cluster)
        at.replacements()
        at.until(LONG)
        join(at.cluster)
        at.heal()
    return act


def head_cut(promise):
    def act(at):
        at.strike()
        at.cluster.cut(HEAD)
        at.until(LONG)
        at.cluster.join(HEAD)
        at.heal()
        if promise == REPLACED:
            at.replacements()
        else:
            at.until(LONG + FROZEN_AFTER)
    return act


def coordinator_away(seconds):
    def act(at):
        coordinator = at.cluster.must_find("coordinator")
        at.strike()
        coordinator.kill()
        coordinator.wait()
        at.until(seconds)
        at.cluster.start_coordinator()
        at.heal()
        if seconds > 600:
            at.replacements()
        else:
            at.until(seconds + 2 * FROZEN_AFTER)
            at.signs_on()
    return act


def clock_jumps(hours):
    def act(at):
        at.strike()
        for name in (NODE, HEAD):
            at.cluster.set_clock(name, hours * HOUR)
            time.sleep(1)
            check_clock(at.cluster, name, hours)
            time.sleep(2 * FROZEN_AFTER - 5)
            at.signs_on()
            at.cluster.set_clock(name, 0)
            time.sleep(5)
            at.signs_on()
        at.heal()
    return act


def check_clock(cluster, name, hours):
    """Its programs, and the coordinator if it is that one's, are told the wrong time."""
    seen = int(cluster.must(name, "date", "+%s")) - time.time()
    if name == HEAD:
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wrong"}}
        cluster.apply(made)
        stamp = cluster.get("configmap", "wrong")["metadata"]["creationTimestamp"]
        cluster.must_stint("delete", "configmap", "wrong")
        seen = int(cluster.must("laptop", "date", "--date", stamp, "+%s")) - time.time()
    if abs(seen - hours * HOUR) > 30:
        raise Failure(f"the clock of {name} differs by {seen:.0f} s, not by {hours} h")


def double(at):
    """Three more agents bear its name: on a copy of its directory beside it, on one on another machine, with a key of
    its own on a third one."""
    cluster = at.cluster
    cluster.must(NODE, "cp", "-a", AGENT_DATA, COPY)
    cluster.must(NODE, "cp", "-a", AGENT_DATA, "/mnt/shared/copy")
    cluster.must("spare", "cp", "-a", "/mnt/shared/copy", AGENT_DATA)
    at.strike()
    cluster.start_agent(NODE, "--data", COPY, log="double-beside")
    cluster.start_agent("spare", "--name", NODE, log="double-copied")
    cluster.start_agent("laptop", "--name", NODE, log="double-joined")
    at.until(2 * FROZEN_AFTER)
    for log, reason in (("beside", "another data directory"), ("copied", "key is on another machine"),
                        ("joined", "belongs to another machine's key")):
        text = (cluster.logs / f"double-{log}").read_text(errors="replace")
        if reason not in text:
            raise Failure(f"the double that has {log} is not refused because it {reason}: {text}")
    at.signs_on()


def double_takes_over(at):
    """One on a copy of the directory tries to come in all the while, and is let in once nothing of the old runs."""
    cluster = at.cluster
    agent = cluster.must_find("agent", NODE)
    cluster.must(NODE, "cp", "-a", AGENT_DATA, COPY)
    cluster.start_agent(NODE, "--data", COPY, log="double-beside")
    log = cluster.logs / "double-beside"
    eventually("the double is refused", lambda: "another data directory" in log.read_text(), 30, seen=cluster.story)
    at.strike()
    agent.kill()
    at.replacements()
    eventually("the double is let in", lambda: "connected to the coordinator" in log.read_text(), LONG,
               seen=cluster.story)
    at.heal()


def make_suid(cluster):
    cluster.must(NODE, "sh", "-c", f"cp /bin/bash {SUID} && chown nobody {SUID} && chmod 4755 {SUID}")
    cluster.must("node-2", "sh", "-c", f"cp /bin/bash {SUID} && chown nobody {SUID} && chmod 4755 {SUID}")


def disk_hangs(seconds):
    def act(at):
        disk = at.cluster.disks[NODE]
        at.strike()
        disk.freeze()
        at.until(seconds)
        at.signs_on()
        disk.thaw()
        at.heal()
        at.until(seconds + FROZEN_AFTER)
        at.signs_on()
    return act


def disk_hangs_and_agent_killed(at):
    disk, agent, keeper = at.cluster.disks[NODE], *(at.cluster.must_find(kind, NODE) for kind in ("agent", "keeper"))
    disk.freeze()
    eventually("something of the keeper waits for the disk", keeper.waits_in_kernel, 20)
    at.strike()
    agent.kill()
    at.replacements()
    at.until(30)
    disk.thaw()
    at.heal()
    agent.wait()
    at.cluster.start_agent(NODE)


def coordinator_disk_hangs(seconds, has_order):
    def act(at):
        disk = at.cluster.disks[HEAD]
        at.strike()
        disk.freeze()
        if has_order:
            # Its pods are assigned at once, and that cannot become durable: its nodes are not renewed.
            job = ledger.job("late", pods=4, seconds=1, directory="/mnt/shared/late")
            (at.cluster.shared / "late").mkdir()
            (at.cluster.shared / "late.json").write_text(json.dumps(job))
            at.cluster.start("laptop", "env", "KUBECONFIG=/mnt/shared/kubeconfig", "stint", "apply", "-f",
                             "/mnt/shared/late.json", log="late")
        at.until(seconds)
        if not has_order:
            at.signs_on()
        disk.thaw()
        at.heal()
        at.until(seconds + FROZEN_AFTER)
        at.signs_on()
        if has_order:
            at.cluster.wait_for_completion("late")
    return act


class Row:
    """A fault and what is promised of it. `limit`: seconds until the replacement's first sign, or without a sign."""

    def __init__(self, name, title, did, act, promise, limit, prepare=lambda cluster: None, script=ledger.WORK,
                 signers=1, pods=2, nodes=2, is_spread=False, spare=(), has_clocks=False):
        self.name, self.title, self.did, self.act = name, title, did, act
        self.promise, self.limit, self.prepare, self.script, self.signers = promise, limit, prepare, script, signers
        self.pods, self.is_spread = pods, is_spread
        self.options = {"nodes": [f"node-{number + 1}" for number in range(nodes)], "spare": spare,
                        "has_clocks": has_clocks}


def disk_of(name, path):
    return lambda cluster: machines.Disk(cluster, name, path)


BY_R = REPLACED_AFTER + SLACK
# A successor's sweep is a proof: nobody waits for R.
BY_SWEEP = 10
LONG_ROW = "coordinator-20min"
ROWS = [
    Row("agent-killed", "agent killed", "SIGKILL to the agent, which is started again after 30 s",
        agent_killed, REPLACED, BY_R),
    Row("agent-restarted", "agent killed, back after 2 s", "SIGKILL to the agent, which is started again after 2 s",
        agent_restarted, GOES_ON, HICCUP),
    Row("agent-stopped", "agent stopped for 60 s", "SIGSTOP to the agent, SIGCONT after 60 s",
        stopped("agent"), REPLACED, BY_R),
    Row("keeper-killed", "keeper killed", "SIGKILL to the keeper; its agent starts another one",
        keeper_killed, REPLACED, BY_SWEEP),
    Row("both-stopped", "agent and keeper stopped for 60 s", "SIGSTOP to both, SIGCONT after 60 s",
        stopped("agent", "keeper"), REPLACED, BY_R),
    Row("machine-off", "machine off", "the node's machine loses power and boots after 30 s",
        power_off, REPLACED, BY_R),
    Row("cut-both", "network cut both ways for 60 s", "the cable of the node is cut, and joined after 60 s",
        network(lambda cluster: cluster.cut(NODE), lambda cluster: cluster.join(NODE)), REPLACED, BY_R),
    Row("cut-to-coordinator", "network cut one way for 60 s: the node is mute",
        "what the node sends to the coordinator is lost for 60 s",
        network(lambda cluster: cluster.mute(NODE, HEAD), lambda cluster: cluster.unmute(NODE, HEAD)), REPLACED, BY_R),
    Row("cut-to-node", "network cut the other way for 60 s: the node is deaf",
        "what the coordinator sends to the node is lost for 60 s",
        network(lambda cluster: cluster.mute(HEAD, NODE), lambda cluster: cluster.unmute(HEAD, NODE)), REPLACED, BY_R),
    Row("cut-coordinator", "coordinator's network cut for 60 s, two nodes",
        "the cable of the coordinator's machine is cut, and joined after 60 s: both nodes are lost to it",
        head_cut(REPLACED), REPLACED, LONG + SLACK),
    Row("cut-coordinator-3", "coordinator's network cut for 60 s, three nodes",
        "the same with three nodes that all have pods: so many at once that it holds replacements back (C6)",
        head_cut(GOES_ON), GOES_ON, LONG - FROZEN_AFTER + SLACK, pods=6, nodes=3, is_spread=True),
    Row("coordinator-5s", "coordinator killed, back after 5 s", "SIGKILL to the coordinator, started again after 5 s",
        coordinator_away(5), GOES_ON, HICCUP),
    Row("coordinator-60s", "coordinator killed, back after 60 s",
        "SIGKILL to the coordinator, started again after 60 s: the pods are frozen meanwhile",
        coordinator_away(60), GOES_ON, 60 - FROZEN_AFTER + SLACK),
    Row(LONG_ROW, "coordinator killed, back after 20 min",
        "SIGKILL to the coordinator, started again after 20 min: the frozen pods are killed after 10",
        coordinator_away(1200), REPLACED, 1200 + BY_R),
    Row("clock-ahead", "wall clock + 1 h", "the node's wall clock jumps, and back after 26 s, then the coordinator's",
        clock_jumps(1), GOES_ON, HICCUP, has_clocks=True),
    Row("clock-behind", "wall clock − 1 h", "the same the other way",
        clock_jumps(-1), GOES_ON, HICCUP, has_clocks=True),
    Row("double", "second agents with the same name",
        "one on a copy of the directory beside it, one on such a copy on another machine, one that joins by its name",
        double, GOES_ON, HICCUP, spare=["spare"]),
    Row("double-takes-over", "a second agent, and the first one killed",
        "one on a copy of the directory tries to come in while the agent gets SIGKILL",
        double_takes_over, REPLACED, BY_R),
    Row("escape-killed", "double forks, setsid, set-uid: keeper killed",
        "each pod has a program in a session of its own and one of another user, both forked twice; SIGKILL to the "
        "keeper",
        keeper_killed, REPLACED, BY_SWEEP, prepare=make_suid, script=ESCAPE, signers=3),
    Row("escape-stopped", "double forks, setsid, set-uid: both stopped",
        "the same pods; SIGSTOP to agent and keeper, SIGCONT after 60 s",
        stopped("agent", "keeper"), REPLACED, BY_R, prepare=make_suid, script=ESCAPE, signers=3),
    Row("disk-node", "node's disk hangs for 30 s", "no write to the agent's directory returns for 30 s",
        disk_hangs(30), GOES_ON, HICCUP, script=TALK, prepare=disk_of(NODE, AGENT_DATA)),
    Row("disk-node-lost", "node's disk hangs, agent killed",
        "the same, and SIGKILL to the agent; the disk answers after 30 s",
        disk_hangs_and_agent_killed, REPLACED, BY_R, script=TALK, prepare=disk_of(NODE, AGENT_DATA)),
    Row("disk-coordinator", "coordinator's disk hangs for 40 s", "no write to the coordinator's directory returns",
        coordinator_disk_hangs(40, False), GOES_ON, HICCUP, prepare=disk_of(HEAD, COORDINATOR_DATA)),
    Row("disk-coordinator-orders", "coordinator's disk hangs for 40 s while it gives orders",
        "the same while pods are being assigned to both nodes: pods pause at their deadlines",
        coordinator_disk_hangs(40, True), GOES_ON, 40 - FROZEN_AFTER + SLACK, prepare=disk_of(HEAD, COORDINATOR_DATA)),
]


class Broken:
    """A row that did not come to its end."""

    def __init__(self, row, error):
        self.name, self.title, self.did, self.promise = row.name, row.title, row.did, row.promise
        self.faults = [f"{error}"]
        self.lives, self.healed = [], None

    def verdict(self):
        return self.faults[0]

    def cells(self):
        return ["–"] * 5

    def to_json(self):
        return self.__dict__


def run(row):
    RESULTS.mkdir(parents=True, exist_ok=True)
    log = RESULTS / f"{row.name}.log"
    log.unlink(missing_ok=True)
    try:
        result = stage.play(row, log.write_text)
    except Exception as error:
        result = Broken(row, error)
    (RESULTS / f"{row.name}.json").write_text(json.dumps(result.to_json()))
    print(f"{'ok  ' if not result.faults else 'FAIL'} {row.name:26} {result.verdict()}"
          + (f" (story: {log})" if result.faults else ""), flush=True)
    return result


def print_table(results):
    rows = [["row", "last sign s", "gap ms", "replaced after s", "longest pause s", "lost work s", "verdict"]]
    rows += [[result.title, *result.cells(), result.verdict()] for result in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1])]
        print("  ".join([row[0].ljust(widths[0]), *numbers, row[-1]]))


def main():
    parser = argparse.ArgumentParser(description="Makes each fault of the partition table and prints what followed.")
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS], help="this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help=f"all but {LONG_ROW}")
    parser.add_argument("--jobs", type=int, default=4, help="rows at a time (4)")
    parser.add_argument("--draw", action="store_true", help="write page and picture of what earlier runs have found")
    choice = parser.parse_args()
    rows = [row for row in ROWS if row.name in choice.row] if choice.row else list(ROWS)
    if choice.quick:
        rows = [row for row in rows if row.name != LONG_ROW]
    if choice.draw:
        results = [stage.Result.of_json(json.loads((RESULTS / f"{row.name}.json").read_text())) for row in rows]
        picture.write(results)
        return 0
    why = machines.obstacle() or machines.disk_obstacle()
    if why:
        print(f"skipped: the partition table ({why})")
        return 0
    if machines.clock_obstacle() and any(row.options["has_clocks"] for row in rows):
        print(f"skipped: the rows of wall clocks ({machines.clock_obstacle()})")
        rows = [row for row in rows if not row.options["has_clocks"]]
    machines.binary()
    begin = time.monotonic()
    # The long one first, beside all others.
    ordered = sorted(rows, key=lambda row: row.name != LONG_ROW)
    with concurrent.futures.ThreadPoolExecutor(choice.jobs) as pool:
        futures = {row.name: pool.submit(run, row) for row in ordered}
        try:
            results = [futures[row.name].result() for row in rows]
        except KeyboardInterrupt:
            # The machines hang on this process, and what they leave is taken away by their guardians.
            os._exit(130)
    print_table(results)
    failed = [result for result in results if result.faults]
    print(f"\n{len(results)} rows, {len(failed)} not as promised, {(time.monotonic() - begin) / 60:.0f} min")
    if len(rows) == len(ROWS) and not any(isinstance(result, Broken) for result in results):
        picture.write(results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
