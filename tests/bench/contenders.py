"""How each program is started on a workload, and what is read from it."""
import csv
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import threading
import time

import numpy

import workloads

HERE = workloads.HERE


class NotAvailable(Exception):
    pass


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no message"


def children_of(root):
    """The process and all below it, by /proc."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        parents.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(text.split(" ", 1)[0]))
    found, new = [], [root]
    while new:
        found += new
        new = [child for parent in new for child in parents.get(parent, [])]
    return found


def proportional_memory(root):
    total = 0
    for process in children_of(root):
        try:
            with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except (OSError, ValueError):
            continue
    return total


class Session:
    """What all runs share: options, the scratch folder, the small programs built with cc."""

    def __init__(self, options, scratch):
        self.options, self.scratch, self.messages = options, scratch, []
        self.cores = sorted(os.sched_getaffinity(0))[:2]
        self.mpirun = ["mpirun", "-n", "2", "--bind-to", "none"]
        self.built = {}

    @staticmethod
    def threads(layout):
        """Of one process."""
        return 2 if layout in ("threads", "mpirun") else 1

    def environment(self, **more):
        own = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        return {**own, **{name: str(value) for name, value in more.items()}}

    def compile(self, name, command):
        """Builds scratch/name once."""
        if name not in self.built:
            out = os.path.join(self.scratch, name)
            done = subprocess.run([*command, "-o", out], capture_output=True, text=True, check=False)
            self.built[name] = out if done.returncode == 0 else NotAvailable(last_line(done.stderr))
        if isinstance(self.built[name], NotAvailable):
            raise self.built[name]
        return self.built[name]

    def step_clock(self):
        return self.compile("step_clock.so", ["cc", "-O1", "-shared", "-fPIC", os.path.join(HERE, "step_clock.c")])

    def run(self, commands, environment, memory=False):
        """Runs commands side by side on the benchmark's cores; returns their outputs, the start and the peak memory."""
        cores, started = self.cores, time.clock_gettime(time.CLOCK_MONOTONIC)
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                                      preexec_fn=lambda: os.sched_setaffinity(0, cores)) for command in commands]
        peak, ended = [0], threading.Event()

        def watch():
            while not ended.wait(0.02):
                peak[0] = max(peak[0], sum(proportional_memory(process.pid) for process in processes))

        watcher = threading.Thread(target=watch) if memory else None
        if watcher:
            watcher.start()
        outputs = [None] * len(processes)

        def collect(i):
            outputs[i] = processes[i].communicate()

        collectors = [threading.Thread(target=collect, args=(i,)) for i in range(len(processes))]
        for thread in collectors:
            thread.start()
        for thread in collectors:
            thread.join()
        ended.set()
        if watcher:
            watcher.join()
        for process, (_, message) in zip(processes, outputs):
            if process.returncode < 0:
                raise NotAvailable(f"ended by signal {-process.returncode}")
            if process.returncode != 0:
                raise NotAvailable(last_line(message.decode(errors="replace")))
        self.messages = [message.decode(errors="replace") for _, message in outputs]
        return [out.decode(errors="replace") for out, _ in outputs], started, peak[0]


class Prepared:
    """A workload with its data, Cohort's initial weights and its floating-point operations a step."""

    def __init__(self, session, workload):
        self.workload, self.session = workload, session
        self.folder = os.path.join(session.scratch, workload.config_name or workload.name)
        os.makedirs(self.folder, exist_ok=True)
        steps = session.options.steps or workload.steps
        self.block = workload.config.get("log_every", 1)
        self.timed = max(self.block, steps // self.block * self.block)
        self.steps = workload.warm_up + self.timed
        self.overrides, self.prompt = [], ""
        self.weights = self.data = None
        if workload.kind == "update":
            return
        arrays, self.overrides, self.prompt = workloads.make_data(workload, self.folder, max(self.steps, 1))
        self.arrays = arrays
        self.data = os.path.join(self.folder, "data.npz")
        numpy.savez(self.data, **arrays)
        self.make_weights()

    def make_weights(self):
        """A step of learning rate 0 leaves the initial weights in final.h5."""
        import h5py
        run = os.path.join(self.folder, "initial")
        shutil.rmtree(run, ignore_errors=True)
        self.session.run([[self.session.options.cohort, "train", self.workload.config_path, *self.overrides, f"run={run}",
                           "steps=1", "threads=2", "optimizer.adamw.learning_rate=0"]], self.session.environment())
        self.weights = os.path.join(self.folder, "weights.npz")
        with h5py.File(os.path.join(run, "final.h5")) as file:
            tensors = file["model/parameters"]
            numpy.savez(self.weights, **{name: tensors[name][...] for name in tensors})


class Cohort:
    program, variant = "Cohort", ""

    def __init__(self, prepared, precision, layout):
        self.prepared, self.precision, self.layout = prepared, precision, layout
        self.session = prepared.session
        self.options = self.session.options
        self.precisions = [] if precision == "float32" else [f"precision={precision}"]

    def measure(self, memory=False, short=0):
        return {"train": self.train, "update": self.update, "generate": self.generate}[self.prepared.workload.kind](memory,
                                                                                                                short)

    def train(self, memory, short):
        own = self.prepared
        if self.layout == "ranks" and own.workload.config.get("lanes") == 1:
            raise NotAvailable("one lane serves one rank")
        run, clock = os.path.join(own.folder, "run"), os.path.join(own.folder, "clock")
        shutil.rmtree(run, ignore_errors=True)
        threads = self.session.threads(self.layout)
        steps = short or own.steps
        command = [self.options.cohort, "train", own.workload.config_path, *own.overrides, *self.precisions, f"run={run}",
                   f"steps={steps}", f"threads={threads}"]
        if self.layout == "ranks":
            command = self.session.mpirun + command
        elif self.layout == "mpirun":
            command = ["mpirun", "-n", "1", "--bind-to", "none"] + command
        environment = self.session.environment(LD_PRELOAD=self.session.step_clock(), STEP_CLOCK_FILE=clock)
        _, started, peak = self.session.run([command], environment, memory)
        with open(clock, encoding="ascii") as file:
            first = float(file.read()) - started
        with open(os.path.join(run, "timing.csv"), encoding="ascii") as file:
            rows = [(int(row["step"]), float(row["seconds"])) for row in csv.DictReader(file)]
        with open(os.path.join(run, "metrics.csv"), encoding="ascii") as file:
            losses = {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}
        with open(os.path.join(run, "summary.json"), encoding="ascii") as file:
            summary = json.load(file)
        seconds = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(rows, rows[1:]) if a[0] >= own.workload.warm_up]
        return {"seconds": seconds, "losses": losses, "peak": peak, "start": first,
                "flops": summary["gflops_per_second"] * summary["seconds"] / summary["steps"] * 1e9,
                "version": f"{summary['version']} ({summary['commit']}), kernels {summary['kernels']}"}

    def update(self, memory, short):
        program = os.path.join(os.path.dirname(self.options.cohort), "tests", "bench_update")
        if not os.path.exists(program):
            raise NotAvailable(f"{program} is not there; build it with the tests")
        if self.precisions or self.layout == "ranks":
            raise NotAvailable("float32 in one process")
        config = self.prepared.workload.config_path
        command = [program, config, str(self.session.threads(self.layout)), str(short or self.prepared.timed)]
        outputs, _, peak = self.session.run([command], self.session.environment(), memory)
        out = json.loads(outputs[0])
        return {"seconds": [out["step_seconds"]], "losses": {}, "peak": peak, "start": None, "flops": None, **out}

    def generate(self, memory, short):
        """Seconds a token by the program's own clock, without loading and the prompt, as on the other side."""
        own = self.prepared
        if self.layout == "ranks":
            raise NotAvailable("one process")
        help_text = self.session.run([[self.options.cohort, "generate", "--help"]], self.session.environment())[0][0]
        command = [self.options.cohort, "generate", os.path.join(own.folder, "initial"), "--prompt", own.prompt,
                   "--temperature", "0", "--ignore-end"]
        if own.workload.batch > 1:
            if "--batch" not in help_text:
                raise NotAvailable("cohort generate has no --batch")
            command += ["--batch", str(own.workload.batch)]
        if self.precisions:
            if "--precision" not in help_text:
                raise NotAvailable("cohort generate has no --precision")
            command += ["--precision", self.precision]
        count = short or own.timed
        outputs, _, peak = self.session.run([[*command, "--tokens", str(1 + count)]], self.session.environment(), memory)
        found = re.search(r"text: (\d+) tokens in ([\d.]+) s", self.session.messages[0])
        passes = int(found[1]) / own.workload.batch
        return {"seconds": [float(found[2]) / passes], "losses": {}, "peak": peak, "start": None, "flops": None,
                "text": outputs[0]}


class Torch:
    program = "PyTorch"

    def __init__(self, prepared, precision, layout, variant):
        self.prepared, self.precision, self.layout, self.variant = prepared, precision, layout, variant
        self.session = prepared.session

    def measure(self, memory=False, short=0):
        own, workload = self.prepared, self.prepared.workload
        python = self.session.options.python
        if not python:
            raise NotAvailable("--python names no Python with torch")
        if self.layout == "ranks" and (workload.kind != "train" or workload.config.get("lanes") == 1):
            raise NotAvailable("compared in one process")
        ranks, threads = 2 if self.layout == "ranks" else 1, self.session.threads(self.layout)
        job = {"kind": workload.kind, "config": workload.config, "vocabulary": workload.vocabulary or 50257,
               "data": own.data, "precision": self.precision, "variant": self.variant, "threads": threads,
               "ranks": ranks, "rank": 0, "batch": workload.batch, "warm_up": 0 if short else workload.warm_up,
               "steps": short or (own.timed if workload.kind != "train" else own.steps),
               "block": 1 if short else own.block}
        if own.weights:
            job["weights"] = own.weights
        path = os.path.join(own.folder, "job.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(job, file)
        commands = [[python, os.path.join(HERE, "peer_torch.py"), path, str(rank)] for rank in range(ranks)]
        environment = self.session.environment(OMP_NUM_THREADS=threads, MASTER_ADDR="127.0.0.1", MASTER_PORT=29533,
                                               TORCHINDUCTOR_COMPILE_THREADS=1, PYTHONDONTWRITEBYTECODE=1)
        outputs, started, peak = self.session.run(commands, environment, memory)
        out = json.loads(outputs[0].splitlines()[-1])
        losses = dict(enumerate(out["losses"], 1))
        return {"seconds": out["seconds"], "losses": losses, "peak": peak, "flops": None, "version": out["version"],
                "start": out["first_step"] and out["first_step"] - started, "tokens": out.get("tokens")}


class Llmc:
    program, variant = "llm.c", "CPU"
    LIMIT = 3  # steps: it takes a minute for one

    def __init__(self, prepared, precision, layout):
        self.prepared, self.precision, self.layout, self.session = prepared, precision, layout, prepared.session

    def write_inputs(self):
        """Its checkpoint (version 3: tensors by kind, layers within; the vocabulary padded to 128) and the sequences."""
        own = self.prepared
        model = own.workload.config["model"]["gpt"]
        layers, width, context, vocabulary = model["layers"], model["width"], model["context"], own.workload.vocabulary
        padded = (vocabulary + 127) // 128 * 128
        stored = numpy.load(own.weights)
        layer = lambda name: [stored[f"layer{i}.{name}"] for i in range(layers)]
        joined = lambda kind: [numpy.concatenate(parts) for parts in
                               zip(*(layer(f"attention.{part}.{kind}") for part in ("query", "key", "value")))]
        header = numpy.zeros(256, dtype=numpy.int32)
        header[:8] = (20240326, 3, context, vocabulary, layers, model["heads"], width, padded)
        checkpoint, sequences = os.path.join(own.folder, "llmc.bin"), os.path.join(own.folder, "sequences.bin")
        with open(checkpoint, "wb") as file:
            header.tofile(file)
            for part in ([stored["embedding.weight"], numpy.zeros((padded - vocabulary, width), numpy.float32),
                          stored["positions.weight"]], layer("attention_norm.gain"), layer("attention_norm.bias"),
                         joined("weight"), joined("bias"), layer("attention.output.weight"), layer("attention.output.bias"),
                         layer("feed_forward_norm.gain"), layer("feed_forward_norm.bias"), layer("feed_forward.up.weight"),
                         layer("feed_forward.up.bias"), layer("feed_forward.down.weight"), layer("feed_forward.down.bias"),
                         [stored["norm.gain"], stored["norm.bias"]]):
                for tensor in part:
                    tensor.astype(numpy.float32).tofile(file)
        own.arrays["x"][own.arrays["order"].ravel()].astype(numpy.int32).tofile(sequences)
        return checkpoint, sequences

    def measure(self, memory=False, short=0):
        own, folder = self.prepared, self.session.options.llmc
        if not folder:
            raise NotAvailable("--llmc names no checkout of llm.c")
        if self.precision != "float32" or self.layout == "ranks":
            raise NotAvailable("float32 in one process")
        program = self.session.compile("peer_llmc", ["cc", "-Ofast", "-march=native", "-fopenmp", "-DOMP", "-w", f"-I{folder}",
                                                    os.path.join(HERE, "peer_llmc.c"), "-lm"])
        checkpoint, sequences = self.write_inputs()
        model, steps = own.workload.config["model"]["gpt"], 1 if short else self.LIMIT
        command = [program, checkpoint, sequences, str(own.workload.config["batch"]), str(model["context"]), str(steps),
                   str(own.workload.config["optimizer"]["adamw"]["learning_rate"])]
        environment = self.session.environment(OMP_NUM_THREADS=self.session.threads(self.layout))
        outputs, started, peak = self.session.run([command], environment, memory)
        rows = [[float(word) for word in line.split()] for line in outputs[0].splitlines() if line[:1].isdigit()]
        losses = {i: row[0] for i, row in enumerate(rows, 1)}
        return {"seconds": [row[1] for row in rows[1 if steps > 1 else 0:]], "losses": losses, "peak": peak,
                "start": rows[0][2] - started, "flops": None}


def median(values):
    return statistics.median(values) if values else None
