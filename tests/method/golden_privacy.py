"""Goldens of accountants: python golden_privacy.py [NAME ...]

Opacus' RDPAccountant and dp-accounting's PLDAccountant (add or remove one), neither retyped: table.txt, one account a
line, which test_privacy.c reads, and a probe of every method of the family. `interval` is the grid on
which dp-accounting is asked, where its own (1e-4) is too coarse for a loss as small as this.
"""

import os

import numpy

from golden_file import chosen, package, write

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "privacy.txt")

# noise, rate, steps, delta, interval
SETTINGS = [
    (1.5, 0.04, 2250, 1e-5, 1e-4), (1.0, 0.01, 1000, 1e-5, 1e-4), (0.8, 0.01, 10000, 1e-6, 1e-4),
    (2.0, 0.1, 500, 1e-5, 1e-4), (0.6, 0.002, 20000, 1e-6, 1e-4), (4.0, 0.5, 100, 1e-5, 1e-4),
    (1.0, 1.0, 1, 1e-5, 1e-4), (1.0, 1.0, 10, 1e-5, 1e-4), (5.0, 1.0, 100, 1e-6, 1e-4),
    (50.0, 1.0, 1000, 1e-5, 1e-4), (0.3, 1e-4, 10000, 1e-5, 1e-4), (0.3, 0.01, 100, 1e-5, 1e-4),
    (0.3, 1.0, 1, 1e-5, 1e-4), (50.0, 0.1, 1000000, 1e-5, 1e-5), (50.0, 1e-4, 1000000, 1e-5, 2e-8),
    (1.0, 1e-4, 1000000, 1e-6, 1e-5), (0.7, 1e-4, 10, 1e-5, 1e-5), (1.1, 0.256, 10, 1e-5, 1e-4),
    (1.1, 0.005, 14062, 1e-5, 1e-4), (1.3562, 0.04, 2000, 1e-5, 1e-4), (1.2915, 0.04, 2000, 1e-5, 1e-4),
    (10.0, 0.02, 100000, 1e-7, 1e-5), (0.5, 0.001, 1, 1e-8, 1e-4), (3.0, 0.9, 50, 1e-3, 1e-4),
    (0.3, 0.2, 1000000, 1e-5, 1e-1), (0.8, 0.05, 10, 1e-10, 1e-4),
]


def opacus(noise, rate, steps, delta):
    from opacus.accountants import RDPAccountant
    accountant = RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    return accountant.get_epsilon(delta)


def distribution(event, steps, delta, interval):
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant
    accountant = PLDAccountant(value_discretization_interval=interval)
    accountant.compose(dp_event.SelfComposedDpEvent(event, steps))
    return accountant.get_epsilon(delta)


def gaussian(noise, rate):
    from dp_accounting import dp_event
    return dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise))


def laplace(noise, rate):
    from dp_accounting import dp_event
    return dp_event.PoissonSampledDpEvent(rate, dp_event.LaplaceDpEvent(noise))


def table():
    with open(TABLE, "w", encoding="utf-8") as file:
        print(f"# {package('opacus', 'accountants.RDPAccountant.get_epsilon')}, "
              f"{package('dp-accounting', 'pld.PLDAccountant.get_epsilon')}; made by golden_privacy.py", file=file)
        print("# noise rate steps delta rdp pld", file=file)
        for noise, rate, steps, delta, interval in SETTINGS:
            renyi = opacus(noise, rate, steps, delta)
            whole = distribution(gaussian(noise, rate), steps, delta, interval)
            print(f"{noise:.17g} {rate:.17g} {steps} {delta:.17g} {renyi:.17g} {whole:.17g}", file=file, flush=True)


def words(noise, rate, steps, delta):
    return f"noise={noise} rate={rate} steps={steps} delta={delta}"


def probe(name, method, at, epsilon, source, tolerance, extra=""):
    write(name, "privacy", method, words(*at) + extra, source, {}, {"epsilon": numpy.float64(epsilon)}, tolerance)


AT = (1.5, 0.04, 2250, 1e-5)
RDP = ("opacus", "accountants.RDPAccountant.get_epsilon")
PLD = ("dp-accounting", "pld.PLDAccountant.get_epsilon")


def prv(name):
    from opacus.accountants import PRVAccountant
    accountant = PRVAccountant()
    accountant.history = [AT[:3]]
    probe(name, "pld", AT, accountant.get_epsilon(AT[3], eps_error=1e-3, delta_error=1e-9),
          package("opacus", "accountants.PRVAccountant.get_epsilon"), 5e-4)


def zero_concentrated(name):
    """dp-accounting's RdpAccountant on rho, with orders close enough that the least lies between two of them."""
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant
    accountant = RdpAccountant(orders=list(1 + numpy.exp(numpy.linspace(-4, 8, 200001))))
    accountant.compose(dp_event.ZCDpEvent(100 / (2 * 8.0**2)))
    probe(name, "zcdp", (8.0, 1.0, 100, 1e-6), accountant.get_epsilon(1e-6),
          package("dp-accounting", "rdp.RdpAccountant.get_epsilon"), 1e-8)


def tree(name, settings, noise, delta, counts):
    """A client takes part once."""
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant
    accountant = RdpAccountant(orders=[1 + x / 10 for x in range(1, 100)] + list(range(12, 64)),
                               neighboring_relation=RELATION())
    accountant.compose(dp_event.SingleEpochTreeAggregationDpEvent(noise, counts))
    probe(name, "dpftrl", (noise, 1.0, sum(counts), delta), accountant.get_epsilon(delta),
          package("dp-accounting", "rdp.RdpAccountant.get_epsilon"), 1e-9, settings)


def RELATION():
    from dp_accounting import NeighboringRelation
    return NeighboringRelation.REPLACE_SPECIAL


def banded(name, noise, steps, delta, bands, separation):
    """Derived: the inverse of the banded matrix, and the worst of all ways to take part that keep the separation."""
    series = [1.0]
    for j in range(1, bands):
        series.append(series[-1] * (j - 1.5) / j)
    matrix = sum(numpy.diag(numpy.full(steps - j, value), -j) for j, value in enumerate(series) if j < steps)
    inverse = numpy.linalg.inv(matrix)

    def worst(column, first):
        best = numpy.linalg.norm(column)
        for t in range(first, steps):
            best = max(best, worst(column + inverse[:, t], t + separation))
        return best

    contribution = worst(numpy.zeros(steps), 0)
    probe(name, "banded", (noise, 1.0, steps, delta), opacus(noise / contribution, 1.0, 1, delta),
          f"derived: Kalinin, McKenna, Upadhyay and Lampert, 2025, by search; {package(*RDP)}", 1e-8,
          f" bands={bands} separation={separation}")


CASES = {
    "table": table,
    "privacy_rdp": lambda: probe("privacy_rdp", "rdp", AT, opacus(*AT), package(*RDP), 1e-8),
    "privacy_pld": lambda: probe("privacy_pld", "pld", AT, distribution(gaussian(1.5, 0.04), 2250, 1e-5, 1e-4),
                                 package(*PLD), 1e-4),
    "privacy_prv": lambda: prv("privacy_prv"),
    "privacy_zcdp": lambda: zero_concentrated("privacy_zcdp"),
    "privacy_gaussian": lambda: probe("privacy_gaussian", "gaussian", AT, opacus(*AT), package(*RDP), 1e-8),
    "privacy_gaussian_pld": lambda: probe("privacy_gaussian_pld", "gaussian", (0.9, 0.02, 1000, 1e-6),
                                          distribution(gaussian(0.9, 0.02), 1000, 1e-6, 1e-4), package(*PLD), 1e-4,
                                          " accountant=pld"),
    "privacy_laplace": lambda: probe("privacy_laplace", "laplace", (2.0, 0.05, 400, 1e-5),
                                     distribution(laplace(2.0, 0.05), 400, 1e-5, 1e-4), package(*PLD), 1e-4),
    "privacy_laplace_all": lambda: probe("privacy_laplace_all", "laplace", (10.0, 1.0, 30, 1e-6),
                                         distribution(laplace(10.0, 1.0), 30, 1e-6, 1e-4), package(*PLD), 1e-4),
    # Where all take part the divergence of order a is a / (2 noise^2), the Gaussian mechanism's.
    "privacy_discrete": lambda: probe("privacy_discrete", "discretegaussian", (6.0, 1.0, 50, 1e-5),
                                      opacus(6.0, 1.0, 50, 1e-5), package(*RDP), 1e-8),
    "privacy_dpftrl": lambda: tree("privacy_dpftrl", " separation=1600", 1.13, 1e-6, [1600]),
    "privacy_dpftrl_restart": lambda: tree("privacy_dpftrl_restart", " restart=100 separation=1000", 4.0, 1e-5,
                                           [100] * 7 + [37]),
    "privacy_banded": lambda: banded("privacy_banded", 6.0, 14, 1e-5, 4, 3),
    "privacy_banded_each": lambda: banded("privacy_banded_each", 20.0, 9, 1e-5, 3, 1),
}

if __name__ == "__main__":
    chosen(CASES)
