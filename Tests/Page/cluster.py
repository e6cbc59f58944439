"""Owns: a small cluster for the page's tests, its Jobs, and the ways by which the page reaches it: stint ui, kubectl
proxy, the coordinator itself. It must not know what is tested."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = pathlib.Path(os.environ.get("STINT_PAGE", ROOT / "Sources" / "CPage" / "files"))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def job(name, command, labels=None, annotations=None, **spec):
    container = {"name": "main", "image": "host", "command": ["sh", "-c", command]}
    resources = spec.pop("resources", None)
    if resources:
        container["resources"] = resources
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
        "spec": {**spec, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"

JOBS = [
    job("flaky", 'echo start $JOB_COMPLETION_INDEX; if [ $((JOB_COMPLETION_INDEX % 7)) = 3 ]; then exit 3; fi',
        {"app": "demo", "team": "blue"}, completions=30, parallelism=10, completionMode="Indexed", backoffLimitPerIndex=0),
    job("hostile", f"printf '%s\\n' '{HOSTILE}'; printf '\\033[31mred\\033[0m \\033]0;title\\007after\\n'; exit 1",
        {"app": "demo"}, {"note": HOSTILE}, backoffLimit=0),
    job("talker", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; while :; do date +tick-%s; sleep 0.2; done",
        {"app": "talk"}),
    job("held", "true", {"app": "demo"}, suspend=True),
    job("toolarge", "true", {"app": "large"}, resources={"requests": {"cpu": "500"}}),
    job("done", "echo fine", {"app": "demo"}),
]
CRON = {
    "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
    "spec": {"schedule": "30 3 * * 1-5", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": job("x", "true")["spec"]}},
}


class Cluster:
    """A cluster of its own in a folder of its own, with three nodes; ends with the block that made it."""

    def __init__(self, stint):
        self.stint = str(stint)
        self.folder = tempfile.mkdtemp(prefix="stint-page-")
        self.children = []
        native, api = free_port(), free_port()
        self.api = f"https://127.0.0.1:{api}"
        self.environment = {**os.environ, "HOME": self.folder, "KUBECONFIG": f"{self.folder}/data/kubeconfig"}
        self.environment.pop("DISPLAY", None)
        self.start([self.stint, "up", "--agents", "3", "--overcommit", "--images", "off", "--data", f"{self.folder}/data",
                    "--listen", f"127.0.0.1:{native}", "--api", f"127.0.0.1:{api}"], "is up")

    def start(self, command, until):
        """A program that runs on; returns what it said up to a line with `until`."""
        child = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        self.children.append(child)
        said = ""
        while until not in said:
            line = child.stdout.readline()
            if not line:
                raise RuntimeError(f"{command[0]} ended: {said}")
            said += line
        return said

    def run(self, *words, given=None):
        done = subprocess.run([self.stint, *words], env=self.environment, input=given, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"stint {' '.join(words)}: {done.stderr}")
        return done.stdout

    def fill(self):
        self.run("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": [*JOBS, CRON]}))
        self.run("wait", "job/flaky", "job/hostile", "job/done", "--for=finished", "--timeout", "60s")

    def restore(self):
        """What a round of deeds has changed is as before."""
        self.run("delete", "job", "flaky-rerun-1", "--ignore-not-found")
        self.run("apply", "-f", "-", given=json.dumps(JOBS[-1]))

    def job(self, name):
        return json.loads(self.run("get", f"job/{name}", "-o", "json"))

    def ways(self):
        """Name, address, and the token to sign in with, of each way that is to be had here."""
        said = self.start([self.stint, "ui", "--no-open"], "/ui/#code=")
        yield "stint ui", said.split()[0], ""
        if kubectl := shutil.which("kubectl"):
            port = free_port()
            self.start([kubectl, "proxy", "--port", str(port), "--www", str(FILES), "--www-prefix", "/ui/"], "Starting to serve")
            yield "kubectl proxy", f"http://127.0.0.1:{port}/ui/", ""
        yield "the coordinator", f"{self.api}/ui/", self.reader()

    def grant(self, kind, role, account):
        group = "rbac.authorization.k8s.io"
        meta = {"name": f"{account}-{role}", **({"namespace": "default"} if kind == "RoleBinding" else {})}
        return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": meta,
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}]}

    def account(self, name, *objects):
        items = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, *objects]
        self.run("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        return self.run("create", "token", name).strip()

    def reader(self):
        """The token of who may read everything, and change nothing."""
        nodes = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "nodes"},
                 "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}]}
        return self.account("reader", nodes, self.grant("ClusterRoleBinding", "view", "reader"),
                            self.grant("ClusterRoleBinding", "nodes", "reader"))

    def guest(self):
        """The token of who may read one namespace alone."""
        return self.account("guest", self.grant("RoleBinding", "view", "guest"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.send_signal(signal.SIGINT)
            try:
                child.wait(40)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s not: {what}")
        time.sleep(0.1)
