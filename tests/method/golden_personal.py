"""Goldens of personalised federated strategies: python golden_personal.py [NAME ...]

In numpy from the papers' algorithms alone: one function a strategy, which sees clients and weights and nothing of this
project. A hundred rounds on clients whose losses are quadratic (golden_rounds.py); where the algorithm tells layers apart,
thirty on a perceptron with a hidden layer, whose gradient is written out. What clients keep after the last round is held
too: their own models, or heads.
"""

import numpy

from golden_file import chosen, short, write
from golden_rounds import CLIENTS, RATE, ROUNDS, SIZE, Client, descend, problem


def join(w, clients, present, ends, learning_rate=1.0):
    """Algorithm by algorithm the server takes the mean of what clients send; of unequal clients by their samples."""
    weight = numpy.array([clients[i].samples for i in present], float)
    return w + learning_rate * (weight @ (numpy.stack(ends) - w) / weight.sum())


def ditto(w, clients, present, steps, pull, personal_steps=0):
    """Li et al. 2021, Algorithm 1."""
    ends = []
    for i in present:
        client = clients[i]
        ends.append(descend(client.gradient, w, steps[i]))
        own = client.kept.get("personal", w)
        client.kept["personal"] = descend(lambda v, client=client: client.gradient(v) + pull * (v - w), own,
                                          personal_steps or steps[i])
    return join(w, clients, present, ends)


def apfl(w, clients, present, steps, alpha, adaptive):
    """Deng et al. 2020, Algorithm 1, and the update of alpha_i, once a round."""
    ends = []
    for i in present:
        client = clients[i]
        own, share = client.kept.get("personal", w), client.kept.get("alpha", alpha)
        local = w
        for step in range(steps[i]):
            slope = client.gradient(share * own + (1 - share) * local)
            moved = share - RATE * (own - local) @ slope
            own, local = own - RATE * share * slope, local - RATE * client.gradient(local)
            if adaptive and step == 0:
                share = min(max(moved, 0.0), 1.0)
        client.kept.update(personal=own, alpha=share)
        ends.append(local)
    return join(w, clients, present, ends)


def pfedme(w, clients, present, steps, pull, personal_steps, personal_rate, beta):
    """Dinh et al. 2020, Algorithm 1; theta goes on from step to step, as in the authors' code."""
    ends = []
    for i in present:
        local, theta = w, w
        for _ in range(steps[i]):
            for _ in range(personal_steps):
                theta = theta - personal_rate * (clients[i].gradient(theta) + pull * (theta - local))
            local = local - RATE * pull * (local - theta)
        clients[i].kept["personal"] = theta
        ends.append(local)
    return join(w, clients, present, ends, beta)


def perfedavg(w, clients, present, steps, alpha, exact):
    """Fallah et al. 2020, Algorithm 1: of a quadratic loss the difference of gradients is the Hessian's product."""
    def meta(client, y):
        after = client.gradient(y - alpha * client.gradient(y))
        return after - alpha * client.matrix @ after if exact else after

    return join(w, clients, present, [descend(lambda y, i=i: meta(clients[i], y), w, steps[i]) for i in present])


def rounds(name, method, settings, source, seed, strategy, kept=(), absent=True, unequal=True, tolerance=1e-10, **own):
    given = problem(seed, absent, unequal)
    clients = [Client(*data) for data in zip(given["problem/A"], given["problem/b"], given["problem/c"], given["samples"])]
    w, out = given["parameters"], []
    for number in range(ROUNDS):
        present = numpy.flatnonzero(given["present"][number]) if absent else numpy.arange(CLIENTS)
        w = strategy(w, clients, list(present), given["steps"][number] if unequal else numpy.full(CLIENTS, 3), **own)
        out.append(w)
    setting = f"{settings} rounds={ROUNDS} client_learning_rate={RATE}" + ("" if unequal else " local_steps=3")
    answers = {"parameters": numpy.stack(out)}
    answers.update({f"state/{key}": numpy.stack([numpy.atleast_1d(client.kept[key]) for client in clients]) for key in kept})
    assert all(value.shape[-1] in (1, SIZE) for value in answers.values())
    write(name, "federated", method, setting, "derived: " + source, given, answers, tolerance)


class Perceptron:
    """softmax(W2 relu(W1 x + b1) + b2) on a client's samples; weights are one vector, in this order."""

    def __init__(self, x, y, samples, hidden, classes):
        self.x, self.y, self.samples, self.kept = x, y, samples, {}
        sizes = [(hidden, x.shape[1]), (hidden,), (classes, hidden), (classes,)]
        self.ends = numpy.cumsum([int(numpy.prod(size)) for size in sizes])
        self.sizes, self.shared = sizes, self.ends[1]  # the last layer is the client's own

    def gradient(self, w):
        first, bias, last, offset = (part.reshape(size) for part, size in zip(numpy.split(w, self.ends[:-1]), self.sizes))
        inner = self.x @ first.T + bias
        active = numpy.maximum(inner, 0)
        logits = active @ last.T + offset
        share = numpy.exp(logits - logits.max(1, keepdims=True))
        error = share / share.sum(1, keepdims=True)
        error[numpy.arange(len(self.y)), self.y] -= 1
        error /= len(self.y)
        back = (error @ last) * (inner > 0)
        return numpy.concatenate([(back.T @ self.x).ravel(), back.sum(0), (error.T @ active).ravel(), error.sum(0)])


def with_head(w, client):
    return numpy.concatenate([w[: client.shared], client.kept.get("head", w[client.shared:])])


def moved(w, client, steps, shared, personal):
    """Gradient descent of some of the weights."""
    mask = numpy.concatenate([numpy.full(client.shared, shared), numpy.full(len(w) - client.shared, personal)])
    return descend(lambda y: client.gradient(y) * mask, w, steps)


def fedper(w, clients, present, steps):
    """Arivazhagan et al. 2019, Algorithms 1 and 2."""
    return average_shared(w, clients, present, {i: moved(with_head(w, clients[i]), clients[i], steps[i], 1, 1) for i in present})


def fedrep(w, clients, present, steps, head_steps=0):
    """Collins et al. 2021, Algorithm 1."""
    ends = {}
    for i in present:
        fitted = moved(with_head(w, clients[i]), clients[i], head_steps or steps[i], 0, 1)
        ends[i] = moved(fitted, clients[i], steps[i], 1, 0)
    return average_shared(w, clients, present, ends)


def average_shared(w, clients, present, ends):
    shared = clients[0].shared
    for i in present:
        clients[i].kept["head"] = ends[i][shared:]
    return numpy.concatenate([join(w, clients, present, [ends[i] for i in present])[:shared], w[shared:]])


def heads(name, method, settings, source, seed, strategy, **own):
    many, hidden, classes, features, each, count = 5, 4, 3, 3, 7, 30
    random = numpy.random.default_rng(seed)
    given = {"problem/x": short(random.standard_normal((many, each, features))), "problem/y": random.integers(0, classes, (many, each)),
             "samples": random.integers(5, 40, many), "steps": random.integers(1, 5, (count, many)),
             "present": numpy.ones((count, many), int)}
    for row in given["present"]:
        row[random.permutation(many)[:2]] = 0
    clients = [Perceptron(x, y, n, hidden, classes) for x, y, n in zip(given["problem/x"], given["problem/y"], given["samples"])]
    w = given["parameters"] = short(random.standard_normal(clients[0].ends[-1]) / 2)
    out = []
    for number in range(count):
        w = strategy(w, clients, list(numpy.flatnonzero(given["present"][number])), given["steps"][number], **own)
        out.append(w)
    write(name, "federated", method, f"{settings} rounds={count} classes={classes} client_learning_rate={RATE}", "derived: " + source,
          given, {"parameters": numpy.stack(out), "state/head": numpy.stack([client.kept["head"] for client in clients])}, 1e-10)


DITTO = "Ditto: Fair and Robust Federated Learning Through Personalization, Algorithm 1"
APFL = "Adaptive Personalized Federated Learning, Algorithm 1 and the update of alpha_i"
PFEDME = "Personalized Federated Learning with Moreau Envelopes, Algorithm 1"
FEDPER = "Federated Learning with Personalization Layers, Algorithms 1 and 2"
FEDREP = "Exploiting Shared Representations for Personalized Federated Learning, Algorithm 1"
PERFEDAVG = "Personalized Federated Learning with Theoretical Guarantees, Algorithm 1 and section 5"

CASES = {
    "ditto": lambda: rounds("ditto", "ditto", "pull=0.7", DITTO, 451, ditto, ("personal",), pull=0.7),
    "ditto_steps": lambda: rounds("ditto_steps", "ditto", "pull=2 personal_steps=4", DITTO, 452, ditto, ("personal",), unequal=False,
                                  absent=False, pull=2.0, personal_steps=4),
    "apfl": lambda: rounds("apfl", "apfl", "alpha=0.4 adaptive=false", APFL, 453, apfl, ("personal",), alpha=0.4, adaptive=False),
    "apfl_adaptive": lambda: rounds("apfl_adaptive", "apfl", "alpha=0.3", APFL, 454, apfl, ("personal", "alpha"), alpha=0.3,
                                    adaptive=True),
    "pfedme": lambda: rounds("pfedme", "pfedme", "learning_rate=0.8 pull=3 personal_steps=4 personal_learning_rate=0.15", PFEDME, 455,
                             pfedme, ("personal",), pull=3.0, personal_steps=4, personal_rate=0.15, beta=0.8),
    "fedper": lambda: heads("fedper", "fedper", "tensors=2", FEDPER, 461, fedper),
    "fedrep": lambda: heads("fedrep", "fedrep", "names=head*", FEDREP, 462, fedrep),
    "fedrep_steps": lambda: heads("fedrep_steps", "fedrep", "head_steps=6", FEDREP, 463, fedrep, head_steps=6),
    "perfedavg": lambda: rounds("perfedavg", "perfedavg", "alpha=0.2", PERFEDAVG, 456, perfedavg, alpha=0.2, exact=False),
    "perfedavg_hessian": lambda: rounds("perfedavg_hessian", "perfedavg", "alpha=0.2 variant=hessian_free difference=0.1", PERFEDAVG,
                                        457, perfedavg, alpha=0.2, exact=True),
}

if __name__ == "__main__":
    chosen(CASES)
