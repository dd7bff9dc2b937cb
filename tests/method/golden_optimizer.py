"""Goldens of the optimizers: golden/optimizer_KEY.h5, from independent implementations.

Usage: python golden_optimizer.py [KEY ...]

Each file holds the start of two tensors (/parameters), 100 recorded gradients (/gradients, [100, shape]), the tensors and
the optimizer's state after the steps 1, 10 and 100 (/after/<step>/parameters, /after/<step>/state/<slot>) and, as the
attribute settings, the settings in Cohort's words, which test_optimizer_golden.c repeats. AdaHessian adds the draws and the curvature z (H z); SAM holds a
quadratic problem (A, b) instead of gradients. torch.optim serves where it has the method, pytorch_optimizer elsewhere;
Muon's Newton-Schulz runs in the parameters' own type instead of torch's bfloat16. Everything is computed in float64.
"""

import os
import sys

import h5py
import numpy
import torch

import pytorch_optimizer

STEPS, KEPT = 100, (1, 10, 100)
SHAPES = {"vector": (6,), "weight": (5, 7)}
TALL = {"tall": (8, 3), "weight": (5, 7)}


def own_newton_schulz(gradient, coefficients, steps, epsilon):
    """torch.optim.Muon's iteration in the gradient's own type."""
    a, b, c = coefficients
    x = gradient.T if gradient.size(0) > gradient.size(1) else gradient
    x = x / x.norm().clamp(min=epsilon)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if gradient.size(0) > gradient.size(1) else x


def make_muon(parameters, **settings):
    import torch.optim._muon as module

    module._zeropower_via_newtonschulz = own_newton_schulz
    return torch.optim.Muon(parameters, **settings)


def make_yogi(parameters, **settings):
    """The library starts the first moment at initial_accumulator; the paper, and Cohort, at zero."""
    optimizer = pytorch_optimizer.Yogi(parameters, **settings)
    for p in parameters:
        p.grad = torch.zeros_like(p)
    optimizer.init_group(optimizer.param_groups[0])
    for p in parameters:
        optimizer.state[p]["exp_avg"].zero_()
    return optimizer


# key -> (constructor, its settings, Cohort's settings, {slot: name in the library's state}, shapes)
CASES = {
    "sgd": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02),
            "learning_rate=0.05 momentum=0.9 nesterov=true weight_decay=0.02", {"velocity": "momentum_buffer"}, SHAPES),
    "adam": (torch.optim.Adam, dict(lr=0.01, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.03),
             "learning_rate=0.01 beta1=0.9 beta2=0.99 epsilon=1e-7 weight_decay=0.03",
             {"first": "exp_avg", "second": "exp_avg_sq"}, SHAPES),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
              "learning_rate=0.01 beta1=0.9 beta2=0.999 epsilon=1e-8 weight_decay=0.1",
              {"first": "exp_avg", "second": "exp_avg_sq"}, SHAPES),
    "adagrad": (torch.optim.Adagrad,
                dict(lr=0.1, lr_decay=0.01, weight_decay=0.02, initial_accumulator_value=0.1, eps=1e-6),
                "learning_rate=0.1 learning_rate_decay=0.01 weight_decay=0.02 initial_accumulator=0.1 epsilon=1e-6",
                {"sum": "sum"}, SHAPES),
    "yogi": (make_yogi, dict(lr=0.02, betas=(0.9, 0.99), initial_accumulator=1e-6, weight_decay=0.05, eps=1e-3),
             "learning_rate=0.02 beta1=0.9 beta2=0.99 initial_accumulator=1e-6 weight_decay=0.05 epsilon=1e-3",
             {"first": "exp_avg", "second": "exp_avg_sq"}, SHAPES),
    "lion": (pytorch_optimizer.Lion, dict(lr=0.003, betas=(0.9, 0.99), weight_decay=0.2),
             "learning_rate=0.003 beta1=0.9 beta2=0.99 weight_decay=0.2", {"average": "exp_avg"}, SHAPES),
    "muon": (make_muon, dict(lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.1),
             "learning_rate=0.02 momentum=0.95 nesterov=true weight_decay=0.1", {"average": "momentum_buffer"}, TALL),
    "adahessian": (pytorch_optimizer.AdaHessian,
                   dict(lr=0.05, betas=(0.9, 0.99), weight_decay=0.02, hessian_power=0.8, eps=1e-4),
                   "learning_rate=0.05 beta1=0.9 beta2=0.99 weight_decay=0.02 hessian_power=0.8 epsilon=1e-4",
                   {"first": "exp_avg", "curvature": "exp_hessian_diag_sq"}, SHAPES),
    "sam": (None, dict(rho=0.1, lr=0.02, momentum=0.9),
            "rho=0.1 base=sgd{learning_rate=0.02,momentum=0.9}", {"velocity": "momentum_buffer"}, SHAPES),
}


def write_after(file, step, parameters, optimizer, slots):
    for name, p in parameters.items():
        file[f"after/{step}/parameters/{name}"] = p.detach().numpy()
        for slot, own in slots.items():
            file[f"after/{step}/state/{slot}/{name}"] = optimizer.state[p][own].detach().numpy()


def write(key, folder):
    constructor, settings, words, slots, shapes = CASES[key]
    random = numpy.random.default_rng(sum(map(ord, key)))
    start = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    parameters = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in start.items()}
    elements = sum(value.size for value in start.values())
    with h5py.File(os.path.join(folder, f"optimizer_{key}.h5"), "w") as file:
        file.attrs["settings"] = words
        for name, value in start.items():
            file[f"parameters/{name}"] = value
        if key == "sam":
            write_sam(file, parameters, settings, slots, random, elements)
            return
        gradients = {n: random.standard_normal((STEPS, *s)).astype("f4").astype("f8") for n, s in shapes.items()}
        for name, value in gradients.items():
            file.create_dataset(f"gradients/{name}", data=value.astype("f4"), compression="gzip", shuffle=True)
        curvature = write_curvature(file, shapes, random, elements) if key == "adahessian" else None
        optimizer = constructor(list(parameters.values()), **settings)
        for step in range(STEPS):
            for name, p in parameters.items():
                p.grad = torch.tensor(gradients[name][step])
            if curvature:
                optimizer.step(hessian=[torch.tensor(curvature[name][step]) for name in parameters])
            else:
                optimizer.step()
            if step + 1 in KEPT:
                write_after(file, step + 1, parameters, optimizer, slots)


def write_curvature(file, shapes, random, elements):
    """Draws z of every step and z * (H z) for a fixed symmetric H over both tensors."""
    half = random.standard_normal((elements, elements)) / elements**0.5
    hessian = half @ half.T + numpy.diag(random.uniform(0.5, 2, elements))
    z = random.choice([-1.0, 1.0], (STEPS, elements))
    flat = (z * (z @ hessian)).astype("f4").astype("f8")
    file["problem/A"] = hessian
    file.create_dataset("draws/z", data=z.astype("f4"), compression="gzip")
    curvature, first = {}, 0
    for name in sorted(shapes):
        size = int(numpy.prod(shapes[name]))
        curvature[name] = flat[:, first:first + size].reshape(STEPS, *shapes[name])
        file.create_dataset(f"curvature/{name}", data=curvature[name].astype("f4"), compression="gzip", shuffle=True)
        first += size
    return curvature


def write_sam(file, parameters, settings, slots, random, elements):
    half = random.standard_normal((elements, elements)) / elements**0.5
    matrix, target = half @ half.T + 0.1 * numpy.eye(elements), random.standard_normal(elements)
    file["problem/A"], file["problem/b"] = matrix, target
    a, b = torch.tensor(matrix), torch.tensor(target)
    names = sorted(parameters)
    optimizer = pytorch_optimizer.SAM(list(parameters.values()), torch.optim.SGD, **settings)

    def loss():
        w = torch.cat([parameters[name].reshape(-1) for name in names])
        return w @ a @ w / 2 - b @ w

    for step in range(STEPS):
        optimizer.zero_grad()
        loss().backward()
        optimizer.first_step(zero_grad=True)
        loss().backward()
        optimizer.second_step(zero_grad=True)
        if step + 1 in KEPT:
            write_after(file, step + 1, parameters, optimizer.base_optimizer, slots)


if __name__ == "__main__":
    destination = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
    os.makedirs(destination, exist_ok=True)
    for chosen in sys.argv[1:] or CASES:
        write(chosen, destination)
