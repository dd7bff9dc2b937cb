"""Goldens of robust aggregation: python golden_robust.py [NAME ...]

Flower's and ByzFL's functions, and the authors' files of FoolsGold and RFA, on changes of clients: honest ones about a
common direction, and some malicious ones. (ByzFL's Krum judges by one neighbour more than the paper.)
"""

import numpy

from golden_file import bare, chosen, functions, package, short, write

FOOLSGOLD = ("DistributedML/FoolsGold", "0aa55114296a2d3c2bcb6f544a6fae31e8e7b8b4", "deep-fg/fg/foolsgold.py")
RFA = ("krishnap25/RFA", "40945d27a5246b2c82fd37bd453db4f5bc049952", "models/model.py")


def crowd(seed, clients, malicious, size=9, spread=0.5):
    """Honest changes, then malicious ones far from them, in a drawn order."""
    random = numpy.random.default_rng(seed)
    honest = random.standard_normal(size) + spread * random.standard_normal((clients - malicious, size))
    other = 4 * random.standard_normal(size) + random.standard_normal((malicious, size))
    return short(random.permutation(numpy.vstack([honest, other])))


def twice(rows):
    """Every other client says what the one before it says."""
    rows = rows.copy()
    rows[1::2] = rows[0::2][:len(rows[1::2])]
    return rows


def flower(name, method, settings, function, rows, samples=None, **words):
    from flwr.server.strategy import aggregate

    counts = [1] * len(rows) if samples is None else samples
    if function == "aggregate_bulyan":
        words["aggregation_rule"] = aggregate.aggregate_krum
    combined = getattr(aggregate, function)([([row], count) for row, count in zip(rows, counts)], **words)[0]
    given = {"rows": rows} if samples is None else {"rows": rows, "weights": numpy.array(samples, float)}
    write(name, "robust", method, settings, package("flwr", f"server.strategy.aggregate.{function}"), given,
          {"combined": combined}, 1e-12)


def byzfl(name, method, settings, aggregator, rows, last=None, **words):
    module = bare("byzfl.aggregators", "aggregators")
    own = getattr(module, aggregator)(**words)
    given = {"rows": rows}
    if last is not None:
        own.m = given["last"] = last
    write(name, "robust", method, settings, package("byzfl", f"aggregators.{aggregator}"), given,
          {"combined": own(rows)}, 1e-9)


def foolsgold(name, settings, rows, history=None):
    import sklearn.metrics.pairwise

    code, source = functions(*FOOLSGOLD, ["foolsgold"], np=numpy, smp=sklearn.metrics.pairwise)
    given = {"rows": rows} if history is None else {"rows": rows, "history": history}
    share = code["foolsgold"](rows if history is None else history + rows)
    if "mean=false" not in settings:
        share = share / share.sum()
    write(name, "robust", "foolsgold", settings, source, given, {"combined": share @ rows, "share": share}, 1e-9)


def rfa(name, iterations, rows, weights=None):
    code, source = functions(*RFA, ["ServerModel"], np=numpy, AGGR_MEAN="mean")
    alphas = numpy.ones(len(rows)) if weights is None else weights
    point = code["ServerModel"].geometric_median_update([[row] for row in rows], alphas, maxiter=iterations, eps=1e-5,
                                                        ftol=0)[0][0]
    given = {"rows": rows} if weights is None else {"rows": rows, "weights": weights}
    write(name, "robust", "geometricmedian", f"iterations={iterations} epsilon=1e-5", source, given, {"combined": point},
          1e-9)


def likes(seed, clients, copies, size=8):
    """Clients of different minds, and `copies` of nearly one."""
    random = numpy.random.default_rng(seed)
    one = random.standard_normal(size)
    return short(numpy.vstack([random.standard_normal((clients - copies, size)) + 0.2,
                               one + 0.05 * random.standard_normal((copies, size))]))


CASES = {
    "krum_flower": lambda: flower("krum_flower", "krum", "byzantine=2", "aggregate_krum", crowd(501, 10, 2),
                                  num_malicious=2, to_keep=0),
    "krum_odd": lambda: flower("krum_odd", "krum", "byzantine=0.3", "aggregate_krum", crowd(502, 11, 3), num_malicious=3,
                               to_keep=0),
    "krum_none": lambda: flower("krum_none", "krum", "byzantine=0", "aggregate_krum", crowd(503, 6, 0), num_malicious=0,
                                to_keep=0),
    "krum_ties": lambda: flower("krum_ties", "krum", "byzantine=1", "aggregate_krum", twice(crowd(504, 8, 1)),
                                num_malicious=1, to_keep=0),
    "krum_samples": lambda: flower("krum_samples", "krum", "byzantine=2", "aggregate_krum", crowd(505, 9, 2),
                                   [3, 50, 8, 1, 90, 7, 7, 20, 4], num_malicious=2, to_keep=0),
    "krum_byzfl": lambda: byzfl("krum_byzfl", "krum", "byzantine=3 neighbours=8", "Krum", crowd(506, 12, 3), f=3),
    "multikrum_flower": lambda: flower("multikrum_flower", "multikrum", "byzantine=2 keep=5", "aggregate_krum",
                                       crowd(511, 10, 2), num_malicious=2, to_keep=5),
    "multikrum_samples": lambda: flower("multikrum_samples", "multikrum", "byzantine=2 keep=4", "aggregate_krum",
                                        crowd(512, 9, 2), [3, 50, 8, 1, 90, 7, 7, 20, 4], num_malicious=2, to_keep=4),
    "multikrum_byzfl": lambda: byzfl("multikrum_byzfl", "multikrum", "byzantine=3 neighbours=8", "MultiKrum",
                                     crowd(513, 12, 3), f=3),
    "multikrum_all": lambda: flower("multikrum_all", "multikrum", "byzantine=0", "aggregate_krum", crowd(514, 7, 1),
                                    num_malicious=0, to_keep=7),
    "median_even": lambda: flower("median_even", "median", "", "aggregate_median", crowd(521, 10, 2)),
    "median_odd": lambda: byzfl("median_odd", "median", "", "Median", crowd(522, 7, 2)),
    "median_ties": lambda: flower("median_ties", "median", "", "aggregate_median", twice(crowd(523, 6, 1))),
    "median_samples": lambda: flower("median_samples", "median", "", "aggregate_median", crowd(524, 5, 1),
                                     [3, 50, 8, 1, 90]),
    "trimmedmean_flower": lambda: flower("trimmedmean_flower", "trimmedmean", "byzantine=0.2", "aggregate_trimmed_avg",
                                         crowd(531, 13, 2), proportiontocut=0.2),
    "trimmedmean_byzfl": lambda: byzfl("trimmedmean_byzfl", "trimmedmean", "byzantine=3", "TrMean", crowd(532, 10, 3),
                                       f=3),
    "trimmedmean_none": lambda: byzfl("trimmedmean_none", "trimmedmean", "byzantine=0", "TrMean", crowd(533, 10, 0), f=0),
    "trimmedmean_ties": lambda: byzfl("trimmedmean_ties", "trimmedmean", "byzantine=2", "TrMean",
                                      twice(crowd(534, 9, 2)), f=2),
    "trimmedmean_one_left": lambda: byzfl("trimmedmean_one_left", "trimmedmean", "byzantine=3", "TrMean",
                                          crowd(535, 7, 3), f=3),
    "geometricmedian_rfa": lambda: rfa("geometricmedian_rfa", 4, crowd(541, 10, 2)),
    "geometricmedian_samples": lambda: rfa("geometricmedian_samples", 5, crowd(542, 7, 2),
                                           numpy.array([3, 50, 8, 1, 90, 7, 7.0])),
    "geometricmedian_mean": lambda: rfa("geometricmedian_mean", 0, crowd(543, 8, 2)),
    "geometricmedian_byzfl": lambda: byzfl("geometricmedian_byzfl", "geometricmedian", "epsilon=0.1", "GeometricMedian",
                                           crowd(544, 11, 3), nu=0.1, T=500),
    "geometricmedian_ties": lambda: byzfl("geometricmedian_ties", "geometricmedian", "epsilon=0.01", "GeometricMedian",
                                          twice(crowd(545, 9, 2)), nu=0.01, T=2000),
    "bulyan_flower": lambda: flower("bulyan_flower", "bulyan", "byzantine=2", "aggregate_bulyan", crowd(551, 11, 2),
                                    num_malicious=2, to_keep=0),
    "bulyan_even": lambda: flower("bulyan_even", "bulyan", "byzantine=0.15", "aggregate_bulyan", crowd(552, 14, 2),
                                  num_malicious=2, to_keep=0),
    "bulyan_least": lambda: flower("bulyan_least", "bulyan", "byzantine=1", "aggregate_bulyan", crowd(553, 7, 1),
                                   num_malicious=1, to_keep=0),
    "bulyan_none": lambda: flower("bulyan_none", "bulyan", "byzantine=0", "aggregate_bulyan", crowd(554, 8, 0),
                                  num_malicious=0, to_keep=0),
    "centeredclipping": lambda: byzfl("centeredclipping", "centeredclipping", "radius=2", "CenteredClipping",
                                      crowd(561, 10, 3), tau=2.0),
    "centeredclipping_last": lambda: byzfl("centeredclipping_last", "centeredclipping", "radius=1.5 iterations=4",
                                           "CenteredClipping", crowd(562, 9, 2), crowd(563, 1, 0)[0], L=4, tau=1.5),
    "centeredclipping_far": lambda: byzfl("centeredclipping_far", "centeredclipping", "radius=1000", "CenteredClipping",
                                          crowd(564, 8, 2), crowd(565, 1, 0)[0], tau=1000.0),
    "foolsgold": lambda: foolsgold("foolsgold", "", likes(571, 8, 3)),
    "foolsgold_sum": lambda: foolsgold("foolsgold_sum", "mean=false", likes(572, 9, 2)),
    "foolsgold_history": lambda: foolsgold("foolsgold_history", "", likes(573, 7, 2), 3 * likes(574, 7, 2)),
    "foolsgold_different": lambda: foolsgold("foolsgold_different", "mean=false", short(
        numpy.random.default_rng(575).standard_normal((6, 40)))),
}

if __name__ == "__main__":
    chosen(CASES)
