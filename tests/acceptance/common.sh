# What the checks share: a scratch folder, mpirun with the right words, counting.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
binary=$(realpath -e "${1:-}" 2>/dev/null) || { echo "${1:-the program} is not there; build it first: ./bootstrap build" >&2; exit 1; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cohort_check.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

# check NAME COMMAND ...: counts the command's success.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok $name"
  else
    failed=$((failed + 1))
    echo "FAIL $name"
  fi
}

# ranks N COMMAND ...: with more ranks than cores, waiting ranks give way.
ranks() {
  local n=$1 words=(--bind-to none)
  shift
  if [ "$n" -gt "$(nproc)" ]; then
    words+=(--oversubscribe --mca mpi_yield_when_idle 1)
    OMP_WAIT_POLICY=passive mpirun -n "$n" "${words[@]}" "$@"
  else
    mpirun -n "$n" "${words[@]}" "$@"
  fi
}

# summary RUN KEY: a number of summary.json.
summary() { /usr/bin/python3 -c 'import json,sys; print(json.load(open(sys.argv[1] + "/summary.json"))[sys.argv[2]])' "$1" "$2"; }

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
