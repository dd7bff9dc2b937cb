"""Writes golden/models/NAME: a tiny model of every architecture that `cohort convert` knows, as Hugging Face transformers
saves it, with the logits that transformers computes in float64 (expected.h5), and, as the weights of a second folder of the
same form (gradients/), the gradient of the mean cross-entropy with respect to every tensor. Nothing of a model is retyped:
tensors keep the names and shapes that transformers gives them. Needs torch, transformers, peft, gguf, numpy, h5py.

    python golden_models.py golden/models

golden/models/gguf_NAME holds a GGUF that llama.cpp's own Python package `gguf` writes (GGUFWriter, quants.quantize), with
tensors of every type that is read; transformers reads it (gguf_file=...), which dequantises and puts the rows of Llama's
heads in its own order, and gives the logits.
"""
import os
import shutil
import sys

import gguf
import h5py
import numpy as np
import peft
import torch
import transformers
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM)

VOCABULARY, WIDTH, LENGTH = 17, 8, 12
LLAMA_LIKE = dict(vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=12, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=64, attn_implementation="eager")
GPT2_LIKE = dict(vocab_size=VOCABULARY, n_positions=16, n_embd=WIDTH, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
                 attn_implementation="eager")
PLAIN = {"rope_type": "default", "rope_theta": 500.0}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 1000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}

MODELS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(activation_function="gelu_new", **GPT2_LIKE)),
    "gpt2_exact": lambda: GPT2LMHeadModel(GPT2Config(activation_function="gelu", **GPT2_LIKE)),
    "llama2": lambda: LlamaForCausalLM(LlamaConfig(rope_parameters=PLAIN, **LLAMA_LIKE)),
    "llama3": lambda: LlamaForCausalLM(LlamaConfig(rope_parameters=LLAMA3, tie_word_embeddings=True, attention_bias=True, head_dim=12,
                                                   **LLAMA_LIKE)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(rope_parameters=PLAIN, tie_word_embeddings=True, **LLAMA_LIKE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(rope_parameters=PLAIN, head_dim=6, **LLAMA_LIKE)),
}


def randomise(model, seed):
    """Values at which every part matters: gains near 1, biases and matrices not small."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            gain = "norm" in name or "ln_" in name and name.endswith("weight")
            p.copy_(torch.randn_like(p) * (0.1 if p.dim() == 1 else 0.3) + (1 if gain else 0))
    return model.eval()


def exact_rotary(model):
    """Frequencies and angles in float64: transformers computes them in float32 whatever the model's type is."""
    rotary = getattr(getattr(model, "model", None), "rotary_emb", None)
    if rotary is None:
        return
    config = model.config.rope_parameters
    size = rotary.inv_freq.numel()
    exact = config["rope_theta"] ** -(torch.arange(size, dtype=torch.float64) / size)
    scale = rotary.inv_freq.double() / exact  # Llama 3's factors, from transformers itself
    plain = torch.isclose(scale, torch.ones_like(scale), rtol=1e-5)
    stretched = torch.isclose(scale * config.get("factor", 1), torch.ones_like(scale), rtol=1e-5)
    frequency = torch.where(plain, exact, torch.where(stretched, exact / config.get("factor", 1), rotary.inv_freq.double()))

    def forward(x, position_ids):
        angle = position_ids[..., None].double() * frequency
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos(), angle.sin()
    rotary.forward = forward


def write(name, folder, seed):
    shutil.rmtree(folder, ignore_errors=True)
    model = randomise(MODELS[name](), seed)
    model.save_pretrained(folder, max_shard_size="3KB" if name == "qwen3" else "5GB")
    tokens = torch.randint(0, VOCABULARY, (1, LENGTH), generator=torch.Generator().manual_seed(seed + 100))
    model = model.double()
    exact_rotary(model)
    logits = model(tokens).logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], tokens[0, 1:])
    loss.backward()
    with h5py.File(f"{folder}/expected.h5", "w") as file:
        file["tokens"] = tokens.numpy().astype(np.int32)
        file["target"] = np.append(tokens[0, 1:].numpy(), -1)[None].astype(np.int32)
        file["logits"] = logits.detach().numpy()
        file["loss"] = np.array([loss.item()])
        file.attrs["source"] = f"transformers=={transformers.__version__}:{type(model).__name__}, torch=={torch.__version__}"
    gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.copy_(gradients[n])
    model.float().save_pretrained(f"{folder}/gradients")
    for made in ("generation_config.json", "gradients/generation_config.json"):
        if os.path.exists(f"{folder}/{made}"):
            os.remove(f"{folder}/{made}")
    print(name, "loss", loss.item(), sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(folder) for f in files), "bytes")


QUANTS = [gguf.GGMLQuantizationType[name] for name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1")]


def write_gguf(architecture, folder, seed):
    """Shapes by the architecture; a matrix of each type in turn. Any rows are Llama's: the order is what is tested."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    width, hidden, heads, key_heads, size = 32, 64, 4, 2, 8
    random = np.random.default_rng(seed)
    path = f"{folder}/model.gguf"
    out = gguf.GGUFWriter(path, architecture)
    out.add_block_count(1), out.add_embedding_length(width), out.add_feed_forward_length(hidden), out.add_context_length(32)
    out.add_head_count(heads), out.add_vocab_size(VOCABULARY)
    if architecture == "gpt2":
        out.add_layer_norm_eps(1e-5)
    else:
        out.add_head_count_kv(key_heads), out.add_layer_norm_rms_eps(1e-5), out.add_rope_freq_base(500.0)
        out.add_rope_dimension_count(size)
    if architecture == "qwen3":
        out.add_key_length(size), out.add_value_length(size)
    out.add_array("tokenizer.ggml.tokens", [str(i) for i in range(VOCABULARY)])
    vectors = ["attn_norm.weight", "ffn_norm.weight"]
    matrices = {"attn_q": (heads * size, width), "attn_k": (key_heads * size, width), "attn_v": (key_heads * size, width),
                "attn_output": (width, heads * size), "ffn_gate": (hidden, width), "ffn_up": (hidden, width), "ffn_down": (width, hidden)}
    named = {"token_embd.weight": (VOCABULARY, width), "output_norm.weight": (width,)}
    if architecture == "gpt2":
        matrices = {"attn_qkv": (3 * width, width), "attn_output": (width, width), "ffn_up": (hidden, width), "ffn_down": (width, hidden)}
        named |= {"position_embd.weight": (32, width), "output_norm.bias": (width,), "output.weight": (VOCABULARY, width)}
        named |= {f"blk.0.{v[:-6]}bias": (width,) for v in vectors} | {f"blk.0.{m}.bias": (s[0],) for m, s in matrices.items()}
    if architecture == "qwen2":
        named |= {f"blk.0.{m}.bias": (matrices[m][0],) for m in ("attn_q", "attn_k", "attn_v")}
    if architecture == "qwen3":
        named |= {f"blk.0.{m}_norm.weight": (size,) for m in ("attn_q", "attn_k")}
    named |= {f"blk.0.{v}": (width,) for v in vectors} | {f"blk.0.{m}.weight": s for m, s in matrices.items()}
    turn = seed
    for name, shape in named.items():
        values = random.standard_normal(shape).astype(np.float32) * 0.2
        if len(shape) == 1:
            out.add_tensor(name, values + (1 if "norm.weight" in name else 0))
            continue
        if name == "output.weight":  # tied
            values = named_embedding
        quant = QUANTS[0] if name in ("token_embd.weight", "output.weight") else QUANTS[turn % len(QUANTS)]
        turn += 1
        if name == "token_embd.weight":
            named_embedding = values
        out.add_tensor(name, gguf.quants.quantize(values, quant), raw_dtype=quant)
    out.write_header_to_file(), out.write_kv_data_to_file(), out.write_tensors_to_file(), out.close()
    more = {}
    if architecture == "qwen3":  # transformers does not read a head's size from a GGUF
        more["config"] = Qwen3Config(vocab_size=VOCABULARY, hidden_size=width, intermediate_size=hidden, num_hidden_layers=1,
                                     num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=size, rms_norm_eps=1e-5,
                                     max_position_embeddings=32, rope_parameters=PLAIN, tie_word_embeddings=True)
    if architecture == "gpt2":  # nor these sizes
        more["config"] = GPT2Config(vocab_size=VOCABULARY, n_positions=32, n_embd=width, n_layer=1, n_head=heads, n_inner=hidden,
                                    layer_norm_epsilon=1e-5)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", attn_implementation="eager",
                                                              dtype=torch.float32, **more).double().eval()
    tokens = torch.randint(0, VOCABULARY, (1, LENGTH), generator=torch.Generator().manual_seed(seed + 200))
    exact_rotary(model)
    with torch.no_grad():
        logits = model(tokens).logits
    with h5py.File(f"{folder}/expected.h5", "w") as file:
        file["tokens"] = tokens.numpy().astype(np.int32)
        file["logits"] = logits.numpy()
        file.attrs["source"] = f"transformers=={transformers.__version__}:{type(model).__name__} on gguf's file"
    print(architecture, os.path.getsize(path), "bytes")


def write_adapter(base, folder, **kind):
    """Adapters beside a model of this folder, as PEFT saves them, and the logits of both together."""
    shutil.rmtree(folder, ignore_errors=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "gate_proj", "down_proj"], **kind))
    torch.manual_seed(3)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.3)
            if "magnitude" in name:
                p.mul_(1 + 0.2 * torch.randn_like(p))
    adapted.save_pretrained(folder)
    os.remove(f"{folder}/README.md")
    tokens = torch.randint(0, VOCABULARY, (1, LENGTH), generator=torch.Generator().manual_seed(300))
    adapted = adapted.double().eval()
    exact_rotary(adapted.get_base_model())
    with torch.no_grad():
        logits = adapted(tokens).logits
    with h5py.File(f"{folder}/expected.h5", "w") as file:
        file["tokens"] = tokens.numpy().astype(np.int32)
        file["logits"] = logits.numpy()
        file.attrs["source"] = f"peft=={peft.__version__}:PeftModel beside {os.path.basename(base)}"
    print(os.path.basename(folder), sum(os.path.getsize(f"{folder}/{f}") for f in os.listdir(folder)), "bytes")


if __name__ == "__main__":
    for number, each in enumerate(MODELS):
        write(each, os.path.join(sys.argv[1], each), number)
    for number, each in enumerate(("llama", "qwen2", "qwen3", "gpt2")):
        write_gguf(each, os.path.join(sys.argv[1], f"gguf_{each}"), number)
    write_adapter(f"{sys.argv[1]}/qwen2", f"{sys.argv[1]}/peft_lora", use_rslora=True)
    write_adapter(f"{sys.argv[1]}/qwen2", f"{sys.argv[1]}/peft_dora", use_dora=True)
