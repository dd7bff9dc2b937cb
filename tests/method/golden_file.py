"""One layout for goldens of every family, as `cohort probe` takes and gives its arrays.

golden/probe/NAME.h5 holds /in/... (the whole input of one probe), /out/... (what it must answer) and the attributes
  family, method   the words after `cohort probe`
  settings         the key=value words, separated by spaces
  source           PACKAGE==VERSION:FUNCTION or OWNER/REPOSITORY:FILE@COMMIT, or "derived: PAPER, EQUATION"
  tolerance        largest difference, relative to the largest magnitude of the array
tests/acceptance/golden_files runs them all. Real arrays are float64, integers int32.

Authors' code is no part of this repository: GOLDEN_CODE names a folder with one clone a repository, OWNER+NAME, at the
commit that the source states; `authors` refuses any other.
"""

import __future__
import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import types

import h5py
import numpy

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "probe")


def package(name, function):
    """The source of a function of an installed package."""
    return f"{name}=={importlib.metadata.version(name)}:{function}"


def clone(repository, commit):
    """The folder of a clone of an author's repository, which must stand at the commit."""
    folder = os.path.join(os.environ["GOLDEN_CODE"], repository.replace("/", "+"))
    found = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    if found.strip() != commit:
        raise SystemExit(f"{folder} stands at {found.strip()}, not at {commit}")
    return folder


def authors(repository, commit, file):
    """A file of an author's repository as a module, and its source."""
    folder = os.path.dirname(os.path.join(clone(repository, commit), file))
    whole = "authors_" + repository.replace("/", "_").replace("-", "_")
    package = types.ModuleType(whole)  # so that the file's relative imports find its neighbours
    package.__path__ = [folder]
    sys.modules[whole] = package
    sys.path.insert(0, folder)
    module = importlib.import_module(whole + "." + os.path.basename(file).removesuffix(".py"))
    sys.path.remove(folder)
    return module, f"{repository}:{file}@{commit[:12]}"


def functions(repository, commit, file, names, **globals_):
    """Functions of an author's file that would not import as a whole; `globals_` is what they use. And the source."""
    with open(os.path.join(clone(repository, commit), file), encoding="utf-8") as stream:
        text = stream.read()
    if file.endswith(".ipynb"):
        cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        text = next(cell for cell in cells if all(f"def {name}(" in cell for name in names))
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    code = dict(globals_)
    exec(compile(tree, file, "exec", __future__.annotations.compiler_flag), code)  # annotations are not evaluated
    return code, f"{repository}:{file}@{commit[:12]}"


def bare(name, module):
    """A module of an installed package without running the package's own __init__, which wants more packages."""
    parts = name.split(".")
    place = str(importlib.metadata.distribution(parts[0]).locate_file(parts[0]))
    for depth in range(1, len(parts) + 1):
        whole = ".".join(parts[:depth])
        if whole not in sys.modules:
            sys.modules[whole] = types.ModuleType(whole)
            sys.modules[whole].__path__ = [os.path.join(place, *parts[1:depth])]
    return importlib.import_module(f"{name}.{module}")


def store(group, arrays):
    for name, value in arrays.items():
        value = numpy.asarray(value.detach() if hasattr(value, "detach") else value)
        value = value.astype(numpy.int32 if value.dtype.kind in "iub" else numpy.float64)
        if value.dtype.kind == "f" and not numpy.isfinite(value).all():
            raise SystemExit(f"{group.file.filename}: {group.name}/{name} is not finite")
        options = {"compression": "gzip", "shuffle": True} if value.nbytes > 1024 else {}
        group.create_dataset(name, data=value, **options)


def spread(settings):
    """base=sgd{learning_rate=0.1,momentum=0.9} as words of a command line: base.sgd.learning_rate=0.1 ..."""
    while "{" in settings:
        settings = re.sub(r"([\w.]+)=(\w+)\{([^{}]*)\}",
                          lambda m: ",".join(f"{m[1]}.{m[2]}.{pair}" for pair in m[3].split(",")), settings)
    return settings.replace(",", " ")


def write(name, family, method, settings, source, given, expected, tolerance=1e-6):
    """Writes golden/probe/NAME.h5; `given` and `expected` are arrays by their names in the probe."""
    os.makedirs(FOLDER, exist_ok=True)
    with h5py.File(os.path.join(FOLDER, name + ".h5"), "w") as file:
        file.attrs.update(family=family, method=method, settings=spread(settings), source=source, tolerance=tolerance)
        store(file.create_group("in"), given)
        store(file.create_group("out"), expected)


def short(values):
    """Random numbers with few digits: small files, and the same number in every decimal or binary reading."""
    return numpy.round(numpy.asarray(values) * 1024) / 1024


def chosen(cases):
    """Runs the cases named on the command line, or all."""
    names = sys.argv[1:] or list(cases)
    for name in names:
        cases[name]()
        print(name, flush=True)
