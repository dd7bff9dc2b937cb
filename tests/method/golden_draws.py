"""Statistics of other people's draws, where the draws themselves cannot be given: python golden_draws.py [NAME ...]

golden/draws/NAME.h5 holds, of DRAWS draws of a partition by the named code, figures of each draw as their means and
deviations over draws; of Oort's selector, how often each client was chosen in a long run, over RUNS runs. Attributes:
family, method, settings (of `cohort probe`), source. tests/acceptance/draws holds the method's own draws against them.

Flower's partitioner is flwr-datasets' (pip install --no-deps flwr-datasets), on a stand-in for a Hugging Face dataset.
"""

import math
import os
import random
import sys
import types

import h5py
import numpy

from golden_file import bare, chosen, functions, package, short

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "draws")
NIID = ("Xtra-Computing/NIID-Bench", "61b901ab645e62391772e9898384c2c3485b7a6c", "utils.py")
OORT = ("SymbioticLab/Oort", "05a3aa1677a10f8e621055b1626ef82e73d09759", "oort/oort.py")
DRAWS, RUNS = 400, 20
CLIENTS, CLASSES, SAMPLES = 20, 10, 3000


def labels():
    return numpy.arange(SAMPLES) % CLASSES


def figures(owner):
    """Of a draw, by its clients: sizes (least, quartiles, largest, deviation), classes, share of the largest class. Without
    the last client, to whom their rounding down gives one sample more of nearly every class."""
    counts = numpy.zeros((CLIENTS, CLASSES))
    numpy.add.at(counts, (owner, labels()), 1)
    counts = counts[:-1]
    sizes = counts.sum(1)
    share = counts.max(1) / sizes
    entropy = -sum(p * numpy.log(p, where=p > 0, out=numpy.zeros_like(p)) for p in (counts / sizes[:, None]).T)
    return numpy.hstack([numpy.quantile(sizes, [0, 0.25, 0.5, 0.75, 1]), sizes.std(), (counts > 0).sum(1).mean(),
                         share.mean(), share.min(), entropy.mean(), (counts > 0).sum(0).std()])


def write(name, family, method, settings, source, arrays):
    os.makedirs(FOLDER, exist_ok=True)
    with h5py.File(os.path.join(FOLDER, name + ".h5"), "w") as file:
        file.attrs.update(family=family, method=method, settings=settings, source=source)
        for key, value in arrays.items():
            file[key] = value


def partition(name, method, settings, source, draw):
    drawn = []
    for _ in range(DRAWS):
        owner = numpy.full(SAMPLES, -1)
        for client, samples in enumerate(draw()):
            owner[numpy.asarray(samples, int)] = client
        assert (owner >= 0).all()
        drawn.append(figures(owner))
    write(name, "partition", method, f"clients={CLIENTS} {settings}", source,
          {"samples": SAMPLES, "classes": CLASSES, "clients": CLIENTS, "mean": numpy.mean(drawn, 0), "deviation": numpy.std(drawn, 0)})


def flower(alpha, minimum):
    sys.modules["datasets"] = types.ModuleType("datasets")
    sys.modules["datasets"].Dataset = object
    module = bare("flwr_datasets.partitioner", "dirichlet_partitioner")

    class Labels:
        num_rows = SAMPLES

        def unique(self, _):
            return list(range(CLASSES))

        def __getitem__(self, _):
            return labels()

        def __len__(self):
            return SAMPLES

    seeds = iter(range(DRAWS))

    def draw():
        own = module.DirichletPartitioner(CLIENTS, "label", alpha, minimum, False, True, next(seeds))
        own._dataset = Labels()
        own._determine_partition_id_to_indices_if_needed()
        return [own._partition_id_to_indices[c] for c in range(CLIENTS)]

    partition(f"dirichlet_{alpha:g}", "dirichlet", f"alpha={alpha:g} minimum={minimum}",
              package("flwr_datasets", "partitioner.DirichletPartitioner"), draw)


class Enough(Exception):
    """The authors' function goes on to load models; its partition is made by then."""


def niid(name, method, settings, kind, beta=0.5):
    def stop(_, parts, *rest):
        raise Enough(parts)

    code, source = functions(*NIID, ["partition_data"], np=numpy, random=random, record_net_data_stats=stop,
                             load_mnist_data=lambda _: (None, labels(), None, None), logger=None)

    def draw():
        try:
            code["partition_data"]("mnist", "", "", kind, CLIENTS, beta)
        except Enough as made:
            return [made.args[0][c] for c in range(CLIENTS)]
        raise SystemExit("NIID-Bench has no such partition")

    numpy.random.seed(3)
    random.seed(3)
    partition(name, method, settings, source, draw)


def oort():
    """A long run among clients who have all taken part: how often each comes. One speed; utilities as losses say."""
    clients, wanted, rounds, ahead = 24, 6, 1500, 100
    generator = numpy.random.default_rng(5)
    samples = generator.integers(5, 60, clients)
    losses = short(generator.gamma(2, 0.5, clients))
    settings = types.SimpleNamespace(exploration_factor=0.9, exploration_decay=0.98, exploration_min=0.2,
                                     exploration_alpha=0.3, round_threshold=30, sample_window=5.0, pacer_step=20,
                                     pacer_delta=5, blacklist_rounds=-1, blacklist_max_len=0.3, clip_bound=0.9,
                                     round_penalty=2.0, cut_off_util=0.95)
    code, source = functions(*OORT, ["_training_selector"], np2=numpy, math=math, OrderedDict=dict, Random=random.Random,
                             logging=types.SimpleNamespace(info=lambda *_: None, debug=lambda *_: None))
    often = []
    for run in range(RUNS):
        own = code["_training_selector"](settings, sample_seed=run)
        for c in range(clients):
            own.register_client(c, {"reward": float(samples[c]), "duration": 1.0})
        here = numpy.random.default_rng(run).permutation(clients)  # a first round of all, which is no part of the count
        came = numpy.zeros(clients)
        for number in range(rounds):
            for c in here:
                own.update_client_util(c, {"reward": float(samples[c] * losses[c]), "duration": 1.0,
                                           "time_stamp": own.training_round or 1, "status": True})
            here = own.select_participant(wanted)
            came[here] += number >= ahead
        often.append(came / (rounds - ahead))
    write("oort", "sampler", "oort", f"clients_per_round={wanted} rounds={rounds}", source,
          {"samples": samples.astype(float), "losses": losses, "ahead": ahead, "mean": numpy.mean(often, 0),
           "deviation": numpy.std(often, 0)})


chosen({
    "dirichlet_0.1": lambda: flower(0.1, 1),
    "dirichlet_0.5": lambda: flower(0.5, 10),
    "iid": lambda: niid("iid", "iid", "", "homo"),
    "sizes": lambda: niid("sizes", "sizes", "alpha=0.5 minimum=10", "iid-diff-quantity"),
    "labels_2": lambda: niid("labels_2", "labels", "labels=2", "noniid-#label2"),
    "labels_3": lambda: niid("labels_3", "labels", "labels=3", "noniid-#label3"),
    "oort": oort,
})
