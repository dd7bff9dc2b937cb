"""Goldens of losses that keep state, couple the batch, run the model again or have parameters of their own.

    python golden_loss.py [NAME ...]

The authors' code where it can be called (group_DRO, AnyLoss, SCORE, LibAUC), pytorch_metric_learning for NT-Xent.
Code that casts to float32 or moves to a GPU is called with those casts standing for float64 on the processor.
"""

import contextlib
import types

import numpy
import torch
import torch.nn.functional as F
from libauc.losses import AUCMLoss
from pytorch_metric_learning import losses as metric_losses
from pytorch_metric_learning.reducers import DoNothingReducer

from golden_file import authors, chosen, functions, package, short, write

torch.set_default_dtype(torch.float64)


@contextlib.contextmanager
def in_float64():
    """Tensor.float keeps 64 bits and Tensor.cuda stays."""
    kept = torch.Tensor.float, torch.Tensor.cuda
    torch.Tensor.float, torch.Tensor.cuda = torch.Tensor.double, lambda tensor: tensor
    try:
        yield
    finally:
        torch.Tensor.float, torch.Tensor.cuda = kept


def groupdro(name, settings, seed, steps, counts, adjustment=None, **words):
    """Steps of batches: the weights of the groups move before each loss is taken. One group is missing in one batch."""
    module, source = authors("kohpangwei/group_DRO", "cbbc1c5b06844e46b87e264326b56056d2a437d1", "loss.py")
    random = numpy.random.default_rng(seed)
    groups, rows, classes = len(counts), 12, 4
    logits = short(2 * random.standard_normal((steps, rows, classes)))
    target, group = random.integers(0, classes, (steps, rows)), random.integers(0, groups, (steps, rows))
    group[steps // 2] %= groups - 1
    dataset = types.SimpleNamespace(n_groups=groups, group_counts=lambda: torch.tensor(counts, dtype=torch.float64),
                                    group_str=str)
    losses, each, gradients = [], [], []
    with in_float64():
        computer = module.LossComputer(torch.nn.CrossEntropyLoss(reduction="none"), True, dataset, alpha=0.2,
                                       adj=None if adjustment is None else numpy.full(groups, adjustment), **words)
        for step in range(steps):
            leaf = torch.tensor(logits[step], requires_grad=True)
            loss = computer.loss(leaf, torch.tensor(target[step]), torch.tensor(group[step]), True)
            loss.backward()
            losses.append(loss.detach())
            gradients.append(leaf.grad)
    given = {"input": logits, "target": target, "group": group}
    if adjustment is not None:
        given["counts"] = numpy.array(counts)
    write(name, "loss", "groupdro", settings, source + ":LossComputer", given,
          {"loss": torch.stack(losses), "gradient": torch.stack(gradients), "state/weights": computer.adv_probs}, 1e-9)


def two_columns(random, rows, positives):
    target = numpy.zeros(rows, int)
    target[random.permutation(rows)[:positives]] = 1
    return short(random.standard_normal((rows, 2)) + 0.5 * numpy.stack([-target, target], 1)), target


def anyloss(name, settings, seed, function, amplify):
    rows = 20
    tensorflow = types.SimpleNamespace(reduce_sum=torch.sum, math=types.SimpleNamespace(exp=torch.exp))
    code, source = functions("doheonhan/anyloss_extension", "00743730d5e3b020eccd11faff460b5e810dbd45", "AnyLoss_Code.ipynb",
                             ["confusion_matrix", function], tf=tensorflow, s=0.0, L=amplify, batch=rows)
    logits, target = two_columns(numpy.random.default_rng(seed), rows, 6)
    leaf = torch.tensor(logits, requires_grad=True)
    loss = code[function](torch.tensor(target, dtype=torch.float64), torch.sigmoid(leaf[:, 1] - leaf[:, 0]))
    loss.backward()
    write(name, "loss", "anyloss", settings, f"{source}:{function}", {"input": logits, "target": target},
          {"loss": loss, "gradient": leaf.grad}, 1e-9)


def ntxent(name, settings, seed, temperature):
    random = numpy.random.default_rng(seed)
    target = random.permutation(numpy.repeat(numpy.arange(7), 2))  # two views of each sample
    features = short(random.standard_normal((14, 5)) + 0.7 * random.standard_normal((7, 5))[target])
    leaf = torch.tensor(features, requires_grad=True)
    loss = metric_losses.NTXentLoss(temperature=temperature)(leaf, torch.tensor(target))
    loss.backward()
    found = metric_losses.NTXentLoss(temperature=temperature, reducer=DoNothingReducer())(leaf.detach(), torch.tensor(target))
    each = torch.zeros(14).index_put((found["loss"]["indices"][0],), found["loss"]["losses"])
    write(name, "loss", "ntxent", settings, package("pytorch_metric_learning", "losses.NTXentLoss"),
          {"input": features, "target": target}, {"loss": loss, "per_sample": each, "gradient": leaf.grad}, 1e-9)


def linear_problem(random, rows, inputs, classes):
    return {"features": short(random.uniform(0.1, 0.9, (rows, inputs))), "target": random.integers(0, classes, rows),
            "parameters/bias": short(0.3 * random.standard_normal(classes)),
            "parameters/weight": short(random.standard_normal((classes, inputs)))}


def adversarial(name, method, settings, repository, file, function, seed, **words):
    """The loss of a linear model that is asked again at the attacked features."""
    random = numpy.random.default_rng(seed)
    rows, inputs, classes = 6, 5, 10
    given = linear_problem(random, rows, inputs, classes)
    given["draws/start"] = short(random.uniform(-1, 1, (rows, inputs)))
    start = torch.tensor(given["draws/start"])

    class Torch:
        class FloatTensor:
            def __init__(self, shape):
                pass

            def uniform_(self, low, high):
                return low + (high - low) * (start + 1) / 2

        def __getattr__(self, name):
            return getattr(torch, name)

    code, source = functions(*repository, file, [function], torch=Torch(), F=F, nn=torch.nn,
                             Variable=lambda tensor, requires_grad: tensor, track_bn_stats=lambda model, track: None,
                             accuracy=lambda true, found: types.SimpleNamespace(item=lambda: 0.0))
    model = torch.nn.Linear(inputs, classes)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(given["parameters/weight"]))
        model.bias.copy_(torch.tensor(given["parameters/bias"]))
    with in_float64():
        loss = code[function](model, torch.tensor(given["features"]), torch.tensor(given["target"]),
                              torch.optim.SGD(model.parameters()), **words)
    loss = loss[0] if isinstance(loss, tuple) else loss
    loss.backward()
    write(name, "loss", method, settings, f"{source}:{function}", given,
          {"loss": loss, "gradients/bias": model.bias.grad, "gradients/weight": model.weight.grad}, 1e-9)


SCORE = ("P2333/SCORE", "e82f44211fdbc3415e1321307f2ffaf71c2d5095")


def aucm(name, settings, seed, margin, values):
    """Five of sixteen positive: a share that float32, in which LibAUC takes it, holds exactly."""
    logits, target = two_columns(numpy.random.default_rng(seed), 16, 5)
    criterion = AUCMLoss(margin=margin, version="v1", device="cpu").double()
    given = {"input": logits, "target": target}
    for parameter, value in values.items():
        getattr(criterion, parameter).data.fill_(value)
        given[f"parameters/{parameter}"] = numpy.array([value])
    leaf = torch.tensor(logits, requires_grad=True)
    loss = criterion(torch.sigmoid(leaf[:, 1:] - leaf[:, :1]), torch.tensor(target).unsqueeze(1))
    loss.backward()
    write(name, "loss", "aucm", settings, package("libauc", "losses.AUCMLoss, v1"), given,
          {"loss": loss.reshape(()), "gradient": leaf.grad,
           **{f"gradients/{parameter}": getattr(criterion, parameter).grad for parameter in values}}, 1e-9)


CASES = {
    "groupdro": lambda: groupdro("groupdro", "step=0.5 groups=3", 301, 5, [60, 25, 15], step_size=0.5),
    "groupdro_adjusted": lambda: groupdro("groupdro_adjusted", "step=0.1 adjustment=2 groups=4", 302, 6, [400, 60, 25, 9], 2.0,
                                          step_size=0.1),
    "groupdro_normalised": lambda: groupdro("groupdro_normalised", "step=0.8 normalise=true groups=3", 303, 4, [60, 25, 15],
                                            step_size=0.8, normalize_loss=True),
    "anyloss_f": lambda: anyloss("anyloss_f", "metric=f beta=1 amplify=10", 311, "Any_Fbeta", 10.0),
    "anyloss_gmean": lambda: anyloss("anyloss_gmean", "metric=gmean amplify=6", 312, "Any_Gmean", 6.0),
    "anyloss_balanced": lambda: anyloss("anyloss_balanced", "metric=balanced amplify=10", 313, "Any_BAccu", 10.0),
    "ntxent": lambda: ntxent("ntxent", "temperature=0.5", 321, 0.5),
    "ntxent_sharp": lambda: ntxent("ntxent_sharp", "temperature=0.07", 322, 0.07),
    "score": lambda: adversarial("score", "score", "radius=0.125 step=0.03125 iterations=5 beta=3 label_smoothing=0.1", SCORE,
                                 "core/utils/trades.py", "trades_loss_LSE", 331, step_size=0.03125, epsilon=0.125,
                                 perturb_steps=5, beta=3.0, label_smoothing=0.1),
    "score_hard": lambda: adversarial("score_hard", "score", "radius=0.0625 step=0.015625 iterations=10 beta=1 label_smoothing=0",
                                      SCORE, "core/utils/trades.py", "trades_loss_LSE", 332, step_size=0.015625,
                                      epsilon=0.0625, perturb_steps=10, beta=1.0, label_smoothing=0.0),
    "aucm": lambda: aucm("aucm", "margin=1", 341, 1.0, {"a": 0.625, "b": 0.25, "alpha": 0.375}),
    "aucm_margin": lambda: aucm("aucm_margin", "margin=0.5", 342, 0.5, {"a": 0.0, "b": 0.0, "alpha": 0.125}),
}

if __name__ == "__main__":
    chosen(CASES)
