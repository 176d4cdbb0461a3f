"""Every system of the four papers under one protocol: one table, trained and measured here.

    hemline data make -o DATA --products 1000 --seed 7 --size 160
    python benchmarks/systems.py DATA/manifest.parquet -o RUNS --seeds 0 1 2 --write

Each system learns from the same rows for the same number of epochs (``--epochs`` in all, shared
among its stages) at its recipe's ``bench`` scale, and answers the same photos of products that none
has seen. The dozen that matter are trained with every seed, the others with the first. Settings are
in ``_systems.py``; the last epoch counts, and no choice is made on the test photos. ``--protocol
grocery`` leaves out what needs labels that groceries lack.

Goes on after a kill: runs resume, and a finished one is measured once. ``--only NAME …`` takes a
few; ``--part 0/2`` and ``--part 1/2``, at the same time with one thread each (OMP_NUM_THREADS=1),
share the runs among two processes; then without it, or with ``--gather``, what they made becomes
the table. Writes ``benchmarks/results/systems.json`` and, with ``--write``, docs/results.md.
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
from _systems import SYSTEMS, System, frozen
from baselines.fisher import FisherEncoder

from hemline.cli._common import progress, say
from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.datasets import build
from hemline.encoding import Encoder
from hemline.errors import ImageError
from hemline.evaluation.bootstrap import cluster_interval
from hemline.evaluation.machine import machine
from hemline.evaluation.run import evaluate
from hemline.learn.api import train
from hemline.learn.checkpoint import LAST_FILE, CheckpointEncoder, Run, load_run, restore
from hemline.learn.checkpoint import load as load_tensors
from hemline.learn.recipe import Recipe, load

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs/results.md"
KS = (1, 5, 20)
#: What a finished run has.
DONE = "measured.json"
#: Where a table stands; its name is its protocol's, or ``--table``.
MARK = "<!-- systems, {}: benchmarks/systems.py writes from here -->"
END = "<!-- systems, {}: to here -->"


def recipe_of(system: System, seed: int, args: argparse.Namespace) -> Recipe:
    """The recipe's ``bench`` scale with the system's settings, the epochs shared out."""
    stages = [
        f"stages.{name}.epochs={max(1, round(share * args.epochs))}"
        for name, share in system.stages.items()
    ]
    common = [
        f"seed={seed}", f"data.crop={args.crop}", f"model.config.size={args.side}", "batch_size=48",
        "stages.all.optimizer=adamw", "stages.all.lr=0.0005", "stages.all.schedule=cosine",
        "stages.all.weight_decay=0.01", "stages.all.warmup=0.5", "stages.all.clip=5.0",
        "early_stop.patience=0", "early_stop.metric=recall@20", "channels_last=true",
        "data.augment={crop: 0.8, flip: 0.5, brightness: 0.2, contrast: 0.2, saturation: 0.2}",
    ]  # fmt: skip
    if args.protocol == "grocery":  # its val.txt is the test
        common += ["data.val=null", "data.validation_split={fraction: 0.1, by: photo}"]
    if system.recipe == "ahbn":
        common.append("model.config.location.size=128")
    if system.start:
        start = folder_of(args.runs, system.start, args.seeds[0])
        file = start / "checkpoints/1-Network-best.safetensors"
        common.append(
            f"model.config.weights={file}" if system.recipe == "darn" else f"start={start}"
        )
    still = [frozen(system)] if frozen(system) else []
    settings = [one.replace("[category]", args.categories) for one in system.settings]
    return load(system.recipe, "bench", [*common, *still, *settings, *stages])


def folder_of(runs: Path, name: str, seed: int) -> Path:
    return runs / f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{seed}"


def figures(encoder: Encoder, protocol: Protocol, title: str) -> dict[str, Any]:
    """Ranks of every query, and what a picture costs."""
    with progress(title) as advance:
        outcome = evaluate(encoder, protocol, advance=advance)
    pictures = len(protocol.queries) + len(protocol.gallery)
    spent = outcome.seconds["gallery"] + outcome.seconds["queries"]
    return {"ranks": outcome.ranks.tolist(), "ms_per_picture": 1000 * spent / pictures}


def last_of(folder: Path) -> Run:
    """A run as it ended: on so few validation photos its best epoch would be a matter of luck."""
    run = load_run(folder)
    restore(run.model, load_tensors(folder / "checkpoints" / LAST_FILE)[0])
    return run


def measured(
    system: System, seed: int, manifest: Manifest, protocol: Protocol, args: argparse.Namespace
) -> dict[str, Any]:
    """One run: trained, and measured once."""
    folder = folder_of(args.runs, system.name, seed)
    file = folder / DONE
    recipe = recipe_of(system, seed, args)
    started = time.perf_counter()
    train(recipe, manifest, folder, say=say)
    if not file.exists():
        encoder = CheckpointEncoder(last_of(folder))
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


def row_of(
    runs: list[dict[str, Any]], items: list[str], against: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Recall at each k: mean over seeds and queries, interval over products; and recall@1 less that
    of other runs, photo by photo."""
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
    if against is not None:
        others = np.array([run["ranks"] for run in against])
        gained = (ranks <= 1).mean(axis=0) - (others <= 1).mean(axis=0)
        interval = cluster_interval(gained, items)
        row["gained"] = {
            "value": float(gained.mean()), "low": interval.low, "high": interval.high
        }  # fmt: skip
    for name in ("seconds", "ms_per_picture"):
        row[name] = float(np.mean([run[name] for run in runs]))
    return row | {"parameters": runs[0]["parameters"], "dim": runs[0]["dim"]}


def table(result: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = [
        f"{result['queries']} photos of {result['products']} products, {result['gallery']} shop "
        f"pictures; trained on {result['trained_on']} pictures of {result['side']} pixels (crop: "
        f"{result['crop']}) for {result['epochs']} epochs; {result['machine'].get('processor', '')}"
        f", {result['when']}.",
        "",
        "| system | paper | seeds | recall@1 | recall@5 | recall@20 | numbers | M parameters |",
        "|---|---|---|---|---|---|---|---|",
    ]
    if result["against"]:
        lines[-2] += f" recall@1 over {result['against']} |"
        lines[-1] += "---|"
    for name, row in result["systems"].items():
        cells = [
            f"{row[f'recall@{k}']['value']:.3f} ({row[f'recall@{k}']['low']:.3f}–"
            f"{row[f'recall@{k}']['high']:.3f})"
            for k in KS
        ]
        lines.append(
            f"| {name} | {row['paper']} | {len(row['recall@1']['seeds'])} | {' | '.join(cells)} | "
            f"{row['dim']} | {row['parameters'] / 1e6:.1f} |" + _gained(row)
        )
    lines += [
        f"| {name} | | | not applicable: no such labels | | | | |"
        for name in result["not_applicable"]
    ]
    return "\n".join(lines)


def _gained(row: dict[str, Any]) -> str:
    if "gained" not in row:
        return ""
    gained = row["gained"]
    return f" {gained['value']:+.3f} ({gained['low']:+.3f} to {gained['high']:+.3f}) |"


def applies(system: System, args: argparse.Namespace) -> bool:
    """Whether the data has the labels that a system needs."""
    return args.protocol != "grocery" or not (system.attributes or system.landmarks)


def all_runs(
    chosen: list[System], manifest: Manifest, protocol: Protocol, args: argparse.Namespace
) -> dict[str, Any]:
    """Every run that is this process's; the first seed of all before the others."""
    items = [str(manifest.column("item_id")[row]) for row in protocol.queries]
    mine, parts = (int(one) for one in args.part.split("/"))
    rows: dict[str, Any] = {}
    if not args.only and mine == 0:
        for gaussians in (64, 128):
            found = fisher(gaussians, manifest, protocol, args)
            rows[f"DSIFT + FV, {gaussians}"] = {"paper": "DARN", **row_of([found], items)}
    runs: dict[str, list[dict[str, Any]]] = {}
    listed = [
        (s, seed)
        for seed in args.seeds
        for s in sorted(chosen, key=lambda s: bool(s.start))  # while another makes their start
        if (s.main or seed == args.seeds[0]) and applies(s, args)
    ]
    starts = {s.start for s in chosen}
    first = [one for one in listed if one[0].name in starts]
    rest = [one for one in listed if one not in first]
    listed = first[mine::parts] + rest[mine::parts]
    for system, seed in listed:
        if args.gather and not (folder_of(args.runs, system.name, seed) / DONE).exists():
            print(f"{system.name}, seed {seed}: not there yet", flush=True)
            continue
        start = folder_of(args.runs, system.start, args.seeds[0]) / DONE
        while system.start and not start.exists():
            if parts == 1:
                raise SystemExit(f"{system.name} starts from {system.start}: name it in --only too")
            time.sleep(5)
        found = measured(system, seed, manifest, protocol, args)
        runs.setdefault(system.name, []).append(found)
        print(f"{system.name}, seed {seed}: {found['seconds']:.0f} s", flush=True)
    against = runs.get(args.against) if args.against else None
    rows |= {
        s.name: {"paper": s.paper, **row_of(runs[s.name], items, against)}
        for s in chosen
        if s.name in runs
    }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--runs", type=Path, required=True)
    parser.add_argument("--protocol", choices=("synthetic", "grocery"), default="synthetic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--side", type=int, default=96, help="of the pictures, in pixels")
    parser.add_argument("--crop", choices=("none", "box"), help="box where there are boxes")
    parser.add_argument("--only", nargs="+", default=[], help="names of systems")
    parser.add_argument("--dozen", action="store_true", help="only the dozen that matter")
    parser.add_argument("--part", default="0/1", help="I/N: this process does the I-th of N parts")
    parser.add_argument("--against", default="", help="a system: what the others gain over it")
    parser.add_argument("--gather", action="store_true", help="only what is measured already")
    parser.add_argument("--table", help="whose place in docs/results.md it takes; the protocol's")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--write", action="store_true", help="write the table into docs/results.md")
    args = parser.parse_args()
    groceries = args.protocol == "grocery"
    args.crop = args.crop or ("none" if groceries else "box")
    args.categories = "[coarse]" if groceries else "[category]"
    args.table = args.table or args.protocol
    name = "systems.json" if args.table == "synthetic" else f"systems-{args.table}.json"
    output = args.output or ROOT / "benchmarks/results" / name
    manifest = Manifest.read(args.manifest)
    (protocol,) = build(args.protocol, manifest, Choices(crop=args.crop))
    args.runs.mkdir(parents=True, exist_ok=True)
    chosen = [s for s in SYSTEMS if not args.only or s.name in args.only]
    if args.dozen:
        starts = {s.start for s in chosen if s.main}
        chosen = [s for s in chosen if s.main or s.name in starts]
    rows = all_runs(chosen, manifest, protocol, args)
    if args.part != "0/1":
        return
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d"),
        "protocol": args.protocol,
        "data": manifest.fingerprint(),
        "queries": len(protocol.queries),
        "products": len({str(manifest.column("item_id")[row]) for row in protocol.queries}),
        "gallery": len(protocol.gallery),
        "trained_on": int((np.asarray(manifest.column("split"), dtype=np.str_) == "train").sum()),
        "crop": args.crop,
        "epochs": args.epochs,
        "side": args.side,
        "seeds": args.seeds,
        "against": args.against,
        "machine": machine(),
        "systems": rows,
        "not_applicable": [s.name for s in chosen if not applies(s, args)],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result))
    if args.write:
        text = DOCS.read_text(encoding="utf-8")
        start = text.index(MARK.format(args.table)) + len(MARK.format(args.table))
        end = text.index(END.format(args.table))
        DOCS.write_text(text[:start] + "\n" + table(result) + "\n" + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
