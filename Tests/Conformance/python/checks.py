# Owns: what every program here shares: one line for each check, waiting for conditions, the manifests of small Jobs.
# It must not know any client library.

import os
import sys
import time
import traceback

PATIENCE = 60.0


class Skipped(Exception):
    """This library cannot do what is checked; the text says why."""


class Program:
    """The checks of one program, each printed when it has run. A check that fails lets the others run."""

    def __init__(self, name):
        self.name = name
        self.failed = 0
        self.passed = 0

    def check(self, text):
        def run(function):
            try:
                said = function()
            except Skipped as reason:
                print(f"skip {self.name}: {text} ({' '.join(str(reason).split())[:200]})", flush=True)
            except Exception as error:
                self.failed += 1
                place = traceback.extract_tb(error.__traceback__)[1:]
                line = f"line {place[0].lineno}: " if place else ""
                print(f"FAIL {self.name}: {text}: {line}{describe(error)}", flush=True)
                if os.environ.get("TRACE"):
                    traceback.print_exc()
            else:
                self.passed += 1
                print(f"ok   {self.name}: {text}" + (f" ({said})" if said else ""), flush=True)
            return function

        return run

    def end(self):
        # At once: threads that a library left running would print about what they miss.
        sys.stdout.flush()
        os._exit(1 if self.failed or not self.passed else 0)


def describe(error):
    text = f"{type(error).__name__}: {error}"
    body = getattr(error, "body", None)
    return " ".join(f"{text} {body if body and str(body) not in text else ''}".split())[:1500]


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what, seconds=PATIENCE):
    """Asks again until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


def refused(call, status):
    """Calls what must fail with an HTTP status, and returns the exception."""
    try:
        call()
    except Exception as error:
        found = getattr(error, "status", None)
        if found != status:
            raise AssertionError(f"not refused with {status}: {describe(error)}") from error
        return error
    raise AssertionError(f"not refused with {status}")


def job(name, script="true", labels=None, **spec):
    """A Job as a dictionary, as people paste it from YAML."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "backoffLimit": 0,
            **spec,
            "template": {
                "metadata": {"labels": labels or {}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", script]}],
                },
            },
        },
    }


def space(name):
    """A namespace of the program's own, also beside the same program on another version of its library."""
    return name + os.environ.get("SUFFIX", "")
