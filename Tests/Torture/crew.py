# Owns: a cluster of five nodes as an operator has it: two of them behind a relay, each data directory on a disk of its
# own, and somebody who starts again what ended, as systemd does.
# It must not know who ended it.

import contextlib
import pathlib
import threading

import census
import machines
import relay
from machines import boottime

NODES = ["node-1", "node-2", "node-3", "node-4", "node-5"]
RELAYED = ["node-4", "node-5"]
PORT = 7420
# What a unit's RestartSec is.
RESTART = 1.0


def loops():
    """The files behind loop devices."""
    found = set()
    for file in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found.add(file.read_text().strip())
    return found


class TormentedCluster(machines.Cluster):
    """Its disks can hang, fill and be torn out; its clocks can jump."""

    def __init__(self, has, **more):
        # What each machine has mounted since its boot: it begins with what this machine has mounted just then.
        self.mounted = {}
        super().__init__(nodes=NODES, spare=["relay", "double"], has_clocks="clocks" in has,
                         agent_settings=["--pressure-transition", "10s"], **more)
        try:
            self.settings += ["--advertise", self.address("head"), "--advertise", self.address("relay")]
            if "disks" in has:
                machines.Disk(self, "head", machines.COORDINATOR_DATA, 1024)
                for node in NODES:
                    machines.Disk(self, node, machines.AGENT_DATA)
            for node in NODES:
                self.mounted[node] = census.mounts(self, node)
            self.relay = relay.Relay(self, "relay", self.address("head"), PORT)
        except BaseException:
            self.end()
            raise

    def boot(self, name):
        super().boot(name)
        self.mounted[name] = census.mounts(self, name)
        if name in RELAYED:
            # It reaches the coordinator through the relay or not at all.
            self.mute(name, "head")

    def power_off(self, name):
        super().power_off(name)
        if name in self.disks:
            # Whoever mounts it before its loop device is gone gets the old, perhaps broken, file system.
            image = str(self.disks[name].image)
            machines.eventually(f"the disk of {name} is free", lambda: image not in loops(), 20, every=0.02)

    def start_agent(self, node, *more, log=None):
        words = ["--coordinator", f"{self.address('relay')}:{PORT}"] if node in RELAYED else []
        super().start_agent(node, *words, *more, log=log)

    def slow(self, name, kilobits):
        self._script("slow", name, str(kilobits))

    def end(self):
        if hasattr(self, "relay"):
            self.relay.end()
        super().end()


class Crew:
    """Starts coordinator and agents again, on machines that it is to care for."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.restarts = 0
        self.peaks = {}
        self._lock = threading.Lock()
        self._cared = {"head": "coordinator", **{node: "agent" for node in NODES}}
        self._left = set()
        self._missing = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def begin(self):
        self._thread.start()

    def end(self):
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(60)

    def leave(self, name):
        """Until further notice nothing is started on that machine."""
        with self._lock:
            self._left.add(name)

    def care_for(self, name):
        with self._lock:
            self._left.discard(name)

    def door(self, node):
        """Whom it speaks to."""
        return "relay" if node in RELAYED else "head"

    def start_agent(self, name, *more):
        self.cluster.start_agent(name, *more)

    def _watch(self):
        while not self._is_over.wait(0.5):
            for name, kind in self._cared.items():
                with contextlib.suppress(Exception):
                    with self._lock:
                        self._look(name, kind)

    def _look(self, name, kind):
        if name in self._left:
            self._missing.pop(name, None)
            return
        present = census.Census(self.cluster, name)
        for what in (kind, "keeper"):
            process = present.find(what)
            held = process and census.holds(process)
            if held:
                old = self.peaks.get((name, what), (0, 0))
                self.peaks[name, what] = tuple(map(max, old, held))
        if present.find(kind) is not None:
            self._missing.pop(name, None)
        elif boottime() > self._missing.setdefault(name, boottime()) + RESTART:
            self._missing.pop(name)
            self.restarts += 1
            if kind == "agent":
                self.cluster.start_agent(name)
            else:
                self.cluster.start("head", "stint", "coordinator", "--data", machines.COORDINATOR_DATA, "--listen",
                                   "0.0.0.0", *self.cluster.settings)
