"""Compares the ids of `cohort tokenize` with those of the package `tokenizers`, on mixed text of many scripts.

    python tests/bench/tokenizer_ids.py COHORT [--size BYTES] [--speed] [TOKENIZER.json ...]

Without files it trains one tokenizer in each family's configuration with the package itself. A file is taken as it is.
Needs the package `tokenizers`; the tests of every build use what tests/method/golden keeps instead. `--speed` times both
on one thread, medians of five in turn.
"""
import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,  # noqa: E402
                        trainers, __version__)

# Unicode 14's blocks with letters, marks and numbers of many kinds.
RANGES = [(0x20, 0x7F), (0xA0, 0x180), (0x250, 0x2B0), (0x300, 0x370), (0x370, 0x400), (0x400, 0x500), (0x531, 0x590),
          (0x591, 0x5F5), (0x600, 0x700), (0x900, 0x980), (0x980, 0xA00), (0xB80, 0xC00), (0xE01, 0xE5C),
          (0xF00, 0xFD5), (0x10A0, 0x1100), (0x1100, 0x1200), (0x1680, 0x169D), (0x1780, 0x17F0), (0x1E00, 0x2000),
          (0x2000, 0x2070), (0x2070, 0x20A0), (0x20A0, 0x20C0), (0x2100, 0x2190), (0x2190, 0x2300), (0x2460, 0x2500),
          (0x2500, 0x27C0), (0x3000, 0x3100), (0x3100, 0x3130), (0x3200, 0x3400), (0x4E00, 0x5200), (0xA000, 0xA100),
          (0xAC00, 0xAF00), (0xF900, 0xFA00), (0xFB00, 0xFB50), (0xFE30, 0xFE70), (0xFF01, 0xFFA0),
          (0x10330, 0x1034B), (0x1D400, 0x1D500), (0x1F130, 0x1F190), (0x1F300, 0x1F650), (0x1F900, 0x1FA00),
          (0x20000, 0x20100)]
ODD = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2003", "\u200b", "\u200d", "\ufeff", "\x00", "\x1b", "\x7f", "\x85",
       "\u2028", "\u180e", "\u202f", "    ", "\n\n\n", " \n ", "\u0301", "\ufe0f"]
WORDS = ("the of and to in is that for it was on are as with his they be at one have this from by had not but what all we "
         "don't we'll I'm it's THEY'VE can't l'ann\u00e9e na\u00efve stra\u00dfe \u00e5ngstr\u00f6m caf\u00e9 cafe\u0301 \u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u4f60\u597d\u4e16\u754c "
         "\u3053\u3093\u306b\u3061\u306f \uc548\ub155\ud558\uc138\uc694 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0393\u03b5\u03b9\u03b1 transformer tokenization").split()
CODE = ["def f(x):\n    return x ** 2 + 1  # square\n", "for (int i = 0; i < n; i++) {\n\tsum += a[i] * b[i];\n}\n",
        "<div class=\"a\">&amp;</div>\n", "SELECT * FROM t WHERE id = 42;\n", "https://example.org/a?b=c&d=%20#e",
        "{\"key\": [1, 2.5e-3, null, true]}\n", "\\frac{a}{b} $x_{i+1}$", "0xDEADBEEF 1_000_000 3.14159 1,234,567.89 \u00bd \u00b2 \u2167 \u0664\u0662"]
EMOJI = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u2764\ufe0f", "\u263a"]


def mixed(size, seed, special=()):
    """Text of about so many bytes."""
    draw = random.Random(seed)
    parts, total = [], 0
    while total < size:
        kind = draw.random()
        if kind < 0.55:
            part = " ".join(draw.choices(WORDS, k=draw.randint(1, 20))) + draw.choice([".", ",", "!", "?", "\n", " ", ""])
        elif kind < 0.65:
            part = draw.choice(CODE)
        elif kind < 0.72:
            part = "".join(draw.choices(ODD, k=draw.randint(1, 6)))
        elif kind < 0.77:
            part = "".join(draw.choices(EMOJI, k=draw.randint(1, 4)))
        elif kind < 0.85:
            part = str(draw.randint(0, 10 ** draw.randint(1, 14)))
        elif kind < 0.86:
            part = draw.choice(" a\u00e9\u6587=-_\n") * draw.randint(2, 700)
        elif kind < 0.88 and special:
            part = draw.choice(["", " ", "\n", "a"]) + draw.choice(special) + draw.choice(["", " ", "\n", "a"])
        elif kind < 0.9:
            part = "".join(chr(draw.randrange(0, 0x250)) for _ in range(draw.randint(1, 20)))
        else:
            low, high = draw.choice(RANGES)
            part = "".join(chr(draw.randrange(low, high)) for _ in range(draw.randint(1, 12)))
        parts.append(part)
        total += len(part.encode())
    return "".join(parts)


GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = "|".join([r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                  r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                  r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


def byte_level(pre, special, normalizer=None, ignore_merges=False):
    own = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    own.pre_tokenizer = pre
    if normalizer:
        own.normalizer = normalizer
    own.decoder = decoders.ByteLevel()
    return own, trainers.BpeTrainer(vocab_size=3000, special_tokens=special, show_progress=False,
                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def split(expression, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(expression), behavior, invert)


def gpt2():
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])


def roberta():
    own, trainer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    own.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return own, trainer


def llama3():
    pre = pre_tokenizers.Sequence([split(GPT4 % "{1,3}"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    own, trainer = byte_level(pre, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], ignore_merges=True)
    own.post_processor = processors.TemplateProcessing("<|begin_of_text|> $A", None, [("<|begin_of_text|>", 0)])
    return own, trainer


def qwen2():
    pre = pre_tokenizers.Sequence([split(GPT4 % ""), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return byte_level(pre, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())


def smollm():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return byte_level(pre, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def falcon():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
                                   pre_tokenizers.Digits(False), split("[0-9][0-9][0-9]")])
    return byte_level(pre, ["<|endoftext|>"])


def o200k():
    pre = pre_tokenizers.Sequence([split(O200K, "removed", True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return byte_level(pre, ["<|endoftext|>"])


def possessive():
    """cl100k's own spelling."""
    expression = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    pre = pre_tokenizers.Sequence([split(expression, "merged_with_previous"), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)])
    return byte_level(pre, ["<|endoftext|>"], normalizers.NFKC())


def bare(special):
    return trainers.BpeTrainer(vocab_size=3000, special_tokens=special, show_progress=False)


def with_bytes(own, trainer):
    """The bytes that a SentencePiece vocabulary has."""
    trainer.special_tokens = trainer.special_tokens + [AddedToken(f"<0x{b:02X}>", normalized=False, special=False) for b in range(256)]
    return own, trainer


def llama2():
    own = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    own.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    own.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    own.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    return with_bytes(own, bare(["<unk>", "<s>", "</s>"]))


def llama2_new():
    """legacy: false."""
    own, trainer = llama2()
    own.normalizer = normalizers.Sequence([])
    own.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", "first", False)
    return own, trainer


def gemma():
    own, trainer = llama2()
    own.normalizer = normalizers.Replace(" ", "\u2581")
    own.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous", False)
    own.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return own, trainer


def metaspace_unknown():
    own = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    own.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()])
    own.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", "always", True)
    own.decoder = decoders.Metaspace("\u2581", "always", True)
    return own, bare(["<unk>", "<s>", "</s>"])


def words():
    own = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, end_of_word_suffix="</w>"))
    own.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
    own.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    own.decoder = decoders.BPEDecoder("</w>")
    trainer = trainers.BpeTrainer(vocab_size=3000, special_tokens=["<unk>"], show_progress=False, end_of_word_suffix="</w>")
    return own, trainer


FAMILIES = [gpt2, roberta, llama3, qwen2, smollm, falcon, o200k, possessive, llama2, llama2_new, gemma, metaspace_unknown, words]


def make(family, folder, size=400000):
    own, trainer = family()
    own.train_from_iterator(mixed(size, 1).splitlines(keepends=True), trainer)
    own.add_special_tokens(["<|user|>", AddedToken("<|pad|>", lstrip=True, rstrip=True, special=True, normalized=False)])
    own.add_tokens([AddedToken("strange", single_word=True), AddedToken("  ", normalized=False), AddedToken("Hello Caf\u00e9", normalized=True)])
    path = os.path.join(folder, family.__name__ + ".json")
    own.save(path)
    return path


def cohort_ids(program, path, text, *flags):
    done = subprocess.run([program, "tokenize", "-", "--with", path, "--ids", *flags], input=text, capture_output=True)
    if done.returncode:
        return done.stderr.decode()
    return [int(i) for i in done.stdout.split()]


def first_difference(own, text, ours, theirs):
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    offsets = own.encode(text, add_special_tokens=False).offsets
    start = offsets[max(0, at - 3)][0] if offsets else 0
    return (f"at token {at}: {[own.id_to_token(i) for i in ours[at - 2:at + 4]]} for "
            f"{[own.id_to_token(i) for i in theirs[at - 2:at + 4]]}, text {text[start:start + 30]!r}")


def compare(program, path, size, seed):
    own = Tokenizer.from_file(path)
    own.no_truncation()
    own.no_padding()
    special = [t.content for t in own.get_added_tokens_decoder().values()]
    text = mixed(size, seed, special)
    data = text.encode()
    faults = []
    for flags, template, plain in [((), False, False), (("--template",), True, False), (("--plain",), False, True)]:
        own.encode_special_tokens = plain
        theirs = own.encode(text, add_special_tokens=template).ids
        ours = cohort_ids(program, path, data, *flags)
        if isinstance(ours, str):
            faults.append(ours.strip())
        elif ours != theirs:
            faults.append(f"{' '.join(flags) or 'encode'}: {first_difference(own, text, ours, theirs)}")
    own.encode_special_tokens = False
    ids = own.encode(text, add_special_tokens=False).ids
    for skip in (True, False):
        done = subprocess.run([program, "tokenize", "-", "--with", path, "--decode"] + ([] if skip else ["--all"]),
                              input=" ".join(map(str, ids)).encode(), capture_output=True)
        theirs = own.decode(ids, skip_special_tokens=skip)
        if done.stdout.decode(errors="replace") != theirs:
            made = done.stdout.decode(errors="replace")
            at = next((i for i, (a, b) in enumerate(zip(made, theirs)) if a != b), 0)
            faults.append(f"decode, special tokens {'skipped' if skip else 'kept'}: {made[at - 5:at + 20]!r} for {theirs[at - 5:at + 20]!r} {done.stderr.decode()}")
    return len(data), len(ids), faults


def speed(program, path, size):
    """Seconds for the text, loading left out."""
    own = Tokenizer.from_file(path)
    own.no_truncation()
    text = mixed(size, 7)
    data = text.encode()
    ours, theirs = [], []
    for _ in range(5):
        took = []
        for piece in (data, b""):
            begin = time.perf_counter()
            subprocess.run([program, "tokenize", "-", "--with", path], input=piece, capture_output=True)
            took.append(time.perf_counter() - begin)
        ours.append(took[0] - took[1])
        begin = time.perf_counter()
        own.encode(text, add_special_tokens=False).ids
        theirs.append(time.perf_counter() - begin)
    return statistics.median(ours), statistics.median(theirs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", default=None, help="folder for the trained tokenizers")
    options = parser.parse_args()
    bad = 0
    print(f"tokenizers=={__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or scratch
        files = options.files or [make(f, folder) for f in FAMILIES if options.only in f.__name__]
        for path in files:
            size, count, faults = compare(options.program, path, options.size, options.seed)
            line = f"{os.path.basename(path)}: {size} bytes, {count} tokens: {'the same' if not faults else 'DIFFERENT'}"
            if options.speed:
                ours, theirs = speed(options.program, path, options.size)
                line += f"; {1e3 * ours:.0f} ms, tokenizers {1e3 * theirs:.0f} ms ({theirs / ours:.1f} x)"
            print(line, flush=True)
            for fault in faults:
                print("   ", fault)
            bad += bool(faults)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
