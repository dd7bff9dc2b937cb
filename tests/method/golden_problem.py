"""What the goldens of optimizers share: tensors, given gradients, the problems of `cohort probe optimizer`, and a run of a
torch optimizer on them that keeps the tensors after every step.

Tensors are flattened in the order of their names, as the probe does. The problems: a quadratic w'Aw/2 - b'w, or logistic
regression, the mean over samples of log(1 + exp(-s w'x)), s = 2y - 1; `batch` [steps, b] names the samples of a step.
"""

import numpy
import torch

from golden_file import short

torch.set_default_dtype(torch.float64)

# An embedding, a matrix whose sides differ by one (so that a first gradient leaves one eigenvector to chance, not two),
# and a vector.
SHAPES = {"embedding": (24, 4), "matrix": (5, 6), "vector": (7,)}
SMALL = {"matrix": (3, 4), "vector": (5,)}


def elements(shapes):
    return sum(int(numpy.prod(shape)) for shape in shapes.values())


def start(random, shapes=SHAPES, scale=1.0):
    return {name: short(scale * random.standard_normal(shape)) for name, shape in shapes.items()}


def given_gradients(random, steps, shapes=SHAPES, scale=1.0):
    return {name: short(scale * random.standard_normal((steps, *shape))) for name, shape in shapes.items()}


class Weights:
    """The tensors as torch parameters, in the order of their names, and what is recorded of them."""

    def __init__(self, values):
        self.names = sorted(values)
        self.parameters = [torch.nn.Parameter(torch.tensor(values[name])) for name in self.names]
        self.steps = {name: [] for name in self.names}

    def flat(self):
        return torch.cat([p.reshape(-1) for p in self.parameters])

    def split(self, flat):
        """The parts of a flat vector, in the shapes of the tensors."""
        sizes = [p.numel() for p in self.parameters]
        return [part.reshape(p.shape) for part, p in zip(torch.split(flat, sizes), self.parameters)]

    def set(self, flat):
        with torch.no_grad():
            for p, part in zip(self.parameters, self.split(flat)):
                p.copy_(part)

    def set_gradient(self, parts):
        for p, part in zip(self.parameters, parts):
            p.grad = torch.as_tensor(part).detach().clone()

    def record(self):
        for name, p in zip(self.names, self.parameters):
            self.steps[name].append(p.detach().clone().numpy())

    def recorded(self):
        return {f"parameters/{name}": numpy.stack(values) for name, values in self.steps.items()}


class Quadratic:
    def __init__(self, random, n, least=0.1, rank=None):
        half = random.standard_normal((n, rank or n)) / n**0.5
        matrix = short(half @ half.T + least * numpy.eye(n))
        self.arrays = {"problem/A": (matrix + matrix.T) / 2, "problem/b": short(random.standard_normal(n))}
        self.a, self.b = (torch.tensor(self.arrays[f"problem/{name}"]) for name in "Ab")

    def loss(self, w, step=None):
        return w @ self.a @ w / 2 - self.b @ w


class Logistic:
    def __init__(self, random, n, samples, batches=None, scale=1.0):
        x = short(random.standard_normal((samples, n))) * scale
        y = (x @ random.standard_normal(n) / scale + random.standard_normal(samples) > 0).astype(numpy.int32)
        self.arrays = {"problem/x": x, "problem/y": y}
        self.batch = batches
        if batches is not None:
            self.arrays["problem/batch"] = batches
        self.x, self.sign = torch.tensor(x), torch.tensor(2.0 * y - 1)

    def rows(self, step):
        return slice(None) if self.batch is None or step is None else torch.tensor(self.batch[step], dtype=torch.long)

    def each(self, w, step=None, x=None, sign=None):
        rows = self.rows(step)
        return torch.nn.functional.softplus(-self.sign[rows] * (self.x[rows] @ w))

    def loss(self, w, step=None):
        return self.each(w, step).mean()


def draw_batches(random, steps, samples, size):
    return numpy.stack([random.permutation(samples)[:size] for _ in range(steps)]).astype(numpy.int32)


def given(values, *more):
    out = {f"parameters/{name}": value for name, value in values.items()}
    for arrays in more:
        out.update(arrays)
    return out


def run_given(optimizer, weights, gradients, steps):
    """Steps of a torch optimizer on given gradients."""
    for step in range(steps):
        weights.set_gradient([gradients[name][step] for name in weights.names])
        optimizer.step()
        weights.record()


def run_problem(optimizer, weights, problem, steps, before=None, **words):
    """Steps of a torch optimizer on the gradients of a problem; `before(step)` is called with the gradient in place."""
    for step in range(steps):
        def closure():
            optimizer.zero_grad()
            loss = problem.loss(weights.flat(), step)
            loss.backward()
            return loss
        if before is None:
            closure()
            optimizer.step()
        else:
            before(step, closure)
        weights.record()
