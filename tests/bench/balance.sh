#!/usr/bin/env bash
# The time that clients take differs by less than 15 % between two ranks.
set -uo pipefail
source "$(dirname "$0")/../acceptance/common.sh"
cd "$(dirname "$0")/../.."
balanced() {
  ranks 2 "$binary" train "configs/$1_fashion.yaml" run="$scratch/$1" threads=1 2>"$scratch/log" || { tail -n 3 "$scratch/log"; return 1; }
  /usr/bin/python3 - "$scratch/$1" <<'PY'
import json, sys
busy = [r["busy_seconds"] for r in json.load(open(sys.argv[1] + "/summary.json"))["per_rank"]]
print("busy seconds per rank", busy)
sys.exit(not max(busy) < 1.15 * min(busy))
PY
}
for strategy in fedavg fedadam fedyogi; do check "$strategy: client time per rank" balanced "$strategy"; done
finish
