#!/usr/bin/env python3
# Owns: the run of client libraries: environments with pinned versions below .build, a fresh cluster, the programs side
# by side, and what they say at the end. It must not know what programs check.

import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import cluster as clusters  # noqa: E402

OFFICIAL = ["official_watch", "official_objects", "official_jobs", "official_cronjobs", "leader_election",
            "mpi_job"]
# Longest first; what stops the coordinator runs after all others, alone.
NEWEST = OFFICIAL[:1] + ["informer"] + OFFICIAL[1:] + ["typed_client", "asyncio_program", "manifests",
                                                       "in_cluster", "kr8s_program", "lightkube_program"]
ALONE = ["across_restarts"]
ENVIRONMENTS = {"": ("requirements.txt", NEWEST), "-older": ("requirements-older.txt", OFFICIAL)}
PROGRAM_LIMIT = 300
SIDE_BY_SIDE = 4
# Of a machine so busy that a heartbeat is late nothing is to be seen here: the cluster tests are about that.
PATIENT = ["--heartbeat-interval", "3s", "--lease-duration", "20s"]

running = set()


def stop(*_):
    """Asked to end: programs do, and then the cluster as in any other case."""
    for process in list(running):
        process.kill()
    sys.exit(1)


def skip(what):
    print(f"skipped: {what}", flush=True)


def environment(requirements):
    """The interpreter of an environment with these packages; None, and why, where there can be none."""
    text = (HERE / requirements).read_bytes()
    mark = hashlib.sha256(text + sys.version.encode()).hexdigest()[:12]
    home = clusters.ROOT / ".build" / "conformance" / f"clients-{mark}"
    python = home / "bin" / "python"
    if (home / "ready").exists():
        return python, ""
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1",
               "--requirement", HERE / requirements]
    for command in [[sys.executable, "-m", "venv", "--clear", home], install]:
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=900)
        except (subprocess.SubprocessError, OSError) as error:
            said = (getattr(error, "stderr", b"") or b"") + (getattr(error, "output", b"") or b"")
            return None, said.decode(errors="replace").strip().split("\n")[-1] or str(error)
    (home / "ready").touch()
    return python, ""


def run(python, name, suffix, cluster):
    """Runs one program; its lines, how it ended and how long it took."""
    home = cluster.directory / f"{name}{suffix}"
    home.mkdir()
    setting = cluster.environment() | {
        "HOME": str(home), "TMPDIR": str(home), "KUBECONFIG": str(cluster.kubeconfig), "SUFFIX": suffix,
        "UP_PROCESS": str(cluster.process.pid), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(HERE)}
    began = time.monotonic()
    with open(home / "stderr", "wb") as errors:
        process = subprocess.Popen(
            [python, HERE / f"{name}.py"], env=setting, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors)
        running.add(process)
        try:
            out, _ = process.communicate(timeout=PROGRAM_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            out += f"FAIL {name}: not done after {PROGRAM_LIMIT} s\n".encode()
    running.discard(process)
    text = out.decode(errors="replace")
    if process.returncode != 0 and "FAIL" not in text:
        text += f"FAIL {name}: exit status {process.returncode}: {(home / 'stderr').read_text(errors='replace')}\n"
    lines = [line.replace(": ", f"{suffix}: ", 1) for line in text.splitlines()]
    print("\n".join(lines), flush=True)
    return lines, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description="Runs client libraries against a fresh cluster.")
    parser.add_argument("programs", nargs="*", help=f"only these: {', '.join(NEWEST + ALONE)}")
    chosen = parser.parse_args().programs or NEWEST + ALONE
    signal.signal(signal.SIGTERM, stop)
    work = []
    for suffix, (requirements, programs) in ENVIRONMENTS.items():
        wanted = [name for name in programs + (ALONE if suffix == "" else []) if name in chosen]
        if not wanted:
            continue
        python, why = environment(requirements)
        if python is None:
            skip(f"client libraries of {requirements} ({why})")
        else:
            work += [(python, name, suffix) for name in wanted]
    if not work:
        return 0
    began = time.monotonic()
    with clusters.Cluster(agents=2, settings=PATIENT) as cluster:
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            together = [one for one in work if one[1] not in ALONE]
            results = list(pool.map(lambda one: run(*one, cluster), together))
        alone = [one for one in work if one[1] in ALONE]
        results += [run(*one, cluster) for one in alone]
        died = cluster.process.poll() is not None
        log = cluster.log.read_text(errors="replace") if died else ""
    for (_, name, suffix), (_, seconds) in zip(together + alone, results):
        print(f"{name + suffix:<26} {seconds:5.1f} s")
    lines = [line for lines, _ in results for line in lines]
    counts = {word: sum(line.startswith(word + " ") for line in lines) for word in ["ok", "skip", "FAIL"]}
    print(f"client libraries: {counts['ok']} checks, {counts['FAIL']} failed, {counts['skip']} skipped, "
          f"{time.monotonic() - began:.1f} s", flush=True)
    if died:
        print(f"FAIL the cluster ended by itself:\n{log}")
    return 1 if died or counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
