#!/usr/bin/env python3
"""The peer of tests/bench/alignment: one of TRL's trainers on a GPT-2 of Hugging Face's, on the same lines. Prints JSON: CPU
seconds a step (user and system, of the process, between the ends of steps) and the peak of resident memory.

  peer_trl.py METHOD DATA.jsonl SIZE STEPS [key=value ...]      needs trl 1.16, torch 2.13, transformers, datasets, tokenizers

One thread. A token is a character, as bytes are of Cohort's tokenizer on ASCII. Key: precompute."""
import json
import os
import resource
import sys
import tempfile

os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", TRL_EXPERIMENTAL_SILENCE="1")
import torch  # noqa: E402

torch.set_num_threads(1)
from datasets import Dataset  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import GPT2Config, GPT2LMHeadModel, GPT2ForSequenceClassification  # noqa: E402
from transformers import PreTrainedTokenizerFast, TrainerCallback  # noqa: E402

WARM_UP = 2


def tokenizer():
    words = {chr(i): i for i in range(256)}
    words["<end>"] = 256
    inner = Tokenizer(models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<end>")


class Clock(TrainerCallback):
    def __init__(self):
        self.ends = []

    def on_step_end(self, *_, **__):
        times = os.times()
        self.ends.append(times.user + times.system)


def network(size, words, folder, scores=False):
    """A folder: trainers load the reference from where the model came."""
    config = GPT2Config(n_layer=size["layers"], n_embd=size["width"], n_head=size["heads"], n_positions=size["context"],
                        vocab_size=words, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, pad_token_id=256, eos_token_id=256,
                        bos_token_id=256, num_labels=1)
    path = os.path.join(folder, "model")
    (GPT2ForSequenceClassification if scores else GPT2LMHeadModel)(config).save_pretrained(path)
    return path


def arguments(method, steps, size, keys, folder):
    common = dict(output_dir=folder, max_steps=steps, per_device_train_batch_size=size["batch"], report_to=[], use_cpu=True,
                  logging_steps=10 ** 6, save_strategy="no", learning_rate=1e-3, lr_scheduler_type="constant", bf16=False,
                  gradient_checkpointing=False, dataloader_num_workers=0, disable_tqdm=True, max_grad_norm=0.0)
    if method != "grpo":
        common["max_length"] = size["context"]
    if "precompute" in keys:
        common["precompute_ref_log_probs"] = True
    return common


def trainer(method, lines, size, steps, keys, clock, folder):
    words = tokenizer()
    common = arguments(method, steps, size, keys, folder)
    data = Dataset.from_list(lines)
    if method == "dpo":
        from trl import DPOConfig, DPOTrainer
        return DPOTrainer(network(size, len(words), folder), args=DPOConfig(beta=0.1, **common), train_dataset=data,
                          callbacks=[clock], processing_class=words)
    if method == "kto":
        from trl import KTOConfig, KTOTrainer
        rows = [{"prompt": a["prompt"], "completion": a[side], "label": side == "chosen"} for a in lines
                for side in ("chosen", "rejected")]
        return KTOTrainer(network(size, len(words), folder), args=KTOConfig(**common), train_dataset=Dataset.from_list(rows),
                          callbacks=[clock], processing_class=words)
    if method == "rm":
        from trl import RewardConfig, RewardTrainer
        return RewardTrainer(network(size, len(words), folder, True), args=RewardConfig(**common), train_dataset=data,
                             callbacks=[clock], processing_class=words)
    if method == "sft":
        from trl import SFTConfig, SFTTrainer
        rows = [{"prompt": a["prompt"], "completion": a["chosen"]} for a in lines]
        return SFTTrainer(network(size, len(words), folder), args=SFTConfig(**common), train_dataset=Dataset.from_list(rows),
                          callbacks=[clock], processing_class=words)
    from trl import GRPOConfig, GRPOTrainer
    common["per_device_train_batch_size"] = size["batch"] * size["group"]
    config = GRPOConfig(num_generations=size["group"], max_completion_length=size["completion"], beta=0.0, **common)
    return GRPOTrainer(network(size, len(words), folder), args=config, callbacks=[clock], processing_class=words,
                       reward_funcs=lambda completions, **_: [float("lord" in c) for c in completions],
                       train_dataset=Dataset.from_list([{"prompt": a["prompt"]} for a in lines]))


def main():
    method, path, size, steps = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    torch.manual_seed(1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer(method, lines, size, WARM_UP + steps, sys.argv[5:], clock, folder).train()
    seconds = (clock.ends[-1] - clock.ends[WARM_UP - 1]) / (len(clock.ends) - WARM_UP)
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
