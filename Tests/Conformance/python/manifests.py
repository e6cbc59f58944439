# Job and pod manifests as other programs make them, given as dictionaries: those of a workflow scheduler, of a cluster
# of workers, of a batch queue, of a CI runner. Each must be taken without a word less than it says, and end as it says.

import json

from kubernetes import client, config

from checks import Program, equal, holds, job, space, until

SPACE = space("manifests")
program = Program("manifests of other programs")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()
core.create_namespace({"metadata": {"name": SPACE}})

WORKFLOW_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "nightly-extract-8k2j1q0z",
        "labels": {"dag_id": "nightly", "task_id": "extract", "run_id": "manual__2030-01-01T0000000000-a1b2c3",
                   "try_number": "1", "kubernetes_pod_operator": "True", "already_checked": "True"},
        "annotations": {"note": "made by a scheduler"},
    },
    "spec": {
        "affinity": {},
        "tolerations": [],
        "nodeSelector": {},
        "hostNetwork": False,
        "imagePullSecrets": [],
        "securityContext": {},
        "restartPolicy": "Never",
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "xcom", "emptyDir": {}}],
        "containers": [
            {
                "name": "base",
                "image": "busybox",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c"],
                "args": ["echo started; echo '{\"rows\": 3}' > /data/return.json; cat /data/return.json"],
                "env": [{"name": "RUN", "value": "1"}],
                "envFrom": [],
                "ports": [],
                "volumeMounts": [{"name": "xcom", "mountPath": "/data"}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }
        ],
    },
}

WORKERS = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "generateName": "workers-",
        "labels": {"cluster.example.org/name": "analysis", "app.kubernetes.io/component": "worker"},
    },
    "spec": {
        "parallelism": 3,
        "completions": 3,
        "backoffLimit": 2,
        "activeDeadlineSeconds": 120,
        "ttlSecondsAfterFinished": 600,
        "template": {
            "metadata": {
                "creationTimestamp": None,
                "labels": {"cluster.example.org/name": "analysis", "app.kubernetes.io/component": "worker"},
            },
            "spec": {
                "restartPolicy": "OnFailure",
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 100, "preference": {"matchExpressions": [
                                {"key": "role", "operator": "In", "values": ["worker"]}]}}]}},
                "tolerations": [{"key": "example.org/dedicated", "operator": "Equal", "value": "worker",
                                 "effect": "NoSchedule"}],
                "containers": [
                    {
                        "name": "worker",
                        "image": "busybox",
                        "command": ["sh", "-c", "echo worker on $NODE as $NAME with $THREADS"],
                        "env": [
                            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                            {"name": "THREADS", "value": "2"},
                        ],
                        "resources": {"requests": {"cpu": "0.05", "memory": "32Mi"}},
                    }
                ],
            },
        },
    },
}

QUEUED = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "queued", "labels": {"queue.example.org/queue-name": "team-a"}},
    "spec": {
        "suspend": True,
        "parallelism": 2,
        "completions": 4,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]},
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "c", "image": "busybox", "command": ["true"], "resources": {}}],
            }
        },
    },
}


def log(name):
    return core.read_namespaced_pod_log(name, SPACE)


@program.check("a workflow scheduler's pod: made, followed, its output read, deleted")
def _():
    name = WORKFLOW_POD["metadata"]["name"]
    core.create_namespaced_pod(SPACE, WORKFLOW_POD)
    until(lambda: core.read_namespaced_pod(name, SPACE).status.phase in ("Succeeded", "Failed"), "its end")
    read = core.read_namespaced_pod(name, SPACE)
    equal(read.status.phase, "Succeeded")
    equal(json.loads(log(name).splitlines()[-1]), {"rows": 3})
    selector = "dag_id=nightly,task_id=extract,already_checked!=False,try_number in (1,2)"
    equal([p.metadata.name for p in core.list_namespaced_pod(SPACE, label_selector=selector).items], [name])
    core.patch_namespaced_pod(name, SPACE, {"metadata": {"labels": {"already_checked": "False"}}})
    equal(core.list_namespaced_pod(SPACE, label_selector=selector).items, [])
    core.delete_namespaced_pod(name, SPACE, body=client.V1DeleteOptions(), grace_period_seconds=0)


@program.check("a cluster of workers as a Job: node affinity, downward fields, deadline, TTL")
def _():
    name = batch.create_namespaced_job(SPACE, WORKERS).metadata.name
    holds(name.startswith("workers-"), name)
    until(lambda: batch.read_namespaced_job(name, SPACE).status.succeeded == 3, "three workers")
    pods = core.list_namespaced_pod(SPACE, label_selector=f"batch.kubernetes.io/job-name={name}").items
    for pod in pods:
        equal(log(pod.metadata.name), f"worker on {pod.spec.node_name} as {pod.metadata.name} with 2\n")


@program.check("a queue's Job: made suspended, admitted by a patch with a node selector, run, counted")
def _():
    batch.create_namespaced_job(SPACE, QUEUED)
    node = core.list_node().items[0].metadata.labels["kubernetes.io/hostname"]
    admit = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": node}}}}}
    batch.patch_namespaced_job("queued", SPACE, admit)
    batch.patch_namespaced_job("queued", SPACE, {"spec": {"suspend": False}})
    until(lambda: batch.read_namespaced_job("queued", SPACE).status.succeeded == 4, "four pods")
    pods = core.list_namespaced_pod(SPACE, label_selector="job-name=queued").items
    equal({pod.spec.node_selector["kubernetes.io/hostname"] for pod in pods}, {node})


@program.check("a CI runner's Job: steps as init containers that share a directory, a failing step ends it")
def _():
    body = job("pipeline", "cat /work/out")
    spec = body["spec"]["template"]["spec"]
    mounts = [{"name": "work", "mountPath": "/work"}]
    spec["volumes"] = [{"name": "work", "emptyDir": {}}]
    spec["containers"][0] |= {"volumeMounts": mounts, "workingDir": "/work"}
    step = {"image": "busybox", "volumeMounts": mounts, "workingDir": "/work"}
    spec["initContainers"] = [
        step | {"name": "fetch", "command": ["sh", "-c", "echo fetched > out"]},
        step | {"name": "build", "command": ["sh", "-c", "echo built >> out"]},
    ]
    batch.create_namespaced_job(SPACE, body)
    until(lambda: batch.read_namespaced_job("pipeline", SPACE).status.succeeded == 1, "it passes")
    [pod] = core.list_namespaced_pod(SPACE, label_selector="job-name=pipeline").items
    equal(log(pod.metadata.name), "fetched\nbuilt\n")
    equal([s.state.terminated.exit_code for s in pod.status.init_container_statuses], [0, 0])
    body["metadata"]["name"] = "broken"
    spec["initContainers"][1]["command"] = ["sh", "-c", "exit 7"]
    batch.create_namespaced_job(SPACE, body)
    until(lambda: batch.read_namespaced_job("broken", SPACE).status.failed == 1, "it fails")
    [pod] = core.list_namespaced_pod(SPACE, label_selector="job-name=broken").items
    equal([s.state.terminated.exit_code for s in pod.status.init_container_statuses], [0, 7])
    holds(pod.status.container_statuses[0].state.waiting.reason == "PodInitializing", "the step after did not run")


core.delete_namespace(SPACE)
program.end()
