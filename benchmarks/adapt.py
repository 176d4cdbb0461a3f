"""What `hemline adapt` gives with 50, 200 and 1,000 pairs, on products that it hasn't seen.

    python benchmarks/adapt.py BUNDLE …                       groceries
    python benchmarks/adapt.py --set dressed hemline-small BUNDLE … --work FOLDER

The Grocery Store Dataset's five folds of products: for each fold, so many photos of the other
folds' products are drawn with a seed, the method is chosen by cross-validation over their products
and fitted, as `hemline adapt` does; then all photos of the fold search among all 81 shop pictures.
"Before" is the bundle as it is served, on the same photos. Each is also done without a querybank,
and on the embedding alone.

``--set dressed``: the row of `real_photos.py` with garments that people of street photos wear,
framed, each of which searches its own photo, changed, among all and 500 others; five folds of
garments, none of which the bundle that ships was trained on. It needs ``hemline[learn]`` to make
the pictures (in ``--work``), groceries don't.

Needs the data under HEMLINE_SHARED (default: ``../shared`` from the project's root). Writes
``benchmarks/results/adapt.json``, or ``adapt_dressed.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _shared import SHARED

from hemline.adaptation.choose import Images, Outcome, choose, fitted, folds, mapped, search
from hemline.adaptation.encode import Encoded, encode
from hemline.adaptation.fit import Side
from hemline.adaptation.report import compare
from hemline.adaptation.run import served
from hemline.adaptation.sources import from_manifest
from hemline.adaptation.taps import with_features
from hemline.cli._common import progress
from hemline.data.manifest import Manifest
from hemline.datasets import READERS, build
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder

ROOT = Path(__file__).resolve().parents[1]
PAIRS = (50, 200, 1000)
#: Fitted on the layers with a querybank where it is chosen, as `hemline adapt` does; and without.
KINDS = ("features", "features, no querybank", "embedding")


class Asked(NamedTuple):
    """The images of a set, how photos are cropped, and the item ids of each fold."""

    protocol: str
    manifest: Manifest
    crop: str
    folds: list[list[str]]


def groceries() -> Asked:
    manifest, _ = READERS["grocery"].read(SHARED / "data/grocery")
    parts = [sorted(protocol.held_out) for protocol in build("grocery-folds", manifest)]
    words = "grocery-folds: products kept out, all 81 shop pictures searched"
    return Asked(words, manifest, "none", parts)


def dressed(work: Path, seed: int) -> Asked:
    from real_photos import Sets

    sets = Sets(work, "test")
    protocol = sets.protocol("dressed", "query")
    rows = np.zeros(len(sets.pairs), bool)
    rows[protocol.queries] = rows[protocol.gallery] = True
    manifest = sets.pairs.select(rows)
    asked = np.unique(np.asarray(sets.pairs.column("item_id"), dtype=np.str_)[protocol.queries])
    parts = [asked[part].tolist() for part in folds(np.arange(len(asked)), 5, seed)]
    words = "dressed garments, split test: garments kept out, all and 500 others searched"
    return Asked(words, manifest, "query", parts)


def encoded(bundle: Bundle, asked: Asked, threads: int) -> tuple[Encoded, dict[str, Any]]:
    sources = from_manifest(asked.manifest, crop=asked.crop, split="all")
    sources.limited(len(sources.street), len(sources.shop), 0)
    begun = time.monotonic()
    with with_features(bundle) as (towers, blocks):
        found = encode(BundleEncoder(towers, threads), blocks, sources, 1, progress)
    seconds = round(time.monotonic() - begun, 1)
    return found, {"features": list(found.images.blocks), "seconds_encoding": seconds}


def some(images: Images, places: np.ndarray) -> Images:
    """The images of a fitting: these photos, and the shop images of their items."""
    street = Side(images.street.vectors[places], images.street.items[places])
    own = np.isin(images.shop.items, street.items)
    shop = Side(images.shop.vectors[own], images.shop.items[own])
    return Images(street, shop, np.full(len(places), -1), images.blocks)


def after(
    images: Images, folds: Sequence[np.ndarray], pairs: int, kind: str, seed: int
) -> tuple[Outcome, list[dict[str, Any]], float]:
    """The ranks of all photos, each with maps that haven't seen its product."""
    if kind == "embedding":
        own = images.blocks[-1]
        street = Side(images.street.vectors[:, -own:], images.street.items)
        shop = Side(images.shop.vectors[:, -own:], images.shop.items)
        images = Images(street, shop, images.same, (own,))
    ranks = np.zeros(len(images.street.items), np.int64)
    methods, seconds = [], 0.0
    for fold in folds:
        asked = np.isin(images.street.items, fold)
        others = np.random.default_rng(seed).permutation(np.flatnonzero(~asked))[:pairs]
        begun = time.process_time()
        training = some(images, np.sort(others))
        method = choose(training, seed, querybanks=kind != KINDS[1])
        maps = fitted(training, method)
        seconds += time.process_time() - begun
        methods.append(method.described())
        ranks[asked] = search(images, mapped(images, maps), np.flatnonzero(asked)).ranks
    return Outcome(ranks), methods, seconds / len(folds)


def measure(name: str, asked: Asked, threads: int, seed: int) -> dict[str, Any]:
    bundle = Bundle.open(name)
    found, result = encoded(bundle, asked, threads)
    numbers = {item: number for number, item in enumerate(found.names)}
    folds = [np.array([numbers[item] for item in part]) for part in asked.folds]
    before = served(bundle, found, threads)
    items = [found.names[number] for number in found.images.street.items]
    for pairs in PAIRS:
        for kind in KINDS:
            if kind == "embedding" and len(found.images.blocks) == 1:
                continue
            outcome, methods, seconds = after(found.images, folds, pairs, kind, seed)
            row = compare(before, outcome, items, seed)
            row |= {"methods": methods, "cpu_seconds_choosing_and_fitting": round(seconds, 1)}
            result[f"{pairs} pairs, {kind}"] = row
            own, gap = row["after"]["recall@1"], row["difference"]["recall@1"]
            print(
                f"{bundle.info.name}, {pairs} pairs, {kind}: recall@1 "
                f"{row['before']['recall@1']['value']:.3f} → {own['value']:.3f} "
                f"({own['low']:.3f}-{own['high']:.3f}), {gap['value']:+.3f} "
                f"({gap['low']:+.3f} to {gap['high']:+.3f}), {seconds:.1f} s of CPU",
                flush=True,
            )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundles", nargs="+", help="a bundle's folder, or a shipped one's name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", choices=("grocery", "dressed"), default="grocery")
    parser.add_argument("--work", type=Path, help="of --set dressed, where its pictures are made")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if args.set == "dressed" and args.work is None:
        parser.error("--set dressed needs --work, a folder for its pictures")
    file = "adapt.json" if args.set == "grocery" else "adapt_dressed.json"
    args.output = args.output or ROOT / "benchmarks/results" / file
    asked = groceries() if args.set == "grocery" else dressed(args.work, args.seed)
    result: dict[str, Any] = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d"),
        "data": asked.manifest.fingerprint(),
        "protocol": asked.protocol,
        "seed": args.seed,
        "bundles": {},
    }
    for name in args.bundles:
        own = measure(name, asked, args.threads, args.seed)
        if args.output.is_file():  # other bundles' rows of the same data stay
            before = json.loads(args.output.read_text("utf-8"))
            if (before["data"], before["seed"]) == (result["data"], args.seed):
                result["bundles"] = before["bundles"]
        result["bundles"][Bundle.open(name).info.name] = own
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(f"written: {args.output}")


if __name__ == "__main__":
    main()
