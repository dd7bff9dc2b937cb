#!/usr/bin/env bash
# The rules of the house: who may include which library, which way the arrows run, no circles, no file over 700 lines.
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
may src/update base kernel graph method mpi io update train # spaces, shards and transfer lie in src/train as yet
may src/train base kernel graph method mpi io update train
may src/cli base kernel graph method mpi io update train cli

# A circle of headers inside a folder: tsort names it.
circle=$(grep -rHoE '#include "[a-z_/]+\.h"' src mpi io --include='*.h' | sed -E 's/^(src\/)?([^:]*):#include "(.*)"/\2 \3/' | tsort 2>&1 >/dev/null)
[ -z "$circle" ] || fault "headers in a circle: $circle"

while read -r lines file; do
  if [ "$file" != total ] && [ "$lines" -gt 700 ]; then fault "$file has $lines lines (at most 700)"; fi
done < <(git ls-files -- 'src/*.[ch]' 'mpi/*.[ch]' 'io/*.[ch]' 'tests/*' ':!*.h5' | xargs wc -l)
exit "$bad"
