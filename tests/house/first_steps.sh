#!/usr/bin/env bash
# What a newcomer meets first: every recipe says what it shows, takes and expects, and what must be made before it; and
# ./bootstrap shows how far a build is, passes its warnings on and keeps its exit status.
set -uo pipefail
cd "$(dirname "$0")/../.."
bad=0
fault() { printf '%s\n' "$*"; bad=1; }

for recipe in configs/*.yaml; do
  for word in '# Shows: ' '# Takes: ' ' Expect: '; do
    grep -q -- "$word" "$recipe" || fault "$recipe lacks \"$word\""
  done
  if grep -v '^#' "$recipe" | grep -q 'tokenizer: runs/'; then
    grep -q '^# Needs: cohort tokenize ' "$recipe" || fault "$recipe names a tokenizer in runs/, but not how to make it"
  fi
  if grep -v '^#' "$recipe" | grep -q 'init_from: runs/'; then
    grep -q 'cohort train configs/' "$recipe" || fault "$recipe starts from a run, but does not name its config"
  fi
done

eval "$(sed -n '/^show_build()/,/^}/p' bootstrap)"
fake_build() {
  for ((i = 1; i <= 40; i++)); do
    echo "[$i/40] Building C object x.o"
    if [ "$i" -eq 20 ]; then echo 'x.c: warning: y'; fi
  done
  return "$1"
}
shown=$(fake_build 3 | show_build)
[ $? -eq 3 ] || fault "show_build loses the exit status of the build"
[ "$(grep -c 'of 40 steps' <<<"$shown")" -eq 10 ] || fault "show_build shows: $shown"
grep -qx 'x.c: warning: y' <<<"$shown" || fault "show_build loses a warning: $shown"
exit "$bad"
