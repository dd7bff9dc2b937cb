"""Records one training step of a tiny GPT-2 and a tiny Llama as computed by Hugging Face transformers and torch.optim.AdamW
in float64: parameters, tokens, loss, every gradient, every updated tensor. Needs torch, transformers, numpy, h5py.

    python golden_model.py golden/gpt_step.h5
"""
import sys

import h5py
import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

VOCABULARY, WIDTH, LAYERS, HEADS, KEY_HEADS, CONTEXT, HIDDEN = 29, 16, 2, 4, 2, 12, 40
LENGTHS = [9, 12, 4]  # of the sequences; every token but the last of each predicts the next
ADAMW = dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-4, weight_decay=0.1)  # eps: GPT-2's key biases have a gradient of 0, up to rounding


def gpt2():
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_inner=4 * WIDTH,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, layer_norm_epsilon=1e-5, activation_function="gelu_new",
        tie_word_embeddings=True, attn_implementation="eager"))


def llama(tied=False):
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=HIDDEN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, tie_word_embeddings=tied, attention_bias=False,
        mlp_bias=False, attn_implementation="eager"))


def names_gpt2(take):
    """Cohort's name -> array, from `take` (a function of a parameter of transformers' model)."""
    out = {"embedding.weight": take("transformer.wte.weight"), "positions.weight": take("transformer.wpe.weight")}
    for i in range(LAYERS):
        here, there = f"layer{i}.", f"transformer.h.{i}."
        for ours, theirs in (("attention_norm", "ln_1"), ("feed_forward_norm", "ln_2")):
            out[here + ours + ".gain"] = take(there + theirs + ".weight")
            out[here + ours + ".bias"] = take(there + theirs + ".bias")
        weight, bias = take(there + "attn.c_attn.weight"), take(there + "attn.c_attn.bias")
        for k, part in enumerate(("query", "key", "value")):
            out[f"{here}attention.{part}.weight"] = weight[:, k * WIDTH:(k + 1) * WIDTH].T
            out[f"{here}attention.{part}.bias"] = bias[k * WIDTH:(k + 1) * WIDTH]
        for ours, theirs in (("attention.output", "attn.c_proj"), ("feed_forward.up", "mlp.c_fc"),
                             ("feed_forward.down", "mlp.c_proj")):
            out[here + ours + ".weight"] = take(there + theirs + ".weight").T  # stored [in, out] there
            out[here + ours + ".bias"] = take(there + theirs + ".bias")
    out["norm.gain"], out["norm.bias"] = take("transformer.ln_f.weight"), take("transformer.ln_f.bias")
    return out


def names_llama(take):
    out = {"embedding.weight": take("model.embed_tokens.weight")}
    for i in range(LAYERS):
        here, there = f"layer{i}.", f"model.layers.{i}."
        for ours, theirs in (("attention_norm.gain", "input_layernorm"), ("attention.query.weight", "self_attn.q_proj"),
                             ("attention.key.weight", "self_attn.k_proj"), ("attention.value.weight", "self_attn.v_proj"),
                             ("attention.output.weight", "self_attn.o_proj"),
                             ("feed_forward_norm.gain", "post_attention_layernorm"),
                             ("feed_forward.gate.weight", "mlp.gate_proj"), ("feed_forward.up.weight", "mlp.up_proj"),
                             ("feed_forward.down.weight", "mlp.down_proj")):
            out[here + ours] = take(there + theirs + ".weight")
    out["norm.gain"] = take("model.norm.weight")
    out["head.weight"] = take("lm_head.weight")
    return out


def randomise(model, seed):
    """Values at which every part matters: gains near 1, biases and matrices not small."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            gain = "ln_" in name and name.endswith("weight") or "norm" in name
            p.copy_(torch.randn_like(p) * (0.1 if p.dim() == 1 else 0.3) + (1 if gain else 0))
            p.copy_(p.float())  # exact in float32
    return model


def sequences(seed):
    torch.manual_seed(seed)
    return [torch.randint(0, VOCABULARY, (n,)) for n in LENGTHS]


def ragged(tokens):
    """All sequences one after another, as Cohort feeds them: the last token of each predicts nothing."""
    flat = np.concatenate([t.numpy() for t in tokens]).astype(np.int32)
    targets = np.concatenate([np.append(t.numpy()[1:], -1) for t in tokens]).astype(np.int32)
    positions = np.concatenate([np.arange(len(t)) for t in tokens]).astype(np.int32)
    segments = np.concatenate([np.full(len(t), i) for i, t in enumerate(tokens)]).astype(np.int32)
    return dict(tokens=flat, targets=targets, positions=positions, segments=segments)


def record(group, model, names, seed):
    model = randomise(model.double(), seed).train()
    tokens = sequences(seed + 1)
    group.attrs["adamw"] = str(ADAMW)
    for name, array in ragged(tokens).items():
        group[name] = array
    parameters = dict(model.named_parameters())
    for name, array in names(lambda n: parameters[n].detach().numpy()).items():
        group["parameters/" + name] = array.astype(np.float32)
    total, count = 0.0, 0
    log_probability = []
    for t in tokens:  # each sequence by itself: what segments must be equal to
        logits = model(input_ids=t[None]).logits[0, :-1]
        row = torch.log_softmax(logits, -1).gather(1, t[1:, None])[:, 0]
        log_probability.append(np.append(row.detach().numpy(), 0))
        total, count = total - row.sum(), count + len(t) - 1
    loss = total / count
    group["log_probability"] = np.concatenate(log_probability)
    group["loss"] = np.array([loss.item()])
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    loss.backward()
    for name, array in names(lambda n: parameters[n].grad.numpy()).items():
        group["gradients/" + name] = array.astype(np.float32)
    optimizer.step()
    for name, array in names(lambda n: parameters[n].detach().numpy()).items():
        group["updated/" + name] = array.astype(np.float32)
    print(group.name, "loss", loss.item(), "tokens", count)


if __name__ == "__main__":
    with h5py.File(sys.argv[1], "w") as file:
        record(file.create_group("gpt2"), gpt2(), names_gpt2, 1)
        record(file.create_group("llama"), llama(), names_llama, 2)
