"""One training step of each model at its published size: parameters, seconds, memory.

    python benchmarks/published_size.py --all
    python benchmarks/published_size.py darn ladder=an --pairs 32

A model is built by its own defaults, which are its paper's (``key=value`` words change them), on a
vocabulary with the nine attributes and as many values as the DARN paper's Table 1 has. Each of its
stages makes one step on random pictures, with the stage's own losses and optimiser; a stage that is
fitted and has no epochs makes none. ``--all`` runs every network of `SHOWN`, each in a process of
its own, so that a peak of memory is one network's; seconds are the clock's, other work on the
machine included. Writes ``benchmarks/results/published_size.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from hemline.evaluation.machine import machine
from hemline.learn.model import MODELS, Batch, RetrievalModel, Stage
from hemline.learn.training.stages import build_optimizer, resolve_stages, set_modes
from hemline.types import LANDMARKS

RESULTS = Path(__file__).with_name("results") / "published_size.json"
#: DARN, Table 1.
VALUES = {
    "button": 12,
    "category": 20,
    "color": 56,
    "length": 6,
    "pattern": 27,
    "shape": 10,
    "collar": 25,
    "sleeve_length": 7,
    "sleeve_shape": 16,
}
#: What ``--all`` runs: a model, what is changed of its defaults, and pairs to a step.
SHOWN: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("ynet", (), 8),
    ("tagynet", (), 8),
    ("ctxynet", (), 8),
    ("ctxynet", ("backbone=vgg_cnn_s",), 8),
    ("fashionnet", (), 8),
    ("fashionnet", ("attributes=false",), 8),
    ("fashionnet", ("gate=true", "backbone=vgg16"), 2),
    ("siamese", (), 4),
    ("ahbn", (), 2),
    ("ahbn", ("branches=appearance", "attributes=false"), 4),
    ("seam", (), 8),
    ("seam", ("backbone=vit_small_patch14_dinov2", "frozen=true"), 8),
    ("darn", ("ladder=an",), 8),
    ("darn", (), 8),
)


def step(model: RetrievalModel, stage: Stage, batch: Batch) -> dict[str, Any]:
    """One step of a stage, and what it took; stops where a loss is no number."""
    model.begin_stage(stage)
    (resolved,) = resolve_stages([stage], {})
    used = build_optimizer(model, resolved)
    set_modes(model, resolved)
    began = time.perf_counter()
    losses = model.loss(batch, stage)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    used.step()
    seconds = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    if not all(bool(value.isfinite()) for value in losses.values()):
        raise SystemExit(f"{stage.name}: the loss is no number: {losses}")
    return {
        "stage": stage.name,
        "optimizer": stage.optimizer,
        "seconds": round(seconds, 1),
        "losses": {name: round(float(value.detach()), 4) for name, value in losses.items()},
        "peak_memory_gb": peak_memory(),
    }


def peak_memory() -> float:
    """Of this process so far, in GiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def random_batch(size: int, pairs: int, tags: int) -> Batch:
    """Pairs of random pictures, each item with one value of each attribute, all landmarks seen."""
    shop = torch.randn(pairs, 3, size, size)
    hot = torch.zeros(pairs, tags)
    first = 0
    for count in VALUES.values():
        hot[torch.arange(pairs), first + torch.randint(count, (pairs,))] = 1
        first += count
    points = torch.rand(2 * pairs, len(LANDMARKS), 2) * size
    landmarks = torch.cat([points, torch.full((2 * pairs, len(LANDMARKS), 1), 2.0)], dim=2)
    items = torch.arange(pairs)
    return Batch(torch.randn_like(shop), shop, hot, items, items, hot.clone(), landmarks)


def count(module: nn.Module) -> int:
    """Its parameters, those counted once that are shared."""
    return sum(parameter.numel() for parameter in module.parameters())


def run(name: str, values: dict[str, Any], pairs: int) -> dict[str, Any]:
    """A model of its published size, and a step of each of its stages."""
    torch.manual_seed(0)
    vocabulary = [f"{n}={v}" for n, many in VALUES.items() for v in range(many)]
    spec = MODELS[name]
    model = spec.build(spec.configure(values), vocabulary)
    model.expect_items(torch.arange(pairs))
    size = model.preprocessing.size
    batch = random_batch(size, pairs, len(vocabulary))
    steps = [step(model, stage, batch) for stage in model.stages() if stage.epochs > 0]

    return {
        "model": name,
        "config": values,
        "parameters": count(model),
        "parts": {part: count(own) for part, own in model.named_children() if count(own)},
        "size": size,
        "pairs": pairs,
        "steps": steps,
        "peak_memory_gb": peak_memory(),
        "threads": torch.get_num_threads(),
        "machine": machine(),
    }


def keep(words: list[str], told: dict[str, Any]) -> None:
    """Puts a result into the file, under the words that asked for it."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[" ".join(words)] = told
    RESULTS.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", choices=list(MODELS))
    parser.add_argument("values", nargs="*", help="key=value of the model's configuration")
    parser.add_argument("--pairs", type=int, default=8, help="of a street and a shop picture")
    parser.add_argument("--all", action="store_true", help="every network of SHOWN")
    given = parser.parse_args()
    if given.all:
        for name, changes, pairs in SHOWN:
            command = [sys.executable, __file__, name, *changes, "--pairs", str(pairs)]
            subprocess.run(command, check=True)
        return
    if given.model is None:
        parser.error("name a model, or give --all")
    values = {k: yaml.safe_load(v) for k, _, v in (word.partition("=") for word in given.values)}
    told = run(given.model, values, given.pairs)
    keep([given.model, *given.values], told)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
