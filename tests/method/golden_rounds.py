"""Goldens of whole rounds of federated strategies: python golden_rounds.py [NAME ...]

A hundred rounds on clients whose losses are quadratic, w'A_i w/2 - b_i'w + c_i, in numpy from the papers' algorithms
alone: one function a strategy, which sees clients, weights and nothing of this project. A client's step is one of
gradient descent on all it has; how many it takes, and who takes part, differs from round to round. Strategies that need
a model's features or tensors have clients with networks, in torch.
"""

import numpy
import torch

from golden_file import chosen, short, write

torch.set_default_dtype(torch.float64)

ROUNDS, CLIENTS, SIZE, RATE = 100, 6, 5, 0.1


class Client:
    def __init__(self, matrix, vector, constant, samples):
        self.matrix, self.vector, self.constant, self.samples = matrix, vector, constant, samples
        self.kept = {}

    def loss(self, w):
        return w @ self.matrix @ w / 2 - self.vector @ w + self.constant

    def gradient(self, w):
        return self.matrix @ w - self.vector


def descend(gradient, w, steps, rate=RATE, momentum=0.0):
    """Gradient descent, with heavy ball's momentum as torch has it."""
    w, velocity = w.copy(), numpy.zeros_like(w)
    for _ in range(steps):
        velocity = momentum * velocity + gradient(w)
        w = w - rate * velocity
    return w


def problem(seed, absent, unequal, positive=False):
    random = numpy.random.default_rng(seed)
    half = random.standard_normal((CLIENTS, SIZE, SIZE)) / 2
    matrix = short(half @ half.transpose(0, 2, 1) + 0.3 * numpy.eye(SIZE))
    matrix = (matrix + matrix.transpose(0, 2, 1)) / 2
    vector = short(random.standard_normal((CLIENTS, SIZE)))
    least = numpy.array([-b @ numpy.linalg.solve(a, b) / 2 for a, b in zip(matrix, vector)])
    constant = short(0.5 - least) if positive else short(random.standard_normal(CLIENTS))
    given = {"parameters": short(random.standard_normal(SIZE)), "problem/A": matrix, "problem/b": vector,
             "problem/c": constant, "samples": random.integers(5, 40, CLIENTS)}
    if unequal:
        given["steps"] = random.integers(1, 6, (ROUNDS, CLIENTS))
    if absent:
        given["present"] = numpy.ones((ROUNDS, CLIENTS), int)
        for row in given["present"]:
            row[random.permutation(CLIENTS)[:2]] = 0
    return given


def rounds(name, method, settings, source, seed, strategy, absent=True, unequal=True, positive=False, words="", **own):
    """`strategy(w, clients, present, steps, state)` makes the next weights of these."""
    given = problem(seed, absent, unequal, positive)
    clients = [Client(*data) for data in zip(given["problem/A"], given["problem/b"], given["problem/c"], given["samples"])]
    w, state, out = given["parameters"], {}, []
    for number in range(ROUNDS):
        present = numpy.flatnonzero(given["present"][number]) if absent else numpy.arange(CLIENTS)
        steps = given["steps"][number] if unequal else numpy.full(CLIENTS, 3)
        w = strategy(w, clients, list(present), steps, state, **own)
        out.append(w)
    setting = f"{settings} rounds={ROUNDS} client_learning_rate={RATE}" + ("" if unequal else " local_steps=3") + words
    write(name, "federated", method, setting, "derived: " + source, given, {"parameters": numpy.stack(out)}, 1e-10)


def fedavg(w, clients, present, steps, state):
    del state
    weight = numpy.array([clients[i].samples for i in present], float)
    changes = numpy.stack([descend(clients[i].gradient, w, steps[i]) - w for i in present])
    return w + weight @ changes / weight.sum()


def fedprox(w, clients, present, steps, state, mu):
    del state
    weight = numpy.array([clients[i].samples for i in present], float)
    ends = [descend(lambda y, i=i: clients[i].gradient(y) + mu * (y - w), w, steps[i]) for i in present]
    return weight @ numpy.stack(ends) / weight.sum()


def scaffold(w, clients, present, steps, state, learning_rate):
    c = state.setdefault("c", numpy.zeros_like(w))
    changes, controls = [], []
    for i in present:
        own = clients[i].kept.setdefault("c", numpy.zeros_like(w))
        y = descend(lambda y, i=i, own=own: clients[i].gradient(y) - own + c, w, steps[i])
        new = own - c + (w - y) / (steps[i] * RATE)
        changes.append(y - w)
        controls.append(new - own)
        clients[i].kept["c"] = new
    state["c"] = c + len(present) / len(clients) * numpy.mean(controls, axis=0)
    return w + learning_rate * numpy.mean(changes, axis=0)


def fednova(w, clients, present, steps, state, momentum, server_momentum):
    """Equation 8 with tau_eff = sum p_i |a_i|_1, and a_i of momentum SGD (section 4.2)."""
    weight = numpy.array([clients[i].samples for i in present], float)
    weight /= weight.sum()
    directions, norms = [], []
    for i in present:
        a = [(1 - momentum ** (steps[i] - k)) / (1 - momentum) for k in range(steps[i])]
        y = descend(clients[i].gradient, w, steps[i], momentum=momentum)
        directions.append((w - y) / RATE / sum(a))
        norms.append(sum(a))
    step = weight @ numpy.array(norms) * RATE * (weight @ numpy.stack(directions))
    state["v"] = server_momentum * state.get("v", 0) + step
    return w - state["v"]


def feddyn(w, clients, present, steps, state, alpha):
    h, ends = state.setdefault("h", numpy.zeros_like(w)), []
    for i in present:
        slope = clients[i].kept.setdefault("slope", numpy.zeros_like(w))
        y = descend(lambda y, i=i, slope=slope: clients[i].gradient(y) - slope + alpha * (y - w), w, steps[i])
        clients[i].kept["slope"] = slope - alpha * (y - w)
        ends.append(y)
    state["h"] = h - alpha / len(clients) * (numpy.sum(ends, axis=0) - len(present) * w)
    return numpy.mean(ends, axis=0) - state["h"] / alpha


def fedexp(w, clients, present, steps, state, epsilon):
    del state
    changes = numpy.stack([descend(clients[i].gradient, w, steps[i]) - w for i in present])
    mean = changes.mean(axis=0)
    rate = max(1, numpy.sum(changes ** 2) / (2 * len(present) * (mean @ mean + epsilon)))
    return w + rate * mean


def mimelite(w, clients, present, steps, state, beta):
    m = state.setdefault("m", numpy.zeros_like(w))
    ends = [descend(lambda y, i=i: (1 - beta) * clients[i].gradient(y) + beta * m, w, steps[i]) for i in present]
    whole = numpy.mean([clients[i].gradient(w) for i in present], axis=0)
    state["m"] = (1 - beta) * whole + beta * m
    return numpy.mean(ends, axis=0)


def qfedavg(w, clients, present, steps, state, q):
    del state
    deltas, h = [], []
    for i in present:
        loss = clients[i].loss(w) + 1e-10
        change = (w - descend(clients[i].gradient, w, steps[i])) / RATE
        deltas.append(loss ** q * change)
        h.append(q * loss ** (q - 1) * (change @ change) + loss ** q / RATE)
    return w - numpy.sum(deltas, axis=0) / numpy.sum(h)


def simplex(v):
    """The nearest point of the simplex, by sorting (Duchi et al. 2008)."""
    u = numpy.sort(v)[::-1]
    sums = numpy.cumsum(u) - 1
    rho = numpy.flatnonzero(u - sums / numpy.arange(1, len(u) + 1) > 0)[-1]
    return numpy.maximum(v - sums[rho] / (rho + 1), 0)


def afl(w, clients, present, steps, state, mixture_rate):
    mixture = state.setdefault("mixture", numpy.full(len(clients), 1 / len(clients)))
    share = mixture[present] / mixture[present].sum() if mixture[present].sum() > 0 else numpy.full(len(present), 1 / len(present))
    changes = numpy.stack([descend(clients[i].gradient, w, steps[i]) - w for i in present])
    gained = mixture.copy()
    for i in present:
        gained[i] += mixture_rate * clients[i].loss(w)
    state["mixture"] = simplex(gained)
    return w + share @ changes


def fedsam(w, clients, present, steps, state, rho):
    del state

    def sharp(client):
        def gradient(y):
            g = client.gradient(y)
            return client.gradient(y + rho * g / (numpy.linalg.norm(g) + 1e-12))
        return gradient
    weight = numpy.array([clients[i].samples for i in present], float)
    ends = [descend(sharp(clients[i]), w, steps[i]) for i in present]
    return weight @ numpy.stack(ends) / weight.sum()


class Network:
    """A client whose loss is that of a perceptron on samples of its own; weights are one flat vector."""

    def __init__(self, x, y, classes, samples):
        real = y >= 0
        self.x, self.y, self.classes, self.samples, self.kept = torch.tensor(x[real]), torch.tensor(y[real]), classes, samples, {}

    def features(self, w):
        width = self.x.shape[1]
        hidden = (len(w) - self.classes) // (width + 1 + self.classes)
        weight, bias, self.head, self.head_bias = torch.split(w, [hidden * width, hidden, self.classes * hidden, self.classes])
        return torch.relu(self.x @ weight.view(hidden, width).T + bias)

    def loss(self, w):
        z = self.features(w)
        logits = z @ self.head.view(self.classes, -1).T + self.head_bias
        return torch.nn.functional.cross_entropy(logits, self.y.long())


def network_rounds(name, method, settings, source, seed, strategy, clients=5, rows=7, features=3, hidden=4, classes=3, rounds=100, **own):
    """The same on networks; `strategy` sees torch tensors."""
    random = numpy.random.default_rng(seed)
    given = {"parameters": short(random.standard_normal(hidden * (features + 1) + classes * (hidden + 1)) / 2),
             "problem/x": short(random.standard_normal((clients, rows, features))),
             "problem/y": random.integers(0, classes, (clients, rows)), "samples": random.integers(5, 40, clients),
             "steps": random.integers(1, 6, (rounds, clients)), "present": numpy.ones((rounds, clients), int)}
    given["problem/y"][1, 4:] = -1
    for row in given["present"]:
        row[random.permutation(clients)[0]] = 0
    all_clients = [Network(x, y, classes, n) for x, y, n in zip(given["problem/x"], given["problem/y"], given["samples"])]
    w, out = torch.tensor(given["parameters"]), []
    for number in range(rounds):
        w = strategy(w, all_clients, list(numpy.flatnonzero(given["present"][number])), given["steps"][number], **own)
        out.append(w.numpy())
    write(name, "federated", method, f"{settings} rounds={rounds} client_learning_rate={RATE} classes={classes}", "derived: " + source,
          given, {"parameters": numpy.stack(out)}, 1e-10)


def moon(w, clients, present, steps, mu, temperature):
    weight, ends = [], []
    for i in present:
        client = clients[i]
        before = client.kept.get("before", w)
        with torch.no_grad():
            towards, away = client.features(w), client.features(before)

        def loss(y, client=client, towards=towards, away=away):
            supervised, z = client.loss(y), client.features(y)
            cosine = torch.nn.functional.cosine_similarity
            pair = torch.stack([cosine(z, towards), cosine(z, away)], 1) / temperature
            return supervised + mu * torch.nn.functional.cross_entropy(pair, torch.zeros(len(z), dtype=torch.long))
        y = w.clone()
        for _ in range(steps[i]):
            y.requires_grad_(True)
            gradient, = torch.autograd.grad(loss(y), y)
            y = (y - RATE * gradient).detach()
        client.kept["before"] = y
        weight.append(float(client.samples))
        ends.append(y)
    return torch.tensor(weight) @ torch.stack(ends) / sum(weight)


def adversary(w, clients, present, steps, move):
    """Federated averaging of clients whose samples `move(client, y)` moves before each step."""
    weight, ends = [], []
    for i in present:
        y = w.clone()
        for _ in range(steps[i]):
            y = y.detach()
            client = Network.__new__(Network)
            client.__dict__.update(clients[i].__dict__)
            client.x = move(clients[i], y)
            y.requires_grad_(True)
            gradient, = torch.autograd.grad(client.loss(y), y)
            y = (y - RATE * gradient).detach()
        weight.append(float(clients[i].samples))
        ends.append(y)
    return torch.tensor(weight) @ torch.stack(ends) / sum(weight)


def slope(client, y, x):
    """Of the loss of each sample, by its features."""
    other = Network.__new__(Network)
    other.__dict__.update(client.__dict__)
    other.x = x.detach().requires_grad_(True)
    gradient, = torch.autograd.grad(other.loss(y) * len(x), other.x)
    return gradient


def fal(w, clients, present, steps, radius, step, iterations):
    def move(client, y):
        x = client.x
        for _ in range(iterations):
            x = x + step * torch.sign(slope(client, y, x))
            x = torch.minimum(torch.maximum(x, client.x - radius), client.x + radius)
        return x
    return adversary(w, clients, present, steps, move)


def wafl(w, clients, present, steps, gamma, rate, iterations):
    def move(client, y):
        z = client.x
        for _ in range(iterations):
            z = z + rate * (slope(client, y, z) - gamma * (z - client.x))
        return z
    return adversary(w, clients, present, steps, move)


def shorten(v, bound):
    size = numpy.linalg.norm(v)
    return v if bound is None or size <= bound else v * (bound / size)


def diff2(w, clients, present, steps, state, restart, restart_clip, clip, learning_rate):
    """Its noise is drawn by key; here there is none."""
    del steps
    number, old = state.get("number", 0), state.get("w")
    if number % restart == 0:
        v = numpy.mean([shorten(clients[i].gradient(w), restart_clip) for i in present], axis=0)
    else:
        bound = None if clip is None else clip * numpy.linalg.norm(w - old)
        v = state["v"] + numpy.mean([shorten(clients[i].gradient(w) - clients[i].gradient(old), bound) for i in present], axis=0)
    state.update(number=number + 1, w=w, v=v)
    return w - learning_rate * v


def dp_admm(w, clients, present, steps, state, step, relaxation, l1, clip):
    duals = state.setdefault("duals", [w.copy() for _ in clients])
    for i in present:
        centre = 2 * w - duals[i]
        near = descend(lambda y, i=i, centre=centre: clients[i].gradient(y) + (y - centre) / step, w, steps[i])
        duals[i] = duals[i] + 2 * relaxation * shorten(near - w, clip)
    u = numpy.mean(duals, axis=0)
    return numpy.sign(u) * numpy.maximum(numpy.abs(u) - step * l1, 0)


CASES = {
    "rounds_fal": lambda: network_rounds("rounds_fal", "fal", "radius=0.2 step=0.07 iterations=5", "Li, Song and Yang 2022, with projected gradient "
                                         "descent in a box, in torch", 541, fal, radius=0.2, step=0.07, iterations=5),
    "rounds_wafl": lambda: network_rounds("rounds_wafl", "wafl", "gamma=0.8 rate=0.4 iterations=6", "Nguyen et al. 2022, the inner ascent and "
                                          "FedAvg, in torch", 542, wafl, gamma=0.8, rate=0.4, iterations=6),
    "rounds_diff2": lambda: rounds("rounds_diff2", "diff2", "restart=7 restart_clip=1.5 clip=0.6 learning_rate=0.2", "a summary of "
                                   "Murata and Suzuki 2023", 531, diff2, restart=7, restart_clip=1.5, clip=0.6, learning_rate=0.2),
    "rounds_diff2_descent": lambda: rounds("rounds_diff2_descent", "diff2", "restart=1000 restart_clip=0 clip=0 learning_rate=0.2",
                                           "full gradient descent, to which its differences add up", 532,
                                           lambda w, clients, present, steps, state: w - 0.2 * numpy.mean([c.gradient(w) for c in clients], axis=0),
                                           absent=False, unequal=False),
    "rounds_dp_admm": lambda: rounds("rounds_dp_admm", "dp_admm", "step=0.8 relaxation=0.6 l1=0.1 clip=0.5", "Cyffers, Bellet and Basu 2023, "
                                     "the federated form, with local steps", 533, dp_admm, step=0.8, relaxation=0.6, l1=0.1, clip=0.5),
    "rounds_dp_admm_all": lambda: rounds("rounds_dp_admm_all", "dp_admm", "step=0.5 relaxation=0.5 l1=0.05 clip=0", "consensus ADMM, with local "
                                         "steps", 534, dp_admm, absent=False, unequal=False, step=0.5, relaxation=0.5, l1=0.05, clip=None),
    "rounds_moon": lambda: network_rounds("rounds_moon", "moon", "mu=2 temperature=0.5", "Li et al. 2021, Algorithm 1, in torch", 521, moon,
                                          mu=2.0, temperature=0.5),
    "rounds_fedavg": lambda: rounds("rounds_fedavg", "fedavg", "", "McMahan et al. 2017, Algorithm 1", 501, fedavg),
    "rounds_fedprox": lambda: rounds("rounds_fedprox", "fedprox", "mu=0.7", "Li et al. 2020, Algorithm 2", 502, fedprox, mu=0.7),
    "rounds_scaffold": lambda: rounds("rounds_scaffold", "scaffold", "learning_rate=0.9", "Karimireddy et al. 2020, Algorithm 1, option II", 503,
                                      scaffold, learning_rate=0.9),
    "rounds_fednova": lambda: rounds("rounds_fednova", "fednova", "", "Wang et al. 2020, equation 8", 504, fednova, momentum=0.0,
                                     server_momentum=0.0),
    "rounds_fednova_momentum": lambda: rounds("rounds_fednova_momentum", "fednova", "momentum=0.5", "Wang et al. 2020, equation 8 and section 4.2",
                                              505, fednova, words=" client_momentum=0.8", momentum=0.8, server_momentum=0.5),
    "rounds_feddyn": lambda: rounds("rounds_feddyn", "feddyn", "alpha=0.8", "Acar et al. 2021, Algorithm 1", 506, feddyn, alpha=0.8),
    "rounds_fedexp": lambda: rounds("rounds_fedexp", "fedexp", "epsilon=0.01", "Jhunjhunwala et al. 2023, Algorithm 1", 507, fedexp, epsilon=0.01),
    "rounds_mimelite": lambda: rounds("rounds_mimelite", "mimelite", "beta=0.8", "Karimireddy et al. 2021, Algorithm 1, MimeLite with SGDm", 508,
                                      mimelite, beta=0.8),
    "rounds_qfedavg": lambda: rounds("rounds_qfedavg", "qfedavg", "q=1.5", "Li et al. 2020, Algorithm 2", 509, qfedavg, positive=True, q=1.5),
    "rounds_afl": lambda: rounds("rounds_afl", "afl", "mixture_rate=0.05", "Mohri et al. 2019, Algorithm 1, with local steps", 510, afl,
                                 positive=True, mixture_rate=0.05),
    "rounds_afl_all": lambda: rounds("rounds_afl_all", "afl", "mixture_rate=0.05", "Mohri et al. 2019, Algorithm 1, with local steps", 511, afl,
                                     absent=False, unequal=False, positive=True, mixture_rate=0.05),
    "rounds_fedsam": lambda: rounds("rounds_fedsam", "fedsam", "rho=0.2", "Qu et al. 2022, Algorithm 1", 512, fedsam, rho=0.2),
}

if __name__ == "__main__":
    chosen(CASES)
