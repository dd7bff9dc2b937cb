"""Goldens of the optimizers that ask questions: several points, losses, products, samples one by one, or a given batch.

    python golden_driver.py [NAME ...]

All of them run on a problem (golden_problem.py); what a method would draw is given as /draws/<name>.
"""

import numpy
import opacus.optimizers.optimizer
import pytorch_optimizer
import schedulefree
import scipy.sparse.linalg
import torch

from golden_file import authors, chosen, package, short, write
from golden_problem import (Logistic, Quadratic, SHAPES, SMALL, Weights, draw_batches, elements, given, run_problem, start)

STEPS = 9


class Case:
    """A problem, a start and the draws of one golden."""

    def __init__(self, name, seed, problem, shapes=SMALL, scale=1.0, steps=STEPS):
        self.name, self.steps, self.n = name, steps, elements(shapes)
        self.random = numpy.random.default_rng(seed)
        self.problem = problem(self.random, self.n)
        self.values = {tensor: value * scale for tensor, value in start(self.random, shapes).items()}
        self.weights = Weights(self.values)
        self.draws, self.more = {}, {}

    def loss(self, step):
        return lambda flat: self.problem.loss(flat, step)

    def gradient(self, flat, step):
        return torch.func.grad(self.loss(step))(flat.detach())

    def product(self, step):
        """w -> the function v -> H(w) v of the loss."""
        hessian = torch.func.hessian(self.loss(step))
        return lambda flat: hessian(flat.detach())

    def write(self, method, settings, source, tolerance=1e-9):
        draws = {f"draws/{name}": value for name, value in self.draws.items()}
        write(self.name, "optimizer", method, f"{settings} steps={self.steps}", source,
              given(self.values, self.problem.arrays, draws), self.weights.recorded() | self.more, tolerance)

    def keep_states(self, optimizer, slots):
        for slot, own in slots.items():
            for tensor, p in zip(self.weights.names, self.weights.parameters):
                self.more[f"state/{slot}/{tensor}"] = optimizer.state[p][own].detach().clone()


def batches_of(size, samples=40, scale=1.0):
    return lambda random, n: Logistic(random, n, samples, draw_batches(random, STEPS, samples, size), scale)


def all_samples(random, n):
    return Logistic(random, n, 40)


def schedule_free(name, settings, seed, kind, problem, **words):
    case = Case(name, seed, problem)
    optimizer = getattr(schedulefree, kind)(case.weights.parameters, **words)
    optimizer.train()
    run_problem(optimizer, case.weights, case.problem, case.steps)
    case.write("schedulefree", settings, package("schedulefree", kind))


def lookahead(name, settings, seed, base, slots, problem, k, alpha):
    case = Case(name, seed, problem)
    optimizer = base(case.weights.parameters)
    run_problem(pytorch_optimizer.Lookahead(optimizer, k=k, alpha=alpha), case.weights, case.problem, case.steps)
    case.keep_states(optimizer, slots)
    case.write("lookahead", settings, package("pytorch_optimizer", "Lookahead"))


def sam(name, settings, seed, problem, rho, **words):
    case = Case(name, seed, problem)
    optimizer = pytorch_optimizer.SAM(case.weights.parameters, torch.optim.SGD, rho=rho, **words)

    def before(step, closure):
        closure()
        optimizer.step(closure)

    run_problem(optimizer, case.weights, case.problem, case.steps, before)
    case.keep_states(optimizer.base_optimizer, {"velocity": "momentum_buffer"})
    case.write("sam", settings, package("pytorch_optimizer", "SAM"))


def lookahead_sam(name, settings, seed, problem, k, alpha, rho, **words):
    """Three deep: slow weights around the ascent around AdamW."""
    case = Case(name, seed, problem)
    ascent = pytorch_optimizer.SAM(case.weights.parameters, torch.optim.AdamW, rho=rho, **words)
    optimizer = pytorch_optimizer.Lookahead(ascent, k=k, alpha=alpha)

    def before(step, closure):
        closure()
        optimizer.step(closure)

    run_problem(optimizer, case.weights, case.problem, case.steps, before)
    case.keep_states(ascent.base_optimizer, {"first": "exp_avg", "second": "exp_avg_sq"})
    case.write("lookahead", settings, package("pytorch_optimizer", "Lookahead and SAM"))


def armijo(name, settings, seed, problem, **words):
    module, source = authors("IssamLaradji/sls", "19346532fc45956e025461bfad516796736a4ec0", "sls/sls.py")
    case = Case(name, seed, problem)
    optimizer = module.Sls(case.weights.parameters, **words)
    tries = []
    for step in range(case.steps):
        def closure():
            optimizer.zero_grad()
            return case.problem.loss(case.weights.flat(), step)
        before = optimizer.state["n_forwards"]
        optimizer.step(closure)
        tries.append(optimizer.state["n_forwards"] - before - 1)
        case.weights.record()
    if len(set(tries)) < 2:
        raise SystemExit(f"{name}: every step tried {tries[0]} times, so the file shows little")
    case.write("armijo", settings, source + ":Sls")


def lbfgs(name, settings, seed, problem, **words):
    case = Case(name, seed, problem)
    optimizer = torch.optim.LBFGS(case.weights.parameters, max_iter=1, tolerance_grad=0, tolerance_change=0, **words)

    def before(step, closure):
        optimizer.step(closure)

    run_problem(optimizer, case.weights, case.problem, case.steps, before)
    case.write("lbfgs", settings, package("torch", "optim.LBFGS"), 1e-7)


def newton_cg(name, settings, seed, problem, learning_rate, iterations, damping, scale=1.0):
    case = Case(name, seed, problem, scale=scale)
    for step in range(case.steps):
        flat = case.weights.flat().detach()
        matrix = torch.func.hessian(case.loss(step))(flat).numpy() + damping * numpy.eye(case.n)
        direction = scipy.sparse.linalg.cg(matrix, -case.gradient(flat, step).numpy(), rtol=0, atol=0, maxiter=iterations)[0]
        case.weights.set(flat + learning_rate * torch.tensor(direction))
        case.weights.record()
    case.write("newtoncg", settings, package("scipy", "sparse.linalg.cg"), 1e-7)


def trpo(name, settings, seed, problem, radius, iterations, damping):
    """The longest step within a trust region of the outputs' distribution; the files need no backtracking."""
    case = Case(name, seed, problem, scale=0.25)

    def divergence(flat, before, step):
        """Mean KL from the distribution of labels at `before` to that at `flat`."""
        x = case.problem.x[case.problem.rows(step)]
        old, new = (torch.distributions.Bernoulli(logits=x @ w) for w in (before, flat))
        return torch.distributions.kl_divergence(old, new).mean()

    for step in range(case.steps):
        flat = case.weights.flat().detach()
        matrix = torch.func.hessian(lambda w: divergence(w, flat, step))(flat).numpy() + damping * numpy.eye(case.n)
        way = scipy.sparse.linalg.cg(matrix, -case.gradient(flat, step).numpy(), rtol=0, atol=0, maxiter=iterations)[0]
        new = flat + (2 * radius / (way @ matrix @ way)) ** 0.5 * torch.tensor(way)
        if divergence(new, flat, step) > radius or case.problem.loss(new, step) >= case.problem.loss(flat, step):
            raise SystemExit(f"{name}: step {step + 1} would have to be shortened")
        case.weights.set(new)
        case.weights.record()
    case.write("trpo", settings, package("scipy", "sparse.linalg.cg") + "; step derived: TRPO, appendix C", 1e-7)


class DrawsInstead:
    """torch for a module that draws; randn_like gives what is recorded."""

    def __init__(self):
        self.waiting = []

    def __getattr__(self, name):
        return getattr(torch, name)

    def randn_like(self, tensor):
        return self.waiting.pop(0).reshape(tensor.shape).clone()


def deep_zero(name, settings, seed, problem, radius, queries, **words):
    module, source = authors("OPTML-Group/DeepZero", "5cf30b1c314a94f0c13be8da5d68e382ade801fa",
                             "algorithm/zoo/gradient_estimate.py")
    case = Case(name, seed, problem)
    optimizer = torch.optim.SGD(case.weights.parameters, **words)
    module.torch = DrawsInstead()
    if queries:
        case.draws["u"] = short(case.random.standard_normal((case.steps, queries, case.n)))
    for step in range(case.steps):
        point = {tensor: p.detach().clone() for tensor, p in zip(case.weights.names, case.weights.parameters)}

        def value(at):
            return case.problem.loss(torch.cat([at[tensor].reshape(-1) for tensor in case.weights.names]), step)

        if queries:
            module.torch.waiting = [part for query in case.draws["u"][step]
                                    for part in case.weights.split(torch.tensor(query))]
            estimate = module.rge(value, point, queries, radius)
        else:
            estimate = module.cge(value, point, {}, radius)
        case.weights.set_gradient([estimate[tensor] for tensor in case.weights.names])
        optimizer.step()
        case.weights.record()
    case.write("deepzero", settings, f"{source}:{'rge' if queries else 'cge'}", 1e-6)


def sophia_g(name, settings, seed, size, interval, **words):
    module, source = authors("Liuhong99/Sophia", "a7e157229b71d58cf995d32854f1be15c265b350", "sophia.py")
    case = Case(name, seed, batches_of(size))
    optimizer = module.SophiaG(case.weights.parameters, **words)
    labels = numpy.zeros((case.steps, size), numpy.int32)

    def before(step, closure):
        if step % interval == 0:  # the paper's steps 1, 1 + k, ...: curvature before the update, at the same weights
            rows = case.problem.rows(step)
            flat = case.weights.flat()
            logit = case.problem.x[rows] @ flat
            labels[step] = case.random.random(size) < torch.sigmoid(logit).detach().numpy()
            optimizer.zero_grad()
            sign = torch.tensor(2.0 * labels[step] - 1)
            torch.nn.functional.softplus(-sign * logit).mean().backward()
            optimizer.update_hessian()
        closure()
        optimizer.step(bs=size)

    run_problem(optimizer, case.weights, case.problem, case.steps, before)
    case.draws["labels"] = labels
    case.write("sophiag", settings, source + ":SophiaG")


def sophia_h(name, settings, seed, problem, interval, **words):
    case = Case(name, seed, problem)
    optimizer = pytorch_optimizer.SophiaH(case.weights.parameters, update_period=interval, **words)
    case.draws["z"] = case.random.choice([-1.0, 1.0], (case.steps, case.n))

    def before(step, closure):
        closure()
        if step % interval:
            optimizer.step()
        else:
            z = torch.tensor(case.draws["z"][step])
            hessian = torch.func.hessian(case.loss(step))(case.weights.flat().detach())
            optimizer.step(hessian=case.weights.split(z * (hessian @ z)))

    run_problem(optimizer, case.weights, case.problem, case.steps, before)
    case.write("sophiag", settings, package("pytorch_optimizer", "SophiaH"))


def dp_sgd(name, settings, seed, size, noise, clip, **words):
    """Features of a thousand: the 1e-6 that Opacus adds to a norm is then below all tolerance."""
    case = Case(name, seed, batches_of(size, scale=1000.0), scale=1e-3)
    inner = torch.optim.SGD(case.weights.parameters, **words)
    optimizer = opacus.optimizers.optimizer.DPOptimizer(
        inner, noise_multiplier=noise, max_grad_norm=clip, expected_batch_size=size)
    case.draws["noise"] = short(case.random.standard_normal((case.steps, case.n)))
    waiting = []
    opacus.optimizers.optimizer._generate_noise = \
        lambda std, reference, generator=None, secure_mode=False: std * waiting.pop(0)
    clipped = []
    for step in range(case.steps):
        each = torch.func.jacrev(lambda flat: case.problem.each(flat, step))(case.weights.flat().detach())
        clipped += (each.norm(dim=1) > clip).tolist()
        for p, part in zip(case.weights.parameters, torch.split(each, [p.numel() for p in case.weights.parameters], 1)):
            p.grad_sample = part.reshape(size, *p.shape)
        waiting[:] = case.weights.split(torch.tensor(case.draws["noise"][step]))
        optimizer.step()
        optimizer.zero_grad()
        case.weights.record()
    if len(set(clipped)) < 2:
        raise SystemExit(f"{name}: all samples are clipped, or none")
    case.write("dpsgd", settings, package("opacus", "optimizers.DPOptimizer"))


def mars(name, settings, seed, kind, slots, **words):
    module, source = authors("AGI-Arena/MARS", "4831e28eba863a4e69d7e9474ff8e73bc1b410fe", "MARS/optimizers/mars.py")
    case = Case(name, seed, batches_of(10, scale=8.0), scale=0.25)
    optimizer = module.MARS(case.weights.parameters, mars_type="mars-" + kind, is_approx=False, optimize_1d=True, **words)
    last = []

    def before(step, closure):
        if last:
            for p, part in zip(case.weights.parameters, case.weights.split(case.gradient(last[0], step))):
                optimizer.state[p]["last_grad"] = part.clone()
        last[:] = [case.weights.flat().detach().clone()]
        closure()
        if step == 0 and min(p.grad.norm() for p in case.weights.parameters) < 1:
            raise SystemExit(f"{name}: the first gradient is not clipped, so code and paper differ in the first step")
        optimizer.step()

    run_problem(optimizer, case.weights, case.problem, case.steps, before)
    case.keep_states(optimizer, slots)
    case.write("marsadamw", settings, source + ":MARS")


def curved(random, n):
    return Quadratic(random, n, 0.3)


def sgd(**words):
    return lambda parameters: torch.optim.SGD(parameters, **words)


CASES = {
    "schedulefree_sgd": lambda: schedule_free(
        "schedulefree_sgd", "beta=0.9 base=sgd{learning_rate=0.4}", 101, "SGDScheduleFreeReference", batches_of(8), lr=0.4,
        momentum=0.9),
    "schedulefree_adamw": lambda: schedule_free(
        "schedulefree_adamw", "beta=0.8 power=1 base=adamw{learning_rate=0.05,beta1=0,beta2=0.95,epsilon=1e-8,weight_decay=0}",
        102, "AdamWScheduleFreeReference", curved, lr=0.05, betas=(0.8, 0.95), eps=1e-8, weight_decay=0, r=1.0),
    "lookahead_sgd": lambda: lookahead(
        "lookahead_sgd", "interval=3 alpha=0.6 base=sgd{learning_rate=0.1,momentum=0.9}", 111, sgd(lr=0.1, momentum=0.9),
        {"velocity": "momentum_buffer"}, curved, 3, 0.6),
    "lookahead_adamw": lambda: lookahead(
        "lookahead_adamw",
        "interval=4 alpha=0.25 base=adamw{learning_rate=0.05,beta1=0.9,beta2=0.99,epsilon=1e-8,weight_decay=0.1}", 112,
        lambda parameters: torch.optim.AdamW(parameters, lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1),
        {"first": "exp_avg", "second": "exp_avg_sq"}, batches_of(8), 4, 0.25),
    "sam": lambda: sam("sam", "rho=0.2 base=sgd{learning_rate=0.1,momentum=0.9}", 114, all_samples, 0.2, lr=0.1, momentum=0.9),
    "lookahead_sam_adamw": lambda: lookahead_sam(
        "lookahead_sam_adamw", "interval=3 alpha=0.5 base=sam{rho=0.1,base=adamw{learning_rate=0.05,beta1=0.9,beta2=0.99,"
        "epsilon=1e-8,weight_decay=0.1}}", 113, curved, 3, 0.5, 0.1, lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1),
    "armijo": lambda: armijo("armijo", "learning_rate=10 c=0.1 shrink=0.5 restart=true", 121, batches_of(8),
                             init_step_size=10.0, c=0.1, beta_b=0.5, reset_option=2),
    "armijo_growing": lambda: armijo(
        "armijo_growing", "learning_rate=1 c=0.4 shrink=0.7 restart=false growth=2.5", 122, curved, init_step_size=1.0, c=0.4,
        beta_b=0.7, reset_option=1, gamma=2.5, n_batches_per_epoch=1),
    "lbfgs": lambda: lbfgs("lbfgs", "learning_rate=1 history=10", 131, curved, lr=1.0, history_size=10),
    "lbfgs_short": lambda: lbfgs("lbfgs_short", "learning_rate=0.6 history=2", 132, all_samples, lr=0.6, history_size=2),
    "newtoncg": lambda: newton_cg("newtoncg", "learning_rate=0.8 iterations=4 tolerance=0 damping=0.05", 141, all_samples,
                                  0.8, 4, 0.05, 0.25),
    "newtoncg_whole": lambda: newton_cg("newtoncg_whole", "learning_rate=0.5 iterations=17 tolerance=0 damping=0", 142, curved,
                                        0.5, 17, 0.0),
    "trpo": lambda: trpo("trpo", "radius=0.01 iterations=6 damping=0.1", 143, batches_of(30), 0.01, 6, 0.1),
    "deepzero_random": lambda: deep_zero(
        "deepzero_random", "estimator=rge queries=5 radius=1e-3 base=sgd{learning_rate=0.5}", 151, batches_of(10), 1e-3, 5,
        lr=500.0),
    "deepzero_coordinates": lambda: deep_zero(
        "deepzero_coordinates", "estimator=cge radius=0.01 base=sgd{learning_rate=0.2,momentum=0.9}", 152, curved, 0.01, 0,
        lr=0.2, momentum=0.9),
    "sophiag_labels": lambda: sophia_g(
        "sophiag_labels", "learning_rate=0.05 beta1=0.9 beta2=0.7 gamma=6 epsilon=1e-15 weight_decay=0.1 interval=3 "
        "estimator=gnb", 161, 10, 3, lr=0.05, betas=(0.9, 0.7), rho=6.0, weight_decay=0.1),
    "sophiag_signs": lambda: sophia_h(
        "sophiag_signs", "learning_rate=0.2 beta1=0.96 beta2=0.8 gamma=4 epsilon=4e-12 weight_decay=0.02 interval=2 "
        "estimator=hutchinson", 162, curved, 2, lr=0.05, betas=(0.96, 0.8), p=4.0, eps=1e-12, weight_decay=0.08),
    "dpsgd": lambda: dp_sgd("dpsgd", "clip=900 noise=1.1 base=sgd{learning_rate=2e-7}", 171, 10, 1.1, 900.0, lr=2e-7),
    "dpsgd_momentum": lambda: dp_sgd("dpsgd_momentum", "clip=1500 noise=0 base=sgd{learning_rate=1e-7,momentum=0.9}", 172, 12,
                                     0.0, 1500.0, lr=1e-7, momentum=0.9),
    "marsadamw": lambda: mars(
        "marsadamw", "gamma=0.05 exact=true base=adamw{learning_rate=0.01,beta1=0.9,beta2=0.99,epsilon=1e-8,weight_decay=0.1}",
        181, "adamw", {"first": "exp_avg", "second": "exp_avg_sq"}, lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1,
        gamma=0.05),
    "marsadamw_lion": lambda: mars(
        "marsadamw_lion", "gamma=0.1 exact=true base=lion{learning_rate=0.01,beta1=0.9,beta2=0.9,weight_decay=0.1}", 182, "lion",
        {"average": "exp_avg"}, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1, gamma=0.1),
}

if __name__ == "__main__":
    chosen(CASES)
