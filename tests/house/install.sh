#!/usr/bin/env bash
# What `cmake --install` puts where, and that it works there: the program, manual pages, completion, examples, reference.
#   tests/house/install.sh BUILD     prints "N passed, M failed"
set -uo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath -e "$1") || exit 1
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
passed=0
failed=0

check() {
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)) && echo "ok $name"; else failed=$((failed + 1)) && echo "FAIL $name"; fi
}
if ! cmake --install "$build" --prefix "$prefix" >"$prefix/log" 2>&1; then
  cat "$prefix/log"
  echo "0 passed, 1 failed"
  exit 1
fi
cohort=$prefix/bin/cohort
manual=$prefix/share/man/man1
doc=$(echo "$prefix"/share/doc/*)
verbs=$("$cohort" help | sed -nE 's/^  cohort ([a-z]+) .*/\1/p')
methods=$("$cohort" methods --format tsv | tail -n +2 | cut -f 1,2 | tr '\t' '/')

runs() { [ "$(cd / && "$cohort" --version)" = "$("$build/cohort" --version)" ]; }
check "the installed program runs" runs
has_manuals() { [ "$(ls "$manual")" = "$({ echo cohort.1; printf 'cohort-%s.1\n' $verbs; } | sort)" ]; }
check "a manual page for the program and each verb" has_manuals
has_pages() { local m; for m in $methods; do [ -s "$doc/reference/$m.txt" ] && grep -q "($m.txt)" "$doc/reference/README.md" || return 1; done; }
check "a reference page for each of $(wc -w <<<"$methods") methods, and it is listed" has_pages
has_keys() { "$cohort" keys --format markdown | cmp - "$doc/reference/keys.md" && grep -q '(keys.md)' "$doc/reference/README.md"; }
check "a page of the keys" has_keys
no_others() { [ "$(cd "$doc/reference" && find . -mindepth 2 -name '*.txt' | wc -l)" -eq "$(wc -w <<<"$methods")" ]; }
check "and no others" no_others
config_is_read() { (cd "$prefix" && "$cohort" check "$doc/examples/configs/fashion_mnist_mlp.yaml" steps=3 >out 2>said && grep -q '^steps: 3$' out) || { cat "$prefix/said"; false; }; }
if [ -d /usr/share/datasets/fashion-mnist ]; then check "an example is a config" config_is_read; fi
check "the licence is there" cmp LICENSE "$doc/LICENSE"

# Rendered without a warning, with every option that the help names, and no line lost.
rendered() {
  local page
  for page in "$manual"/*; do
    LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings=all -l "$page" >"$prefix/page" 2>"$prefix/said" && [ ! -s "$prefix/said" ] ||
      { cat "$prefix/said"; return 1; }
    [ "$(wc -l <"$prefix/page")" -gt 10 ] || return 1
  done
}
options_are_told() {
  local verb option
  for verb in $verbs; do
    LC_ALL=C.UTF-8 MANWIDTH=500 man -l "$manual/cohort-$verb.1" | col -bx >"$prefix/page"
    for option in $("$cohort" help "$verb" | grep -oE '(^|[ [(|])--[a-z-]+' | tr -d ' [(|'); do
      grep -qF -e "$option" "$prefix/page" || { echo "$verb: $option"; return 1; }
    done
  done
}
if command -v man >/dev/null && command -v col >/dev/null; then
  check "manual pages are rendered without warnings" rendered
  check "a verb's page names its options" options_are_told
else
  echo "man is not here: the pages are not rendered"
fi

# completes WANTED WORD ...: what bash would offer for the last word.
completes() {
  local wanted=$1
  shift
  (cd "$doc/examples" && mkdir -p a_run && bash -c '
    source "$0" || exit 1
    COMP_WORDS=(cohort "$@") COMP_CWORD=$#
    _cohort
    printf "%s\n" "${COMPREPLY[@]}" | sort | paste -sd " "' "$prefix/share/bash-completion/completions/cohort" "$@") >"$prefix/offered"
  grep -qxE -e "$wanted" "$prefix/offered" || { echo "cohort $*: wanted $wanted, offered $(cat "$prefix/offered")"; false; }
}
check "completion of verbs" completes "tokenize train" t
check "of an option" completes "--vocabulary" tokenize text --v
check "of configs and folders" completes "configs/fashion_mnist_cnn.yaml configs/fashion_mnist_mlp.yaml" train configs/fash
check "of a config's keys" completes "data.test_images= data.test_labels= data.text=" train configs/gpt_kjv.yaml data.te
check "of a method's parameters" completes "optimizer.lion.beta1= optimizer.lion.beta2=" check configs/gpt_kjv.yaml optimizer.lion.b
check "of a key to be told about" completes "optimizer.muon.momentum" keys optimizer.muon.m
check "of runs" completes "a_run" plot a_
check "of families" completes "preference" methods pre
check "of methods" completes "sam" probe optimizer sa
check "of nothing for another family" completes "" probe loss adamw
check "of a verb to be told about" completes "inspect" help ins
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
