# Owns: what clients ask of the cluster while it is tormented: Jobs of many kinds, by stint and by kubectl, what they
# change and delete of them, and a record of every word that they got for it.
# It must not know what is done to the cluster, nor judge what came of it.

import json
import random
import re
import shutil
import threading
import time

import informer
import ledger as ledgers
from machines import boottime

# Pods of a Job that no work is left for end at once; ones that fail say `fail`.
SCRIPT = ledgers.SIGN + """\
exec {nothing}<> <(:)
[[ $STUBBORN ]] && trap '' TERM
sign start
if [[ $CHILD ]]; then
  (while :; do read -rt 0.3 -u "$nothing"; sign sign; done) &
fi
beat=0
until [[ -e /ledger/go ]] || (( BEATS > 0 && beat >= BEATS )); do
  read -rt 0.2 -u "$nothing"
  sign sign
  beat=$((beat + 1))
done
if [[ $FAILS = always || ( $FAILS = some && $((RANDOM % 3)) = 0 ) ]]; then
  sign fail
  exit 3
fi
sign end
"""
BEAT = 0.2

# Of each kind of Job: weight, pods, parallelism, seconds of a pod, more of the spec, the pod's environment.
KINDS = {
    "plain": (6, 1, 1, (0.2, 2), {}, {}),
    "indexed": (6, 6, 3, (0.2, 2), {"completionMode": "Indexed"}, {}),
    "wide": (2, 16, 8, (0.2, 0.6), {"completionMode": "Indexed"}, {}),
    "long": (3, 3, 3, (8, 18), {"completionMode": "Indexed"}, {}),
    "parallel": (4, 5, 3, (0.2, 3), {}, {}),
    "queue": (2, None, 3, (0.5, 3), {}, {}),
    "children": (2, 2, 2, (0.5, 3), {"completionMode": "Indexed"}, {"CHILD": "1"}),
    "flaky": (3, 4, 4, (0.2, 1), {"completionMode": "Indexed", "backoffLimit": 2}, {"FAILS": "some"}),
    "each": (2, 4, 4, (0.2, 1), {"completionMode": "Indexed", "backoffLimitPerIndex": 1}, {"FAILS": "some"}),
    "failing": (2, 2, 2, (0.2, 0.6), {"backoffLimit": 0}, {"FAILS": "always"}),
    "deadline": (2, 2, 2, None, {"activeDeadlineSeconds": 4}, {}),
    "ttl": (3, 2, 2, (0.2, 1), {"ttlSecondsAfterFinished": 5}, {}),
    "suspended": (2, 4, 2, (3, 6), {"completionMode": "Indexed"}, {}),
    "scaled": (2, 8, 2, (1, 2), {"completionMode": "Indexed"}, {}),
    "deleted": (3, 4, 4, (4, 15), {"completionMode": "Indexed"}, {}),
    "bereaved": (3, 3, 3, (4, 10), {"completionMode": "Indexed"}, {"STUBBORN": "1"}),
}
MAY_FAIL = {"flaky", "each", "failing", "deadline"}


def manifest(record, directory):
    """The Job of a record, whose pods write to its own ledger."""
    _, pods, parallelism, _, more, environment = KINDS[record.kind]
    job = ledgers.job(record.name, pods=pods or 1, parallelism=parallelism, script=SCRIPT,
                      directory=f"{directory}/{record.id}")
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [entry for entry in container["env"] if entry["name"] != "BEATS"]
    values = {"BEATS": str(record.beats), **environment}
    container["env"] += [{"name": key, "value": value} for key, value in values.items()]
    job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 2
    del job["spec"]["completionMode"]
    job["spec"].update(more)
    if pods is None:
        del job["spec"]["completions"]
    job["metadata"]["labels"] = {"op": record.id}
    if record.is_generated:
        job["metadata"] = {"generateName": record.id + "-", "labels": {"op": record.id}}
    return job


class Record:
    """One Job as its client knows it. Times are boot time; None: it has not happened."""

    def __init__(self, number, kind, draw):
        self.id, self.kind = f"op-{number:05}", kind
        self.name = self.id
        self.is_generated = draw.random() < 0.15
        seconds = KINDS[kind][3]
        self.beats = max(1, round(draw.uniform(*seconds) / BEAT)) if seconds else 0
        self.pods, self.parallelism = KINDS[kind][1], KINDS[kind][2]
        self.sent = self.acknowledged = None
        self.deletion_sent = self.deletion_acknowledged = None
        # What the cache of jobs saw.
        self.uids = []
        self.job = None
        self.finished = self.gone = None
        self.plan = []

    def is_indexed(self):
        return KINDS[self.kind][4].get("completionMode") == "Indexed"


class Workload:
    """Clients at work until they are told to end."""

    def __init__(self, cluster, seed, rate, log, clients=3):
        self.cluster, self.rate, self.log = cluster, rate, log
        self.records = {}
        # Those that are not known to be gone.
        self._live = {}
        self.faults = []
        self.requests = self.refused = 0
        self.kubectl = shutil.which("kubectl")
        self._draw = random.Random(f"workload {seed}")
        self._lock = threading.Lock()
        self._pods = 0
        self._is_over = threading.Event()
        self._begin = boottime()
        (cluster.shared / "ledger").mkdir(exist_ok=True)
        (cluster.shared / "manifests").mkdir(exist_ok=True)
        self.jobs = informer.Informer(cluster, "jobs", self._see)
        self.pods = informer.Informer(cluster, "pods", self._see_pod)
        self.succeeded_pods = {}
        self._threads = [threading.Thread(target=self._create_all, daemon=True) for _ in range(clients)]
        self._threads.append(threading.Thread(target=self._follow_plans, daemon=True))
        for thread in self._threads:
            thread.start()

    def end(self):
        """No more Jobs; plans for those that there are go on until `finish`."""
        self._is_over.set()
        for thread in self._threads[:-1]:
            thread.join(90)

    def stop(self):
        """Nothing is begun any more; nobody waits."""
        self._is_over.set()
        self.jobs.end()
        self.pods.end()

    # What the caches see.

    def _see(self, old, job):
        now = boottime()
        known = job or old
        record = self.records.get(known["metadata"].get("labels", {}).get("op"))
        if record is None:
            return
        uid = known["metadata"]["uid"]
        if uid not in record.uids:
            record.uids.append(uid)
            record.name = known["metadata"]["name"]
        if job is None:
            record.gone = now
            return
        record.job = job
        if record.finished is None and informer.is_finished(job):
            record.finished = now
        self.faults += faults_of_change(old, job)

    def _see_pod(self, _, pod):
        if pod is not None and pod["status"].get("phase") == "Succeeded":
            labels = pod["metadata"].get("labels", {})
            self.succeeded_pods[pod["metadata"]["uid"]] = labels.get("batch.kubernetes.io/job-name")

    # Clients.

    def _run(self, program, *words, seconds=20):
        """Exit status and what it said; the words and the answer are in the clients' log."""
        self.requests += 1
        begin = boottime()
        command = ["env", "KUBECONFIG=/mnt/shared/kubeconfig", program, *words]
        status, text = self.cluster.run("laptop", *command, seconds=seconds)
        self.refused += status != 0
        said = " ".join(text.split())[:160]
        self.log(f"{begin:.2f} {boottime() - begin:.2f}s {program} {' '.join(words)}: {status} {said}")
        return status, text

    def _create_all(self):
        while not self._is_over.wait(0.2):
            with self._lock:
                due = self._pods < (boottime() - self._begin) * self.rate and self.unfinished() < 60
                if not due:
                    continue
                batch = [self._new_record() for _ in range(self._draw.choice((1, 1, 2, 4)))]
                program = "kubectl" if self.kubectl and self._draw.random() < 0.2 else "stint"
            self._create(batch, program)

    def unfinished(self):
        return sum(record.finished is None and record.deletion_acknowledged is None
                   and bool(record.acknowledged or record.uids) for record in list(self._live.values()))

    def _new_record(self):
        kind = self._draw.choices(list(KINDS), [kind[0] for kind in KINDS.values()])[0]
        record = Record(len(self.records) + 1, kind, self._draw)
        self._pods += record.pods or record.parallelism
        after = self._draw.uniform(1, 6)
        steps = {"suspended": ["suspend", "resume"], "scaled": ["scale"], "deleted": ["delete"],
                 "bereaved": ["bereave"]}
        record.plan = [(after * (place + 1), step) for place, step in enumerate(steps.get(kind, []))]
        (self.cluster.shared / "ledger" / record.id).mkdir()
        self.records[record.id] = self._live[record.id] = record
        return record

    def _create(self, batch, program):
        for record in batch:
            record.sent = boottime()
        items = {"apiVersion": "v1", "kind": "List",
                 "items": [manifest(record, "/mnt/shared/ledger") for record in batch]}
        file = f"manifests/{batch[0].id}.json"
        (self.cluster.shared / file).write_text(json.dumps(items))
        is_named = all(not record.is_generated for record in batch)
        verb = "apply" if is_named else "create"
        _, text = self._run(program, verb, "-f", f"/mnt/shared/{file}", "-o", "name")
        created = set(re.findall(r"job\.batch/(\S+)", text))
        for record in batch:
            names = {name for name in created if name == record.id or name.startswith(record.id + "-")}
            if names:
                record.acknowledged = boottime()
                record.name = names.pop()

    def _follow_plans(self):
        """Does what was planned for Jobs, takes away those that have been finished for a while."""
        while not self._is_over.wait(0.5):
            now = boottime()
            for record in list(self._live.values()):
                if record.gone is not None:
                    del self._live[record.id]
                elif record.plan and record.uids and now > record.sent + record.plan[0][0]:
                    # What was refused or not answered is tried again later.
                    (_, step), *rest = record.plan
                    record.plan = rest if self._step(record, step) == 0 else [(now - record.sent + 5, step), *rest]
            old = [record for record in self._live.values() if record.finished and now > record.finished + 8
                   and record.deletion_acknowledged is None and record.kind != "ttl"
                   and now > (record.deletion_sent or 0) + 60]
            if len(old) >= 10:
                self.delete(old)

    def _step(self, record, step):
        """The exit status of what does it."""
        job = f"job/{record.name}"
        if step == "delete":
            return self.delete([record])
        if step == "scale":
            record.parallelism = 5
            return self._run("stint", "patch", job, "-p", '{"spec":{"parallelism":5}}')[0]
        if step == "bereave":
            pods = [pod["metadata"]["name"] for pod in self.pods.snapshot().values()
                    if pod["metadata"].get("labels", {}).get("op") == record.id
                    or pod["metadata"].get("labels", {}).get("job-name") == record.name]
            return self._run("stint", "delete", "pod", pods[0], "--wait=false")[0] if pods else 0
        return self._run("stint", step, job)[0]

    def resume_all(self):
        """No Job stays suspended."""
        for record in list(self._live.values()):
            record.plan = []
            if record.job and record.gone is None and record.job["spec"].get("suspend"):
                self._run("stint", "resume", f"job/{record.name}")

    def is_at_rest(self):
        """Whether every Job that is there has ended, or was never heard of."""
        return not any(is_open(record) for record in list(self._live.values()))

    def restless(self):
        return [f"{record.name} ({record.kind})" for record in self._live.values() if is_open(record)]

    def delete(self, records):
        """Records that are there; one whose deletion is acknowledged starts nothing any more."""
        for record in records:
            record.deletion_sent = boottime()
        status, text = self._run("stint", "delete", "job", *[record.name for record in records], "--wait=false",
                                 "--ignore-not-found", "-o", "name", seconds=40)
        done = set(re.findall(r"job\.batch/(\S+)", text))
        for record in records:
            if status == 0 or record.name in done:
                record.deletion_acknowledged = boottime()
        return status


def is_open(record):
    """Whether its Job is to end still. One with a TTL may have come and gone between two lists of a cache that was cut
    off: whether it ever worked H1 asks its ledger."""
    was_heard_of = record.uids or (record.acknowledged and record.kind != "ttl")
    return not (record.finished or record.gone) and bool(was_heard_of)


def faults_of_change(old, job):
    """What must not be between two states of one Job."""
    if old is None:
        return []
    name, before, after = job["metadata"]["name"], old.get("status", {}), job.get("status", {})
    said = []
    if after.get("succeeded", 0) < before.get("succeeded", 0):
        said.append(f"H2 {name}: succeeded went from {before['succeeded']} to {after.get('succeeded', 0)}")
    for kind in ("Complete", "Failed"):
        if informer.condition(old, kind) and not informer.condition(job, kind):
            said.append(f"H2 {name}: it is not {kind} any more")
    return said


def wait_until(condition, seconds):
    """Whether it became true in time."""
    end = boottime() + seconds
    while not condition():
        if boottime() > end:
            return False
        time.sleep(0.3)
    return True
