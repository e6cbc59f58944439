"""Owns: an API server in miniature for amounts that a test cannot wait for: 10,000 Jobs, a Job of 100,000 indexes whose
pods change 700 times a second, a log of 100 MB. It speaks what the page asks for, and nothing else."""

import http.server
import json
import threading
import time
import urllib.parse

import cluster as clusters

JOBS = 10_000
INDEXES = 100_000
LOG_LINE = b"2026-01-01 12:00:00 INFO  worker %07d finished a piece of work and goes on with the next one, as ever\n"
LOG_LINES = 1_050_000


def job(number):
    done = number % 10 != 3
    meta = {"name": f"job-{number:05}", "namespace": f"team-{number % 7}", "uid": f"j{number}", "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": f"app-{number % 50}"}}
    kind = "Complete" if done else "Failed"
    return {"metadata": meta,
            "spec": {"completions": 10, "parallelism": 5, "template": {"spec": {"containers": [{"name": "main", "image": "x"}] * 3}}},
            "status": {"startTime": "2026-01-01T00:00:00Z", "succeeded": 10 if done else 3, "failed": 0 if done else 7,
                       "conditions": [{"type": kind, "status": "True", "reason": kind, "lastTransitionTime": "2026-01-01T00:01:00Z"}]}}


def large():
    return {"metadata": {"name": "large", "namespace": "default", "uid": "large", "resourceVersion": "1", "labels": {},
                         "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"completions": INDEXES, "parallelism": 500, "completionMode": "Indexed", "template": {"spec": {"containers": []}}},
            "status": {"startTime": "2026-01-01T00:00:00Z", "active": 500, "ready": 500, "succeeded": 40000, "failed": 400,
                       "completedIndexes": "0-39999", "failedIndexes": ",".join(str(one) for one in range(40000, 60000, 50))}}


def pod(index, phase, version):
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}} if phase == "Running" else {
        "terminated": {"exitCode": 0 if phase == "Succeeded" else 1, "finishedAt": "2026-01-01T00:00:09Z"}}
    padding = [{"name": f"VARIABLE_{number}", "value": "v" * 40} for number in range(30)]
    return {"metadata": {"name": f"large-{index}-abcde", "namespace": "default", "uid": f"p{index}", "resourceVersion": str(version),
                         "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"job-name": "large"},
                         "annotations": {"batch.kubernetes.io/job-completion-index": str(index)}, "ownerReferences": [{}]},
            "spec": {"nodeName": f"node-{index % 40}", "containers": [{"name": "main", "image": "x", "env": padding}]},
            "status": {"phase": phase, "startTime": "2026-01-01T00:00:00Z",
                       "containerStatuses": [{"name": "main", "restartCount": 0, "state": state}]}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def whole(self, body, kind="application/json", code=200):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.whole({"status": {"allowed": True}}, code=201)

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        try:
            self.answer(parts.path, query)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, path, query):
        if path.startswith("/ui/"):
            name = path[4:] or "index.html"
            kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
            return self.whole((clusters.FILES / name).read_bytes(), kinds[name.split(".")[-1]])
        if path == "/version":
            return self.whole({"major": "1"})
        if path == "/apis":
            return self.whole({"groups": []})
        if path.endswith("/log"):
            return self.log(query)
        if query.get("watch"):
            return self.watch(path)
        if path == "/apis/batch/v1/jobs":
            return self.page([job(number) for number in range(JOBS)], query)
        if path == "/apis/batch/v1/namespaces/default/jobs":
            return self.page([large()], query)
        if path == "/api/v1/namespaces/default/pods":
            return self.page([pod(40000 + number, "Running", 1) for number in range(2000)], query)
        if "/pods/" in path:
            return self.whole(pod(1, "Running", 1))
        self.whole({"items": [], "metadata": {"resourceVersion": "1"}})

    def page(self, items, query):
        start, size = int(query.get("continue") or 0), int(query.get("limit") or len(items))
        rest = str(start + size) if start + size < len(items) else ""
        self.whole({"metadata": {"resourceVersion": "1", "continue": rest}, "items": items[start:start + size]})

    def watch(self, path):
        self.begin("application/json")
        index, version = 42000, 2
        while "pods" in path and not self.server.isEnding:
            events = b""
            for _ in range(35):
                phase = ("Running", "Succeeded", "Failed")[version % 3]
                events += json.dumps({"type": "MODIFIED", "object": pod(index, phase, version)}).encode() + b"\n"
                index = 40000 + (index - 39999) % 58000
                version += 1
            self.server.sent += 35
            self.chunk(events)
            time.sleep(0.05)
        while not self.server.isEnding:
            time.sleep(0.1)

    def log(self, query):
        self.begin("text/plain")
        count = int(query.get("tailLines") or LOG_LINES)
        for start in range(LOG_LINES - count, LOG_LINES, 2000):
            self.chunk(b"".join(LOG_LINE % line for line in range(start, min(start + 2000, LOG_LINES))))
        self.chunk(b"")


class Crowd:
    """The server, on a port of its own; ends with the block that made it."""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.isEnding = False
        self.server.sent = 0
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/ui/"
        return self

    def __exit__(self, *_):
        self.server.isEnding = True
        self.server.shutdown()
        self.server.server_close()
