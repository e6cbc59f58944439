# A program on the official client that runs an Indexed Job as MPI programs are run: a launcher (index 0) and workers
# that find each other and sum their values in rounds. Where Kubernetes has a headless Service for the names of
# `subdomain`, the ranks ask the API for their pods' addresses. One worker is deleted in the middle.

import json
import sys

from kubernetes import client, config

from checks import Program, equal, holds, space, until
from official_pods import of_pod, prepare, rooted, volume

SPACE = space("mpi-job")
SIZE = 4
INDEX = "batch.kubernetes.io/job-completion-index"
program = Program("official client, MPI")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()


def model():
    container = client.V1Container(
        name="rank", image="python:3", command=[sys.executable, "/mnt/program/mpi_rank.py"],
        env=[of_pod("POD_NAME", "metadata.name"), of_pod("POD_UID", "metadata.uid"), of_pod("POD_IP", "status.podIP"),
             client.V1EnvVar(name="SIZE", value=str(SIZE)), client.V1EnvVar(name="JOB", value="ring"),
             client.V1EnvVar(name="SUBDOMAIN", value="ranks")],
        volume_mounts=[client.V1VolumeMount(name="program", mount_path="/mnt/program")])
    pod = client.V1PodSpec(
        restart_policy="Never", subdomain="ranks", service_account_name="rank", containers=[container],
        termination_grace_period_seconds=5, volumes=[volume()])
    return client.V1Job(
        metadata=client.V1ObjectMeta(name="ring"),
        spec=client.V1JobSpec(
            completion_mode="Indexed", completions=SIZE, parallelism=SIZE, backoff_limit=6,
            active_deadline_seconds=240, template=client.V1PodTemplateSpec(spec=pod)))


def pods():
    return core.list_namespaced_pod(SPACE, label_selector="batch.kubernetes.io/job-name=ring").items


def running(index):
    """The pod of an index that runs and is not about to go."""
    for pod in pods():
        if pod.metadata.annotations[INDEX] == str(index) and pod.status.phase == "Running":
            if not pod.metadata.deletion_timestamp:
                return pod
    return None


def log(pod):
    return core.read_namespaced_pod_log(pod.metadata.name, SPACE).splitlines()


def said(pod, word):
    """What a rank printed behind a word; the log as the error where it did not."""
    lines = [line for line in log(pod) if line.startswith(word + " ")]
    if len(lines) != 1:
        raise AssertionError(f"{pod.metadata.name} ({pod.status.phase}) has {len(lines)} lines {word}: {log(pod)[-5:]}")
    return json.loads(lines[0].removeprefix(word))


def expected(rounds):
    """The last sum, by the same rule on one machine."""
    values = list(range(1, SIZE + 1))
    total = 0
    for _ in range(rounds):
        total = sum(values)
        values = [(31 * value + total + rank) % (2**61 - 1) for rank, value in enumerate(values)]
    return total


def going():
    """The Job, which is not over yet."""
    found = batch.read_namespaced_job("ring", SPACE)
    bad = [one for one in found.status.conditions or [] if one.type in ("Failed", "FailureTarget")]
    if bad:
        raise AssertionError(f"{bad[0].reason}: {bad[0].message}: {[log(pod)[-3:] for pod in pods()]}")
    return found


deleted = {}


@program.check("ranks find each other by the API's addresses, each on a port of its own, and compute")
def _():
    rooted()
    # To find its peers, and to say its own port.
    prepare(SPACE, "mpi_rank.py", "rank", client.V1PolicyRule(
        api_groups=[""], resources=["pods"], verbs=["list", "patch"]))
    batch.create_namespaced_job(SPACE, model())
    until(lambda: going() and all(running(index) for index in range(SIZE)), "all ranks run", 120)
    ranks = [running(index) for index in range(SIZE)]
    equal([(rank.spec.hostname, rank.spec.subdomain) for rank in ranks], [(f"ring-{n}", "ranks") for n in range(SIZE)])
    until(lambda: going() and "round 10" in log(ranks[0]), "ten rounds", 120)
    ranks = [running(index) for index in range(SIZE)]
    places = {(rank.status.pod_ip, rank.metadata.annotations["example.com/port"]) for rank in ranks}
    equal(len(places), SIZE)
    return f"{len({address for address, _ in places})} address(es)"


@program.check("a worker is deleted in the middle: its index is made again, catches up, and the others go on with it")
def _():
    rooted()
    worker = running(2)
    holds(not going().status.completion_time, "it is over already")
    deleted["uid"] = worker.metadata.uid
    core.delete_namespaced_pod(worker.metadata.name, SPACE)
    until(lambda: going().status.completion_time, "the Job is complete", 120)


@program.check("all ranks have the sum that one machine computes, and the Job counts each index once")
def _():
    rooted()
    ended = {pod.metadata.annotations[INDEX]: pod for pod in pods() if pod.status.phase == "Succeeded"}
    equal(sorted(ended), [str(index) for index in range(SIZE)])
    holds(ended["2"].metadata.uid != deleted["uid"], "the deleted pod succeeded")
    result = said(ended["0"], "result")
    holds(result["rounds"] > 20, result)
    equal(result["sum"], expected(result["rounds"]))
    equal([said(pod, "result") for pod in ended.values()], [result] * SIZE)
    equal(said(ended["0"], "again"), ["ring-2.ranks"])
    status = going().status
    equal((status.succeeded, status.completed_indexes, status.active, status.failed), (SIZE, f"0-{SIZE - 1}", None, 1))
    return f"{result['rounds']} rounds"


program.end()
