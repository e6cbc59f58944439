#!/usr/bin/env python3
# Owns: what outlives the process that holds machines: the guardian that takes away what they leave, the freezer that
# lets a disk go on again, and finding what is left. It must not know what machines are for.

import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import sys
import time

# ioctls of a file system (linux/fs.h): nobody's writes to it return until the second one.
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878


def boottime():
    """Seconds since boot, by the clock that all machines share."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def processes_in(spaces):
    """Those of these PID namespaces, without the namespaces within them, which end with these."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/ns/pid") in spaces:
                    found.append(int(name))
    return found


def control_groups(spaces):
    """Those whose names say that a keeper of one of these PID namespaces made them."""
    marks = tuple("." + space.partition("[")[2].rstrip("]") for space in spaces)
    roots = [pathlib.Path("/sys/fs/cgroup"), *pathlib.Path("/sys/fs/cgroup").iterdir()]
    return [group for root in roots if root.is_dir() for group in root.glob("stint-*.*") if group.name.endswith(marks)]


def remove_groups(groups):
    for group in groups:
        for path, names, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def mounts_below(directory):
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(f"{directory}/")]


def loop_devices(directory):
    found = []
    for file in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if file.read_text().startswith(f"{directory}/"):
                found.append(file.parts[3])
    return found


def guard(directory):
    """Once its input ends: waits until all is over, takes away what is left, and says what it could not take."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1):
        pass
    with contextlib.suppress(OSError):
        spaces = set((directory / "namespaces").read_text().split())
        end = boottime() + 60
        while processes_in(spaces) and boottime() < end:
            time.sleep(0.05)
        remove_groups(control_groups(spaces))
        while loop_devices(directory) and boottime() < end:
            time.sleep(0.05)
        left = [f"process {pid}" for pid in processes_in(spaces)] + [str(path) for path in control_groups(spaces)]
        left += loop_devices(directory)
        if left:
            print("\n".join(left))
            return 1
    if mounts_below(directory):
        print("\n".join(mounts_below(directory)))
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def freeze(path):
    """Freezes the file system at `path` until its input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.ioctl(descriptor, FIFREEZE, 0)
    try:
        print("frozen", flush=True)
        while os.read(0, 1):
            pass
    finally:
        fcntl.ioctl(descriptor, FITHAW, 0)
    return 0


if __name__ == "__main__":
    sys.exit({"guard": guard, "freeze": freeze}[sys.argv[1]](pathlib.Path(sys.argv[2])))
