"""What the checks written in Python share: a scratch folder with the small data, launches, comparison, counting."""
import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BINARY = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build/cohort"))
SCRATCH = tempfile.mkdtemp(prefix="cohort_check.")
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
CONFIGS = ["mlp", "cnn", "gpt", "dpo", "fedyogi", "sam", "adahessian", "pcgrad", "regression", "bf16"]
counts = {"passed": 0, "failed": 0}

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def check(name, good, detail=""):
    """Counts one claim; prints why it does not hold."""
    counts["passed" if good else "failed"] += 1
    print(("ok " if good else "FAIL ") + name + (f": {detail}" if detail and not good else ""), flush=True)
    return good


def finish():
    print("%d passed, %d failed" % (counts["passed"], counts["failed"]))
    sys.exit(counts["failed"] > 0)


def data():
    """The folder of the small data."""
    folder = os.path.join(SCRATCH, "data")
    if not os.path.isdir(folder):
        os.mkdir(folder)
        subprocess.run([os.path.join(HERE, "make_data"), folder], check=True)
    return folder


def pretrained():
    """Weights of a short run of gpt.yaml, of the model of dpo.yaml."""
    path = os.path.join(SCRATCH, "pretrained")
    if not os.path.exists(f"{path}/final.h5"):
        words = ["model.gpt.layers=1", "model.gpt.context=48", "steps=30", "batch=8", "threads=1"]
        status, text = run(0, ["train", config("gpt"), f"run={path}"] + words)
        if status != 0:
            raise RuntimeError(f"the run that dpo starts from gives {status}: {text}")
    return f"{path}/final.h5"


def config(name):
    """A config of tests/acceptance/configs with its data in place; returns the path."""
    path = os.path.join(SCRATCH, name + ".yaml")
    if not os.path.exists(path):
        with open(os.path.join(HERE, "configs", name + ".yaml")) as file:
            text = file.read().replace("DATA", data())
        if "START" in text:
            text = text.replace("START", pretrained())
        with open(path, "w") as file:
            file.write(text)
    return path


def other_host(name):
    """What gives a command a host name of its own, by which ranks tell hosts apart; needs root or user namespaces."""
    return ["unshare"] + (["-u"] if os.geteuid() == 0 else ["-r", "-u"]) + ["sh", "-c", f'hostname {name} && exec "$0" "$@"']


def hosts_can_be_simulated():
    return subprocess.run(other_host("host0") + ["true"], capture_output=True, check=False).returncode == 0


def command(ranks, words, hosts=None):
    """The command line and environment of `ranks` ranks (0: without mpirun); or of hosts[h] ranks on simulated hosts."""
    environment = dict(ENVIRONMENT)
    if hosts:
        ranks = sum(hosts)
    elif ranks == 0:
        return [BINARY] + words, environment
    options = ["--bind-to", "none"]
    if ranks > len(os.sched_getaffinity(0)):
        options += ["--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]
        environment["OMP_WAIT_POLICY"] = "passive"
    if not hosts:
        return ["mpirun", "-n", str(ranks)] + options + [BINARY] + words, environment
    line = ["mpirun"] + options
    for h, count in enumerate(hosts):
        line += ([":"] if h else []) + ["-n", str(count)] + other_host(f"host{h}") + [BINARY] + words
    return line, environment


def run(ranks, words, timeout=120, hosts=None, **more):
    """Runs to the end; returns (status, stderr and stdout as text)."""
    line, environment = command(ranks, words, hosts)
    environment.update(more)
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        return -1, out.decode(errors="replace") + "\nthe time is over"
    return process.returncode, out.decode(errors="replace")


def run_until_error(line, timeout=60, meanwhile=None, **more):
    """Runs a command line; returns (status, text, seconds from the first error line to the end of all)."""
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **more)
    watch = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
    watch.start()
    if meanwhile:
        meanwhile(process)
    text, seen = "", None
    for raw in process.stdout:
        text += raw.decode(errors="replace")
        if seen is None and "cohort: error" in text:
            seen = time.monotonic()
    status = process.wait()
    watch.cancel()
    return status, text, float("inf") if seen is None else time.monotonic() - seen


def start(ranks, words):
    line, environment = command(ranks, words)
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def children(pid):
    """The ranks that the mpirun `pid` has started."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pids, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def same(one, other):
    """'' when two run directories hold the same metrics.csv and the same bits in final.h5, else what differs."""
    try:
        with open(f"{one}/metrics.csv", "rb") as a, open(f"{other}/metrics.csv", "rb") as b:
            first, second = a.read(), b.read()
    except OSError as error:
        return str(error)
    if first != second:
        for number, (x, y) in enumerate(zip(first.splitlines(), second.splitlines()), 1):
            if x != y:
                return f"metrics.csv line {number}: {x.decode()} | {y.decode()}"
        return "metrics.csv: one is longer"
    status, text = run(0, ["inspect", f"{one}/final.h5", "--compare", f"{other}/final.h5"])
    return "" if status == 0 else f"inspect --compare gives {status}: {text.strip().splitlines()[-1:]}"


def last_line(text):
    lines = [line for line in text.splitlines() if "cohort: error" in line] or text.strip().splitlines()
    return lines[-1] if lines else ""
