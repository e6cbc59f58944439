#!/usr/bin/env bash
# Owns: the end of a test run that hangs. Runs a command (swift test), passes its output on, and ends it with the names
# of the tests that had begun and not ended, when none has begun or ended for TEST_LIMIT (900) seconds or the whole takes
# longer than RUN_LIMIT (1800). Exit code 124 then, else the command's. A test's own time would tell little: all begin at
# once, wait for the few threads that run them, and many are told to have ended only when all bodies have run.
# It must not know the tests. A limit inside the test process would not do: a test that blocks its thread cannot be
# ended from there, and some hang with all threads.
set -uo pipefail

test_limit=${TEST_LIMIT:-900}
run_limit=${RUN_LIMIT:-1800}
declare -A begun=()
moved=$SECONDS
failed=()

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkfifo "$directory/output"
setsid "$@" >"$directory/output" 2>&1 &
command=$!
exec 3<"$directory/output"

# Follows one line of Swift Testing: "◇ Test NAME started.", "✔ Test NAME passed after …", "✘ Test NAME failed after …".
follow() {
  [[ $1 =~ ^[^\ ]+\ Test\ (.*)\ (started\.|passed\ after|failed\ after) ]] || return 0
  local name=${BASH_REMATCH[1]} what=${BASH_REMATCH[2]}
  # Of one case of a test only the beginning is told.
  [[ $name == run* || $name == 'case passing '* ]] && return
  [[ $name =~ ^(.*)\ with\ [0-9]+\ test\ cases?$ ]] && name=${BASH_REMATCH[1]}
  moved=$SECONDS
  case $what in
    started.) begun[$name]=$SECONDS ;;
    passed*) unset 'begun[$name]' ;;
    *) unset 'begun[$name]'; failed+=("$name") ;;
  esac
}

# The processes of the command's session: a test runner makes process groups of its own.
members() {
  local stat rest
  for stat in /proc/[0-9]*/stat; do
    { read -r rest <"$stat"; } 2>/dev/null || continue
    # Behind the name, which may hold anything: state, parent, group, session.
    set -- ${rest##*) }
    [[ ${4-} == "$command" && $1 != Z ]] && printf '%s\n' "${rest%% *}"
  done
}

stop() {
  printf '\n%s. Begun and not ended:\n' "$1"
  for name in "${!begun[@]}"; do printf '  %s (for %d s)\n' "$name" $((SECONDS - begun[$name])); done | sort
  disown "$command"
  kill -ABRT $(members) 2>/dev/null
  for _ in 1 2 3 4 5; do [[ -n $(members) ]] && sleep 1; done
  kill -KILL $(members) 2>/dev/null
  exit 124
}

looked=$SECONDS
while true; do
  IFS= read -r -t 5 line <&3
  got=$?
  if ((got == 0)); then
    printf '%s\n' "$line"
    follow "$line"
  # Above 128: nothing came for five seconds. Else the output has ended.
  elif ((got < 128)) || ! kill -0 "$command" 2>/dev/null; then
    break
  fi
  ((SECONDS >= looked + 5 || got != 0)) || continue
  looked=$SECONDS
  ((SECONDS < run_limit)) || stop "The run takes longer than $run_limit s"
  ((SECONDS - moved < test_limit)) || stop "No test has begun or ended for $test_limit s"
done
wait "$command"
status=$?
if ((${#failed[@]})); then
  printf '\nFailed:\n'
  printf '  %s\n' "${failed[@]}" | sort -u
fi
exit $status
