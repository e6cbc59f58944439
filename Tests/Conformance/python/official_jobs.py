# Programs on the official client that live with Jobs: typed models both ways, create, read, patch, replace, delete.
# Written as its users write them; nothing here knows what the server is.

import pathlib
import tempfile

import yaml
from kubernetes import client, config, utils
from kubernetes.client.rest import ApiException

from checks import Program, Skipped, equal, holds, job, refused, space, until

SPACE = space("official-jobs")
program = Program("official client, Jobs")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()


def model(name, command, **spec):
    container = client.V1Container(
        name="main",
        image="busybox:1.36",
        command=["sh", "-c", command],
        env=[client.V1EnvVar(name="GREETING", value="hello")],
        resources=client.V1ResourceRequirements(requests={"cpu": "10m", "memory": "16Mi"}),
    )
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": name}),
        spec=client.V1PodSpec(restart_policy="Never", containers=[container], termination_grace_period_seconds=1),
    )
    return client.V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=client.V1ObjectMeta(name=name, labels={"app": name}),
        spec=client.V1JobSpec(template=template, backoff_limit=4, **spec),
    )


def condition(read, kind):
    return next((c for c in read.status.conditions or [] if c.type == kind and c.status == "True"), None)


def finished(name, kind="Complete"):
    def look():
        read = batch.read_namespaced_job(name, SPACE)
        return read if condition(read, kind) else None

    return until(look, f"job {name} {kind}")


def names():
    return {item.metadata.name for item in batch.list_namespaced_job(SPACE).items}


def plain(answer):
    """A deletion's answer is a model to the older client, and a dictionary to the newer one."""
    return answer if isinstance(answer, dict) else answer.to_dict()


@program.check("create a namespace")
def _():
    made = core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=SPACE, labels={"for": "jobs"})))
    equal(made.status.phase, "Active")
    equal(core.read_namespace(SPACE).metadata.labels["kubernetes.io/metadata.name"], SPACE)


@program.check("create a Job from V1Job models, and every field comes back")
def _():
    made = batch.create_namespaced_job(SPACE, model("typed", 'echo "$GREETING world"; sleep 0.1', completions=2))
    equal((made.kind, made.api_version, made.metadata.name), ("Job", "batch/v1", "typed"))
    equal(made.spec.completions, 2)
    equal(made.spec.parallelism, 1)
    holds(made.metadata.uid and made.metadata.creation_timestamp.tzinfo, "uid and a time with its zone")
    equal(made.spec.selector.match_labels["batch.kubernetes.io/controller-uid"], made.metadata.uid)
    container = made.spec.template.spec.containers[0]
    equal(container.env[0].value, "hello")
    equal(container.resources.requests, {"cpu": "10m", "memory": "16Mi"})


@program.check("wait for its completion by reading it; status is typed")
def _():
    read = finished("typed")
    equal(read.status.succeeded, 2)
    holds(read.status.completion_time >= read.status.start_time, "ends after it starts")
    holds(condition(read, "Complete").last_transition_time, "a condition has its time")


@program.check("list the pods of a Job; pod, container and condition models are whole")
def _():
    pods = core.list_namespaced_pod(SPACE, label_selector="batch.kubernetes.io/job-name=typed")
    equal(pods.kind, "PodList")
    equal(len(pods.items), 2)
    for pod in pods.items:
        equal(pod.status.phase, "Succeeded")
        status = pod.status.container_statuses[0]
        equal((status.name, status.ready, status.restart_count), ("main", False, 0))
        holds(status.image is not None and status.image_id is not None, "image and imageID are there")
        equal((status.state.terminated.exit_code, status.state.terminated.reason), (0, "Completed"))
        owner = pod.metadata.owner_references[0]
        equal((owner.kind, owner.name, owner.controller, owner.block_owner_deletion), ("Job", "typed", True, True))
        holds({c.type for c in pod.status.conditions} >= {"PodScheduled", "Initialized", "Ready"}, "conditions")
        holds(pod.spec.node_name and pod.status.host_ip, "where it ran")


@program.check("create from a dictionary, and the same again is AlreadyExists with a typed body")
def _():
    made = batch.create_namespaced_job(SPACE, job("from-dict", "exit 0"))
    equal(made.metadata.name, "from-dict")
    error = refused(lambda: batch.create_namespaced_job(SPACE, job("from-dict")), 409)
    status = yaml.safe_load(error.body)
    equal((status["kind"], status["reason"], status["code"]), ("Status", "AlreadyExists", 409))
    equal(status["message"], 'jobs.batch "from-dict" already exists')
    equal(error.reason, "Conflict")


@program.check("a Job that is wrong is Invalid, each cause with its field")
def _():
    wrong = job("Wrong_Name", parallelism=-1)
    wrong["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    status = yaml.safe_load(refused(lambda: batch.create_namespaced_job(SPACE, wrong), 422).body)
    equal(status["reason"], "Invalid")
    fields = {cause["field"] for cause in status["details"]["causes"]}
    holds({"metadata.name", "spec.parallelism", "spec.template.spec.restartPolicy"} <= fields, fields)


@program.check("what is not there is NotFound with details")
def _():
    status = yaml.safe_load(refused(lambda: batch.read_namespaced_job("nothing", SPACE), 404).body)
    equal(status["reason"], "NotFound")
    equal(status["details"], {"name": "nothing", "group": "batch", "kind": "jobs"})


@program.check("utils.create_from_yaml of a file with two documents, utils.create_from_dict of a List")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "jobs.yaml"
        path.write_text(yaml.safe_dump_all([job("yaml-a"), job("yaml-b")]))
        utils.create_from_yaml(client.ApiClient(), str(path), namespace=SPACE)
    items = [job("dict-a"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dict-b"}}]
    utils.create_from_dict(client.ApiClient(), {"apiVersion": "v1", "kind": "List", "items": items}, namespace=SPACE)
    for name in ["yaml-a", "yaml-b", "dict-a"]:
        finished(name)
    try:
        utils.create_from_dict(client.ApiClient(), job("dict-a"), namespace=SPACE)
    except utils.FailToCreateError as error:
        equal(error.api_exceptions[0].status, 409)
    else:
        raise AssertionError("made twice")


@program.check("calls in threads of the library's own: async_req")
def _():
    asked = [batch.read_namespaced_job(name, SPACE, async_req=True) for name in ["yaml-a", "yaml-b", "dict-a"]]
    equal([one.get().metadata.name for one in asked], ["yaml-a", "yaml-b", "dict-a"])
    late = batch.read_namespaced_job("nothing", SPACE, async_req=True)
    equal(refused(late.get, 404).reason, "Not Found")


@program.check("utils.create_from_yaml with apply=True, twice with a change")
def _():
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    for value in ["1", "2"]:
        body["data"]["a"] = value
        try:
            utils.create_from_dict(client.ApiClient(), body, namespace=SPACE, apply=True)
        except TypeError as error:
            raise Skipped(f"this version: {error}") from error
    equal(core.read_namespaced_config_map("applied", SPACE).data, {"a": "2"})


@program.check("what the client read it can send back: sanitize_for_serialization and replace")
def _():
    read = batch.read_namespaced_job("typed", SPACE)
    tree = client.ApiClient().sanitize_for_serialization(read)
    equal(tree["spec"]["template"]["spec"]["restartPolicy"], "Never")
    read.metadata.annotations = {"note": "sent back"}
    again = batch.replace_namespaced_job("typed", SPACE, read)
    equal(again.metadata.annotations["note"], "sent back")
    equal(again.status.succeeded, 2)
    holds(again.metadata.resource_version != read.metadata.resource_version, "a new version")


@program.check("replace of a stale object conflicts, and the read-and-retry of users gets through")
def _():
    stale = batch.read_namespaced_job("typed", SPACE)
    batch.patch_namespaced_job("typed", SPACE, {"metadata": {"labels": {"moved": "yes"}}})
    error = refused(lambda: batch.replace_namespaced_job("typed", SPACE, stale), 409)
    equal(yaml.safe_load(error.body)["reason"], "Conflict")
    for _ in range(5):
        fresh = batch.read_namespaced_job("typed", SPACE)
        fresh.metadata.labels["retried"] = "yes"
        try:
            equal(batch.replace_namespaced_job("typed", SPACE, fresh).metadata.labels["moved"], "yes")
            return
        except ApiException as conflict:
            equal(conflict.status, 409)
    raise AssertionError("five conflicts")


@program.check("start suspended, resume by patch, run")
def _():
    made = batch.create_namespaced_job(SPACE, model("asleep", "echo awake", suspend=True))
    equal(made.spec.suspend, True)
    until(lambda: condition(batch.read_namespaced_job("asleep", SPACE), "Suspended"), "Suspended")
    equal(core.list_namespaced_pod(SPACE, label_selector="job-name=asleep").items, [])
    batch.patch_namespaced_job("asleep", SPACE, {"spec": {"suspend": False}})
    equal(finished("asleep").status.succeeded, 1)


@program.check("suspend a running Job with the model that was read as the patch; its pods go, then resume")
def _():
    batch.create_namespaced_job(SPACE, model("paused", "sleep 60", parallelism=2, completions=2))
    until(lambda: batch.read_namespaced_job_status("paused", SPACE).status.active == 2, "two active")

    def suspend():
        read = batch.read_namespaced_job("paused", SPACE)
        read.spec.suspend = True
        try:
            return batch.patch_namespaced_job("paused", SPACE, read).spec.suspend
        except ApiException as conflict:
            # The body carries the version that was read: a pod became ready in between.
            equal(conflict.status, 409)

    until(suspend, "suspended")
    until(lambda: not batch.read_namespaced_job_status("paused", SPACE).status.active, "none active")
    until(lambda: not core.list_namespaced_pod(SPACE, label_selector="job-name=paused").items, "no pods")
    batch.patch_namespaced_job("paused", SPACE, {"spec": {"suspend": False}})
    until(lambda: batch.read_namespaced_job_status("paused", SPACE).status.active == 2, "two active again")
    batch.delete_namespaced_job("paused", SPACE, propagation_policy="Background")


@program.check("patch: strategic merge of a dictionary, JSON patch of a list")
def _():
    batch.create_namespaced_job(SPACE, job("patched", "sleep 60", suspend=True))
    read = batch.patch_namespaced_job("patched", SPACE, {"metadata": {"annotations": {"a": "1"}, "labels": {"b": "2"}}})
    equal((read.metadata.annotations["a"], read.metadata.labels["b"]), ("1", "2"))
    read = batch.patch_namespaced_job(
        "patched", SPACE, [{"op": "replace", "path": "/spec/parallelism", "value": 3},
                           {"op": "remove", "path": "/metadata/annotations/a"}])
    equal(read.spec.parallelism, 3)
    holds("a" not in (read.metadata.annotations or {}), "removed")
    failed = [{"op": "test", "path": "/spec/parallelism", "value": 99}]
    refused(lambda: batch.patch_namespaced_job("patched", SPACE, failed), 422)


@program.check("scale parallelism; an immutable field is refused by name")
def _():
    equal(batch.patch_namespaced_job("patched", SPACE, {"spec": {"parallelism": 2}}).spec.parallelism, 2)
    container = {"name": "main", "image": "other"}
    body = {"spec": {"suspend": False, "template": {"spec": {"containers": [container]}}}}
    status = yaml.safe_load(refused(lambda: batch.patch_namespaced_job("patched", SPACE, body), 422).body)
    holds("field is immutable" in status["message"], status["message"])


@program.check("patch status: a condition of one's own stays")
def _():
    mine = {"type": "Looked", "status": "True", "lastTransitionTime": "2030-01-01T00:00:00Z", "reason": "ByHand"}
    before = batch.read_namespaced_job_status("patched", SPACE)
    batch.patch_namespaced_job_status("patched", SPACE, {"status": {"conditions": [mine]}})
    after = batch.read_namespaced_job_status("patched", SPACE)
    equal(next(c.reason for c in after.status.conditions if c.type == "Looked"), "ByHand")
    equal(after.spec.parallelism, before.spec.parallelism)


@program.check("replace status of a Job as its controller would; a counter that goes back is refused")
def _():
    read = batch.read_namespaced_job_status("typed", SPACE)
    read.status.conditions.append(
        client.V1JobCondition(type="Checked", status="True", last_transition_time=read.status.completion_time))
    read.spec.parallelism = 7
    after = batch.replace_namespaced_job_status("typed", SPACE, read)
    equal((after.status.conditions[-1].type, after.spec.parallelism), ("Checked", 1))
    after.status.succeeded = 1
    error = refused(lambda: batch.replace_namespaced_job_status("typed", SPACE, after), 422)
    equal(yaml.safe_load(error.body)["details"]["causes"][0]["field"], "status.succeeded")


@program.check("merge patch by content type: null takes a member away, a list is replaced whole")
def _():
    body = {"metadata": {"annotations": {"one": "1", "two": None}, "finalizers": ["example.org/wait"]}}
    options = {"_content_type": "application/merge-patch+json"}
    try:
        read = batch.patch_namespaced_job("patched", SPACE, body, **options)
    except TypeError as error:
        raise Skipped(f"this version: {error}") from error
    equal((read.metadata.annotations["one"], read.metadata.finalizers), ("1", ["example.org/wait"]))
    batch.delete_namespaced_job("patched", SPACE, propagation_policy="Background")
    waiting = batch.read_namespaced_job("patched", SPACE)
    holds(waiting.metadata.deletion_timestamp, "it waits for its finalizer")
    batch.patch_namespaced_job("patched", SPACE, {"metadata": {"finalizers": None}}, **options)
    refused(lambda: batch.read_namespaced_job("patched", SPACE), 404)


@program.check("a dry run makes nothing; pretty, field_manager and field_validation are taken")
def _():
    made = batch.create_namespaced_job(SPACE, job("dry"), dry_run="All", pretty="true", field_manager="me")
    holds(made.metadata.uid, "answered as if made")
    refused(lambda: batch.read_namespaced_job("dry", SPACE), 404)
    made = batch.create_namespaced_job(SPACE, job("dry"), dry_run="All", field_validation="Strict")
    equal(made.metadata.name, "dry")
    wrong = {"spec": {"paralelism": 2}}
    patched = {"name": "typed", "namespace": SPACE, "body": wrong, "dry_run": "All"}
    error = refused(lambda: batch.patch_namespaced_job(field_validation="Strict", **patched), 422)
    holds('unknown field \\"spec.paralelism\\"' in error.body, error.body)
    holds(batch.patch_namespaced_job(field_validation="Ignore", **patched), "ignored")


@program.check("generate_name makes distinct names")
def _():
    body = job("")
    body["metadata"] = {"generateName": "many-"}
    names = {batch.create_namespaced_job(SPACE, body).metadata.name for _ in range(5)}
    equal(len(names), 5)
    holds(all(name.startswith("many-") for name in names), names)


@program.check("a Job that fails says why")
def _():
    batch.create_namespaced_job(SPACE, job("failing", "exit 3"))
    read = finished("failing", "Failed")
    equal((read.status.failed, condition(read, "Failed").reason), (1, "BackoffLimitExceeded"))
    pod = core.list_namespaced_pod(SPACE, label_selector="job-name=failing").items[0]
    equal(pod.status.container_statuses[0].state.terminated.exit_code, 3)


@program.check("an indexed Job runs each index")
def _():
    body = job("indexed", "test -n $JOB_COMPLETION_INDEX", completions=3, parallelism=3, completionMode="Indexed")
    batch.create_namespaced_job(SPACE, body)
    equal(finished("indexed").status.completed_indexes, "0-2")


@program.check("delete: preconditions, Background, Foreground, Orphan, and the bare call's warning")
def _():
    read = batch.create_namespaced_job(SPACE, job("gone", "sleep 60"))
    until(lambda: core.list_namespaced_pod(SPACE, label_selector="job-name=gone").items, "its pod")
    other = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="11111111-2222-3333-4444-555555555555"))
    refused(lambda: batch.delete_namespaced_job("gone", SPACE, body=other), 409)
    mine = client.V1DeleteOptions(
        preconditions=client.V1Preconditions(uid=read.metadata.uid), propagation_policy="Background")
    answer = batch.delete_namespaced_job("gone", SPACE, body=mine)
    equal(plain(answer)["kind"], "Status")
    equal(plain(answer)["status"], "Success")
    until(lambda: not core.list_namespaced_pod(SPACE, label_selector="job-name=gone").items, "its pod is gone")
    batch.create_namespaced_job(SPACE, job("front", "sleep 60"))
    until(lambda: batch.read_namespaced_job("front", SPACE).status.active, "active")
    batch.delete_namespaced_job("front", SPACE, propagation_policy="Foreground")
    until(lambda: "front" not in names(), "deleted in the foreground")
    equal(core.list_namespaced_pod(SPACE, label_selector="job-name=front").items, [])
    orphan = client.V1DeleteOptions(propagation_policy="Orphan")
    batch.delete_namespaced_job("failing", SPACE, body=orphan)
    until(lambda: "failing" not in names(), "deleted")
    kept = until(lambda: core.list_namespaced_pod(SPACE, label_selector="job-name=failing").items, "kept")
    until(lambda: not core.read_namespaced_pod(kept[0].metadata.name, SPACE).metadata.owner_references, "no owner")
    _, code, headers = batch.delete_namespaced_job_with_http_info("from-dict", SPACE)[:3]
    equal(code, 200)
    holds("preserved by default" in headers.get("Warning", ""), dict(headers))


@program.check("TTL after finished deletes a Job and its pods")
def _():
    batch.create_namespaced_job(SPACE, job("short", ttlSecondsAfterFinished=1))
    until(lambda: "short" not in names(), "collected")
    until(lambda: not core.list_namespaced_pod(SPACE, label_selector="job-name=short").items, "no pods")


@program.check("delete_collection by selector takes only what matches")
def _():
    for number in range(3):
        batch.create_namespaced_job(SPACE, job(f"swept-{number}", labels={"sweep": "yes"}, suspend=True))
    equal(len(batch.list_namespaced_job(SPACE, label_selector="sweep=yes").items), 3)
    batch.delete_collection_namespaced_job(SPACE, label_selector="sweep=yes", propagation_policy="Background")
    until(lambda: not batch.list_namespaced_job(SPACE, label_selector="sweep=yes").items, "swept")
    holds("typed" in names(), "others stay")


@program.check("delete the namespace: its content goes with it, and new content is forbidden or not found")
def _():
    core.delete_namespace(SPACE)
    try:
        batch.create_namespaced_job(SPACE, job("late"))
    except ApiException as error:
        holds(error.status in (403, 404), error.status)
    else:
        raise AssertionError("made in a namespace that is going")
    until(lambda: SPACE not in {item.metadata.name for item in core.list_namespace().items}, "gone")
    equal(batch.list_namespaced_job(SPACE).items, [])
    equal(core.list_namespaced_pod(SPACE).items, [])


program.end()
