# Runs in each pod of an Indexed Job, with nothing but the standard library: a rank of a computation in rounds, each an
# all-reduce sum. Peers are names as a headless Service would give them (HOSTNAME.SUBDOMAIN); this asks the API for
# their pods' addresses by the pod's own token. It must not know what its results are compared with.
#
# Pods may share one address: each rank listens on a free port and says which in an annotation of its pod. A rank keeps
# its values of all rounds, so that one that was made again begins at round 0 and catches up with what its peers
# remember.

import json
import os
import signal
import socket
import socketserver
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
PORT = "example.com/port"
PRIME = 2**61 - 1
RANK = int(os.environ["JOB_COMPLETION_INDEX"])
SIZE = int(os.environ["SIZE"])
JOB = os.environ["JOB"]
# Rounds that follow when the launcher has found that a rank was made again.
AFTER = 10


def read(name):
    with open(f"{ACCOUNT}/{name}", encoding="utf-8") as file:
        return file.read()


TRUST = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
PODS = f"/api/v1/namespaces/{read('namespace')}/pods"


def ask(path, patch=None):
    """A request to the API as the pod's account. What the account may not do ends the rank."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{f'[{host}]' if ':' in host else host}:{port}{path}", method="PATCH" if patch else "GET",
        data=json.dumps(patch).encode() if patch else None,
        headers={"Authorization": f"Bearer {read('token')}", "Content-Type": "application/merge-patch+json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30, context=TRUST) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 500, 503, 504):
                raise SystemExit(f"{request.method} {path}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            print(f"{request.method} {path}: {error}", flush=True)
        time.sleep(0.5)


def pods(name):
    """The pods, those of before too, to which HOSTNAME.SUBDOMAIN belongs."""
    hostname, subdomain = name.split(".")
    selector = urllib.parse.quote(f"batch.kubernetes.io/job-name={JOB}")
    items = ask(f"{PODS}?labelSelector={selector}")["items"]
    return [pod for pod in items
            if (pod["spec"].get("hostname"), pod["spec"].get("subdomain")) == (hostname, subdomain)]


def resolve(name):
    """Address, port and uid of the pod that runs under a name; None while there is none."""
    for pod in pods(name):
        meta, status = pod["metadata"], pod["status"]
        port = meta.get("annotations", {}).get(PORT)
        if status.get("phase") == "Running" and "deletionTimestamp" not in meta and port and status.get("podIP"):
            return status["podIP"], int(port), meta["uid"]
    return None


class Memory:
    """What this rank computed: its value at the beginning of each round, and after which round all end."""

    def __init__(self):
        self.values = [RANK + 1]
        self.last = None
        self.changed = threading.Condition()

    def add(self, total):
        with self.changed:
            self.values.append((31 * self.values[-1] + total + RANK) % PRIME)
            self.changed.notify_all()

    def at(self, turn):
        with self.changed:
            self.changed.wait_for(lambda: len(self.values) > turn)
            return {"value": self.values[turn], "last": self.last}


memory = Memory()


class Answers(socketserver.StreamRequestHandler):
    """Says who it is, for ports are used again, and then its value of each round that it is asked for."""

    def handle(self):
        try:
            self.say({"uid": os.environ["POD_UID"]})
            for line in self.rfile:
                self.say(memory.at(int(line)))
        except OSError:
            pass

    def say(self, answer):
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


class Peer:
    """Another rank by its name, whichever pod that is now."""

    def __init__(self, rank):
        self.name = f"{JOB}-{rank}.{os.environ['SUBDOMAIN']}"
        self.lines = None
        self.uids = set()

    def connect(self):
        found = resolve(self.name)
        if not found:
            raise OSError(f"{self.name} has no pod that runs")
        address, port, uid = found
        self.lines = socket.create_connection((address, port), timeout=30).makefile("rw", encoding="utf-8")
        if json.loads(self.lines.readline() or "{}").get("uid") != uid:
            raise OSError(f"{address}:{port} is not {self.name}")
        self.uids.add(uid)

    def at(self, turn):
        """Its answer for a round; waits for its next pod when this one is gone."""
        while True:
            try:
                if not self.lines:
                    self.connect()
                self.lines.write(f"{turn}\n")
                self.lines.flush()
                return json.loads(self.lines.readline())
            # Of a pod that ended: no line, or half of one. One that is silent for long: asked again.
            except (OSError, ValueError):
                self.lines = None
                time.sleep(0.2)


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    address = os.environ["POD_IP"]
    Server.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = Server((address, 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask(f"{PODS}/{os.environ['POD_NAME']}", {"metadata": {"annotations": {PORT: str(server.server_address[1])}}})
    peers = [Peer(rank) for rank in range(SIZE) if rank != RANK]
    turn, total = 0, None
    while memory.last is None or turn < memory.last:
        answers = [peer.at(turn) for peer in peers]
        if RANK == 0 and memory.last is None and any(len(peer.uids) > 1 for peer in peers):
            # Nobody is further than one round ahead of any other: all learn it from the launcher before they are there.
            memory.last = turn + AFTER
        if RANK != 0:
            memory.last = answers[0]["last"]
        total = memory.at(turn)["value"] + sum(answer["value"] for answer in answers)
        memory.add(total)
        turn += 1
        if turn % 10 == 0:
            print(f"round {turn}", flush=True)
        time.sleep(0.01)
    print("result", json.dumps({"rounds": turn, "sum": total}), flush=True)
    if RANK == 0:
        # Whoever has its value of the round after needs nobody's any more.
        for peer in peers:
            peer.at(turn)
        print("again", json.dumps([peer.name for peer in peers if len(peer.uids) > 1]), flush=True)
    else:
        while not any(pod["status"].get("phase") == "Succeeded" for pod in pods(peers[0].name)):
            time.sleep(0.2)


main()
