#!/bin/bash
# What `make dist` runs: a tarball of the release binary with man pages, completions and README, for machines without a
# package manager that knows it. Says which libraries the binary asks for, refuses others than every Linux has, and as
# root starts it in a root that holds nothing else.
# Usage: compose/dist.sh BINARY DIRECTORY. STINT_DIST_ANY_LIBRARY=1: takes a binary with other libraries, a debug one.
set -euo pipefail

binary=$(realpath "${1:?usage: compose/dist.sh BINARY DIRECTORY}")
target=${2:?usage: compose/dist.sh BINARY DIRECTORY}
here=$(realpath "$(dirname "$0")")
version=$("$binary" version --client | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)
[ -n "$version" ] || { echo "$binary version --client names no version" >&2; exit 1; }
name=stint-$version-linux-$(uname -m)
work=$(mktemp -d "${TMPDIR:-/tmp}/stint-dist.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"

# glibc, its loader, and the two that GCC brings: on every glibc distribution since they are what programs are linked to.
common='^(linux-vdso|ld-linux[^ ]*|libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+|libresolv|libutil)\.so'
libraries=$(ldd "$binary" | awk '{sub(".*/", "", $1); print $1}' | sort -u)
other=$(grep -vE "$common" <<<"$libraries" || true)
if [ -n "$other" ] && [ -z "${STINT_DIST_ANY_LIBRARY:-}" ]; then
  echo "$binary asks for libraries that not every machine has: $(paste -sd' ' <<<"$other")" >&2
  echo 'make release links them statically' >&2
  exit 1
fi

root=$work/$name
mkdir -p "$root"/share/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d,doc/stint}
install -D -m 0755 "$binary" "$root/bin/stint"
"$binary" man "$root/share/man/man1" >/dev/null
"$binary" completion bash >"$root/share/bash-completion/completions/stint"
"$binary" completion zsh >"$root/share/zsh/site-functions/_stint"
"$binary" completion fish >"$root/share/fish/vendor_completions.d/stint.fish"
cp "$here/../README.md" "$root/"
cp -r "$here/../docs/." "$root/share/doc/stint/"
if [ -e "$here/../LICENSE" ]; then cp "$here/../LICENSE" "$root/"; fi

mkdir -p "$target"
archive=$target/$name.tar.gz
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - "$name" | gzip -9n >"$archive"

# In an empty root: the binary by what is in the tarball, the libraries that it asks for, /proc (a Swift program has its
# arguments from there), and nothing else. The mount is gone with the namespace.
if [ "$(id -u)" = 0 ] && command -v chroot >/dev/null && unshare -m true 2>/dev/null; then
  empty=$work/empty
  mkdir -p "$empty/proc"
  tar -C "$empty" --strip-components=1 -xzf "$archive" "$name/bin/stint"
  ldd "$binary" | grep -oE '/[^ ]+' | while read -r library; do
    install -D "$(realpath "$library")" "$empty$library"
  done
  alone() { unshare -m sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" /bin/stint "$@"' "$empty" "$@"; }
  said=$(alone version --client)
  alone run --dry-run -o yaml --name try -- true | grep -q '^kind: Job$' ||
    { echo 'in an empty root `stint run --dry-run` prints no Job' >&2; exit 1; }
  echo "in an empty root: $said"
else
  echo 'not started in an empty root: that needs root, chroot and unshare'
fi
echo "asks for: $(paste -sd' ' <<<"$libraries")"
echo "$archive"
