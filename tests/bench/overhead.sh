#!/usr/bin/env bash
# What the executor costs a node: at most 100 ns, alone and in a chain.
set -uo pipefail
source "$(dirname "$0")/../acceptance/common.sh"
check "executor: at most 100 ns a node" "$(dirname "$binary")/tests/bench_overhead"
finish
