"""The golden of a model with two inputs, two heads and batch norm: torch.nn.Linear, BatchNorm1d, cross_entropy, mse_loss and
optim.SGD on whole batches, from the weights that a run with seed 0 begins with (START, a run of one step at rate 0).

    python golden_fields.py START/final.h5 golden/batch_norm.h5
"""
import sys

import h5py
import numpy
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
STEPS, RATE, HIDDEN = 4, 0.1, 8


def data():
    random = numpy.random.default_rng(61)
    x, condition = (random.standard_normal((24, k)).astype(numpy.float32) for k in (5, 2))
    return {"x": x, "condition": condition, "y": random.integers(0, 3, 24),
            "value": (x[:, :2] * condition).astype(numpy.float32)}


def main(start, path):
    given = data()
    if start == "data":  # what the run of START trains on
        with h5py.File(path, "w") as file:
            for name, value in given.items():
                file[name] = value
        return
    with h5py.File(start) as file:
        first = {name: torch.tensor(value[()].astype(float)) for name, value in file["model/parameters"].items()}
    layer, norm = torch.nn.Linear(7, HIDDEN), torch.nn.BatchNorm1d(HIDDEN)
    heads = {"head": torch.nn.Linear(HIDDEN, 3), "head_value": torch.nn.Linear(HIDDEN, 2)}
    own = {"layer0.weight": layer.weight, "layer0.bias": layer.bias, "norm0.gain": norm.weight, "norm0.bias": norm.bias}
    for name, head in heads.items():
        own |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias}
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(first[name])
    optimizer = torch.optim.SGD(own.values(), lr=RATE)
    inputs = torch.tensor(numpy.concatenate([given["x"], given["condition"]], 1).astype(float))
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        hidden = torch.relu(norm(layer(inputs)))
        loss = F.cross_entropy(heads["head"](hidden), torch.tensor(given["y"])) + \
            F.mse_loss(heads["head_value"](hidden), torch.tensor(given["value"].astype(float)))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with h5py.File(path, "w") as file:
        file.attrs["source"] = f"torch=={torch.__version__}:nn.BatchNorm1d, nn.Linear, optim.SGD"
        for name, value in given.items():
            file[f"in/{name}"] = value
        for name, value in first.items():
            file[f"in/parameters/{name}"] = value.numpy()
        for name, tensor in own.items():
            file[f"out/model/{name}"] = tensor.detach().numpy()
        file["out/state/norm0.mean"], file["out/state/norm0.variance"] = norm.running_mean, norm.running_var
        file["out/loss"] = losses


if __name__ == "__main__":
    main(*sys.argv[1:])
