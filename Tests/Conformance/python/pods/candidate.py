# Runs in each pod of a Job, on the official client: a candidate for a Lease that works while it leads, and writes into
# the ledger when a piece of work begins and ends. It must not know who else there is.
#
# Clocks are never compared. The leader counts its time from before the request that renewed the Lease, and stops a
# while before it is over; a candidate counts from when it saw the Lease change, and takes it when it did not for all
# its time.

import datetime
import json
import os
import signal
import time

import urllib3
from kubernetes import client, config
from kubernetes.client.rest import ApiException

ME = os.environ["POD_NAME"]
SPACE = os.environ["POD_SPACE"]
LEASE = "work"
SECONDS = 4
# Of these the leader keeps clear: what it began has ended before.
MARGIN = 1.5
RETRY = 0.5

stopping = []


class Elector:
    """One Lease: whether it is held by this candidate, until when, and for the how manieth change of holders."""

    def __init__(self):
        self.api = client.CoordinationV1Api()
        self.version = None
        self.seen = 0.0
        self.until = 0.0
        self.term = None

    def leads(self):
        return time.monotonic() < self.until

    def attempt(self, step):
        """`once` or `release`. What goes wrong is tried again later or runs out, but for what is forbidden."""
        try:
            step()
        except ApiException as error:
            if error.status in (401, 403, 422):
                raise
            print(f"{error.status} {error.reason}", flush=True)
        except urllib3.exceptions.HTTPError as error:
            print(error, flush=True)

    def once(self):
        """Takes or renews the Lease if that is right."""
        asked = time.monotonic()
        try:
            lease = self.api.read_namespaced_lease(LEASE, SPACE, _request_timeout=SECONDS)
        except ApiException as error:
            if error.status != 404:
                raise
            spec = client.V1LeaseSpec(lease_transitions=0)
            lease = client.V1Lease(metadata=client.V1ObjectMeta(name=LEASE), spec=spec)
        spec = lease.spec
        if lease.metadata.resource_version != self.version:
            self.version, self.seen = lease.metadata.resource_version, time.monotonic()
        if spec.holder_identity not in (None, "", ME) and time.monotonic() < self.seen + spec.lease_duration_seconds:
            return
        now = datetime.datetime.now(datetime.timezone.utc)
        if spec.holder_identity != ME:
            spec.acquire_time = now
            spec.lease_transitions += 1
        spec.holder_identity, spec.lease_duration_seconds, spec.renew_time = ME, SECONDS, now
        self.write(lease)
        self.until = asked + SECONDS - MARGIN
        self.term = spec.lease_transitions

    def write(self, lease):
        """Only over what was read: of two who write at once one gets 409."""
        if lease.metadata.resource_version:
            self.api.replace_namespaced_lease(LEASE, SPACE, lease, _request_timeout=SECONDS)
        else:
            self.api.create_namespaced_lease(SPACE, lease, _request_timeout=SECONDS)

    def release(self):
        """Lets the next one lead at once. It must not work any more."""
        self.until = 0.0
        lease = self.api.read_namespaced_lease(LEASE, SPACE, _request_timeout=SECONDS)
        if lease.spec.holder_identity == ME:
            lease.spec.holder_identity = ""
            self.write(lease)


def main():
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    config.load_incluster_config()
    elector = Elector()
    ledger = os.open("/mnt/ledger/lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def enter(what):
        line = {"who": ME, "term": elector.term, "what": what, "at": time.monotonic()}
        os.write(ledger, json.dumps(line).encode() + b"\n")

    while not stopping:
        elector.attempt(elector.once)
        again = time.monotonic() + RETRY
        while time.monotonic() < again and not stopping:
            if elector.leads():
                enter("begin")
                time.sleep(0.03)
                enter("end")
            time.sleep(0.02)
    elector.attempt(elector.release)


main()
