"""Goldens of decoding: python golden_decoding.py

What transformers' generation makes of rows of logits: the processors that a model's `generate` puts together itself, in
its order, and the softmax of what they leave. Logits have few digits; at top_k and top_p's threshold there are no equal
ones, but for one row of top_k, whose equal logits all stay.
"""

import json
import os

import numpy
import torch
import transformers

VOCABULARY = 60
CASES = [{}, {"temperature": 0.7}, {"temperature": 1.8}, {"top_k": 5}, {"top_k": 1}, {"top_k": 1000}, {"top_p": 0.5},
         {"top_p": 0.95}, {"top_p": 0.01}, {"min_p": 0.1}, {"min_p": 0.9}, {"repetition_penalty": 1.3},
         {"repetition_penalty": 0.8}, {"temperature": 0.8, "top_k": 20, "top_p": 0.8},
         {"temperature": 1.5, "top_k": 30, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.2}]


def processors(model, case):
    config = transformers.GenerationConfig(do_sample=True, **({"temperature": 1.0, "top_k": 0, "top_p": 1.0} | case))
    return model._get_logits_processor(config, input_ids_seq_length=1, device="cpu")


def main():
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=8, n_layer=1, n_head=1))
    random = numpy.random.default_rng(7)
    out = []
    for number, case in enumerate(CASES):
        logits = numpy.round(random.standard_normal(VOCABULARY) * 3 * 65536) / 65536
        if case == {"top_k": 5}:
            logits[10] = logits[11] = numpy.sort(logits)[-5]  # the fifth, thrice
        text = random.integers(0, VOCABULARY, 12)
        scores = torch.tensor(logits, dtype=torch.float32)[None]
        for processor in processors(model, case):
            scores = processor(torch.tensor(text)[None], scores)
        out.append({"settings": case, "logits": logits.tolist(), "text": text.tolist(),
                    "probability": torch.softmax(scores.double(), -1)[0].tolist()})
    source = f"transformers=={transformers.__version__}:GenerationMixin._get_logits_processor"
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "decoding.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"source": source, "cases": out}, file, separators=(",", ":"))
        file.write("\n")
    print(source, len(out))


main()
