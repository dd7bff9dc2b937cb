"""Goldens of federated strategies: python golden_federated.py [NAME ...]

The server alone: Flower's strategies on given changes of clients (needs flwr). Whole rounds on clients whose losses are
quadratic, w'A_i w/2 - b_i'w: FedLab's trainers and servers (need torch and fedlab); a client's step is one of gradient
descent on all it has.
"""

import types

import numpy

from golden_file import bare, chosen, package, short, write

ROUNDS, CLIENTS, SIZE = 6, 5, 4


def flower(name, method, settings, seed, strategy, rounds=ROUNDS, late=0, **words):
    """`late` is added to the round's number: FedAdam's correction of the bias, which the paper has not, vanishes late."""
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
    import flwr.server.strategy

    random = numpy.random.default_rng(seed)
    start = short(random.standard_normal(SIZE))
    deltas = short(0.3 * random.standard_normal((rounds, CLIENTS, SIZE)) + 0.1)
    samples = random.integers(1, 50, (rounds, CLIENTS))
    server = getattr(flwr.server.strategy, strategy)(initial_parameters=ndarrays_to_parameters([start]), **words)
    if "tau" in words:
        server.v_t = [numpy.full(SIZE, words["tau"] ** 2)]  # the paper's start; Flower's is 0
    now, steps = start, []
    for step in range(rounds):
        results = [(None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters([now + delta]), int(count), {}))
                   for delta, count in zip(deltas[step], samples[step])]
        parameters, _ = server.aggregate_fit(step + 1 + late, results, [])
        now = parameters_to_ndarrays(parameters)[0]
        steps.append(now)
    write(name, "federated", method, settings, package("flwr", f"server.strategy.{strategy}.aggregate_fit"),
          {"parameters": start, "deltas": deltas, "samples": samples}, {"parameters": numpy.stack(steps)}, 1e-9)


def quadratics(random, equal):
    half = random.standard_normal((CLIENTS, SIZE, SIZE)) / 2
    matrix = short(half @ half.transpose(0, 2, 1) + 0.3 * numpy.eye(SIZE))
    return {"parameters": short(random.standard_normal(SIZE)), "problem/A": (matrix + matrix.transpose(0, 2, 1)) / 2,
            "problem/b": short(random.standard_normal((CLIENTS, SIZE))),
            "samples": numpy.full(CLIENTS, 10) if equal else random.integers(5, 40, CLIENTS)}


def quadratic_model(start):
    import torch

    class Quadratic(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor(start))

        def forward(self, data):
            matrix, vector = data
            return self.w @ matrix @ self.w / 2 - vector @ self.w

    return Quadratic()


def local(given, steps, trainer, words):
    """FedLab's trainer of all clients; `steps(client)` is how often a client's data come in an epoch."""
    import torch

    data = [(torch.tensor(a), torch.tensor(b)) for a, b in zip(given["problem/A"], given["problem/b"])]
    own = trainer(quadratic_model(given["parameters"]), CLIENTS)
    own.setup_optim(1, 1, *words)
    own.criterion = lambda output, target: output
    own.dataset = types.SimpleNamespace(
        get_dataloader=lambda client, size: [(data[client], torch.zeros(()))] * steps(client))
    return own


def averaging(name, method, settings, seed, trainer, words, rounds=ROUNDS, local_steps=4, unequal=False):
    """FedAvg and FedProx: the average of the clients' models, weighted by samples."""
    import torch

    bare("fedlab.contrib.dataset", "basic_dataset")  # its neighbours want torchvision
    from fedlab.contrib.algorithm import basic_client, fedprox
    from fedlab.utils import Aggregators

    torch.set_default_dtype(torch.float64)
    random = numpy.random.default_rng(seed)
    given = quadratics(random, equal=False)
    settings += f" rounds={rounds} client_learning_rate={words[0]}"
    counts = numpy.full((rounds, CLIENTS), local_steps)
    if unequal:
        counts = given["steps"] = random.integers(1, 8, (rounds, CLIENTS))
    else:
        settings += f" local_steps={local_steps}"
    now, out = torch.tensor(given["parameters"]), []
    module = fedprox if trainer.startswith("FedProx") else basic_client
    for step in range(rounds):
        own = local(given, lambda client, step=step: int(counts[step, client]), getattr(module, trainer), words)
        own.local_process([now], list(range(CLIENTS)))
        now = Aggregators.fedavg_aggregate([pack[0] for pack in own.uplink_package], list(map(int, given["samples"])))
        out.append(now.numpy())
    write(name, "federated", method, settings, package("fedlab", f"{module.__name__.split('.', 1)[1]}.{trainer}"), given,
          {"parameters": numpy.stack(out)}, 1e-9)


def scaffold(name, settings, seed, rate, learning_rate, local_steps=4, rounds=ROUNDS, absent=False):
    import torch

    bare("fedlab.contrib.dataset", "basic_dataset")
    from fedlab.contrib.algorithm.scaffold import ScaffoldSerialClientTrainer, ScaffoldServerHandler

    torch.set_default_dtype(torch.float64)
    random = numpy.random.default_rng(seed)
    given = quadratics(random, equal=True)
    present = numpy.ones((rounds, CLIENTS), int)
    if absent:
        for step in range(rounds):
            present[step, random.permutation(CLIENTS)[:2]] = 0
        given["present"] = present
    own = local(given, lambda client: local_steps, ScaffoldSerialClientTrainer, [rate])
    server = types.SimpleNamespace(model_parameters=torch.tensor(given["parameters"]), lr=learning_rate, num_clients=CLIENTS,
                                   global_c=torch.zeros(SIZE))
    server.set_model = lambda parameters: setattr(server, "model_parameters", parameters)
    out = []
    for step in range(rounds):
        own.local_process([server.model_parameters, server.global_c], list(numpy.flatnonzero(present[step])))
        ScaffoldServerHandler.global_update(server, own.uplink_package)
        out.append(server.model_parameters.numpy().copy())
    write(name, "federated", "scaffold",
          f"{settings} rounds={rounds} local_steps={local_steps} client_learning_rate={rate}",
          package("fedlab", "contrib.algorithm.scaffold"), given, {"parameters": numpy.stack(out)}, 1e-9)


CASES = {
    "fedavg_flower": lambda: flower("fedavg_flower", "fedavg", "learning_rate=1", 401, "FedAvg"),
    "fedavgm_flower": lambda: flower("fedavgm_flower", "fedavgm", "learning_rate=0.7 momentum=0.9", 402, "FedAvgM",
                                     server_learning_rate=0.7, server_momentum=0.9),
    "fedadam_flower": lambda: flower("fedadam_flower", "fedadam", "learning_rate=0.1 beta1=0.9 beta2=0.99 tau=1e-3", 403,
                                     "FedAdam", late=10**7, eta=0.1, beta_1=0.9, beta_2=0.99, tau=1e-3),
    "fedyogi_flower": lambda: flower("fedyogi_flower", "fedyogi", "learning_rate=0.05 beta1=0.8 beta2=0.95 tau=0.01", 404,
                                     "FedYogi", eta=0.05, beta_1=0.8, beta_2=0.95, tau=0.01),
    "fedadagrad_flower": lambda: flower("fedadagrad_flower", "fedadagrad", "learning_rate=0.2 tau=0.01", 405,
                                        "FedAdagrad", eta=0.2, tau=0.01),
    "fedavg_rounds": lambda: averaging("fedavg_rounds", "fedavg", "learning_rate=1", 411, "SGDSerialClientTrainer", [0.1]),
    "fedprox": lambda: averaging("fedprox", "fedprox", "mu=0.5", 412, "FedProxSerialClientTrainer", [0.1, 0.5]),
    "fedprox_unequal": lambda: averaging("fedprox_unequal", "fedprox", "mu=2", 413, "FedProxSerialClientTrainer", [0.15, 2.0],
                                         unequal=True),
    "scaffold": lambda: scaffold("scaffold", "learning_rate=1", 421, 0.1, 1.0),
    "scaffold_absent": lambda: scaffold("scaffold_absent", "learning_rate=0.8", 422, 0.15, 0.8, absent=True, rounds=10),
}

if __name__ == "__main__":
    chosen(CASES)
