"""Goldens of the optimizers that take one gradient a step: python golden_update.py [NAME ...]

Given gradients where they serve; a problem where the rule needs the loss (momo) or gradients that keep a direction
(prodigy). README.md of the goldens says what each library does otherwise than its paper.
"""

import math

import momo
import numpy
import prodigyopt
import pytorch_optimizer
import torch

from golden_file import authors, bare, chosen, package, write
from golden_problem import (Logistic, Quadratic, SHAPES, SMALL, Weights, draw_batches, elements, given, given_gradients,
                            run_given, run_problem, start)

STEPS = 8


class Float64:
    """torch for a module that casts to float32 inside: there float32 is float64."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def states(optimizer, weights, slots):
    """state/<slot>/<tensor> from the library's names of them."""
    return {f"state/{slot}/{name}": optimizer.state[p][own]
            for slot, own in slots.items() for name, p in zip(weights.names, weights.parameters)}


def on_gradients(name, method, settings, source, make, seed, slots=(), scale=1.0, groups=None, shapes=SHAPES, zero=()):
    """The golden of an optimizer on given gradients; `groups` makes torch's parameter groups; `zero` starts at 0."""
    random = numpy.random.default_rng(seed)
    values = start(random, shapes)
    for tensor in zero:
        values[tensor] *= 0
    gradients = given_gradients(random, STEPS, shapes, scale)
    gradients = {tensor: value * numpy.geomspace(1, 0.125, STEPS).round(3).reshape(-1, *[1] * (value.ndim - 1))
                 for tensor, value in gradients.items()}
    weights = Weights(values)
    optimizer = make(groups(weights) if groups else weights.parameters)
    run_given(optimizer, weights, gradients, STEPS)
    taken = {f"gradients/{tensor}": value for tensor, value in gradients.items()}
    write(name, "optimizer", method, settings, source, given(values, taken),
          weights.recorded() | states(optimizer, weights, dict(slots)), 1e-7 if method == "soap" else 1e-9)


def soap(name, settings, seed, shapes=SHAPES, **words):
    """No side that has a basis may exceed the rank of a first gradient by more than one: a basis of a null space of two
    dimensions is left to chance. So the embedding's long side has none."""
    def make(parameters):
        pytorch_optimizer.optimizer.soap.torch = Float64()
        return pytorch_optimizer.SOAP(parameters, **words)
    on_gradients(name, "soap", settings, package("pytorch_optimizer", "SOAP"), make, seed, shapes=shapes)


def adafactor(name, settings, seed, zero=(), **words):
    on_gradients(name, "adafactor", settings, package("torch", "optim.Adafactor"),
                 lambda parameters: torch.optim.Adafactor(parameters, **words), seed, zero=zero)


def adafactor_momentum():
    on_gradients("adafactor_momentum", "adafactor",
                 "learning_rate=0.05 beta1=0.8 beta2_power=0.8 epsilon1=1e-30 epsilon2=1e-3 clip_threshold=1 weight_decay=0",
                 package("pytorch_optimizer", "AdaFactor"),
                 lambda parameters: pytorch_optimizer.AdaFactor(
                     parameters, lr=0.05, betas=(0.8, 0.999), relative_step=False, momentum_dtype=torch.float64), 13)


def lamb(name, settings, seed, zero=(), **words):
    module = bare("timm.optim", "lamb")
    on_gradients(name, "lamb", settings, package("timm", "optim.lamb.Lamb"),
                 lambda parameters: module.Lamb(parameters, max_grad_norm=None, always_adapt=True, **words), seed,
                 {"first": "exp_avg", "second": "exp_avg_sq"}, zero=zero)


C_OPTIM = ("kyleliang919/C-Optim", "2c0517c4db2e50b56d389ba4803eab1f4b3b8ae3")


def cautious_adamw(name, settings, seed, **words):
    module, source = authors(*C_OPTIM, "c_adamw.py")
    on_gradients(name, "cautious", settings, source + ":AdamW",
                 lambda parameters: module.AdamW(parameters, foreach=False, no_deprecation_warning=True, **words), seed,
                 {"first": "exp_avg", "second": "exp_avg_sq"})


def cautious_lion(name, settings, seed, **words):
    module, source = authors(*C_OPTIM, "c_lion.py")
    on_gradients(name, "cautious", settings, source + ":Lion", lambda parameters: module.Lion(parameters, **words), seed,
                 {"average": "exp_avg"})


def adagradsn(name, settings, seed, subset, momentum="none", shapes=SHAPES, **words):
    module, source = authors("timmytonga/sn-sm", "a4c1a4a5f255bfe8f1e0749b4c1964484b5bdd88", "GenericOptim.py")

    def groups(weights):
        return [{"params": [p for p in weights.parameters if p.dim() > 1], "subset_size": subset},
                {"params": [p for p in weights.parameters if p.dim() == 1]}]

    on_gradients(name, "adagradsn", settings, source + ":GenericOptim",
                 lambda parameters: module.GenericOptim(parameters, momentum_type=momentum, second_moment_type="sn", **words),
                 seed, groups=groups, shapes=shapes)


def mars(name, settings, seed, kind, **words):
    module, source = authors("AGI-Arena/MARS", "4831e28eba863a4e69d7e9474ff8e73bc1b410fe", "MARS/optimizers/mars.py")
    slots = {"first": "exp_avg", "second": "exp_avg_sq"} if kind == "adamw" else {"average": "exp_avg"}
    on_gradients(name, "marsadamw", settings, source + ":MARS",
                 lambda parameters: module.MARS(parameters, mars_type="mars-" + kind, is_approx=True, optimize_1d=True,
                                                **words), seed, slots, scale=0.7)


def on_problem(name, method, settings, source, make, problem, seed, shapes=SMALL, scale=1.0, with_loss=False, steps=STEPS):
    random = numpy.random.default_rng(seed)
    problem = problem(random, elements(shapes))
    values = start(random, shapes, scale)
    weights = Weights(values)
    optimizer = make(weights.parameters)
    before = (lambda step, closure: optimizer.step(closure=closure)) if with_loss else None
    run_problem(optimizer, weights, problem, steps, before)
    write(name, "optimizer", method, f"{settings} steps={steps}", source, given(values, problem.arrays), weights.recorded(),
          1e-9)
    return optimizer


def momo_case(name, settings, seed, problem, **words):
    on_problem(name, "momo", settings, package("momo-opt", "Momo"), lambda parameters: momo.Momo(parameters, **words),
               problem, seed, with_loss=True)


def prodigy(name, settings, seed, steps=12, **words):
    optimizer = on_problem(name, "prodigy", settings, package("prodigyopt", "Prodigy"),
                           lambda parameters: prodigyopt.Prodigy(parameters, **words),
                           lambda random, n: Quadratic(random, n), seed, steps=steps, scale=0.25)
    if not optimizer.param_groups[0]["d"] > 1.2 * words["d0"]:
        raise SystemExit(f"{name}: the distance did not grow, so the file shows nothing")


def batched(random, n):
    return Logistic(random, n, 40, draw_batches(random, STEPS, 40, 8))


CASES = {
    "adamw": lambda: on_gradients(
        "adamw", "adamw", "learning_rate=0.01 beta1=0.9 beta2=0.99 epsilon=1e-8 weight_decay=0.1",
        package("torch", "optim.AdamW"),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1), 3,
        {"first": "exp_avg", "second": "exp_avg_sq"}),
    "lion": lambda: on_gradients(
        "lion", "lion", "learning_rate=0.01 beta1=0.9 beta2=0.99 weight_decay=0.2", package("pytorch_optimizer", "Lion"),
        lambda parameters: pytorch_optimizer.Lion(parameters, lr=0.01, betas=(0.9, 0.99), weight_decay=0.2), 4,
        {"average": "exp_avg"}),
    "soap": lambda: soap(
        "soap", "learning_rate=0.01 beta1=0.95 beta2=0.95 epsilon=1e-8 weight_decay=0 interval=3 largest_side=10000", 1,
        {"matrix": (5, 6), "square": (6, 6), "vector": (7,)}, lr=0.01, betas=(0.95, 0.95), eps=1e-8, weight_decay=0, precondition_frequency=3),
    "soap_identity_side": lambda: soap(
        "soap_identity_side",
        "learning_rate=0.02 beta1=0.9 beta2=0.97 factor_beta=0.8 epsilon=1e-6 weight_decay=0 interval=2 largest_side=20", 2,
        lr=0.02, betas=(0.9, 0.97), shampoo_beta=0.8, eps=1e-6, weight_decay=0, precondition_frequency=2,
        max_precondition_dim=20),
    "adafactor": lambda: adafactor(
        "adafactor",
        "learning_rate=0.01 beta1=0 beta2_power=0.8 epsilon1=1e-30 epsilon2=1e-3 clip_threshold=1 weight_decay=0", 11,
        lr=0.01, eps=(1e-30, 1e-3), d=1.0, weight_decay=0.0),
    "adafactor_decay": lambda: adafactor(
        "adafactor_decay",
        "learning_rate=0.6 beta1=0 beta2_power=0.6 epsilon1=1e-30 epsilon2=0.05 clip_threshold=1.05 weight_decay=0.1", 12,
        zero=("vector",), lr=0.6, beta2_decay=-0.6, eps=(1e-30, 0.05), d=1.05, weight_decay=0.1),
    "adafactor_momentum": adafactor_momentum,
    "lamb": lambda: lamb("lamb", "learning_rate=0.01 beta1=0.9 beta2=0.999 epsilon=1e-6 weight_decay=0.01", 21,
                         lr=0.01, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01),
    "lamb_zero_start": lambda: lamb("lamb_zero_start",
                                    "learning_rate=0.03 beta1=0.8 beta2=0.95 epsilon=1e-4 weight_decay=0", 22, ("vector",),
                                    lr=0.03, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.0),
    "momo": lambda: momo_case("momo", "learning_rate=1 beta=0.9 lower_bound=0 weight_decay=0 bias_correction=false", 31,
                              batched, lr=1.0, beta=0.9, lb=0.0),
    "momo_decay": lambda: momo_case(
        "momo_decay", "learning_rate=0.8 beta=0.7 lower_bound=-6 weight_decay=0.05 bias_correction=true", 32,
        lambda random, n: Quadratic(random, n, 0.5), lr=0.8, beta=0.7, lb=-6.0, weight_decay=0.05, bias_correction=True),
    "prodigy": lambda: prodigy(
        "prodigy", "learning_rate=1 beta1=0.9 beta2=0.999 epsilon=1e-8 weight_decay=0 initial_distance=1e-6", 41,
        lr=1.0, betas=(0.9, 0.999), eps=1e-8, d0=1e-6),
    "prodigy_decay": lambda: prodigy(
        "prodigy_decay",
        "learning_rate=0.5 beta1=0.8 beta2=0.99 beta3=0.9 epsilon=1e-6 weight_decay=0.1 initial_distance=1e-3 "
        "distance_factor=0.7 growth_rate=1.5 bias_correction=true safeguard_warmup=false", 42,
        lr=0.5, betas=(0.8, 0.99), beta3=0.9, eps=1e-6, weight_decay=0.1, d0=1e-3, d_coef=0.7, growth_rate=1.5,
        use_bias_correction=True, safeguard_warmup=False),
    "cautious_adamw": lambda: cautious_adamw(
        "cautious_adamw", "scale=mean base=adamw{learning_rate=0.01,beta1=0.9,beta2=0.999,epsilon=1e-30,weight_decay=0.1}",
        51, lr=0.01, betas=(0.9, 0.999), eps=1e-30, weight_decay=0.1),
    "cautious_lion": lambda: cautious_lion(
        "cautious_lion", "scale=count base=lion{learning_rate=0.003,beta1=0.95,beta2=0.98,weight_decay=0.2}", 52,
        lr=0.003, betas=(0.95, 0.98), weight_decay=0.2),
    "adagradsn": lambda: adagradsn("adagradsn", "learning_rate=0.1 beta1=0 beta2=1 subset_size=0 epsilon=1e-6", 61,
                                   "heuristics", lr=0.1, betas=(0.0, 1.0), eps=1e-6, correct_bias=False),
    "adagradsn_subsets": lambda: adagradsn("adagradsn_subsets",
                                           "learning_rate=0.05 beta1=0 beta2=1 subset_size=8 epsilon=1e-3", 62, 8,
                                           lr=0.05, betas=(0.0, 1.0), eps=1e-3, correct_bias=False),
    "adagradsn_adam": lambda: adagradsn(
        "adagradsn_adam", "learning_rate=0.02 beta1=0.9 beta2=0.95 subset_size=0 epsilon=1e-6 bias_correction=true", 63,
        "heuristics", "ema", lr=0.02, betas=(0.9, 0.95), eps=1e-6, correct_bias=True),
    "marsadamw_previous": lambda: mars(
        "marsadamw_previous",
        "gamma=0.1 exact=false base=adamw{learning_rate=0.01,beta1=0.9,beta2=0.99,epsilon=1e-8,weight_decay=0.1}", 71,
        "adamw", lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, gamma=0.1),
}

if __name__ == "__main__":
    chosen(CASES)
