"""Every system of the four papers under one protocol: one table, trained and measured here.

    hemline data make -o DATA --products 1500 --seed 7
    python benchmarks/systems.py DATA/manifest.parquet -o RUNS --seeds 0 1 2

Each system learns from the same rows for the same number of epochs (``--epochs`` in all, shared
among its stages) at its recipe's ``bench`` scale, and answers the same photos of products that none
has seen (protocol ``atelier``, whole pictures). The dozen that matter are trained with every seed,
the others with the first. Settings are in ``_systems.py``; no choice is made on the test photos.

Goes on after a kill: runs resume, and a finished one is measured once. ``--only NAME …`` takes a
few. Writes ``benchmarks/results/systems.json`` and the table in docs/results.md.
Needs ``hemline[learn]``, and HEMLINE_SHARED for the ImageNet weights.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from _systems import SYSTEMS, System

from hemline.cli._common import progress, say
from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, build
from hemline.encoding import Encoder
from hemline.errors import ImageError
from hemline.evaluation.bootstrap import cluster_interval
from hemline.evaluation.report import machine
from hemline.evaluation.run import evaluate
from hemline.learn.checkpoint import CheckpointEncoder
from hemline.learn.fisher import FisherEncoder
from hemline.learn.recipe import Recipe, load
from hemline.learn.training.loop import train

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs/results.md"
KS = (1, 5, 20)
MARK = "<!-- systems: benchmarks/systems.py writes from here -->"
END = "<!-- systems: to here -->"
#: Side of the pictures: DARN's NINs read smaller ones, as their recipe has it.
SIDES = {"darn": 96}


def recipe_of(system: System, seed: int, epochs: int, side: int, crop: str) -> Recipe:
    """The recipe's ``bench`` scale with the system's settings, ``epochs`` shared out."""
    size = SIDES.get(system.recipe, side)
    stages = [
        f"stages.{name}.epochs={max(1, round(share * epochs))}"
        for name, share in system.stages.items()
    ]
    common = [
        f"seed={seed}", f"data.crop={crop}", f"model.config.size={size}", "batch_size=48",
        "stages.all.optimizer=adamw", "stages.all.lr=0.0005", "stages.all.schedule=cosine",
        "stages.all.weight_decay=0.01", "stages.all.warmup=0.5", "stages.all.clip=5.0",
        "early_stop.patience=0", "early_stop.metric=recall@20",
    ]  # fmt: skip
    if system.recipe == "ahbn":
        common.append("model.config.location.size=128")
    return load(system.recipe, "bench", [*system.settings, *common, *stages])


def figures(encoder: Encoder, protocol: Protocol, title: str) -> dict[str, Any]:
    """Ranks of every query, and what a picture costs."""
    with progress(title) as advance:
        outcome = evaluate(encoder, protocol, advance=advance)
    pictures = len(protocol.queries) + len(protocol.gallery)
    spent = outcome.seconds["gallery"] + outcome.seconds["queries"]
    return {"ranks": outcome.ranks.tolist(), "ms_per_picture": 1000 * spent / pictures}


def measured(
    system: System, seed: int, manifest: Manifest, protocol: Protocol, args: argparse.Namespace
) -> dict[str, Any]:
    """One run: trained, and measured once."""
    folder = args.runs / f"{re.sub('[^a-z0-9]+', '-', system.name.lower())}-{seed}"
    file = folder / "measured.json"
    recipe = recipe_of(system, seed, args.epochs, args.side, args.crop)
    started = time.perf_counter()
    train(recipe, manifest, folder, say=say)
    if not file.exists():
        encoder = CheckpointEncoder(folder)
        found = figures(encoder, protocol, f"{system.name}, seed {seed}")
        parameters = sum(
            p.numel() for n, p in encoder.model.named_parameters() if not n.startswith("identity")
        )
        found |= {"seconds": time.perf_counter() - started, "parameters": parameters}
        found |= {"dim": encoder.embedding_dim}
        file.write_text(json.dumps(found) + "\n", encoding="utf-8")
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def fisher(
    gaussians: int, manifest: Manifest, protocol: Protocol, args: argparse.Namespace
) -> dict[str, Any]:
    """Dense SIFT and Fisher vectors, fitted to the training rows."""
    file = args.runs / f"dsift-fv-{gaussians}.json"
    if not file.exists():
        started = time.perf_counter()
        rows = manifest.select(np.asarray(manifest.column("split"), dtype=np.str_) == "train")
        files = rows.files()[:: max(1, len(rows) // 1000)]
        opened = (image for _, image in open_many(files, 2) if not isinstance(image, ImageError))
        encoder = FisherEncoder(gaussians, args.side).fit(opened, len(files))
        found = figures(encoder, protocol, encoder.name)
        found |= {"seconds": time.perf_counter() - started, "parameters": 0}
        found |= {"dim": encoder.embedding_dim}
        file.write_text(json.dumps(found) + "\n", encoding="utf-8")
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def row_of(runs: list[dict[str, Any]], items: list[str]) -> dict[str, Any]:
    """Recall at each k: mean over seeds and queries, interval over products."""
    ranks = np.array([run["ranks"] for run in runs])
    row: dict[str, Any] = {}
    for k in KS:
        hits = (ranks <= k).astype(np.float64)
        interval = cluster_interval(hits.mean(axis=0), items)
        row[f"recall@{k}"] = {
            "value": float(hits.mean()),
            "low": interval.low,
            "high": interval.high,
            "seeds": [float(one.mean()) for one in hits],
        }
    for name in ("seconds", "ms_per_picture"):
        row[name] = float(np.mean([run[name] for run in runs]))
    return row | {"parameters": runs[0]["parameters"], "dim": runs[0]["dim"]}


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = [
        f"{result['queries']} photos of {result['products']} unseen products, "
        f"{result['gallery']} shop pictures, whole pictures (crop: {result['crop']}), "
        f"{result['epochs']} epochs, {result['machine'].get('processor', '')}, "
        f"{result['when']}.",
        "",
        "| system | paper | seeds | recall@1 | recall@5 | recall@20 | numbers | M parameters | "
        "minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["systems"].items():
        cells = [
            f"{row[f'recall@{k}']['value']:.3f} ({row[f'recall@{k}']['low']:.3f}–"
            f"{row[f'recall@{k}']['high']:.3f})"
            for k in KS
        ]
        lines.append(
            f"| {name} | {row['paper']} | {len(row['recall@1']['seeds'])} | {' | '.join(cells)} | "
            f"{row['dim']} | {row['parameters'] / 1e6:.1f} | {row['seconds'] / 60:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--side", type=int, default=112, help="of the pictures, in pixels")
    parser.add_argument("--crop", choices=("none", "box"), default="none")
    parser.add_argument("--only", nargs="+", default=[], help="names of systems")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/systems.json")
    parser.add_argument("--write", action="store_true", help="write the table into docs/results.md")
    args = parser.parse_args()
    manifest = Manifest.read(args.manifest)
    (protocol,) = build("atelier", manifest, Choices(crop=args.crop))
    args.runs.mkdir(parents=True, exist_ok=True)
    items = [str(manifest.column("item_id")[row]) for row in protocol.queries]
    rows: dict[str, Any] = {}
    chosen = [s for s in SYSTEMS if not args.only or s.name in args.only]
    for gaussians in () if args.only else (64, 128):
        found = fisher(gaussians, manifest, protocol, args)
        rows[f"DSIFT + FV, {gaussians}"] = {"paper": "DARN", **row_of([found], items)}
    for system in chosen:
        seeds = args.seeds if system.main else args.seeds[:1]
        runs = [measured(system, seed, manifest, protocol, args) for seed in seeds]
        rows[system.name] = {"paper": system.paper, **row_of(runs, items)}
        print(f"{system.name}: recall@20 {rows[system.name]['recall@20']['value']:.3f}", flush=True)
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d"),
        "data": manifest.fingerprint(),
        "queries": len(protocol.queries),
        "products": len(set(items)),
        "gallery": len(protocol.gallery),
        "crop": args.crop,
        "epochs": args.epochs,
        "side": args.side,
        "seeds": args.seeds,
        "machine": machine(),
        "systems": rows,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result))
    if args.write:
        text = DOCS.read_text(encoding="utf-8")
        start, end = text.index(MARK) + len(MARK), text.index(END)
        DOCS.write_text(text[:start] + "\n" + table(result) + "\n" + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
