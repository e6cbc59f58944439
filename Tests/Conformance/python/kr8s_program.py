# Programs on kr8s, with and without asyncio. Nothing here knows what the server is.

import asyncio
import json

import kr8s
import kr8s.asyncio
import kr8s.asyncio.objects
import kr8s.objects
from kr8s.objects import ConfigMap, Job, Namespace, Node, Pod

from checks import Program, equal, holds, job, space, until

SPACE = space("kr8s-space")
program = Program("kr8s")


def pods(name):
    return list(kr8s.get("pods", namespace=SPACE, label_selector={"job-name": name}))


def placed(body):
    body["metadata"]["namespace"] = SPACE
    return body


@program.check("version, who one is, API resources, nodes")
def _():
    api = kr8s.api()
    holds(api.version()["gitVersion"].startswith("v1."), api.version())
    holds(kr8s.whoami(), "a name")
    resources = {resource["name"]: resource for resource in api.api_resources()}
    equal((resources["jobs"]["kind"], resources["jobs"]["namespaced"]), ("Job", True))
    holds("batch/v1" in list(api.api_versions()), "batch/v1")
    equal(api.lookup_kind("job"), ("job.batch/v1", "jobs", True))
    holds(all(node.status.capacity.cpu for node in kr8s.get("nodes")), "capacity of each node")


@program.check("a namespace, and a Job from its manifest; create, exists, refresh")
def _():
    Namespace({"metadata": {"name": SPACE}}).create()
    work = Job(placed(job("first", "echo from kr8s; sleep 0.2")))
    holds(not work.exists(), "not there yet")
    work.create()
    holds(work.exists() and work.metadata.uid, "there")
    work.refresh()
    equal(work.spec.backoffLimit, 0)


@program.check("wait for a condition of a Job, then its pod and the pod's log")
def _():
    work = Job.get("first", namespace=SPACE)
    work.wait(["condition=Complete", "condition=Failed"], timeout=60)
    work.refresh()
    equal(work.status.succeeded, 1)
    [pod] = pods("first")
    equal((type(pod), pod.status.phase), (Pod, "Succeeded"))
    equal(list(pod.logs()), ["from kr8s"])
    equal(list(pod.logs(tail_lines=1, timestamps=True))[0].split(" ", 1)[1], "from kr8s")


@program.check("label, annotate, remove a label, patch; list by selector")
def _():
    work = Job.get("first", namespace=SPACE)
    work.label(team="blue", tier="one")
    work.annotate({"note": "yes"})
    work.label("tier-")
    work.patch({"metadata": {"annotations": {"other": "1"}}})
    work.refresh()
    equal((work.labels.get("team"), work.labels.get("tier")), ("blue", None))
    equal((work.annotations["note"], work.annotations["other"]), ("yes", "1"))
    equal([item.name for item in kr8s.get("jobs", namespace=SPACE, label_selector="team=blue")], ["first"])
    equal([item.name for item in Job.list(namespace=SPACE, field_selector="metadata.name=first")], ["first"])


@program.check("scale a Job as kr8s does: by its parallelism")
def _():
    work = Job(placed(job("wide", "sleep 60", parallelism=1, completions=4)))
    work.create()
    until(lambda: len(pods("wide")) == 1, "one pod")
    work.scale(3)
    equal(work.replicas, 3)
    until(lambda: len(pods("wide")) == 3, "three pods")
    work.delete(propagation_policy="Foreground")
    work.wait("delete", timeout=60)
    equal(pods("wide"), [])


@program.check("a pod of its own: Pod.gen, ready, follow its log, delete, wait for its end")
def _():
    pod = Pod.gen(name="alone", image="busybox", command=["sh", "-c", "echo a; sleep 0.5; echo b; sleep 60"])
    pod.namespace = SPACE
    pod.create()
    pod.wait("condition=Ready", timeout=60)
    holds(pod.ready(), "ready")
    lines = []
    for line in pod.logs(follow=True, timeout=60):
        lines.append(line)
        if len(lines) == 2:
            break
    equal(lines, ["a", "b"])
    pod.delete(grace_period=1)
    pod.wait("delete", timeout=60)
    holds(not pod.exists(), "gone")


@program.check("exec runs a command")
def _():
    pod = Pod.gen(name="closed", image="busybox", command=["sleep", "60"])
    pod.namespace = SPACE
    pod.create()
    pod.wait("condition=Ready", timeout=60)
    said = pod.exec(["echo", "inside"], timeout=30).stdout.decode().strip()
    equal(said, "inside")
    pod.delete(force=True)
    pod.wait("delete", timeout=60)
    return said


@program.check("watch Jobs while one runs")
def _():
    seen = []
    started = False
    for event, item in kr8s.watch("jobs", namespace=SPACE):
        if not started:
            started = True
            Job(placed(job("watched"))).create()
        if item.name == "watched":
            seen.append(event)
            if any(c.type == "Complete" for c in item.status.get("conditions", [])):
                break
    equal((seen[0], set(seen[1:])), ("ADDED", {"MODIFIED"}))


@program.check("what is not there is NotFoundError; what is wrong is ServerError with the Status")
def _():
    try:
        Job.get("nothing", namespace=SPACE, timeout=0.2)
    except kr8s.NotFoundError:
        pass
    else:
        raise AssertionError("found")
    wrong = placed(job("wrong", completions=-1))
    try:
        Job(wrong).create()
    except kr8s.ServerError as error:
        equal(error.response.status_code, 422)
        holds("spec.completions" in str(error) and error.status["reason"] == "Invalid", error)
    else:
        raise AssertionError("made")


@program.check("cordon and uncordon a node, taint it and take the taint away")
def _():
    node = kr8s.get("nodes")
    node = Node.get(list(node)[-1].name)
    node.cordon()
    node.refresh()
    equal(node.unschedulable, True)
    node.uncordon()
    node.refresh()
    equal(bool(node.spec.get("unschedulable")), False)
    node.taint("kr8s", "yes", effect="NoSchedule")
    node.refresh()
    equal([t["key"] for t in node.taints], ["kr8s"])
    node.patch({"spec": {"taints": None}})
    node.refresh()
    equal(list(node.spec.get("taints", [])), [])


@program.check("adopt: an owner reference set by patch is followed by the garbage collector")
def _():
    owner = ConfigMap({"metadata": {"name": "owner", "namespace": SPACE}, "data": {}})
    child = ConfigMap({"metadata": {"name": "child", "namespace": SPACE}, "data": {}})
    owner.create()
    child.create()
    owner.adopt(child)
    child.refresh()
    equal(child.metadata.ownerReferences[0]["name"], "owner")
    owner.delete()
    child.wait("delete", timeout=60)


@program.check("asyncio: twenty Jobs at once, waited for together, then deleted")
def _():
    async def main():
        api = await kr8s.asyncio.api()
        works = []
        for number in range(20):
            work = await kr8s.asyncio.objects.Job(placed(job(f"many-{number}", labels={"many": "1"})), api=api)
            works.append(work)
        await asyncio.gather(*(work.create() for work in works))
        await asyncio.gather(*(work.wait("condition=Complete", timeout=60) for work in works))
        found = [item async for item in api.get("jobs", namespace=SPACE, label_selector="many=1")]
        equal(sum(item.status.succeeded for item in found), 20)
        pods_found = [p async for p in api.get("pods", namespace=SPACE, label_selector="many=1")]
        equal(len(pods_found), 20)
        await asyncio.gather(*(work.delete(propagation_policy="Background") for work in works))
        return len([item async for item in api.get("jobs", namespace=SPACE, label_selector="many=1")])

    equal(asyncio.run(main()), 0)


@program.check("what it read is JSON and YAML again")
def _():
    work = Job.get("first", namespace=SPACE)
    equal(json.loads(json.dumps(work.to_dict()))["metadata"]["uid"], work.metadata.uid)
    holds("kind: Job" in work.to_yaml(), "YAML")


Namespace.get(SPACE).delete()
program.end()
