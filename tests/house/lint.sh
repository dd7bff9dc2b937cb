#!/usr/bin/env bash
# Layout and static analysis of the sources: clang-format, clang-tidy (.clang-tidy) and cppcheck.
#   tests/house/lint.sh BUILD [FORMAT|TIDY|CPPCHECK ...]     prints "N passed, M failed"
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath -e "$1") || exit 1
shift
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(FORMAT TIDY CPPCHECK)
passed=0
failed=0

need() { command -v "$1" >/dev/null || { echo "$1 is missing: apt-get install $2"; return 1; }; }

FORMAT() {
  need clang-format-14 clang-format-14 || return 1
  git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror
}

# With LINT_SECONDS, only so long, the newest files first.
TIDY() {
  need clang-tidy-14 clang-tidy-14 && need python3 python3 || return 1
  tests/house/tidy.py "$build" ${LINT_SECONDS:-}
}

# invalidPointerCast: memory of bytes holds numbers of the type that its slot says. legacyUninitvar: takes arrays that are
# pointed to for arrays that are read. jansson's loop over an object is a macro that cppcheck does not see.
CPPCHECK() {
  need cppcheck cppcheck || return 1
  mkdir -p "$build/cppcheck"
  cppcheck --cppcheck-build-dir="$build/cppcheck" --quiet --error-exitcode=1 --inline-suppr --enable=warning,portability --suppress=missingIncludeSystem \
    --suppress=invalidPointerCast --suppress=legacyUninitvar "-Djson_object_foreach(o, k, v)=while ((k = next(o)) && (v = get(o, k)))" \
    -j "$(nproc)" -I src -I . -DCOHORT_REAL=float -DCOHORT_VARIANT=f32_sse2 src mpi io
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
