# Programs on the official client that watch, that use its dynamic client, its informer and many threads at once.
# Nothing here knows what the server is.

import json
import os
import pathlib
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

from checks import Program, Skipped, equal, holds, job, refused, space, until

SPACE = space("official-watch")
THREADS = 8
JOBS_PER_THREAD = 100
program = Program("official client, watch and dynamic")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()
core.create_namespace({"metadata": {"name": SPACE}})


@program.check("watch a Job from the list's version until it is complete")
def _():
    version = batch.list_namespaced_job(SPACE).metadata.resource_version
    batch.create_namespaced_job(SPACE, job("seen", "sleep 0.1"))
    watcher = watch.Watch()
    events = []
    for event in watcher.stream(
            batch.list_namespaced_job, SPACE, resource_version=version, field_selector="metadata.name=seen"):
        holds(isinstance(event["object"], client.V1Job), type(event["object"]))
        equal(event["raw_object"]["kind"], "Job")
        events.append(event["type"])
        if event["object"].status.succeeded:
            if any(c.type == "Complete" for c in event["object"].status.conditions or []):
                watcher.stop()
    equal(events[0], "ADDED")
    holds(len(events) >= 3 and set(events[1:]) == {"MODIFIED"}, events)


@program.check("a watch without a version begins with what there is; a time limit ends it")
def _():
    start = time.monotonic()
    types = [e["type"] for e in watch.Watch().stream(batch.list_namespaced_job, SPACE, timeout_seconds=1)]
    equal(types, ["ADDED"])
    holds(0.8 < time.monotonic() - start < 60, "one second")


@program.check("watch goes on by itself after the server has ended it, and misses nothing")
def _():
    version = core.list_namespaced_config_map(SPACE).metadata.resource_version
    watcher = watch.Watch()
    seen = []

    def follow():
        # The server ends each connection after a second; the loop below is what people write around the library.
        while len(seen) < 12:
            streams.append(len(seen))
            stream = watcher.stream(
                core.list_namespaced_config_map, SPACE, resource_version=watcher.resource_version or version,
                timeout_seconds=1, label_selector="count")
            for event in stream:
                seen.append((event["type"], event["object"].metadata.name))

    streams = []
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for number in range(12):
        until(lambda: len(streams) > number // 4, "the watch went on")
        core.create_namespaced_config_map(SPACE, {"metadata": {"name": f"c{number:02}", "labels": {"count": "1"}}})
    thread.join(20)
    equal(seen, [("ADDED", f"c{number:02}") for number in range(12)])


@program.check("what leaves the selector is DELETED, what enters it is ADDED")
def _():
    version = core.list_namespaced_config_map(SPACE).metadata.resource_version
    for labels in [{"in": "1"}, {"in": "2"}, {"in": None}, {"in": "3"}]:
        core.patch_namespaced_config_map("c00", SPACE, {"metadata": {"labels": labels}})
    core.delete_namespaced_config_map("c00", SPACE)
    stream = watch.Watch().stream(
        core.list_namespaced_config_map, SPACE, label_selector="in", resource_version=version, timeout_seconds=1)
    equal([e["type"] for e in stream], ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"])


@program.check("bookmarks: the initial events end with one, and the library takes its version")
def _():
    watcher = watch.Watch()
    got = []
    options = {"allow_watch_bookmarks": True, "send_initial_events": True, "resource_version_match": "NotOlderThan"}
    try:
        stream = watcher.stream(core.list_namespaced_config_map, SPACE, timeout_seconds=2, **options)
        for event in stream:
            got.append(event)
            if event["type"] == "BOOKMARK":
                break
    except TypeError as error:
        raise Skipped(f"this version: {error}") from error
    equal(got[-1]["raw_object"]["metadata"]["annotations"], {"k8s.io/initial-events-end": "true"})
    holds({e["type"] for e in got[:-1]} <= {"ADDED"}, "only additions before")
    said = int(got[-1]["raw_object"]["metadata"]["resourceVersion"])
    versions = [int(e["object"].metadata.resource_version) for e in got[:-1]]
    holds(said >= max(versions), "the bookmark is older than what was shown")
    # The older client keeps the version of the last object instead.
    holds(int(watcher.resource_version) in (said, versions[-1]), watcher.resource_version)


@program.check("the library's informer keeps a cache that equals a list")
def _():
    try:
        from kubernetes.informer import ADDED, DELETED, SharedInformer
    except ImportError as error:
        raise Skipped("this version has none") from error
    informer = SharedInformer(core.list_namespaced_config_map, namespace=SPACE, label_selector="count")
    counted = {ADDED: 0, DELETED: 0}
    for kind in counted:
        informer.add_event_handler(kind, lambda _, kind=kind: counted.update({kind: counted[kind] + 1}))
    informer.start()
    until(lambda: len(informer.cache.list()) == 11, "the first list")
    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "new", "labels": {"count": "1"}}})
    core.delete_namespaced_config_map("c01", SPACE)
    until(lambda: counted == {ADDED: 12, DELETED: 1}, "events")
    fresh = core.list_namespaced_config_map(SPACE, label_selector="count").items
    equal(sorted(informer.cache.list_keys()), sorted(f"{SPACE}/{item.metadata.name}" for item in fresh))
    informer.stop()


@program.check("dynamic client: discovery is kept in a file and read again")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "discovery.json")
        first = dynamic.DynamicClient(client.ApiClient(), cache_file=path)
        equal(first.resources.get(api_version="batch/v1", kind="Job").name, "jobs")
        holds(os.path.getsize(path) > 100, "written")
        again = dynamic.DynamicClient(client.ApiClient(), cache_file=path)
        equal(again.resources.get(api_version="v1", kind="Pod").namespaced, True)
        holds(again.version["kubernetes"]["gitVersion"].startswith("v1."), again.version)
        eager = dynamic.DynamicClient(client.ApiClient(), discoverer=dynamic.EagerDiscoverer)
        holds({r.kind for r in eager.resources.search(group="batch")} >= {"Job"}, "eager discovery")


@program.check("dynamic client: create, get, list, three patches, watch, delete")
def _():
    jobs = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="batch/v1", kind="Job")
    made = jobs.create(body=job("dynamic", suspend=True, labels={"d": "1"}), namespace=SPACE)
    equal((made.kind, made.spec.suspend), ("Job", True))
    equal([item.metadata.name for item in jobs.get(namespace=SPACE, label_selector="d=1").items], ["dynamic"])
    for kind, body in [
            ("application/merge-patch+json", {"metadata": {"annotations": {"k": "merge"}}}),
            ("application/strategic-merge-patch+json", {"metadata": {"annotations": {"l": "strategic"}}}),
            ("application/json-patch+json", [{"op": "add", "path": "/metadata/annotations/m", "value": "json"}])]:
        jobs.patch(name="dynamic", namespace=SPACE, body=body, content_type=kind)
    notes = jobs.get(name="dynamic", namespace=SPACE).metadata.annotations
    equal((notes.k, notes.l, notes.m), ("merge", "strategic", "json"))
    equal(jobs.status.get(name="dynamic", namespace=SPACE).kind, "Job")
    types = [e["type"] for e in jobs.watch(namespace=SPACE, name="dynamic", timeout=1)]
    equal(types, ["ADDED"])
    try:
        jobs.create(body=job("dynamic"), namespace=SPACE)
    except dynamic.exceptions.ConflictError as error:
        equal(error.status, 409)
    equal(jobs.delete(name="dynamic", namespace=SPACE, body={"propagationPolicy": "Background"}).status, "Success")
    try:
        jobs.get(name="dynamic", namespace=SPACE)
    except dynamic.exceptions.NotFoundError:
        return
    raise AssertionError("still there")


@program.check("server-side apply: create, apply again, conflict with another manager, force")
def _():
    api = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1", "b": "1"}}
    made = api.server_side_apply(body=body, namespace=SPACE, field_manager="first")
    equal(made.data.to_dict(), {"a": "1", "b": "1"})
    body["data"] = {"a": "2"}
    equal(api.server_side_apply(body=body, namespace=SPACE, field_manager="first").data.to_dict(), {"a": "2"})
    body["data"] = {"a": "3"}
    try:
        api.server_side_apply(body=body, namespace=SPACE, field_manager="second")
    except dynamic.exceptions.ConflictError as error:
        causes = json.loads(error.body)["details"]["causes"]
        equal(([c["field"] for c in causes], causes[0]["reason"]), ([".data.a"], "FieldManagerConflict"))
        holds('conflict with "first"' in causes[0]["message"], causes)
    else:
        raise AssertionError("no conflict")
    forced = api.server_side_apply(body=body, namespace=SPACE, field_manager="second", force_conflicts=True)
    equal(forced.data.a, "3")
    managers = core.read_namespaced_config_map("applied", SPACE).metadata.managed_fields
    equal(sorted((m.manager, m.operation) for m in managers if m.operation == "Apply"), [("second", "Apply")])


@program.check("server-side apply of a Job by the typed method")
def _():
    body = job("typed-apply", suspend=True)
    options = {"field_manager": "tool", "force": True, "_content_type": "application/apply-patch+yaml"}
    try:
        made = batch.patch_namespaced_job("typed-apply", SPACE, body, **options)
    except TypeError as error:
        raise Skipped(f"this version: {error}") from error
    equal((made.metadata.name, made.spec.suspend), ("typed-apply", True))
    body["spec"]["parallelism"] = 2
    equal(batch.patch_namespaced_job("typed-apply", SPACE, body, **options).spec.parallelism, 2)
    holds([m for m in made.metadata.managed_fields if m.manager == "tool"], made.metadata.managed_fields)


@program.check(f"{THREADS} threads with one client make, read, patch, list and delete {JOBS_PER_THREAD} Jobs each")
def _():
    def work(thread):
        for number in range(JOBS_PER_THREAD):
            name = f"many-{thread}-{number:03}"
            made = batch.create_namespaced_job(SPACE, job(name, suspend=True, labels={"thread": str(thread)}))
            equal(batch.read_namespaced_job(name, SPACE).metadata.uid, made.metadata.uid)
            if number % 10 == 0:
                batch.patch_namespaced_job(name, SPACE, {"metadata": {"annotations": {"n": str(number)}}})
        found = batch.list_namespaced_job(SPACE, label_selector=f"thread={thread}").items
        equal(len({item.metadata.uid for item in found}), JOBS_PER_THREAD)

    start = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    spent = time.monotonic() - start
    equal(len(batch.list_namespaced_job(SPACE, label_selector="thread").items), THREADS * JOBS_PER_THREAD)
    batch.delete_collection_namespaced_job(SPACE, label_selector="thread", propagation_policy="Background")
    until(lambda: not batch.list_namespaced_job(SPACE, label_selector="thread", limit=1).items, "swept")
    requests = THREADS * JOBS_PER_THREAD * 2.1
    return f"{requests / spent:.0f} requests/s"


@program.check("threads that change one object with read and replace lose no change")
def _():
    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "counter"}, "data": {"n": "0"}})
    conflicts = []

    def raise_by_one(_):
        while True:
            read = core.read_namespaced_config_map("counter", SPACE)
            read.data["n"] = str(int(read.data["n"]) + 1)
            try:
                return core.replace_namespaced_config_map("counter", SPACE, read)
            except ApiException as error:
                equal(error.status, 409)
                conflicts.append(1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(raise_by_one, range(40)))
    equal(core.read_namespaced_config_map("counter", SPACE).data["n"], "40")
    return f"{len(conflicts)} conflicts"


core.delete_namespace(SPACE)
program.end()
