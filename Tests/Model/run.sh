#!/usr/bin/env bash
# Gives the model of the fencing protocol to Spin: once whole, where its claim must hold in every order of events, and
# once without each of its rules, where it must fail. Exit status 1 when one of these is not so.
#
#   Tests/Model/run.sh              all of it, within the bounds that CI uses
#   Tests/Model/run.sh --wide       three faults a run and two answers on their way: some minutes and GiB
#   Tests/Model/run.sh --story C4   the shortest way to two copies without rule C4, step by step
set -euo pipefail
cd "$(dirname "$0")"
model=$PWD/fencing.pml
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
rules=$(grep -oE '\bWITHOUT_[A-Z0-9_]+' fencing.pml | sort -u | sed 's/^WITHOUT_//')
bounds=()
# A machine with a Swift toolchain has clang, if not cc.
compiler=${CC:-$(command -v cc || command -v clang)}

# Builds the checker of the model, without a rule where one is named, into its own folder: checker NAME CFLAGS…
checker() {
  local name=$1; shift
  mkdir "$work/$name"; cd "$work/$name"
  spin ${bounds[@]+"${bounds[@]}"} $([ "$name" = whole ] || echo "-DWITHOUT_$name") -a "$model"
  "$compiler" -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=12000 "$@" -o checker pan.c
  ./checker -E -m100000 >out 2>&1 || true
  if grep -qE 'out of memory|MEMLIM|max search depth too small' out; then
    echo "$name: the search did not end: $(grep -oE 'out of memory|MEMLIM|max search depth too small' out | head -n 1)"; exit 1
  fi
}

# Breadth first, so that the way to the failure is the shortest.
without() {
  checker "$1" -DBFS
  if ! grep -q 'assertion violated' out; then echo "without $1: the claim still holds: the rule does nothing"; exit 1; fi
  printf 'without %-12s fails: %-20s %3d steps\n' "$1" \
    "$(grep -q 'successes<=1' out && echo 'counted twice' || echo 'two copies')" "$(sed -nE 's/.*at depth ([0-9]+)\).*/\1/p' out)"
}

case ${1-} in
  --wide) bounds=(-DFAULTS=3 -DANSWERS=2) ;;
  --story)
    checker "${2:?which rule? One of: $rules}" -DBFS
    # What changes something, who does it: conditions and what only forgets are left out.
    spin "-DWITHOUT_$2" -t -p -k fencing.pml.trail "$model" \
      | sed -nE 's/.*proc +[0-9]+ \((Clock|Coordinator|Node):1\).*\[([a-zA-Z]+ = .*|[a-zA-Z]+[!?].*)\]$/\1: \2/p' \
      | grep -vE ': (sentAt|from|well|given|listed|to|leaseEnd) = 0$'
    grep -q 'successes<=1' out && echo 'a second success is counted' || echo 'two copies run'
    exit ;;
  '') ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

( checker whole
  if grep -q 'errors: 0' out; then
    printf 'the whole model: the claim holds in all %s states\n' "$(sed -nE 's/ *([0-9.e+]+) states, stored.*/\1/p' out | head -n 1)"
  else
    echo 'the whole model: the claim fails:'; grep 'pan:1' out; exit 1
  fi ) & whole=$!
failed=0
bounds=()
for rule in $rules; do ( without "$rule" ) || failed=1; done
wait $whole || failed=1
exit $failed
