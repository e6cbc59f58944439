# An informer as client-go has it, in plain HTTP: list in pages, watch with bookmarks from the list's version, go on at
# the last version when a watch ends or the connection breaks. Several of them follow one busy Job; each must end with
# the cache that a fresh list gives, and see every change once. It must not know the server's code.

import random
import threading
import time

from checks import Program, equal, holds, job, space, until
from plain_http import JSON, Server, lines

SPACE = space("informer")
METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
PODS = 300
program = Program("informer")
PODS_PATH = f"/api/v1/namespaces/{SPACE}/pods"
JOBS_PATH = f"/apis/batch/v1/namespaces/{SPACE}/jobs"


class Informer(threading.Thread):
    """Lists, or begins with the watch itself; each watch lasts `seconds`, or breaks after up to `cut` events."""

    def __init__(self, server, path, lists=True, seconds=600, cut=None, form=JSON, **selectors):
        super().__init__(daemon=True)
        self.server, self.path, self.lists, self.seconds, self.cut = server, path, lists, seconds, cut
        self.form, self.selectors = form, selectors
        self.lock = threading.Lock()
        self.cache = {}
        self.log = []
        self.problems = []
        self.version = None
        self.begun = 0
        self.bookmarks = self.watches = 0
        self.stopped = threading.Event()
        self.synced = threading.Event()
        self.random = random.Random(len(path) + seconds)

    def run(self):
        try:
            if self.lists:
                self.list()
            while not self.stopped.is_set():
                self.watch()
        except Exception as error:
            self.problems.append(f"{type(error).__name__}: {error}")
            self.synced.set()

    def list(self):
        token, found = "", {}
        while True:
            query = {"limit": 500, **({"continue": token} if token else {"resourceVersion": "0"})}
            status, page = self.server.call(
                "GET", self.path, accept=self.form.format("List"), **query, **self.selectors)
            equal(status, 200)
            kind = {"kind": page["kind"].removesuffix("List"), "apiVersion": page["apiVersion"]}
            found |= {key(item): item for item in page["items"]}
            token = page["metadata"].get("continue", "")
            if not token:
                break
        with self.lock:
            self.cache = {name: kind | item for name, item in found.items()}
            self.version = page["metadata"]["resourceVersion"]
            self.begun = int(self.version)
        self.synced.set()

    def watch(self):
        query = {"allowWatchBookmarks": "true", "watch": "true", "timeoutSeconds": self.seconds, **self.selectors}
        if self.version is None:
            # A beginning that broke begins anew.
            self.cache = {}
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        else:
            query["resourceVersion"] = self.version
        left = self.random.randint(1, self.cut) if self.cut else None
        connection = self.server.connect()
        self.watches += 1
        try:
            answer = self.server.ask(connection, "GET", self.path, accept=self.form.format(""), **query)
            equal(answer.status, 200)
            for event in lines(answer):
                self.take(event)
                if left is not None:
                    left -= 1
                if left == 0 or self.stopped.is_set():
                    # As a client that dies: with the rest unread.
                    return
        finally:
            connection.close()

    def take(self, event):
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise RuntimeError(f"{item}")
        version = item["metadata"]["resourceVersion"]
        with self.lock:
            if kind == "BOOKMARK":
                self.bookmarks += 1
                if item["metadata"].get("annotations", {}).get("k8s.io/initial-events-end") == "true":
                    self.begun = int(version)
                    self.synced.set()
            else:
                self.change(kind, item, int(version))
            # Initial events come in the order of names: until their end no version says how far one is.
            if self.synced.is_set():
                self.version = version

    def change(self, kind, item, version):
        name = key(item)
        known = self.cache.get(name)
        if self.synced.is_set() and self.version is not None and version <= int(self.version):
            self.problems.append(f"{kind} {name}: version {version} after {self.version}")
        if (kind == "ADDED") != (known is None):
            self.problems.append(f"{kind} {name}, which is {'not ' if known is None else ''}there")
        if known and kind == "MODIFIED" and known["metadata"]["uid"] != item["metadata"]["uid"]:
            self.problems.append(f"{name} became another object")
        if known and version <= int(known["metadata"]["resourceVersion"]):
            self.problems.append(f"{kind} {name}: version {version}, known {known['metadata']['resourceVersion']}")
        if kind == "DELETED":
            self.cache.pop(name, None)
        else:
            self.cache[name] = item
        if self.synced.is_set():
            self.log.append((version, kind, name))

    def differs(self, path):
        """Where the cache is not what a fresh list gives; empty where it is."""
        listed = {key(item): item for item in fresh(path, self.form, **self.selectors)}
        with self.lock:
            names = [name for name in listed.keys() | self.cache.keys() if self.cache.get(name) != listed.get(name)]
            return sorted(names)

    def stop(self):
        self.stopped.set()


def key(item):
    return item["metadata"]["name"]


def fresh(path, form=JSON, **selectors):
    status, found = server.call("GET", path, accept=form.format("List"), **selectors)
    equal(status, 200)
    # Elements of a list say their kind where a server likes, those of a watch always.
    kind = {"kind": found["kind"].removesuffix("List"), "apiVersion": found["apiVersion"]}
    return [kind | item for item in found["items"]]


server = Server("informer.test")
server.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
informers = {
    "list and watch": Informer(server, PODS_PATH),
    "watches of a second": Informer(server, PODS_PATH, seconds=1),
    "watch-list": Informer(server, PODS_PATH, lists=False),
    "metadata only": Informer(server, PODS_PATH, form=METADATA, seconds=2),
    "broken connections": Informer(server, PODS_PATH, cut=300),
    "watch-list, broken connections": Informer(server, PODS_PATH, lists=False, cut=500, seconds=2),
}
chosen = {
    "running pods": Informer(server, PODS_PATH, seconds=2, fieldSelector="status.phase=Running"),
    "Jobs": Informer(server, JOBS_PATH, seconds=1, labelSelector="busy=yes"),
}


late = {
    "list, begun in the middle": Informer(server, PODS_PATH, seconds=2),
    "watch-list, begun in the middle": Informer(server, PODS_PATH, lists=False, cut=700),
}


def everyone():
    return informers | chosen | late


@program.check("informers are synced before the Job is made")
def _():
    for name, one in (informers | chosen).items():
        one.start()
        holds(one.synced.wait(10), name)


@program.check(f"a Job of {PODS} pods runs to its end")
def _():
    start = time.monotonic()
    # Slow enough that informers begin in the middle of it on a fast machine, too.
    body = job("busy", "sleep 0.5", labels={"busy": "yes"}, completions=PODS, parallelism=60)
    equal(server.call("POST", JOBS_PATH, body)[0], 201)

    def succeeded():
        return server.call("GET", f"{JOBS_PATH}/busy")[1]["status"].get("succeeded", 0)

    until(lambda: succeeded() > PODS / 3, "a third of the pods has succeeded")
    holds(succeeded() < PODS, "it has ended already")
    for one in late.values():
        one.start()

    def complete():
        status = server.call("GET", f"{JOBS_PATH}/busy")[1]["status"]
        return any(c["type"] == "Complete" for c in status.get("conditions", []))

    until(complete, "the Job is complete")
    return f"{time.monotonic() - start:.1f} s"


@program.check("each cache equals a fresh list")
def _():
    equal(len(fresh(PODS_PATH)), PODS)
    wrong = {}

    def differing():
        wrong.clear()
        wrong.update({name: found for name, one in everyone().items() if (found := one.differs(one.path))})
        return wrong

    try:
        until(lambda: not differing(), "caches equal")
    except AssertionError:
        raise AssertionError({name: found[:3] for name, found in wrong.items()}) from None


@program.check("the Job is deleted with its pods, and the caches become empty")
def _():
    equal(server.call("DELETE", f"{JOBS_PATH}/busy", {"propagationPolicy": "Background"})[0], 200)
    until(lambda: not fresh(PODS_PATH), "no pods")
    until(lambda: not any(one.cache for one in everyone().values()), "caches empty")


@program.check("no change was lost, none came twice, whatever broke in between")
def _():
    for one in everyone().values():
        one.stop()
    problems = {name: one.problems[:3] for name, one in everyone().items() if one.problems}
    equal(problems, {})
    whole = informers["list and watch"].log
    holds(len(whole) >= PODS * 4, f"{len(whole)} changes")
    for name, one in (informers | late).items():
        wanted = [change for change in whole if change[0] > one.begun]
        with one.lock:
            equal((name, len(one.log)), (name, len(wanted)))
            holds(one.log == wanted, f"{name}: another order")
    holds(all(one.begun > whole[0][0] for one in late.values()), "the late ones began later")
    watches = {name: one.watches for name, one in informers.items()}
    holds(watches["broken connections"] > 5 and watches["watches of a second"] > 1, watches)
    return f"{len(whole)} changes, {watches['broken connections']} connections"


server.call("DELETE", f"/api/v1/namespaces/{SPACE}")
program.end()
