"""Goldens of policy methods whose experience or loss is not GRPOTrainer's: python golden_policy.py [NAME ...]

The functions of verl's core_algos, and of the authors' repositories, are called on arrays by token; what no repository has
as a function is written from the paper and marked derived. GOLDEN_CODE: see golden_file.py.
"""

import collections
import dataclasses
import itertools
import types
import typing

import numpy
import torch

from golden_file import chosen, functions, package, short, write
from golden_sequence import dpo_loss, grpo, log_probabilities, masks, trainer

torch.set_default_dtype(torch.float64)


CANCELS = 1e-7  # whitened advantages add up to nearly nothing, and verl's means add 1e-8 to their counts
register = lambda *words: (lambda function: function)
COMMON = dict(torch=torch, np=numpy, defaultdict=collections.defaultdict, register_adv_est=register,
              register_policy_loss=register, AdvantageEstimator=types.SimpleNamespace(
                  GAE=0, REMAX=0, RLOO=0, REINFORCE_PLUS_PLUS=0, GRPO_BUNDLE_RVAR_QUANTILE_TRACKING=0))


class ActorConfig(dict):
    """What verl's losses read of theirs."""

    clip_ratio, clip_ratio_low, clip_ratio_high = 0.2, 0.2, 0.2
    global_batch_info = {}


class AlgoConfig:
    gamma = 1.0


def masked(repository, commit, file="verl/utils/torch_functional.py"):
    code, _ = functions(repository, commit, file, ["masked_sum", "masked_mean", "masked_var", "masked_whiten", "clip_by_value"],
                        torch=torch)
    return types.SimpleNamespace(**{name: value for name, value in code.items() if name.startswith(("masked", "clip"))})


def verl(names):
    repository, commit = "volcengine/verl", "b178a3cd56f58b2d502255daba591e92833930a7"
    helpers = masked(repository, commit)
    code, source = functions(repository, commit, "verl/trainer/ppo/core_algos.py", names + ["agg_loss"], verl_F=helpers,
                             ActorConfig=ActorConfig, AlgoConfig=AlgoConfig, **COMMON)
    return types.SimpleNamespace(**{name: code[name] for name in names}, F=helpers), source + ":" + ", ".join(names)


def arrays(seed, count=8, width=6, groups=2, value=False):
    """Completions in groups; ratios on both sides of the clip, masked tokens hold numbers too."""
    random = numpy.random.default_rng(seed)
    policy = log_probabilities(random, count, width)
    near = lambda away: numpy.minimum(short(policy + away * random.standard_normal(policy.shape)), -1 / 1024)
    given = {"policy": policy, "old": near(0.3), "reference": near(0.4), "mask": masks(random, count, width),
             "group": numpy.repeat(numpy.arange(groups), count // groups), "reward": short(random.uniform(0, 1, count))}
    if value:
        given["value"] = short(random.standard_normal(policy.shape))
        given["old_value"] = short(given["value"] + 0.3 * random.standard_normal(policy.shape))
    return given, random


def tensors(given):
    return types.SimpleNamespace(**{name: torch.tensor(value) for name, value in given.items()})


def without(given, *names):
    return {name: value for name, value in given.items() if name not in names}


def last_token(reward, mask):
    """The reward of a completion at its last token."""
    out = torch.zeros_like(mask)
    out[torch.arange(len(mask)), mask.sum(1).long() - 1] = reward
    return out


def leaf_of(array):
    return torch.tensor(array, requires_grad=True)


def ppo_case(name, method, settings, seed, gae, value_clip=0.2, value_weight=0.1, kl=0.05, estimator="k1", low=0.2, high=0.2,
             loss_name="compute_policy_loss_vanilla", extra=None, guide=0.0, whiten=True, derived="", adaptive=None):
    """Token rewards with KL, advantages and targets by `gae(code, rewards, given)`, verl's losses of both."""
    code, source = verl(["compute_gae_advantage_return", "compute_rewards", "compute_value_loss", "kl_penalty",
                         "kl_penalty_forward", loss_name, "AdaptiveKLController"])
    given, random = arrays(seed, value=True)
    if guide:
        given["guide"] = numpy.minimum(short(given["policy"] + 0.4 * random.standard_normal(given["policy"].shape)), -1 / 1024)
    t = tensors(given)
    rewards = last_token(t.reward, t.mask)
    divergence = code.kl_penalty_forward(t.old, t.reference, estimator)
    rewards = rewards - kl * divergence
    if guide:
        rewards = rewards + guide * (t.guide - t.reference)
    rewards = rewards * t.mask
    advantages, targets = gae(code, rewards, t)
    policy, value = leaf_of(given["policy"]), leaf_of(given["value"])
    config = ActorConfig(clip_ratio_c=1e9)
    config.clip_ratio_low, config.clip_ratio_high = low, high
    loss, _ = getattr(code, loss_name)(old_log_prob=t.old, log_prob=policy, advantages=advantages * t.mask,
                                       response_mask=t.mask, loss_agg_mode="token-mean", config=config)
    critic, _ = code.compute_value_loss(value, targets, t.old_value, t.mask, value_clip or 1e9)
    loss = loss + value_weight * critic
    if extra:
        loss = loss + extra(policy, t)
    loss.backward()
    expected = {"loss": loss, "gradient": policy.grad, "gradient_value": value.grad, "advantages": advantages * t.mask,
                "target": targets * t.mask}
    if adaptive:
        controller = code.AdaptiveKLController(kl, *adaptive)
        controller.update(float((divergence * t.mask).sum(1).mean()), len(t.mask))
        expected["next"] = numpy.array([controller.value] + [0.0] * 7)
    write(name, "policy", method, settings, source + derived, without(given, *([] if kl or guide else ["reference"])), expected,
          CANCELS)


def plain_gae(gamma, lam, whiten=True):
    def gae(code, rewards, t):
        advantages, targets = code.compute_gae_advantage_return(rewards, t.old_value, t.mask, gamma, lam)
        return (advantages if whiten else targets - t.old_value), targets
    return gae


def two_gae(gamma, policy_lambda, critic_lambda):
    """verl's function twice; lambda by completion goes a row at a time, whitened by verl's function afterwards."""
    def gae(code, rewards, t):
        _, targets = code.compute_gae_advantage_return(rewards, t.old_value, t.mask, gamma, critic_lambda)
        rows = []
        for i in range(len(rewards)):
            lam = policy_lambda(float(t.mask[i].sum())) if callable(policy_lambda) else policy_lambda
            both = torch.tensor([0, 0]) + i  # the whitening of one row alone needs two tokens
            _, returns = code.compute_gae_advantage_return(rewards[both], t.old_value[both], t.mask[both], gamma, lam)
            rows.append(returns[0] - t.old_value[i])
        return code.F.masked_whiten(torch.stack(rows), t.mask), targets
    return gae


def likelihood(weight):
    def extra(policy, t):
        right = ((t.reward > 0).double().unsqueeze(1) * t.mask)
        return -weight * (policy * right).sum() / right.sum()
    return extra


def rloo(name, settings, seed, kl):
    """verl's advantages (whose rewards have lost kl times k1), TRL's loss."""
    from trl import RLOOTrainer
    code, source = verl(["compute_rloo_outcome_advantage", "compute_rewards"])
    given, _ = arrays(seed)
    t = tensors(given)
    rewards = code.compute_rewards(last_token(t.reward, t.mask), t.old, t.reference, kl) * t.mask
    advantages, _ = code.compute_rloo_outcome_advantage(rewards, t.mask, given["group"])
    policy = leaf_of(given["policy"])
    own = trainer(epsilon_low=0.2, epsilon_high=0.2)
    own._get_per_token_logps_and_entropies = lambda *args, **words: (policy, torch.zeros_like(t.mask), None)
    ids = torch.zeros(t.mask.shape, dtype=torch.long)
    loss = RLOOTrainer._compute_loss(own, None, dict(
        prompt_ids=ids[:, :1], prompt_mask=ids[:, :1] + 1, completion_ids=ids, completion_mask=t.mask,
        old_logps=(t.old * t.mask).sum(1), advantages=(advantages[:, 0])))
    loss.backward()
    write(name, "policy", "rloo", settings, package("trl", "RLOOTrainer._compute_loss") + "; " + source, given,
          {"loss": loss, "gradient": policy.grad, "advantages": advantages}, 1e-9)


def reinforce(name, method, settings, seed, advantage, kl=0.0):
    """verl's advantages and its loss without a ratio."""
    names = ["compute_reinforce_plus_plus_outcome_advantage", "compute_remax_outcome_advantage", "compute_rewards",
             "compute_policy_loss_gpg"]
    code, source = verl(names)
    given, random = arrays(seed)
    if method == "remax":
        given["greedy"] = numpy.repeat(short(random.uniform(0, 1, 2)), 4)
    t = tensors(given)
    rewards = code.compute_rewards(last_token(t.reward, t.mask), t.old, t.reference, kl) * t.mask
    advantages, _ = advantage(code, rewards, t)
    policy = leaf_of(given["policy"])
    loss, _ = code.compute_policy_loss_gpg(t.old, policy, advantages * t.mask, t.mask, config=ActorConfig())
    loss.backward()
    write(name, "policy", method, settings, source, without(given, *([] if kl else ["reference"])),
          {"loss": loss, "gradient": policy.grad, "advantages": advantages * t.mask}, CANCELS)


def discounted(gamma):
    config = AlgoConfig()
    config.gamma = gamma
    return lambda code, rewards, t: code.compute_reinforce_plus_plus_outcome_advantage(rewards, t.mask, config=config)


def gspo(name, seed):
    code, source = verl(["compute_policy_loss_gspo"])
    given, random = arrays(seed)
    given = without(given, "reward", "reference") | {"advantage": short(random.standard_normal(8))}
    t = tensors(given)
    policy = leaf_of(given["policy"])
    config = ActorConfig()
    config.clip_ratio_low, config.clip_ratio_high = 0.1, 0.15
    loss, _ = code.compute_policy_loss_gspo(t.old, policy, t.advantage.unsqueeze(1) * t.mask, t.mask, config=config)
    loss.backward()
    write(name, "policy", "gspo", "epsilon_low=0.1 epsilon_high=0.15", source, given, {"loss": loss, "gradient": policy.grad}, 1e-8)


def clipped(code, given, t, advantages):
    policy = leaf_of(given["policy"])
    loss, _ = code.compute_policy_loss_vanilla(t.old, policy, advantages * t.mask, t.mask, config=ActorConfig(clip_ratio_c=1e9))
    loss.backward()
    return {"loss": loss, "gradient": policy.grad, "advantages": advantages * t.mask}


def bnpo(name, seed, spread):
    authors, source = functions("changyi7231/BNPO", "a9c51b9848283286ff3c51afbba2a867977a2e36",
                                "recipe/bnpo/src/bnpo_ray_trainer.py", ["compute_bnpo_outcome_advantage"], **COMMON)
    code, loss_source = verl(["compute_policy_loss_vanilla"])
    given, random = arrays(seed, count=16, groups=4)
    given["reward"] = (random.uniform(0, 1, 16) < numpy.repeat(spread, 4)).astype(float)
    given = without(given, "reference")
    t = tensors(given)
    advantages, _ = authors["compute_bnpo_outcome_advantage"](last_token(t.reward, t.mask), t.mask, given["group"])
    write(name, "policy", "bnpo", "", f"{source}; {loss_source}", given, clipped(code, given, t, advantages), 1e-9)


def riskpo(name, seed, settings, state=None, **words):
    authors, source = functions("RTkenny/RiskPO", "65ec40c935f5726aa2d80160d9056b1236d5551e", "verl/trainer/ppo/core_algos.py",
                                ["compute_grpo_bundle_rvar_outcome_advantage_quantile_tracking"], **COMMON)
    code, loss_source = verl(["compute_policy_loss_vanilla"])
    given, random = arrays(seed, count=16, groups=4)
    given = without(given, "reference")
    track = {}
    if state:
        given["state"] = numpy.array([0.0, *state, 1.0, 0, 0, 0, 0])
        track = dict(q_track_down=state[0], q_track_up=state[1])
    t = tensors(given)
    config = dict(quantile_down=0.2, quantile_up=0.9, use_q_track_mode="track", use_mixing_risk_measure=True, w_mix=1.5) | words
    advantages, _, papers = authors["compute_grpo_bundle_rvar_outcome_advantage_quantile_tracking"](
        last_token(t.reward, t.mask), t.mask, given["group"], given["group"] // 2, config=config, **track)
    expected = clipped(code, given, t, advantages)
    every = torch.cat(list(papers.values()))
    levels = torch.tensor([0.2, 0.9])
    now = torch.tensor(state) + 0.1 * (levels - (every.unsqueeze(0) < torch.tensor(state).unsqueeze(1)).double().mean(1)) \
        if state else torch.quantile(every, levels)
    expected["next"] = numpy.array([0.0, *now.tolist(), 1.0, 0, 0, 0, 0])
    write(name, "policy", "riskpo", settings, f"{source}; {loss_source}; next: derived from its ray_trainer.py", given, expected, 1e-9)


def maxatk(name, seed, settings, k, baseline):
    """Every subset of k of a group, one by one."""
    code, loss_source = verl(["compute_policy_loss_vanilla"])
    given, _ = arrays(seed, count=10)
    given = without(given, "reference")
    weights = numpy.zeros(10)
    for group in range(2):
        members = range(5 * group, 5 * group + 5)
        subsets = list(itertools.combinations(members, k))
        for subset in subsets:
            best = max(given["reward"][i] for i in subset)
            for i in subset:
                rest = [given["reward"][j] for j in subset if j != i]
                weights[i] += (best - (max(rest) if baseline else 0)) * 5 / len(subsets)
    t = tensors(given)
    advantages = torch.tensor(weights).unsqueeze(1) * t.mask
    policy = leaf_of(given["policy"])
    ratio = torch.exp(policy - t.old)
    loss = -(torch.min(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages) * t.mask).sum(1).mean()
    loss.backward()
    write(name, "policy", "maxatk", settings, "derived: Bagirov et al. 2025, the definition of max@k, by every subset", given,
          {"loss": loss, "gradient": policy.grad, "advantages": advantages}, 1e-9)


def rpg(name, seed, divergence, form):
    repository, commit = "complex-reasoning/RPG", "ec8e30bdc6f81ffe2590ab7b3d99789b73e07367"
    code, source = functions(repository, commit, "verl/trainer/ppo/core_algos.py",
                             ["compute_rpg_outcome_advantage", "compute_policy_loss_reinforce", "compute_policy_loss", "kl_penalty",
                              "agg_loss"], verl_F=masked(repository, commit), **COMMON)
    given, _ = arrays(seed)
    given = without(given, "reference")
    t = tensors(given)
    advantages, _ = code["compute_rpg_outcome_advantage"](last_token(t.reward, t.mask), t.mask, given["group"])
    policy = leaf_of(given["policy"])
    if form == "reinforce":
        loss, *_ = code["compute_policy_loss_reinforce"](t.old, policy, advantages, t.mask, kl_type=f"rpg_rf_{divergence}",
                                                         kl_loss_coef=0.1)
    else:
        loss, *_ = code["compute_policy_loss"](t.old, policy, advantages, t.mask, cliprange_low=1e9, cliprange_high=1e9,
                                               clip_ratio_c=1e9)
        loss = loss + 0.1 * code["agg_loss"](code["kl_penalty"](policy, t.old, f"rpg_{divergence}"), t.mask, "token-mean")
    loss.backward()
    write(name, "policy", "rpg", f"divergence={divergence} form={form} strength=0.1", source, given,
          {"loss": loss, "gradient": policy.grad, "advantages": advantages}, 1e-9)


def disco(name, seed, settings, function, score, value=False, **words):
    """The authors' value is no log of a mean: their gradient is what they step by, and is compared alone."""
    repository, commit = "Optimization-AI/DisCO", "bd2b078129347a87c10fbb64df12ed50dce59947"
    code, source = functions(repository, commit, "verl/verl/trainer/ppo/core_algos.py", [function], verl_F=masked(
        "volcengine/verl", "b178a3cd56f58b2d502255daba591e92833930a7"), **COMMON)
    given, random = arrays(seed, count=12, groups=3)
    given["reward"] = numpy.array([1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 0], dtype=float)
    given = without(given, "reference")
    t = tensors(given)
    policy = leaf_of(given["policy"])
    loss, *_ = code[function](t.old, policy, None, t.mask, torch.tensor(given["group"]), t.reward, delta=1e-3, beta=10.0, **words)
    loss.backward()
    expected = {"gradient": policy.grad} | ({"loss": loss} if value else {})
    write(name, "policy", "disco", settings + f" score={score} penalty=10 delta=1e-3", source + ":" + function, given, expected, 1e-8)


def f_dpg(name, seed, divergence, file, class_name):
    """The pseudo-rewards and importance weights of disco's losses, without their moving baseline."""
    repository, commit = "naver/disco", "5ea6fdef073464eeb4e018bad9276faeba7317e6"
    quiet = types.SimpleNamespace(dispatch=lambda *words: None)
    base = type("BaseLoss", (), {"__init__": lambda self: setattr(self, "metric_updated", quiet)})
    parent, _ = functions(repository, commit, "disco/tuners/losses/f_divergence.py", ["FDivergenceLoss"], BaseLoss=base, torch=torch)
    code, source = functions(repository, commit, f"disco/tuners/losses/{file}.py", [class_name], torch=torch,
                             FDivergenceLoss=parent["FDivergenceLoss"])
    given, _ = arrays(seed)
    t = tensors(given)
    policy = leaf_of(given["policy"])
    loss = 0
    for group in range(2):
        rows = torch.tensor(given["group"]) == group
        total = lambda x: (x * t.mask).sum(1)[rows]
        target = total(t.reference) + t.reward[rows] / 0.5
        z = torch.exp(target - total(t.old)).mean()
        # f' at the policy that wrote, as experience has it; the ratio to it weighs the score function
        slopes = code[class_name](use_baseline=False).f_prime(total(t.old) - target + torch.log(z))
        ratio = torch.exp(total(policy) - total(t.old)).detach()
        loss = loss + (ratio * slopes * total(policy)).sum() / 8
    loss.backward()
    write(name, "policy", "f_dpg", f"divergence={divergence} beta=0.5 baseline=none", source + ":f_prime; its theorem 1 derived",
          given, {"loss": loss, "gradient": policy.grad}, 1e-9)


def pairs(seed):
    given, random = arrays(seed)
    return without(given, "group"), random


def p3o(name, seed):
    repository, commit = "thwu1/trlx", "a87c31e5b3db02c4f1cf7da0642ddf1a076c7d61"
    code, source = functions(repository, commit, "trlx/models/modeling_p3o.py", ["P3OConfig"], torch=torch, List=list,
                             Optional=typing.Optional, MethodConfig=object, dataclass=dataclasses.dataclass,
                             register_method=lambda kind: kind)
    given, _ = pairs(seed)
    t = tensors(given)
    policy = leaf_of(given["policy"])
    own = code["P3OConfig"](1, 1, 1, 2, kl_coef=0.05, cliprange=0.3, cliprange_ratio=2.0, scale_reward=None, ref_mean=None,
                            ref_std=None, cliprange_reward=0, gen_kwargs={})
    total = lambda x: ((x - t.reference) * t.mask).sum(1)
    loss, _ = own.loss([total(policy)[0::2], total(policy)[1::2]], [t.reward[0::2], t.reward[1::2]],
                       [total(t.old)[0::2], total(t.old)[1::2]])
    loss.backward()
    write(name, "policy", "p3o", "beta=0.05 clip=0.3 ratio_clip=2", source + ":P3OConfig.loss", given,
          {"loss": loss, "gradient": policy.grad}, 1e-9)


def rebel(name, seed):
    given, _ = pairs(seed)
    t = tensors(given)
    policy = leaf_of(given["policy"])
    moved = ((policy - t.old) * t.mask).sum(1)
    reward = t.reward - 0.05 * ((t.old - t.reference) * t.mask).sum(1)
    loss = ((moved[0::2] - moved[1::2]) / 0.5 - (reward[0::2] - reward[1::2])).square().mean()
    loss.backward()
    write(name, "policy", "rebel", "eta=0.5 kl=0.05", "derived: Gao et al. 2024, algorithm 1", given,
          {"loss": loss, "gradient": policy.grad}, 1e-9)


def onlinedpo(name, seed, loss_type):
    """DPOTrainer's loss on the same pairs, the better one chosen; of ipo TRL's online form has no lengths."""
    given, _ = pairs(seed)
    policy = leaf_of(given["policy"])
    better = [2 * i + int(given["reward"][2 * i] < given["reward"][2 * i + 1]) for i in range(4)]
    worse = [4 * i + 1 - b for i, b in enumerate(better)]
    t = tensors(given)
    source = package("trl", f"DPOTrainer._compute_loss, {loss_type}")
    if loss_type == "sigmoid":
        sided = {f"{name}/{side}": given[name][rows] for name in ("policy", "reference", "mask")
                 for side, rows in (("chosen", better), ("rejected", worse))}
        loss = dpo_loss(sided, [policy[better], policy[worse]], slice(None), loss_types=["sigmoid"], beta=0.1)
    else:
        ratio = ((policy - t.reference) * t.mask).sum(1)
        loss = (ratio[better] - ratio[worse] - 1 / (2 * 0.1)).square().mean()
        source = "derived: TRL's OnlineDPOTrainer, loss_type ipo"
    loss.backward()
    write(name, "policy", "onlinedpo", f"beta=0.1 loss={loss_type}", source, given, {"loss": loss, "gradient": policy.grad}, 1e-9)


def apa(name, seed):
    code, source = verl(["compute_gae_advantage_return", "compute_value_loss"])
    given, _ = arrays(seed, value=True)
    t = tensors(given)
    advantages, targets = code.compute_gae_advantage_return(last_token(t.reward, t.mask), t.old_value, t.mask, 1.0, 0.95)
    policy, value = leaf_of(given["policy"]), leaf_of(given["value"])
    critic, _ = code.compute_value_loss(value, targets, t.old_value, t.mask, 1e9)
    gap = policy - t.reference - advantages / 5
    loss = (gap.square() * t.mask).sum() / t.mask.sum() + 0.1 * critic
    loss.backward()
    write(name, "policy", "apa", "strength=5", source + "; its loss derived: Zhu et al. 2023, equation 6", given,
          {"loss": loss, "gradient": policy.grad, "gradient_value": value.grad}, 1e-9)


def hpt(name, seed, settings, gate):
    given, _ = arrays(seed, count=10)
    given = without(given, "reference")
    given["from_data"] = numpy.array([0, 0, 0, 0, 1] * 2)
    given["reward"] = numpy.array([1, 0, 0, 1, 0, 0, 0, 1, 0, 0], dtype=float)
    t = tensors(given)
    policy = leaf_of(given["policy"])
    ratio, loss = torch.exp(policy - t.old), 0
    for group in range(2):
        rows = slice(5 * group, 5 * group + 4)
        reward = t.reward[rows]
        if reward.mean() > gate:
            a = (reward - reward.mean()).unsqueeze(1)
            gain = torch.min(ratio[rows] * a, ratio[rows].clamp(0.8, 1.2) * a) * t.mask[rows]
            loss = loss - gain.sum() / 6 / 4 / 2
        else:
            data = 5 * group + 4
            loss = loss - 0.5 * (policy[data] * t.mask[data]).sum() / t.mask[data].sum() / 2
    loss.backward()
    write(name, "policy", "hpt", settings, "derived: Lv et al. 2025, algorithm 1, with Dr. GRPO's loss", given,
          {"loss": loss, "gradient": policy.grad}, 1e-9)


def grouped(name, method, settings, seed, scale, weights=None):
    """Advantages of rewards scaled over the batch, or of several rewards; the loss is verl's clip."""
    code, source = verl(["compute_policy_loss_vanilla"])
    given, random = arrays(seed)
    given = without(given, "reference")
    if weights is not None:
        given = without(given, "reward") | {"rewards": short(random.uniform(0, 1, (2, 8))), "weights": numpy.array(weights)}
        rewards, t = torch.tensor(given["rewards"]).reshape(2, 2, 4), tensors(given)
        each = (rewards - rewards.mean(2, keepdim=True)) / (rewards.std(2, keepdim=True) + 1e-4)
        total = (each * torch.tensor(weights).reshape(2, 1, 1)).sum(0).reshape(-1)
        advantages = (total - total.mean()) / (total.std() + 1e-4)
    else:
        t = tensors(given)
        rewards = t.reward.reshape(2, 4)
        advantages = ((rewards - rewards.mean(1, keepdim=True)) / (t.reward.std() + 1e-4)).reshape(-1)
    write(name, "policy", method, settings, source + "; advantages derived: TRL's GRPOConfig, " + scale, given,
          clipped(code, given, t, advantages.unsqueeze(1) * t.mask), 1e-9)


CASES = {
    "ppo": lambda: ppo_case("ppo", "ppo", "", 301, plain_gae(1.0, 0.95)),
    "ppo_discount": lambda: ppo_case("ppo_discount", "ppo", "kl=0.1 kl_estimator=k3 gamma=0.9 lambda=0.8 whiten=false epsilon_high=0.3",
                                     302, plain_gae(0.9, 0.8, False), kl=0.1, estimator="k3", high=0.3),
    "ppo_adaptive": lambda: ppo_case("ppo_adaptive", "ppo", "kl=0.2 kl_estimator=k2 kl_target=0.3 kl_horizon=50", 303,
                                     plain_gae(1.0, 0.95), kl=0.2, estimator="k2", adaptive=(0.3, 50)),
    "dr_po": lambda: ppo_case("dr_po", "dr_po", "gamma=0.95", 309, plain_gae(0.95, 0.95)),
    "a2c": lambda: ppo_case("a2c", "a2c", "", 304, plain_gae(1.0, 1.0, False), value_clip=0, value_weight=0.5,
                            loss_name="compute_policy_loss_gpg"),
    "vcppo": lambda: ppo_case("vcppo", "vcppo", "", 305, two_gae(1.0, 0.95, 1.0)),
    "vapo": lambda: ppo_case("vapo", "vapo", "alpha=0.4", 306, two_gae(1.0, lambda n: max(0.0, 1 - 1 / (0.4 * n)), 1.0), kl=0.0,
                             high=0.28, extra=likelihood(0.1), derived="; its likelihood and lambda derived: Yuan et al. 2025"),
    "rto": lambda: ppo_case("rto", "rto", "guide=0.07 kl=0.02", 307, plain_gae(1.0, 0.95), kl=0.02, guide=0.07,
                            derived="; its reward of a token derived: Zhong et al. 2024, equation 4.3"),
    "apa": lambda: apa("apa", 308),
    "rloo": lambda: rloo("rloo", "", 311, 0.05),
    "reinforce": lambda: reinforce("reinforce", "reinforce", "gamma=0.9", 312, discounted(0.9)),
    "reinforce_kl": lambda: reinforce("reinforce_kl", "reinforce", "kl=0.1", 313, discounted(1.0), kl=0.1),
    "remax": lambda: reinforce("remax", "remax", "", 314, lambda code, rewards, t: code.compute_remax_outcome_advantage(
        rewards, t.greedy, t.mask), kl=0.05),
    "gspo": lambda: gspo("gspo", 315),
    "grpo_batch": lambda: grouped("grpo_batch", "grpo", "scale=batch", 316, "scale_rewards batch"),
    "grpo_gdpo": lambda: grouped("grpo_gdpo", "grpo", "combine=normalise_then_sum", 317, "normalize_then_sum", [1.0, 0.5]),
    "bnpo": lambda: bnpo("bnpo", 321, [0.2, 0.5, 0.5, 0.9]),
    "bnpo_wide": lambda: bnpo("bnpo_wide", 322, [0.3, 0.6, 0.4, 0.6]),
    "riskpo": lambda: riskpo("riskpo", 323, "", credit_assign_mode="std"),
    "riskpo_tracked": lambda: riskpo("riskpo_tracked", 324, "credit=uniform normalise=false", (0.8, 1.3),
                                     credit_assign_mode="uniform", norm_adv_by_std_in_grpo=False),
    "maxatk": lambda: maxatk("maxatk", 325, "k=3", 3, True),
    "maxatk_plain": lambda: maxatk("maxatk_plain", 326, "k=2 baseline=none", 2, False),
    **{f"rpg_{d}": (lambda d=d: rpg(f"rpg_{d}", 330, d, "reinforce")) for d in ("fkl", "rkl", "ufkl", "urkl")},
    **{f"rpg_{d}_loss": (lambda d=d: rpg(f"rpg_{d}_loss", 331, d, "differentiable")) for d in ("fkl", "rkl", "ufkl", "urkl")},
    "disco": lambda: disco("disco", 341, "temperature=2", "compute_policy_loss_disco_logL", "likelihood", tau=2.0),
    "disco_ratio": lambda: disco("disco_ratio", 342, "temperature=2", "compute_policy_loss_disco_Lratio", "ratio", tau=2.0),
    "disco_b": lambda: disco("disco_b", 343, "negatives=mean", "compute_policy_loss_discob_logL", "likelihood", True),
    "f_dpg_kl": lambda: f_dpg("f_dpg_kl", 351, "kl", "kl", "KLLoss"),
    "f_dpg_reverse": lambda: f_dpg("f_dpg_reverse", 352, "reverse_kl", "reverse_kl", "ReverseKLLoss"),
    "f_dpg_js": lambda: f_dpg("f_dpg_js", 353, "js", "js", "JSLoss"),
    "f_dpg_tv": lambda: f_dpg("f_dpg_tv", 354, "tv", "tv", "TVLoss"),
    "p3o": lambda: p3o("p3o", 361),
    "rebel": lambda: rebel("rebel", 362),
    "onlinedpo": lambda: onlinedpo("onlinedpo", 363, "sigmoid"),
    "onlinedpo_ipo": lambda: onlinedpo("onlinedpo_ipo", 364, "ipo"),
    "hpt": lambda: hpt("hpt", 371, "gate=0.3 likelihood=0.5", 0.3),
    "hpt_rewards": lambda: hpt("hpt_rewards", 372, "gate=-1 likelihood=0.5", -1),
}

if __name__ == "__main__":
    chosen(CASES)
