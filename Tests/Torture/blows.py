# Owns: what can be done to a cluster, each deed with what takes it back: to processes, links, machines, disks, clocks,
# pods. It must not know when or to whom it is done, nor what the cluster makes of it.

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess

import census
import machines
from machines import AGENT_DATA, COORDINATOR_DATA, Failure

# ioctl of a file system (linux/fs.h): every read and write fails from now on, as with a disk that is torn out. With
# the flag nothing that was not synced is written before.
FS_IOC_SHUTDOWN, WITHOUT_LOG = 0x8004587D, 2
# What a data directory is written and kept by.
WRITES = "pwrite64,fsync,fdatasync,fallocate,ftruncate"
# The root of the memory controller, where it is one of the first version.
MEMORY = pathlib.Path("/sys/fs/cgroup/memory")
# The machine that comes with a copy of another one's data directory.
DOUBLE = "double"


def obstacles():
    """Of each thing that this machine may lack: why what needs it cannot be done."""
    found = {"disks": machines.disk_obstacle(), "clocks": machines.clock_obstacle()}
    found["tracers"] = None if shutil.which("strace") else "writes that fail need strace"
    has_memory = (MEMORY / "memory.limit_in_bytes").exists()
    found["memory"] = None if has_memory else "shortage of memory needs the memory controller of cgroup v1"
    return found


class Missing(Failure):
    """It could not be done: whom it was meant for is not there just now."""


class Blows:
    """Deeds by name: each returns what takes it back, or None. `crew` holds who is to be started again."""

    def __init__(self, cluster, relay, crew, draw):
        self.cluster, self.relay, self.crew, self.draw = cluster, relay, crew, draw

    def do(self, kind, target, parameters):
        return getattr(self, kind.replace("-", "_"))(target, **parameters)

    # Processes. The crew starts them again.

    def _process(self, target, what):
        process = census.find(self.cluster, target, what)
        if process is None:
            raise Missing(f"no {what} on {target}")
        return process

    def kill(self, target, what):
        self._process(target, what).kill()

    def stop(self, target, what):
        """`what` may be several, joined by +."""
        stopped = [self._process(target, name) for name in what.split("+")]
        for process in stopped:
            process.stop()

        def resume():
            for process in stopped:
                process.resume()
        return resume

    def kill_init(self, target):
        """The init of one pod; the Job of the pod goes into the log."""
        inits = census.Census(self.cluster, target).inits()
        if not inits:
            raise Missing(f"no pod on {target}")
        pid = self.draw.choice(sorted(inits))
        machines.Process(pid).kill()
        pod = inits[pid]
        self.told = {"pod": pod.get("HOSTNAME", "?"), "uid": pod.get("POD_UID", "?")}

    # Links.

    def cut(self, target):
        self.cluster.cut(target)
        return lambda: self.cluster.join(target)

    def mute(self, target, towards):
        """One way: what `target` sends is lost, or what it is sent."""
        other = self.crew.door(target)
        pair = (target, other) if towards == "coordinator" else (other, target)
        try:
            boot = self.cluster.pid(pair[0])
            self.cluster.mute(*pair)
        except (OSError, Failure) as error:
            raise Missing(f"{pair[0]} is off") from error

        def unmute():
            # A machine that has booted meanwhile has forgotten it.
            with contextlib.suppress(OSError, Failure):
                if self.cluster.pid(pair[0]) == boot:
                    self.cluster.unmute(*pair)
        return unmute

    def slow(self, target, kilobits):
        self.cluster.slow(target, kilobits)
        return lambda: self.cluster.slow(target, 0)

    def _through_relay(self, table, target, value):
        address = self.cluster.address(target)
        table[address] = value
        return lambda: table.pop(address, None)

    def delay(self, target, milliseconds):
        return self._through_relay(self.relay.delay, target, milliseconds / 1000)

    def drip(self, target, rate):
        return self._through_relay(self.relay.drip, target, rate)

    def hold(self, target):
        address = self.cluster.address(target)
        self.relay.held.add(address)
        return lambda: self.relay.held.discard(address)

    def corrupt(self, target, way):
        address = self.cluster.address(target)
        self.relay.corrupt(address, way)
        return lambda: self.relay.forget_corruption(address)

    def reset(self, target):
        self.relay.reset(self.cluster.address(target))

    # Machines.

    def power(self, target, loses):
        """Off, and on when it is taken back. `loses`: what its disk was not told to keep is gone."""
        self.crew.leave(target)
        if loses:
            self._shut_down(target)
        self.cluster.power_off(target)
        return lambda: self._boot(target)

    def _boot(self, target):
        self.cluster.boot(target)
        self.crew.care_for(target)

    def double(self, target):
        """Another machine of the same name, on a copy of its data directory."""
        copy = self.cluster.path(DOUBLE, AGENT_DATA)
        original = self.cluster.path(target, AGENT_DATA)
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for entry in os.scandir(original):
            with contextlib.suppress(OSError, shutil.Error):
                if entry.is_dir():
                    shutil.copytree(entry.path, copy / entry.name, symlinks=True)
                elif entry.is_file():
                    shutil.copy2(entry.path, copy / entry.name)
        self.crew.start_agent(DOUBLE, "--name", target)

        def end():
            self.cluster.power_off(DOUBLE)
            shutil.rmtree(self.cluster.directory / "disks" / DOUBLE / AGENT_DATA.lstrip("/"), ignore_errors=True)
            self.cluster.boot(DOUBLE)
        return end

    # Disks.

    def _disk(self, target):
        return self.cluster.path(target, COORDINATOR_DATA if target == "head" else AGENT_DATA)

    def _shut_down(self, target):
        descriptor = os.open(self._disk(target), os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_LOG))
        finally:
            os.close(descriptor)

    def tear_out(self, target):
        """EIO for whatever is done with its data directory, until the machine gets a new boot."""
        self.crew.leave(target)
        self._shut_down(target)

        def replace():
            self.cluster.power_off(target)
            self._boot(target)
        return replace

    def fill(self, target):
        """Not a block is free."""
        filler = self._disk(target) / "filler"
        with open(filler, "wb") as file:
            size = 64 << 20
            offset = 0
            while size >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), offset, size)
                    offset += size
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        return lambda: filler.unlink(missing_ok=True)

    def fail_writes(self, target, error):
        """Writes at a place and syncs of one process fail; those of its sockets do not."""
        process = self._process(target, "coordinator" if target == "head" else self.draw.choice(["agent", "keeper"]))
        threads = [word for thread in os.listdir(f"/proc/{process.pid}/task") for word in ("-p", thread)]
        tracer = subprocess.Popen(["strace", "-qq", "-o", os.devnull, "-e", f"trace={WRITES}", "-e",
                                   f"inject={WRITES}:error={error}", *threads], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

        def detach():
            tracer.terminate()
            tracer.wait(20)
        return detach

    def hang(self, target):
        disk = self.cluster.disks[target]
        disk.freeze()
        return disk.thaw

    # People.

    def cordon(self, target):
        self.cluster.stint("cordon", target, seconds=5)

        def uncordon():
            machines.eventually(f"{target} is uncordoned", lambda: self.cluster.stint("uncordon", target, seconds=5)[0]
                                == 0, 120, every=1)
        return uncordon

    # Memory.

    def squeeze(self, target, kibibytes):
        """What its coordinator or agent takes anew has no more room than that: the kernel may end it."""
        process = self._process(target, "coordinator" if target == "head" else "agent")
        # So named the guardian takes it away, whatever becomes of this.
        space = os.readlink(f"/proc/{process.pid}/ns/pid").partition("[")[2].rstrip("]")
        group = MEMORY / f"stint-squeeze.{process.pid}.0.{space}"
        before = pathlib.Path(f"/proc/{process.pid}/cgroup").read_text().partition(":memory:")[2].split("\n")[0]
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(kibibytes << 10))
        (group / "cgroup.procs").write_text(str(process.pid))

        def release():
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (MEMORY / before.lstrip("/") / "cgroup.procs").write_text(pid)
            machines.eventually("the group is empty", lambda: not (group / "cgroup.procs").read_text(), 20)
            group.rmdir()
        return release

    # Clocks.

    def clock(self, target, seconds):
        self.cluster.set_clock(target, seconds)
        return lambda: self.cluster.set_clock(target, 0)
