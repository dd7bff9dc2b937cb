#!/usr/bin/env bash
# Layout and static analysis of the sources: clang-format, clang-tidy (.clang-tidy) and cppcheck.
#   tests/house/lint.sh BUILD [FORMAT|TIDY|CPPCHECK ...]     prints "N passed, M failed"
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath -e "$1") || exit 1
shift
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(FORMAT TIDY CPPCHECK)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

need() { command -v "$1" >/dev/null || { echo "$1 is missing: apt-get install $2"; return 1; }; }

FORMAT() {
  need clang-format-14 clang-format-14 || return 1
  git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror
}

# Every source once; those that are compiled per instruction set as their largest variants alone. One file a process: the
# analyzer's check of va_list errs from the second file on.
TIDY() {
  need clang-tidy-14 clang-tidy-14 && need python3 python3 || return 1
  python3 - "$build/compile_commands.json" "$scratch/compile_commands.json" <<'PYTHON' || return 1
import json, re, sys
def kept(entry):
    variant = re.search(r"COHORT_VARIANT=(\w+)", entry["command"])
    return not variant or variant[1] in ("f32_avx512", "bf16_amx")
with open(sys.argv[1]) as file:
    entries = [entry for entry in json.load(file) if kept(entry)]
with open(sys.argv[2], "w") as file:
    json.dump(entries, file)
PYTHON
  git ls-files 'src/*.c' 'mpi/*.c' 'io/*.c' |
    xargs -P "$(nproc)" -n 1 clang-tidy-14 -p "$scratch" --quiet 2>"$scratch/counts" >"$scratch/found"
  local status=$?
  cat "$scratch/found"
  grep -E 'error' "$scratch/counts"
  return "$status"
}

# invalidPointerCast: memory of bytes holds numbers of the type that its slot says. legacyUninitvar: takes arrays that are
# pointed to for arrays that are read.
CPPCHECK() {
  need cppcheck cppcheck || return 1
  cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,portability --suppress=missingIncludeSystem \
    --suppress=invalidPointerCast --suppress=legacyUninitvar -j "$(nproc)" -I src -I . -DCOHORT_REAL=float -DCOHORT_VARIANT=f32_sse2 src mpi io
}

for step in "${steps[@]}"; do
  started=$SECONDS
  if "$step"; then
    passed=$((passed + 1))
    echo "ok ${step,,} ($((SECONDS - started)) s)"
  else
    failed=$((failed + 1))
    echo "FAIL ${step,,}"
  fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
