#!/usr/bin/env bash
# The rules of the house: who may include which library, which way the arrows run, no circles, how long files and folders
# may be, names that stand for one thing.
set -uo pipefail
cd "$(dirname "$0")/../.."
bad=0
fault() { printf '%s\n' "$*"; bad=1; }

# only FOLDER HEADER: the header is included below FOLDER alone.
only() {
  local found
  found=$(grep -rlE "#include [<\"]($2)[>\"]" src mpi io --include='*.[ch]' | grep -v "^$1/")
  [ -z "$found" ] || fault "$2 belongs to $1/ alone, but is included by: $found"
}
only mpi 'mpi\.h'
only mpi 'hwloc\.h'
only io 'hdf5\.h'
only io 'yaml\.h'
only src/train/secure 'sodium\.h'

# The server of secure aggregation knows the messages and nothing of clients.
found=$(grep -nE '^#include "' src/train/secure/{server,mask,messages,neighbours,shamir,cipher}.h src/train/secure/server.c |
  grep -vE '"(base/(memory|random|status)|train/secure/(server|mask|messages|neighbours|shamir|cipher))\.h"')
[ -z "$found" ] || fault "the server of secure aggregation sees more than messages: $found"

# may FOLDER ALLOWED...: files of FOLDER include own headers of these folders alone.
may() {
  local folder=$1 allowed found
  shift
  allowed=$(IFS='|'; echo "$*")
  found=$(grep -rnE '#include "[a-z]+/' "$folder" --include='*.[ch]' | grep -vE "#include \"($allowed)/")
  [ -z "$found" ] || fault "against the arrows: $found"
}
may src/base base
may src/kernel base kernel
may src/graph base kernel graph
may src/method base kernel graph method
may mpi base mpi
may io base mpi io
may src/state base kernel graph mpi io state
may src/lane base kernel graph mpi io state lane
may src/update base kernel graph method mpi io state update
may src/train base kernel graph method mpi io state lane update train
may src/probe base kernel graph method mpi io state lane update train probe
may src/cli base kernel graph method mpi io state lane update train probe cli

# A circle of headers inside a folder: tsort names it.
circle=$(grep -rHoE '#include "[a-z_/]+\.h"' src mpi io --include='*.h' | sed -E 's/^(src\/)?([^:]*):#include "(.*)"/\2 \3/' | tsort 2>&1 >/dev/null)
[ -z "$circle" ] || fault "headers in a circle: $circle"

# Every .c begins with what it is.
while read -r file; do
  [ "$(head -c 2 "$file")" = '/*' ] || fault "$file: begin with a comment: what it is, its invariant, how its cost grows"
done < <(git ls-files -- 'src/*.c' 'mpi/*.c' 'io/*.c')

# No file over 500 lines (tests: 700), no folder's own files over 6000.
while read -r lines file; do
  most=500
  [[ $file == tests/* ]] && most=700
  if [ "$file" != total ] && [ "$lines" -gt $most ]; then fault "$file has $lines lines (at most $most)"; fi
done < <(git ls-files -- 'src/*.[ch]' 'mpi/*.[ch]' 'io/*.[ch]' 'tests/*' ':!*.h5' | xargs wc -l)
while read -r lines folder; do
  [ "$lines" -le 6000 ] || fault "$folder: its own files have $lines lines (at most 6000): give it sub-folders"
done < <(git ls-files -- 'src/*.[ch]' 'mpi/*.[ch]' 'io/*.[ch]' | xargs wc -l | grep -v ' total$' |
  awk '{folder = $2; sub("/[^/]*$", "", folder); lines[folder] += $1} END {for (f in lines) print lines[f], f}')

# A family is its folder: what serves all of them names none (texts in comments apart).
families=$(ls -d src/method/*/ | xargs -n1 basename | paste -sd'|')
found=$(git ls-files -- 'src/method/*.[ch]' 'src/probe/*.[ch]' | grep -vE "^src/method/[^/]*/|^src/probe/($families)(_[a-z]+)?\.[ch]\$" |
  xargs grep -nE "\"($families)\"|cohort_(${families})_[a-z]+\b" | grep -vE '^[^:]*:[0-9]+: *(/\*|\*)')
[ -z "$found" ] || fault "a family is named outside its folder: $found"

# A public name (a type, or a function that a header declares) stands for one thing.
twice=$(git ls-files -- 'src/*.h' 'mpi/*.h' 'io/*.h' | while read -r file; do
  sed -nE 's/^\} (cohort_[a-z0-9_]+);.*/\1/p; s/^typedef enum \{.*\} (cohort_[a-z0-9_]+);.*/\1/p; s/^typedef struct cohort_[a-z0-9_]+ (cohort_[a-z0-9_]+);.*/\1/p; s/^(static inline )?[a-z][a-zA-Z0-9_ *]*[ *](cohort_[a-z0-9_]+)\(.*/\2/p' "$file" | sort -u
done | sort | uniq -d)
[ -z "$twice" ] || fault "defined twice in headers: $twice"

# Words that are spoken for (docs/glossary.md) name nothing else: not alone, and not as a part of a name.
code() { # what is left of a file without comments and texts
  awk '{ line = $0; gsub(/"(\\.|[^"\\])*"/, "", line)
         while (1) {
           if (inside) { at = index(line, "*/"); if (!at) { line = ""; break } line = substr(line, at + 2); inside = 0 }
           at = index(line, "/*"); if (!at) break
           rest = substr(line, at + 2); end = index(rest, "*/")
           if (end) line = substr(line, 1, at - 1) " " substr(rest, end + 2); else { line = substr(line, 1, at - 1); inside = 1; break }
         }
         sub(/\/\/.*/, "", line); if (line !~ /^#include/) print FILENAME ":" FNR ": " line }' "$@"
}
names=$(mktemp)
# TensorBoard's own format has a SessionLog.
git ls-files -- 'src/*.[ch]' 'mpi/*.[ch]' 'io/*.[ch]' ':!io/tensorboard.c' | while read -r file; do code "$file"; done >"$names"
while IFS='|' read -r _ word _ folders _; do
  word=${word// /}
  allowed=$(echo $folders | sed 's/ /|/g')
  found=$(grep -iE "^[^:]*:[0-9]+: .*(\b|_)${word}s?(\b|_)" "$names" | grep -vE "^($allowed)/" | head -3)
  [ -z "$found" ] || fault "$word is spoken for (docs/glossary.md), but: $found"
done < <(sed -n '/^## Words that are spoken for/,$p' docs/glossary.md | grep '^|' | tail -n +3)
plans=$(grep -E ': \} cohort_[a-z_]+_plan;' "$names")
[ -z "$plans" ] || fault "a plan is a planned graph; what a thing is made from are its options: $plans"
rm -f "$names"
exit "$bad"
