#!/usr/bin/env bash
# Build and training of the demo take at most 5 minutes on 2 cores: median of three, each from a clean copy of the sources.
set -uo pipefail
source "$(dirname "$0")/../acceptance/common.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
times=()
for turn in 1 2 3; do
  git clone -q "$root" "$scratch/$turn"
  begun=$SECONDS
  (cd "$scratch/$turn" && ./bootstrap demo) >"$scratch/log" 2>&1 || { tail -n 5 "$scratch/log"; times+=(9999); continue; }
  times+=($((SECONDS - begun)))
done
median=$(printf '%s\n' "${times[@]}" | sort -n | sed -n 2p)
echo "seconds: ${times[*]}; median $median"
check "the demo within 300 s" test "$median" -le 300
finish
