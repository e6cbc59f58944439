# Programs on the official client that live on while the coordinator is killed and started again: pools, watches, and a
# watch that is told that its version is too old. It knows of the server only how to end and start it.

import os
import pathlib
import signal
import subprocess
import threading
import time

import urllib3
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

from checks import Program, equal, holds, job, refused, space, until

SPACE = space("across-restarts")
program = Program("across restarts")
config.load_kube_config()
batch = client.BatchV1Api()
core = client.CoreV1Api()
core.create_namespace({"metadata": {"name": SPACE}})
started = []


def coordinator():
    """The process and its command line, among the children of `stint up` or as started below."""
    up = os.environ["UP_PROCESS"]
    children = pathlib.Path(f"/proc/{up}/task/{up}/children").read_text(encoding="ascii").split()
    for pid in [str(process.pid) for process in started] + children:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        if len(words) > 1 and words[1] == "coordinator":
            return int(pid), words
    raise AssertionError("no coordinator")


def restart(how):
    """Ends it by a signal, starts it again, and returns when it answers."""
    pid, words = coordinator()
    program_file = os.readlink(f"/proc/{pid}/exe")
    with open(f"/proc/{pid}/stat", encoding="ascii") as held:
        os.kill(pid, how)
        for process in started:
            process.wait(30)
        started.clear()
        # Reading the file of a process that was reaped fails.
        until(lambda: gone(held), "the coordinator ends")
    started.append(subprocess.Popen(words, executable=program_file, stdout=subprocess.DEVNULL))
    until(answers, "the coordinator answers")


def gone(held):
    try:
        held.seek(0)
        return held.read().rsplit(")", 1)[1].split()[0] == "Z"
    except ProcessLookupError:
        return True


def answers():
    try:
        return client.VersionApi(client.ApiClient()).get_code()
    except (urllib3.exceptions.HTTPError, ApiException):
        return None


class Follower(threading.Thread):
    """What people write around Watch: go on from the last version, list again on 410."""

    def __init__(self, call, version, **options):
        super().__init__(daemon=True)
        self.call, self.version, self.options = call, version, options
        self.seen, self.relists, self.breaks = [], 0, 0
        self.stopped = False

    def run(self):
        while not self.stopped:
            try:
                watcher = watch.Watch()
                for event in watcher.stream(self.call, SPACE, resource_version=self.version, timeout_seconds=5,
                                            **self.options):
                    meta = event["object"].metadata
                    self.version = meta.resource_version
                    self.seen.append((event["type"], meta.name, int(meta.resource_version)))
            except ApiException as error:
                equal(error.status, 410)
                self.version = self.call(SPACE, **self.options).metadata.resource_version
                self.relists += 1
            except (urllib3.exceptions.HTTPError, OSError):
                self.breaks += 1
                time.sleep(0.1)


@program.check("a program that watches Jobs over two kills sees each change once and the Job's end")
def _():
    version = batch.list_namespaced_job(SPACE).metadata.resource_version
    follower = Follower(batch.list_namespaced_job, version)
    follower.start()
    batch.create_namespaced_job(SPACE, job("long", "sleep 1.5", completions=3, parallelism=1))
    until(lambda: follower.seen, "the Job is seen")
    restart(signal.SIGKILL)
    batch.create_namespaced_job(SPACE, job("between", suspend=True))
    restart(signal.SIGKILL)

    def complete():
        read = batch.read_namespaced_job("long", SPACE)
        return any(c.type == "Complete" for c in read.status.conditions or []) and read

    read = until(complete, "the Job is complete")
    equal((read.status.succeeded, read.status.failed), (3, None))
    until(lambda: int(follower.version) >= int(read.metadata.resource_version), "it has seen all")
    follower.stopped = True
    versions = [version for _, _, version in follower.seen]
    equal(versions, sorted(set(versions)))
    equal([name for kind, name, _ in follower.seen if kind == "ADDED"], ["long", "between"])
    equal(follower.relists, 0)
    holds(follower.breaks > 0, "no connection broke")
    pods = core.list_namespaced_pod(SPACE, label_selector="job-name=long").items
    equal(len(pods), 3)
    return f"{len(versions)} changes, {follower.breaks} breaks"


@program.check("a pool of connections that died is no error for the next call")
def _():
    config_map = core.create_namespaced_config_map(SPACE, {"metadata": {"name": "kept"}, "data": {"a": "1"}})
    restart(signal.SIGTERM)
    equal(core.read_namespaced_config_map("kept", SPACE).metadata.uid, config_map.metadata.uid)
    equal(core.patch_namespaced_config_map("kept", SPACE, {"data": {"a": "2"}}).data, {"a": "2"})


@program.check("a version before a deletion that the coordinator has forgotten: ApiException 410, list, and go on")
def _():
    before = core.list_namespaced_config_map(SPACE).metadata.resource_version
    core.delete_namespaced_config_map("kept", SPACE)
    restart(signal.SIGKILL)
    for options in [{"timeout_seconds": 5}, {}]:
        stream = watch.Watch().stream(core.list_namespaced_config_map, SPACE, resource_version=before, **options)
        try:
            next(stream)
        except ApiException as error:
            equal(error.status, 410)
            holds(error.reason.startswith("Expired: too old resource version"), error.reason)
        else:
            raise AssertionError("an event")
    follower = Follower(core.list_namespaced_config_map, before)
    follower.start()
    until(lambda: follower.relists == 1, "it lists again")
    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "after"}})
    until(lambda: [event[:2] for event in follower.seen] == [("ADDED", "after")], "and goes on")
    follower.stopped = True


@program.check("deleting what was made before all that works as ever")
def _():
    batch.delete_namespaced_job("long", SPACE, propagation_policy="Foreground")
    until(lambda: not core.list_namespaced_pod(SPACE).items, "pods are gone")
    refused(lambda: batch.read_namespaced_job("long", SPACE), 404)


core.delete_namespace(SPACE)
program.end()
