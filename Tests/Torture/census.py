# Owns: what lives on a machine, seen from outside: its coordinator, agent, keeper, the inits of its pods, the pods'
# processes, and what these hold (memory, descriptors, mounts, control groups).
# It must not know why anything of it is there.

import contextlib
import os
import pathlib

import guardian
import machines

PAGE = os.sysconf("SC_PAGE_SIZE")


def processes():
    """Of every process that is no zombie: pid, parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    found[int(name)] = int(fields[1])
    return found


def words_of(pid):
    """Its command line; empty: it is gone, or a thread of the kernel."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def environment_of(pid):
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)
    return {}


class Census:
    """One machine at one moment."""

    def __init__(self, cluster, name):
        first = cluster.pid(name)
        parents = processes()
        children = {}
        for pid, parent in parents.items():
            children.setdefault(parent, []).append(pid)
        self.all = []
        waiting = list(children.get(first, []))
        while waiting:
            pid = waiting.pop()
            self.all.append(pid)
            waiting += children.get(pid, [])
        self.children = children
        self.words = {pid: words_of(pid) for pid in self.all}

    def find(self, kind):
        """The process of `stint KIND`, without the pods' inits; None: there is none."""
        for pid in sorted(self.all):
            words = self.words[pid]
            if len(words) > 1 and os.path.basename(words[0]) == "stint" and words[1] == kind:
                return machines.Process(pid)
        return None

    def inits(self):
        """Of each pod's init: pid, and the environment of the first process of its pod that has one."""
        keeper = self.find("keeper")
        if keeper is None:
            return {}
        return {pid: self._pod_of(pid) for pid in self.children.get(keeper.pid, [])}

    def _pod_of(self, init):
        waiting = list(self.children.get(init, []))
        while waiting:
            pid = waiting.pop(0)
            environment = environment_of(pid)
            if "POD_UID" in environment:
                return environment
            waiting += self.children.get(pid, [])
        return {}

    def pods(self):
        """The uids of pods of which a process lives."""
        return {uid for uid in (environment_of(pid).get("POD_UID") for pid in self.all) if uid}

    def strangers(self):
        """What is no coordinator, agent or keeper, in words."""
        own = {"coordinator", "agent", "keeper"}
        return [f"{pid} {' '.join(words)[:80]}" for pid, words in self.words.items()
                if words and not (len(words) > 1 and words[1] in own)]


def find(cluster, name, kind):
    """The coordinator, agent or keeper of a machine; None: there is none, or the machine is off."""
    with contextlib.suppress(OSError, ValueError):
        return Census(cluster, name).find(kind)
    return None


def holds(process):
    """Kibibytes of memory of its own, and descriptors; None: it is gone."""
    with contextlib.suppress(OSError, IndexError):
        pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()
        descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))
        return (int(pages[1]) - int(pages[2])) * PAGE // 1024, descriptors
    return None


def mounts(cluster, name):
    """The places where a machine has something mounted."""
    lines = pathlib.Path(f"/proc/{cluster.pid(name)}/mountinfo").read_text().splitlines()
    return sorted(line.split()[4] for line in lines)


def orphaned_groups(cluster, name):
    """Control groups of keepers of this machine that are not there any more, and those in which a pod's process is."""
    space = os.readlink(f"/proc/{cluster.pid(name)}/ns/pid")
    keeper = Census(cluster, name).find("keeper")
    own = None
    if keeper is not None:
        status = pathlib.Path(f"/proc/{keeper.pid}/status").read_text().splitlines()
        own = next(line.split()[-1] for line in status if line.startswith("NSpid:"))
    # A namespace's number may have been another one's before, whose groups are not meant.
    begin = int(machines.Process(cluster.pid(name)).started)
    left = []
    for group in guardian.control_groups({space}):
        if not group.name.split(".")[2].isdigit() or int(group.name.split(".")[2]) < begin:
            continue
        if group.name.split(".")[1] != own:
            left.append(str(group))
        for path in group.glob("*/cgroup.procs"):
            with contextlib.suppress(OSError):
                if path.read_text().strip():
                    left.append(str(path.parent))
    return left
