# Owns: what programs on the official client share that run programs in pods: the program as a ConfigMap, an account with
# rights, the pod's own fields as variables. It must not know what the programs do.

import os
import pathlib

from kubernetes import client

from checks import Skipped

PROGRAM = "program"


def rooted():
    """Skips what needs a pod's token at its usual place."""
    if os.geteuid() != 0:
        raise Skipped("the usual mount point is made by root")


def of_pod(name, path):
    """A variable that says a field of the pod's own."""
    return client.V1EnvVar(
        name=name, value_from=client.V1EnvVarSource(field_ref=client.V1ObjectFieldSelector(field_path=path)))


def volume():
    """The volume of what `prepare` has put there."""
    return client.V1Volume(name=PROGRAM, config_map=client.V1ConfigMapVolumeSource(name=PROGRAM))


def prepare(space, program, account, rule):
    """A namespace with a file of `pods` and an account that may do what the rule says."""
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": space}})
    source = pathlib.Path(__file__).with_name("pods") / program
    core.create_namespaced_config_map(space, client.V1ConfigMap(
        metadata=client.V1ObjectMeta(name=PROGRAM), data={source.name: source.read_text(encoding="utf-8")}))
    core.create_namespaced_service_account(space, {"metadata": {"name": account}})
    rights = client.RbacAuthorizationV1Api()
    rights.create_namespaced_role(space, client.V1Role(metadata=client.V1ObjectMeta(name=account), rules=[rule]))
    rights.create_namespaced_role_binding(space, {
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": space}],
    })
