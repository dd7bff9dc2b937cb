"""Compares the ids of `cohort tokenize` with those of the package `tokenizers`, on mixed text of many scripts.

    python tests/bench/tokenizer_ids.py COHORT [--size BYTES] [--speed] [TOKENIZER.json ...]

Without files it trains one tokenizer in each family's configuration with the package itself. A file is taken as it is.
Needs the package `tokenizers`; the tests of every build use golden/tokenizers.json instead. `--speed` times both
on one thread, medians of five in turn.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "method"))
from golden_tokenizer import FAMILIES, mixed, trained  # noqa: E402
from tokenizers import Tokenizer, __version__  # noqa: E402


def make(family, folder):
    path = os.path.join(folder, family.__name__ + ".json")
    trained(family, 400000, 3000).save(path)
    return path


def cohort_ids(program, path, text, *flags):
    done = subprocess.run([program, "tokenize", "-", "--with", path, "--ids", *flags], input=text, capture_output=True)
    if done.returncode:
        return done.stderr.decode()
    return [int(i) for i in done.stdout.split()]


def first_difference(own, text, ours, theirs):
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    offsets = own.encode(text, add_special_tokens=False).offsets
    start = offsets[max(0, at - 3)][0] if offsets else 0
    return (f"at token {at}: {[own.id_to_token(i) for i in ours[at - 2:at + 4]]} for "
            f"{[own.id_to_token(i) for i in theirs[at - 2:at + 4]]}, text {text[start:start + 30]!r}")


def compare(program, path, size, seed):
    own = Tokenizer.from_file(path)
    own.no_truncation()
    own.no_padding()
    special = [t.content for t in own.get_added_tokens_decoder().values() if not t.content.startswith("<0x")]
    text = mixed(size, seed, special)
    data = text.encode()
    faults = []
    for flags, template, plain in [((), False, False), (("--template",), True, False), (("--plain",), False, True)]:
        own.encode_special_tokens = plain
        theirs = own.encode(text, add_special_tokens=template).ids
        ours = cohort_ids(program, path, data, *flags)
        if isinstance(ours, str):
            faults.append(ours.strip())
        elif ours != theirs:
            faults.append(f"{' '.join(flags) or 'encode'}: {first_difference(own, text, ours, theirs)}")
    own.encode_special_tokens = False
    ids = own.encode(text, add_special_tokens=False).ids
    for skip in (True, False):
        done = subprocess.run([program, "tokenize", "-", "--with", path, "--decode"] + ([] if skip else ["--all"]),
                              input=" ".join(map(str, ids)).encode(), capture_output=True)
        theirs = own.decode(ids, skip_special_tokens=skip)
        if done.stdout.decode(errors="replace") != theirs:
            made = done.stdout.decode(errors="replace")
            at = next((i for i, (a, b) in enumerate(zip(made, theirs)) if a != b), 0)
            faults.append(f"decode, special tokens {'skipped' if skip else 'kept'}: {made[at - 5:at + 20]!r} for {theirs[at - 5:at + 20]!r} {done.stderr.decode()}")
    return len(data), len(ids), faults


def speed(program, path, size):
    """Seconds for the text, loading left out."""
    own = Tokenizer.from_file(path)
    own.no_truncation()
    text = mixed(size, 7)
    data = text.encode()
    ours, theirs = [], []
    for _ in range(5):
        took = []
        for piece in (data, b""):
            begin = time.perf_counter()
            subprocess.run([program, "tokenize", "-", "--with", path], input=piece, capture_output=True)
            took.append(time.perf_counter() - begin)
        ours.append(took[0] - took[1])
        begin = time.perf_counter()
        own.encode(text, add_special_tokens=False).ids
        theirs.append(time.perf_counter() - begin)
    return statistics.median(ours), statistics.median(theirs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", default=None, help="folder for the trained tokenizers")
    options = parser.parse_args()
    bad = 0
    print(f"tokenizers=={__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or scratch
        files = options.files or [make(f, folder) for f in FAMILIES if options.only in f.__name__]
        for path in files:
            size, count, faults = compare(options.program, path, options.size, options.seed)
            line = f"{os.path.basename(path)}: {size} bytes, {count} tokens: {'the same' if not faults else 'DIFFERENT'}"
            if options.speed:
                ours, theirs = speed(options.program, path, options.size)
                line += f"; {1e3 * ours:.0f} ms, tokenizers {1e3 * theirs:.0f} ms ({theirs / ours:.1f} x)"
            print(line, flush=True)
            for fault in faults:
                print("   ", fault)
            bad += bool(faults)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
