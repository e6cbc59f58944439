# Programs on lightkube, with and without asyncio, on its typed models. Nothing here knows what the server is.

import asyncio
import json

from lightkube import ApiError, AsyncClient, Client, codecs
from lightkube.core.exceptions import ConditionError
from lightkube.models.batch_v1 import JobSpec, JobStatus
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job, JobStatus as JobStatusResource
from lightkube.resources.core_v1 import ConfigMap, Event, Namespace, Node, Pod, Secret
from lightkube.types import CascadeType, PatchType

from checks import Program, equal, holds, space, until
from checks import job as manifest

SPACE = space("lightkube-space")
program = Program("lightkube")
client = Client(namespace=SPACE, field_manager="lightkube-program")


def job(name, script="true", labels=None, **spec):
    container = Container(name="main", image="busybox", command=["sh", "-c", script])
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels),
        spec=PodSpec(restartPolicy="Never", terminationGracePeriodSeconds=1, containers=[container]))
    return Job(metadata=ObjectMeta(name=name, labels=labels), spec=JobSpec(backoffLimit=0, template=template, **spec))


def failure(call, code):
    try:
        call()
    except ApiError as error:
        equal(error.status.code, code)
        return error
    raise AssertionError(f"not refused with {code}")


def version():
    """A list has it once it was read."""
    found = client.list(ConfigMap, chunk_size=100)
    list(found)
    return found.resourceVersion


def pods(name):
    return list(client.list(Pod, labels={"batch.kubernetes.io/job-name": name}))


@program.check("create a namespace and a Job from models; typed models come back")
def _():
    client.create(Namespace(metadata=ObjectMeta(name=SPACE)))
    made = client.create(job("first", "echo from lightkube; sleep 0.1", completions=2))
    equal((type(made), made.spec.completions, made.metadata.namespace), (Job, 2, SPACE))
    read = client.get(Job, "first")
    equal(read.metadata.uid, made.metadata.uid)
    holds(read.metadata.creationTimestamp.tzinfo, "a time")


@program.check("wait for Complete, list its pods, read their logs")
def _():
    done = client.wait(Job, "first", for_conditions=["Complete"], raise_for_conditions=["Failed"])
    equal(done.status.succeeded, 2)
    found = pods("first")
    equal(len(found), 2)
    for pod in found:
        equal(pod.status.containerStatuses[0].state.terminated.exitCode, 0)
        equal(list(client.log(pod.metadata.name)), ["from lightkube\n"])
        equal(list(client.log(pod.metadata.name, tail_lines=1, timestamps=True))[0].split(" ", 1)[1],
              "from lightkube\n")


@program.check("wait says that a Job failed; a deleted one is not found")
def _():
    client.create(job("failing", "exit 1"))
    try:
        client.wait(Job, "failing", for_conditions=["Complete"], raise_for_conditions=["Failed"])
    except ConditionError as error:
        holds("backoff limit" in str(error), error)
    else:
        raise AssertionError("complete")
    client.create(job("doomed", suspend=True))
    client.delete(Job, "doomed", cascade=CascadeType.BACKGROUND)
    failure(lambda: client.get(Job, "doomed"), 404)


@program.check("patch: strategic, merge and JSON; replace, and a conflict for a stale one")
def _():
    client.create(job("patched", suspend=True))
    equal(client.patch(Job, "patched", {"metadata": {"labels": {"a": "1"}}}).metadata.labels["a"], "1")
    merged = client.patch(Job, "patched", {"spec": {"parallelism": 3}}, patch_type=PatchType.MERGE)
    equal(merged.spec.parallelism, 3)
    operations = [{"op": "replace", "path": "/metadata/labels/a", "value": "2"}]
    equal(client.patch(Job, "patched", operations, patch_type=PatchType.JSON).metadata.labels["a"], "2")
    stale = client.get(Job, "patched")
    fresh = client.get(Job, "patched")
    fresh.metadata.annotations = {"by": "replace"}
    equal(client.replace(fresh).metadata.annotations, {"by": "replace"})
    stale.metadata.annotations = {"by": "stale"}
    equal(failure(lambda: client.replace(stale), 409).status.reason, "Conflict")


@program.check("set labels and annotations, take one away")
def _():
    client.set(Job, "patched", labels={"b": "1", "c": "1"}, annotations={"note": "x"})
    after = client.set(Job, "patched", labels={"c": None})
    equal((after.metadata.labels["b"], after.metadata.labels.get("c")), ("1", None))
    equal(after.metadata.annotations["note"], "x")


@program.check("status is written by its subresource")
def _():
    read = client.get(Job, "patched")
    mine = {"type": "Looked", "status": "True", "lastTransitionTime": "2030-01-01T00:00:00Z"}
    answer = client.patch(
        JobStatusResource, "patched", {"status": {"conditions": [mine]}}, patch_type=PatchType.MERGE)
    holds("Looked" in [c.type for c in answer.status.conditions], answer.status)
    body = client.get(Job, "patched")
    body.status = JobStatus(conditions=[])
    body.spec.parallelism = 9
    client.replace(body)
    after = client.get(Job, "patched")
    holds("Looked" in [c.type for c in after.status.conditions], "a plain replace leaves the status")
    equal((after.spec.parallelism, read.metadata.uid), (9, after.metadata.uid))


@program.check("list by labels and fields, in chunks")
def _():
    for number in range(9):
        client.create(ConfigMap(metadata=ObjectMeta(name=f"c{number}", labels={"n": str(number % 2)})))
    equal(len(list(client.list(ConfigMap, chunk_size=4, labels={"n": ["0", "1"]}))), 9)
    equal(len(list(client.list(ConfigMap, labels={"n": "1"}))), 4)
    equal([c.metadata.name for c in client.list(ConfigMap, fields={"metadata.name": "c3"})], ["c3"])
    holds(version(), "the list's version")


@program.check("watch from the list's version; a server that ends the watch is asked again")
def _():
    since = version()
    client.delete(ConfigMap, "c0")
    client.patch(ConfigMap, "c1", {"data": {"x": "1"}})
    seen = []
    for operation, item in client.watch(ConfigMap, resource_version=since, server_timeout=1):
        seen.append((operation, item.metadata.name))
        if len(seen) == 2:
            client.create(ConfigMap(metadata=ObjectMeta(name="late")))
        if len(seen) == 3:
            break
    equal(seen, [("DELETED", "c0"), ("MODIFIED", "c1"), ("ADDED", "late")])


@program.check("deletecollection of a namespace, and a delete in the foreground")
def _():
    client.deletecollection(ConfigMap)
    until(lambda: {c.metadata.name for c in client.list(ConfigMap)} <= {"kube-root-ca.crt"}, "no ConfigMaps")
    client.delete(Job, "first", cascade=CascadeType.FOREGROUND, grace_period=1)
    until(lambda: "first" not in [j.metadata.name for j in client.list(Job)], "gone")
    equal(pods("first"), [])


@program.check("Secret, Event, Node: models take what is answered")
def _():
    client.create(Secret(metadata=ObjectMeta(name="s"), stringData={"a": "b"}))
    equal(client.get(Secret, "s").data, {"a": "Yg=="})
    reasons = {event.reason for event in client.list(Event)}
    holds({"SuccessfulCreate", "BackoffLimitExceeded"} <= reasons, reasons)
    holds(all(node.status.nodeInfo.kernelVersion for node in client.list(Node)), "nodes")


@program.check("load manifests from YAML, create what they hold")
def _():
    text = json.dumps(manifest("from-yaml", "echo yaml"))
    for item in codecs.load_all_yaml(text):
        client.create(item)
    client.wait(Job, "from-yaml", for_conditions=["Complete"])


@program.check("server-side apply: create, change, conflict of another manager, force")
def _():
    def settings(value):
        return ConfigMap(
            apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="applied"), data={"k": value})

    equal(client.apply(settings("1")).data, {"k": "1"})
    equal(client.apply(settings("2")).data, {"k": "2"})
    error = failure(lambda: client.apply(settings("3"), field_manager="someone-else"), 409)
    holds("conflict" in error.status.message, error.status.message)
    equal(client.apply(settings("3"), field_manager="someone-else", force=True).data, {"k": "3"})
    body = job("applied-job", suspend=True)
    body.apiVersion, body.kind = "batch/v1", "Job"
    equal(client.apply(body).spec.suspend, True)
    body.spec.suspend = False
    equal(client.apply(body).spec.suspend, False)
    client.wait(Job, "applied-job", for_conditions=["Complete"])


@program.check("asyncio: create twenty, watch until each is complete, follow a log, delete them")
def _():
    async def main():
        async with AsyncClient(namespace=SPACE) as api:
            await asyncio.gather(*(api.create(job(f"a{n}", f"echo {n}", labels={"async": "1"})) for n in range(20)))
            done = set()
            async for _, item in api.watch(Job, labels={"async": "1"}):
                if item.status and any(c.type == "Complete" for c in item.status.conditions or []):
                    done.add(item.metadata.name)
                if len(done) == 20:
                    break
            found = [pod async for pod in api.list(Pod, labels={"async": "1"})]
            lines = [line async for line in api.log(found[0].metadata.name, follow=True)]
            equal(lines[0].strip(), found[0].metadata.labels["job-name"][1:])
            await api.deletecollection(Job, cascade=CascadeType.BACKGROUND)
            return len(found), [item async for item in api.list(Job, labels={"async": "1"})]

    equal(asyncio.run(main()), (20, []))


@program.check("delete the namespace and wait until it is gone")
def _():
    client.delete(Namespace, SPACE)
    until(lambda: SPACE not in [n.metadata.name for n in client.list(Namespace)], "gone")


program.end()
