#!/usr/bin/env bash
# The program built with MPICH and serial HDF5 beside that with Open MPI: two ranks of each train the same bits, and each
# goes on from the other's checkpoint.
#   tests/house/mpich.sh BUILD BUILD_MPICH     prints "N passed, M failed"
set -uo pipefail
other=$(realpath -e "${2:-build-mpich}/cohort") || exit 1
source "$(dirname "$0")/../acceptance/common.sh" "${1:-build}/cohort"
cd "$(dirname "$0")/../.."
tests/acceptance/make_data "$scratch"
sed "s|DATA|$scratch|g" tests/acceptance/configs/mlp.yaml >"$scratch/mlp.yaml"

with_mpich() { mpiexec.mpich -n 2 "$other" train "$scratch/mlp.yaml" threads=1 bind=none "$@" 2>"$scratch/log" || { tail -n 5 "$scratch/log"; false; }; }
with_open_mpi() { ranks 2 "$binary" train "$scratch/mlp.yaml" threads=1 bind=none "$@" 2>"$scratch/log" || { tail -n 5 "$scratch/log"; false; }; }

libraries() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1] + "/summary.json"))["libraries"])' "$1"; }
is_mpich() { libraries "$scratch/mpich" && libraries "$scratch/mpich" | grep -q MPICH; }
has_two_ranks() { [ "$(summary "$scratch/mpich" ranks)" = 2 ]; }
links_serial() { ldd "$other" | grep -q 'libhdf5_serial' && ! ldd "$other" | grep -q openmpi; }
same() { cmp "$scratch/$1/metrics.csv" "$scratch/$2/metrics.csv" && "$binary" inspect "$scratch/$1/final.h5" --compare "$scratch/$2/final.h5"; }

check "serial HDF5 and no Open MPI are linked" links_serial
check "two ranks of MPICH train" with_mpich run="$scratch/mpich"
check "they are ranks of MPICH" is_mpich
check "and of one job" has_two_ranks
check "two ranks of Open MPI train" with_open_mpi run="$scratch/open"
check "the same bits" same mpich open
stop_early() { cp -r "$scratch/mpich" "$scratch/mixed" && rm "$scratch/mixed/final.h5" "$scratch/mixed/checkpoints/step_00000070.h5" 2>/dev/null; [ -e "$scratch/mixed/checkpoints/step_00000063.h5" ]; }
check "a run of MPICH without its end" stop_early
check "Open MPI goes on" with_open_mpi run="$scratch/mixed"
check "to the same bits" same mixed open
finish
