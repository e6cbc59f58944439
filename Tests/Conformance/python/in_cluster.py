# A program on the official client from within a pod: the in-cluster config, its own account's token, and what a role lets
# it do. The pod is told nothing but what every pod finds.

import os
import sys

from kubernetes import client, config

from checks import Program, Skipped, equal, job, space, until

SPACE = space("in-cluster")
program = Program("in cluster")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()
core.create_namespace({"metadata": {"name": SPACE}})
core.create_namespaced_service_account(SPACE, {"metadata": {"name": "robot"}})

INSIDE = """
from kubernetes import client, config
from kubernetes.client.rest import ApiException

config.load_incluster_config()
space = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()

def ask(what, call):
    try:
        print(what, sorted(item.metadata.name for item in call(space).items))
    except ApiException as error:
        print(what, error.status)

ask("jobs", client.BatchV1Api().list_namespaced_job)
ask("secrets", client.CoreV1Api().list_namespaced_secret)
"""


def said_by(name):
    """What the program prints in a pod of its own."""
    manifest = job(name)
    spec = manifest["spec"]["template"]["spec"]
    spec["serviceAccountName"] = "robot"
    spec["containers"][0]["command"] = [sys.executable, "-c", INSIDE]
    batch.create_namespaced_job(SPACE, manifest)

    def over():
        status = batch.read_namespaced_job(name, SPACE).status
        return any(one.type in ("Complete", "Failed") for one in status.conditions or [])

    until(over, f"{name} is over")
    pod = core.list_namespaced_pod(SPACE, label_selector=f"job-name={name}").items[0]
    return core.read_namespaced_pod_log(pod.metadata.name, SPACE).splitlines()


@program.check("a pod's program lists Jobs by its own token once a role lets it, and nothing else")
def _():
    if os.geteuid() != 0:
        raise Skipped("the usual mount point is made by root")
    equal(said_by("before"), ["jobs 403", "secrets 403"])
    client.RbacAuthorizationV1Api().create_namespaced_role_binding(SPACE, {
        "metadata": {"name": "robot-views"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": SPACE}],
    })
    equal(said_by("after"), ["jobs ['after', 'before']", "secrets 403"])


program.end()
