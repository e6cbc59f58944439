#!/bin/bash
# What `make package-test` runs: installs the Debian package in a fresh root, starts both programs as the units would,
# upgrades under a running pod, purges, and looks for what is left.
# Usage: Tests/Packaging/run.sh BINARY [ARCHIVE]. ARCHIVE: a tar of a minimal Debian, made by debootstrap where it is not
# there yet. Needs root; what is missing is skipped by name. Leaves nothing but the archive.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo 'skipped: the package (not root)'; exit 0; }
binary=$(realpath "${1:?usage: Tests/Packaging/run.sh BINARY [ARCHIVE]}")
here=$(realpath "$(dirname "$0")")
lap=$SECONDS
took() { printf '%-44s %4d s\n' "$1" $((SECONDS - lap)); lap=$SECONDS; }

if [ -z "${STINT_PACKAGING:-}" ]; then
  export STINT_PACKAGING=$(mktemp -d "${TMPDIR:-/tmp}/stint-packaging.XXXXXX")
  trap 'rm -rf --one-file-system "$STINT_PACKAGING"' EXIT
  archive=${2:-$STINT_PACKAGING/base.tar}
  if [ ! -e "$archive" ]; then
    command -v debootstrap >/dev/null || { echo 'skipped: the package (there is no debootstrap)'; exit 0; }
    debootstrap --variant=minbase "${SUITE:-bookworm}" "$STINT_PACKAGING/base" >"$STINT_PACKAGING/debootstrap.log" ||
      { tail "$STINT_PACKAGING/debootstrap.log"; exit 1; }
    tar -C "$STINT_PACKAGING/base" -cf "$archive" .
    rm -rf "$STINT_PACKAGING/base"
    took 'a fresh Debian by debootstrap'
  fi
  mkdir "$STINT_PACKAGING/root"
  tar -C "$STINT_PACKAGING/root" -xf "$archive"
  # A machine of its own: mounts, ports, host name and processes, which end with it.
  unshare --mount --net --uts --ipc --pid --fork --kill-child --propagation private "$0" "$binary"
  exit
fi

work=$STINT_PACKAGING
root=$work/root
trap 'status=$?; if [ $status -ne 0 ]; then tail -n 20 "$work"/*.log; inside stint describe pods || true; fi' EXIT
hostname package-test
ip link set lo up
# A root that is no mount point could not be made private for pods.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
clean=(chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C KUBECONFIG=/var/lib/stint/admin.kubeconfig)
inside() { "${clean[@]}" "$@"; }
until_true() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $limit ] || { echo "not so within the time: $*"; return 1; }
    sleep 0.2
  done
}
# Starts ExecStart of a unit with its EnvironmentFile and StateDirectory, as systemd would: the process is $last.
unit() {
  local file=$root/lib/systemd/system/$1.service line state
  line=$(sed -n 's/^ExecStart=//p' "$file")
  state=$(sed -n 's/^StateDirectory=//p' "$file")
  install -d -m 0700 "$root/var/lib/$state"
  # No function here: the process must be the program itself.
  "${clean[@]}" sh -c ". /etc/default/$1; exec $line" >>"$work/$1.log" 2>&1 &
  last=$!
}
left() {
  (cd "$root" && find etc usr lib var/lib -xdev \( -path var/lib/dpkg -o -path var/lib/apt \) -prune -o -print | sort)
}

# A package is made once; the next version differs in its number alone, which is cheap to say again.
first=$("$here/../../compose/deb.sh" "$binary" "$work/first" 0.1.0)
mkdir "$work/next"
next=$work/next/stint.deb
dpkg-deb -R "$first" "$work/unpacked"
sed -i 's/^Version: .*/Version: 0.1.1/' "$work/unpacked/DEBIAN/control"
dpkg-deb -Zgzip -z1 --root-owner-group --build "$work/unpacked" "$next" >/dev/null
cp "$first" "$root/first.deb"
cp "$next" "$root/next.deb"
before=$(left)
echo "the package: $(stat -c %s "$first") bytes, depends on $(dpkg-deb -f "$first" Depends)"
took 'two packages made'

inside dpkg -i /first.deb >"$work/dpkg.log" 2>&1
[ ! -e "$root/var/lib/stint" ] || { echo 'the installation started something'; exit 1; }
unit stint-coordinator
coordinator=$last
until_true 60 test -e "$root/var/lib/stint/admin.kubeconfig"
unit stint-agent
agent=$last
ready() { inside stint get nodes 2>/dev/null | grep -q ' Ready '; }
until_true 60 ready
took 'installed, both started, the node is Ready'

cat >"$root/job.yaml" <<'JOB'
apiVersion: batch/v1
kind: Job
metadata: {name: long}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: host
        command: [sh, -c, "echo begun >> /work/signs; until [ -e /work/go ]; do sleep 0.2; done; echo done"]
        volumeMounts: [{name: work, mountPath: /work}]
      volumes: [{name: work, hostPath: {path: /work}}]
JOB
mkdir "$root/work"
inside stint apply -f /job.yaml
until_true 60 test -e "$root/work/signs"
pod=$(inside stint get pods -o name)
inside dpkg -i /next.deb >>"$work/dpkg.log" 2>&1
# What the package's own script asks of systemd: the coordinator, then the agent, whose unit ends its own process alone.
kill "$coordinator"
wait "$coordinator"
unit stint-coordinator
coordinator=$last
kill "$agent"
wait "$agent" || true
unit stint-agent
agent=$last
until_true 60 ready
touch "$root/work/go"
inside stint wait job/long --for=complete --timeout 60s
[ "$(inside stint get pods -o name)" = "$pod" ] || { echo 'the upgrade cost the pod'; exit 1; }
[ "$(cat "$root/work/signs")" = begun ] || { echo 'the pod was started twice'; exit 1; }
[ "$(inside stint logs job/long)" = 'done' ]
[ "$(inside dpkg-query -W -f '${Version}' stint)" = 0.1.1 ]
took 'a Job, upgraded while its pod ran'

inside stint backup /stint.backup --data /var/lib/stint
# systemctl disable --now stops both units; the agent's pods go by the package's own script.
for process in "$agent" "$coordinator"; do
  kill "$process"
  wait "$process" || true
done
inside dpkg --remove stint >>"$work/dpkg.log" 2>&1
[ -e "$root/var/lib/stint/stint.db" ] && [ -e "$root/etc/default/stint-agent" ] ||
  { echo 'removing it took data along, which is for a purge'; exit 1; }
inside dpkg --purge stint >>"$work/dpkg.log" 2>&1
rm -rf "$root"/{first,next}.deb "$root/job.yaml" "$root/work" "$root/stint.backup"
diff <(echo "$before") <(left) || { echo 'the purge left this'; exit 1; }
# Of this machine alone: the /proc outside shows those of whoever else runs the program.
for link in "$root"/proc/[0-9]*/exe; do
  case $(readlink "$link" 2>/dev/null || true) in
    *bin/stint*) echo "still runs: $link"; exit 1 ;;
  esac
done
took 'removed and purged: nothing is left'
