# Programs on the official client about everything but Jobs: pods and their logs, ConfigMaps, Secrets, Leases, events,
# nodes, discovery, paging and errors. Nothing here knows what the server is.

import base64
import datetime
import json
import logging
import threading

import urllib3
from kubernetes import client, config
from kubernetes.client.rest import ApiException

from checks import Program, Skipped, equal, holds, job, refused, space, until

SPACE = space("official-objects")
program = Program("official client, objects")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()
core.create_namespace({"metadata": {"name": SPACE}})


def pod(name, script, **spec):
    container = client.V1Container(name="main", image="busybox", command=["sh", "-c", script])
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name=name, labels={"kind": "by-hand"}),
        spec=client.V1PodSpec(
            restart_policy="Never", termination_grace_period_seconds=1, containers=[container], **spec))


def plain(answer):
    """A deletion's answer is a model to the older client, and a dictionary to the newer one."""
    return answer if isinstance(answer, dict) else answer.to_dict()


def phase(name, wanted):
    def look():
        read = core.read_namespaced_pod(name, SPACE)
        return read if read.status.phase == wanted else None

    return until(look, f"pod {name} {wanted}")


@program.check("version and API groups")
def _():
    version = client.VersionApi().get_code()
    holds(int(version.major) == 1 and version.git_version.startswith("v1."), version)
    holds(version.platform and version.go_version is not None, "every field of VersionInfo")
    groups = {group.name: group for group in client.ApisApi().get_api_versions().groups}
    equal(groups["batch"].preferred_version.group_version, "batch/v1")
    equal(client.CoreApi().get_api_versions().versions, ["v1"])
    holds("server_address_by_client" in str(client.CoreApi().get_api_versions().to_dict()), "APIVersions is whole")
    equal(client.BatchApi().get_api_group().name, "batch")


@program.check("API resources are typed")
def _():
    resources = {item.name: item for item in batch.get_api_resources().resources}
    holds({"create", "watch", "deletecollection"} <= set(resources["jobs"].verbs), resources["jobs"].verbs)
    equal((resources["jobs/status"].kind, resources["jobs"].singular_name), ("Job", "job"))
    holds({"pods", "pods/log", "secrets"} <= {item.name for item in core.get_api_resources().resources}, "core")


@program.check("nodes: models are whole, one is Ready, capacity parses")
def _():
    nodes = core.list_node().items
    holds(nodes, "nodes")
    for node in nodes:
        info = node.status.node_info
        holds(all([info.machine_id, info.boot_id, info.kernel_version, info.os_image, info.architecture,
                   info.operating_system, info.kubelet_version, info.container_runtime_version]), info)
        holds(int(node.status.capacity["pods"]) > 0, node.status.capacity)
        ready = next(c for c in node.status.conditions if c.type == "Ready")
        holds(ready.last_heartbeat_time and ready.last_transition_time, "times of conditions")
    name = nodes[0].metadata.name
    equal(core.read_node_status(name).metadata.name, name)
    core.patch_node(name, {"metadata": {"labels": {SPACE: "fast"}}})
    equal([n.metadata.name for n in core.list_node(label_selector=f"{SPACE}=fast").items], [name])
    core.patch_node(name, {"metadata": {"labels": {SPACE: None}}})
    equal(core.list_node(label_selector=SPACE).items, [])


@program.check("create a pod from models; it runs and its log is text")
def _():
    made = core.create_namespaced_pod(SPACE, pod("hello", "echo one; echo two; echo three"))
    equal(made.status.phase, "Pending")
    phase("hello", "Succeeded")
    equal(core.read_namespaced_pod_log("hello", SPACE), "one\ntwo\nthree\n")
    equal(core.read_namespaced_pod_log("hello", SPACE, tail_lines=1), "three\n")
    equal(core.read_namespaced_pod_log("hello", SPACE, container="main", limit_bytes=5), "one\nt")
    equal(core.read_namespaced_pod_log("hello", SPACE, since_seconds=600, pretty="true"), "one\ntwo\nthree\n")
    stamp = core.read_namespaced_pod_log("hello", SPACE, timestamps=True, tail_lines=1).split(" ")[0]
    holds(datetime.datetime.fromisoformat(stamp[:19]).year >= 2020 and stamp.endswith("Z"), stamp)


@program.check("follow a log while it is written; the stream ends with the pod")
def _():
    core.create_namespaced_pod(SPACE, pod("slow", "for i in 1 2 3 4; do echo line $i; sleep 0.1; done; exec sleep 600"))
    phase("slow", "Running")
    stream = core.read_namespaced_pod_log("slow", SPACE, follow=True, _preload_content=False)
    pieces, text = stream.stream(decode_content=False), b""
    while text.count(b"\n") < 4:
        text += next(pieces)
    equal(text.decode().splitlines(), [f"line {i}" for i in range(1, 5)])
    equal(core.read_namespaced_pod("slow", SPACE).status.phase, "Running")
    core.delete_namespaced_pod("slow", SPACE, body=client.V1DeleteOptions(grace_period_seconds=1))
    equal(b"".join(pieces), b"")


@program.check("watch.Watch follows a log, too")
def _():
    from kubernetes import watch

    core.create_namespaced_pod(SPACE, pod("slower", "for i in 1 2 3; do echo l$i; sleep 0.1; done"))
    until(lambda: core.read_namespaced_pod("slower", SPACE).status.phase in ("Running", "Succeeded"), "running")
    follower = watch.Watch()
    lines = []
    for line in follower.stream(core.read_namespaced_pod_log, name="slower", namespace=SPACE):
        lines.append(line)
        if len(lines) == 3:
            follower.stop()
    equal(lines, ["l1", "l2", "l3"])


@program.check("a container that is restarted: its count, its last state, the log of the one before")
def _():
    script = "if test -e /data/again; then echo second; sleep 60; else touch /data/again; echo first; exit 3; fi"
    body = pod("twice", script, volumes=[client.V1Volume(name="d", empty_dir=client.V1EmptyDirVolumeSource())])
    body.spec.restart_policy = "OnFailure"
    body.spec.containers[0].volume_mounts = [client.V1VolumeMount(name="d", mount_path="/data")]
    core.create_namespaced_pod(SPACE, body)

    def again():
        status = (core.read_namespaced_pod("twice", SPACE).status.container_statuses or [None])[0]
        return status if status and status.restart_count == 1 and status.state.running else None

    status = until(again, "it runs again")
    equal((status.last_state.terminated.exit_code, status.last_state.terminated.reason), (3, "Error"))
    holds(status.ready and status.started, status)
    until(lambda: core.read_namespaced_pod_log("twice", SPACE) == "second\n", "its log")
    equal(core.read_namespaced_pod_log("twice", SPACE, previous=True), "first\n")
    core.delete_namespaced_pod("twice", SPACE, grace_period_seconds=0)
    until(lambda: "twice" not in {p.metadata.name for p in core.list_namespaced_pod(SPACE).items}, "gone")


@program.check("lists over all namespaces")
def _():
    pods = core.list_pod_for_all_namespaces(label_selector="kind=by-hand", field_selector=f"metadata.namespace={SPACE}")
    holds({"hello", "slower"} <= {item.metadata.name for item in pods.items}, "pods")
    holds(batch.list_job_for_all_namespaces().kind == "JobList", "Jobs")
    selector = f"involvedObject.namespace={SPACE},type=Normal"
    holds(core.list_event_for_all_namespaces(field_selector=selector).items, "events")
    equal(core.list_namespaced_pod("no-such-namespace").items, [])


@program.check("the log of a pod that waits is BadRequest; of a container that is not there, too")
def _():
    core.create_namespaced_pod(SPACE, pod("waits", "true", node_selector={"no": "where"}))
    refused(lambda: core.read_namespaced_pod_log("waits", SPACE), 400)
    error = refused(lambda: core.read_namespaced_pod_log("hello", SPACE, container="other"), 400)
    holds("container other is not valid for pod hello" in json.loads(error.body)["message"], error.body)
    core.delete_namespaced_pod("waits", SPACE, grace_period_seconds=0)


@program.check("list pods by labels and by fields")
def _():
    def names(**selectors):
        return sorted(item.metadata.name for item in core.list_namespaced_pod(SPACE, **selectors).items)

    equal(names(label_selector="kind in (by-hand, other),!absent"), ["hello", "slower"])
    equal(names(field_selector="metadata.name=hello"), ["hello"])
    equal(names(field_selector="status.phase!=Succeeded,metadata.name!=slower"), [])
    holds("hello" in names(field_selector="status.phase=Succeeded"), "by phase")
    refused(lambda: core.list_namespaced_pod(SPACE, field_selector="spec.volume=1"), 400)


@program.check("delete a pod: the answer is a V1Pod with its deletion time, and then it is gone")
def _():
    core.create_namespaced_pod(SPACE, pod("doomed", "trap '' TERM; sleep 60"))
    phase("doomed", "Running")
    answer = core.delete_namespaced_pod("doomed", SPACE, body=client.V1DeleteOptions(grace_period_seconds=1))
    equal(answer.metadata.name, "doomed")
    holds(answer.metadata.deletion_timestamp, "a time of deletion")
    until(lambda: "doomed" not in {p.metadata.name for p in core.list_namespaced_pod(SPACE).items}, "gone")


@program.check("ConfigMap: create, replace, patch, mount into a pod, delete")
def _():
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="settings"), data={"mode": "fast", "n": "1"})
    core.create_namespaced_config_map(SPACE, body)
    read = core.read_namespaced_config_map("settings", SPACE)
    read.data["mode"] = "slow"
    core.replace_namespaced_config_map("settings", SPACE, read)
    core.patch_namespaced_config_map("settings", SPACE, {"data": {"n": None, "m": "2"}})
    equal(core.read_namespaced_config_map("settings", SPACE).data, {"mode": "slow", "m": "2"})
    body = pod("reader", 'cat /etc/settings/mode; echo; echo "$M"')
    body.spec.volumes = [client.V1Volume(name="v", config_map=client.V1ConfigMapVolumeSource(name="settings"))]
    body.spec.containers[0].volume_mounts = [client.V1VolumeMount(name="v", mount_path="/etc/settings")]
    source = client.V1EnvVarSource(config_map_key_ref=client.V1ConfigMapKeySelector(name="settings", key="m"))
    body.spec.containers[0].env = [client.V1EnvVar(name="M", value_from=source)]
    core.create_namespaced_pod(SPACE, body)
    phase("reader", "Succeeded")
    equal(core.read_namespaced_pod_log("reader", SPACE), "slow\n2\n")
    equal(plain(core.delete_namespaced_config_map("settings", SPACE))["status"], "Success")
    refused(lambda: core.read_namespaced_config_map("settings", SPACE), 404)


@program.check("Secret: base64 both ways, string_data, env from it")
def _():
    secret = client.V1Secret(
        metadata=client.V1ObjectMeta(name="keys"), type="Opaque",
        data={"raw": base64.b64encode(b"\x00\xffraw").decode()}, string_data={"word": "open sesame"})
    core.create_namespaced_secret(SPACE, secret)
    read = core.read_namespaced_secret("keys", SPACE)
    equal(base64.b64decode(read.data["raw"]), b"\x00\xffraw")
    equal(base64.b64decode(read.data["word"]), b"open sesame")
    holds(read.string_data is None, "string_data is for writing only")
    body = pod("opener", 'echo "$WORD"')
    source = client.V1EnvVarSource(secret_key_ref=client.V1SecretKeySelector(name="keys", key="word"))
    body.spec.containers[0].env = [client.V1EnvVar(name="WORD", value_from=source)]
    core.create_namespaced_pod(SPACE, body)
    phase("opener", "Succeeded")
    equal(core.read_namespaced_pod_log("opener", SPACE), "open sesame\n")
    bad = client.V1Secret(metadata=client.V1ObjectMeta(name="bad"), data={"x": "%%%"})
    refused(lambda: core.create_namespaced_secret(SPACE, bad), 400)


@program.check("events of a Job are whole V1Events")
def _():
    batch.create_namespaced_job(SPACE, job("eventful"))
    selector = "involvedObject.name=eventful,involvedObject.kind=Job"

    def look():
        items = core.list_namespaced_event(SPACE, field_selector=selector).items
        return items if {"SuccessfulCreate", "Completed"} <= {e.reason for e in items} else None

    for event in until(look, "its events"):
        equal((event.type, event.involved_object.api_version), ("Normal", "batch/v1"))
        holds(event.message and event.count >= 1 and event.last_timestamp, event)
        holds(event.source.component == "job-controller" and event.metadata.name.startswith("eventful."), event)


@program.check("the same events as events.k8s.io's")
def _():
    try:
        found = client.EventsV1Api().list_namespaced_event(SPACE, field_selector="regarding.name=eventful").items
    except ValueError as error:
        # Kubernetes, too, gives Events of this way of recording no eventTime.
        raise Skipped(f"this version: {error}") from error
    holds({event.reason for event in found} >= {"SuccessfulCreate"}, [event.reason for event in found])
    holds(all(event.regarding.kind == "Job" for event in found), "what they are about")


@program.check("write an event as a controller does")
def _():
    read = batch.read_namespaced_job("eventful", SPACE)
    now = datetime.datetime.now(datetime.timezone.utc)
    body = client.CoreV1Event(
        metadata=client.V1ObjectMeta(generate_name="note-"), type="Normal", reason="Noted", message="by a program",
        involved_object=client.V1ObjectReference(
            api_version="batch/v1", kind="Job", name="eventful", namespace=SPACE, uid=read.metadata.uid),
        first_timestamp=now, last_timestamp=now, count=1, source=client.V1EventSource(component="program"))
    made = core.create_namespaced_event(SPACE, body)
    equal((made.reason, made.source.component), ("Noted", "program"))
    holds(abs((made.last_timestamp - now).total_seconds()) < 1.001, made.last_timestamp)


@program.check("paging: limit and _continue give each object once, remaining_item_count goes down")
def _():
    for number in range(25):
        core.create_namespaced_config_map(SPACE, {"metadata": {"name": f"page-{number:02}", "labels": {"p": "1"}}})
    seen, token, pages = [], None, 0
    while True:
        page = core.list_namespaced_config_map(SPACE, limit=7, _continue=token, label_selector="p=1")
        seen += [item.metadata.name for item in page.items]
        pages += 1
        token = page.metadata._continue
        if not token:
            break
    equal((seen, pages), ([f"page-{number:02}" for number in range(25)], 4))
    first = core.list_namespaced_config_map(SPACE, limit=7)
    total = len(core.list_namespaced_config_map(SPACE).items)
    equal(first.metadata.remaining_item_count, total - 7)
    refused(lambda: core.list_namespaced_config_map(SPACE, limit=7, _continue="nonsense"), 400)
    core.delete_collection_namespaced_config_map(SPACE, label_selector="p=1", limit=500)
    equal(core.list_namespaced_config_map(SPACE, label_selector="p=1").items, [])


@program.check("Lease: microseconds both ways, replace by its holder, conflict for a stale one")
def _():
    api = client.CoordinationV1Api()
    now = datetime.datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)
    spec = client.V1LeaseSpec(
        holder_identity="a", lease_duration_seconds=15, acquire_time=now, renew_time=now, lease_transitions=0)
    api.create_namespaced_lease(SPACE, client.V1Lease(metadata=client.V1ObjectMeta(name="lock"), spec=spec))
    mine = api.read_namespaced_lease("lock", SPACE)
    equal((mine.spec.renew_time, mine.spec.holder_identity), (now, "a"))
    theirs = api.read_namespaced_lease("lock", SPACE)
    mine.spec.renew_time = now + datetime.timedelta(seconds=1, microseconds=1)
    equal(api.replace_namespaced_lease("lock", SPACE, mine).spec.renew_time, mine.spec.renew_time)
    theirs.spec.holder_identity = "b"
    refused(lambda: api.replace_namespaced_lease("lock", SPACE, theirs), 409)
    equal([lease.metadata.name for lease in api.list_namespaced_lease(SPACE).items], ["lock"])


@program.check("the library's own leader election: one of two candidates leads at a time")
def _():
    from kubernetes.leaderelection import electionconfig, leaderelection

    # The candidates that are left at the end say so for long.
    logging.disable(logging.CRITICAL)
    locks = []
    try:
        from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

        locks.append(LeaseLock)
    except ImportError:
        pass
    from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

    locks.append(ConfigMapLock)
    for kind in locks:
        led = []

        def lead(who):
            leads = threading.Event()
            lock = kind(f"leader-{kind.__name__.lower()}", SPACE, who)
            setting = electionconfig.Config(
                lock, lease_duration=3, renew_deadline=2, retry_period=1,
                onstarted_leading=lambda: (led.append(who), leads.set()), onstopped_leading=lambda: None)
            threading.Thread(target=leaderelection.LeaderElection(setting).run, daemon=True).start()
            return leads

        holds(lead("first").wait(10), f"{kind.__name__}: nobody leads")
        holds(not lead("second").wait(1.5), f"{kind.__name__}: two lead")
        equal(led, ["first"])
    return ", ".join(kind.__name__ for kind in locks)


@program.check("the namespace has its ServiceAccount and authority, default its Service")
def _():
    until(lambda: core.read_namespaced_service_account("default", SPACE), "the account")
    holds("BEGIN CERTIFICATE" in core.read_namespaced_config_map("kube-root-ca.crt", SPACE).data["ca.crt"], "ca.crt")
    equal(core.read_namespaced_service("kubernetes", "default").metadata.name, "kubernetes")


@program.check("PriorityClass: create, list, delete")
def _():
    api = client.SchedulingV1Api()
    api.create_priority_class(client.V1PriorityClass(metadata=client.V1ObjectMeta(name=f"{SPACE}-high"), value=1000))
    equal(api.read_priority_class(f"{SPACE}-high").value, 1000)
    equal(plain(api.delete_priority_class(f"{SPACE}-high"))["status"], "Success")


@program.check("pods/eviction and pods/binding: done or refused with a typed Status")
def _():
    core.create_namespaced_pod(SPACE, pod("evicted", "sleep 60"))
    phase("evicted", "Running")
    body = client.V1Eviction(
        metadata=client.V1ObjectMeta(name="evicted", namespace=SPACE),
        delete_options=client.V1DeleteOptions(grace_period_seconds=1))
    try:
        core.create_namespaced_pod_eviction("evicted", SPACE, body)
    except ApiException as error:
        equal((error.status, json.loads(error.body)["reason"]), (405, "MethodNotAllowed"))
        core.delete_namespaced_pod("evicted", SPACE, grace_period_seconds=0)
        return "refused"
        until(lambda: "evicted" not in {p.metadata.name for p in core.list_namespaced_pod(SPACE).items}, "gone")


@program.check("exec of a pod that is not there is refused with words, not with a hang")
def _():
    from kubernetes.stream import stream

    try:
        stream(core.connect_get_namespaced_pod_exec, "nosuch", SPACE, command=["ls"], stdout=True, _request_timeout=5)
    except ApiException as error:
        holds("404" in f"{error.status} {error.reason}", error)
    else:
        raise AssertionError("exec answered")


@program.check("_request_timeout ends a call that has no answer yet; the pool goes on")
def _():
    try:
        core.list_namespaced_pod(SPACE, watch=True, _preload_content=False, _request_timeout=(5, 0.3)).read()
    except (urllib3.exceptions.HTTPError, ApiException):
        pass
    else:
        raise AssertionError("an idle watch ended by itself")
    equal(core.read_namespace(SPACE).metadata.name, SPACE)


@program.check("a client without a certificate is Unauthorized with a typed body; /version is open to it")
def _():
    setting = client.Configuration.get_default_copy()
    setting.cert_file = setting.key_file = None
    stranger = client.ApiClient(setting)
    error = refused(lambda: client.CoreV1Api(stranger).list_namespace(), 401)
    equal(json.loads(error.body)["reason"], "Unauthorized")
    holds(client.VersionApi(stranger).get_code().major, "version")


@program.check("gzip: a client that asks for it gets long answers packed, in one piece and streamed, and reads them")
def _():
    for number in range(40):
        body = {"metadata": {"name": f"long-{number:02}", "labels": {"long": "1"}}, "data": {"text": "word " * 2000}}
        core.create_namespaced_config_map(SPACE, body)
    plain_list = core.list_namespaced_config_map(SPACE, label_selector="long")
    api = client.ApiClient()
    api.set_default_header("Accept-Encoding", "gzip")
    asking = client.CoreV1Api(api)
    raw = asking.list_namespaced_config_map(SPACE, label_selector="long", _preload_content=False)
    equal(raw.headers["Content-Encoding"], "gzip")
    holds(len(raw.read(decode_content=False)) < 50_000, "packed")
    found = asking.list_namespaced_config_map(SPACE, label_selector="long")
    equal([item.data for item in found.items], [item.data for item in plain_list.items])
    for number in range(300):
        core.create_namespaced_config_map(SPACE, {"metadata": {"name": f"short-{number:03}"}})
    names = [item.metadata.name for item in asking.list_namespaced_config_map(SPACE).items]
    equal(names, [item.metadata.name for item in core.list_namespaced_config_map(SPACE).items])
    equal(asking.list_namespaced_event(SPACE).kind, "EventList")


core.delete_namespace(SPACE)
program.end()
