"""Generation against transformers: python generate.py COHORT [ROUNDS [cpu]]

A batch of 16 prompts of 16 tokens, 128 new tokens each, drawn at temperature 1 and with top_p 0.9, by `cohort generate`
and by a GPT-2 of transformers of the same size with its static cache. Runs take turns; medians of the rounds. Times are
of reading and writing alone: without the start of either program, loading and, for transformers, its first call.
Needs torch and transformers; both sides use all cores. With `cpu`, for a machine that others use too: one thread each, and
seconds of the processor, of `cohort generate` those of the whole program.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import transformers

BATCH, PROMPT, NEW = 16, 16, 128
SIZES = {"0.8M": (4, 128, 4), "10M": (6, 384, 6)}
CPU = sys.argv[3:] == ["cpu"]
CASES = {"temperature 1": [], "top-p 0.9": ["--top-p", "0.9"]}


def train(cohort, folder, layers, width, heads):
    """A run of one step: weights are as they begin."""
    with open(f"{folder}/text.txt", "w") as file:
        file.write("".join(chr(97 + i * i % 23) for i in range(4000)))
    with open(f"{folder}/run.yaml", "w") as file:
        file.write(f"task: language\nsteps: 1\nbatch: 1\nlanes: 1\ndata: {{text: {folder}/text.txt}}\n"
                   f"model: {{gpt: {{style: gpt2, layers: {layers}, width: {width}, heads: {heads}, context: 256}}}}\n")
    subprocess.run([cohort, "train", f"{folder}/run.yaml", f"run={folder}/run"], check=True, capture_output=True)
    with open(f"{folder}/prompts.txt", "w") as file:
        file.write("".join("".join(chr(97 + (i + 3 * j) % 26) for i in range(PROMPT)) + "\n" for j in range(BATCH)))


def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(cohort, folder, words):
    before = spent()
    done = subprocess.run((["taskset", "-c", "0"] if CPU else []) + [cohort, "generate", f"{folder}/run", "--prompts", f"{folder}/prompts.txt", "--tokens", str(NEW),
                           "--batch", str(BATCH), "--temperature", "1", "--ignore-end", *words], check=True,
                          capture_output=True)
    if CPU:
        return spent() - before
    said = done.stderr.decode()
    return sum(float(found) for found in re.findall(r"tokens in ([0-9.]+) s", said))


def theirs(model, ids, words):
    clock = time.process_time if CPU else time.perf_counter
    start = clock()
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0,
                         top_p=float(words[1]) if words else 1.0, max_new_tokens=NEW, min_new_tokens=NEW, pad_token_id=0,
                         cache_implementation="static")
    assert out.shape == (BATCH, PROMPT + NEW)
    return clock() - start


def main():
    cohort, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.manual_seed(1)
    if CPU:
        torch.set_num_threads(1)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {torch.get_num_threads()} threads")
    for size, (layers, width, heads) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            train(cohort, folder, layers, width, heads)
            config = transformers.GPT2Config(vocab_size=256, n_positions=256, n_embd=width, n_layer=layers, n_head=heads,
                                             bos_token_id=0, eos_token_id=None)
            model = transformers.GPT2LMHeadModel(config).eval()
            ids = torch.randint(0, 256, (BATCH, PROMPT))
            for name, words in CASES.items():
                theirs(model, ids, words)
                times = [(ours(cohort, folder, words), theirs(model, ids, words)) for _ in range(rounds)]
                a, b = (statistics.median(column) for column in zip(*times))
                tokens = BATCH * NEW
                print(f"{size} {name}: cohort {a:.3f} s ({tokens / a:.0f} tokens/s), transformers {b:.3f} s "
                      f"({tokens / b:.0f} tokens/s): {b / a:.2f} x", flush=True)


main()
