#!/usr/bin/env python3
# Owns: the conformance run: types each transcript's commands into each stock kubectl against a fresh cluster and
# compares what it prints with what it prints against Kubernetes. README.md says how transcripts are written.
# It must not know what Stint answers: that stands in the transcripts.

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import cluster as clusters
import matching
import transcript as transcripts

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30
STEP_LIMIT = 90
# So many transcripts that fail are typed once more, against a fresh cluster with nothing beside them.
AGAIN = 2

# What newer clients say of a watch that their own timeout has ended, or not, as it happens.
WATCH_ENDED = re.compile(r'^E\d{4} [^\n]* reflector\.go:\d+\] "Failed to watch" err="context deadline exceeded"[^\n]*\n', re.M)


class Session:
    """One transcript typed into one client: its directory, its namespace, what its placeholders stand for."""

    def __init__(self, transcript, client, cluster):
        self.transcript = transcript
        self.client = client
        self.directory = cluster.directory / "sessions" / transcript.name
        (self.directory / "bin").mkdir(parents=True)
        (self.directory / "bin" / "kubectl").symlink_to(client.path)
        config = self.directory / "kubeconfig"
        config.write_text(cluster.kubeconfig.read_text())
        config.chmod(0o600)
        self.environment = cluster.environment()
        self.environment["PATH"] = f"{self.directory / 'bin'}:{self.environment['PATH']}"
        self.environment["KUBECONFIG"] = str(config)
        self.bound = {}
        self.ran = 0
        self.failures = []

    def shell(self, command, limit=STEP_LIMIT):
        """Exit status, stdout and stderr of a shell command; what it leaves running is ended with it."""
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            out, err = process.communicate()
            err += f"(ended after {limit} s)".encode()
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def prepare(self):
        name = self.transcript.name
        namespace = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        status, out, err = self.shell(
            f"kubectl create -f - <<< '{namespace}' && kubectl config set-context --current --namespace={name}")
        if status != 0:
            raise SystemExit(f"conformance: no namespace for {name}: {out}{err}")

    def run(self):
        """Types every step; stops at nothing, since a later step's failure may tell as much as the first."""
        self.prepare()
        for step in self.transcript.steps:
            for path, text in step.files:
                target = self.directory / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(matching.fill(text, self.bound))
            if transcripts.fits(step.guard, self.client.minor):
                self.ran += 1
                self.step(step)
        # What runs alone afterwards meets no pods of ours.
        self.shell(
            "kubectl delete jobs,pods --all --force --grace-period=0 --wait=false; "
            f"kubectl delete namespace {self.transcript.name} --wait=false")
        return self

    def step(self, step):
        command = matching.fill(step.command, self.bound)
        status = step.status(self.client.minor)
        stdout, stderr = self.expected(step.stdout), self.expected(step.stderr)
        deadline = time.monotonic() + PATIENCE
        while True:
            got, out, err = self.shell(command)
            outs, errs = out.rstrip("\n").split("\n"), WATCH_ENDED.sub("", err).rstrip("\n").split("\n")
            bound = matching.compare(stdout, outs, self.bound)
            if bound is not None:
                bound = matching.compare(stderr, errs, bound)
            if bound is not None and got == status:
                self.bound = bound
                return
            if not step.again or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        report = [f"{step.place}: $ {command}"]
        if got != status:
            report.append(f"    exit status {got}, not {status}")
        report += ["    " + text for text in matching.difference(stdout, outs, self.bound)]
        report += ["    stderr " + text for text in matching.difference(stderr, errs, self.bound)]
        self.failures.append("\n".join(report))

    def expected(self, lines):
        return [line.text for line in lines if transcripts.fits(line.guard, self.client.minor)] or [""]


def run_client(client, chosen):
    """Types all transcripts into one client against a cluster of its own; the sessions, and how long it took."""
    began = time.monotonic()
    with clusters.Cluster(agents=2) as cluster:
        together = [transcript for transcript in chosen if not transcript.alone]
        with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
            sessions = list(pool.map(lambda one: Session(one, client, cluster).run(), together))
        sessions += [Session(one, client, cluster).run() for one in chosen if one.alone]
        died = cluster.process.poll() is not None
        log = cluster.log.read_text(errors="replace") if died else ""
    if died:
        raise SystemExit(f"conformance: the cluster ended by itself:\n{log}")
    return sessions, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description="Types commands into stock kubectl against a fresh cluster.")
    parser.add_argument("--ends", action="store_true", help="only the oldest and the newest client")
    parser.add_argument("--client", metavar="1.NN", help="only the clients of this minor version")
    parser.add_argument("transcripts", nargs="*", help="only these, by name (default: all)")
    arguments = parser.parse_args()
    paths = sorted((HERE / "transcripts").glob("*.txt"))
    known = [path.stem for path in paths]
    for name in arguments.transcripts:
        if name not in known:
            parser.error(f"no transcript {name}; there are {', '.join(known)}")
    chosen = [transcripts.read(path) for path in paths if path.stem in (arguments.transcripts or known)]
    clients = clusters.find_clients(lambda what: print(f"skipped: {what}", flush=True))
    if arguments.client:
        clients = [client for client in clients if client.text.startswith(arguments.client + ".")]
    if arguments.ends and len(clients) > 2:
        for client in clients[1:-1]:
            print(f"skipped: kubectl {client.text} (`make conformance` runs it)")
        clients = [clients[0], clients[-1]]
    if not clients:
        print("skipped: conformance (no kubectl)")
        return 0
    # A cluster is taken down with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = False
    for client in clients:
        sessions, seconds = run_client(client, chosen)
        steps = sum(session.ran for session in sessions)
        failures = [text for session in sessions for text in session.failures]
        for text in failures:
            print(text)
        bad = [session.transcript for session in sessions if session.failures]
        if 0 < len(bad) <= AGAIN and len(chosen) > len(bad):
            names = ", ".join(transcript.name for transcript in bad)
            print(f"kubectl {client.text}: {names} once more, alone", flush=True)
            alone = [session for transcript in bad for session in run_client(client, [transcript])[0]]
            failures = [text for session in alone for text in session.failures]
            for text in failures:
                print(text)
            if not failures:
                print(f"kubectl {client.text}: passed alone, a finding: {names}")
        good = steps - len(failures)
        print(f"kubectl {client.text}: {steps} steps, {good} as Kubernetes, {seconds:.1f} s", flush=True)
        failed = failed or bool(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
