#!/usr/bin/env bash
# Machines that are namespaces: each has its own network address, host name, machine id, boot id, processes and disk;
# a bridge joins them. The demo and the tests of several machines use them. Needs root.
#
#   machines.sh switch DIR                  holds the network until its standard input ends
#   machines.sh machine DIR NAME NUMBER     is a machine, 10.0.0.NUMBER and fd00::NUMBER, until its standard input ends
#   machines.sh on DIR NAME COMMAND…        runs a command there
#   machines.sh off DIR NAME                cuts its power; its disk stays, for another `machine`
#   machines.sh cut|join DIR NAME           its network cable: nothing comes or goes, and nobody is told
#   machines.sh mute|unmute DIR NAME OTHER  what NAME sends to OTHER is lost, what it hears from it is not
#   machines.sh slow DIR NAME KBITS         a narrow line towards NAME: 1,000 bytes take 8,000/KBITS ms; 0: as before
#
# DIR is the same for all machines of one network; DIR/shared is /mnt/shared on each, DIR/disks/NAME what NAME has
# changed of /etc, /var, /usr/local, /root and /home, which are else those of this machine. /tmp and /run are its own.
# What they share is the kernel: its uptime, and that a disk mounted anew has another device number; so a boot there is
# never the proof of one that it is on a real machine. STINT, a path, is /usr/local/bin/stint there. Whoever holds the
# standard inputs holds everything: when it ends, however it ends, all of it is gone but DIR.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 2; }
[ $# -ge 2 ] || usage
what=$1 dir=$2 name=${3:-}
disks=(etc var usr/local root home)

pid_of() { cat "$dir/pids/$1" 2>/dev/null || { echo "machines.sh: there is no $1 in $dir" >&2; exit 1; }; }
number_of() { sed -n 's/^10\.0\.0\.\([0-9]*\) .*/\1/p' "$dir/disks/$1/etc/hosts"; }
on_network() { nsenter --net="/proc/$(pid_of "$name")/ns/net" "$@"; }
in_switch() { nsenter --net="/proc/$(pid_of switch)/ns/net" "$@"; }
# Told once it is true: whoever reads the file may use it.
announce() { echo "$3" >"$1/$2.new" && mv "$1/$2.new" "$1/$2"; }

hold_switch() {
  ip link set lo up
  ip link add lan type bridge forward_delay 0
  ip link set lan up
  announce "$dir/pids" switch $$
  exec cat >/dev/null
}

# As process 1 of the new namespaces; /proc is still that of the outside.
boot() {
  local number=$1 own place
  read -r own _ </proc/self/stat
  # The kernel takes its time with the network of a machine that is off; a port has one cable.
  in_switch ip link del "port$number" 2>/dev/null || true
  # Its card is the same one after a loss of power: others still know it.
  in_switch ip link add "port$number" type veth peer name eth0 address "02:00:00:00:01:$(printf %02x "$number")" netns 1
  in_switch ip link set "port$number" master lan up
  ip link set lo up
  ip address add "10.0.0.$number/24" dev eth0
  ip address add "fd00::$number/64" dev eth0 nodad
  ip link set eth0 up
  echo "$name" >/proc/sys/kernel/hostname
  if [ ! -e "$dir/disks/$name/machine-id" ]; then
    for place in "${disks[@]}"; do mkdir -p "$dir/disks/$name/$place" "$dir/disks/$name.work/$place"; done
    tr -d - </proc/sys/kernel/random/uuid >"$dir/disks/$name/machine-id"
    cp "$dir/disks/$name/machine-id" "$dir/disks/$name/etc/machine-id"
    echo "$name" >"$dir/disks/$name/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost\n10.0.0.%s %s\n' "$number" "$name" >"$dir/disks/$name/etc/hosts"
  fi
  for place in "${disks[@]}"; do
    mount -t overlay "$name" -o "lowerdir=/$place,upperdir=$dir/disks/$name/$place,workdir=$dir/disks/$name.work/$place" \
      "/$place"
  done
  mount -t tmpfs "$name" /mnt
  mkdir /mnt/shared /mnt/boot /mnt/pids
  mount --bind "$dir/shared" /mnt/shared
  # DIR may be in /tmp, which is hidden before all is there.
  mount --bind "$dir/pids" /mnt/pids
  if [ -n "${STINT:-}" ]; then
    : >/usr/local/bin/stint
    mount --bind "$STINT" /usr/local/bin/stint
  fi
  cat /proc/sys/kernel/random/uuid >/mnt/boot/id
  mount -t tmpfs "$name" /run
  mount -t tmpfs "$name" /tmp
  mount -t proc "$name" /proc
  mount --bind /mnt/boot/id /proc/sys/kernel/random/boot_id
  announce /mnt/pids "$name" "$own"
  umount /mnt/pids
  echo ready
  # Reaps whom nobody else does, until its input ends.
  while read -r _; do :; done
}

case $what in
  switch)
    mkdir -p "$dir/pids" "$dir/disks" "$dir/shared"
    exec unshare --net -- "$0" hold-switch "$dir"
    ;;
  hold-switch) hold_switch ;;
  machine)
    [ $# -eq 4 ] || usage
    exec unshare --mount --propagation private --uts --ipc --net --pid --fork --kill-child -- "$0" boot "$dir" "$name" "$4"
    ;;
  boot) boot "$4" ;;
  on)
    pid=$(pid_of "$name")
    shift 3
    cd /
    exec nsenter --target "$pid" --mount --uts --ipc --net --pid -- env --chdir=/root HOME=/root USER=root \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ;;
  off)
    pid=$(pid_of "$name")
    rm "$dir/pids/$name"
    kill -KILL "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    # With a real machine its kernel goes, and the control groups of its keepers with it.
    while read -r register; do
      for keeper in $(grep -o '"keeper":"[0-9a-f]\{12\}' "$register"); do
        for group in /sys/fs/cgroup/{,unified/}stint-"${keeper##*\"}".*; do
          rmdir "$group"/*/ "$group" 2>/dev/null || true
        done
      done
    done < <(find "$dir/disks/$name" -name keepers)
    ;;
  cut) in_switch ip link set "port$(number_of "$name")" nomaster ;;
  join) in_switch ip link set "port$(number_of "$name")" master lan ;;
  mute | unmute)
    # Its frames to OTHER go to a card that nobody has; what OTHER sends still comes.
    other=$(number_of "$4")
    for address in "10.0.0.$other" "fd00::$other"; do
      if [ "$what" = mute ]; then
        on_network ip neighbour replace "$address" lladdr 02:00:00:00:00:00 nud permanent dev eth0
      else
        on_network ip neighbour del "$address" dev eth0
      fi
    done
    ;;
  slow)
    port=port$(number_of "$name")
    in_switch tc qdisc del dev "$port" root 2>/dev/null || true
    [ "$4" -eq 0 ] || in_switch tc qdisc add dev "$port" root tbf rate "$4kbit" burst 1600 latency 60s
    ;;
  *) usage ;;
esac
