#!/usr/bin/env bash
# Every unit program under valgrind: faults of memory, and leaks that are sure or possible.
#   tests/house/valgrind.sh BUILD     prints "N passed, M failed"
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath -e "$1") || exit 1
command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind"; exit 1; }

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export logs suppressions=$PWD/tests/suppressions/valgrind.supp

one() {
  local name status started=$SECONDS
  name=$(basename "$1")
  mkdir "$logs/$name.folder" && cd "$logs/$name.folder" || exit 1
  timeout 1200 valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,possible \
    --suppressions="$suppressions" "$1" >"$logs/$name.log" 2>&1
  status=$?
  if [ "$status" -eq 0 ] && ! grep -qE '^==[0-9]+==' "$logs/$name.log"; then
    echo "ok $name ($((SECONDS - started)) s)"
  else
    echo "FAIL $name (status $status)"
    grep -E '^==|FAILED|^ +[0-9]+\. ' "$logs/$name.log" | head -n 40
  fi >"$logs/$name.result"
  cat "$logs/$name.result"
}
export -f one

# Those that take minutes begin first. Programs for several ranks are run by ctest.
programs=$(find "$build/tests" -maxdepth 1 -type f -executable -name 'test_*' ! -name 'test_mpi_*_ranks' | sort)
slow='/test_(train_decoder|io_checkpoint|kernel_attention)$'
{ grep -E "$slow" <<<"$programs"; grep -vE "$slow" <<<"$programs"; } |
  xargs -P "$(nproc)" -I{} bash -c 'one {}'
passed=$(cat "$logs"/*.result | grep -c '^ok')
failed=$(($(grep -c . <<<"$programs") - passed))
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
