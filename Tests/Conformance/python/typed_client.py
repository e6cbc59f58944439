# A program on Go's typed clients that are told to speak protobuf, as Kubernetes' own end-to-end suite is: the set-up
# and the end of each of its tests, whole objects read, changed and sent back, evictions, and exit codes of what ended.
# It must not know the server's code.

import os
import threading
import time

from checks import Program, equal, holds, space, until
from plain_http import Server, lines
from protobuf_bodies import body

SPACE = space("typed")
PROTOBUF = "application/vnd.kubernetes.protobuf"
JOBS, PODS = f"/apis/batch/v1/namespaces/{SPACE}/jobs", f"/api/v1/namespaces/{SPACE}/pods"
SAFE = "pod-security.kubernetes.io"
program = Program("typed client in protobuf")
server = Server("e2e.test")


def call(method, path, thing=None, api="v1", kind="", wanted=None, **query):
    sent = None if thing is None else body(api, kind, thing)
    status, answer = server.call(method, path, sent, f"{PROTOBUF}, */*", PROTOBUF, **query)
    if status != wanted and (wanted or status >= 300):
        raise AssertionError(f"{method} {path}: {status} {answer.get('message')}")
    return answer


def change(path, alter, api, kind, part=""):
    """Reads, changes and sends back the whole, again after a conflict."""
    for _ in range(10):
        thing = call("GET", path)
        alter(thing)
        sent = body(api, kind, thing)
        status, answer = server.call("PUT", path + part, sent, f"{PROTOBUF}, */*", PROTOBUF)
        if status == 200:
            return answer
        equal(status, 409)
    raise AssertionError(f"{path}: conflicts only")


def first_event(path, name):
    """The first event of an object, by a watch that begins with what there is."""
    connection = server.connect(30)
    query = {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan",
             "allowWatchBookmarks": "true", "timeoutSeconds": "20", "fieldSelector": f"metadata.name={name}"}
    try:
        answer = server.ask(connection, "GET", path, accept=f"{PROTOBUF}, */*", **query)
        equal(answer.getheader("Content-Type"), "application/json")
        return next(event for event in lines(answer) if event["type"] in ("ADDED", "MODIFIED"))
    finally:
        connection.close()


def make_job(name, script, **spec):
    container = {"name": "c", "image": "busybox", "command": ["/bin/bash", "-c", script], "securityContext": {},
                 "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    template = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 10, "containers": [container],
                "volumes": [spec.pop("volume", {"emptyDir": {}}) | {"name": "data"}],
                "nodeSelector": spec.pop("where", {})}
    whole = {"metadata": {"name": name}, "spec": {
        "manualSelector": False, **spec, "template": {"metadata": {"labels": {"job": name}}, "spec": template}}}
    return call("POST", JOBS, whole, "batch/v1", "Job")


def job_status(name):
    return call("GET", f"{JOBS}/{name}")["status"]


def pods_of(name, phase=None):
    pods = call("GET", PODS, labelSelector=f"job={name}")["items"]
    return [pod for pod in pods if phase in (None, pod["status"].get("phase"))]


def controller(pod):
    owners = call("GET", f"{PODS}/{pod}")["metadata"].get("ownerReferences", [])
    return next((owner["name"] for owner in owners if owner.get("controller")), None)


@program.check("before the suite: nodes take pods, nothing of the system is waited for, the version has a platform")
def _():
    nodes = call("GET", "/api/v1/nodes", resourceVersion="0", fieldSelector="spec.unschedulable=false")["items"]
    ready = [node for node in nodes if not node["spec"].get("taints") and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"]["conditions"])]
    holds(ready, nodes)
    for path in ["/api/v1/namespaces/kube-system/pods", "/apis/apps/v1/namespaces/kube-system/daemonsets",
                 "/apis/apps/v1/namespaces/kube-system/replicasets",
                 "/api/v1/namespaces/kube-system/replicationcontrollers"]:
        equal(call("GET", path)["items"], [])
    holds(call("GET", "/api/v1/namespaces/default/services/kubernetes")["spec"]["clusterIP"], "a cluster IP")
    equal(len(call("GET", "/version")["platform"].split("/")), 2)


@program.check("before each test: a namespace, and its account and authority by a watch that begins with what is there")
def _():
    labels = {"e2e-framework": "typed"} | {f"{SAFE}/{mode}": "privileged" for mode in ("enforce", "warn", "audit")}
    made = call("POST", "/api/v1/namespaces", {"metadata": {"name": SPACE, "labels": labels}}, kind="Namespace")
    equal(made["status"], {"phase": "Active"})
    for kind, name in [("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")]:
        equal(first_event(f"/api/v1/namespaces/{SPACE}/{kind}", name)["object"]["metadata"]["name"], name)


@program.check("a pod without owners is adopted again, and one without labels is let go")
def _():
    make_job("adopt", "sleep 1000", parallelism=2, completions=2)
    until(lambda: len(pods_of("adopt", "Running")) == 2, "two pods run")
    pod = pods_of("adopt")[0]["metadata"]["name"]
    change(f"{PODS}/{pod}", lambda thing: thing["metadata"].pop("ownerReferences"), "v1", "Pod")
    until(lambda: controller(pod) == "adopt", "it is adopted")
    change(f"{PODS}/{pod}", lambda thing: thing["metadata"].pop("labels"), "v1", "Pod")
    until(lambda: controller(pod) is None, "it is let go")
    call("DELETE", f"{PODS}/{pod}", {"gracePeriodSeconds": 0}, kind="DeleteOptions")
    call("DELETE", f"{JOBS}/adopt", {"propagationPolicy": "Background"}, "batch/v1", "DeleteOptions")
    until(lambda: not pods_of("adopt"), "its pods go")


@program.check("a condition of one's own in a Job's status; what was read and is sent back changes nothing")
def _():
    make_job("conditions", "sleep 1000", suspend=True)
    until(lambda: job_status("conditions").get("conditions"), "it is suspended")
    mine = {"type": "Mine", "status": "True", "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    job = f"{JOBS}/conditions"
    after = change(job, lambda thing: thing["status"]["conditions"].append(mine), "batch/v1", "Job", "/status")
    [found] = [found for found in after["status"]["conditions"] if found["type"] == "Mine"]
    equal(found | mine, found)
    for part in ["", "/status"]:
        equal(change(job, lambda thing: None, "batch/v1", "Job", part)["metadata"]["resourceVersion"],
              after["metadata"]["resourceVersion"])


@program.check("a finalizer of a Namespace's spec comes and goes")
def _():
    path, mine = f"/api/v1/namespaces/{SPACE}", "example.com/mine"
    after = change(path, lambda thing: thing["spec"]["finalizers"].append(mine), "v1", "Namespace", "/finalize")
    equal(after["spec"]["finalizers"], ["kubernetes", mine])
    after = change(path, lambda thing: thing["spec"]["finalizers"].remove(mine), "v1", "Namespace", "/finalize")
    equal(after["spec"]["finalizers"], ["kubernetes"])


@program.check("a pod that is evicted is ignored by its condition, and those that failed by their code")
def _():
    node = call("GET", "/api/v1/nodes")["items"][0]["metadata"]["labels"]["kubernetes.io/hostname"]
    script = """if [[ -r /data/foo ]]; then exit 0
                elif [[ $JOB_COMPLETION_INDEX -eq 0 ]]; then touch /data/foo; sleep 1000; else exit 1; fi"""
    ignored = [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}},
               {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    place = {"path": os.path.join(os.environ["TMPDIR"], "evicted"), "type": "DirectoryOrCreate"}
    make_job("evicted", script, parallelism=2, completions=4, backoffLimit=0, completionMode="Indexed",
             podFailurePolicy={"rules": ignored}, where={"kubernetes.io/hostname": node}, volume={"hostPath": place})
    until(lambda: len(pods_of("evicted", "Succeeded")) == 3, "all but index 0 end", 90)
    [pod] = pods_of("evicted", "Running")
    name = pod["metadata"]["name"]
    call("POST", f"{PODS}/{name}/eviction", {"metadata": {"name": name, "namespace": SPACE}}, "policy/v1", "Eviction")
    until(lambda: job_status("evicted").get("succeeded") == 4, "its replacement ends, too")
    equal(job_status("evicted").get("failed", 0), 0)


@program.check("a pod that handles SIGTERM is replaced when it has ended, and not before")
def _():
    make_job("replaced", "trap 'sleep 2; exit 143' TERM; while true; do sleep 0.2; done", completions=1, parallelism=1,
             backoffLimit=1, podReplacementPolicy="Failed")
    until(lambda: len(pods_of("replaced", "Running")) == 1, "it runs")
    [pod] = pods_of("replaced")
    call("DELETE", f"{PODS}/{pod['metadata']['name']}", {"gracePeriodSeconds": 30}, kind="DeleteOptions")

    def counts(status):
        return status.get("active", 0), status.get("failed", 0), status.get("terminating")

    until(lambda: counts(job_status("replaced")) == (0, 0, 1), "it ends, and nothing is in its place")
    until(lambda: counts(job_status("replaced")) == (1, 1, 0), "it has ended and is replaced", 30)


@program.check("a pod without a handler ends at once with 143, as where a pod's containers share their processes")
def _():
    container = {"name": "c", "image": "busybox", "command": ["sleep", "1000"]}
    whole = {"metadata": {"name": "plain", "finalizers": ["example.com/mine"]},
             "spec": {"terminationGracePeriodSeconds": 60, "containers": [container]}}
    call("POST", PODS, whole, kind="Pod")
    until(lambda: call("GET", f"{PODS}/plain")["status"]["phase"] == "Running", "it runs")
    call("DELETE", f"{PODS}/plain", {}, kind="DeleteOptions")

    def ended():
        [status] = call("GET", f"{PODS}/plain")["status"]["containerStatuses"]
        return status["state"].get("terminated")

    equal(until(ended, "it ends", 30)["exitCode"], 143)
    change(f"{PODS}/plain", lambda thing: thing["metadata"].update(finalizers=[]), "v1", "Pod")
    call("GET", f"{PODS}/plain", wanted=404)


@program.check("after each test: events of a failure, the namespace goes, nodes are Ready")
def _():
    selector = f"involvedObject.kind=Job,involvedObject.name=evicted,involvedObject.namespace={SPACE}"
    events = call("GET", f"/api/v1/namespaces/{SPACE}/events", fieldSelector=selector)["items"]
    holds({"SuccessfulCreate", "Completed"} <= {event["reason"] for event in events}, events)
    others = [f"{SPACE}-{index}" for index in range(20)]
    make = [threading.Thread(target=call, args=("POST", "/api/v1/namespaces", {"metadata": {"name": name}}),
                             kwargs={"kind": "Namespace"}) for name in others]
    for thread in make:
        thread.start()
    for thread in make:
        thread.join()
    for name in [SPACE, *others]:
        call("DELETE", f"/api/v1/namespaces/{name}", {}, kind="DeleteOptions")
    for name in [SPACE, *others]:
        until(lambda: server.call("GET", f"/api/v1/namespaces/{name}")[0] == 404, f"{name} is gone")
    holds(all(any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
              for node in call("GET", "/api/v1/nodes")["items"]), "all nodes are Ready")


program.end()
