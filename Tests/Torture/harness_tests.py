#!/usr/bin/env python3
# Owns: tests of the harness itself: that a ledger shows every overlap, and that nothing of a cluster is left, however
# it ends. It must not know the rows or the blows that use it.

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

import guardian
import ledger as ledgers
import machines
import partitions
import stage

OBSTACLE = machines.obstacle()


def read(text):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "signs"
        path.write_text(text)
        return ledgers.Ledger(path)


def line(word, uid, time, index=0, token=1):
    return f"{word} {uid} {index} node-1 {time:.2f} 7 {token} pod-{uid}\n"


class Reading(unittest.TestCase):
    def test_a_replacement_has_a_gap_and_no_overlap(self):
        ledger = read(line("start", "a", 1) + line("sign", "a", 2) + line("start", "b", 5, token=2)
                      + line("end", "b", 6, token=2))
        self.assertEqual([round(gap, 2) for _, _, gap in ledger.gaps()], [3.0])
        self.assertEqual(ledger.problems(1), [])

    def test_an_old_copy_that_signs_once_more_overlaps(self):
        ledger = read(line("start", "a", 1) + line("start", "b", 5) + line("sign", "b", 9) + line("sign", "a", 8))
        self.assertEqual([round(overlap.seconds, 2) for overlap in ledger.overlaps()], [3.0])
        self.assertLess(ledger.gaps()[0][2], 0)
        self.assertEqual(len(ledger.problems(2)), 1)
        self.assertEqual(len(ledger.problems(1)), 2)

    def test_an_overlap_with_the_copy_before_the_last_is_seen(self):
        ledger = read(line("start", "a", 1) + line("start", "b", 2) + line("sign", "a", 9) + line("start", "c", 8))
        self.assertEqual([(overlap.old.uid, overlap.new.uid) for overlap in ledger.overlaps()],
                         [("a", "b"), ("a", "c")])

    def test_other_indexes_do_not_overlap(self):
        ledger = read(line("start", "a", 1) + line("start", "b", 2, index=1) + line("sign", "a", 3)
                      + line("sign", "b", 4, index=1))
        self.assertEqual(ledger.problems(2), [])
        self.assertEqual(len(ledger.problems(1)), 1)

    def test_two_starts_and_two_ends_are_told(self):
        ledger = read(line("start", "a", 1) + line("start", "a", 2) + line("end", "a", 3) + line("end", "a", 4))
        self.assertEqual(len(ledger.problems()), 2)

    def test_an_index_that_is_done_twice_is_told(self):
        ledger = read(line("start", "a", 1) + line("end", "a", 2) + line("start", "b", 3) + line("end", "b", 4))
        self.assertEqual(ledger.problems(), ["index 0 was done more than once"])

    def test_a_pause_is_no_work(self):
        copy = read(line("start", "a", 1) + line("sign", "a", 1.1) + line("sign", "a", 61.1)).copies[0]
        self.assertAlmostEqual(copy.worked(), 0.6)
        self.assertAlmostEqual(copy.longest_pause()[0], 60)

    def test_a_line_that_is_being_written_is_left_out(self):
        self.assertEqual(len(read(line("start", "a", 1) + "sign a 0 node-1 1.").copies[0].signs), 1)


class Judging(unittest.TestCase):
    """A row is as promised only if all of it is."""

    def faults(self, text, promise=stage.REPLACED, limit=10, succeeded=1, failed=0):
        row = partitions.Row("row", "a row", "what is done", None, promise, limit, pods=1)
        status = {"succeeded": succeeded, "failed": failed}
        return stage.Result(row, read(text), 3.0, None, status).faults

    old = line("start", "a", 1) + line("sign", "a", 2)
    new = line("start", "b", 8, token=2) + line("end", "b", 9, token=2)
    whole = line("start", "a", 1) + line("sign", "a", 1.1) + line("end", "a", 1.2)

    def test_a_replacement_in_time_is_one(self):
        self.assertEqual(self.faults(self.old + self.new), [])

    def test_an_old_copy_beside_the_new_one_fails(self):
        self.assertIn("the gap is not positive", self.faults(self.old + self.new + line("sign", "a", 8)))

    def test_a_late_or_missing_replacement_fails(self):
        self.assertEqual(len(self.faults(self.old + self.new, limit=4)), 1)
        self.assertEqual(len(self.faults(self.whole)), 1)
        self.assertEqual(len(self.faults(self.old + self.new + line("start", "c", 20) + line("sign", "c", 21))), 1)

    def test_a_replacement_that_was_not_promised_fails(self):
        self.assertEqual(self.faults(self.whole, stage.GOES_ON), [])
        self.assertEqual(self.faults(self.old + self.new, stage.GOES_ON), ["1 of 1 copies were replaced"])

    def test_a_long_pause_fails(self):
        self.assertEqual(len(self.faults(self.old + line("end", "a", 20), stage.GOES_ON)), 1)

    def test_what_the_job_says_counts(self):
        self.assertEqual(len(self.faults(self.old + self.new, succeeded=0)), 1)
        self.assertEqual(len(self.faults(self.old + self.new, failed=1)), 1)
        self.assertIn("nothing signed", self.faults(""))


@unittest.skipIf(OBSTACLE, OBSTACLE)
class Ending(unittest.TestCase):
    """Nothing is left: no process, mount, namespace, control group, loop device or file."""

    def check(self, directory, spaces):
        machines.eventually("the directory is gone", lambda: not directory.exists(), 60)
        self.assertEqual(guardian.processes_in(spaces), [])
        self.assertEqual(guardian.control_groups(spaces), [])
        self.assertEqual(guardian.loop_devices(directory), [])
        self.assertEqual(guardian.mounts_below(directory), [])

    def test_a_cluster_at_work_ends_whole(self):
        with machines.Cluster() as cluster:
            cluster.begin()
            (cluster.shared / "ledger").mkdir()
            cluster.apply(ledgers.job("work", pods=4))
            machines.eventually("pods sign", lambda: len(
                ledgers.Ledger(cluster.shared / "ledger" / "signs").copies) == 4)
            agent = cluster.must_find("agent", "node-1")
            agent.stop()
            self.assertTrue(agent.is_alive())
            agent.resume()
            spaces = set((cluster.directory / "namespaces").read_text().split())
            self.assertNotEqual(guardian.processes_in(spaces), [])
        self.check(cluster.directory, spaces)

    def test_a_disk_that_hangs_ends_with_a_starter_that_is_killed(self):
        script = ("import machines, time\n"
                  "cluster = machines.Cluster(nodes=['node-1'])\n"
                  "disk = machines.Disk(cluster, 'node-1', machines.AGENT_DATA)\n"
                  "cluster.begin()\n"
                  "disk.freeze()\n"
                  "keeper = cluster.must_find('keeper', 'node-1')\n"
                  "print(cluster.directory, flush=True)\n"
                  "time.sleep(100)\n")
        starter = subprocess.Popen([sys.executable, "-c", script], cwd=pathlib.Path(__file__).parent,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        directory = pathlib.Path(starter.stdout.readline().decode().strip())
        spaces = set((directory / "namespaces").read_text().split())
        os.kill(starter.pid, signal.SIGKILL)
        starter.communicate()
        self.check(directory, spaces)

    def test_a_wall_clock_of_one_machine_jumps_alone(self):
        with machines.Machines(["one", "two"], has_clocks=True) as pair:
            pair.set_clock("one", 3600)
            one, two = (int(pair.must(name, "date", "+%s")) for name in ("one", "two"))
            self.assertAlmostEqual(one - two, 3600, delta=5)


@unittest.skipIf(OBSTACLE, OBSTACLE)
class Whole(unittest.TestCase):
    def test_work_that_a_pod_hands_to_somebody_outside_of_it_fails_its_row(self):
        # The daemon signs for the pod while that one stands still: two copies, as the failure model says.
        script = ledgers.SIGN + """
            sign start; declare -p POD_UID JOB_COMPLETION_INDEX NODE_NAME STINT_FENCING_TOKEN >/ledger/given-$HOSTNAME
            until [[ -e /ledger/go ]]; do sleep 0.2; done; sign end
            """
        daemon = ledgers.SIGN.replace("/ledger/", "/mnt/shared/ledger/") + """
            for given in /mnt/shared/ledger/given-*; do
              (source "$given"; HOSTNAME=${given##*given-}
               until [[ -e /mnt/shared/ledger/go ]]; do sign sign; sleep 0.1; done) &
            done
            wait
            """

        def act(at):
            at.cluster.start("node-1", "bash", "-c", daemon, log="daemon")
            partitions.agent_killed(at)

        row = partitions.Row("outside", "outside", "", act, stage.REPLACED, partitions.BY_R, script=script)
        result = stage.play(row, lambda story: None)
        self.assertLess(result.gap, 0)
        self.assertIn("the gap is not positive", result.faults)


if __name__ == "__main__":
    unittest.main()
