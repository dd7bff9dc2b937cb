"""From measurements to rows: medians, ratios in pairs, and whether a row counts."""
import csv
import os
import platform
import statistics
import subprocess

import workloads

COLUMNS = ("workload", "layout", "precision", "program", "variant", "ms", "rate", "unit", "gflops", "peak_mb", "start_s",
           "loss_difference", "counts", "ratio", "ratio_any_precision", "ratio_llmc", "memory_ratio", "others_busy", "note")
ROUND_COLUMNS = ("workload", "layout", "precision", "program", "variant", "round", "ms", "least_ms", "most_ms", "start_s")


def median(values):
    return statistics.median(values) if values else None


class Entry:
    """The runs of one contender, one a round."""

    def __init__(self, contender, layout):
        self.contender, self.layout = contender, layout
        self.runs, self.peak, self.missing = [], 0, ""

    @property
    def rounds(self):
        return [median(run["seconds"]) for run in self.runs if run["seconds"]]

    @property
    def seconds(self):
        return median(self.rounds)

    @property
    def start(self):
        return median([run["start"] for run in self.runs if run.get("start")])

    @property
    def last(self):
        return self.runs[-1] if self.runs else {}

    def names(self):
        who = self.contender
        return {"workload": who.prepared.workload.name, "layout": self.layout, "precision": who.precision,
                "program": who.program, "variant": who.variant}


def is_cohort(entry):
    return entry.contender.program == "Cohort"


def ratio_of(entry, peer):
    """How many times as fast as the peer: the median over rounds of the ratio within a round."""
    return median([b / a for a, b in zip(entry.rounds, peer.rounds)])


def loss_difference(entry, cohort):
    """Relative difference to Cohort's loss at the last step both logged."""
    ours, theirs = cohort.last.get("losses", {}), entry.last.get("losses", {})
    common = sorted(set(ours) & set(theirs))
    return abs(ours[common[-1]] - theirs[common[-1]]) / abs(theirs[common[-1]]) if common else None


def common_tokens(entry, cohort):
    """How many tokens of every text, from the first on, are Cohort's too, and how many there are; None without tokens."""
    tokens, texts = entry.last.get("tokens"), cohort.last.get("texts")
    if not tokens or not texts:
        return None
    vocabulary = entry.contender.prepared.workload.vocabulary
    same = min(workloads.common_tokens(text, row, vocabulary) for text, row in zip(texts, tokens, strict=True))
    return same, len(tokens[0])


def agreement(entry, cohort):
    """Whether a peer did the same work: "yes" or "NO"; "" where nothing can be held against Cohort's."""
    kind, exact = entry.contender.prepared.workload.kind, entry.contender.precision == "float32"
    if not entry.rounds or not cohort or not cohort.rounds or kind == "update":
        return ""
    if kind == "train":
        difference = loss_difference(entry, cohort)
        return "yes" if difference is not None and difference <= (1e-3 if exact else 1e-2) else "NO"
    common = common_tokens(entry, cohort)
    if not exact:
        return ""
    return "yes" if common and common[0] == common[1] else "NO"


def work_of(workload):
    """Units a step makes, and their name."""
    if workload.kind == "update":
        return 124439808, "parameters/s"
    if workload.kind == "generate":
        return workload.batch, "tokens/s"
    model = next(iter(workload.config["model"].values()))
    tokens = model["context"] if workload.vocabulary else 1
    return workload.config["batch"] * tokens, "tokens/s" if workload.vocabulary else "samples/s"


def number(value, digits=4):
    return "" if value is None else f"{value:.{digits}g}"


def span(values, digits=0):
    """The median, and the least and the most when they are not it."""
    shown = [f"{value:.{digits}f}" for value in (median(values), min(values), max(values))]
    return shown[0] if shown[1] == shown[2] else f"{shown[0]} ({shown[1]} to {shown[2]})"


def note_of_cohort(entry, workload):
    if workload.kind == "update":
        moved, in_place = (median([run[name] for run in entry.runs]) for name in ("rate", "in_place"))
        share = span([100 * run["rate"] / run["in_place"] for run in entry.runs])
        return (f"the update alone; a step with its norm {1e3 * median([run['step_seconds'] for run in entry.runs]):.1f} ms; "
                f"{moved / 1e9:.1f} GB/s, {share} % of {in_place / 1e9:.1f} in place")
    if workload.kind == "generate":
        rate = median([run["rate"] for run in entry.runs])
        return f"weights at {rate / 1e9:.1f} GB/s, {span([run['share'] for run in entry.runs])} % of what memory gives"
    return entry.last.get("version", "")


def note_of(entry, cohort):
    """Of a program that failed in a later round, too, whose earlier rounds stand."""
    parts = ["not available: " + entry.missing] if entry.missing else []
    if entry.runs and is_cohort(entry):
        parts.append(note_of_cohort(entry, entry.contender.prepared.workload))
    elif entry.runs:
        common = common_tokens(entry, cohort) if cohort else None
        parts += [f"the first {common[0]} of {common[1]} tokens are Cohort's"] if common else []
        parts.append(entry.last.get("version", ""))
    return "; ".join(part for part in parts if part)


class Judge:
    """The entries of a workload in one layout, and what they are to each other."""

    def __init__(self, prepared, entries, busy):
        self.workload, self.entries, self.busy = prepared.workload, entries, busy

    def cohort(self, precision):
        found = [e for e in self.entries if is_cohort(e) and e.contender.precision == precision and e.rounds]
        return found[0] if found else None

    def agreement(self, entry):
        return agreement(entry, self.cohort(entry.contender.precision))

    def best(self, program, *precisions):
        """The fastest of the peers that ran and did not part from Cohort."""
        running = [e for e in self.entries if e.contender.program == program and e.contender.precision in precisions
                   and e.rounds and self.agreement(e) != "NO"]
        return min(running, key=lambda e: e.seconds) if running else None

    def counts(self, entry):
        """Of Cohort's own row: whether there is a peer that it may be compared with."""
        if not is_cohort(entry):
            return self.agreement(entry)
        found = {self.agreement(e) for e in self.entries if not is_cohort(e) and e.rounds
                 and e.contender.precision == entry.contender.precision}
        return "yes" if "yes" in found else "NO" if "NO" in found else ""

    def ratios(self, entry):
        """The columns of Cohort's row that hold it against its peers."""
        precision, row = entry.contender.precision, {}
        for column, peer in (("ratio", self.best("PyTorch", precision)),
                             ("ratio_any_precision", self.best("PyTorch", "float32", "bf16")),
                             ("ratio_llmc", self.best("llm.c", "float32"))):
            row[column] = number(ratio_of(entry, peer), 3) if peer else ""
            if peer and column == "ratio" and peer.peak and entry.peak:
                row["memory_ratio"] = number(entry.peak / peer.peak, 3)
        return row

    def row(self, entry):
        cohort = self.cohort(entry.contender.precision)
        units, unit = work_of(self.workload)
        row = {**entry.names(), "unit": unit, "start_s": number(entry.start), "others_busy": f"{self.busy:.2f}",
               "note": note_of(entry, cohort)}
        if not entry.rounds:
            return row
        flops = cohort.last.get("flops") if cohort else None
        row.update(ms=number(1e3 * entry.seconds), rate=number(units / entry.seconds), peak_mb=number(entry.peak / 1e6 or None),
                   gflops=number(flops and flops / entry.seconds / 1e9), counts=self.counts(entry))
        if is_cohort(entry):
            row.update(self.ratios(entry))
        elif cohort:
            row.update(loss_difference=number(loss_difference(entry, cohort), 2), ratio=number(ratio_of(cohort, entry), 3))
        return row


def judge(prepared, entries, busy):
    """One row a contender, Cohort's with the ratios."""
    own = Judge(prepared, entries, busy)
    return [own.row(entry) for entry in entries]


def rounds_of(entries):
    """What every round measured, and the spread of a round's blocks."""
    for entry in entries:
        for turn, run in enumerate(entry.runs, 1):
            seconds = [1e3 * value for value in run["seconds"]]
            times = {"ms": median(seconds), "least_ms": min(seconds), "most_ms": max(seconds)} if seconds else {}
            yield {**entry.names(), "round": turn, "start_s": number(run.get("start")),
                   **{name: number(value, 6) for name, value in times.items()}}


def machine():
    name = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {os.cpu_count()} cores, Linux {platform.release()}"


def commit():
    done = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip()


def write_csv(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write(folder, rows, rounds, heading):
    os.makedirs(folder, exist_ok=True)
    write_csv(os.path.join(folder, "table.csv"), COLUMNS, rows)
    write_csv(os.path.join(folder, "rounds.csv"), ROUND_COLUMNS, rounds)
    with open(os.path.join(folder, "table.md"), "w", encoding="utf-8") as file:
        file.write(f"{machine()}; sources {commit()}; {heading}.\n\n")
        file.write("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS) + "\n")
        for row in rows:
            file.write("| " + " | ".join(str(row.get(c, "")).replace("|", "/") for c in COLUMNS) + " |\n")
