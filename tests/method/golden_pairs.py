"""Goldens of losses on pairs: python golden_pairs.py [NAME ...]

TRL's own loss methods, as in golden_sequence.py, whose trainer and model they share. TRL's alpha divergence knows no float64:
there its module sees a torch whose float32 is float64.
"""

import ast
import contextlib
import os
import types

import numpy
import torch
import torch.nn.functional as F
import trl.trainer.dpo_trainer
from trl.experimental.cpo.cpo_trainer import CPOTrainer

import golden_sequence
from golden_file import chosen, clone, package, short, write
from golden_sequence import Accelerator, dpo, kto, leaves, pairs, tokens, trainer

SIDES = ("chosen", "rejected")


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


def method_of(path, owner, name, **globals_):
    """A method of a class in a file that would not import as a whole, as a function; `globals_` is what it uses."""
    with open(path, encoding="utf-8") as stream:
        classes = [node for node in ast.parse(stream.read()).body if getattr(node, "name", None) == owner]
    tree = ast.Module([node for node in classes[0].body if getattr(node, "name", None) == name], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list, node.returns = [], None
            for argument in node.args.args:
                argument.annotation = None
    code = dict(torch=torch, F=F, **globals_)
    exec(compile(tree, path, "exec"), code)
    return code[name]


def authors_method(repository, commit, file, owner, name, **globals_):
    """The same of an author's repository, and its source."""
    return (method_of(os.path.join(clone(repository, commit), file), owner, name, **globals_),
            f"{repository}:{file}@{commit[:12]}:{owner}.{name}")


def sums(given, policy=None):
    """Sums over the tokens of both sides: of the policy's leaves, or of the reference."""
    columns = policy or [torch.tensor(given[f"reference/{side}"]) for side in SIDES]
    return [(column * torch.tensor(given[f"mask/{side}"])).sum(1) for column, side in zip(columns, SIDES)]


def means(given, policy=None):
    return [total / torch.tensor(given[f"mask/{side}"]).sum(1) for total, side in zip(sums(given, policy), SIDES)]


def record(name, method, settings, source, given, losses, policy, total=None):
    """Losses of pairs; `total`, if given, is the batch's loss, with which a pair has none of its own."""
    loss = losses.mean() if total is None else total
    loss.backward()
    expected = {"loss": loss, "gradient/chosen": policy[0].grad, "gradient/rejected": policy[1].grad}
    if total is None:
        expected["per_pair"] = losses
    write(name, "preference", method, settings, source, given, expected, 1e-9)


def without_reference(given):
    return {array: value for array, value in given.items() if not array.startswith("reference")}


def by_pair(name, method, settings, seed, source, loss, reference=True, extra=None):
    """`loss(given, policy)` gives the losses of pairs."""
    def make():
        given = pairs(seed)
        random = numpy.random.default_rng(seed + 1000)
        given |= {array: short(random.uniform(*bounds, given["mask/chosen"].shape if of_tokens else 6))
                  for array, (bounds, of_tokens) in (extra or {}).items()}
        if not reference:
            given = without_reference(given)
        policy = leaves(given)
        where = source() if callable(source) else source
        record(name, method, settings, where, given, loss(given, policy), policy)
    return name, make


def cpo(name, method, settings, seed, loss_type, cpo_alpha=0.0, alpha=0.0, simpo_gamma=0.0, label_smoothing=0.0, beta=0.3):
    """CPOTrainer's whole loss. Its model answers logits over two tokens whose log-softmax are the log-probabilities."""
    def make():
        given = without_reference(pairs(seed))
        policy = leaves(given)
        own = trainer(beta=beta, alpha=alpha, cpo_alpha=cpo_alpha, simpo_gamma=simpo_gamma, label_smoothing=label_smoothing,
                      loss_type=loss_type, is_encoder_decoder=False, pad_token_id=0, label_pad_token_id=-100)
        for function in ("concatenated_forward", "cpo_loss"):
            setattr(own, function, types.MethodType(getattr(CPOTrainer, function), own))
        for function in ("concatenated_inputs", "get_batch_logps"):
            setattr(own, function, getattr(CPOTrainer, function))
        batch = {}
        for side in SIDES:
            ids, scored = tokens(given[f"mask/{side}"])
            attention = scored.clone()
            attention[:, 0] = 1
            batch |= {f"{side}_input_ids": ids * 0, f"{side}_attention_mask": attention,
                      f"{side}_labels": torch.where(scored == 1, 0, -100)}

        def model(ids, **words):
            first = torch.cat(policy)
            logits = torch.stack([first, torch.log1p(-torch.exp(first))], dim=2)
            return types.SimpleNamespace(logits=torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1))

        total, _ = CPOTrainer.get_batch_loss_metrics(own, model, batch)
        record(name, method, settings, package("trl", "experimental.cpo.CPOTrainer.get_batch_loss_metrics"), given, None,
               policy, total)
    return name, make


def cpo_loss(given, policy, loss_type, beta, label_smoothing=0.0):
    """CPOTrainer.cpo_loss of log-ratios to the reference."""
    reference = sums(given)
    ratio = [p - r for p, r in zip(sums(given, policy), reference)]
    own = trainer(beta=beta, alpha=0.0, loss_type=loss_type, label_smoothing=label_smoothing)
    return CPOTrainer.cpo_loss(own, *ratio)[0]


CPO_LOSS = package("trl", "experimental.cpo.CPOTrainer.cpo_loss")


def trl_form(name, method, settings, seed, loss_type, **fields):
    """A loss type of DPOTrainer under a key of its own."""
    def make():
        with in_double():
            dpo(name, method, settings, seed, loss_type, **fields)
    return name, make


def margin(given, policy, beta=0.3):
    ratio = [p - r for p, r in zip(sums(given, policy), sums(given))]
    return beta * (ratio[0] - ratio[1])


def likelihood(given, policy):
    return -sums(given, policy)[0].sum() / torch.tensor(given["mask/chosen"]).sum()


def mipo(given, policy):
    p, k = (a[0] - a[1] for a in (means(given, policy), means(given)))
    return -F.logsigmoid(8.0 * (p - F.softplus(k)))


def odds(name, method, settings, seed, weight, scale, part):
    """ORPO's and ASFT's losses in the form of Gorbatovski et al., with a scale and a weight of the likelihood."""
    def make():
        given = without_reference(pairs(seed))
        policy = leaves(given)
        o = [m - torch.log1p(-torch.exp(m)) for m in means(given, policy)]
        sides = {"orpo": lambda: -F.logsigmoid(scale * (o[0] - o[1])),
                 "asft": lambda: -F.logsigmoid(scale * o[0]) - F.logsigmoid(-scale * o[1])}[method]()
        total = (weight * sides).mean() + (part * likelihood(given, policy) if part else 0)
        paper = {"orpo": "The Differences Between Direct Alignment Algorithms are a Blur, equation 7",
                 "asft": "ASFT: Aligned Supervised Fine-Tuning through Absolute Likelihood, the loss"}[method]
        record(name, method, settings, f"derived: {paper}", given, None, policy, total)
    return name, make


def flex(name, settings, seed, chosen_beta, rejected_beta, part):
    def make():
        given = pairs(seed)
        policy = leaves(given)
        ratio = [p - r for p, r in zip(sums(given, policy), sums(given))]
        total = -F.logsigmoid(chosen_beta * ratio[0] - rejected_beta * ratio[1]).mean() + part * likelihood(given, policy)
        record(name, "flex_dpo", settings, "derived: 3D-Properties, Flex-DPO and the SFT loss", given, None, policy, total)
    return name, make


class Kinds:
    """Names that an authors' trainer compares its f_divergence_type with."""

    class ALPHA_DIVERGENCE:
        value = "alpha"

    class JS_DIVERGENCE:
        value = "js"


def rpo(name, settings, seed, beta, eta):
    def make():
        loss, source = authors_method("YSLIU627/Regularized-Preference-Optimization", "d0389c4d9a8ab031cf25edd20a3e5fe283ee2c40",
                                      "alignment-handbook/scripts/rpo_trainer.py", "RPOTrainer", "dpo_loss",
                                      FDivergenceType=Kinds)
        given = pairs(seed)
        policy = leaves(given)
        own = trainer(beta=beta, eta=eta, label_smoothing=0.0, loss_type="sigmoid", reference_free=False,
                      f_divergence_type="reverse")
        record(name, "rpo", settings, source, given, loss(own, *sums(given, policy), *sums(given))[0], policy)
    return name, make


def modpo(name, settings, seed, beta, weight):
    def make():
        loss, source = authors_method("ZHZisZZ/modpo", "2e2df20f73b35b09f88ae1fb7d8e19880a6bc3fc", "src/trainer/modpo_trainer.py",
                                      "MODPOTrainer", "modpo_loss")
        given = pairs(seed)
        random = numpy.random.default_rng(seed + 1000)
        given |= {f"score/{side}": short(random.standard_normal(6)) for side in SIDES}
        policy = leaves(given)
        own = trainer(beta=beta, w=torch.tensor([weight, 1 - weight]), loss_type="sigmoid")
        others = [torch.tensor(given[f"score/{side}"])[:, None] for side in SIDES]
        record(name, "modpo", settings, source, given, loss(own, *sums(given, policy), *sums(given), *others)[0], policy)
    return name, make


def tgdpo(name, settings, seed, beta, alpha):
    def make():
        loss, source = authors_method("dvlab-research/TGDPO", "dd889823897c4e8c3f1490e520fbab505774381d",
                                      "src/llamafactory/train/tgdpo/trainer.py", "CustomDPOTrainer", "dpo_loss",
                                      FDivergenceType=Kinds)
        given = pairs(seed)
        random = numpy.random.default_rng(seed + 1000)
        for side in SIDES:
            given[f"guide/{side}"] = numpy.minimum(
                short(given[f"reference/{side}"] + 0.3 * random.standard_normal(given[f"mask/{side}"].shape)), -1 / 1024)
        policy = leaves(given)
        own = trainer(beta=beta, tgdpo_alpha=alpha, loss_type="sigmoid", reference_free=False, f_divergence_type="reverse")
        masked = lambda column, side: torch.as_tensor(column) * torch.tensor(given[f"mask/{side}"])
        columns = [masked(given[f"{kind}/{side}"], side) for kind in ("reference", "guide") for side in SIDES]
        losses = loss(own, *[masked(p, side) for p, side in zip(policy, SIDES)], *columns[:2], None, None, *columns[2:])[0]
        record(name, "tgdpo", settings, source, given, losses, policy)
    return name, make


def dmpo(name, settings, seed, beta, gamma):
    """The authors' loss of a batch; their model's answer is summed with the coefficients that they made."""
    def make():
        repository, commit = "swt-user/DMPO", "64f484515aea7a6e0232b3bf1847eb485a2effb0"
        file, owner = "fastchat/train/dmpo_trainer_efficient.py", "DPOMultiTrainer"
        names = dict(Dict=dict, Union=lambda *a: None, List=list, Literal={("train", "eval"): None})
        metrics, source = authors_method(repository, commit, file, owner, "get_batch_loss_metrics", **names)
        loss, _ = authors_method(repository, commit, file, owner, "dpo_loss")
        given = pairs(seed)
        count, width = given["mask/chosen"].shape
        random = numpy.random.default_rng(seed + 1000)
        batch = {}
        for side in SIDES:
            given[f"mask/{side}"] = numpy.ones((count, width))
            given[f"step/{side}"] = numpy.sort(random.integers(0, 3, (count, width)), axis=1)
            given[f"step/{side}"] -= given[f"step/{side}"][:, :1]
            for row in given[f"step/{side}"]:  # turns without a gap
                row[:] = numpy.unique(row, return_inverse=True)[1]
            ends = [[end for turn in range(row.max() + 1) for end in (list(row).index(turn), len(row) - list(row)[::-1].index(turn))]
                    for row in given[f"step/{side}"]]
            batch |= {f"{side}_labels": torch.zeros(count, width), f"{side}_index": ends}
        policy = leaves(given)
        own = trainer(beta=beta, gamma=gamma, label_smoothing=0.0, loss_type="sigmoid", ref_model="reference")
        own.dpo_loss = types.MethodType(loss, own)
        def answer(model, batch):
            columns = policy if model == "policy" else [torch.tensor(given[f"reference/{side}"]) for side in SIDES]
            totals = [(batch[f"{side}_coefficient"].double() * column).sum(1) for side, column in zip(SIDES, columns)]
            return *totals, torch.zeros(1), torch.zeros(1)
        own.concatenated_forward = answer
        ones, torch.ones_like = torch.ones_like, lambda *a, **k: ones(*a, **k)
        single, torch.FloatTensor = torch.FloatTensor, torch.DoubleTensor  # coefficients in float64
        total, _ = metrics(own, "policy", batch)
        torch.ones_like, torch.FloatTensor = ones, single
        record(name, "dmpo", settings, source, given, None, policy, total)
    return name, make


def of_trl_alone(name, method, settings, seed, what, change):
    """DPOTrainer's sigmoid loss of arrays that `change` makes of the given ones."""
    def make():
        given = pairs(seed)
        random = numpy.random.default_rng(seed + 1000)
        own, shown, policy = change(given, random)
        losses = torch.stack([golden_sequence.dpo_loss(own, shown(policy), slice(i, i + 1), loss_types=["sigmoid"], beta=0.3)
                              for i in range(6)])
        record(name, method, settings, package("trl", f"DPOTrainer._compute_loss, sigmoid, {what}"), given, losses, policy)
    return name, make


def scored(given, random):
    given |= {f"score/{side}": short(random.uniform(0, 1, 6)) for side in SIDES}
    factor = [given["score/chosen"][:, None], 1 - given["score/rejected"][:, None]]
    own = dict(given) | {f"reference/{side}": given[f"reference/{side}"] * f for side, f in zip(SIDES, factor)}
    return own, lambda policy: [p * torch.tensor(f) for p, f in zip(policy, factor)], leaves(given)


def thinking(given, random):
    given |= {f"thinking/{side}": random.integers(0, 2, given[f"mask/{side}"].shape).astype(float) for side in SIDES}
    own = dict(given) | {f"mask/{side}": given[f"mask/{side}"] * (1 - given[f"thinking/{side}"]) for side in SIDES}
    return own, lambda policy: policy, leaves(given)


def mcts(name, settings, seed):
    def make():
        given = pairs(seed)
        random = numpy.random.default_rng(seed + 1000)
        given |= {f"visit/{side}": random.integers(1, 20, 6).astype(float) for side in SIDES}
        policy = leaves(given)
        flipped = 1 / (torch.tensor(given["visit/chosen"] / given["visit/rejected"]) + 1)
        record(name, "mcts_dpo", settings, CPO_LOSS + ", label_smoothing of each pair by MCTS-DPO's section 2.2", given,
               cpo_loss(given, policy, "sigmoid", 0.3, flipped), policy)
    return name, make


def bco(name, settings, seed, beta, density):
    """BCOTrainer.bco_loss of TRL 1.10, unpacked from its wheel at GOLDEN_TRL, of one batch: the running mean is its rewards'."""
    def make():
        path = os.path.join(os.environ["GOLDEN_TRL"], "trl/experimental/bco/bco_trainer.py")
        loss = method_of(path, "BCOTrainer", "bco_loss")
        update = method_of(path, "RunningMoments", "update")
        random = numpy.random.default_rng(seed)
        policy = golden_sequence.log_probabilities(random, 7, 6)
        given = {"policy": policy, "reference": numpy.minimum(short(policy + 0.4 * random.standard_normal((7, 6))), -1 / 1024),
                 "mask": golden_sequence.masks(random, 7, 6), "label": numpy.array([1, 0, 0, 1, 1, 0, 1])}
        if density:
            given["density"] = short(random.uniform(0.2, 14, 7))
        leaf = torch.tensor(policy, requires_grad=True)
        mask, good = torch.tensor(given["mask"]), torch.tensor(given["label"]).bool()
        totals = [(column * mask).sum(1) for column in (leaf, torch.tensor(given["reference"]))]
        running = types.SimpleNamespace(mean=0.0, std=1.0, var=1.0, count=1e-24,
                                        accelerator=types.SimpleNamespace(use_distributed=False))
        single, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double  # the moments are rounded to float32
        running.update = types.MethodType(update, running)
        own = trainer(beta=beta, running=running, match_underlying_distribution=density,
                      args=types.SimpleNamespace(min_density_ratio=0.5, max_density_ratio=10.0))
        weight = method_of(path, "BCOTrainer", "_get_udm_weight")
        ratio = lambda embeddings: torch.tensor(given["density"])[~good]
        own._get_chosen_prob = lambda embeddings: (1 + 1e-8) * ratio(None) / (1 + ratio(None))  # whose odds are the ratio
        own._get_udm_weight = types.MethodType(weight, own)
        losses = loss(own, totals[0][good], totals[0][~good], totals[1][good], totals[1][~good], None, None)[0]
        torch.Tensor.float = single
        losses.mean().backward()
        each = torch.zeros(7)
        each[good], each[~good] = losses[:good.sum()].detach(), losses[good.sum():].detach()
        write(name, "preference", "bco", settings, "trl==1.10.0:experimental.bco.BCOTrainer.bco_loss", given,
              {"loss": losses.mean(), "per_completion": each, "gradient": leaf.grad}, 1e-9)
    return name, make


def groupdpo(name, settings, seed, step, ipo):
    def make():
        loss, source = authors_method("rsshyam/Group-robust-preference-optimization", "e4d611efa71bc98ecfc05969981f6f50fe30a081",
                                      "src/trainers/grouptrainer.py", "GroupTrainer", "compute_robust_loss")
        given = pairs(seed)
        given["group"] = numpy.array([0, 1, 2, 1, 0, 0])
        policy = leaves(given)
        each = cpo_loss(given, policy, "ipo" if ipo else "sigmoid", 0.3)
        member = torch.tensor(given["group"])
        means = torch.stack([each[member == g].mean() for g in range(3)])
        settings_of = types.SimpleNamespace(loss=types.SimpleNamespace(importance_sampling=False, step_size=step))
        own = trainer(adj=torch.zeros(3), normalize_loss=False, config=settings_of, adv_probs=torch.full((3,), 1 / 3))
        single, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double
        total, _ = loss(own, means)
        torch.Tensor.float = single
        record(name, "groupdpo", settings, source, given, None, policy, total)
    return name, make


def prm(name, seed):
    def make():
        from transformers.loss.loss_utils import ForTokenClassification
        random = numpy.random.default_rng(seed)
        present = golden_sequence.masks(random, 5, 4)
        given = {"reward": short(random.standard_normal((5, 4))), "present": present,
                 "label": random.integers(0, 2, (5, 4)).astype(float)}
        leaf = torch.tensor(given["reward"], requires_grad=True)
        labels = torch.where(torch.tensor(present) == 1, torch.tensor(given["label"]).long(), -100)
        single, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double
        total = ForTokenClassification(torch.stack([torch.zeros_like(leaf), leaf], dim=2), labels,
                                       types.SimpleNamespace(num_labels=2))
        torch.Tensor.float = single
        total.backward()
        write(name, "preference", "prm", "", package("transformers", "loss.loss_utils.ForTokenClassification") +
              ", PRMTrainer's loss", given, {"loss": total, "gradient": leaf.grad}, 1e-9)
    return name, make


LINKS = {"logistic": lambda z: F.softplus(-z), "squared": lambda z: (z - 1) ** 2, "hinge": lambda z: F.relu(1 - z),
         "exponential": lambda z: torch.exp(-z), "truncated": lambda z: F.relu(1 - z) ** 2,
         "savage": lambda z: 1 / (1 + torch.exp(z)) ** 2}

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

CASES |= dict([by_pair(f"gpo_{link}", "gpo", f"beta=0.3 link={link}", 350 + i, "derived: Generalized Preference Optimization, table 1",
                       lambda given, policy, f=f: f(margin(given, policy))) for i, (link, f) in enumerate(LINKS.items())])
CASES |= dict([
    by_pair("ipo_sums", "ipo", "beta=0.3 mean=false", 361, CPO_LOSS + ", ipo, of log-ratios",
            lambda given, policy: cpo_loss(given, policy, "ipo", 0.3)),
    by_pair("dpo_smoothed", "dpo", "beta=0.3 label_smoothing=0.1", 362, CPO_LOSS + ", sigmoid, of log-ratios",
            lambda given, policy: cpo_loss(given, policy, "sigmoid", 0.3, 0.1)),
    trl_form("fdpo_js", "fdpo", "beta=0.3 divergence=js", 363, "sigmoid", beta=0.3, f_divergence_type="js_divergence"),
    trl_form("fdpo_forward", "fdpo", "beta=0.3 divergence=forwardkl", 364, "sigmoid", beta=0.3, f_divergence_type="forward_kl"),
    trl_form("fdpo_alpha", "fdpo", "beta=0.3 divergence=alpha alpha=0.3", 365, "sigmoid", beta=0.3,
             f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.7),
    trl_form("rdpo", "rdpo", "beta=0.3 label_smoothing=0.2", 366, "robust", beta=0.3, label_smoothing=0.2),
    trl_form("discopop", "discopop", "beta=0.3 tau=0.05", 367, "discopop", beta=0.3),
    trl_form("lddpo", "lddpo", "beta=0.3 alpha=0.4", 368, "sigmoid", beta=0.3, ld_alpha=0.4),
    trl_form("lddpo_none", "lddpo", "beta=0.3 alpha=0", 369, "sigmoid", beta=0.3, ld_alpha=0.0),
    trl_form("sft", "sft", "", 370, "sft", each=False, beta=0.3, without=("reference",)),
    cpo("cpo", "cpo", "beta=0.3", 371, "sigmoid", 1.0),
    cpo("cpo_hinge", "cpo", "beta=0.3 loss=hinge likelihood=0.5", 372, "hinge", 0.5),
    cpo("cpo_ipo", "cpo", "beta=0.3 loss=ipo likelihood=0", 373, "ipo"),
    cpo("cpo_smoothed", "cpo", "beta=0.3 label_smoothing=0.1", 374, "sigmoid", 1.0, label_smoothing=0.1),
    cpo("simpo", "simpo", "beta=2 gamma=0.5", 375, "simpo", beta=2.0, simpo_gamma=0.5),
    cpo("simpo_likelihood", "simpo", "beta=2 gamma=1 label_smoothing=0.1 likelihood=1", 376, "simpo", 1.0, beta=2.0,
        simpo_gamma=1.0, label_smoothing=0.1),
    cpo("alphapo", "alphapo", "beta=2 gamma=0.5 alpha=0.25", 377, "simpo", alpha=0.25, beta=2.0, simpo_gamma=0.5),
    cpo("alphapo_below", "alphapo", "beta=2 gamma=0.5 alpha=-0.4 likelihood=1", 378, "simpo", 1.0, alpha=-0.4, beta=2.0,
        simpo_gamma=0.5),
    by_pair("mipo", "mipo", "beta=8", 379, "derived: MIPO, the loss with q(K) = log(1 + e^K)", mipo),
    odds("asft", "asft", "beta=0.5", 381, 0.5, 1.0, 1.0),
    odds("asft_second", "asft", "beta=1 scale=2 likelihood=0", 382, 1.0, 2.0, 0),
    odds("orpo_second", "orpo", "beta=1 scale=3 likelihood=0", 383, 1.0, 3.0, 0),
    flex("flex_dpo", "beta=0.3 beta_rejected=0.1 likelihood=0.2", 384, 0.3, 0.1, 0.2),
    rpo("rpo", "beta=0.3 eta=0.05", 385, 0.3, 0.05),
    modpo("modpo", "beta=0.3 weight=0.4", 386, 0.3, 0.4),
    tgdpo("tgdpo", "beta=0.3 alpha=0.5", 387, 0.3, 0.5),
    dmpo("dmpo", "beta=0.3 gamma=0.7", 388, 0.3, 0.7),
    dmpo("dmpo_plain", "beta=0.3 gamma=1", 389, 0.3, 1),
    of_trl_alone("scoredpo", "scoredpo", "beta=0.3", 390,
                 "of log-probabilities that are scaled as in Gen-Verse/ScoreFlow:ScoreFlow/DPOtrainer.py@2492563838f7", scored),
    of_trl_alone("preflexor", "preflexor", "beta=0.3", 391, "with the reasoning's tokens masked", thinking),
    mcts("mcts_dpo", "beta=0.3", 392),
    bco("bco", "beta=0.3", 394, 0.3, False),
    bco("bco_density", "beta=0.3 least=0.5 most=10", 395, 0.3, True),
    groupdpo("groupdpo", "beta=0.3 groups=3 step=0.5", 396, 0.5, False),
    groupdpo("groupdpo_ipo", "beta=0.3 groups=3 step=0.2 loss=ipo", 397, 0.2, True),
    prm("prm", 398),
    ("apo_zero_unpaired", lambda: kto("apo_zero_unpaired", "beta=0.3 desirable_weight=1.5 undesirable_weight=0.75", 393,
                                      loss_type="apo_zero_unpaired", beta=0.3, desirable_weight=1.5, undesirable_weight=0.75)),
])

if __name__ == "__main__":
    chosen(CASES)
