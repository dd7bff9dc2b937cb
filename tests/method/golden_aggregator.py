"""Goldens of the aggregators: python golden_aggregator.py [NAME ...]

MGDA's quadratic program, the shortest vector of the gradients' convex hull, is one of non-negative least squares: with a
row of ones under the gradients and (0, ..., 0, 1) on the right, SciPy's active set ends at a multiple of the weights,
exact to rounding. UPGrad, CAGrad and PCGrad are TorchJD's. UPGrad without the regularisation that it adds by default.
"""

import cvxpy
import numpy
import scipy.optimize
import torch
from torchjd._linalg import _dual_cone
from torchjd.aggregation import CAGrad, PCGrad, UPGrad
from torchjd.aggregation import Sum

from golden_file import chosen, package, short, write

torch.set_default_dtype(torch.float64)


def solve(problem, *words, **settings):
    """CAGrad's solver stops 1e-8 above the least value, 1e-4 from the weights of it. From there, the root of the same
    problem's first-order conditions on the weights that are not zero."""
    value = solver(problem, *words, **settings)
    variable = problem.variables()[0]
    rough = variable.value
    support = rough > 1e-6

    def gradient(weights):
        whole = numpy.zeros(len(rough))
        whole[support] = weights
        variable.value = whole
        return problem.objective.expr.grad[variable].toarray().ravel()

    def conditions(weights):
        of = gradient(weights)[support]
        return numpy.append(of[1:] - of[0], weights.sum() - 1)

    found = scipy.optimize.root(conditions, rough[support], tol=1e-15)
    every = gradient(found.x)
    if numpy.abs(found.x - rough[support]).max() > 1e-2 or every.min() < every[support].min() - 1e-9:
        raise SystemExit("the first-order conditions do not hold")
    return value


solver = cvxpy.Problem.solve
cvxpy.Problem.solve = solve


def conflicting(seed, objectives, size, common):
    """Gradients of which some conflict, of very different lengths; `common` is the part that they share."""
    random = numpy.random.default_rng(seed)
    rows = random.standard_normal((objectives, size)) + common * random.standard_normal(size)
    return short(rows * random.uniform(0.5, 4, (objectives, 1)))


def torchjd(name, method, settings, make, gradients):
    aggregator = make()
    weights = []
    handle = aggregator.gramian_weighting.register_forward_hook(lambda module, given, out: weights.append(out)) \
        if hasattr(aggregator, "gramian_weighting") else aggregator.weighting.register_forward_hook(
            lambda module, given, out: weights.append(out))
    direction = aggregator(torch.tensor(gradients))
    handle.remove()
    if not torch.allclose(weights[0] @ torch.tensor(gradients), direction):
        raise SystemExit(f"{name}: the weights do not give the direction")
    write(name, "aggregator", method, settings, package("torchjd", f"aggregation.{type(aggregator).__name__}"),
          {"gradients": gradients}, {"direction": direction, "weights": weights[0]})


def mgda(name, gradients):
    left = numpy.vstack([gradients.T, numpy.ones(len(gradients))])
    right = numpy.append(numpy.zeros(gradients.shape[1]), 1)
    weights = scipy.optimize.nnls(left, right)[0]
    weights /= weights.sum()
    direction = weights @ gradients
    products = gradients @ direction  # at the optimum no gradient has a smaller product than the direction with itself
    if products.min() < direction @ direction * (1 - 1e-10):
        raise SystemExit(f"{name}: not the optimum")
    write(name, "aggregator", "mgda", "", package("scipy", "optimize.nnls"), {"gradients": gradients},
          {"direction": direction, "weights": weights}, 1e-9)


def upgrad():
    return UPGrad(projector=_dual_cone.QuadprogProjector(norm_eps=0.0, reg_eps=0.0))


CASES = {
    "mgda_three": lambda: mgda("mgda_three", conflicting(1, 3, 8, 0.1)),
    "mgda_eight": lambda: mgda("mgda_eight", conflicting(2, 8, 30, 0.1)),
    "mgda_one_rules": lambda: mgda("mgda_one_rules", short(numpy.array([[4, 3.0], [1, 0.5], [3, -0.25]]))),
    "upgrad_three": lambda: torchjd("upgrad_three", "upgrad", "", upgrad, conflicting(3, 3, 8, 0.1)),
    "upgrad_eight": lambda: torchjd("upgrad_eight", "upgrad", "", upgrad, conflicting(4, 8, 30, 0.3)),
    "upgrad_agreeing": lambda: torchjd("upgrad_agreeing", "upgrad", "", upgrad, numpy.abs(conflicting(5, 3, 6, 1.0))),
    "cagrad_three": lambda: torchjd("cagrad_three", "cagrad", "c=0.5", lambda: CAGrad(c=0.5, norm_eps=0.0),
                                    conflicting(6, 3, 8, 0.5)),
    "cagrad_eight": lambda: torchjd("cagrad_eight", "cagrad", "c=0.9", lambda: CAGrad(c=0.9, norm_eps=0.0),
                                    conflicting(7, 8, 30, 0.1)),
    "pcgrad_two": lambda: torchjd("pcgrad_two", "pcgrad", "", PCGrad, conflicting(8, 2, 8, 1.0) * [[1], [-1]]),
    "sum_five": lambda: torchjd("sum_five", "sum", "", Sum, conflicting(9, 5, 7, 0.5)),
}

if __name__ == "__main__":
    chosen(CASES)
