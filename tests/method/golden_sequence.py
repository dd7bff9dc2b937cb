"""Goldens of preference, reward and policy losses on log-probabilities by token: python golden_sequence.py [NAME ...]

TRL's own loss methods are called with a trainer that is nothing but the fields which they read, and with a model that
answers the given log-probabilities; ORPO's model answers logits over two tokens whose log-softmax they are. TDPO's loss is
its authors'. Gradients are torch's, by token of the policy.
"""

import collections
import math
import types

import numpy
import torch
from trl import DPOTrainer, GRPOTrainer, KTOTrainer, RewardTrainer
from trl.experimental.orpo.orpo_trainer import ORPOTrainer

from golden_file import chosen, functions, package, short, write

torch.set_default_dtype(torch.float64)


class Accelerator:
    """One process."""

    device = torch.device("cpu")
    num_processes, sync_gradients = 1, True
    gather = gather_for_metrics = staticmethod(lambda value: value)

    @staticmethod
    def reduce(value, reduction):
        return value


def trainer(**fields):
    common = dict(accelerator=Accelerator(), model=torch.nn.Module(), aux_loss_enabled=False,
                  _metrics=collections.defaultdict(lambda: collections.defaultdict(list)), _total_train_tokens=0, _tp_size=1)
    return types.SimpleNamespace(**common | fields)


def outputs(logps):
    """What TRL reads of a model's answer: log-probabilities, and numbers that only its metrics take."""
    still = logps.detach()
    return types.SimpleNamespace(log_probs=logps, entropy=torch.zeros_like(still), mean_logits=torch.zeros_like(still),
                                 is_top1=torch.zeros_like(still, dtype=torch.bool), log_sum_sq_probs=torch.zeros_like(still))


def tokens(mask):
    """Token ids and the mask of the scored ones, behind one token of prompt."""
    ids = torch.ones(mask.shape[0], mask.shape[1] + 1, dtype=torch.long)
    return ids, torch.cat([torch.zeros(mask.shape[0], 1), torch.tensor(mask)], dim=1).long()


def log_probabilities(random, rows, width, away=1.0):
    return short(-random.gamma(1.5, away, (rows, width)) - 0.01)


def masks(random, rows, width):
    lengths = random.integers(1, width + 1, rows)
    lengths[0] = width
    return (numpy.arange(width) < lengths[:, None]).astype(float)


def pairs(seed, count=6, width=7):
    random = numpy.random.default_rng(seed)
    given = {}
    for side in ("chosen", "rejected"):
        policy = log_probabilities(random, count, width)
        given[f"policy/{side}"] = policy
        given[f"reference/{side}"] = numpy.minimum(short(policy + 0.4 * random.standard_normal((count, width))), -1 / 1024)
        given[f"mask/{side}"] = masks(random, count, width)
    return given


def leaves(given, prefix="policy"):
    return [torch.tensor(given[f"{prefix}/{side}"], requires_grad=True) for side in ("chosen", "rejected")]


def dpo_loss(given, policy, rows, **fields):
    """DPOTrainer's loss of some pairs; the model answers the policy, then the reference."""
    pick = lambda name: torch.cat([torch.tensor(given[f"{name}/{side}"])[rows] for side in ("chosen", "rejected")])
    mask = pick("mask")
    ids, scored = tokens(mask.numpy())
    own = trainer(ld_alpha=None, precompute_ref_logps=False, f_divergence_type="reverse_kl", loss_weights=[1.0],
                  use_weighting=False, label_smoothing=0.0, args=types.SimpleNamespace(gradient_checkpointing_kwargs=None,
                                                                                    discopop_tau=0.05))
    for name, value in fields.items():
        setattr(own, name, value)
    own.ref_model = lambda **words: outputs(pick("reference") * mask)
    own.model.is_gradient_checkpointing = False
    model = lambda **words: outputs(torch.cat([side[rows] for side in policy]) * mask)
    return DPOTrainer._compute_loss(own, model, dict(input_ids=ids, attention_mask=torch.ones_like(ids),
                                                     completion_mask=scored), False)


def dpo(name, method, settings, seed, loss_type, each=True, without=(), **fields):
    """A loss type of DPOTrainer; `each`: the loss of a pair is that of a batch of it alone."""
    given = pairs(seed)
    policy = leaves(given)
    fields = fields | dict(loss_types=[loss_type])
    count = len(given["mask/chosen"])
    loss = dpo_loss(given, policy, slice(None), **fields)
    loss.backward()
    expected = {"loss": loss, "gradient/chosen": policy[0].grad, "gradient/rejected": policy[1].grad}
    if each:
        with torch.no_grad():
            expected["per_pair"] = torch.stack([dpo_loss(given, policy, slice(i, i + 1), **fields) for i in range(count)])
    given = {array: value for array, value in given.items() if array.split("/")[0] not in without}
    write(name, "preference", method, settings, package("trl", f"DPOTrainer._compute_loss, {loss_type}"), given, expected,
          1e-9)


def kto(name, settings, seed, below=False, loss_type="kto", **fields):
    """KTOTrainer's loss; the baseline is the mean of mismatched completions' log-ratios, at least 0 (`below`: it is cut)."""
    random = numpy.random.default_rng(seed)
    count, width, given = 7, 6, {}
    for suffix, move in (("", 0.4), ("_mismatched", 0.3)):
        policy = log_probabilities(random, count, width)
        reference = policy + move * random.standard_normal((count, width)) - (0.2 if suffix else 0.0) * (-1 if below else 1)
        given["policy" + suffix] = policy
        given["reference" + suffix] = numpy.minimum(short(reference), -1 / 1024)
        given["mask" + suffix] = masks(random, count, width)
    given["label"] = numpy.array([1, 0, 0, 1, 1, 0, 1])
    leaf = torch.tensor(given["policy"], requires_grad=True)

    def loss_of(rows):
        own = trainer(calculate_KL=loss_type == "kto", precompute_ref_logps=False, loss_type=loss_type,
                      args=types.SimpleNamespace(gradient_checkpointing_kwargs=None), **fields)
        own.model.is_gradient_checkpointing = False
        sides = {"main": ("", rows), "mismatched": ("_mismatched", slice(None))}

        def answer(which):
            def model(input_ids, **words):
                suffix, part = sides["main" if torch.equal(input_ids, ids) else "mismatched"]
                values = leaf if which == "policy" and not suffix else torch.tensor(given[which + suffix])
                return outputs(values[part] * torch.tensor(given["mask" + suffix])[part])
            return model

        ids, scored = tokens(given["mask"][rows])
        other, other_scored = tokens(given["mask_mismatched"])
        other = other * 2
        own.ref_model = answer("reference")
        own._compute_kl_logps = types.MethodType(KTOTrainer._compute_kl_logps, own)
        batch = dict(input_ids=ids, attention_mask=torch.ones_like(ids), completion_mask=scored, KL_input_ids=other,
                     KL_attention_mask=torch.ones_like(other), KL_completion_mask=other_scored,
                     label=torch.tensor(given["label"][rows]))
        loss = KTOTrainer._compute_loss(own, answer("policy"), batch, False)
        return loss, own._metrics["train"]["kl"][0]

    loss, baseline = loss_of(slice(None))
    loss.backward()
    if loss_type == "kto" and (baseline == 0) != below:
        raise SystemExit(f"{name}: the baseline is {baseline}")
    with torch.no_grad():
        each = torch.stack([loss_of(slice(i, i + 1))[0] for i in range(count)])
    if loss_type != "kto":
        given = {array: value for array, value in given.items() if not array.endswith("_mismatched")}
    write(name, "preference", loss_type.replace("_", ""), settings, package("trl", f"KTOTrainer._compute_loss, {loss_type}"), given,
          {"loss": loss, "per_completion": each, "gradient": leaf.grad}, 1e-9)


def orpo(name, settings, seed, beta):
    given = {array: value for array, value in pairs(seed).items() if not array.startswith("reference")}
    policy = leaves(given)
    own = trainer(beta=beta, is_encoder_decoder=False, padding_value=0)
    for method in ("concatenated_forward", "odds_ratio_loss"):
        setattr(own, method, types.MethodType(getattr(ORPOTrainer, method), own))
    for method in ("concatenated_inputs", "get_batch_logps"):
        setattr(own, method, getattr(ORPOTrainer, method))
    batch = {}
    for side in ("chosen", "rejected"):
        ids, scored = tokens(given[f"mask/{side}"])
        attention = scored.clone()
        attention[:, 0] = 1
        batch |= {f"{side}_input_ids": ids * 0, f"{side}_attention_mask": attention,
                  f"{side}_labels": torch.where(scored == 1, 0, -100)}

    def model(ids, **words):
        first = torch.cat(policy)
        second = torch.log1p(-torch.exp(first))
        logits = torch.stack([first, second], dim=2)
        return types.SimpleNamespace(logits=torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1))

    single, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double  # odds_ratio_loss rounds to float32
    loss, _ = ORPOTrainer.get_batch_loss_metrics(own, model, batch)
    torch.Tensor.float = single
    loss.backward()
    write(name, "preference", "orpo", settings, package("trl", "experimental.orpo.ORPOTrainer.get_batch_loss_metrics"), given,
          {"loss": loss, "gradient/chosen": policy[0].grad, "gradient/rejected": policy[1].grad}, 1e-9)


def tdpo(name, settings, seed, **words):
    code, source = functions("Vance0124/Token-level-Direct-Preference-Optimization",
                             "2a736ecb285394a8419b461816bce1ba3b093cc9", "trainers.py", ["tdpo_loss"],
                             torch=torch, F=torch.nn.functional)
    given = pairs(seed)
    random = numpy.random.default_rng(seed + 1000)
    for side in ("chosen", "rejected"):
        given[f"kl/{side}"] = short(random.gamma(1.5, 0.2, given[f"mask/{side}"].shape))
    policy, divergence = leaves(given), leaves(given, "kl")
    total = lambda array, side: (array * torch.tensor(given[f"mask/{side}"])).sum(1)
    margins = [total(p - torch.tensor(given[f"reference/{side}"]), side) for p, side in zip(policy, ("chosen", "rejected"))]
    kl = [total(d, side) for d, side in zip(divergence, ("chosen", "rejected"))]
    losses, _, _ = code["tdpo_loss"](*margins, *kl, **words)
    losses.mean().backward()
    zero = lambda leaf: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    write(name, "preference", "tdpo", settings, source + ":tdpo_loss", given,
          {"loss": losses.mean(), "per_pair": losses, "gradient/chosen": policy[0].grad, "gradient/rejected": policy[1].grad,
           "gradient_kl/chosen": zero(divergence[0]), "gradient_kl/rejected": zero(divergence[1])}, 1e-9)


def reward(name, settings, seed, margin, center):
    random = numpy.random.default_rng(seed)
    given = {f"reward/{side}": short(random.standard_normal(6)) for side in ("chosen", "rejected")}
    if margin:
        given["margin"] = short(random.uniform(0, 1, 6))
    rewards = leaves(given, "reward")

    def loss_of(rows):
        own = trainer(args=types.SimpleNamespace(center_rewards_coefficient=center))
        inputs = dict(attention_mask=torch.ones(2, 1))
        if margin:
            inputs["margin"] = torch.tensor(given["margin"][rows])
        model = lambda **words: types.SimpleNamespace(logits=torch.cat([side[rows] for side in rewards]).unsqueeze(1))
        return RewardTrainer.compute_loss(own, model, inputs)

    loss = loss_of(slice(None))
    loss.backward()
    with torch.no_grad():
        each = torch.stack([loss_of(slice(i, i + 1)) for i in range(6)])
    write(name, "preference", "rm", settings, package("trl", "RewardTrainer.compute_loss"), given,
          {"loss": loss, "per_pair": each, "gradient/chosen": rewards[0].grad, "gradient/rejected": rewards[1].grad}, 1e-9)


def grpo(name, settings, seed, loss_type, level="token", delta=None, beta=0.04, low=0.2, high=0.28, rewards=None):
    """GRPOTrainer's loss. Eight completions in two groups; ratios on both sides of both bounds."""
    random = numpy.random.default_rng(seed)
    count, width = 8, 6
    policy = log_probabilities(random, count, width)
    given = {"policy": policy, "mask": masks(random, count, width), "group": numpy.repeat([0, 1], 4)}
    given["old"] = numpy.minimum(short(policy + 0.3 * random.standard_normal(policy.shape)), -1 / 1024)
    if beta:
        given["reference"] = numpy.minimum(short(policy + 0.4 * random.standard_normal(policy.shape)), -1 / 1024)
    source = package("trl", f"GRPOTrainer._compute_loss, {loss_type}")
    if rewards is None:
        given["advantage"] = short(random.standard_normal(count))
        advantage = given["advantage"]
    else:
        given["reward"] = short(random.uniform(0, 1, count))
        by_group = given["reward"].reshape(2, 4)
        spread = by_group.std(1, ddof=1, keepdims=True) + 1e-4 if rewards == "group" else 1.0
        advantage = ((by_group - by_group.mean(1, keepdims=True)) / spread).reshape(-1)
        source += "; advantages derived: DeepSeekMath, 4.1.2, with TRL's sample deviation + 1e-4" if rewards == "group" else \
            "; advantages derived: Dr. GRPO, equation 3"
    leaf = torch.tensor(policy, requires_grad=True)
    own = trainer(top_entropy_quantile=1.0, off_policy_mask_threshold=None, importance_sampling_level=level, beta=beta,
                  loss_type=loss_type, epsilon_low=low, epsilon_high=high, use_vllm=False, _entropy_bonus_enabled=False,
                  current_gradient_accumulation_steps=1, max_completion_length=width,
                  args=types.SimpleNamespace(use_bias_correction_kl=False, delta=delta, sapo_temperature_pos=1.0,
                                             sapo_temperature_neg=1.05, steps_per_generation=1, vespo_k_pos=2.0,
                                             vespo_lambda_pos=3.0, vespo_k_neg=3.0, vespo_lambda_neg=2.0))
    own._get_per_token_logps_and_entropies = lambda *args, **words: (leaf, torch.zeros_like(leaf.detach()), None)
    own.get_gamma_weights = GRPOTrainer.get_gamma_weights
    mask = torch.tensor(given["mask"])
    ids = torch.zeros(count, width, dtype=torch.long)
    inputs = dict(prompt_ids=ids[:, :1], prompt_mask=ids[:, :1] + 1, completion_ids=ids, completion_mask=mask,
                  advantages=torch.tensor(advantage), old_per_token_logps=torch.tensor(given["old"]),
                  num_items_in_batch=mask.sum())
    if beta:
        inputs["ref_per_token_logps"] = torch.tensor(given["reference"])
    loss = GRPOTrainer._compute_loss(own, None, inputs)
    loss.backward()
    write(name, "policy", "grpo", settings, source, given, {"loss": loss, "gradient": leaf.grad}, 1e-9)


def grpo_case(name, loss_type, seed, more="", **words):
    settings = f"loss={loss_type.replace('_', '')} beta=0.04 epsilon_low=0.2 epsilon_high=0.28{more}"
    return name, lambda: grpo(name, settings, seed, loss_type, **words)


CASES = {
    "dpo": lambda: dpo("dpo", "dpo", "beta=0.3", 201, "sigmoid", beta=0.3),
    "ipo": lambda: dpo("ipo", "ipo", "beta=0.2", 202, "ipo", beta=0.2),
    "ipo_weak": lambda: dpo("ipo_weak", "ipo", "beta=0.03", 203, "ipo", beta=0.03),
    "aot": lambda: dpo("aot", "aot", "beta=0.3 label_smoothing=0 unpaired=false", 204, "aot", False, beta=0.3),
    "aot_unpaired": lambda: dpo("aot_unpaired", "aot", "beta=0.5 label_smoothing=0.1 unpaired=true", 205, "aot_unpaired",
                                False, beta=0.5, label_smoothing=0.1),
    "kto": lambda: kto("kto", "beta=0.3 desirable_weight=1 undesirable_weight=1", 211, beta=0.3, desirable_weight=1.0,
                       undesirable_weight=1.0),
    "kto_weighted": lambda: kto("kto_weighted", "beta=0.6 desirable_weight=1.5 undesirable_weight=0.75", 212, below=True,
                                beta=0.6, desirable_weight=1.5, undesirable_weight=0.75),
    "orpo": lambda: orpo("orpo", "beta=0.1", 221, 0.1),
    "orpo_strong": lambda: orpo("orpo_strong", "beta=0.8", 222, 0.8),
    "tdpo": lambda: tdpo("tdpo", "beta=0.3 alpha=0.5 second=true", 231, beta=0.3, alpha=0.5, if_tdpo2=True),
    "tdpo_first": lambda: tdpo("tdpo_first", "beta=0.2 second=false", 232, beta=0.2, if_tdpo2=False),
    "rm": lambda: reward("rm", "", 241, False, None),
    "rm_margin": lambda: reward("rm_margin", "center=0.05", 242, True, 0.05),
    **dict([
        grpo_case("grpo", "grpo", 251),
        grpo_case("grpo_two_sided", "grpo", 252, " delta=1.4", delta=1.4),
        grpo_case("grpo_sequence", "grpo", 253, " ratio=sequence", level="sequence", low=0.2, high=0.28),
        grpo_case("grpo_bnpo", "bnpo", 254),
        grpo_case("grpo_drgrpo", "dr_grpo", 255, " scale=none", rewards="none"),
        grpo_case("grpo_dapo", "dapo", 256),
        grpo_case("grpo_cispo", "cispo", 257, high=0.28),
        grpo_case("grpo_sapo", "sapo", 258),
        grpo_case("grpo_luspo", "luspo", 259, " ratio=sequence", level="sequence"),
        grpo_case("grpo_vespo", "vespo", 260),
        grpo_case("grpo_reward", "grpo", 261, " scale=group", rewards="group"),
    ]),
}

if __name__ == "__main__":
    chosen(CASES)
