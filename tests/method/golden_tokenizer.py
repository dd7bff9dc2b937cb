"""Goldens of tokenizers: small ones in each family's configuration, trained by the package `tokenizers`, with its ids.

    python golden_tokenizer.py        writes golden/tokenizers.json

tests/bench/tokenizer_ids.py compares on as much text as is wanted.
"""
import json
import os
import random

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers,
                        __version__)

VOCABULARY = 340

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
    return own, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False,
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
    return trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)


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
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<unk>"], show_progress=False, end_of_word_suffix="</w>")
    return own, trainer


FAMILIES = [gpt2, roberta, llama3, qwen2, smollm, falcon, o200k, possessive, llama2, llama2_new, gemma, metaspace_unknown, words]


def trained(family, size, vocabulary):
    own, trainer = family()
    trainer.vocab_size = vocabulary
    if not trainer.initial_alphabet:
        trainer.limit_alphabet = vocabulary // 4
    own.train_from_iterator(mixed(size, 1).splitlines(keepends=True), trainer)
    own.add_special_tokens(["<|user|>", AddedToken("<|pad|>", lstrip=True, rstrip=True, special=True, normalized=False)])
    own.add_tokens([AddedToken("strange", single_word=True), AddedToken("  ", normalized=False),
                    AddedToken("Hello Caf\u00e9", normalized=True)])
    return own


TEXTS = ["", " ", "Hello world", " they'll  see 12345,67\n\n\tx", "na\u00efve cafe\u0301 \ufb01 \u2167 \u00bd\u0663\u0664 \u1e9b\u0323 \u212b", "Hello Caf\u00e9 strange stranger strange.",
         "a <|pad|> b<|user|>c  <|endoftext|> <s> d", "\u4f60\u597d\uff0c\u4e16\u754c \ud55c\uad6d\uc5b4 \u3053\u3093", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd\u2764\ufe0f", "\x00\x01\x1f\x7f\u0085\u00a0\u3000\u200b\u180e ",
         "for (int i = 0; i < n; i++) {\r\n    a[i] += 1;\r\n}", "aaaaaaaaaaaaaaaa" * 8 + "   " * 20]


def texts(own):
    special = [t.content for t in own.get_added_tokens_decoder().values()]
    yield from TEXTS
    for seed in range(2):
        yield mixed(250, 100 + seed, [t for t in special if not t.startswith("<0x")])


def ids(own, text):
    """Ids, and decoded without and with special tokens; with the template and with special tokens as text where these differ,
    and the texts where they are not the text itself."""
    made = {"text": text, "ids": own.encode(text, add_special_tokens=False).ids}
    own.encode_special_tokens = True
    other = {"plain": own.encode(text, add_special_tokens=False).ids}
    own.encode_special_tokens = False
    other["template"] = own.encode(text).ids
    made.update({k: v for k, v in other.items() if v != made["ids"]})
    decoded = {"decoded": own.decode(made["ids"]), "all": own.decode(made["ids"], skip_special_tokens=False)}
    made.update({k: v for k, v in decoded.items() if v != text})
    return made


def scored():
    """Merges that scores imply, with ties, by transformers' own function."""
    import transformers
    from transformers.tokenization_utils_base import generate_merges

    tokens = ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "c", "\u00e9", "\u6587", "ab", "bc", "abc", "\u2581a", "\u2581ab", "aa", "aaa", "aaaa",
              "\u6587\u6587", "\u00e9a", "\u2581\u2581", "\u2581\u2581a", "b\u00e9", "ab\u00e9a", "cab", "s>"]
    scores = [float(-(3 * i % 7)) for i in range(len(tokens))]
    merges = generate_merges({t: i for i, t in enumerate(tokens)}, dict(zip(tokens, scores)))
    return {"source": f"transformers=={transformers.__version__}:generate_merges", "tokens": tokens, "scores": scores, "merges": merges}


def main():
    cases = []
    for family in FAMILIES:
        own = trained(family, 60000, VOCABULARY)
        cases.append({"name": family.__name__, "tokenizer": own.to_str(), "texts": [ids(own, t) for t in texts(own)]})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "tokenizers.json")
    with open(path, "w", encoding="ascii") as out:
        json.dump({"source": f"tokenizers=={__version__}", "cases": cases, "scored": scored()}, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
