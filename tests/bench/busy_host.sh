#!/usr/bin/env bash
# Ranks beside other processes: two ranks with four busy processes for each core take at most 1.5 x what their fair shares
# of the cores give, with steps of a tenth of a millisecond, of one, and of some. Nothing else should run meanwhile.
#   tests/bench/busy_host.sh BINARY
set -uo pipefail
source "$(dirname "$0")/../acceptance/common.sh"
cd "$(dirname "$0")/../.."
cores=$(nproc)
busy=$((4 * cores))
[ "$busy" -ge 8 ] || busy=8
others=()

# The traps of common.sh and of this script are one.
stop_others() {
  [ ${#others[@]} -eq 0 ] || kill "${others[@]}" 2>/dev/null
  others=()
  wait 2>/dev/null
}
trap 'stop_others; rm -rf "$scratch"' EXIT
start_others() {
  local i
  for ((i = 0; i < busy; i++)); do
    (while :; do :; done) &
    others+=($!)
  done
}

# seconds NAME CONFIG [key=value ...]: of the training alone.
seconds() {
  local name=$1
  shift
  mpirun -n 2 --bind-to none "$binary" train "$@" run="$scratch/$name" threads=1 2>"$scratch/log" >&2 ||
    { tail -n 3 "$scratch/log" >&2; echo nan; return; }
  summary "$scratch/$name" seconds
}

# fair NAME CONFIG [key=value ...]: pairs of a run alone and one beside the others; the median of the ratios counts.
fair() {
  local name=$1 pair alone beside ratios=()
  shift
  for pair in 1 2 3; do
    alone=$(seconds "$name-alone-$pair" "$@")
    start_others
    beside=$(seconds "$name-beside-$pair" "$@")
    stop_others
    ratios+=("$alone $beside")
  done
  printf '%s\n' "${ratios[@]}" | /usr/bin/python3 -c '
import statistics, sys
name, cores, busy = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pairs = [tuple(map(float, line.split())) for line in sys.stdin]
share = max(1, (busy + 2) / cores)
ratios = [beside / alone / share for alone, beside in pairs]
print("%s: alone %s s, beside %d busy processes %s s: %.2f x of a fair share" % (
    name, " ".join("%.2f" % a for a, b in pairs), busy, " ".join("%.2f" % b for a, b in pairs), statistics.median(ratios)))
sys.exit(not statistics.median(ratios) <= 1.5)' "$name" "$cores" "$busy"
}

# The shortest are far below a slice of Linux's scheduler: ranks get there only as whoever wakes one another is let in.
check "steps of a tenth of a millisecond get their share" fair shortest configs/fashion_mnist_mlp.yaml steps=8000 \
  evaluate.every=8000 model.mlp.hidden=16 batch=32
check "steps of a millisecond get their share" fair short configs/fashion_mnist_mlp.yaml steps=2000 evaluate.every=2000
check "longer steps get their share" fair long configs/fashion_mnist_cnn.yaml steps=200 evaluate.every=200
finish
