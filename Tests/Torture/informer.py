# Owns: what a controller of Kubernetes would have in its cache: it lists, watches, goes on where a watch ended, lists
# anew where it may not; and what such a cache must never see.
# It must not know who makes the objects, nor what is done to the cluster.

import base64
import http.client
import json
import re
import ssl
import tempfile
import threading
import time
import urllib.parse

import relay

PATHS = {"jobs": "/apis/batch/v1/jobs", "pods": "/api/v1/pods"}
# A watch says something, if only a bookmark, more often than this.
SILENCE = 90


class API:
    """The Kubernetes API as the kubeconfig says, from the network of the thread that calls."""

    def __init__(self, kubeconfig):
        def field(name):
            return re.search(rf"{name}: *\"?([^\s\"]+)", kubeconfig)[1]

        address = urllib.parse.urlsplit(field("server"))
        self.host, self.port = address.hostname, address.port
        self.context = ssl.create_default_context(
            cadata=base64.b64decode(field("certificate-authority-data")).decode())
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.b64decode(field("client-certificate-data")) + b"\n")
            file.write(base64.b64decode(field("client-key-data")))
            file.flush()
            self.context.load_cert_chain(file.name)

    def open(self, path, timeout):
        """The answer to a GET, of status 200; its connection goes with it."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            connection.close()
            raise http.client.HTTPException(f"{answer.status} for {path}")
        answer.whole = connection
        return answer

    def list(self, kind):
        """All objects, a page after the other, and the version of the list."""
        items, token = [], ""
        while True:
            query = urllib.parse.urlencode({"limit": 500, "continue": token} if token else {"limit": 500})
            answer = self.open(f"{PATHS[kind]}?{query}", 20)
            try:
                page = json.loads(answer.read())
            finally:
                answer.whole.close()
            items += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return items, page["metadata"]["resourceVersion"]


class Informer:
    """The cache of one kind; `told` hears of each object that is new to it, with None once it is gone."""

    def __init__(self, cluster, kind, told):
        self.kind, self.told = kind, told
        self.objects = {}
        self.lists = self.watches = self.events = 0
        self.faults = []
        self._is_over = False
        self._cluster = cluster
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def snapshot(self):
        return dict(self.objects)

    def end(self):
        self._is_over = True

    def _run(self):
        relay.enter_network(self._cluster.pid("laptop"))
        api = API((self._cluster.shared / "kubeconfig").read_text())
        version = None
        while not self._is_over:
            try:
                if version is None:
                    items, version = api.list(self.kind)
                    self.lists += 1
                    self._replace(items)
                version = self._watch(api, version)
            except (OSError, http.client.HTTPException, ValueError) as error:
                if "410" in str(error):
                    version = None
                time.sleep(0.3)

    def _watch(self, api, version):
        """The version to go on from; None: only a list helps."""
        self.watches += 1
        query = urllib.parse.urlencode({"watch": 1, "resourceVersion": version, "allowWatchBookmarks": "true"})
        answer = api.open(f"{PATHS[self.kind]}?{query}", SILENCE)
        try:
            while not self._is_over:
                line = answer.readline()
                if not line.endswith(b"\n"):
                    return version
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return None if event["object"].get("code") == 410 else version
                version = event["object"]["metadata"]["resourceVersion"]
                self.events += 1
                if event["type"] != "BOOKMARK":
                    self._take(event["type"], event["object"])
        except OSError:
            pass
        finally:
            answer.whole.close()
        return version

    def _replace(self, items):
        fresh = {item["metadata"]["uid"] for item in items}
        for uid in [uid for uid in self.objects if uid not in fresh]:
            self._drop(uid)
        for item in items:
            self._take("LISTED", item)

    def _drop(self, uid):
        old = self.objects.pop(uid, None)
        if old is not None:
            self.told(old, None)

    def _take(self, word, item):
        uid = item["metadata"]["uid"]
        old = self.objects.get(uid)
        if word == "DELETED":
            self.objects[uid] = item
            self._drop(uid)
            return
        if word == "ADDED" and old is not None:
            self.faults.append(f"{self.kind}: {item['metadata']['name']} was added to a cache that had it")
        if old is not None and int(item["metadata"]["resourceVersion"]) < int(old["metadata"]["resourceVersion"]):
            self.faults.append(f"{self.kind}: {item['metadata']['name']} became older")
        self.objects[uid] = item
        self.told(old, item)


def condition(item, kind):
    """The condition of that type if it is True."""
    conditions = item.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"), None)


def is_finished(job):
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def same(first, second):
    """What differs between two lists of objects, in words."""
    left = {item["metadata"]["uid"]: item for item in first}
    right = {item["metadata"]["uid"]: item for item in second}
    said = [f"only one has {(left.get(uid) or right.get(uid))['metadata']['name']}"
            for uid in sorted(left.keys() ^ right.keys())]
    for uid in left.keys() & right.keys():
        if left[uid]["metadata"]["resourceVersion"] != right[uid]["metadata"]["resourceVersion"]:
            said.append(f"{left[uid]['metadata']['name']} has two versions")
        elif left[uid].get("status") != right[uid].get("status"):
            said.append(f"{left[uid]['metadata']['name']} has two statuses")
    return said
