#!/usr/bin/env bash
# Owns: the run of the tests of the edges (real processes, sockets, disks, machines), and the second try of the few that
# failed: each alone, with nothing beside it. A test that passes only alone is a finding, said in the last lines, not a
# reason to keep back what all others have shown: on a crowded machine a process now and then gets no processor for as
# long as the test waits. More than AGAIN (3) failures, or one that fails alone too, fail the run.
# It must not be used for the cores: what is pure fails for a reason. Arguments: those of swift test.
set -uo pipefail

again=${AGAIN:-3}
here=$(dirname "$0")
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

"$here/watch.sh" swift test --skip-build --xunit-output "$directory/run.xml" "$@"
status=$?
((status != 0)) || exit 0
# A run that was ended because it hung tells nothing of the tests that had not begun.
((status != 124)) || exit $status

# Each failed test as Module.Suite/function: the line before its first <failure.
mapfile -t failed < <(awk '
  /<testcase / { match($0, /classname="[^"]*"/); suite = substr($0, RSTART + 11, RLENGTH - 12)
                 match($0, / name="[^"]*"/); name = substr($0, RSTART + 7, RLENGTH - 8) }
  /<failure/ && name != "" { print suite "/" name; name = "" }' "$directory/run-swift-testing.xml" 2>/dev/null)
((${#failed[@]} > 0 && ${#failed[@]} <= again)) || exit $status

printf '\nThese failed beside the others, and are tried once more, each alone:\n'
printf '  %s\n' "${failed[@]}"
bad=0
for test in "${failed[@]}"; do
  # The name as a regular expression, whole: parentheses and dots stand for themselves.
  pattern="^$(sed 's/[][().*+?^${}|\\]/\\&/g' <<<"$test")"
  "$here/watch.sh" swift test --skip-build --no-parallel --filter "$pattern" >"$directory/alone" 2>&1
  alone=$?
  tail -40 "$directory/alone"
  # A filter that met nothing proves nothing.
  grep -Eq 'Test run with [1-9][0-9]* tests? ' "$directory/alone" || alone=1
  if ((alone == 0)); then
    results+=("passed alone, a finding: $test")
  else
    results+=("failed alone too: $test")
    bad=1
  fi
done
printf '\n'
printf '%s\n' "${results[@]}"
exit $bad
