"""Goldens of losses on pairs: python golden_pairs.py [NAME ...]

TRL's own loss methods, as in golden_sequence.py, whose trainer and model they share. TRL's alpha divergence knows no float64:
there its module sees a torch whose float32 is float64.
"""

import contextlib
import types

import torch
import trl.trainer.dpo_trainer

import golden_sequence
from golden_file import chosen
from golden_sequence import dpo


class Double(types.ModuleType):
    """torch, in which float32 is float64."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@contextlib.contextmanager
def in_double():
    module, single = trl.trainer.dpo_trainer, torch.Tensor.float
    module.torch, torch.Tensor.float = Double("torch"), torch.Tensor.double
    yield
    module.torch, torch.Tensor.float = torch, single


def form(key, loss_type, seed, more="", each=True, beta=0.3, **fields):
    """A loss type of DPOTrainer under the key dpo."""
    def make():
        with in_double():
            dpo(f"dpo_{key}", "dpo", f"beta={beta} loss={loss_type.replace('_', '')}{more}", seed, loss_type, each, beta=beta,
                **fields)
    return f"dpo_{key}", make


def divergence(key, name, loss_type, seed, more="", **fields):
    short = {"forward_kl": "forwardkl", "js_divergence": "js", "alpha_divergence": "alpha"}[name]
    return form(key, loss_type, seed, f" divergence={short}{more}", f_divergence_type=name, **fields)


def mix(key, weights, seed, standard=False):
    """A weighted list of loss types, some of them of the batch, so that a pair has no loss of its own."""
    def make():
        words = [f" mix.{name.replace('_', '')}={weight:g}" for name, weight in weights.items() if not standard]
        dpo_list(f"dpo_{key}", "beta=0.3 loss=mix" + "".join(words), seed, list(weights),
                 loss_weights=list(weights.values()), beta=0.3)
    return f"dpo_{key}", make


def dpo_list(name, settings, seed, loss_types, **fields):
    """As golden_sequence.dpo, of several loss types."""
    of_one = golden_sequence.dpo_loss
    golden_sequence.dpo_loss = lambda *given, **words: of_one(*given, **words | dict(loss_types=loss_types))
    dpo(name, "dpo", settings, seed, "+".join(loss_types), False, **fields)
    golden_sequence.dpo_loss = of_one


CASES = dict([
    form("hinge", "hinge", 301),
    form("ipo", "ipo", 302),
    form("exo", "exo_pair", 303, " label_smoothing=0.001", label_smoothing=1e-3),
    form("nca", "nca_pair", 304),
    form("robust", "robust", 305, " label_smoothing=0.1", label_smoothing=0.1),
    form("bco", "bco_pair", 306),
    form("sppo", "sppo_hard", 307),
    form("aot", "aot", 308, " label_smoothing=0.1", False, label_smoothing=0.1),
    form("aot_unpaired", "aot_unpaired", 309, "", False),
    form("apo_zero", "apo_zero", 310),
    form("apo_down", "apo_down", 311),
    form("discopop", "discopop", 312),
    form("sft", "sft", 313, "", False),
    form("sigmoid_norm", "sigmoid_norm", 314),
])
for seed, (name, coefficient) in enumerate([("forward_kl", None), ("js_divergence", None), ("alpha_divergence", 0.3)], 320):
    for place, loss_type in enumerate(["sigmoid", "hinge", "ipo", "exo_pair", "robust", "discopop", "sigmoid_norm"]):
        smoothing = {"exo_pair": 0.01, "robust": 0.2}.get(loss_type)
        fields = dict(label_smoothing=smoothing) if smoothing else {}
        more = f" label_smoothing={smoothing}" if smoothing else ""
        if coefficient:
            fields["f_alpha_divergence_coef"] = coefficient
            more += f" alpha={coefficient}"
        CASES |= dict([divergence(f"{name.split('_')[0]}_{loss_type}", name, loss_type, 10 * seed + place, more, **fields)])
CASES |= dict([
    mix("mix", {"sigmoid": 0.8, "bco_pair": 0.2, "sft": 1.0}, 341, True),
    mix("mix_six", {"sigmoid": 0.5, "hinge": 0.25, "ipo": 0.01, "apo_zero": 2.0, "aot": 1.5, "sft": 0.3}, 342),
])

if __name__ == "__main__":
    chosen(CASES)
