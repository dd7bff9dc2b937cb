"""What `cohort probe` must answer, worked out with numpy: the conventions that the tables of arrays state.

usage: check_probe_values.py COHORT
"""
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

COHORT = sys.argv[1]
scratch = tempfile.TemporaryDirectory()
DIRECTORY = scratch.name
random = np.random.default_rng(5)
normal = random.standard_normal
faults = []


def probe(family, name, arrays, status=0, **settings):
    source, target = (os.path.join(DIRECTORY, file) for file in ("in.h5", "out.h5"))
    if os.path.exists(target):
        os.remove(target)
    with h5py.File(source, "w") as file:
        for key, array in arrays.items():
            file[key] = array
    words = [f"{key}={value}" for key, value in settings.items()]
    done = subprocess.run([COHORT, "probe", family, name, "-i", source, "-o", target, *words], capture_output=True,
                          text=True)
    expect(done.returncode == status, f"{family} {name}: status {done.returncode}: {done.stderr.strip()}")
    out = {}
    if os.path.exists(target):
        with h5py.File(target, "r") as file:
            file.visititems(lambda key, item: out.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return out


def expect(good, text):
    if not good:
        faults.append(text)
        print(text, file=sys.stderr)


def close(label, found, wanted, tolerance=1e-10):
    error = abs(np.asarray(found) - wanted).max() if np.shape(found) == np.shape(wanted) else np.inf
    expect(error <= tolerance * (1 + abs(np.asarray(wanted)).max()), f"{label}: off by {error:.3g}")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def check_optimizers():
    steps, shapes = 4, {"b": (3,), "a/w": (2, 3)}
    start = {name: normal(shape) for name, shape in shapes.items()}
    gradient = {name: normal((steps, *shape)) for name, shape in shapes.items()}
    arrays = {f"parameters/{n}": a for n, a in start.items()} | {f"gradients/{n}": a for n, a in gradient.items()}
    out = probe("optimizer", "adamw", arrays, learning_rate=0.1, beta1=0.8, beta2=0.9, epsilon=1e-6, weight_decay=0.2)
    for name in shapes:
        w, m, v = start[name], 0, 0
        for t in range(steps):
            g = gradient[name][t]
            m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
            root = np.sqrt(v / (1 - 0.9 ** (t + 1))) + 1e-6
            w = (1 - 0.1 * 0.2) * w - 0.1 * m / (1 - 0.8 ** (t + 1)) / root
            close(f"adamw {name} step {t}", out[f"parameters/{name}"][t], w)
    slots = {name for name in out if name.startswith("state/")}
    expect(len(slots) == 4 and all(out[name].shape == shapes[name.split("/", 2)[2]] for name in slots), f"states {slots}")


def check_oracles():
    w, A, b = {"b": normal(2), "a/w": normal((2, 2))}, normal((6, 6)), normal(6)
    A = A @ A.T / 6 + np.eye(6)
    flat = np.concatenate([w["a/w"].ravel(), w["b"]])  # in the order of the names
    arrays = {f"parameters/{n}": a for n, a in w.items()}
    rho, rate, x = 0.1, 0.05, flat
    out = probe("optimizer", "sam", arrays | {"problem/A": A, "problem/b": b}, steps=3, rho=rho,
                base="{sgd: {learning_rate: 0.05, momentum: 0}}")
    for t in range(3):
        g = A @ x - b
        x = x - rate * (A @ (x + rho * g / (np.linalg.norm(g) + 1e-12)) - b)
        close(f"sam step {t}", np.concatenate([out["parameters/a/w"][t].ravel(), out["parameters/b"][t]]), x)
    samples, labels = normal((9, 6)), random.integers(0, 2, 9)
    sign, x = 2 * labels - 1, flat
    out = probe("optimizer", "sam", arrays | {"problem/x": samples, "problem/y": labels}, steps=3, rho=0,
                base="{sgd: {learning_rate: 0.05, momentum: 0}}")
    for t in range(3):
        x = x + rate * (samples.T @ (sign * sigmoid(-sign * (samples @ x)))) / 9
        close(f"logistic step {t}", np.concatenate([out["parameters/a/w"][t].ravel(), out["parameters/b"][t]]), x)
    z, x, m, v = random.choice([-1.0, 1.0], (3, 6)), flat, 0, 0
    for problem in ("quadratic", "logistic"):
        x, m, v = flat, 0, 0
        given = {"problem/A": A, "problem/b": b} if problem == "quadratic" else {"problem/x": samples, "problem/y": labels}
        out = probe("optimizer", "adahessian", arrays | given | {"draws/z": z}, steps=3, learning_rate=0.1)
        for t in range(3):
            share = sigmoid(samples @ x)
            H = A if problem == "quadratic" else samples.T @ np.diag(share * (1 - share)) @ samples / 9
            g = A @ x - b if problem == "quadratic" else -samples.T @ (sign * sigmoid(-sign * (samples @ x))) / 9
            D = z[t] * (H @ z[t])
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * D * D
            x = x - 0.1 * m / (1 - 0.9 ** (t + 1)) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
            found = np.concatenate([out["parameters/a/w"][t].ravel(), out["parameters/b"][t]])
            close(f"adahessian {problem} step {t}", found, x)
    seeded = [probe("optimizer", "adahessian", arrays | {"problem/A": A, "problem/b": b}, steps=2, seed=s)["parameters/b"]
              for s in (1, 1, 2)]
    expect((seeded[0] == seeded[1]).all() and (seeded[0] != seeded[2]).any(), "adahessian: draws do not follow the seed")
    probe("optimizer", "sam", arrays | {"problem/A": A, "problem/b": b}, status=2, steps=2, base="adahessian")
    probe("optimizer", "sam", arrays | {"problem/A": A, "problem/b": b, "problem/x": samples}, status=3, steps=2)


def check_losses():
    x, y, weight, v = normal((5, 4)), np.array([1, -1, 3, 0, 2]), random.random(5), normal((5, 4))
    out = probe("loss", "cross_entropy", {"input": x, "target": y, "weight": weight, "direction": v})
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    used = (y >= 0).astype(float)
    rows = -np.log(p[np.arange(5), y]) * used
    scale = (weight * used / used.sum())[:, None]
    close("cross_entropy rows", out["per_sample"], rows)
    close("cross_entropy loss", out["loss"], (rows * weight).sum() / 4)
    close("cross_entropy gradient", out["gradient"], (p - np.eye(4)[y]) * scale)
    close("cross_entropy hvp", out["hvp"], (p * v - p * (p * v).sum(1, keepdims=True)) * scale)
    target = normal((5, 4))
    out = probe("loss", "mse", {"input": x, "target": target, "direction": v})
    close("mse hvp is linear", out["hvp"], probe("loss", "mse", {"input": x + v, "target": target})["gradient"] -
          out["gradient"])


def check_preference():
    logp = {f"{m}/{s}": -abs(normal((3, 5))) for m in ("policy", "reference") for s in ("chosen", "rejected")}
    mask = {f"mask/{s}": (random.random((3, 5)) < 0.6).astype(float) for s in ("chosen", "rejected")}
    out = probe("preference", "dpo", logp | mask, beta=0.3)
    ratio = {s: ((logp[f"policy/{s}"] - logp[f"reference/{s}"]) * mask[f"mask/{s}"]).sum(1) for s in ("chosen", "rejected")}
    h = 0.3 * (ratio["chosen"] - ratio["rejected"])
    close("dpo pairs", out["per_pair"], -np.log(sigmoid(h)))
    close("dpo loss", out["loss"], -np.log(sigmoid(h)).mean())
    slope = (-0.3 * sigmoid(-h) / 3)[:, None]
    close("dpo chosen", out["gradient/chosen"], slope * mask["mask/chosen"])
    close("dpo rejected", out["gradient/rejected"], -slope * mask["mask/rejected"])


def check_others():
    start, deltas, samples = normal(4), normal((3, 2, 4)), random.integers(1, 9, (3, 2))
    out, w, momentum = probe("federated", "fedavgm", {"parameters": start, "deltas": deltas, "samples": samples},
                             learning_rate=0.5, momentum=0.8), start, 0
    for r in range(3):
        momentum = 0.8 * momentum + (samples[r][:, None] * deltas[r]).sum(0) / samples[r].sum()
        w = w + 0.5 * momentum
        close(f"fedavgm round {r}", out["parameters"][r], w)
    g = np.array([[1.0, 0, 2], [-1, 1, 0]])
    out = probe("aggregator", "pcgrad", {"gradients": g})
    inner = g[0] @ g[1]
    close("pcgrad", out["direction"], g[0] - inner / (g[1] @ g[1]) * g[1] + g[1] - inner / (g[0] @ g[0]) * g[0])
    close("pcgrad weights", out["weights"] @ g, out["direction"])
    value = probe("schedule", "cosine", {"step": np.arange(10)}, steps=10)["value"]
    expect(value.dtype == np.float64 and (np.diff(value) <= 0).all(), f"cosine {value}")


def check_types():
    """Whole numbers serve as integers and as reals of the others' type, booleans as masks."""
    logs = {f"{who}/{which}": -random.random((3, 4)).astype(np.float32) for who in ("policy", "reference")
            for which in ("chosen", "rejected")}
    mask = np.array([[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 1]])
    wanted = probe("preference", "dpo", logs | {f"mask/{which}": mask.astype(np.float32) for which in ("chosen", "rejected")})
    for kind in (bool, np.uint8, np.int64):
        out = probe("preference", "dpo", logs | {f"mask/{which}": mask.astype(kind) for which in ("chosen", "rejected")})
        close(f"a mask of {kind.__name__}", out["per_pair"], wanted["per_pair"], 0)
    probe("preference", "dpo", logs | {f"mask/{which}": 2 * mask for which in ("chosen", "rejected")}, status=3)
    factors = probe("schedule", "cosine", {"step": np.arange(9)}, steps=9)["value"]
    for kind in (np.float32, np.float64):
        value = probe("schedule", "cosine", {"step": np.arange(9).astype(kind)}, steps=9)["value"]
        expect(value.dtype == kind, f"steps of {kind.__name__} give {value.dtype}")
        close(f"steps of {kind.__name__}", value, factors, 1e-6)
    probe("schedule", "cosine", {"step": np.array([0.5])}, status=3)
    given = {"parameters": normal(5), "deltas": normal((3, 2, 5))}
    once = probe("federated", "fedyogi", given | {"samples": np.array([3.0, 7.0])})
    every = probe("federated", "fedyogi", given | {"samples": np.array([[3, 7]] * 3)})
    close("samples given once", once["parameters"], every["parameters"], 0)
    probe("federated", "fedyogi", given | {"samples": np.array([3, 7, 1])}, status=3)


def check_model(name, arrays, **settings):
    """The loss follows from the output, the gradient from the loss."""
    drawn = probe("model", name, arrays, seed=3, **settings)
    given = {k: v.astype(np.float64) for k, v in drawn.items() if k.startswith("parameters/")}
    arrays = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in arrays.items()} | given
    out = probe("model", name, arrays, **settings)
    logits, target = out["output"].reshape(-1, out["output"].shape[-1]), arrays["target"].ravel()
    rows = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(target)), target]
    close(f"{name} loss", out["loss"], rows[target >= 0].mean())
    direction = {k: normal(v.shape) for k, v in given.items()}
    ends = [probe("model", name, arrays | {k: given[k] + step * direction[k] for k in given}, **settings)["loss"]
            for step in (1e-6, -1e-6)]
    slope = sum((out["gradients" + k[len("parameters"):]] * direction[k]).sum() for k in given)
    close(f"{name} gradient", (ends[0] - ends[1]) / 2e-6, slope, 1e-5)
    first = next(iter(given))
    probe("model", name, {k: v for k, v in arrays.items() if k != first}, status=3, **settings)
    probe("model", name, arrays | {first: given[first][..., None]}, status=3, **settings)
    probe("model", name, arrays | {first + "x": given[first]}, status=3, **settings)


def main():
    check_optimizers()
    check_oracles()
    check_losses()
    check_preference()
    check_others()
    check_types()
    check_model("mlp", {"input": normal((5, 7)).astype(np.float32), "target": random.integers(0, 3, 5)}, outputs=3,
                activation="gelu")
    tokens, targets = random.integers(0, 11, (2, 6)), random.integers(0, 11, (2, 6))
    targets[1, 4:] = -1
    for style in ("gpt2", "llama"):
        check_model("gpt", {"input": tokens, "target": targets}, outputs=11, layers=1, width=16, heads=2, context=8,
                    style=style)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
