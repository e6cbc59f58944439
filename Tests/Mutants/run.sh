#!/usr/bin/env bash
# Owns: the planted bugs. Each patch beside this file makes one mistake that somebody has made or could make; all of them
# are laid into one copy of the source, asleep, and that copy is built once. Then one after the other is woken
# (STINT_PLANTED) and seeds are simulated until something is violated. First with all asleep: that must hold.
# It must not know what the mistakes are: that stands in the patches.
#   run.sh                all of them; exit 1 when one is not caught within SEEDS (64) seeds of HOURS (0.5) each
#   run.sh NAME...        only these
#   run.sh --some N       N of them, others each day
#   run.sh --check        only whether every patch can still be laid over the source
# TABLE=FILE: the result as rows of a table.
set -euo pipefail
cd "$(dirname "$0")/../.."

seeds=${SEEDS:-64}
hours=${HOURS:-0.5}
copy=.build/mutants
binary=$copy/.build/release/stint
step=$(nproc)

names=()
for patch in Tests/Mutants/*.patch; do names+=("$(basename "$patch" .patch)"); done

# The source as it is here, committed or not, in a new directory, and all patches over it.
lay() {
  local target=$1
  mkdir -p "$target"
  git ls-files -z -- Package.swift Sources Tests | while IFS= read -r -d '' file; do
    if [[ -e $file ]]; then printf '%s\0' "$file"; fi
  done | xargs -0 cp --parents -t "$target"
  cp Tests/Mutants/Planted.swift "$target/Sources/ClusterProto/Planted.swift"
  local name
  for name in "${names[@]}"; do
    GIT_CEILING_DIRECTORIES=$(dirname "$target") git -C "$target" apply -C1 "$PWD/Tests/Mutants/$name.patch" || {
      echo "Tests/Mutants/$name.patch does not fit the source any more: make it anew" >&2
      return 1
    }
  done
}

# Files that are the same keep their times, so that a build takes them as built.
renew() {
  local from=$1 to=$2 file
  mkdir -p "$to"
  (cd "$from" && find . -type f -print0) | while IFS= read -r -d '' file; do
    cmp -s "$from/$file" "$to/$file" && continue
    mkdir -p "$to/$(dirname "$file")"
    cp "$from/$file" "$to/$file"
  done
  (cd "$to" && find Package.swift Sources Tests -type f -print0) | while IFS= read -r -d '' file; do
    if [[ ! -e $from/$file ]]; then rm "$to/$file"; fi
  done
}

field() { sed -n "s/^$2: //p" "Tests/Mutants/$1.patch" | head -1; }

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
some=0
case ${1-} in
  --check)
    lay "$place/source"
    echo "${#names[@]} patches fit"
    exit 0
    ;;
  --some) some=$2; chosen=() ;;
  *) chosen=("$@") ;;
esac
if ((some > 0)); then
  day=$(($(date +%s) / 86400))
  for ((i = 0; i < some; i++)); do chosen+=("${names[(day * some + i) % ${#names[@]}]}"); done
elif ((${#chosen[@]} == 0)); then
  chosen=("${names[@]}")
fi
for name in "${chosen[@]}"; do
  [[ -e Tests/Mutants/$name.patch ]] || { echo "there is no Tests/Mutants/$name.patch" >&2; exit 2; }
done

lay "$place/source"
renew "$place/source" "$copy"
swift build --package-path "$copy" -c release --product stint 2>&1 | { grep -vE '^\[[0-9]+/[0-9]+\]' || true; }
test -x "$binary"

# Simulates until something is violated: "SEEDS HOURS WHAT" of the first, or "SEEDS - held".
hunt() {
  local name=$1 most=$2 first=1 output
  while ((first <= most)); do
    output=$(STINT_PLANTED=$name timeout 900 "$binary" simulate --shrink=false --first $first --seeds "$step" --hours "$hours" 2>&1) || {
      local line
      line=$(grep -E '^seed [0-9]+: violated' <<<"$output" | head -1 || true)
      if [[ $line =~ ^seed\ ([0-9]+):\ violated\ at\ ([0-9.]+)\ s:\ (.*)$ ]]; then
        local before=$((BASH_REMATCH[1] - 1))
        printf '%s %s %s\n' "${BASH_REMATCH[1]}" \
          "$(awk -v b=$before -v h="$hours" -v s="${BASH_REMATCH[2]}" 'BEGIN { printf "%.2f", b * h + s / 3600 }')" \
          "${BASH_REMATCH[3]}"
      else
        printf '%s - died: %s\n' $first "$(tail -1 <<<"$output")"
      fi
      return 0
    }
    first=$((first + step))
  done
  printf '%s - held\n' "$most"
}

read -r count _ what < <(hunt nothing "$((step * 4))")
[[ $what == held ]] || { echo "with all planted bugs asleep: $what (seed $count)"; exit 1; }
echo "with all ${#names[@]} asleep $count seeds of $hours h hold"

missed=0
for name in "${chosen[@]}"; do
  read -r count time what < <(hunt "$name" "$seeds")
  if [[ $what == held || $what == died:* ]]; then
    missed=$((missed + 1))
    printf '%-42s NOT CAUGHT in %s seeds: %s\n' "$name" "$count" "$what"
  else
    printf '%-42s seed %3s, after %6s h: %s\n' "$name" "$count" "$time" "${what:0:120}"
  fi
  if [[ -n ${TABLE-} ]]; then
    printf '| `%s` | %s | %s | %s | %s |\n' "$name" "$(field "$name" Rule)" "$count" "$time" "${what//|//}" >>"$TABLE"
  fi
done
echo "$((${#chosen[@]} - missed)) of ${#chosen[@]} planted bugs were caught"
((missed == 0))
