#!/usr/bin/env python3
# Owns: tests of the harness itself: that it takes what it should and, above all, that it fails where it should.
# It must not know a cluster.

import pathlib
import tempfile
import unittest

import matching
import transcript as transcripts


def takes(expected, actual, bound=None):
    return matching.compare(expected.split("\n"), actual.split("\n"), bound or {})


class Matching(unittest.TestCase):
    def test_lines_are_compared_byte_by_byte(self):
        self.assertIsNotNone(takes("job.batch/a created", "job.batch/a created"))
        self.assertIsNone(takes("job.batch/a created", "job.batch/a  created"))
        self.assertIsNone(takes("one", "one\ntwo"))
        self.assertIsNone(takes("one\ntwo", "one"))

    def test_a_placeholder_takes_its_kind_alone(self):
        self.assertIsNotNone(takes("pod/a-<suffix>", "pod/a-x7k2b"))
        self.assertIsNone(takes("pod/a-<suffix>", "pod/a-x7k2"))
        self.assertIsNone(takes("pod/a-<suffix>", "pod/a-aeiou"))
        self.assertIsNone(takes("<time>", "2026-01-01 00:00:00"))

    def test_a_name_stands_for_the_same_text_everywhere(self):
        self.assertIsNotNone(takes("<n:a> <n:a>", "4 4"))
        self.assertIsNone(takes("<n:a> <n:a>", "4 5"))
        bound = takes("pod/<suffix:p>", "pod/x7k2b")
        self.assertEqual(matching.fill("get <suffix:p> <n:other>", bound), "get x7k2b <n:other>")
        self.assertIsNone(takes("<suffix:p>", "zzzzz", bound))

    def test_tables_are_compared_by_cells(self):
        want = "NAME        AGE     NODE\na-<suffix>  <age>   node-1\nb                   node-2"
        self.assertIsNotNone(takes(want, "NAME      AGE   NODE\na-x7k2b   3s    node-1\nb               node-2"))
        self.assertIsNone(takes(want, "NAME      AGE   NODE\na-x7k2b   3s    node-1\nb         4s    node-2"))
        self.assertIsNone(takes(want, "NAME      NODE     AGE\na-x7k2b   node-1   3s\nb         node-2"))
        self.assertIsNone(takes(want, "NAME      AGE   NODE\na-x7k2b   3s    node-1"))

    def test_any_number_of_lines(self):
        self.assertIsNotNone(takes("a\n<...>\nz", "a\nz"))
        self.assertIsNotNone(takes("a\n<...>\nz", "a\nb\nc\nz"))
        self.assertIsNone(takes("a\n<...>\nz", "a\nb"))

    def test_a_difference_is_shown_and_only_that(self):
        self.assertEqual(matching.difference(["a <n>", "b"], ["a 1", "c"], {}), [" a 1", "-b", "+c"])
        self.assertEqual(matching.difference(["a <n>", "b"], ["a 1", "b"], {}), [])


class Reading(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "sample.txt"
            path.write_text(text)
            return transcripts.read(path)

    def test_steps_files_and_guards(self):
        text = (
            "# c\n@ alone\n=== file a\n$ no step\n===\n$ one\n> more\nout\n! err\n= 1\n[1.31-] late\n\n"
            "[-1.30] $ two\n")
        sample = self.read(text)
        self.assertTrue(sample.alone)
        one, two = sample.steps
        self.assertEqual((one.command, one.files), ("one\nmore", [("a", "$ no step\n")]))
        self.assertEqual([line.text for line in one.stdout], ["out", "late"])
        self.assertEqual([line.text for line in one.stderr], ["err"])
        self.assertEqual(one.status((1, 31)), 1)
        self.assertEqual([transcripts.fits(one.stdout[1].guard, (1, minor)) for minor in (30, 31, 40)],
                         [False, True, True])
        self.assertEqual([transcripts.fits(two.guard, (1, minor)) for minor in (29, 30, 31)], [True, True, False])

    def test_what_is_wrong_is_said(self):
        for text in ("stray\n", "=== file a\nno end\n"):
            with self.assertRaises(transcripts.TranscriptError):
                self.read(text)


if __name__ == "__main__":
    unittest.main()
