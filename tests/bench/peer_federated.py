"""peer_federated.py JOB.json: federated averaging as a bare loop in PyTorch, started by tests/bench/federated; prints one JSON
object with the seconds of each round.

variant: plain (torch.optim.SGD on a module that takes the server's weights), compile (one client's local step compiled), vmap
(all clients of a round as one batch of models), threads (plain with two threads), processes (plain, the clients of a round dealt
to two processes, which sum through shared memory)."""
import json
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn import functional


def make_model(name):
    if name == "logistic":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    if name == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    return nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Linear(128, 10))


class Federation:
    """Equal clients; who takes part and the order of samples are drawn anew each round."""

    def __init__(self, job):
        self.job = job
        stored = numpy.load(job["data"])
        self.x, self.y = torch.from_numpy(stored["x"]), torch.from_numpy(stored["y"])
        self.size = len(self.x) // job["clients"]
        self.draw = numpy.random.default_rng(1)
        order = self.draw.permutation(len(self.x))
        self.owned = torch.from_numpy(order[:self.size * job["clients"]].reshape(job["clients"], self.size))
        torch.manual_seed(1)
        self.model = make_model(job["model"])

    def choose(self):
        job = self.job
        clients = self.draw.choice(job["clients"], job["present"], replace=False)
        rows = []
        for client in clients:
            stream = numpy.concatenate([self.draw.permutation(self.size)
                                        for _ in range(-(-job["steps"] * job["batch"] // self.size))])
            rows.append(self.owned[client][torch.from_numpy(stream[:job["steps"] * job["batch"]])])
        return [row.view(job["steps"], job["batch"]) for row in rows]

    def accuracy(self):
        stored = numpy.load(self.job["data"])
        with torch.no_grad():
            found = self.model(torch.from_numpy(stored["test_x"])).argmax(1)
        return float((found == torch.from_numpy(stored["test_y"])).float().mean())


def train_client(own, start, total, rows, step=None):
    """Local steps from `start`; adds the client's weights to `total`."""
    parameters = list(own.model.parameters())
    with torch.no_grad():
        for parameter, value in zip(parameters, start):
            parameter.copy_(value)
    if step is None:
        optimizer = torch.optim.SGD(parameters, lr=own.job["learning_rate"])
    for at in rows:
        x, y = own.x[at], own.y[at]
        if step is not None:
            step(x, y)
            continue
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(own.model(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        for sum_, parameter in zip(total, parameters):
            sum_ += parameter


def plain_round(own, weights, step=None):
    total = [torch.zeros_like(value) for value in weights]
    for rows in own.choose():
        train_client(own, weights, total, rows, step)
    for value, sum_ in zip(weights, total):
        value.copy_(sum_ / own.job["present"])


def compiled_step(own):
    parameters, rate = list(own.model.parameters()), own.job["learning_rate"]

    def gradients(x, y):
        loss = functional.cross_entropy(own.model(x), y)
        return torch.autograd.grad(loss, parameters)

    compiled = torch.compile(gradients)

    def step(x, y):
        for parameter, gradient in zip(parameters, compiled(x, y)):
            parameter.data.add_(gradient, alpha=-rate)
    return step


def vmap_round(own, weights):
    names = [name for name, _ in own.model.named_parameters()]
    rows = torch.stack(own.choose())  # [present, steps, batch]
    models = {name: value.unsqueeze(0).expand(len(rows), *value.shape).clone() for name, value in zip(names, weights)}

    def loss(parameters, x, y):
        return functional.cross_entropy(torch.func.functional_call(own.model, parameters, (x,)), y)

    gradient = torch.func.vmap(torch.func.grad(loss))
    for at in range(rows.shape[1]):
        grads = gradient(models, own.x[rows[:, at]], own.y[rows[:, at]])
        for name in names:
            models[name].add_(grads[name], alpha=-own.job["learning_rate"])
    for name, value in zip(names, weights):
        value.copy_(models[name].mean(0))


def work(rank, job, weights, totals, barrier, results):
    """One of two processes: its half of every round's clients."""
    torch.set_num_threads(1)
    own = Federation(job)
    seconds = []
    with torch.no_grad():
        if rank == 0:
            for value, parameter in zip(weights, own.model.parameters()):
                value.copy_(parameter)
    barrier.wait()
    for _ in range(job["warm_up"] + job["rounds"]):
        started = time.perf_counter()
        for sum_ in totals[rank]:
            sum_.zero_()
        for rows in own.choose()[rank::2]:
            train_client(own, weights, totals[rank], rows)
        barrier.wait()
        if rank == 0:
            with torch.no_grad():
                for value, *parts in zip(weights, *totals):
                    value.copy_((parts[0] + parts[1]) / job["present"])
        barrier.wait()
        seconds.append(time.perf_counter() - started)
    if rank == 0:
        with torch.no_grad():
            for parameter, value in zip(own.model.parameters(), weights):
                parameter.copy_(value)
        results.put((seconds, own.accuracy()))


def run_processes(job):
    import torch.multiprocessing as processes
    context = processes.get_context("fork")
    shapes = [parameter.shape for parameter in make_model(job["model"]).parameters()]
    shared = lambda: [torch.zeros(shape).share_memory_() for shape in shapes]
    weights, totals, barrier, results = shared(), [shared(), shared()], context.Barrier(2), context.Queue()
    children = [context.Process(target=work, args=(rank, job, weights, totals, barrier, results)) for rank in range(2)]
    for child in children:
        child.start()
    out = results.get()
    for child in children:
        child.join()
    return out


def run_alone(job):
    torch.set_num_threads(2 if job["variant"] in ("threads", "vmap") else 1)
    own = Federation(job)
    weights = [parameter.detach().clone() for parameter in own.model.parameters()]
    step = compiled_step(own) if job["variant"] == "compile" else None
    seconds = []
    for _ in range(job["warm_up"] + job["rounds"]):
        started = time.perf_counter()
        if job["variant"] == "vmap":
            with torch.no_grad():
                vmap_round(own, weights)
        else:
            plain_round(own, weights, step)
        seconds.append(time.perf_counter() - started)
    with torch.no_grad():
        for parameter, value in zip(own.model.parameters(), weights):
            parameter.copy_(value)
    return seconds, own.accuracy()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    seconds, accuracy = run_processes(job) if job["variant"] == "processes" else run_alone(job)
    print(json.dumps({"seconds": seconds[job["warm_up"]:], "accuracy": accuracy, "version": torch.__version__}))


if __name__ == "__main__":
    main()
