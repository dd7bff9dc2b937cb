"""Goldens of attacks: python golden_attack.py [NAME ...]

ByzFL's functions, and the files of Karimireddy, He and Jaggi's experiments (whose workers find one another through a
simulator), on changes of clients of which some are malicious.
"""

import types

import numpy

from golden_file import bare, chosen, functions, package, short, write

EPFML = ("epfml/byzantine-robust-optimizer", "288417fe78da7d80be0ffd18c42cd675d5eb1b5a")


def crowd(seed, clients, malicious, size=9):
    random = numpy.random.default_rng(seed)
    rows = short(random.standard_normal(size) + 0.5 * random.standard_normal((clients, size)))
    chosen_ones = numpy.zeros(clients, int)
    chosen_ones[random.permutation(clients)[:malicious]] = 1
    return rows, chosen_ones


def put(name, method, settings, source, rows, malicious, sent):
    attacked = numpy.where(malicious[:, None] > 0, sent, rows)
    write(name, "attack", method, settings, source, {"rows": rows, "malicious": malicious}, {"attacked": attacked}, 1e-12)


def byzfl(name, method, settings, attack, clients, malicious, seed, **words):
    rows, who = crowd(seed, clients, malicious)
    own = getattr(bare("byzfl.attacks", "attacks"), attack)(**words)
    put(name, method, settings, package("byzfl", f"attacks.{attack}"), rows, who, own(rows[who == 0]))


class Worker:
    """Stands for the simulator's workers, good and bad."""

    def __init__(self, gradient=None):
        self.gradient = gradient

    def get_gradient(self):
        return self.gradient


class Malicious(Worker):
    pass


def epfml(name, method, settings, file, attack, words, clients, malicious, seed):
    import scipy.stats
    import torch

    rows, who = crowd(seed, clients, malicious)
    code, source = functions(*EPFML, f"codes/attacks/{file}.py", [attack], np=numpy, torch=torch, norm=scipy.stats.norm,
                             ByzantineWorker=Malicious)
    own = code[attack](**words)
    own.simulator = types.SimpleNamespace(
        workers=[Malicious() if bad else Worker(torch.tensor(row)) for row, bad in zip(rows, who)])
    own.omniscient_callback()
    put(name, method, settings, source, rows, who, own.get_gradient().numpy())


def flip(name, seed):
    import torch

    rows, who = crowd(seed, 6, 2)
    code, source = functions(*EPFML, "codes/attacks/bitflipping.py", ["BitFlippingWorker"], ByzantineWorker=Malicious)
    sent = numpy.stack([code["BitFlippingWorker"](torch.tensor(row)).get_gradient().numpy() for row in rows])
    put(name, "signflip", "", source, rows, who, sent)


def noise(name, seed):
    rows, who = crowd(seed, 5, 2)
    put(name, "gaussian", "deviation=0 added=true", "derived: Blanchard et al. 2017, section 6, without noise", rows, who,
        rows)


def labels(name, settings, seed, rule):
    given = numpy.random.default_rng(seed).integers(0, 10, 12)
    write(name, "attack", "labelflip", settings + " classes=10", "derived: Fang et al. 2020, section 4; Tolpegin et al. 2020",
          {"labels": given}, {"flipped": rule(given).astype(float)}, 1e-9)


CASES = {
    "alie_byzfl": lambda: byzfl("alie_byzfl", "alie", "z=1.5", "ALittleIsEnough", 10, 3, 601, tau=-1.5),
    "alie_counts": lambda: epfml("alie_counts", "alie", "", "alittle", "ALittleIsEnoughAttack", {"n": 25, "m": 5}, 25, 5,
                                 602),
    "alie_even": lambda: epfml("alie_even", "alie", "", "alittle", "ALittleIsEnoughAttack", {"n": 20, "m": 8}, 20, 8, 603),
    "innerproduct_byzfl": lambda: byzfl("innerproduct_byzfl", "innerproduct", "epsilon=2", "InnerProductManipulation", 9,
                                        2, 604, tau=2.0),
    "innerproduct_epfml": lambda: epfml("innerproduct_epfml", "innerproduct", "epsilon=0.1", "xie", "IPMAttack",
                                        {"epsilon": 0.1}, 8, 3, 605),
    "signflip": lambda: flip("signflip", 606),
    "gaussian_none": lambda: noise("gaussian_none", 607),
    "labelflip_all": lambda: labels("labelflip_all", "", 608, lambda given: 9 - given),
    "labelflip_one": lambda: labels("labelflip_one", "from=1 to=7", 609,
                                    lambda given: numpy.where(given == 1, 7, given)),
}

if __name__ == "__main__":
    chosen(CASES)
