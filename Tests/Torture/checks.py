# Owns: what must hold after a run, and the words for where it does not: H1 to H6, caches, and that nothing is left.
# Pods' ledgers are the truth; what the cluster says is compared with them.
# It must not know how anything was done, only when.

import json
import os

import census
import informer
import ledger as ledgers
import workload
from machines import AGENT_DATA, boottime

# A lease, within which a node that cannot hear may start what it was told; then a start's own time.
DELIVERY = 5 + 2.5
# A lease, the toleration, the grace of the pods here, and the margin of a pod's own deadline.
LAST_WORK = 5 + 10 + 2 + 1 + 2.5
# What is in a data directory of an agent for the pods that it has: as many as may be left, since some are kept for the
# next pod, no more than there were pods at a time.
KEPT = {"pods": 0, "logs": 0, "root": 0, "messages": 128, "tokens": 128}
# Deeds that may fail a pod's start, which is charged to its Job as with Kubernetes.
DISK_DEEDS = {"fill", "tear-out", "hang", "power", "fail-writes"}


class Truth:
    """The ledgers of all Jobs of a run."""

    def __init__(self, directory, records):
        self.ledgers = {record.id: ledgers.Ledger(directory / record.id / "signs") for record in records}
        self.copies = {copy.uid: copy for ledger in self.ledgers.values() for copy in ledger.copies}

    def of(self, record):
        return self.ledgers[record.id]

    def gaps(self, records):
        """Seconds between two copies of one index."""
        return [gap for record in records if record.is_indexed() for _, _, gap in self.of(record).gaps()]


def acknowledged_exist(records, truth):
    """H1: what was acknowledged is there until it is deleted or its TTL is over; nothing is there twice."""
    said = []
    for record in records:
        if len(record.uids) > 1:
            said.append(f"H1 {record.id}: {len(record.uids)} Jobs of one request")
        has_worked = record.finished or any(copy.has_ended for copy in truth.of(record).copies)
        lived_out = record.kind == "ttl" and has_worked
        if record.acknowledged and not record.uids and not record.deletion_sent and not lived_out:
            said.append(f"H1 {record.name}: acknowledged at {record.acknowledged:.2f}, and nobody has seen it")
        if record.gone and not record.deletion_sent and not lived_out:
            said.append(f"H1 {record.name}: gone at {record.gone:.2f}, nobody deleted it")
    return said


def indexes_of(text):
    found = set()
    for part in filter(None, (text or "").split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def successes_are_real(records, truth, succeeded_pods):
    """H2: each success that was told is an exit with 0 that its pod has written down, and is counted once."""
    said = []
    jobs = {record.name for record in records}
    for uid, job in succeeded_pods.items():
        if job not in jobs:
            continue
        copy = truth.copies.get(uid)
        if copy is None or not copy.has_ended:
            said.append(f"H2 a pod of {job} ({uid}) is told to have succeeded, its ledger has no end")
    for record in records:
        if record.job is None:
            continue
        status, ended = record.job.get("status", {}), [copy for copy in truth.of(record).copies if copy.has_ended]
        count = status.get("succeeded", 0)
        if record.is_indexed():
            told, real = indexes_of(status.get("completedIndexes")), {copy.index for copy in ended}
            if told - real:
                said.append(f"H2 {record.name}: indexes {sorted(told - real)} are told complete, their ledgers say no")
            if len(told) != count:
                said.append(f"H2 {record.name}: {count} succeeded, completed indexes are {sorted(told)}")
        elif count > len(ended):
            said.append(f"H2 {record.name}: {count} succeeded, {len(ended)} ended well")
        if informer.condition(record.job, "Complete") and record.kind not in ("queue", "each"):
            if count != record.pods:
                said.append(f"H2 {record.name}: Complete with {count} of {record.pods}")
    return said


def never_two(records, truth):
    """H3: of an index never two copies at once, of a Job without indexes no more than its parallelism."""
    said = []
    for record in records:
        ledger = truth.of(record)
        if record.is_indexed():
            said += [f"H3 {record.name}: {overlap}" for overlap in ledger.overlaps()]
        elif ledger.most_at_once() > record.parallelism:
            said.append(f"H3 {record.name}: {ledger.most_at_once()} copies at once, {record.parallelism} may")
        for copy in ledger.copies:
            if copy.count("start") > 1:
                said.append(f"H3 {record.name}: {copy.pod} started {copy.count('start')} times")
    return said


def deleted_stay_away(records, truth):
    """H4: nothing starts after an acknowledged delete and the time for its delivery; what runs ends by its deadline."""
    said = []
    for record in records:
        since = record.deletion_acknowledged
        for copy in truth.of(record).copies if since else []:
            if copy.first > since + DELIVERY:
                said.append(f"H4 {record.name}: deleted at {since:.2f}, {copy.pod} on {copy.node} started {copy.first}")
            if copy.last > since + LAST_WORK:
                said.append(f"H4 {record.name}: deleted at {since:.2f}, {copy.pod} on {copy.node} worked {copy.last}")
    return said


def failures_have_reasons(records, truth, deeds, killed):
    """H6: a Job whose pods never fail by themselves fails only by what was done to it."""
    said = []
    for record in records:
        failed = record.job and informer.condition(record.job, "Failed")
        if not failed or record.kind in workload.MAY_FAIL:
            continue
        hits = sum(copy.uid in killed for copy in truth.of(record).copies)
        disks = any(deed.kind in DISK_DEEDS and record.sent - 60 < at < record.finished for at, deed in deeds)
        if hits <= record.job["spec"].get("backoffLimit", 6) and not disks:
            said.append(f"H6 {record.name} ({record.kind}): {failed['reason']}: {failed.get('message')}, "
                        f"{hits} inits were killed")
    return said


def caches_are_right(cluster, load):
    """What caches, lists of stint and lists of the API hold is the same."""
    said = []
    for kind, cache in (("jobs", load.jobs), ("pods", load.pods)):
        def differences():
            listed = cluster.get(kind)["items"]
            return informer.same(list(cache.snapshot().values()), listed)

        if not workload.wait_until(lambda: not differences(), 15):
            said += [f"cache of {kind}: {fault}" for fault in differences()[:5]]
        if load.kubectl:
            status, text = cluster.run("laptop", "kubectl", "--kubeconfig", "/mnt/shared/kubeconfig", "get", kind,
                                       "-o", "json", "--chunk-size", "50")
            theirs = json.loads(text)["items"] if status == 0 else []
            ours = cluster.get(kind)["items"]
            said += [f"kubectl's list of {kind}: {fault}" for fault in informer.same(theirs, ours)[:5]]
    return said + [f"cache of {fault}" for fault in load.jobs.faults + load.pods.faults]


def inventories_agree(cluster, nodes, count):
    """H6: with a Job of `count` pods at work, what runs on each node is what the coordinator says runs there."""
    directory = cluster.shared / "ledger" / "final"
    directory.mkdir()
    cluster.apply(ledgers.job("final", pods=count, directory="/mnt/shared/ledger/final"))
    if not workload.wait_until(lambda: len(ledgers.Ledger(directory / "signs").copies) >= count
                               and cluster.job_status("final").get("ready") == count, 60):
        return [f"H6 the last Job does not come to run: {cluster.job_status('final')}"]

    def differences():
        told = {node: set() for node in nodes}
        for pod in cluster.get("pods")["items"]:
            if pod["status"].get("phase") == "Running":
                told[pod["spec"]["nodeName"]].add(pod["metadata"]["uid"])
        return [f"H6 {node}: told {sorted(told[node])}, runs {sorted(real)}" for node in nodes
                if (real := census.Census(cluster, node).pods()) != told[node]]

    said = [] if workload.wait_until(lambda: not differences(), 20) else differences()
    (directory / "go").touch()
    cluster.wait_for_completion("final", 60)
    return said


def nothing_is_left(cluster, nodes, seconds=45):
    """H5: once every Job is deleted: no process, mount, control group or file of a pod."""
    def left():
        said = []
        for node in nodes:
            present = census.Census(cluster, node)
            said += [f"H5 {node}: process {words}" for words in present.strangers()]
            said += [f"H5 {node}: init {pid} of {pod.get('HOSTNAME')}" for pid, pod in present.inits().items()]
            now = census.mounts(cluster, node)
            then = cluster.mounted[node]
            said += [f"H5 {node}: mount {place}" for place in now if now.count(place) > then.count(place)]
            said += [f"H5 {node}: control group {group}" for group in census.orphaned_groups(cluster, node)]
            for kept, most in KEPT.items():
                there = os.listdir(cluster.path(node, f"{AGENT_DATA}/{kept}"))
                said += [f"H5 {node}: file {kept}/{name}" for name in sorted(there)[most:most + 3]]
        return said

    workload.wait_until(lambda: not left(), seconds)
    return left()


def holdings(cluster, nodes):
    """Of each coordinator, agent and keeper: kibibytes, descriptors."""
    found = {}
    for name in ["head", *nodes]:
        present = census.Census(cluster, name)
        for kind in ("coordinator", "agent", "keeper"):
            process = present.find(kind)
            if process and (held := census.holds(process)):
                found[name, kind] = held
    return found


def most_on(truth):
    """Of each node: the most copies that it had at once."""
    found = {}
    for node in {copy.node for copy in truth.copies.values()}:
        own = ledgers.Ledger(os.devnull)
        own.copies = [copy for copy in truth.copies.values() if copy.node == node]
        found[node] = own.most_at_once()
    return found


def grown(before, after, kibibytes, descriptors, pods):
    """Who holds more at rest than at the begin. A keeper keeps control groups of pods for the next ones."""
    said = []
    for (name, kind), held in after.items():
        first = before.get((name, kind), held)
        kept = 3 * pods.get(name, 0) if kind == "keeper" else 0
        if held[0] > first[0] + kibibytes or held[1] > first[1] + descriptors + kept:
            said.append(f"grown: {name}'s {kind}: {first[0]} KiB, {first[1]} descriptors at the begin, {held[0]} KiB, "
                        f"{held[1]} at the end, {pods.get(name, 0)} pods at most")
    return said


def corruptions_end(relay):
    """A byte that was turned over is the end of its connection."""
    said = []
    for connection in relay.corruptions:
        end = connection.ended or boottime()
        if end > connection.corrupted + 12:
            said.append(f"TLS: a connection of {connection.peer} lived {end - connection.corrupted:.1f} s with a byte "
                        f"turned over at {connection.corrupted:.2f}")
    return said
