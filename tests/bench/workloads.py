"""The workloads: their configs, and data that both sides see in the same order."""
import argparse
import gzip
import json
import os
import re
from dataclasses import dataclass, field

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
FASHION = "/usr/share/datasets/fashion-mnist"


@dataclass
class Workload:
    """What the driver must know besides the config workloads/<config>.yaml."""
    name: str
    title: str
    warm_up: int = 0
    steps: int = 0          # that are timed
    vocabulary: int = 0
    samples: int = 0        # of the data set
    kind: str = "train"     # train, update, generate
    peers: tuple = ("eager", "fused", "compile+fused")
    llmc: bool = False
    config_name: str = ""
    batch: int = 1          # generate: sequences
    limit: int = 900        # seconds that a run may take at most, preparation and compilers included
    config: dict = field(default_factory=dict)

    @property
    def config_path(self):
        return os.path.join(HERE, "workloads", (self.config_name or self.name) + ".yaml")

    @property
    def ranks(self):
        """Whether two ranks can share it."""
        return self.kind == "train" and self.config.get("lanes") != 1


COMPILED = ("eager", "fused", "compile+fused", "compile+step")
IMAGES = ("eager", "fused", "fused+last", "compile+fused", "compile+fused+last")
WRITERS = ("eager", "compile", "compile+freeze")
ALL = (
    Workload("a256", "GPT-2 124M, batch 4, T 256", 2, 6, 50257, 64, llmc=True, limit=1800),
    Workload("a1024", "GPT-2 124M, batch 4, T 1024", 2, 4, 50257, 32, llmc=True, limit=3600),
    Workload("b", "GPT 10M, batch 16, T 256", 2, 12, 8192, 512),
    Workload("c", "GPT 0.8M, batch 16, T 128", 10, 60, 512, 2048, peers=COMPILED),
    Workload("d", "Fashion-MNIST CNN, batch 64", 20, 100, 0, 4096, peers=(*IMAGES, "compile+step")),
    Workload("e", "ResNet-20 GroupNorm, batch 128", 2, 10, 0, 1024, peers=IMAGES),
    Workload("f", "MLP 784-200-10, batch 32", 100, 1000, 0, 2048, peers=COMPILED),
    Workload("g", "AdamW alone, 124M parameters", 3, 10, kind="update", peers=("eager", "foreach", "fused")),
    Workload("h1", "generation, GPT-2 124M, batch 1", 0, 128, 50257, 8, kind="generate", peers=WRITERS,
             config_name="h", batch=1),
    Workload("h16", "generation, GPT-2 124M, batch 16", 0, 128, 50257, 8, kind="generate", peers=WRITERS,
             config_name="h", batch=16),
)
PROMPT = 64
VARIANTS = tuple(dict.fromkeys(variant for workload in ALL for variant in workload.peers))


def find(name):
    for workload in ALL:
        if workload.name == name:
            workload.config = read_config(workload.config_path)
            return workload
    raise SystemExit(f"no workload {name}; there are {', '.join(w.name for w in ALL)}")


def names_of(choices):
    """A type of argument for argparse: names joined by commas, of which each must be a choice."""
    def read(text):
        names = text.split(",") if text else []
        unknown = [name for name in names if name not in choices]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no '{unknown[0]}'; choose from {', '.join(choices)}")
        return names
    return read


def read_config(path):
    """The configs of workloads/ hold one key a line, with a scalar or a {map}; names are quoted and JSON reads the rest."""
    config = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            key, value = line.split(":", 1)
            config[key] = json.loads(re.sub(r"(?<![\w.+-])([A-Za-z_]\w*)", r'"\1"', value))
    return config


# Cohort's random numbers (src/base/random.h): Philox4x32-10, keys derived by names and numbers.
DERIVE_NUMBER, DERIVE_CHUNK, DERIVE_NAME = (0xFFFFFFFF00000000 + i for i in (1, 2, 3))
PERMUTE = 0xFFFFFFFF10000000


def philox(key, high, low):
    """Four words for every counter of the array `low`."""
    low = numpy.atleast_1d(numpy.asarray(low, dtype=numpy.uint64))
    mask, shift = numpy.uint64(0xFFFFFFFF), numpy.uint64(32)
    x = [low & mask, low >> shift, numpy.full_like(low, high & 0xFFFFFFFF), numpy.full_like(low, high >> 32)]
    k0, k1 = key
    for _ in range(10):
        first, second = numpy.uint64(0xD2511F53) * x[0], numpy.uint64(0xCD9E8D57) * x[2]
        x = [(second >> shift) ^ x[1] ^ numpy.uint64(k0), second & mask,
             (first >> shift) ^ x[3] ^ numpy.uint64(k1), first & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x


def derive(key, domain, number):
    words = philox(key, domain, number)
    return int(words[0][0]), int(words[1][0])


def derive_name(key, name):
    data = name.encode()
    for start in range(0, len(data), 8):
        key = derive(key, DERIVE_CHUNK, int.from_bytes(data[start:start + 8], "little"))
    return derive(key, DERIVE_NAME, len(data))


def permute(key, size, position):
    half = 1
    while (size - 1) >> (2 * half):
        half += 1
    bits, mask = numpy.uint64(half), numpy.uint64((1 << half) - 1)
    value = numpy.asarray(position, dtype=numpy.uint64).copy()
    outside = numpy.ones(value.shape, dtype=bool)
    while outside.any():
        left, right = value[outside] >> bits, value[outside] & mask
        for turn in range(8):
            left, right = right, left ^ (philox(key, PERMUTE + turn, right)[0] & mask)
        value[outside] = left << bits | right
        outside = value >= size
    return value.astype(numpy.int64)


def sampler_key(seed=1):
    return derive_name((seed & 0xFFFFFFFF, seed >> 32), "sampler")


def order_of(samples, count):
    """The samples that Cohort draws, one after another."""
    key, parts = sampler_key(), []
    for epoch in range((count + samples - 1) // samples):
        parts.append(permute(derive(key, DERIVE_NUMBER, epoch), samples, numpy.arange(samples)))
    return numpy.concatenate(parts)[:count]


def shift_of(context):
    """By how many tokens the first epoch's cuts are shifted."""
    word = int(philox(derive_name(sampler_key(), "shift"), 0, 0)[0][0])
    return (word * context) >> 32


def words_of(vocabulary):
    """A tokenizer whose every merge makes one word of a space and small letters: text of any tokens can be written."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    texts, merges, level = [], [], [(" ", ord(" "))]
    while True:
        following = []
        for text, token in level:
            for letter in letters:
                if len(texts) == vocabulary - 257:
                    return texts, merges
                following.append((text + letter, 256 + len(texts)))
                texts.append(text + letter)
                merges.append([token, ord(letter)])
        level = following


def texts_of(output, prompt, count):
    """What `cohort generate` wrote after the prompt, in each of its texts."""
    parts = [output] if count == 1 else re.split(r"^== \d+\n", output, flags=re.MULTILINE)[1:]
    return [part.removeprefix(prompt).removesuffix("\n") for part in parts]


def common_tokens(text, tokens, vocabulary):
    """How many of the tokens, from the first on, stand in the text; all only when nothing follows them."""
    words = words_of(vocabulary)[0]
    data, at = text.encode(errors="surrogateescape"), 0
    for number, token in enumerate(tokens):
        if token < 256:
            piece = bytes([token])
        else:
            piece = words[token - 256].encode() if token - 256 < len(words) else b""  # the last one ends a text
        if not data.startswith(piece, at):
            return number
        at += len(piece)
    return len(tokens) if at == len(data) else len(tokens) - 1


def language_data(workload, folder):
    """Text, tokenizer and the sequences in Cohort's order; half of the tokens follow from the one before."""
    vocabulary, context = workload.vocabulary, next(iter(workload.config["model"].values()))["context"]
    texts, merges = words_of(vocabulary)
    random = numpy.random.default_rng(1)
    count = (workload.samples + 1) * context + 1
    follower = random.permutation(len(texts))
    drawn = (len(texts) * random.random(count) ** 3).astype(numpy.int64)
    follows = random.random(count) < 0.5
    tokens = drawn.copy()
    for i in range(1, count):
        if follows[i]:
            tokens[i] = follower[tokens[i - 1]]
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump({"kind": "byte_bpe", "vocabulary": vocabulary, "merges": merges}, file, separators=(",", ":"))
    with open(os.path.join(folder, "text.txt"), "w", encoding="utf-8") as file:
        file.write("".join(texts[t] for t in tokens))
    tokens += 256
    shift = shift_of(context)
    x = numpy.stack([tokens[shift + s * context:shift + (s + 1) * context + 1] for s in range(workload.samples)])
    prompt = tokens[:PROMPT]
    overrides = [f"data.text={folder}/text.txt", f"data.tokenizer={folder}/tokenizer.json", "data.validation_share=0"]
    return {"x": x.astype(numpy.int64), "prompt": prompt}, overrides, "".join(texts[t - 256] for t in prompt)


def read_idx(path, header):
    with gzip.open(path) as file:
        return numpy.frombuffer(file.read()[header:], dtype=numpy.uint8)


def image_data(workload, folder):
    """Fashion-MNIST for the CNN and the MLP; patterns with noise for the ResNet."""
    import h5py
    n = workload.samples
    if workload.name == "e":
        random = numpy.random.default_rng(1)
        y = random.integers(0, 10, n)
        patterns = random.standard_normal((10, 32, 32, 3))
        x = (0.3 * patterns[y] + random.standard_normal((n, 32, 32, 3))).astype(numpy.float32)
    else:
        images = read_idx(f"{FASHION}/train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:n]
        y = read_idx(f"{FASHION}/train-labels-idx1-ubyte.gz", 8)[:n]
        x = images.astype(numpy.float32) / numpy.float32(255)
        x = x.reshape(n, 784) if workload.name == "f" else x.reshape(n, 28, 28, 1)
    with h5py.File(os.path.join(folder, "data.h5"), "w") as file:
        file["x"] = x
        file["y"] = y.astype(numpy.int32)
    return {"x": x, "y": y.astype(numpy.int64)}, [f"data.train={folder}/data.h5"], ""


def make_data(workload, folder, steps):
    """Writes data for both sides; returns what the peers get, Cohort's overrides and the prompt's text."""
    batch = workload.config.get("batch", 1)
    if workload.vocabulary:  # one epoch, as every epoch is cut elsewhere
        workload.samples = max(workload.samples, steps * batch)
    make = language_data if workload.vocabulary else image_data
    arrays, overrides, prompt = make(workload, folder)
    arrays["order"] = order_of(workload.samples, steps * batch).reshape(steps, batch)
    return arrays, overrides, prompt
