"""One training step of a model at its published size: parameters, seconds, memory.

    python benchmarks/published_size.py darn --batch 32
    python benchmarks/published_size.py darn ladder=an

The model is built by its own defaults (``key=value`` words change them) on a vocabulary with the
nine attributes and as many values as the DARN paper's Table 1 has, and its first stage makes one
step of SGD on random pictures. Writes ``benchmarks/results/published_size.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from hemline.evaluation.report import machine
from hemline.learn.model import MODELS, Batch

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


def step(name: str, values: dict[str, Any], pairs: int) -> dict[str, Any]:
    """One step, and what it took."""
    torch.manual_seed(0)
    vocabulary = [f"{n}={v}" for n, count in VALUES.items() for v in range(count)]
    spec = MODELS[name]
    model = spec.build(spec.configure(values), vocabulary)
    stage = model.stages()[0]
    optimiser = torch.optim.SGD(model.begin_stage(stage), lr=stage.lr, momentum=stage.momentum)
    model.train()
    size = model.preprocessing.size
    shop = torch.randn(pairs, 3, size, size)
    tags = torch.zeros(pairs, len(vocabulary))
    first = 0
    for count in VALUES.values():
        tags[torch.arange(pairs), first + torch.randint(count, (pairs,))] = 1
        first += count
    items = torch.arange(pairs)
    batch = Batch(torch.randn_like(shop), shop, tags, items, items, tags.clone())
    began = time.perf_counter()
    losses = model.loss(batch, stage)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    seconds = time.perf_counter() - began
    if not all(bool(value.isfinite()) for value in losses.values()):
        raise SystemExit(f"{name}: the loss is no number: {losses}")
    return {
        "model": name,
        "config": values,
        "parameters": sum(p.numel() for p in model.parameters()),
        "size": size,
        "pairs": pairs,
        "seconds": round(seconds, 1),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "threads": torch.get_num_threads(),
        "losses": {n: round(float(v.detach()), 4) for n, v in losses.items()},
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("values", nargs="*", help="key=value of the model's configuration")
    parser.add_argument("--batch", type=int, default=32, help="pairs")
    arguments = parser.parse_args()
    values = {k: yaml.safe_load(v) for k, _, v in (w.partition("=") for w in arguments.values)}
    told = step(arguments.model, values, arguments.batch)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[" ".join([arguments.model, *arguments.values])] = told
    RESULTS.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
