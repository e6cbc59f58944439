# A program on the official client that keeps two candidates for a Lease as the pods of a Job, kills the leader, asks
# the next one to go, and reads in the ledger who worked when.

import json
import pathlib
import sys

from kubernetes import client, config

from checks import Program, equal, holds, space, until
from official_pods import of_pod, prepare, rooted, volume

SPACE = space("leader-election")
LEDGER = pathlib.Path.cwd() / "ledger"
program = Program("official client, leaders")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()
coordination = client.CoordinationV1Api()


def model():
    container = client.V1Container(
        name="candidate", image="python:3", command=[sys.executable, "/mnt/program/candidate.py"],
        env=[of_pod("POD_NAME", "metadata.name"), of_pod("POD_SPACE", "metadata.namespace")],
        volume_mounts=[client.V1VolumeMount(name="program", mount_path="/mnt/program"),
                       client.V1VolumeMount(name="ledger", mount_path="/mnt/ledger")])
    pod = client.V1PodSpec(
        restart_policy="Never", service_account_name="candidate", containers=[container],
        termination_grace_period_seconds=30,
        volumes=[
            volume(),
            client.V1Volume(name="ledger", host_path=client.V1HostPathVolumeSource(path=str(LEDGER)))])
    return client.V1Job(
        metadata=client.V1ObjectMeta(name="candidates"),
        # Many completions: without, nobody would be made in the place of a candidate that went with exit code 0.
        spec=client.V1JobSpec(
            completions=100, parallelism=2, backoff_limit=6, template=client.V1PodTemplateSpec(spec=pod)))


def pods():
    return core.list_namespaced_pod(SPACE, label_selector="batch.kubernetes.io/job-name=candidates").items


def running():
    """The names of the candidates; none may have failed by itself."""
    found = pods()
    for pod in found:
        for one in pod.status.container_statuses or []:
            if one.state.terminated and one.state.terminated.exit_code == 1:
                raise AssertionError(core.read_namespaced_pod_log(pod.metadata.name, SPACE)[-800:])
    return [pod.metadata.name for pod in found if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]


def entries():
    """The ledger's whole lines, in the order in which they were written."""
    file = LEDGER / "lines"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def works(who):
    """Waits until the ledger has some pieces of work of someone whom `who` takes; returns the name."""

    def found():
        ends = [entry["who"] for entry in entries() if entry["what"] == "end"]
        return running() is not None and len(ends) > 4 and len(set(ends[-5:])) == 1 and who(ends[-1]) and ends[-1]

    return until(found, "one leads and works", 120)


def holder():
    return coordination.read_namespaced_lease("work", SPACE).spec.holder_identity


def reigns():
    """The ledger by leader: the name, the term, and when its first piece of work began and its last was written of."""
    found = []
    for entry in entries():
        if not found or found[-1][:2] != [entry["who"], entry["term"]]:
            found.append([entry["who"], entry["term"], entry["at"], entry["at"]])
        found[-1][3] = entry["at"]
    return found


def audit(killed=None):
    """Nobody begins before another has ended, but for who was killed; terms only rise."""
    busy, term = None, 0
    for entry in entries():
        if busy and entry["who"] != busy:
            equal((entry["what"], busy), ("begin", killed))
            killed = "nobody: it came back"
        else:
            equal(entry["what"], "end" if busy else "begin")
        busy = entry["who"] if entry["what"] == "begin" else None
        holds(entry["term"] >= term, f"{entry} in term {term}")
        term = entry["term"]
    terms = [one[1] for one in reigns()]
    equal(terms, sorted(set(terms)))
    return term


killed = []


@program.check("of two candidates in pods one takes the Lease and renews it while it works, the other waits")
def _():
    rooted()
    LEDGER.mkdir()
    prepare(SPACE, "candidate.py", "candidate", client.V1PolicyRule(
        api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["get", "create", "update"]))
    batch.create_namespaced_job(SPACE, model())
    until(lambda: len(running()) == 2, "two candidates run", 120)
    works(lambda who: True)
    # Longer than a Lease that is not renewed lasts.
    until(lambda: audit() is not None and reigns()[-1][3] - reigns()[-1][2] > 5, "one leads for 5 s", 120)
    until(lambda: holder() == entries()[-1]["who"], "the Lease is held by who works")


@program.check("the leader is killed: the other takes over when the Lease ran out, and a new candidate waits")
def _():
    rooted()
    killed.append(works(lambda who: who in running()))
    core.delete_namespaced_pod(killed[0], SPACE, grace_period_seconds=0)
    works(lambda who: who != killed[0])
    until(lambda: len(running()) == 2, "two candidates again", 120)
    until(lambda: holder() in running(), "the Lease is held by one that runs")
    found = reigns()
    last = max(index for index, one in enumerate(found) if one[0] == killed[0])
    pause = found[last + 1][2] - found[last][3]
    holds(pause > 1, f"taken {pause:.3f} s after the last work")
    return f"{pause:.1f} s without a leader"


@program.check("the leader is asked to go: it ends its work, lets the Lease go, and the next one leads")
def _():
    rooted()
    gone = works(lambda who: who in running())
    core.delete_namespaced_pod(gone, SPACE)
    works(lambda who: who != gone)
    until(lambda: all(pod.metadata.name != gone or pod.status.phase != "Running" for pod in pods()), "it ended", 120)
    equal([entry["what"] for entry in entries() if entry["who"] == gone][-1], "end")


@program.check("never two at once: in the ledger nobody begins before another has ended, and terms only rise")
def _():
    rooted()
    term = audit(killed[0])
    holds(len(reigns()) >= 3, reigns())
    holds(coordination.read_namespaced_lease("work", SPACE).spec.lease_transitions >= term, "terms of the Lease")
    return f"{len(reigns())} leaders, {len(entries()) // 2} pieces of work"


if killed:
    batch.delete_namespaced_job("candidates", SPACE, propagation_policy="Background")
program.end()
