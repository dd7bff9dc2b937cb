"""Goldens of the rewards: python golden_reward.py [NAME ...]

TRL's reward functions, the objectives of Coste et al.'s own code, GSM8K's own judgement of an answer, and the package
jsonschema. Completions stand as their bytes, which are their tokens.
"""

import json
import os
import random
import re

import h5py
import numpy
import torch

from golden_file import FOLDER, chosen, functions, package, short, write


def rows(texts):
    """Texts as bytes [texts, longest], -1 behind their ends."""
    coded = [text.encode() for text in texts]
    out = numpy.full((len(coded), max(map(len, coded))), -1, dtype=numpy.int32)
    for row, text in zip(out, coded):
        row[:len(text)] = list(text)
    return out


def put(name, method, settings, source, given, reward):
    write(name, "reward", method, "", source, given, {"reward": numpy.array(reward, dtype=float)}, 1e-12)
    with h5py.File(os.path.join(FOLDER, name + ".h5"), "r+") as file:
        file.attrs["settings"] = settings  # with braces and commas as they are


def think():
    from trl.rewards import think_format_reward
    texts = ["<think>\nso\n</think>\nanswer", "<think>\nso\nanswer", "x<think>a</think>", "<think><think>a</think>",
             "<think>a</think>", "<think>a</think>b<think>", "<think>a\n\n</think>\n\n\nb\n", "a\n<think>b</think>"]
    reward = think_format_reward([[{"content": text}] for text in texts])
    put("regex_think", "regex", r"pattern=(?sm)\A<think>(?!.*<think>)(.*?)</think>.*$",
        package("trl", "rewards.think_format_reward"), {"completion": rows(texts)}, reward)


def overlong(name, most, cache):
    from trl.rewards import get_soft_overlong_punishment
    texts = ["x" * count for count in range(1, most + 5)]
    reward = get_soft_overlong_punishment(most, cache)([list(text.encode()) for text in texts])
    put(name, "overlong", f"most={most} cache={cache}", package("trl", "rewards.get_soft_overlong_punishment"),
        {"completion": rows(texts)}, reward)


def ngram(name, n, penalty):
    from trl.rewards import get_repetition_penalty_reward
    draw = random.Random(3)
    texts = ["abcd", "eeeeee", "", "ab"] + ["".join(draw.choice("ab") for _ in range(draw.randint(1, 30)))
                                            for _ in range(20)]
    reward = get_repetition_penalty_reward(n, penalty)([list(text.encode()) for text in texts])
    put(name, "ngram", f"n={n} penalty={penalty}", package("trl", "rewards.get_repetition_penalty_reward"),
        {"completion": rows(texts)}, reward)


def ensemble(name, method, function, settings="", file="src/bon/ensemble_rm.py", **words):
    code, source = functions("tlc4418/llm_optimization", OPTIMIZATION, file, [function], torch=torch, np=numpy)
    scores = short(numpy.random.default_rng(5).standard_normal((4, 12)))
    if file.endswith("ppo_reward_functions.py"):
        reward = code[function](torch.tensor(scores), **words).numpy()
    else:
        reward = [code[function](column, **words) for column in scores.T]
    parts = "of=[" + ",".join(['{"rm":"a"}'] * len(scores)) + "]"
    put(name, method, f"{parts} {settings}".strip(), source,
        {"completion": rows(["x"] * scores.shape[1]), "given": scores}, reward)


def gsm8k():
    """GSM8K reads the number behind ####; such completions end with it, so that it is the last one too."""
    file = "grade_school_math/dataset.py"
    code, source = functions("openai/grade-school-math", SCHOOL, file, ["extract_answer", "is_correct"], re=re,
                             ANS_RE=re.compile(r"#### (\-?[0-9\.\,]+)"), INVALID_ANS="[invalid]")
    texts, answers = [], []
    for said, right in (("72", "72"), ("7", "72"), ("-3", "-3"), ("3", "-3"), ("1,000", "1000"), ("1,000", "1,001"),
                        ("0.5", "0.5"), ("12,345,678", "12345678"), ("5", "6")):
        texts.append(f"He has 3 + 4 = 7 apples and 2-1 left.\n#### {said}")
        answers.append(f"Natalia sold 48/2 = 24.\n#### {right}")
    reward = [float(code["is_correct"](text, {"answer": answer})) for text, answer in zip(texts, answers)]
    put("equalnumber", "equalnumber", "", source, {"completion": rows(texts), "column": rows(answers)}, reward)


SCHEMAS = {
    "object": {"type": "object", "required": ["name", "age"], "additionalProperties": False,
               "properties": {"name": {"type": "string", "minLength": 2, "maxLength": 4},
                              "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
                              "tags": {"type": "array", "items": {"enum": ["a", "1", 1, None, True]},
                                       "minItems": 1, "maxItems": 3},
                              "size": {"type": ["number", "null"], "exclusiveMinimum": 0.5, "maximum": 2}}},
    "list": {"type": "array", "items": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}},
}
VALUES = ['{"name": "Ann", "age": 3}', '{"name": "Ann"}', '{"name": "A", "age": 3}', '{"name": "Anabel", "age": 3}',
          '{"name": "\u00e4\u00f6\u00fc\u00df", "age": 3}', '{"name": "Ann", "age": 3.0}', '{"name": "Ann", "age": 3.5}',
          '{"name": "Ann", "age": 150}', '{"name": "Ann", "age": 149, "tags": ["a", 1, null]}',
          '{"name": "Ann", "age": 1, "tags": ["1", true]}', '{"name": "Ann", "age": 1, "tags": []}',
          '{"name": "Ann", "age": 1, "tags": ["a", "a", "a", "a"]}', '{"name": "Ann", "age": 1, "tags": ["b"]}',
          '{"name": "Ann", "age": 1, "size": null}', '{"name": "Ann", "age": 1, "size": 0.5}',
          '{"name": "Ann", "age": 1, "size": 2}', '{"name": "Ann", "age": 1, "more": 2}', '[]', '[{"x": 1}]',
          '[{"x": 1}, {"y": 1}]', '[{"x": "1"}]', '[{"x": 1, "y": 2}, {"x": 2.5}]', '[1]', '"text"', "3", "null",
          "{", "no JSON", ""]


def schema(name):
    import jsonschema
    validator = jsonschema.Draft202012Validator(SCHEMAS[name])

    def judge(text):
        try:
            return float(validator.is_valid(json.loads(text)))
        except json.JSONDecodeError:
            return 0.0
    put(f"jsonschema_{name}", "jsonschema", "schema=" + json.dumps(SCHEMAS[name], separators=(",", ":")),
        package("jsonschema", "Draft202012Validator"), {"completion": rows(VALUES)}, list(map(judge, VALUES)))


OPTIMIZATION, SCHOOL = "416b03cc2c3c8125208679acd88891584d9eefd2", "3101c7d5072418e28b9008a6636bde82a006892c"

CASES = {
    "regex_think": think,
    "overlong": lambda: overlong("overlong", 20, 6),
    "overlong_hard": lambda: overlong("overlong_hard", 9, 0),
    "ngram": lambda: ngram("ngram", 3, -1.0),
    "ngram_pairs": lambda: ngram("ngram_pairs", 2, -0.5),
    "ensemble_mean": lambda: ensemble("ensemble_mean", "mean", "mean_objective_function"),
    "ensemble_wco": lambda: ensemble("ensemble_wco", "wco", "worst_case_optimization"),
    "ensemble_uwo": lambda: ensemble("ensemble_uwo", "uwo", "uncertainty_weighted_optimization", "lambda=0.25",
                                     coeff=0.25),
    "ensemble_uwo_ppo": lambda: ensemble("ensemble_uwo_ppo", "uwo", "uncertainty_weighted_optimization",
                                         "lambda=0.25 unbiased=true",
                                         "src/reward_modeling/scoring/ppo_reward_functions.py", coeff=0.25),
    "equalnumber": gsm8k,
    "jsonschema_object": lambda: schema("object"),
    "jsonschema_list": lambda: schema("list"),
}

if __name__ == "__main__":
    chosen(CASES)
