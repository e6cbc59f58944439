# Owns: clusters on machines that are namespaces (compose/machines.sh): their network, power, disks and clocks, the
# coordinator, agents and keepers on them, and that nothing of it is left, however the process that holds it ends.
# It must not know what is done to them, nor what pods do.

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import guardian

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "compose" / "machines.sh"
CLOCK = pathlib.Path(__file__).resolve().parent / "wallclock.c"
COORDINATOR_DATA = "/var/lib/stint"
AGENT_DATA = "/var/lib/stint-agent"
GUARDIAN = pathlib.Path(__file__).resolve().parent / "guardian.py"
TOOLS = ("ip", "tc", "nsenter", "unshare", "mount", "umount", "bash")
LOCKS = {"coordinator": f"{COORDINATOR_DATA}/lock", "agent": f"{AGENT_DATA}/agent.lock",
         "keeper": f"{AGENT_DATA}/keeper.lock"}


class Failure(Exception):
    """Something that had to be so was not."""


boottime = guardian.boottime


def eventually(what, condition, seconds=60, every=0.1, seen=lambda: ""):
    """What `condition` returns, once it is true."""
    end = boottime() + seconds
    while True:
        value = condition()
        if value:
            return value
        if boottime() > end:
            raise Failure(f"not within {seconds} s: {what} {seen()}".rstrip())
        time.sleep(every)


def obstacle():
    """Why there can be no machines here; None: there can."""
    if os.geteuid() != 0:
        return "machines need root"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"machines need {', '.join(missing)}" if missing else None


def disk_obstacle():
    """Why there can be no disks that hang; None: there can."""
    missing = [tool for tool in ("mkfs.ext4", "losetup") if not shutil.which(tool)]
    if missing:
        return f"disks need {', '.join(missing)}"
    return None if os.access("/dev/loop-control", os.R_OK | os.W_OK) else "disks need loop devices"


def clock_obstacle():
    """Why machines can have no wall clocks of their own; None: they can."""
    return None if shutil.which("cc") or shutil.which("clang") else "wall clocks need cc or clang"


def binary():
    """The stint to run."""
    path = pathlib.Path(os.environ.get("STINT") or ROOT / ".build" / "release" / "stint")
    if not path.exists():
        raise SystemExit(f"{path} is not there: run `make release`, or say STINT=…")
    return path.resolve()


class Process:
    """A process of a machine, seen from outside; its pid and start together are never another one's."""

    def __init__(self, pid):
        self.pid = pid
        self.started = self._facts()[1]

    def _facts(self):
        """State and start; ("X", None) of one that is gone."""
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return fields[0], fields[19]
        return "X", None

    def is_alive(self):
        state, started = self._facts()
        return started is not None and started == self.started and state not in "ZX"

    def signal(self, number):
        """False: it is not there any more."""
        if not self.is_alive():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    def kill(self):
        return self.signal(signal.SIGKILL)

    def stop(self):
        return self.signal(signal.SIGSTOP)

    def resume(self):
        return self.signal(signal.SIGCONT)

    def waits_in_kernel(self):
        """Whether a thread of it is in uninterruptible sleep, as one that waits for a disk is."""
        with contextlib.suppress(OSError):
            for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
                if (thread / "stat").read_text().rpartition(")")[2].split()[0] == "D":
                    return True
        return False

    def wait(self, seconds=20):
        eventually(f"process {self.pid} ends", lambda: not self.is_alive(), seconds, every=0.02)


class Machines:
    """A switch and machines on it, each with an address 10.0.0.N by its place in `names`. All hangs on a pipe of this
    process: whoever ends it ends them, and a guardian that outlives it takes away what they leave."""

    def __init__(self, names, parent="/tmp", has_clocks=False):
        self.names = list(names)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="stint-torture.", dir=parent))
        self.logs = self.directory / "logs"
        self.shared = self.directory / "shared"
        self.has_clocks = has_clocks
        self.disks = {}
        self._lock = threading.Lock()
        self._runs = 0
        self._holders = {}
        self._spaces = {}
        read, self._lifeline = os.pipe()
        self._line = read
        self.logs.mkdir()
        self._guardian = subprocess.Popen(
            [sys.executable, GUARDIAN, "guard", self.directory], stdin=read, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self._hold("switch", "switch", self.directory)
            if has_clocks:
                self._make_clock()
            for name in self.names:
                self.boot(name)
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Everything ends; raises if anything is left."""
        if self._lifeline is None:
            return
        for disk in list(self.disks.values()):
            disk.thaw()
        os.close(self._lifeline)
        os.close(self._line)
        self._lifeline = None
        try:
            said, _ = self._guardian.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.directory} does not go away") from None
        for holder in self._holders.values():
            holder.wait(20)
        if self._guardian.returncode != 0:
            raise Failure(f"{self.directory} left something: {said.decode(errors='replace')}")

    # Machines.

    def boot(self, name):
        """Starts a machine that is off: its disk is as it was, its boot id is new."""
        self._hold(name, "machine", self.directory, name, str(self.number(name)))
        self._spaces[name] = os.readlink(f"/proc/{self.pid(name)}/ns/pid")
        self._tell_spaces()
        if name in self.disks:
            self.disks[name].mount()
        if self.has_clocks:
            self._give_clock(name)

    def power_off(self, name):
        """Every process of it is gone at once, without a word to anybody."""
        self._script("off", name)
        self._holders.pop(name).wait(60)
        # Its namespace has ended with its last process; the next one of that number may be anybody's.
        del self._spaces[name]
        self._tell_spaces()

    def _tell_spaces(self):
        """Whose processes and control groups the guardian is to look after."""
        with self._lock:
            new = self.directory / "namespaces.new"
            new.write_text("".join(space + "\n" for space in self._spaces.copy().values()))
            new.rename(self.directory / "namespaces")

    def is_on(self, name):
        return name in self._holders and self._holders[name].poll() is None

    def reboot(self, name):
        self.power_off(name)
        self.boot(name)

    def number(self, name):
        return self.names.index(name) + 1

    def address(self, name):
        return f"10.0.0.{self.number(name)}"

    def pid(self, name):
        """Its first process."""
        return int((self.directory / "pids" / name).read_text())

    def path(self, name, path):
        """What a machine that is on sees at `path`."""
        return pathlib.Path(f"/proc/{self.pid(name)}/root{path}")

    # Links.

    def cut(self, name):
        """Nothing comes or goes, and nobody is told."""
        self._script("cut", name)

    def join(self, name):
        self._script("join", name)

    def mute(self, name, other):
        """What `name` sends to `other` is lost; what it hears from it is not."""
        self._script("mute", name, other)

    def unmute(self, name, other):
        self._script("unmute", name, other)

    # Clocks. The kernel has one wall clock for all: a library that each program of a machine loads (ld.so.preload)
    # adds that machine's own difference to what its programs are told.

    def set_clock(self, name, seconds):
        """Its wall clock jumps to the true time and so many seconds."""
        file = self.shared / "clocks" / name
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(descriptor, int(seconds).to_bytes(8, "little", signed=True), 0)
        os.close(descriptor)

    def _give_clock(self, name):
        """Once: its disk keeps it."""
        (self.shared / "clocks").mkdir(exist_ok=True)
        if not (self.shared / "clocks" / name).exists():
            self.set_clock(name, 0)
            self.must(name, "sh", "-c", "cp /mnt/shared/wallclock.so /usr/local/lib/ && "
                      "echo /usr/local/lib/wallclock.so >/etc/ld.so.preload")

    def _make_clock(self):
        if clock_obstacle():
            raise Failure(clock_obstacle())
        self.shared.mkdir(exist_ok=True)
        flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
        made = subprocess.run([shutil.which("cc") or shutil.which("clang"), *flags, "-o",
                               self.shared / "wallclock.so", CLOCK], capture_output=True, text=True, timeout=60)
        if made.returncode != 0:
            raise Failure(f"wallclock.c: {made.stderr}")

    # Programs.

    def start(self, name, *words, log):
        """Starts a program on a machine, as a child of its first process; it writes to the log of that name."""
        script = '"$@" & exit 0'
        self.must(name, "bash", "-c", script, "bash", "setsid", *words, output=self.logs / log)

    def run(self, name, *words, seconds=60, output=None):
        """Exit status and output of a program of a machine; of one that fails its errors too."""
        command = [SCRIPT, "on", self.directory, name, "timeout", "--kill-after=1", str(seconds), *map(str, words)]
        if output is not None:
            with open(output, "ab") as file:
                return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                      timeout=seconds + 10).returncode, ""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds + 10)
        # What is said beside the output matters only where it fails.
        said = done.stdout if done.returncode == 0 else done.stdout + done.stderr
        return done.returncode, said.decode(errors="replace")

    def must(self, name, *words, seconds=60, output=None):
        """What it printed; it must succeed."""
        status, text = self.run(name, *words, seconds=seconds, output=output)
        if status != 0:
            raise Failure(f"{name}: {' '.join(map(str, words))}: {status}: {text}")
        return text

    def process(self, name, lock):
        """The process that has written its pid into the lock file `lock`; None: there is none."""
        try:
            own = self.path(name, lock).read_text().split()[0]
            space = os.readlink(f"/proc/{self.pid(name)}/ns/pid")
        except (OSError, IndexError):
            return None
        for pid in guardian.processes_in({space}):
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                if any(line.startswith("NSpid:") and line.split()[-1] == own for line in status.splitlines()):
                    process = Process(pid)
                    return process if process.is_alive() else None
        return None

    def story(self, lines=12):
        """The end of every log, for a failure's message."""
        texts = []
        for log in sorted(self.logs.iterdir()):
            end = log.read_text(errors="replace").splitlines()[-lines:]
            texts.append("\n".join([f"-- {log.name}", *end]))
        return "\n".join(texts)

    def _hold(self, name, *words):
        with open(self.logs / name, "ab") as log:
            holder = subprocess.Popen(
                ["bash", SCRIPT, *words], stdin=self._line, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "STINT": str(binary())})
        self._holders[name] = holder

        def is_there():
            if holder.poll() is not None:
                raise Failure(f"{name} ended: {(self.logs / name).read_text(errors='replace')}")
            return (self.directory / "pids" / name).exists()

        eventually(f"{name} is there", is_there, 30, every=0.01)

    def _script(self, what, name, *more):
        done = subprocess.run([SCRIPT, what, self.directory, name, *more], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failure(f"{what} {name}: {done.stderr}")


class Disk:
    """A file system of a machine's own, an ext4 in a file, which can hang: then whoever writes to it stands in the
    kernel and takes no signal. It outlives its machine's loss of power."""

    def __init__(self, machines, name, path, mebibytes=128):
        self.machines, self.name, self.at = machines, name, path
        self._freezer = None
        self.image = machines.shared / f"disk-{name}"
        with open(self.image, "wb") as file:
            file.truncate(mebibytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", self.image], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.mount()
        machines.disks[name] = self

    def mount(self):
        self.machines.must(self.name, "mkdir", "-p", self.at)
        self.machines.must(self.name, "mount", "-o", "loop", f"/mnt/shared/{self.image.name}", self.at)

    def freeze(self):
        """Held by a process that thaws it when this one ends."""
        self._freezer = subprocess.Popen(
            [sys.executable, GUARDIAN, "freeze", self.machines.path(self.name, self.at)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True)
        if self._freezer.stdout.readline() != b"frozen\n":
            raise Failure(f"{self.at} of {self.name} cannot be frozen")

    def thaw(self):
        if self._freezer:
            self._freezer.communicate(timeout=30)
            self._freezer = None


class Cluster(Machines):
    """A coordinator on `head`, an agent on each of `nodes`, joined by a token over TLS, a client on `laptop`."""

    def __init__(self, nodes=("node-1", "node-2"), settings=(), agent_settings=(), spare=(), **more):
        self.nodes = list(nodes)
        self.settings = list(settings)
        self.agent_settings = list(agent_settings)
        super().__init__(["head", *self.nodes, *spare, "laptop"], **more)

    def start(self, name, *words, log=None):
        super().start(name, *words, log=log or f"{words[1]}-{name}")

    def begin(self):
        """The coordinator serves and every node is Ready."""
        self.start_coordinator()
        self.must("head", "stint", "token", "create", "--kubeconfig", f"{COORDINATOR_DATA}/admin.kubeconfig",
                  "--to", "/mnt/shared/join")
        config = self.must("head", "stint", "kubeconfig", "--data", COORDINATOR_DATA)
        (self.shared / "kubeconfig").write_text(config)
        for node in self.nodes:
            self.start_agent(node)
        for node in self.nodes:
            self.wait_for_ready(node)

    def start_coordinator(self):
        """Waits until it serves."""
        marks = len(self._coordinator_lines())
        self.start("head", "stint", "coordinator", "--data", COORDINATOR_DATA, "--listen", "0.0.0.0", *self.settings)

        def serves():
            return any('msg="coordinator serves"' in line for line in self._coordinator_lines()[marks:])

        eventually("the coordinator serves", serves, seen=self.story)

    def _coordinator_lines(self):
        with contextlib.suppress(OSError):
            return (self.logs / "coordinator-head").read_text(errors="replace").splitlines()
        return []

    def start_agent(self, node, *more, log=None):
        self.start(node, "stint", "agent", "--join-file", "/mnt/shared/join", "--data", AGENT_DATA, "--cpu", "64",
                   "--memory", "64Gi", "--images", "off", *self.agent_settings, *more, log=log)

    # Its processes, by the lock files of their data directories. None: there is none.

    def coordinator(self):
        return self.process("head", LOCKS["coordinator"])

    def agent(self, node):
        return self.process(node, LOCKS["agent"])

    def keeper(self, node):
        return self.process(node, LOCKS["keeper"])

    def must_find(self, kind, node="head"):
        """The coordinator, or the agent or keeper of `node`, which must be there."""
        return eventually(f"the {kind} of {node} is there", lambda: self.process(node, LOCKS[kind]), seen=self.story)

    # The client.

    def stint(self, *words, seconds=60):
        """Exit status and output of the client on its own machine."""
        return self.run("laptop", "env", "KUBECONFIG=/mnt/shared/kubeconfig", "stint", *words, seconds=seconds)

    def must_stint(self, *words, seconds=60):
        status, text = self.stint(*words, seconds=seconds)
        if status != 0:
            raise Failure(f"stint {' '.join(words)}: {status}: {text}")
        return text

    def apply(self, *objects):
        with self._lock:
            self._runs += 1
            name = f"manifest-{self._runs}.json"
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        (self.shared / name).write_text(json.dumps(items if len(objects) != 1 else objects[0]))
        return self.must_stint("apply", "-f", f"/mnt/shared/{name}")

    def get(self, *words):
        """An object, or a list of them."""
        return json.loads(self.must_stint("get", *words, "-o", "json"))

    def job_status(self, name):
        return self.get("job", name).get("status", {})

    def ready_nodes(self):
        """Empty, too, while the client gets no answer."""
        status, text = self.stint("get", "nodes", "--no-headers", seconds=10)
        rows = [line.split() for line in text.splitlines()] if status == 0 else []
        return {row[0] for row in rows if len(row) > 1 and row[1].split(",")[0] == "Ready"}

    def wait_for_ready(self, node, seconds=60):
        eventually(f"{node} is Ready", lambda: node in self.ready_nodes(), seconds, every=0.2, seen=self.story)

    def wait_for_lost(self, node, seconds=60):
        eventually(f"{node} is not Ready", lambda: node not in self.ready_nodes(), seconds, every=0.2)

    def wait_for_completion(self, job, seconds=120):
        self.must_stint("wait", f"job/{job}", "--for=complete", "--timeout", f"{seconds}s", "-q", seconds=seconds + 10)
