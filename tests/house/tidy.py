#!/usr/bin/python3
"""clang-tidy over the sources, a process a file: the analyzer's check of va_list errs from the second file on.

    tests/house/tidy.py BUILD [SECONDS]

Sources that are compiled per instruction set are looked at as their largest variants alone. A file that was found clean
is not looked at again until it, a header that it includes, its flags or .clang-tidy change (BUILD/tidy remembers). With
SECONDS, files that changed last come first, and those that are not reached in that time are left and counted. Exit
status 1 when something was found."""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import time

BUILD = os.path.realpath(sys.argv[1])
LIMIT = time.monotonic() + float(sys.argv[2]) if len(sys.argv) > 2 else None
ROOTS = ("src", ".", f"{BUILD}/generated")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def git(*words):
    return subprocess.run(["git", *words], capture_output=True, check=True, text=True).stdout.split("\n")


def is_looked_at(entry):
    variant = re.search(r"COHORT_VARIANT=(\w+)", entry["command"])
    return not variant or variant[1] in ("f32_avx512", "bf16_amx")


def includes(path, found):
    """The file and all of the project's that it includes."""
    if path in found:
        return
    found.add(path)
    for name in re.findall(rb'^#include "([^"]+)"', read(path), re.M):
        for root in (os.path.dirname(path), *ROOTS):
            header = os.path.normpath(os.path.join(root, name.decode()))
            if os.path.exists(header):
                includes(header, found)
                break


def key(path, commands):
    found = set()
    includes(path, found)
    digest = hashlib.sha256(read(".clang-tidy") + "\n".join(commands).encode())
    for name in sorted(found):
        digest.update(read(name))
    return digest.hexdigest()


def look(path):
    """None: not reached; else what was found."""
    stamp = f"{BUILD}/tidy/{key(path, commands[path])}"
    if os.path.exists(stamp):
        return ""
    if LIMIT and time.monotonic() > LIMIT:
        return None
    done = subprocess.run(["clang-tidy-14", "-p", f"{BUILD}/tidy", "--quiet", path], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stdout + "".join(line + "\n" for line in done.stderr.split("\n") if "error" in line)
    open(stamp, "w").close()
    return ""


os.makedirs(f"{BUILD}/tidy", exist_ok=True)
entries = [entry for entry in json.loads(read(f"{BUILD}/compile_commands.json")) if is_looked_at(entry)]
with open(f"{BUILD}/tidy/compile_commands.json", "w") as file:
    json.dump(entries, file)
commands = {}
for entry in entries:
    commands.setdefault(os.path.relpath(entry["file"]), []).append(entry["command"])
sources = [path for path in git("ls-files", "src/*.c", "mpi/*.c", "io/*.c") if path in commands]
age = {}
for number, path in enumerate(git("log", "-n", "300", "--format=", "--name-only")):
    age.setdefault(path, number)
sources.sort(key=lambda path: (age.get(path, len(age) + 10**6), path))
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(look, sources))
faults = [result for result in results if result]
print("".join(faults), end="")
left = sum(result is None for result in results)
print(f"clang-tidy: {len(sources)} files, {len(faults)} with findings" + (f"; {left} not reached, which ./bootstrap check looks at" if left else ""))
sys.exit(bool(faults) or not sources)
