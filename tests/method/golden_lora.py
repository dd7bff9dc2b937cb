"""Goldens of low-rank adapters: a perceptron under PEFT's LoraConfig in float64, as `cohort probe model mlp` takes it.

    python golden_lora.py
"""
import numpy
import torch
from peft import LoraConfig, get_peft_model

from golden_file import chosen, package, short, write

SAMPLES, FEATURES, HIDDEN, CLASSES = 7, 6, 5, 4


class Network(torch.nn.Module):
    """Cohort's mlp with two hidden layers, by its names."""

    def __init__(self):
        super().__init__()
        self.layer0, self.layer1 = torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Linear(HIDDEN, HIDDEN)
        self.head = torch.nn.Linear(HIDDEN, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.layer1(torch.tanh(self.layer0(x)))))


def ours(theirs):
    """Cohort's name of a tensor of PEFT's model."""
    name = theirs.removeprefix("base_model.model.").replace(".base_layer", "")
    name = name.replace("lora_magnitude_vector.default.weight", "lora_magnitude")
    return name.replace("lora_A.default.weight", "lora_a").replace("lora_B.default.weight", "lora_b")


def mlp(name, rank, alpha, seed, root=False, dora=False):
    random = numpy.random.default_rng(seed)
    adapted = get_peft_model(Network().double(), LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0, use_rslora=root, use_dora=dora,
                                                            target_modules=["layer0", "layer1"])).double()
    given = {"input": short(random.normal(size=(SAMPLES, FEATURES))), "target": random.integers(0, CLASSES, SAMPLES).astype(numpy.int32)}
    for theirs, tensor in adapted.named_parameters():
        tensor.requires_grad_(True)  # the frozen ones have a gradient too, which the probe gives
        values = short(random.normal(size=tuple(tensor.shape)) / 2)
        tensor.data = torch.tensor(values)
        given["parameters/" + ours(theirs)] = values
    for layer in ("layer0", "layer1") if dora else ():
        # Theirs is the magnitude itself, ours what it is above the norm of the weight's row.
        vector = getattr(adapted.base_model.model, layer).lora_magnitude_vector["default"].weight
        vector.data = torch.tensor(given[f"parameters/{layer}.lora_magnitude"]
                                   + numpy.linalg.norm(given[f"parameters/{layer}.weight"], axis=1))
    output = adapted(torch.tensor(given["input"]))
    loss = torch.nn.functional.cross_entropy(output, torch.tensor(given["target"], dtype=torch.long))
    loss.backward()
    expected = {"output": output.detach().numpy(), "loss": loss.detach().numpy()}
    for theirs, tensor in adapted.named_parameters():
        expected["gradients/" + ours(theirs)] = tensor.grad.numpy()
    write(name, "model", "mlp", f"hidden={HIDDEN},layers=2,activation=tanh,outputs={CLASSES},lora_rank={rank},lora_alpha={alpha}"
          + f",lora_root={int(root)},lora_dora={int(dora)}",
          package("peft", "LoraConfig"), given, expected, 1e-9)


chosen({"lora": lambda: mlp("lora", 2, 5, 301), "lora_wide": lambda: mlp("lora_wide", 9, 3, 302),
        "lora_root": lambda: mlp("lora_root", 3, 4, 303, root=True), "lora_dora": lambda: mlp("lora_dora", 2, 5, 304, dora=True),
        "lora_dora_root": lambda: mlp("lora_dora_root", 4, 2, 305, root=True, dora=True)})
