"""Probes every method of the catalogue from outside, knowing `cohort methods --format json` alone.

usage: check_catalogue.py COHORT [FAMILY [NAME]]

For every method it writes random inputs as the JSON describes them and runs `cohort probe` in float32 and in float64:
the results must have the names, shapes and type that the JSON says, be finite, and both precisions must agree loosely.
Then one fault at a time (an array missing, superfluous, misshapen, of another type or out of range; an unknown key) must
end with status 2 or 3, one line on stderr that names the array, and no file. Faults are found by a family's table of
arrays, so methods with the same table stand for one another: the first of them is tried.
"""
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

COHORT = sys.argv[1]
TENSORS = {"bias": 1, "layer/weight": 2}  # name: axes


def catalogue():
    command = [COHORT, "methods", *sys.argv[2:4], "--format", "json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return listed if isinstance(listed, list) else [listed]


def read(path):
    arrays = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def write(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


class Method:
    def __init__(self, description, methods):
        self.family, self.key = description["family"], description["key"]
        self.description, self.probe = description, description["probe"]
        self.random = np.random.default_rng(len(self.family) * 1000 + sum(map(ord, self.key)))
        self.sizes = {symbol["name"]: symbol["example"] for symbol in self.probe["symbols"]}
        axes = next((s["axes"] for s in self.probe["symbols"] if "axes" in s), {"minimum": 1})
        self.tensors = {name: tuple(2 + i + 3 * a for a in range(max(count, axes["minimum"])))
                        for i, (name, count) in enumerate(TENSORS.items())}
        names = [entry["name"] for entry in self.probe["inputs"]]
        if "parameters/<t>" in names and "n" in self.sizes:
            self.sizes["n"] = sum(int(np.prod(shape)) for shape in self.tensors.values())
        self.settings = {s["name"]: self.sizes[s["name"]] for s in self.probe["settings"] if s["name"] in self.sizes}
        self.settings |= {p["name"]: self.filler(p, methods) for p in description["parameters"] if p["required"]}
        base = next((p["default"] for p in description["parameters"] if p["name"] == "base"), None)
        self.states = description["states"] + (methods[self.family, base]["states"] if base else [])

    def filler(self, parameter, methods):
        """A value of a parameter that must be given: a number, a text, or a list of one method that needs no more."""
        if parameter["type"] in ("real", "integer"):
            return 1
        if parameter["type"] != "tree":
            return "e"
        family = parameter["family"]
        key = next(key for (own, key), d in methods.items()
                   if own == family and [p["type"] for p in d["parameters"] if p["required"]] == ["text"])
        return f"[{{{key}: e}}]"

    def shape(self, entry, tensor=None):
        out = []
        for axis in entry["shape"]:
            out += tensor if axis == "shape" else [self.sizes[axis] if axis in self.sizes else int(axis)]
        return tuple(out)

    def bounds(self, constraint):
        """Lowest and highest integer (inclusive) of "0 <= value < C"."""
        low, _, high = constraint.partition("value")
        low = int(low.split()[0]) if low.strip() else 0
        high = high.strip().lstrip("<").strip() or str(low + 10)
        return low, (self.sizes[high] if high in self.sizes else int(high)) - 1

    def values(self, entry, shape):
        constraint = entry["constraint"] or ""
        if entry["type"] == "integer":
            low, high = self.bounds(constraint)
            return self.random.integers(low, high + 1, shape).astype(np.int32)
        drawn = self.random.standard_normal(shape).astype(np.float32)
        if constraint == "symmetric":
            return (drawn + drawn.T) / 8 + np.eye(shape[0], dtype=np.float32)
        if constraint == "value <= 0":
            return -abs(drawn)
        if constraint == "0 <= value":
            return abs(drawn)
        if " or " in constraint:
            choices = constraint.split("=")[1].split("or")
            return np.where(drawn > 0, *map(np.float32, choices)).astype(np.float32)
        return drawn

    def inputs(self, either, optional):
        """All required arrays, of the alternatives those of `either`, and the optional ones when asked."""
        arrays = {}
        for entry in self.probe["inputs"]:
            if (entry["either"] not in (None, either)) or (entry["optional"] and not optional):
                continue
            if "<t>" not in entry["name"]:
                arrays[entry["name"]] = self.values(entry, self.shape(entry))
            elif not entry["optional"]:
                for tensor, shape in self.tensors.items():
                    arrays[entry["name"].replace("<t>", tensor)] = self.values(entry, self.shape(entry, shape))
        return arrays

    def entry_of(self, name):
        for entry in self.probe["inputs"]:
            if entry["name"] == name or ("<t>" in entry["name"] and name.startswith(entry["name"][:-3])):
                return entry
        raise KeyError(name)

    def expected(self, tensors, optional):
        """Names and shapes of the results, but for states whose size follows the settings."""
        out = {}
        for entry in self.probe["outputs"]:
            if entry["optional"] and not optional:
                continue
            if entry["name"] == "state/<slot>":  # of a federation
                for state in self.states:
                    if state["sized"]:
                        continue
                    out[f"state/{state['name']}"] = tuple(self.sizes[s] for s in
                                                          (["clients", "n"] if state["axis"] == "client" else ["n"]))
                continue
            if "<t>" not in entry["name"]:
                out[entry["name"]] = self.shape(entry)
                continue
            for tensor, shape in tensors.items():
                name = entry["name"].replace("<t>", tensor)
                if "<slot>" not in name:
                    out[name] = self.shape(entry, shape)
                    continue
                for state in self.states:
                    if state["scratch"] or state["sized"]:
                        continue
                    if state["axis"] == "space":
                        out[f"state/{state['name']}/all"] = (1,)
                        continue
                    axes = {"element": shape, "row": shape[:1], "column": (int(np.prod(shape[1:])),), "tensor": (1,)}
                    out[name.replace("<slot>", state["name"])] = tuple(axes[state["axis"]])
        return out


# Rules that a rounding may send elsewhere: SOAP's bases are eigenvectors, of which chance picks the sign and, where
# eigenvalues are near one another, the plane. Its goldens hold it to 1e-6 in float64.
DISCONTINUOUS = {"soap"}


class Checker:
    def __init__(self, directory):
        self.directory, self.faults, self.runs = directory, [], 0

    def fault(self, method, text):
        self.faults.append(f"{method.family} {method.key}: {text}")
        print(self.faults[-1], file=sys.stderr)

    def run(self, method, arrays, settings=None):
        source, target = (os.path.join(self.directory, name) for name in ("in.h5", "out.h5"))
        if os.path.exists(target):
            os.remove(target)
        write(source, arrays)
        words = [f"{key}={value}" for key, value in (method.settings | (settings or {})).items()]
        done = subprocess.run([COHORT, "probe", method.family, method.key, "-i", source, "-o", target, *words],
                              capture_output=True, text=True)
        self.runs += 1
        return done, read(target) if os.path.exists(target) else None

    def good(self, method, arrays, optional, real):
        done, out = self.run(method, arrays)
        if done.returncode != 0 or out is None:
            self.fault(method, f"status {done.returncode}: {done.stderr.strip()}")
            return None
        tensors = {name[len("parameters/"):]: array.shape for name, array in out.items() if name.startswith("parameters/")}
        if method.family != "model":
            tensors = method.tensors
        sized = tuple(f"state/{state['name']}" for state in method.states if state["sized"])
        expected = method.expected(tensors, optional)
        found = {name: array.shape for name, array in out.items()
                 if name in expected or not (sized and name.startswith(sized))}
        if found != expected:
            self.fault(method, f"results are {found}, not {expected}")
        takes_reals = any(entry["type"] == "real" for entry in method.probe["inputs"])
        whole = {entry["name"] for entry in method.probe["outputs"] if entry["type"] == "integer"}
        for name, array in out.items():
            if array.dtype != (np.int32 if name in whole else real if takes_reals else np.float64):
                self.fault(method, f"{name} is {array.dtype}")
            if not np.isfinite(array).all():
                self.fault(method, f"{name} is not finite")
        return out

    def both(self, method, arrays, optional):
        single = self.good(method, arrays, optional, np.float32)
        if single is None:
            return
        if method.family == "model" and not any(name.startswith("parameters/") for name in arrays):
            arrays = arrays | {name: array for name, array in single.items() if name.startswith("parameters/")}
        wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in arrays.items()}
        double = self.good(method, wide, optional, np.float64)
        if method.key in DISCONTINUOUS:
            return
        for name in single if double else ():
            largest = abs(double[name]).max(initial=0)
            error = abs(single[name] - double[name]).max(initial=0)
            if error > 2e-3 * (1e-3 + largest):
                self.fault(method, f"{name}: float32 and float64 differ by {error:.3g} (largest {largest:.3g})")

    def bad(self, method, arrays, what, name=None, settings=None, status=(2, 3)):
        done, out = self.run(method, arrays, settings)
        if done.returncode not in status:
            self.fault(method, f"{what}: status {done.returncode}, not {status}")
        if done.stderr.count("\n") != 1 or not done.stderr.startswith("cohort: error: "):
            self.fault(method, f"{what}: stderr is not one line: {done.stderr!r}")
        if name and name not in done.stderr:
            self.fault(method, f"{what}: the message does not name {name}: {done.stderr.strip()}")
        if out is not None or os.path.exists(os.path.join(self.directory, "out.h5.part")):
            self.fault(method, f"{what}: a file is written")

    def every_fault(self, method, arrays):
        self.bad(method, arrays, "an unknown key", "no_such_key", {"no_such_key": 1}, (2,))
        self.bad(method, arrays | {"superfluous": np.float32([1])}, "an array too many", "superfluous", status=(3,))
        for name, array in arrays.items():
            entry, rest = method.entry_of(name), {other: a for other, a in arrays.items() if other != name}
            if not entry["optional"]:
                self.bad(method, rest, f"without {name}", status=(3,))
            if "shape" in entry["shape"]:
                self.bad(method, rest | {name: np.concatenate([array, array], axis=-1)}, f"{name} too long", status=(3,))
            else:
                self.bad(method, rest | {name: array[None]}, f"{name} with an axis too many", name, status=(3,))
            if entry["type"] == "integer":
                lenient = name in ("step", "samples") and method.family in ("schedule", "federated", "asynchronous")  # whole numbers serve
                self.bad(method, rest | {name: (array + 0.5 * lenient).astype(np.float32)}, f"{name} of reals", name,
                         status=(3,))
                above = array.copy()
                if "<" in entry["constraint"].partition("value")[2]:
                    above.flat[-1] = method.bounds(entry["constraint"])[1] + 1
                else:
                    above.flat[-1] = method.bounds(entry["constraint"])[0] - 1
                self.bad(method, rest | {name: above}, f"{name} out of range", name, status=(3,))
            else:
                self.bad(method, rest | {name: np.full_like(array, np.nan)}, f"{name} of NaN", name, status=(3,))
                if any(a.dtype == np.float32 for a in rest.values()):
                    self.bad(method, rest | {name: array.astype(np.float64)}, f"{name} of mixed type", status=(3,))
        self.disagreeing(method, arrays)

    def disagreeing(self, method, arrays):
        """An axis whose symbol stands elsewhere too, one longer than there."""
        shapes = {name: method.entry_of(name)["shape"] for name in arrays}
        for name, shape in shapes.items():
            for axis, symbol in enumerate(shape):
                elsewhere = any(symbol in other for key, other in shapes.items() if key != name)
                if "shape" in shape[:axis + 1] or not elsewhere:
                    continue
                longer = np.concatenate([arrays[name], arrays[name].take([0], axis=axis)], axis=axis)
                self.bad(method, arrays | {name: longer}, f"{name} with another {symbol}", status=(3,))


def check(description, methods, faulty):
    """All about one method: its runs and its faults; `faulty`: with arrays that it must refuse too."""
    method = Method(description, methods)
    with tempfile.TemporaryDirectory() as directory:
        checker = Checker(directory)
        for either in dict.fromkeys(entry["either"] for entry in method.probe["inputs"] if entry["either"]) or [None]:
            arrays = method.inputs(either, optional=False)
            checker.both(method, arrays, optional=False)
            full = method.inputs(either, optional=True)
            if full.keys() != arrays.keys():
                checker.both(method, full, optional=True)
            if faulty:
                checker.every_fault(method, full)
    return checker.runs, len(checker.faults)


def main():
    described = catalogue()
    everything = described
    if len(sys.argv) > 2:
        everything = json.loads(subprocess.run([COHORT, "methods", "--format", "json"], check=True, capture_output=True,
                                               text=True).stdout)
    methods = {(d["family"], d["key"]): d for d in everything}
    probed = [description for description in described if description["probe"]]
    first = {}  # by the table of arrays
    for description in probed:
        first.setdefault(json.dumps([description["family"], description["probe"]["inputs"]]), description["key"])
    faulty = [first[json.dumps([d["family"], d["probe"]["inputs"]])] == d["key"] for d in probed]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = list(pool.map(check, probed, [methods] * len(probed), faulty))
    runs, faults = (sum(column) for column in zip(*results)) if results else (0, 0)
    print(f"{len(probed)} methods, {len(first)} tables of arrays, {runs} runs, {faults} faults")
    return 1 if faults or not probed else 0


if __name__ == "__main__":
    sys.exit(main())
