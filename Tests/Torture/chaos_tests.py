#!/usr/bin/env python3
# Owns: tests that chaos sees what it is there to see: each check fails on a ledger or a Job that breaks its promise,
# and a plan is its seed's alone. It must not need root, nor a cluster.

import pathlib
import random
import tempfile
import unittest

import checks
import informer
import nemesis
import workload

NODES = ["node-1", "node-2", "node-3", "node-4", "node-5"]


def record(kind="indexed", number=1):
    made = workload.Record(number, kind, random.Random(1))
    made.name, made.uids, made.sent, made.acknowledged = made.id, ["uid"], 1.0, 1.1
    return made


def job(succeeded=0, indexes="", *conditions):
    return {"metadata": {"name": "op-00001", "uid": "uid", "resourceVersion": "7"}, "spec": {"backoffLimit": 6},
            "status": {"succeeded": succeeded, "completedIndexes": indexes,
                       "conditions": [{"type": kind, "status": "True", "reason": "R"} for kind in conditions]}}


def line(word, uid, time, index=0):
    return f"{word} {uid} {index} node-1 {time:.2f} 7 1 pod-{uid}\n"


def truth(subject, text):
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / subject.id).mkdir()
        (pathlib.Path(directory) / subject.id / "signs").write_text(text)
        return checks.Truth(pathlib.Path(directory), [subject])


class Checks(unittest.TestCase):
    def check(self, said, count):
        self.assertEqual(len(said), count, said)

    def test_a_job_that_nobody_has_seen_was_lost(self):
        subject = record()
        self.check(checks.acknowledged_exist([subject], truth(subject, "")), 0)
        subject.uids = []
        self.check(checks.acknowledged_exist([subject], truth(subject, "")), 1)
        subject.acknowledged = None
        self.check(checks.acknowledged_exist([subject], truth(subject, "")), 0)

    def test_a_request_that_made_two_jobs_is_told(self):
        subject = record()
        subject.uids = ["a", "b"]
        self.check(checks.acknowledged_exist([subject], truth(subject, "")), 1)

    def test_a_job_that_nobody_deleted_must_stay_and_one_with_a_ttl_may_go_once_it_ended(self):
        subject = record()
        subject.gone = 9.0
        self.check(checks.acknowledged_exist([subject], truth(subject, "")), 1)
        subject.deletion_sent = 8.0
        self.check(checks.acknowledged_exist([subject], truth(subject, "")), 0)
        timed = record("ttl")
        timed.gone = 9.0
        self.check(checks.acknowledged_exist([timed], truth(timed, line("start", "a", 2))), 1)
        self.check(checks.acknowledged_exist([timed], truth(timed, line("start", "a", 2) + line("end", "a", 3))), 0)

    def test_a_job_is_open_until_it_ends_but_one_with_a_ttl_that_no_cache_has_seen(self):
        for kind in ("indexed", "ttl"):
            self.assertTrue(workload.is_open(record(kind)))
        timed, plain = record("ttl"), record()
        timed.uids = plain.uids = []
        self.assertEqual([workload.is_open(timed), workload.is_open(plain)], [False, True])
        plain.finished = 3.0
        self.assertFalse(workload.is_open(plain))

    def test_a_success_without_an_end_is_told(self):
        subject = record()
        subject.job = job(1, "0")
        self.check(checks.successes_are_real([subject], truth(subject, line("end", "a", 2)), {"a": subject.name}), 0)
        self.check(checks.successes_are_real([subject], truth(subject, line("sign", "a", 2)), {}), 1)
        self.check(checks.successes_are_real([subject], truth(subject, line("end", "b", 2)), {"a": subject.name}), 1)

    def test_a_success_that_is_counted_twice_is_told(self):
        subject = record()
        subject.job = job(2, "0")
        self.check(checks.successes_are_real([subject], truth(subject, line("end", "a", 2)), {}), 1)
        plain = record("parallel")
        plain.job = job(2)
        self.check(checks.successes_are_real([plain], truth(plain, line("end", "a", 2)), {}), 1)

    def test_a_job_that_is_complete_with_less_than_all_is_told(self):
        subject = record("parallel")
        subject.job = job(1, "", "Complete")
        self.check(checks.successes_are_real([subject], truth(subject, line("end", "a", 2)), {}), 1)

    def test_two_copies_at_once_are_told(self):
        subject = record()
        both = line("start", "a", 2) + line("start", "b", 3) + line("sign", "a", 4)
        self.check(checks.never_two([subject], truth(subject, both)), 1)
        self.check(checks.never_two([subject], truth(subject, both.replace("b 0", "b 1"))), 0)
        self.check(checks.never_two([subject], truth(subject, line("start", "a", 2) + line("start", "a", 3))), 1)

    def test_more_copies_than_may_are_told(self):
        subject = record("parallel")
        text = "".join(line("start", uid, 2) + line("sign", uid, 3) for uid in "abcd")
        self.check(checks.never_two([subject], truth(subject, text)), 1)
        subject.parallelism = 4
        self.check(checks.never_two([subject], truth(subject, text)), 0)

    def test_a_start_long_after_the_delete_is_told(self):
        subject = record()
        subject.deletion_acknowledged = 10.0
        self.check(checks.deleted_stay_away([subject], truth(subject, line("start", "a", 12))), 0)
        self.check(checks.deleted_stay_away([subject], truth(subject, line("start", "a", 10.1 + checks.DELIVERY))), 1)
        late = line("start", "a", 9) + line("sign", "a", 10.1 + checks.LAST_WORK)
        self.check(checks.deleted_stay_away([subject], truth(subject, late)), 1)

    def test_a_job_fails_only_by_what_was_done_to_it(self):
        subject = record()
        subject.job, subject.finished = job(0, "", "Failed"), 50.0
        text = "".join(line("start", f"u{number}", number) for number in range(7))
        self.check(checks.failures_have_reasons([subject], truth(subject, text), [], set()), 1)
        killed = {f"u{number}" for number in range(7)}
        self.check(checks.failures_have_reasons([subject], truth(subject, text), [], killed), 0)

    def test_growth_is_told_and_groups_that_a_keeper_keeps_are_none(self):
        before = {("node-1", "keeper"): (1000, 20), ("head", "coordinator"): (1000, 20)}
        after = {("node-1", "keeper"): (1000, 45), ("head", "coordinator"): (1000, 45)}
        self.check(checks.grown(before, after, 100, 10, {"node-1": 5}), 1)
        self.check(checks.grown(before, after, 100, 10, {}), 2)
        self.check(checks.grown(before, {("head", "coordinator"): (1101, 20)}, 100, 10, {}), 1)

    def test_a_success_that_is_taken_back_is_told(self):
        self.check(workload.faults_of_change(job(2), job(1)), 1)
        self.check(workload.faults_of_change(job(1, "", "Complete"), job(1)), 1)
        self.check(workload.faults_of_change(job(1), job(2, "", "Complete")), 0)

    def test_lists_that_differ_are_told(self):
        self.check(informer.same([job(1)], [job(1)]), 0)
        self.check(informer.same([job(1)], []), 1)
        self.check(informer.same([job(1)], [job(2)]), 1)


class Plans(unittest.TestCase):
    def plan(self, seed, has=frozenset({"disks", "clocks", "tracers", "memory"})):
        return nemesis.plan(seed, 600, NODES, NODES[3:], has, 1.5)

    def test_a_plan_is_its_seeds(self):
        self.assertEqual(self.plan(3), self.plan(3))
        self.assertNotEqual(self.plan(3), self.plan(4))

    def test_nobody_has_two_deeds_at_a_time(self):
        for seed in range(20):
            until = {}
            for deed in self.plan(seed):
                self.assertGreaterEqual(deed.at, until.get(deed.target, 0))
                until[deed.target] = deed.at + deed.seconds

    def test_every_kind_comes_and_none_that_is_not_possible(self):
        kinds = {deed.kind for seed in range(20) for deed in self.plan(seed)}
        self.assertEqual(kinds, {name for name, _ in nemesis.KINDS})
        bare = {deed.kind for seed in range(20) for deed in self.plan(seed, frozenset())}
        self.assertEqual(bare, {name for name, kind in nemesis.KINDS if not kind.needs})


if __name__ == "__main__":
    unittest.main()
