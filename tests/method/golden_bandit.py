"""Goldens of the bandits: python golden_bandit.py [NAME ...]

MABWiser's LinUCB and UCB1, round after round on rewards that are all known: what it expects of every arm, and the arm of
the largest. Every arm of LinUCB is first fitted to a context of zeros, which teaches it nothing: before its first fit an
arm's inverse is ridge I in MABWiser, not I / ridge.
"""

import numpy
from mabwiser.mab import MAB, LearningPolicy

from golden_file import chosen, package, short, write


def rounds_of(seed, rounds, arms, features):
    random = numpy.random.default_rng(seed)
    contexts = short(random.standard_normal((rounds, features)))
    theta = random.standard_normal((arms, features))
    return contexts, short(contexts @ theta.T + 0.3 * random.standard_normal((rounds, arms)))


def linucb(name, seed, alpha, ridge, rounds=25, arms=4, features=3):
    contexts, rewards = rounds_of(seed, rounds, arms, features)
    mab = MAB(list(range(arms)), LearningPolicy.LinUCB(alpha=alpha, l2_lambda=ridge))
    mab.fit(list(range(arms)), [0.0] * arms, [[0.0] * features] * arms)
    scores, pulled = [], []
    for context, reward in zip(contexts, rewards):
        expected = mab.predict_expectations([context])
        scores.append([expected[arm] for arm in range(arms)])
        pulled.append(int(numpy.argmax(scores[-1])))
        mab.partial_fit([pulled[-1]], [reward[pulled[-1]]], [context])
    write(name, "bandit", "linucb", f"alpha={alpha} ridge={ridge}", package("mabwiser", "LearningPolicy.LinUCB"),
          {"contexts": contexts, "rewards": rewards},
          {"scores": numpy.array(scores), "arms": numpy.array(pulled, dtype=float)}, 1e-9)


def ucb1(name, seed, alpha, rounds=60, arms=4):
    contexts, rewards = rounds_of(seed, rounds, arms, 1)
    mab = MAB(list(range(arms)), LearningPolicy.UCB1(alpha=alpha))
    mab.fit(list(range(arms)), [rewards[arm, arm] for arm in range(arms)])
    pulled = list(range(arms))
    for reward in rewards[arms:]:
        expected = mab.predict_expectations()
        pulled.append(int(numpy.argmax([expected[arm] for arm in range(arms)])))
        mab.partial_fit([pulled[-1]], [reward[pulled[-1]]])
    if len(set(pulled[arms:])) < arms:
        raise SystemExit(f"{name}: an arm is never pulled again")
    write(name, "bandit", "ucb1", f"alpha={alpha}", package("mabwiser", "LearningPolicy.UCB1"),
          {"contexts": contexts, "rewards": rewards}, {"arms": numpy.array(pulled, dtype=float)}, 1e-9)


CASES = {
    "linucb": lambda: linucb("linucb", 401, 1.0, 1.0),
    "linucb_wide": lambda: linucb("linucb_wide", 402, 2.5, 0.25, rounds=40, arms=3, features=5),
    "ucb1": lambda: ucb1("ucb1", 403, 1.0),
}

if __name__ == "__main__":
    chosen(CASES)
