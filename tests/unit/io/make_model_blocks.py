"""Writes model_blocks.h: blocks of random bytes for every type of GGUF that is read, and what llama.cpp's Python package
`gguf` makes of them (gguf.quants.dequantize), as float32 bits.

    python make_model_blocks.py > model_blocks.h
"""
import gguf
import numpy as np

random = np.random.default_rng(14)
print(f"/* Made by make_model_blocks.py, with gguf=={__import__('importlib.metadata').metadata.version('gguf')}:quants.dequantize. */")
print("static const struct {\n  const char *name;\n  int bytes, elements;\n  unsigned char block[224];\n  uint32_t bits[256];\n} blocks[] = {")
for name in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"):
    quant = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[quant]
    block = random.integers(0, 256, size, dtype=np.uint8)
    halves = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}.get(name, (0,))
    for at in halves:  # a scale that is a number
        block[at:at + 2] = np.frombuffer(np.float16(random.standard_normal()).tobytes(), np.uint8)
    bits = gguf.quants.dequantize(block, quant).astype(np.float32).view(np.uint32)
    print(f'    {{"{name}",\n     {size},\n     {elements},\n     {{{", ".join(map(str, block))}}},\n     {{{", ".join(map(hex, bits))}}}}},')
print("};")
