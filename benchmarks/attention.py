"""The YNet paper's question on drawn scenes: do tags help, does the candidate as context help?

    hemline data make -o DATA --products 1500 --seed 7
    python benchmarks/attention.py DATA/manifest.parquet -o RUNS --seeds 0 1 2

YNet, TagYNet and CtxYNet learn from the same rows with the same seed and the same number of epochs
(the recipe ``ctxynet_synthetic``), and answer the same photos of products that none has seen
(protocol ``synthetic``). The published order of training is kept: a YNet is trained for ``--first``
epochs; from there, with subnetwork I frozen, YNet learns on, tag attention is added, or tag and
then context attention, each for ``--second`` epochs in all.

Prints recall@1 and recall@20 with intervals over products, and the paired differences from YNet;
writes ``benchmarks/results/attention.json``. Goes on after a kill. Needs ``hemline[learn]``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from _shared import IMAGENET

from hemline.cli._common import progress, say
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.protocol import Protocol
from hemline.datasets import build
from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.machine import machine
from hemline.evaluation.run import EvaluationResult, evaluate
from hemline.learn.api import train
from hemline.learn.checkpoint import CheckpointEncoder
from hemline.learn.recipe import Recipe, load

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("ynet", "tagynet", "ctxynet")
KS = (1, 20)


def recipe_of(model: str, scale: str, seed: int, first: int, second: int, base: Path) -> Recipe:
    """``first`` epochs of YNet (the model ``base``), or ``second`` more from there."""
    words = [f"seed={seed}", "data.crop=none", "stages.all.lr_scale={}"]
    words.append(f"model.config.backbone.weights={IMAGENET}")  # whole pictures and trunk
    recipe = load("ctxynet_synthetic", None if scale == "paper" else scale, words)
    epochs = {
        "base": {"YNet": first},
        "ynet": {"YNet": second},
        "tagynet": {"TagYNet": second},
        "ctxynet": {"TagYNet": second - second // 2, "CtxYNet": second // 2},
    }[model]
    known = {"base": 1, "ynet": 1, "tagynet": 2, "ctxynet": 3}[model]
    stages = {"all": recipe.stages["all"]}
    for stage in ("YNet", "TagYNet", "CtxYNet")[:known]:
        change: dict[str, Any] = {"epochs": epochs.get(stage, 0), "skip": stage not in epochs}
        if model == "ynet":
            change["trains"] = ("street", "shop")  # subnetwork I is frozen for all that go on
        stages[stage] = recipe.stages[stage].model_copy(update=change)
    return recipe.model_copy(
        update={
            "name": f"{model}_attention",
            "model": recipe.model.model_copy(update={"name": "ynet" if model == "base" else model}),
            "start": None if model == "base" else str(base),
            "stages": stages,
        }
    )


def hits(outcomes: list[EvaluationResult], k: int, first: bool = False) -> np.ndarray[Any, Any]:
    """(S, Q) whether a seed's model found a query's product among the first k."""
    ranks = [o.first_ranks if first and o.first_ranks is not None else o.ranks for o in outcomes]
    return np.stack([np.asarray(r) <= k for r in ranks]).astype(np.float64)


def told(per_query: np.ndarray[Any, Any], items: list[str]) -> dict[str, Any]:
    """Mean over seeds and queries, its interval over products, and each seed's own figure."""
    interval = cluster_interval(per_query.mean(axis=0), items)
    return {
        "value": float(per_query.mean()),
        "low": interval.low,
        "high": interval.high,
        "seeds": [float(row.mean()) for row in per_query],
    }


def looks(encoder: CheckpointEncoder, protocol: Protocol, count: int = 60) -> dict[str, float]:
    """Where tag attention lies on the first ``count`` shop pictures of the gallery.

    Returns:
        locations: exp(entropy), 1 for a single location, L for none preferred; of: L;
        in_box: share of the weights inside the product's box; box: share of locations inside it.
    """
    spread, inside, area, total = [], [], [], 0
    for row in protocol.gallery[:count].tolist():
        record = protocol.manifest[row]
        image = open_image(protocol.manifest.file(row))
        found = encoder.encode_shop([image], [record.tags]).attention
        if found is None or record.box is None:
            continue
        weights, total = found[0], found.shape[1]
        side = round(total**0.5)
        y = (np.arange(side) + 0.5) * image.shape[0] / side
        x = (np.arange(side) + 0.5) * image.shape[1] / side
        box = record.box
        held = ((y > box.y1) & (y < box.y2))[:, None] & ((x > box.x1) & (x < box.x2))[None, :]
        spread.append(float(np.exp(-(weights * np.log(weights + 1e-12)).sum())))
        inside.append(float(weights[held.ravel()].sum()))
        area.append(float(held.mean()))
    return {
        "locations": float(np.mean(spread)),
        "of": float(total),
        "in_box": float(np.mean(inside)),
        "box": float(np.mean(area)),
    }


def span(cell: dict[str, Any], how: str) -> str:
    """``value (low to high)``."""
    return f"{cell['value']:{how}} ({cell['low']:{how}} to {cell['high']:{how}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scale", choices=("paper", "bench", "smoke"), default="bench")
    parser.add_argument("--first", type=int, default=6, help="epochs of stage YNet")
    parser.add_argument("--second", type=int, default=6, help="epochs of what comes after")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/attention.json")
    args = parser.parse_args()
    manifest = Manifest.read(args.manifest)
    (protocol,) = build("synthetic", manifest)
    found: dict[str, list[EvaluationResult]] = {model: [] for model in MODELS}
    seen: dict[str, list[dict[str, float]]] = {}
    for seed in args.seeds:
        for model in ("base", *MODELS):
            base = args.runs / f"base-{seed}"
            recipe = recipe_of(model, args.scale, seed, args.first, args.second, base)
            folder = args.runs / f"{model}-{seed}"
            train(recipe, manifest, folder, say=say)
            if model == "base":
                continue
            with progress(f"{model}, seed {seed}") as advance:
                encoder = CheckpointEncoder(folder)
                found[model].append(evaluate(encoder, protocol, advance=advance))
                if model != "ynet":
                    seen.setdefault(model, []).append(looks(encoder, protocol))
    items = found["ynet"][0].items
    for model, row in seen.items():
        print(f"{model:8} tag attention: {row[0]}")
    rows: dict[str, Any] = {}
    for model in MODELS:
        for k in KS:
            own, base = hits(found[model], k), hits(found["ynet"], k)
            row = told(own, items)
            if model != "ynet":
                gap = paired_difference(own.mean(axis=0), base.mean(axis=0), items)
                row["over_ynet"] = {"value": gap.value, "low": gap.low, "high": gap.high}
            if model == "ctxynet":
                row["first_search"] = told(hits(found[model], k, first=True), items)
            rows.setdefault(model, {})[f"recall@{k}"] = row
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d"),
        "data": manifest.fingerprint(),
        "queries": len(protocol.queries),
        "gallery": len(protocol.gallery),
        "scale": args.scale,
        "epochs": [args.first, args.second],
        "seeds": args.seeds,
        "machine": machine(),
        "models": rows,
        "tag_attention": seen,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"{len(protocol.queries)} photos of unseen products, {len(protocol.gallery)} pictures")
    for model, row in rows.items():
        for name, cell in row.items():
            line = f"{model:8} {name:9} {span(cell, '.3f')}"
            if "over_ynet" in cell:
                line += f"  over ynet {span(cell['over_ynet'], '+.3f')}"
            print(line)
    print(f"written: {args.output}")


if __name__ == "__main__":
    main()
