"""peer_torch.py JOB.json: one peer run in PyTorch, started by tests/bench/compare; prints one JSON object.

The models are Cohort's, written as a PyTorch user would: one matrix for query, key and value,
scaled_dot_product_attention, AdamW with decay on matrices alone, the loss read only at the end.
"""
import json
import os
import sys
import time
from contextlib import nullcontext

import numpy
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))

    def step(self, x, keys, values, at, mask):
        """One new token a sequence (or a prompt): x [batch, n, width]; keys, values [batch, heads, room, size] from `at`."""
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        keys.index_copy_(2, at, key)
        values.index_copy_(2, at, value)
        y = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        x = x + self.output(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, settings, vocabulary):
        super().__init__()
        width = settings["width"]
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(settings["context"], width)
        self.blocks = nn.ModuleList(Block(width, settings["heads"]) for _ in range(settings["layers"]))
        self.norm = nn.LayerNorm(width)

    def forward(self, rows):
        tokens, targets = rows[:, :-1], rows[:, 1:]
        x = self.embedding(tokens) + self.positions.weight[:tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.norm(x), self.embedding.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def step(self, tokens, cache, at):
        room = cache[0][0].shape[2]
        mask = torch.arange(room)[None, :] <= at[:, None]
        x = self.embedding(tokens) + self.positions(at)
        for block, (keys, values) in zip(self.blocks, cache):
            x = block.step(x, keys, values, at, mask)
        return functional.linear(self.norm(x[:, -1]), self.embedding.weight).argmax(-1, keepdim=True)

    def take(self, weights):
        def copy(name, module):
            module.weight.copy_(weights[name + (".gain" if isinstance(module, nn.LayerNorm) else ".weight")])
            if hasattr(module, "bias"):
                module.bias.copy_(weights[name + ".bias"])
        copy("embedding", self.embedding)
        copy("positions", self.positions)
        copy("norm", self.norm)
        for number, block in enumerate(self.blocks):
            at = f"layer{number}."
            copy(at + "attention_norm", block.norm1)
            copy(at + "feed_forward_norm", block.norm2)
            copy(at + "attention.output", block.output)
            copy(at + "feed_forward.up", block.up)
            copy(at + "feed_forward.down", block.down)
            for kind, parameter in (("weight", block.qkv.weight), ("bias", block.qkv.bias)):
                parameter.copy_(torch.cat([weights[f"{at}attention.{part}.{kind}"] for part in ("query", "key", "value")]))


def take_layers(pairs, weights):
    """Copies Cohort's tensors: kernels are [out, height, width, in] there and [out, in, height, width] here."""
    for name, module in pairs:
        norm = isinstance(module, nn.GroupNorm)
        weight = weights[name + (".gain" if norm else ".weight")]
        module.weight.copy_(weight.permute(0, 3, 1, 2) if weight.dim() == 4 else weight)
        if module.bias is not None:
            module.bias.copy_(weights[name + ".bias"])


class Lenet(nn.Module):
    def __init__(self, settings):
        super().__init__()
        one, two, dense = settings["channels"], settings["channels2"], settings["dense"]
        self.convolution0, self.convolution1 = nn.Conv2d(1, one, 5, padding=2), nn.Conv2d(one, two, 5, padding=2)
        self.dense, self.head = nn.Linear(two * 49, dense), nn.Linear(dense, 10)

    def forward(self, x, y):
        x = functional.max_pool2d(functional.relu(self.convolution0(x)), 2)
        x = functional.max_pool2d(functional.relu(self.convolution1(x)), 2)
        return functional.cross_entropy(self.head(functional.relu(self.dense(x.flatten(1)))), y)

    def take(self, weights):
        # Cohort flattens [height, width, channels], PyTorch [channels, height, width].
        dense = weights["dense.weight"]
        weights = {**weights, "dense.weight": dense.view(dense.shape[0], 7, 7, -1).permute(0, 3, 1, 2).flatten(1)}
        take_layers([(n, getattr(self, n)) for n in ("convolution0", "convolution1", "dense", "head")], weights)


class Residual(nn.Module):
    def __init__(self, settings, into, out, stride):
        super().__init__()
        self.convolution0 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.convolution1 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm0, self.norm1 = nn.GroupNorm(settings["groups"], out), nn.GroupNorm(settings["groups"], out)
        self.more, self.stride = out - into, stride

    def forward(self, x):
        y = functional.relu(self.norm0(self.convolution0(x)))
        y = self.norm1(self.convolution1(y))
        if self.more:
            x = functional.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return functional.relu(y + x)


class Resnet(nn.Module):
    def __init__(self, settings):
        super().__init__()
        width = settings["width"]
        self.stem, self.stem_norm = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.GroupNorm(settings["groups"], width)
        self.names, blocks, into = [], [], width
        for stage in range(3):
            for number in range((settings["depth"] - 2) // 6):
                out = width << stage
                blocks.append(Residual(settings, into, out, 2 if stage and number == 0 else 1))
                self.names.append(f"stage{stage}_block{number}")
                into = out
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(into, 10)

    def forward(self, x, y):
        x = self.blocks(functional.relu(self.stem_norm(self.stem(x))))
        return functional.cross_entropy(self.head(x.mean((2, 3))), y)

    def take(self, weights):
        pairs = [(n, getattr(self, n)) for n in ("stem", "stem_norm", "head")]
        for name, block in zip(self.names, self.blocks):
            pairs += [(f"{name}.{n}", getattr(block, n)) for n in ("convolution0", "convolution1", "norm0", "norm1")]
        take_layers(pairs, weights)


class Mlp(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.layer0, self.head = nn.Linear(784, settings["hidden"]), nn.Linear(settings["hidden"], 10)

    def forward(self, x, y):
        return functional.cross_entropy(self.head(functional.relu(self.layer0(x))), y)

    def take(self, weights):
        take_layers([("layer0", self.layer0), ("head", self.head)], weights)


def build(job):
    kind, settings = next(iter(job["config"]["model"].items()))
    if kind == "gpt":
        model = Gpt(settings, job["vocabulary"])
    elif kind == "mlp":
        model = Mlp(settings)
    else:
        model = Lenet(settings) if settings["kind"] == "lenet" else Resnet(settings)
    if "weights" in job:
        stored = numpy.load(job["weights"])
        with torch.no_grad():
            model.take({name: torch.from_numpy(stored[name]) for name in stored.files})
    return model


def build_optimizer(job, model):
    settings = job["config"]["optimizer"]["adamw"]
    flags = {name: True for name in ("fused", "foreach") if name in job["variant"]}
    # Matrices, kernels and embeddings decay; biases and gains do not.
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": settings["weight_decay"]},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings["learning_rate"], betas=(settings["beta1"], settings["beta2"]),
                             eps=settings["epsilon"], **flags)


def autocast(job):
    return torch.autocast("cpu", dtype=torch.bfloat16) if job["precision"] == "bf16" else nullcontext()


def feeder(job):
    """A function of the step that gives this rank's part of its batch."""
    data = numpy.load(job["data"])
    order = data["order"]
    part = order.shape[1] // job["ranks"]
    order = torch.from_numpy(order[:, job["rank"] * part:(job["rank"] + 1) * part])
    x = torch.from_numpy(data["x"])
    if "y" not in data.files:
        return lambda step: (x[order[step]],)
    y = torch.from_numpy(data["y"])
    if x.dim() == 4:
        x = x.permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=torch.channels_last if "last" in job["variant"] else torch.contiguous_format)
    return lambda step: (x[order[step]], y[order[step]])


def train(job):
    model = build(job)
    if "last" in job["variant"]:
        model = model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(job, model)
    batch, run = feeder(job), model
    if job["ranks"] > 1:
        torch.distributed.init_process_group("gloo", rank=job["rank"], world_size=job["ranks"])
        run = nn.parallel.DistributedDataParallel(run, gradient_as_bucket_view=True)
    if "compile" in job["variant"]:
        run = torch.compile(run)
    update = torch.compile(optimizer.step) if "step" in job["variant"] else optimizer.step
    clip = job["config"].get("clip", 0)
    first, seconds, losses = None, [], []
    for start in range(0, job["steps"], job["block"]):
        begun = time.perf_counter()
        for step in range(start, start + job["block"]):
            with autocast(job):
                loss = run(*batch(step))
            loss.backward()
            losses.append(loss.detach())
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            update()
            optimizer.zero_grad(set_to_none=True)
            first = first or time.clock_gettime(time.CLOCK_MONOTONIC)
        seconds.append((time.perf_counter() - begun) / job["block"])
    losses = torch.stack(losses)
    if job["ranks"] > 1:
        torch.distributed.all_reduce(losses)
        losses /= job["ranks"]
    return {"seconds": seconds[job["warm_up"] // job["block"]:], "losses": losses.tolist(), "first_step": first}


def update(job):
    model = build(job)
    optimizer = build_optimizer(job, model)
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = 1e-3 * torch.rand_like(parameter) - 5e-4
    seconds = []
    for _ in range(job["warm_up"] + job["steps"]):
        begun = time.perf_counter()
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
    return {"seconds": seconds[job["warm_up"]:], "losses": [], "first_step": None}


def generate(job):
    model = build(job).eval()
    if job["precision"] == "bf16":
        model = model.to(torch.bfloat16)
    settings = job["config"]["model"]["gpt"]
    prompt = torch.from_numpy(numpy.load(job["data"])["prompt"])[None].repeat(job["batch"], 1)
    size, kind = settings["width"] // settings["heads"], next(model.parameters()).dtype
    warm_up = 8
    room = prompt.shape[1] + max(warm_up, job["steps"])
    step = torch.compile(model.step) if "compile" in job["variant"] else model.step

    def fresh():
        return [(torch.zeros(job["batch"], settings["heads"], room, size, dtype=kind),
                 torch.zeros(job["batch"], settings["heads"], room, size, dtype=kind)) for _ in model.blocks]

    def write(count, seconds, tokens):
        cache = fresh()
        last = model.step(prompt, cache, torch.arange(prompt.shape[1]))
        for at in range(prompt.shape[1], prompt.shape[1] + count):
            tokens.append(last)
            begun = time.perf_counter()
            last = step(last, cache, torch.tensor([at]))
            seconds.append(time.perf_counter() - begun)
        tokens.append(last)

    seconds, tokens = [], []
    with torch.inference_mode():
        write(warm_up, [], [])
        write(job["steps"], seconds, tokens)
    return {"seconds": seconds, "losses": [], "first_step": None, "tokens": torch.cat(tokens, 1).tolist()}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    if len(sys.argv) > 2:
        job["rank"] = int(sys.argv[2])
    job["variant"] = job["variant"].split("+")
    torch.set_num_threads(job["threads"])
    out = {"train": train, "update": update, "generate": generate}[job["kind"]](job)
    out["version"] = torch.__version__
    if job["rank"] == 0:
        print(json.dumps(out))
    sys.stdout.flush()
    os._exit(0)  # compile workers and process groups are not waited for


main()
