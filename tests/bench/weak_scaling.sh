#!/usr/bin/env bash
# weak_scaling.sh COHORT [ROUNDS]: 2 ranks x 1 thread with twice the batch keep at least 95 % of the tokens a second of a rank that 1 rank
# x 1 thread has, on GPT-2 124M and on the 10M GPT; in turns, each rank on a core of its own, medians of rounds; nothing else running.
set -uo pipefail
source "$(dirname "$0")/../acceptance/common.sh"
cd "$(dirname "$0")"
rounds=${2:-3}
# data NAME: text and tokenizer for workload NAME of T = 256, in $scratch/NAME.
data() {
  mkdir -p "$scratch/$1"
  /usr/bin/python3 -B - "$1" "$scratch/$1" <<'PY'
import sys
import workloads
workload = workloads.find(sys.argv[1])
workload.config["model"]["gpt"]["context"] = 256
workloads.language_data(workload, sys.argv[2])
PY
}
# one NAME RANKS BATCH STEPS ROUND
one() {
  local name=$1 n=$2 words=("train" "workloads/$1.yaml" "model.gpt.context=256" "batch=$(($2 * $3))" "lanes=$2" "threads=1" "steps=$4"
    "log_every=1" "data.text=$scratch/$1/text.txt" "data.tokenizer=$scratch/$1/tokenizer.json" "data.validation_share=0"
    "run=$scratch/$1/$2-$5")
  local line=("$binary")
  [ "$n" -gt 1 ] && line=(mpirun -n "$n" --bind-to core "$binary")
  [ "$n" -eq 1 ] && line=(taskset -c 0 "$binary")
  "${line[@]}" "${words[@]}" 2>"$scratch/log" || tail -n 3 "$scratch/log"
  rm -f "$scratch/$1/$2-$5/"*.h5
}
# scales NAME BATCH STEPS: the first step of a run is left out.
scales() {
  data "$1" || return 1
  for ((round = 1; round <= rounds; round++)); do
    one "$1" 1 "$2" "$3" "$round"
    one "$1" 2 "$2" "$3" "$round"
  done
  /usr/bin/python3 - "$scratch/$1" "$rounds" <<'PY'
import csv, statistics, sys
folder, rounds = sys.argv[1], int(sys.argv[2])
def rate(ranks, turn):
    with open(f"{folder}/{ranks}-{turn}/timing.csv") as file:
        return statistics.median(float(row["tokens_per_second"]) for row in list(csv.DictReader(file))[1:]) / ranks
one, two = ([rate(ranks, turn) for turn in range(1, rounds + 1)] for ranks in (1, 2))
efficiency = statistics.median(b / a for a, b in zip(one, two))
print("tokens/s of a rank: %.0f on one, %.0f on two: %.1f %% (rounds: %s)" % (
    statistics.median(one), statistics.median(two), 100 * efficiency, ", ".join("%.1f" % (100 * b / a) for a, b in zip(one, two))))
sys.exit(not efficiency >= 0.95)
PY
}
check "GPT-2 124M, 2 x 256 tokens a rank: 2 ranks keep 95 %" scales a256 2 6
check "GPT 10M, 8 x 256 tokens a rank: 2 ranks keep 95 %" scales b 8 10
finish
