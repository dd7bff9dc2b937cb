"""Starting programs on the benchmark's processors, within a time limit, and watching their memory."""
import glob
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

import workloads

HERE = workloads.HERE


class NotAvailable(Exception):
    pass


# What a program that is not there, ends badly or prints something else makes its reader raise.
FAULTS = (NotAvailable, OSError, ImportError, LookupError, ValueError, TypeError, ArithmeticError)


def describe(fault):
    known = isinstance(fault, (NotAvailable, OSError, ImportError))
    return str(fault) if known else f"its output is not understood ({type(fault).__name__}: {fault})"


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


def own_memory(process):
    """Bytes of one process; pages that several map count in equal shares."""
    try:
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, ValueError):
        return 0


def tree_memory(process):
    return sum(own_memory(each) for each in children_of(process))


def siblings_of(processor):
    """The processors of its core."""
    try:
        with open(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list", encoding="ascii") as file:
            parts = [part.split("-") for part in file.read().strip().split(",")]
        return {number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)}
    except (OSError, ValueError):
        return {processor}


def choose_processors(allowed, count):
    """Of distinct cores as far as there are enough."""
    chosen, taken = [], set()
    for processor in sorted(allowed):
        if processor not in taken:
            chosen.append(processor)
            taken |= siblings_of(processor)
    return (chosen + [other for other in sorted(allowed) if other not in chosen])[:count]


def busy_processors(processors, seconds=0.5):
    """How many of the processors others keep busy while nothing of ours runs; what the host takes away counts too."""
    def ticks():
        with open("/proc/stat", encoding="ascii") as file:
            rows = {words[0]: [int(word) for word in words[1:9]] for words in map(str.split, file) if words}
        rows = [rows[f"cpu{processor}"] for processor in processors]
        return sum(row[3] + row[4] for row in rows), sum(map(sum, rows))
    idle, whole = ticks()
    time.sleep(seconds)
    idle_after, whole_after = ticks()
    return len(processors) * (1 - (idle_after - idle) / max(whole_after - whole, 1))


@dataclass
class Ran:
    """What programs that ran side by side left."""
    outputs: list
    messages: list
    started: float  # on the monotonic clock
    peak: int       # bytes, when memory was sampled


class Job:
    """Programs side by side, until all have ended, one fails or time is up; none of them outlives the job."""

    def __init__(self, commands, environment, limit):
        self.limit, self.fault, self.processes = limit, "", []
        self.outputs = [None] * len(commands)
        self.started = time.clock_gettime(time.CLOCK_MONOTONIC)
        try:
            for command in commands:
                self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                       stderr=subprocess.PIPE, env=environment, start_new_session=True))
        except BaseException:
            self.end("another could not be started")
            raise

    def end(self, why):
        """Ends the processes and all below them: mpirun's ranks have left its process group."""
        self.fault = self.fault or why
        for process in self.processes:
            if process.returncode is None:
                for each in children_of(process.pid):
                    try:
                        os.kill(each, signal.SIGKILL)
                    except ProcessLookupError:
                        pass

    def collect(self, i):
        process = self.processes[i]
        try:
            self.outputs[i] = process.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            self.end(f"ended by the driver after {self.limit:.0f} s, its time limit")
            self.outputs[i] = process.communicate()
        if process.returncode:
            message = last_line(self.outputs[i][1].decode(errors="replace"))
            self.end(message if process.returncode > 0 else f"ended by signal {-process.returncode}")

    def wait(self, sampler):
        """Peak memory, by the sampler of a process's bytes; 0 without one."""
        collectors = [threading.Thread(target=self.collect, args=(i,)) for i in range(len(self.processes))]
        peak = 0
        try:
            for thread in collectors:
                thread.start()
            while sampler and any(thread.is_alive() for thread in collectors):
                peak = max(peak, sum(sampler(process.pid) for process in self.processes))
                time.sleep(0.02)
            for thread in collectors:
                thread.join()
        except BaseException:
            self.end("the driver was ended")
            raise
        return peak


class Session:
    """What all runs share: options, the scratch folder, the processors, the small programs built with cc."""

    def __init__(self, options, scratch):
        self.options, self.scratch, self.built = options, scratch, {}
        self.all_processors = self.processors = choose_processors(os.sched_getaffinity(0), 2)

    def hold(self, layout):
        """Keeps the driver, and so all that it starts, to the layout's processors."""
        self.processors = self.all_processors[:1] if layout == "single" else self.all_processors
        os.sched_setaffinity(0, self.processors)

    @staticmethod
    def threads(layout):
        """Of one process."""
        return 2 if layout in ("threads", "mpirun") else 1

    @staticmethod
    def mpirun(ranks):
        return ["mpirun", "-n", str(ranks), "--bind-to", "none"]

    def environment(self, **more):
        own = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        return {**own, **{name: str(value) for name, value in more.items()}}

    def compile(self, name, command):
        """Builds scratch/name once."""
        if name not in self.built:
            out = os.path.join(self.scratch, name)
            try:
                self.run([[*command, "-o", out]], self.environment(), 120)
                self.built[name] = out
            except (NotAvailable, OSError) as fault:
                self.built[name] = NotAvailable(f"{name} cannot be built: {fault}")
        if isinstance(self.built[name], NotAvailable):
            raise self.built[name]
        return self.built[name]

    def step_clock(self):
        return self.compile("step_clock.so", ["cc", "-O1", "-shared", "-fPIC", os.path.join(HERE, "step_clock.c")])

    def run(self, commands, environment, limit, sampler=None):
        """Runs commands side by side for at most `limit` seconds."""
        job = Job(commands, environment, limit)
        peak = job.wait(sampler)
        if job.fault:
            raise NotAvailable(job.fault)
        outputs = [out.decode(errors="surrogateescape") for out, _ in job.outputs]  # reversible: a text may be any bytes
        return Ran(outputs, [message.decode(errors="replace") for _, message in job.outputs], job.started, peak)
