#!/usr/bin/env bash
# bf16 against float32: the final validation loss, mean of three seeds, on both demos; at most 1 % apart.
set -uo pipefail
source "$(dirname "$0")/../acceptance/common.sh"
cd "$(dirname "$0")/../.." || exit 1

"$binary" tokenize '|bible -f gen1:1-rev22:21' -o "$scratch/kjv_bpe.json" --vocabulary 1024 --share 0.95 >/dev/null
loss() {
  "$binary" train "$1" run="$scratch/run" seed="$2" precision="$3" "${@:4}" >"$scratch/log" 2>&1 || tail -n 3 "$scratch/log" >&2
  sed -nE 's/^(validation|test) +loss +//p' "$scratch/log"
  rm -rf "$scratch/run"
}
# compare CONFIG [KEY=VALUE ...]: prints both means; ends well when they are within 1 %.
compare() {
  local config=$1 precision seed
  shift
  for precision in float32 bf16; do
    for seed in 1 2 3; do echo "$precision $(loss "$config" "$seed" "$precision" "$@")"; done
  done | awk -v config="$config" '
    { sum[$1] += $2; list[$1] = list[$1] " " $2; n[$1]++ }
    END {
      ratio = sum["bf16"] / sum["float32"]
      printf "%s: float32%s, bf16%s: ratio of the means %.5f\n", config, list["float32"], list["bf16"], ratio
      exit !(n["bf16"] == 3 && sum["float32"] > 0 && ratio > 0.99 && ratio < 1.01)
    }'
}
check "Fashion-MNIST network" compare configs/fashion_mnist_cnn.yaml
check "GPT on the King James text" compare configs/gpt_kjv.yaml data.tokenizer="$scratch/kjv_bpe.json" rival=0
finish
