# The demo's cluster as processes of this machine, by `stint up`; it loses an agent. Sourced by demo.sh.

cluster=
agent=
files=$data
told='the agent was killed'
lost_how='The loss of an agent while its pods run'
# A port that nobody listens on, from the default one on.
port=7420
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
export STINT_SERVER=127.0.0.1:$port
export KUBECONFIG=$data/cluster/coordinator/admin.kubeconfig

client() { "$binary" "$@"; }

start_cluster() {
  typed stint up --agents 3 --restart=false --overcommit
  : >"$data/up.log"
  "$binary" up --agents 3 --restart=false --overcommit --data "$data/cluster" --listen "$STINT_SERVER" \
    >"$data/up.log" 2>&1 &
  cluster=$!
  is_up() { kill -0 "$cluster" && grep -q 'The cluster is up' "$data/up.log"; }
  until_true 60 is_up
}

# strike NODE COUNT: its agent is gone; its pods go on under their keeper until their time is up.
strike() {
  local pid
  pid=$(pgrep -f "agent .*--name $1 .*--data $data/" | head -n 1)
  typed kill -9 "$pid"
  echo "    (the agent of $1, which runs $2 pods)"
  kill -9 "$pid"
}

come_back() {
  echo "the agent starts again; its frozen pods are told to end, without another step"
  "$binary" agent --coordinator "$STINT_SERVER" --name "$1" --data "$data/cluster/agents/$1" \
    --authority "$data/cluster/coordinator" >"$data/agent.log" 2>&1 &
  agent=$!
}

stop_cluster() {
  kill -INT "$cluster"
  wait "$cluster"
  cluster=
  if kill -0 "$agent" 2>/dev/null; then kill "$agent"; fi
  wait "$agent" 2>/dev/null || true
  agent=
  local rest
  rest=$(pgrep -f -- "--data $data/" || true)
  [ -z "$rest" ] || { echo "still running: $rest"; return 1; }
}

# After a failure, and at the end in any case.
last_words() { tail -n 20 "$data"/up.log "$data"/cluster/logs/*.log 2>/dev/null; }
end_cluster() {
  if [ -n "$cluster" ] && kill -INT "$cluster" 2>/dev/null; then wait "$cluster"; fi
  if [ -n "$agent" ] && kill "$agent" 2>/dev/null; then wait "$agent"; fi
}
