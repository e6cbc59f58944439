#!/usr/bin/env bash
# What `make demo` runs: a cluster of three nodes in a temporary directory, the example Jobs, and the loss of a node: of a
# whole machine where it may make machines (root), else of an agent.
# Usage: compose/demo.sh BINARY. Ends with status 0 when every Job ended as it should; leaves nothing behind either way.
# STINT_DEMO=processes makes no machines.
set -euo pipefail

binary=$(realpath "${1:?usage: compose/demo.sh BINARY}")
examples=$(realpath "$(dirname "$0")/../docs/examples")
data=$(mktemp -d "${TMPDIR:-/tmp}/stint-demo.XXXXXX")
times=()
phase_name=
phase_began=0
began=$(date +%s.%N)
bold= plain=
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

seconds() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.1f", b - a}'; }

end_phase() {
  [ -n "$phase_name" ] || return 0
  local took
  took=$(seconds "$phase_began" "$(date +%s.%N)")
  times+=("$(printf '%7s s  %s' "$took" "$phase_name")")
  printf '(%s s)\n' "$took"
}

phase() {
  end_phase
  phase_name=$1
  phase_began=$(date +%s.%N)
  printf '\n%s== %s%s\n' "$bold" "$1" "$plain"
}

finish() {
  local status=$?
  trap - EXIT INT TERM HUP
  set +e
  if [ $status -ne 0 ]; then
    printf '\nthe demo failed in: %s (status %s)\n' "${phase_name:-its start}" "$status"
    client get jobs,pods -o wide 2>&1
    last_words
  fi
  end_cluster
  rm -rf "$data"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Shows a command as one would type it.
typed() { at '' "$@"; }
# The same, typed on a machine.
at() {
  printf '%s%s$' "$bold" "$1"
  shift
  local word
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./:=,-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  printf '%s\n' "$plain"
}

# Shows a command of the client and runs it.
stint() {
  typed stint "$@"
  client "$@"
}

# Applies an example; its files go below the demo's own directory instead of /var/tmp.
apply() {
  typed stint apply -f "docs/examples/$1"
  sed "s#/var/tmp/stint-#$files/#" "$examples/$1" | client apply -f -
}

# Waits until the command after the number of seconds succeeds; nothing here waits longer than it must.
until_true() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    if [ $SECONDS -ge $limit ]; then echo "not so within the time: $*"; return 1; fi
    sleep 0.2
  done
}

# Whether this process may make machines, tried with all that they take.
can_make_machines() {
  [ "$(id -u)" = 0 ] && command -v ip nsenter >/dev/null && unshare --mount --net --uts --ipc --pid --fork sh -c '
    ip link add lan type bridge && mount -t tmpfs trial /mnt && mkdir /mnt/upper /mnt/work &&
    mount -t overlay trial -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc' 2>/dev/null
}
if [ "${STINT_DEMO:-machines}" = machines ] && can_make_machines; then
  . "$(dirname "$0")/demo-machines.sh"
  echo 'as root: on machines of its own, of which it loses one'
else
  . "$(dirname "$0")/demo-processes.sh"
  echo 'as processes of this machine (as root: on machines of its own, of which it loses one)'
fi
shared=${shared:-$data}

phase 'A cluster: one coordinator, three agents'
start_cluster
stint get nodes

phase 'A Job that runs one task to completion'
apply job.quiz-init.yaml
apply job.demo-ttl.yaml
stint get jobs
stint wait job/quiz-init --for=complete --timeout 60s
stint get jobs
stint describe job quiz-init
stint get pods -l job-name=quiz-init
stint logs job/quiz-init --all-containers --prefix

phase 'A Job that is created suspended, resumed, and suspended while it runs'
running() { [ "$(client get pods -l "job-name=$1" --no-headers 2>/dev/null | grep -c ' Running ')" -ge "$2" ]; }
gone() { [ -z "$(client get pods -l "job-name=$1" --no-headers 2>/dev/null)" ]; }
apply job.demo-suspend.yaml
stint get po -l job-name=demo-suspend
stint patch job demo-suspend -p '{"spec":{"suspend": false}}'
until_true 30 running demo-suspend 1
stint get po -l job-name=demo-suspend
stint patch job demo-suspend -p '{"spec":{"suspend": true}}'
until_true 60 gone demo-suspend
stint get po -l job-name=demo-suspend
stint events --for job/demo-suspend

phase 'Deleting Jobs, with their pods and without'
stint delete job quiz-init
stint get po -l job-name=quiz-init
stint resume demo-suspend
until_true 30 running demo-suspend 1
stint delete job demo-suspend --cascade=orphan
stint get po
orphan=$(client get po -o name -l job-name=demo-suspend)
stint delete "$orphan"

phase 'A task five times, two at a time; a quarter of the runs fail'
apply job.generate-responses.yaml
until_true 30 running generate-responses 1
stint get po -l job-name=generate-responses
stint wait job/generate-responses --for=complete --timeout 120s
stint get job generate-responses
stint get po -l job-name=generate-responses

phase 'A Job that is deleted ten seconds after its end'
stint wait job/demo-ttl --for=delete --timeout 60s
stint get jobs

phase "$lost_how"
ledger=$shared/ledger/failover.log
apply job.failover.yaml
until_true 30 running failover 12
stint get po -l job-name=failover -o wide
victim=node-2
lost=$(client get po -l job-name=failover -o wide --no-headers | awk -v node=$victim '$0 ~ " " node " " {print $1}')
strike $victim "$(wc -w <<<"$lost")"
killed=$(awk '{print $1}' /proc/uptime)

# How many of the lost pods have processes, by the name in their environment.
left() {
  local pod file
  for file in /proc/[0-9]*/environ; do
    for pod in $lost; do
      if tr '\0' '\n' <"$file" | grep -qx "HOSTNAME=$pod"; then echo "$pod"; fi
    done
  done 2>/dev/null | sort -u | wc -l
}
echo "pods of it that still have their processes: $(left)"
not_ready() { client get nodes --no-headers | grep -q "^$victim  *NotReady"; }
until_true 30 not_ready
stint get nodes
echo "pods freeze at the end of lease and toleration; 1.05 times that and 2 s later others may take their place"
replaced() {
  [ "$(client get po -l job-name=failover -o wide --no-headers 2>/dev/null |
    awk -v node=$victim '$0 !~ " " node " " && / (Running|Completed) /' | wc -l)" -ge 12 ]
}
until_true 40 replaced
stint get po -l job-name=failover -o wide
echo "lost pods that still have their processes, frozen: $(left)"
come_back $victim
are_gone() { [ "$(left)" -eq 0 ]; }
until_true 30 are_gone
echo "lost pods that still have processes: $(left)"
stint wait job/failover --for=complete --timeout 90s
stint get job failover
failed=$(client get job failover -o json | tr -d ' \n' | grep -o '"failed":[0-9]*' | cut -d: -f2 || true)
echo "status.failed: ${failed:-0}"

echo
echo "what the pods wrote, by the machine's boot clock ($told at $killed):"
awk -v lost=" $(tr '\n' ' ' <<<"$lost") " -v killed="$killed" '
  {
    pod = $4
    if (!(pod in first)) { first[pod] = $1; token[pod] = $3; order[++count] = pod }
    last[pod] = $1
    lines[pod]++
  }
  END {
    printf "%-16s %8s %10s %10s %6s\n", "POD", "ATTEMPT", "FIRST", "LAST", "LINES"
    for (i = 1; i <= count; i++) {
      pod = order[i]; what = ""
      if (index(lost, " " pod " ")) { what = "lost"; if (last[pod] > end) end = last[pod] }
      else if (first[pod] > killed + 5) {
        what = "replacement"
        if (!start || first[pod] < start) start = first[pod]
      }
      printf "%-16s %8s %10.2f %10.2f %6d%s\n", pod, token[pod], first[pod], last[pod], lines[pod], what ? "  " what : ""
    }
    printf "last sign of a lost pod: %.2f; first sign of a replacement: %.2f, %.2f s after it, %.1f s after the loss\n",
      end, start, start - end, start - killed
    exit !(start > end && end > 0)
  }' "$ledger"

phase 'How it stands at the end'
stint get jobs
stint get pods -o wide
stint get nodes
typed sqlite3 quiz.db
sqlite3 -header -column "$shared/quiz/quiz.db" \
  'SELECT (SELECT count(*) FROM questions) AS questions, count(*) AS responses, count(DISTINCT pod) AS pods FROM responses'

phase 'Stopping everything'
stop_cluster
end_phase
phase_name=

printf '\nWhere the time went:\n'
printf '%s\n' "${times[@]}"
printf '%7s s  altogether\n' "$(seconds "$began" "$(date +%s.%N)")"
