# The demo's cluster on machines (namespaces, see machines.sh): a coordinator, three nodes and a laptop; it loses a whole
# machine. Sourced by demo.sh.

machines=$(dirname "$0")/machines.sh
net=$data/net
files=/mnt/shared
shared=$net/shared
told='the machine lost power'
lost_how='The loss of a machine while pods run on it'
nodes=(node-1 node-2 node-3)
declare -A holders
mkdir -p "$net/logs"
# Everything hangs on this pipe, and ends with it.
mkfifo "$data/line"
exec 9<>"$data/line"

on() { "$machines" on "$net" "$@" 9>&-; }
client() { on laptop env KUBECONFIG=/mnt/shared/kubeconfig stint "$@"; }
spawn() { "$@" <"$data/line" 9>&- >>"$net/logs/$log" 2>&1 & }

boot() {
  log=$1 STINT=$binary spawn "$machines" machine "$net" "$1" "$2"
  holders[$1]=$!
  is_there() { [ -e "$net/pids/$1" ]; }
  until_true 10 is_there "$1"
}

agent_words=(stint agent --join-file /mnt/shared/join)
start_agent() { log=$1 spawn on "$1" "${agent_words[@]}"; }

start_cluster() {
  echo "five machines, which are namespaces with their own addresses, names, ids and disks: head, ${nodes[*]}, laptop"
  log=switch spawn "$machines" switch "$net"
  is_there() { [ -e "$net/pids/switch" ]; }
  until_true 10 is_there
  local number=1 node
  for node in head "${nodes[@]}" laptop; do
    boot "$node" $number
    number=$((number + 1))
  done
  local words=(stint coordinator --data /var/lib/stint --listen 0.0.0.0)
  at head "${words[@]}"
  log=coordinator spawn on head "${words[@]}"
  is_served() { [ -e "$net/disks/head/var/lib/stint/admin.kubeconfig" ]; }
  until_true 30 is_served
  # That of the data directory is for the coordinator's own machine.
  (umask 077; on head stint kubeconfig --data /var/lib/stint >"$shared/kubeconfig")
  words=(stint token create --kubeconfig /var/lib/stint/admin.kubeconfig)
  at head "${words[@]}"
  (umask 077; on head "${words[@]}" >"$shared/join")
  echo "(its line is carried to the other machines in a file, on a disk that all share here)"
  for node in "${nodes[@]}"; do
    at "$node" "${agent_words[@]}"
    start_agent "$node"
  done
  are_ready() { [ "$(client get nodes --no-headers 2>/dev/null | grep -c ' Ready ')" = 3 ]; }
  until_true 60 are_ready
}

# strike NODE COUNT: its power fails, all that ran there is gone at once.
strike() {
  echo "the power of $1 fails, which runs $2 pods"
  "$machines" off "$net" "$1"
  { wait "${holders[$1]}"; } 2>/dev/null || true
}

come_back() {
  echo "$1 has power again and boots; its agent starts"
  boot "$1" $((${1#node-} + 1))
  start_agent "$1"
  is_back() { client get nodes --no-headers | grep -q "^$1  *Ready"; }
  until_true 60 is_back "$1"
  client get nodes
}

stop_cluster() {
  local node
  for node in "${nodes[@]}"; do at "$node" stint agent --stop --data /var/lib/stint-agent; done
  for node in "${nodes[@]}"; do on "$node" stint agent --stop --data /var/lib/stint-agent & stops[${#stops[@]}]=$!; done
  wait "${stops[@]}"
  on head sh -c 'kill $(cat /var/lib/stint/lock)'
  is_down() { grep -q stopped "$net/logs/coordinator"; }
  until_true 30 is_down
  end_cluster
}
stops=()

last_words() { tail -n 20 "$net"/logs/* 2>/dev/null; }
end_cluster() {
  exec 9>&-
  # The shell would tell of each process that it ended with its machine.
  { wait; } 2>/dev/null
}
