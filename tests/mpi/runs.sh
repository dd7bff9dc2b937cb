#!/usr/bin/env bash
# Two runs at once on halves of the ranks, and a trial among a hundred: the bits of `cohort train`.
# usage: runs.sh COHORT PROGRAM FOLDER MPIRUN ...
set -euo pipefail
cohort=$1 program=$2 folder=$3
shift 3
here=$(cd "$(dirname "$0")/../acceptance" && pwd)
rm -rf "$folder"
mkdir -p "$folder"
/usr/bin/python3 -c 'import h5py' 2>/dev/null || exit 77
"$here/make_data" "$folder"
sed "s#DATA#$folder#g" "$here/configs/fedyogi.yaml" >"$folder/second.yaml"
cat >"$folder/first.yaml" <<YAML
steps: 16
batch: 32
lanes: 2
model: {mlp: {hidden: 16, layers: 1}}
optimizer: {adamw: {learning_rate: 1e-3}}
data: {train: $folder/train.h5, validation: $folder/test.h5}
YAML
"$@" "$program" "$folder/first.yaml" "$folder/second.yaml" "$folder"
"$cohort" train "$folder/first.yaml" run="$folder/a" threads=1 2>/dev/null
"$cohort" train "$folder/second.yaml" run="$folder/b" threads=2 evaluate.every=0 2>/dev/null
"$cohort" train "$folder/first.yaml" run="$folder/c" threads=1 optimizer.adamw.learning_rate=0.0018 seed=17 2>/dev/null
for pair in a:first b:second c:trial; do
  [ -e "$folder/${pair#*:}.h5" ] || continue
  for vector in /model/flat/parameters; do
    [ "$("$cohort" inspect "$folder/${pair%:*}/final.h5" | grep "^$vector")" = "$("$cohort" inspect "$folder/${pair#*:}.h5" | grep "^$vector")" ] ||
      { echo "${pair#*:} is not what cohort train gives"; exit 1; }
  done
done
rm -r "$folder"
