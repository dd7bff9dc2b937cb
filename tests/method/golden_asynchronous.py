"""Goldens of servers that do not wait: python golden_asynchronous.py [NAME ...]

FedAsync is FedLab's AsyncServerHandler, which mixes the models that torch's SGD makes of quadratic clients from the weights
of so many steps ago. Its hinge has another denominator than the paper's, a ((delay - b) + 1) instead of a (delay - b) + 1;
the paper's is derived here, as FedBuff is.
"""

import numpy
import torch


from golden_file import bare, chosen, package, short, write

bare("fedlab.contrib.dataset", "basic_dataset")
AsyncServerHandler = bare("fedlab.contrib.algorithm", "basic_server").AsyncServerHandler

torch.set_default_dtype(torch.float64)
ROUNDS, CLIENTS, N, STEPS, RATE = 40, 5, 4, 3, 0.0625


def problem(seed, arrivals):
    """Quadratic clients, and who arrives from which step: `arrivals` a step, one may be late by up to 8."""
    random = numpy.random.default_rng(seed)
    root = random.standard_normal((CLIENTS, N, N))
    A, b = short(root @ root.transpose(0, 2, 1) / N + numpy.eye(N)), short(random.standard_normal((CLIENTS, N)))
    present = numpy.zeros((ROUNDS, CLIENTS), dtype=int)
    for row in present:
        row[random.permutation(CLIENTS)[:arrivals]] = 1
    delay = numpy.minimum(random.integers(0, 9, (ROUNDS, CLIENTS)), numpy.arange(ROUNDS)[:, None])
    return {"parameters": short(random.standard_normal(N)), "problem/A": A, "problem/b": b, "samples": numpy.full(CLIENTS, 3),
            "present": present, "delay": delay}


def trained(given, client, start):
    """What torch's SGD makes of a client's loss."""
    w = torch.nn.Parameter(start.clone())
    A, b = (torch.from_numpy(given[name][client]) for name in ("problem/A", "problem/b"))
    optimizer = torch.optim.SGD([w], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (w @ A @ w / 2 - b @ w).backward()
        optimizer.step()
    return w.detach()


def settings(words):
    return f"rounds={ROUNDS} local_steps={STEPS} client_learning_rate={RATE} {words}"


def fedlab(name, seed, strategy, alpha, slope):
    """One model a step, mixed by FedLab."""
    given = problem(seed, 1)
    model = torch.nn.Linear(N, 1, bias=False).double()
    model.weight.data[0] = torch.from_numpy(given["parameters"])
    handler = AsyncServerHandler(model, ROUNDS)
    handler.setup_optim(alpha, strategy=strategy, a=slope)
    weights = [handler.model_parameters.clone()]
    for step in range(ROUNDS):
        client = int(given["present"][step].argmax())
        begun = step - given["delay"][step, client]
        handler.load([trained(given, client, weights[begun]), torch.tensor([float(begun)])])
        weights.append(handler.model_parameters.clone())
    write(name, "asynchronous", "fedasync", settings(f"alpha={alpha} staleness={strategy} slope={slope}"),
          package("fedlab", "contrib.algorithm.basic_server.AsyncServerHandler"), given,
          {"parameters": torch.stack(weights[1:])}, 1e-10)


def derived(name, seed, method, words, source, arrivals, rate, factor, mixes):
    """Several changes a step, by the paper's equation alone."""
    given = problem(seed, arrivals)
    weights = [torch.from_numpy(given["parameters"])]
    for step in range(ROUNDS):
        change = torch.zeros(N, dtype=torch.float64)
        for client in numpy.flatnonzero(given["present"][step]):
            delay = int(given["delay"][step, client])
            begun = weights[step - delay]
            change += factor(delay) / arrivals * (trained(given, client, begun) - (weights[step] if mixes else begun))
        weights.append(weights[step] + rate * change)
    write(name, "asynchronous", method, settings(words), "derived: " + source, given, {"parameters": torch.stack(weights[1:])}, 1e-10)


CASES = {
    "fedasync_constant": lambda: fedlab("fedasync_constant", 501, "constant", 0.6, 1),
    "fedasync": lambda: fedlab("fedasync", 502, "polynomial", 0.5, 0.5),
    "fedasync_hinge": lambda: derived("fedasync_hinge", 503, "fedasync", "alpha=0.5 staleness=hinge slope=10 grace=4",
                                      "Xie, Koyejo and Gupta, 2019, section 5.2, hinge", 1, 0.5,
                                      lambda delay: 1.0 if delay <= 4 else 1 / (10 * (delay - 4) + 1), True),
    "fedbuff": lambda: derived("fedbuff", 504, "fedbuff", "learning_rate=0.8", "Nguyen et al., AISTATS 2022, Algorithm 1, with 1 / sqrt(1 + delay)",
                               3, 0.8, lambda delay: (1 + delay) ** -0.5, False),
    "fedbuff_constant": lambda: derived("fedbuff_constant", 505, "fedbuff", "staleness=constant", "Nguyen et al., AISTATS 2022, Algorithm 1",
                                        2, 1.0, lambda delay: 1.0, False),
}

if __name__ == "__main__":
    chosen(CASES)
