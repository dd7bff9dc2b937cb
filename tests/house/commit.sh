#!/usr/bin/env bash
# What a build says it was made from (cmake/commit.cmake), in repositories that stand in every state.
#   tests/house/commit.sh     prints "N passed, M failed"
set -uo pipefail
script=$(cd "$(dirname "$0")/../.." && pwd)/cmake/commit.cmake
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
passed=0
failed=0
header=$scratch/commit.h

# says FOLDER WANTED WHEN
says() {
  cmake -DSOURCE="$1" -DHEADER="$header" -P "$script" >"$scratch/out" 2>&1
  if [ "$(cat "$header")" = "#define COHORT_COMMIT \"$2\"" ] && [ ! -s "$scratch/out" ]; then
    passed=$((passed + 1))
    echo "ok $3: $2"
  else
    failed=$((failed + 1))
    echo "FAIL $3: wanted $2, got $(cat "$header" "$scratch/out")"
  fi
}

tree=$scratch/tree
mkdir -p "$tree/src/method" "$tree/docs"
echo a >"$tree/src/a.c"
says "$tree" unknown "sources without git"
git -C "$tree" init -q
says "$tree" unknown "a repository without a commit"
git -C "$tree" add . && git -C "$tree" commit -qm first
commit=$(git -C "$tree" rev-parse --short=7 HEAD)
says "$tree" "$commit" "a clean tree"
touch -d '2001-01-01' "$header"
says "$tree" "$commit" "the same once more"
if [ "$(date -r "$header" +%Y)" = 2001 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL an unchanged header was written again"; fi
touch "$tree/src/a.c"
says "$tree" "$commit" "a file touched but not changed"
echo notes >"$tree/docs/notes"
says "$tree" "$commit" "an unknown file outside of the sources"
echo b >"$tree/src/method/b.c"
says "$tree" "$commit-dirty" "a method that git does not know"
rm "$tree/src/method/b.c"
echo b >>"$tree/src/a.c"
says "$tree" "$commit-dirty" "a changed file"
git -C "$tree" add . && git -C "$tree" commit -qm second
says "$tree" "$(git -C "$tree" rev-parse --short=7 HEAD)" "the next commit"
git -C "$tree" worktree add -q "$scratch/beside" -b beside 2>/dev/null
says "$scratch/beside" "$(git -C "$tree" rev-parse --short=7 HEAD)" "a worktree"
mkdir "$tree/vendor" && cp "$tree/src/a.c" "$tree/vendor"
says "$tree/vendor" unknown "a tarball unpacked inside another repository"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
