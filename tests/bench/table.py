"""From measurements to rows: medians, ratios in pairs, and whether a row counts."""
import csv
import os
import platform
import subprocess

from contenders import median

COLUMNS = ("workload", "layout", "precision", "program", "variant", "ms", "rate", "unit", "gflops", "peak_mb", "start_s",
           "loss_difference", "counts", "ratio", "ratio_any_precision", "memory_ratio", "note")


class Entry:
    """The runs of one contender."""

    def __init__(self, contender, layout):
        self.contender, self.layout = contender, layout
        self.rounds, self.starts, self.peak, self.missing, self.last = [], [], 0, "", {}

    def take(self, result, memory):
        if memory:
            self.peak = result["peak"]
            return
        if result["seconds"]:
            self.rounds.append(median(result["seconds"]))
        self.starts.append(result["start"])
        self.last = result

    @property
    def seconds(self):
        return median(self.rounds)


def is_cohort(entry):
    return entry.contender.program == "Cohort"


def ratio_of(entry, peer):
    """How many times as fast as the peer: the median over rounds of the ratio within a round."""
    pairs = list(zip(entry.rounds, peer.rounds))
    return median([b / a for a, b in pairs])


def best(entries, precisions):
    running = [e for e in entries if e.contender.program == "PyTorch" and e.contender.precision in precisions and e.rounds]
    return min(running, key=lambda e: e.seconds) if running else None


def loss_difference(entry, cohort):
    """Relative difference to Cohort's loss at the last step both logged."""
    ours, theirs = cohort.last.get("losses", {}), entry.last.get("losses", {})
    common = sorted(set(ours) & set(theirs))
    return abs(ours[common[-1]] - theirs[common[-1]]) / abs(theirs[common[-1]]) if common else None


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


def note_of(entry, workload):
    if entry.missing:
        return "not available: " + entry.missing
    if is_cohort(entry) and workload.kind == "update":
        out = entry.last
        moved = out["update_bytes"] / out["update_seconds"]
        return (f"update alone {1e3 * out['update_seconds']:.1f} ms, {moved / 1e9:.1f} GB/s = "
                f"{100 * moved / out['in_place_bytes_per_second']:.0f} % of {out['in_place_bytes_per_second'] / 1e9:.1f} in place")
    return entry.last.get("version", "")


def judge(prepared, entries):
    """One row a contender, Cohort's with the ratios."""
    workload, rows = prepared.workload, []
    units, unit = work_of(workload)
    for entry in entries:
        who = entry.contender
        cohort = next((e for e in entries if is_cohort(e) and e.contender.precision == who.precision and e.rounds), None)
        flops = cohort.last.get("flops") if cohort else None
        row = {"workload": workload.name, "layout": entry.layout, "precision": who.precision, "program": who.program,
               "variant": who.variant, "unit": unit, "note": note_of(entry, workload)}
        starts = [s for s in entry.starts if s]
        row["start_s"] = number(median(starts) if starts else None)
        if entry.rounds:
            row.update(ms=number(1e3 * entry.seconds), rate=number(units / entry.seconds), peak_mb=number(entry.peak / 1e6 or None),
                       gflops=number(flops and flops / entry.seconds / 1e9))
            if not is_cohort(entry) and cohort:
                difference = loss_difference(entry, cohort)
                limit = 1e-3 if who.precision == "float32" else 1e-2
                row["loss_difference"] = number(difference, 2)
                row["counts"] = "" if difference is None else "yes" if difference <= limit else "NO"
                row["ratio"] = number(ratio_of(cohort, entry), 3)
            elif is_cohort(entry) and entry.layout != "mpirun -n 1":
                same, any_precision = best(entries, {who.precision}), best(entries, {"float32", "bf16"})
                if same:
                    row["ratio"] = number(ratio_of(entry, same), 3)
                    row["memory_ratio"] = number(entry.peak / same.peak, 3) if same.peak and entry.peak else ""
                if any_precision:
                    row["ratio_any_precision"] = number(ratio_of(entry, any_precision), 3)
        rows.append(row)
    return rows


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


def write(folder, rows, options):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "table.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    with open(os.path.join(folder, "table.md"), "w", encoding="utf-8") as file:
        file.write(f"{machine()}; sources {commit()}; {options.rounds} rounds; load average at the "
                   f"end {os.getloadavg()[2]:.1f} over 15 minutes.\n\n")
        file.write("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS) + "\n")
        for row in rows:
            file.write("| " + " | ".join(str(row.get(c, "")).replace("|", "/") for c in COLUMNS) + " |\n")
