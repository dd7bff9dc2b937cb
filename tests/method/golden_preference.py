"""Records DPO and SimPO on a tiny Llama with TRL's own trainers: DPOTrainer.compute_loss (loss_type sigmoid) and CPOTrainer's
get_batch_logps and cpo_loss (loss_type simpo, cpo_alpha 0). For the same weights and tokens: log-probabilities, rewards,
loss and the gradient of every tensor. Label smoothing of DPO and the hinge form of SimPO, which these trainers lack, are
CPOTrainer.cpo_loss with loss_type sigmoid on log-ratios, and with loss_type hinge on log-probabilities from which
gamma / beta is taken. Needs torch, transformers, trl, datasets, numpy, h5py.

    python golden_preference.py golden
"""
import os
import sys
import tempfile
from types import SimpleNamespace

import h5py
import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer
from trl.experimental.cpo import CPOTrainer

import golden_model

PROMPTS, CHOSEN, REJECTED = [3, 1, 5], [4, 6, 2], [7, 2, 3]  # tokens of each part, by pair
PAD = 0
LABEL_SMOOTHING = 0.1


def make_model(seed):
    return golden_model.randomise(golden_model.llama(tied=True).double(), seed)


def names(take):
    out = golden_model.names_llama(lambda n: take("model.embed_tokens.weight" if n == "lm_head.weight" else n))
    del out["head.weight"]
    return out


def batch(seed):
    """The collator's form: all chosen, then all rejected, padded on the right; the mask is 1 on completions."""
    torch.manual_seed(seed)
    prompts = [torch.randint(0, golden_model.VOCABULARY, (n,)) for n in PROMPTS]
    rows = []
    for lengths in (CHOSEN, REJECTED):
        rows += [(p, torch.randint(0, golden_model.VOCABULARY, (n,))) for p, n in zip(prompts, lengths)]
    width = max(len(p) + len(c) for p, c in rows)
    ids, attention, completion = (torch.full((len(rows), width), f) for f in (PAD, 0, 0))
    for i, (p, c) in enumerate(rows):
        ids[i, :len(p) + len(c)] = torch.cat((p, c))
        attention[i, :len(p) + len(c)] = 1
        completion[i, len(p):len(p) + len(c)] = 1
    return dict(input_ids=ids, attention_mask=attention, completion_mask=completion)


def in_turn(rows):
    """chosen 0, rejected 0, chosen 1, ...: Cohort's order of sequences."""
    pairs = len(rows) // 2
    return [rows[side * pairs + pair] for pair in range(pairs) for side in (0, 1)]


def write_tokens(group, data):
    lists = {k: [] for k in ("tokens", "targets", "positions", "segments")}
    order = in_turn(list(range(len(data["input_ids"]))))
    for segment, i in enumerate(order):
        n = int(data["attention_mask"][i].sum())
        ids, scored = data["input_ids"][i, :n].numpy(), data["completion_mask"][i, :n].numpy()
        lists["tokens"].append(ids)
        lists["targets"].append(np.append(np.where(scored[1:] == 1, ids[1:], -1), -1))
        lists["positions"].append(np.arange(n))
        lists["segments"].append(np.full(n, segment))
    for name, parts in lists.items():
        group[name] = np.concatenate(parts).astype(np.int32)
    group["lengths"] = data["completion_mask"][order].sum(1).numpy().astype(np.float64)


def write_tensors(group, prefix, model, of):
    parameters = dict(model.named_parameters())
    for name, array in names(lambda n: of(parameters[n]).numpy()).items():
        group[prefix + name] = array.astype(np.float32)


def per_token(model, data):
    """Log-probabilities of the completions' tokens, zeros elsewhere, ragged as the tokens."""
    with torch.no_grad():
        logits = model(input_ids=data["input_ids"], attention_mask=data["attention_mask"]).logits
    rows = torch.log_softmax(logits.double(), -1)[:, :-1].gather(2, data["input_ids"][:, 1:, None])[..., 0]
    rows = rows * data["completion_mask"][:, 1:]
    lengths = data["attention_mask"].sum(1)
    return np.concatenate([np.append(r[:n - 1].numpy(), 0) for r, n in in_turn(list(zip(rows, lengths)))])


def cpo(**settings):
    return SimpleNamespace(alpha=0.0, cpo_alpha=0.0, accelerator=SimpleNamespace(device="cpu"), **settings)


def write_loss_alone(group, loss, policy):
    """Per-pair loss of summed log-probabilities and its gradient: `loss` maps (chosen, rejected) to TRL's losses."""
    leaves = [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in policy]
    losses = loss(*leaves)
    losses.sum().backward()
    group["loss"] = losses.detach().numpy()
    group["gradient_chosen"], group["gradient_rejected"] = leaves[0].grad.numpy(), leaves[1].grad.numpy()


def tokenizer():
    words = {f"w{i}": i for i in range(golden_model.VOCABULARY - 1)} | {"</s>": golden_model.VOCABULARY - 1}
    words = Tokenizer(models.WordLevel(words, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="</s>")


def dpo(file, folder):
    beta = 0.3
    model, reference = make_model(11), make_model(12)
    with torch.no_grad():  # a reference near the policy, so that the sigmoid is not saturated
        for p, r in zip(model.parameters(), reference.parameters()):
            r.copy_((0.9 * p + 0.1 * r))
    config = DPOConfig(output_dir=folder, report_to=[], use_cpu=True, bf16=False, beta=beta, loss_type=["sigmoid"],
                       gradient_checkpointing=False, max_length=golden_model.CONTEXT)
    rows = Dataset.from_list([dict(prompt="w1 w2", chosen=" w3", rejected=" w4")] * 3)
    trainer = DPOTrainer(model=model, ref_model=reference, args=config, train_dataset=rows,
                         processing_class=tokenizer())
    data = batch(13)
    write_tokens(file, data)
    write_tensors(file, "parameters/", model, lambda p: p.detach())
    write_tensors(file, "reference/", reference, lambda p: p.detach())
    loss = trainer.compute_loss(trainer.model, data)
    loss.backward()
    write_tensors(file, "gradients/", model, lambda p: p.grad)
    file["loss"] = np.array([loss.item()])
    file["beta"], file["label_smoothing"] = np.array([beta]), np.array([LABEL_SMOOTHING])
    file["log_probability"], file["reference_log_probability"] = per_token(model, data), per_token(reference, data)
    metrics = trainer._metrics["train"]
    file["mean_rewards"] = np.array([metrics["rewards/chosen"][0], metrics["rewards/rejected"][0]])
    smooth = cpo(beta=beta, label_smoothing=LABEL_SMOOTHING, loss_type="sigmoid")
    sums = {"policy_chosen": [-9.0, -3.5, -12.0], "policy_rejected": [-8.0, -6.0, -11.0],
            "reference_chosen": [-9.5, -3.0, -14.0], "reference_rejected": [-8.5, -5.0, -7.0]}
    group = file.create_group("smoothed")
    for name, values in sums.items():
        group[name] = np.array(values)
    chosen, rejected = torch.tensor(sums["reference_chosen"]).double(), torch.tensor(sums["reference_rejected"]).double()
    write_loss_alone(group, lambda a, b: CPOTrainer.cpo_loss(smooth, a - chosen, b - rejected)[0],
                     (sums["policy_chosen"], sums["policy_rejected"]))
    print("dpo loss", loss.item())


def simpo(file):
    beta, gamma = 2.0, 1.1
    model = make_model(21)
    data = batch(22)
    write_tokens(file, data)
    write_tensors(file, "parameters/", model, lambda p: p.detach())
    labels = data["input_ids"].masked_fill(data["completion_mask"] == 0, -100)
    logits = model(input_ids=data["input_ids"], attention_mask=data["attention_mask"]).logits
    means = CPOTrainer.get_batch_logps(logits, labels, average_log_prob=True)
    settings = cpo(beta=beta, simpo_gamma=gamma, label_smoothing=LABEL_SMOOTHING, loss_type="simpo")
    losses, chosen, rejected = CPOTrainer.cpo_loss(settings, *means.chunk(2))
    losses.mean().backward()
    write_tensors(file, "gradients/", model, lambda p: p.grad)
    file["loss"] = np.array([losses.mean().item()])
    file["beta"], file["gamma"] = np.array([beta]), np.array([gamma])
    file["label_smoothing"] = np.array([LABEL_SMOOTHING])
    file["log_probability"] = per_token(model, data)
    file["mean_rewards"] = np.array([chosen.mean().item(), rejected.mean().item()])
    sums = {"policy_chosen": [-9.0, -3.5, -12.0], "policy_rejected": [-8.0, -6.0, -44.0],
            "length_chosen": [4.0, 6.0, 3.0], "length_rejected": [7.0, 2.0, 3.0]}
    group = file.create_group("hinge")
    for name, values in sums.items():
        group[name] = np.array(values)
    lengths = [torch.tensor(sums[n]).double() for n in ("length_chosen", "length_rejected")]
    hinge = cpo(beta=beta, label_smoothing=0.0, loss_type="hinge")
    write_loss_alone(group, lambda a, b: CPOTrainer.cpo_loss(hinge, a / lengths[0] - gamma / beta, b / lengths[1])[0],
                     (sums["policy_chosen"], sums["policy_rejected"]))
    print("simpo loss", losses.mean().item())


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with h5py.File(os.path.join(sys.argv[1], "preference_dpo.h5"), "w") as out, tempfile.TemporaryDirectory() as scratch:
        dpo(out, scratch)
    with h5py.File(os.path.join(sys.argv[1], "preference_simpo.h5"), "w") as out:
        simpo(out)
