"""How each program is started on a workload, and what is read from it."""
import csv
import json
import os
import re
import shutil

import numpy

import workloads
from session import NotAvailable, last_line, own_memory, tree_memory

HERE = workloads.HERE


class Prepared:
    """A workload with its data, Cohort's initial weights and the time a run of it may take."""

    def __init__(self, session, workload):
        self.workload, self.session = workload, session
        self.folder = os.path.join(session.scratch, workload.config_name or workload.name)
        os.makedirs(self.folder, exist_ok=True)
        steps = session.options.steps or workload.steps
        self.block = workload.config.get("log_every", 1)
        self.timed = max(self.block, steps // self.block * self.block)
        self.steps = workload.warm_up + self.timed
        self.limit = workload.limit * max(1, self.timed / workload.steps)
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
        command = [self.session.options.cohort, "train", self.workload.config_path, *self.overrides, f"run={run}", "steps=1",
                   f"threads={len(self.session.processors)}", "optimizer.adamw.learning_rate=0"]
        self.session.run([command], self.session.environment(), self.limit)
        self.weights = os.path.join(self.folder, "weights.npz")
        with h5py.File(os.path.join(run, "final.h5")) as file:
            tensors = file["model/parameters"]
            numpy.savez(self.weights, **{name: tensors[name][...] for name in tensors})


class Contender:
    """A program on a workload. measure() returns the seconds of the timed steps (a list), and what else is known of:
    losses by step, peak bytes, the time to the end of the first step (start), tokens, a version."""

    def __init__(self, prepared, precision, layout, variant=""):
        self.prepared, self.precision, self.layout, self.variant = prepared, precision, layout, variant
        self.session, self.options = prepared.session, prepared.session.options

    def run(self, commands, environment, sampler=None):
        return self.session.run(commands, environment, self.prepared.limit, sampler)


class Cohort(Contender):
    program = "Cohort"

    def measure(self, memory=False, short=0):
        kinds = {"train": self.train, "update": self.update, "generate": self.generate}
        return kinds[self.prepared.workload.kind](tree_memory if memory else None, short)

    def precisions(self):
        return [] if self.precision == "float32" else [f"precision={self.precision}"]

    def clock(self, path):
        """The environment in which the end of the first step is written to path; without cc it is not."""
        if os.path.exists(path):
            os.remove(path)
        try:
            return self.session.environment(LD_PRELOAD=self.session.step_clock(), STEP_CLOCK_FILE=path)
        except NotAvailable:
            return self.session.environment()

    def train(self, sampler, short):
        own = self.prepared
        if self.layout == "ranks" and not own.workload.ranks:
            raise NotAvailable("one lane serves one rank")
        run, clock = os.path.join(own.folder, "run"), os.path.join(own.folder, "clock")
        shutil.rmtree(run, ignore_errors=True)
        command = [self.options.cohort, "train", own.workload.config_path, *own.overrides, *self.precisions(), f"run={run}",
                   f"steps={short or own.steps}", f"threads={self.session.threads(self.layout)}"]
        if self.layout in ("ranks", "mpirun"):
            command = self.session.mpirun(2 if self.layout == "ranks" else 1) + command
        ran = self.run([command], self.clock(clock), sampler)
        return {**self.read_run(run), "peak": ran.peak, "start": self.read_clock(clock, ran.started)}

    @staticmethod
    def read_clock(path, started):
        if not os.path.exists(path):
            return None
        with open(path, encoding="ascii") as file:
            return float(file.read()) - started

    def read_run(self, run):
        with open(os.path.join(run, "timing.csv"), encoding="ascii") as file:
            rows = [(int(row["step"]), float(row["seconds"])) for row in csv.DictReader(file)]
        with open(os.path.join(run, "metrics.csv"), encoding="ascii") as file:
            losses = {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}
        with open(os.path.join(run, "summary.json"), encoding="ascii") as file:
            summary = json.load(file)
        warm_up = self.prepared.workload.warm_up
        return {"seconds": [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(rows, rows[1:]) if a[0] >= warm_up],
                "losses": losses, "flops": summary["gflops_per_second"] * summary["seconds"] / summary["steps"] * 1e9,
                "version": f"{summary['version']} ({summary['commit']}), kernels {summary['kernels']}"}

    def update(self, sampler, short):
        """The update alone, as the peer's step has no norm either; a whole step is in step_seconds."""
        program = os.path.join(os.path.dirname(self.options.cohort), "tests", "bench_update")
        if not os.path.exists(program):
            raise NotAvailable(f"{program} is not there; build it with the tests")
        if self.precision != "float32" or self.layout == "ranks":
            raise NotAvailable("float32 in one process")
        config = self.prepared.workload.config_path
        command = [program, config, str(self.session.threads(self.layout)), str(short or self.prepared.timed)]
        ran = self.run([command], self.session.environment(), sampler)
        out = json.loads(ran.outputs[0])
        return {"seconds": [out["update_seconds"]], "step_seconds": out["step_seconds"], "peak": ran.peak,
                "rate": out["update_bytes"] / out["update_seconds"], "in_place": out["in_place_bytes_per_second"]}

    def generate(self, sampler, short):
        """Seconds a token by the program's own clock, without loading and the prompt, as on the other side."""
        own = self.prepared
        if self.layout == "ranks":
            raise NotAvailable("one process")
        count, batch = short or own.timed, own.workload.batch
        command = [self.options.cohort, "generate", os.path.join(own.folder, "initial"), "--prompt", own.prompt, "--greedy",
                   "--ignore-end", "--batch", str(batch), "--precision", self.precision, "--tokens", str(1 + count)]
        ran = self.run([command], self.session.environment(), sampler)
        line = last_line(ran.messages[0])
        found = re.search(r"text: (\d+) tokens in ([\d.]+) s", line)
        share = re.search(r"weights at ([\d.]+) GB/s(?:, ([\d.]+) % of)?", line)
        return {"seconds": [float(found[2]) * batch / int(found[1])], "peak": ran.peak, "rate": float(share[1]) * 1e9,
                "share": float(share[2] or 0), "texts": workloads.texts_of(ran.outputs[0], own.prompt, batch)}


class Torch(Contender):
    program = "PyTorch"

    def measure(self, memory=False, short=0):
        """In memory each rank counts alone: what its compiler starts is left out."""
        own, workload = self.prepared, self.prepared.workload
        python = self.options.python
        if not python:
            raise NotAvailable("--python names no Python with torch")
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
                                               TORCHINDUCTOR_COMPILE_THREADS=1, PYTHONDONTWRITEBYTECODE=1,
                                               TORCHINDUCTOR_FREEZING=int("freeze" in self.variant.split("+")))
        ran = self.run(commands, environment, own_memory if memory else None)
        out = json.loads(ran.outputs[0].splitlines()[-1])
        return {"seconds": out["seconds"], "losses": dict(enumerate(out["losses"], 1)), "peak": ran.peak,
                "version": out["version"], "start": out["first_step"] and out["first_step"] - ran.started,
                "tokens": out.get("tokens")}


class Llmc(Contender):
    program = "llm.c"
    LIMIT = 3  # steps: it takes a minute for one

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
        own, folder = self.prepared, self.options.llmc
        if not folder:
            raise NotAvailable("--llmc names no checkout of llm.c")
        if self.layout == "ranks":
            raise NotAvailable("one process")
        program = self.session.compile("peer_llmc", ["cc", "-Ofast", "-march=native", "-fopenmp", "-DOMP", "-w", f"-I{folder}",
                                                    os.path.join(HERE, "peer_llmc.c"), "-lm"])
        checkpoint, sequences = self.write_inputs()
        model, steps = own.workload.config["model"]["gpt"], 1 if short else self.LIMIT
        command = [program, checkpoint, sequences, str(own.workload.config["batch"]), str(model["context"]), str(steps),
                   str(own.workload.config["optimizer"]["adamw"]["learning_rate"])]
        environment = self.session.environment(OMP_NUM_THREADS=self.session.threads(self.layout))
        ran = self.run([command], environment, tree_memory if memory else None)
        rows = [[float(word) for word in line.split()] for line in ran.outputs[0].splitlines() if line[:1].isdigit()]
        return {"seconds": [row[1] for row in rows[1 if steps > 1 else 0:]], "peak": ran.peak,
                "losses": {i: row[0] for i, row in enumerate(rows, 1)}, "start": rows[0][2] - ran.started}
