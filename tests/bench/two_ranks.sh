#!/usr/bin/env bash
# 2 ranks x 1 thread are at least 1.7 x as fast as 1 x 1 on the demo GPT (medians of three runs in turns), nothing else running.
set -uo pipefail
source "$(dirname "$0")/../acceptance/common.sh"
cd "$(dirname "$0")/../.."
"$binary" tokenize '|bible -f gen1:1-rev22:21' -o "$scratch/bpe.json" --vocabulary 1024 --share 0.95 >/dev/null
for turn in 1 2 3; do
  for n in 1 2; do
    ranks "$n" "$binary" train configs/gpt_kjv.yaml run="$scratch/$n-$turn" data.tokenizer="$scratch/bpe.json" threads=1 steps=100 \
      rival=0 2>"$scratch/log" || tail -n 3 "$scratch/log"
  done
done
faster() {
  /usr/bin/python3 - "$scratch" <<'PY'
import json, statistics, sys
one, two = (statistics.median(json.load(open(f"{sys.argv[1]}/{n}-{t}/summary.json"))["seconds"] for t in (1, 2, 3)) for n in (1, 2))
print("100 steps: %.2f s on one rank, %.2f s on two: %.2f x" % (one, two, one / two))
sys.exit(not one / two >= 1.7)
PY
}
check "2 ranks at least 1.7 x as fast as 1" faster
finish
