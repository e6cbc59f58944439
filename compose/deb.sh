#!/bin/bash
# What `make deb` runs: a Debian package of the release binary with units, completions and man pages.
# Usage: compose/deb.sh BINARY DIRECTORY [VERSION]. Prints the package's path. Needs dpkg-deb; changes nothing else.
# STINT_DEB_DEPENDS: what the package depends on, for a binary whose libraries are in no package, such as a debug one.
set -euo pipefail

binary=$(realpath "${1:?usage: compose/deb.sh BINARY DIRECTORY [VERSION]}")
target=${2:?usage: compose/deb.sh BINARY DIRECTORY [VERSION]}
here=$(realpath "$(dirname "$0")")
command -v dpkg-deb >/dev/null || { echo 'there is no dpkg-deb here: install dpkg' >&2; exit 1; }
version=${3:-$("$binary" version --client | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)}
[ -n "$version" ] || { echo "$binary version --client names no version" >&2; exit 1; }
architecture=$(dpkg --print-architecture)
root=$(mktemp -d "${TMPDIR:-/tmp}/stint-deb.XXXXXX")
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"

# The packages that own the libraries that the binary is linked to, with the versions that its symbols need where
# dpkg-shlibdeps can tell. A library's real path is asked for too: where /lib is a link, packages list one of the names.
depends() {
  local library name work=$root/shlibs
  if command -v dpkg-shlibdeps >/dev/null; then
    mkdir -p "$work/debian"
    printf 'Source: stint\n\nPackage: stint\nArchitecture: any\n' >"$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O "$binary" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
    rm -rf "$work"
    return
  fi
  ldd "$binary" | awk '$2 == "=>" {print $3}' | while read -r library; do
    name=$({ dpkg -S "$library" || dpkg -S "$(realpath "$library")" || dpkg -S "${library#/usr}"; } 2>/dev/null |
      head -n 1 | cut -d: -f1)
    [ -n "$name" ] || { echo "no package owns $library: link it statically or install it as one" >&2; exit 1; }
    echo "$name"
  done | sort -u | paste -sd, | sed 's/,/, /g'
}

libraries=${STINT_DEB_DEPENDS:-$(depends)}
[ -n "$libraries" ] || { echo "no packages of the libraries of $binary were found" >&2; exit 1; }
install -D -m 0755 "$binary" "$root/usr/bin/stint"
for unit in "$here"/systemd/*.service; do
  install -D -m 0644 "$unit" "$root/lib/systemd/system/$(basename "$unit")"
done
share=$root/usr/share
mkdir -p "$share"/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d,man/man1,doc/stint}
mkdir -p "$root/etc/default" "$root/DEBIAN"
"$binary" completion bash >"$share/bash-completion/completions/stint"
"$binary" completion zsh >"$share/zsh/vendor-completions/_stint"
"$binary" completion fish >"$share/fish/vendor_completions.d/stint.fish"
"$binary" man "$share/man/man1" >/dev/null
gzip -9n "$share"/man/man1/*.1
if [ -e "$here/../LICENSE" ]; then cp "$here/../LICENSE" "$share/doc/stint/copyright"; fi
echo '# Flags of the coordinator: stint coordinator --help. With --listen 0.0.0.0 agents on other machines reach it.
STINT_COORDINATOR_FLAGS=""' >"$root/etc/default/stint-coordinator"
echo '# Flags of the agent: stint agent --help. On the coordinator'"'"'s own machine its authority gives the identity. On any
# other one put the line that `stint token create` prints into a file that only root reads, and write instead:
# STINT_AGENT_FLAGS="--join-file /var/lib/stint-agent/join"
STINT_AGENT_FLAGS="--authority /var/lib/stint"' >"$root/etc/default/stint-agent"
printf '/etc/default/stint-coordinator\n/etc/default/stint-agent\n' >"$root/DEBIAN/conffiles"

cat >"$root/DEBIAN/control" <<CONTROL
Package: stint
Version: $version
Architecture: $architecture
Maintainer: Stint <stint@localhost>
Depends: $libraries
Recommends: bubblewrap, skopeo
Section: admin
Priority: optional
Description: runs Kubernetes Jobs without Kubernetes
 One binary: a coordinator, an agent on each machine, and the commands.
CONTROL

# Neither unit is started by the installation: a machine is a coordinator, a node or both by its owner's word.
cat >"$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # An upgrade: the coordinator first. Pods go on under their keepers.
  [ -z "$2" ] || systemctl try-restart stint-coordinator.service stint-agent.service
fi
SCRIPT
cat >"$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ]; then
  if [ -d /run/systemd/system ]; then systemctl disable --now stint-agent.service stint-coordinator.service || true; fi
  # An agent's stop leaves its pods; what removes the program ends them.
  if [ -d /var/lib/stint-agent ]; then stint agent --stop --data /var/lib/stint-agent; fi
fi
SCRIPT
cat >"$root/DEBIAN/postrm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = purge ]; then rm -rf /var/lib/stint /var/lib/stint-agent; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
SCRIPT
chmod 0755 "$root"/DEBIAN/{postinst,prerm,postrm}

mkdir -p "$target"
package=$target/stint_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
