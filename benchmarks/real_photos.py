"""Recall on real photos: street photos, garments and groceries that took no part in training.

    python benchmarks/real_photos.py --split val --model runs/a             to choose by
    python benchmarks/real_photos.py --split test --folds 'folds/{fold}'    once, at the end
                                     [--before BUNDLE]   with the bundle that shipped before
    python benchmarks/real_photos.py --sheets FOLDER --model runs/a --only  also 40 queries of each

Rows, each beside ImageNet networks (their domain means taken from the same pictures, so that they
are at their best), of which the bundle that ships started from the last, and that bundle:

The ImageNet networks compute in bfloat16, for speed.

- **worn**: a garment framed in a real street photo → its changed cut-out, among all cut-outs and
  500 changed cut-outs of other garments (250 on validation).
- **dressed**: a real garment worn by a person of a street photo, framed → its own photo, changed,
  among all and 500 other photos (250); and the whole scene instead of the frame.
- **groceries, unseen**: five committed folds of products; ``--folds`` names five runs or bundles
  that haven't seen them. **seen**: photos of val.txt. (On validation: photos of train.txt's last
  tenth of each product stand for val.txt.)
- **kinds**: whether the nearest photo by another photographer has the same label.
- **drawn**: 1,024 unseen drawn products, whole photos and framed garments.

Splits: clothing by photographer, street by photo (`hemline data read`), drawn by seed. Needs
``hemline[learn]``, and data and weights under HEMLINE_SHARED. ``--sheets`` writes
FOLDER/MODEL/ROW.jpg: 40 random queries of each row with their first five hits, the right ones
framed. Writes ``benchmarks/results/real_photos.json`` (test) or prints (val).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _shared import IMAGENET, LITE2, SHARED
from grocery import Start

from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.data.relevance import match_items
from hemline.datasets import READERS, build
from hemline.encoding import Encoder
from hemline.evaluation.bootstrap import cluster_interval, paired_difference
from hemline.evaluation.embed import embed
from hemline.evaluation.machine import machine
from hemline.evaluation.model import open_encoder
from hemline.evaluation.result import EvaluationResult
from hemline.evaluation.run import evaluate
from hemline.files import write_atomic
from hemline.ranking.metrics import hits_at_k
from hemline.synthetic import SyntheticSettings
from hemline.synthetic.make import make_dataset
from hemline.synthetic.pair_rows import PairSettings
from hemline.synthetic.pairs import make_pairs
from hemline.synthetic.seeds import mix
from hemline.types import Domain, FloatArray
from hemline.views.failures import random_queries
from hemline.views.sheet import Row as SheetRow
from hemline.views.sheet import Tile, write_sheet

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "benchmarks/results/real_photos.json"
#: Seeds of the drawn products: no training data is drawn with them.
DRAWN = {"val": 715_518, "test": 715_519}
PRODUCTS = {"val": 400, "test": 1024}
OTHERS = {"val": 250, "test": 500}
#: Queries of a sheet.
SHEET = 40
#: ImageNet networks, each domain's mean removed → their weights and timm's name. The last one is
#: what the bundle that ships started from.
STARTS = {
    "ImageNet MobileNetV2": (IMAGENET, "mobilenetv2_100"),
    "ImageNet EfficientNet-Lite2": (LITE2, "tf_efficientnet_lite2"),
}
START = [*STARTS][-1]


@dataclass
class Row:
    """One row of the table: its protocols (several are folds, pooled), and how queries cluster."""

    name: str
    protocols: tuple[Protocol, ...]
    folds: bool = False


class Sets:
    """The pictures of a split, made once in ``folder``."""

    def __init__(self, folder: Path, split: str) -> None:
        self.split = split
        self.clothing, _ = READERS["clothing"].read(SHARED / "data/clothing")
        street, _ = READERS["co-parsing"].read(SHARED / "data/street")
        pairs = folder / f"pairs-{split}"
        if not (pairs / "manifest.parquet").exists():
            settings = PairSettings(
                split=split, seed=1, cutouts=1, scenes=1, photos=1, retakes=0, others=OTHERS[split]
            )
            make_pairs(pairs, street, self.clothing, settings)
        self.pairs = Manifest.read(pairs)
        drawn = folder / f"drawn-{split}"
        settings_drawn = SyntheticSettings(size=224)
        make_dataset(drawn, PRODUCTS[split], DRAWN[split], settings_drawn, street_views=1)
        self.drawn = Manifest.read(drawn)
        self.grocery, _ = READERS["grocery"].read(SHARED / "data/grocery")

    def rows(self) -> list[Row]:
        return [*self._pairs(), *self._groceries(), *self._drawn()]

    def protocol(self, name: str, crop: str) -> Protocol:
        """The row ``worn`` or ``dressed``, its queries cut in another way."""
        (protocol,) = next(row.protocols for row in self._pairs() if row.name == name)
        return replace(protocol, crop=crop)  # type: ignore[arg-type]

    def _pairs(self) -> list[Row]:
        made, few = self.pairs, OTHERS[self.split]
        source = np.asarray(made.column("source"), dtype=np.str_)
        street = np.asarray(made.column("domain"), dtype=np.str_) == "street"
        items = np.asarray(made.column("item_id"), dtype=np.str_)
        worn = self._match(
            "worn", made, street & (source == "worn"), ~street & np.isin(source, ("worn", "other"))
        )
        asked = np.flatnonzero(street & (source == "dressed"))
        gallery = ~street & (source == "dressed")
        order = sorted(asked.tolist(), key=lambda row: mix("dressed", str(items[row])))
        chosen = np.zeros(len(made), bool)
        chosen[order[: max(1, int(gallery.sum()) - few)]] = True
        return [
            Row("worn", (worn,)),
            Row("dressed", (self._match("dressed", made, chosen, gallery),)),
            Row("dressed, whole", (self._match("dressed", made, chosen, gallery, "none"),)),
        ]

    def _match(
        self, name: str, manifest: Manifest, queries: Any, gallery: Any, crop: Any = "query"
    ) -> Protocol:
        stated = {"queries": f"{name}, split {self.split}", "gallery": "all, and others"}
        asked, searched = np.flatnonzero(queries), np.flatnonzero(gallery)
        return match_items(name, manifest, asked, searched, Choices(crop=crop), stated)

    def _groceries(self) -> list[Row]:
        if self.split == "test":
            unseen = build("grocery-folds", self.grocery)
            return [
                Row("groceries, unseen", unseen, folds=True),
                Row("groceries, seen", build("grocery", self.grocery)),
            ]
        # Validation asks photos of train.txt only; val.txt is the test's.
        split = np.asarray(self.grocery.column("split"), dtype=np.str_)
        manifest = self.grocery.select(split != "val")
        late = late_photos(manifest)
        gallery = np.asarray(manifest.column("domain"), dtype=np.str_) == "shop"
        unseen = build("grocery-folds", manifest)
        return [
            Row("groceries, unseen", unseen, folds=True),
            Row("groceries, seen", (self._match("seen", manifest, late, gallery),)),
        ]

    def _drawn(self) -> list[Row]:
        shop = np.asarray(self.drawn.column("domain"), dtype=np.str_) == "shop"
        return [
            Row(f"drawn, {name}", (self._match("drawn", self.drawn, ~shop, shop, crop),))
            for name, crop in (("whole", "none"), ("framed", "query"))
        ]


def late_photos(grocery: Manifest) -> npt.NDArray[np.bool_]:
    """Mask of the last tenth of each product's photos in train.txt, which validate."""
    items = np.asarray(grocery.column("item_id"), dtype=np.str_)
    photos = np.asarray(grocery.column("split"), dtype=np.str_) == "train"
    late = np.zeros(len(items), bool)
    for item in np.unique(items[photos]):
        rows = np.flatnonzero(photos & (items == item))
        late[rows[len(rows) - max(1, len(rows) // 10) :]] = True
    return late


@dataclass
class Measured:
    """The hits at rank 1 of a model: row → (hits, clusters of the bootstrap)."""

    fingerprint: str
    hits: dict[str, tuple[list[float], list[str]]]


def measure(
    sets: Sets, model: str, threads: int, folds: str, work: Path, sheets: Path | None = None
) -> Measured:
    """Every row of a model; what was measured before in ``work`` is read, but for ``sheets``."""
    start = None
    if model in STARTS:
        weights, network = STARTS[model]
        start = Start(weights, threads, half=True, network=network)
    one: Encoder = start or open_encoder(model, threads)
    marks = [one.fingerprint, sets.pairs.fingerprint(), sets.drawn.fingerprint()]
    if folds:
        marks += [open_encoder(folds.format(fold=fold), threads).fingerprint for fold in range(5)]
    name = hashlib.sha256(" ".join(marks).encode()).hexdigest()[:16]
    file = work / f"measured-{sets.split}-{name}.json"
    if file.exists() and sheets is None:
        return Measured(one.fingerprint, json.loads(file.read_text("utf-8")))
    hits: dict[str, tuple[list[float], list[str]]] = {}
    for row in sets.rows():
        if row.folds and not folds and start is None:
            print(f"{row.name}: left out, as no runs of its folds are named", flush=True)
            continue
        found: list[float] = []
        items: list[str] = []
        results: list[EvaluationResult] = []
        for number, protocol in enumerate(row.protocols):
            encoder = one
            if start is not None:
                centre(start, protocol, sets.grocery)
            elif row.folds and folds:
                encoder = open_encoder(folds.format(fold=number), threads)
            result = evaluate(encoder, protocol)
            results.append(result)
            found += hits_at_k(result.ranks, 1).astype(float).tolist()
            items += result.items
        hits[row.name] = (found, items)
        if sheets is not None:
            sheet_of(sheets, row.name, model, random_queries(results, SHEET))
        print(f"{row.name}: {np.mean(found):.3f} of {len(found)}", flush=True)
    hits["kinds"], rows = kinds(start or one, sets.clothing, sets.split)
    if sheets is not None:
        sheet_of(sheets, "kinds", model, rows)
    print(f"kinds: {np.mean(hits['kinds'][0]):.3f}", flush=True)
    write_atomic(file, json.dumps(hits))
    return Measured(one.fingerprint, hits)


def sheet_of(folder: Path, name: str, model: str, rows: list[SheetRow]) -> None:
    """Writes ``folder``/MODEL/NAME.jpg, four queries abreast."""
    file = folder / re.sub(r"\W+", "-", Path(model).name) / f"{name.replace(', ', '-')}.jpg"
    note = f"{len(rows)} random queries and their first hits; the right ones are framed"
    write_sheet(file, rows, f"{name}: {model}", note, abreast=4)


def centre(start: Start, protocol: Protocol, grocery: Manifest) -> None:
    """Sets the start's domain means: of the protocol's own pictures, or, for groceries, of those
    that training may see."""
    if protocol.name.startswith("grocery"):
        start.centre(protocol.training())
        return
    start.means = {"street": np.zeros(1280, np.float32), "shop": np.zeros(1280, np.float32)}
    sides: tuple[tuple[Domain, Any, bool], ...] = (
        ("street", protocol.queries, protocol.crop in ("query", "box")),
        ("shop", protocol.gallery, False),
    )
    means = {
        domain: vectors(start, protocol.manifest, rows, domain, boxes).mean(0)
        for domain, rows, boxes in sides
    }
    start.means = means


def vectors(
    encoder: Encoder, manifest: Manifest, rows: Any, domain: Domain, boxes: bool = False
) -> FloatArray:
    blocks = embed(encoder, manifest, rows, domain, boxes=boxes)
    return np.concatenate([block.arrays["embedding"] for block in blocks])


def kinds(
    encoder: Encoder, clothing: Manifest, split: str
) -> tuple[tuple[list[float], list[str]], list[SheetRow]]:
    """Whether each photo, as a query, is nearest to one of its label by another photographer; and
    some of them for a sheet."""
    rows = np.flatnonzero(np.asarray(clothing.column("split"), dtype=np.str_) == split)
    if isinstance(encoder, Start):
        encoder.means = {"street": np.zeros(1280, np.float32), "shop": np.zeros(1280, np.float32)}
        mean = vectors(encoder, clothing, rows, "shop").mean(0)
        encoder.means = {"street": mean, "shop": mean}
    queries = vectors(encoder, clothing, rows, "street")
    gallery = vectors(encoder, clothing, rows, "shop")
    by = np.asarray(clothing.column("photographer"), dtype=np.str_)[rows]
    label = np.asarray(clothing.column("category"), dtype=np.str_)[rows]
    near = queries @ gallery.T
    near[by[:, None] == by[None]] = -np.inf
    shown = []
    for at in np.random.default_rng(0).permutation(len(rows))[:SHEET].tolist():
        first = np.argsort(-near[at], kind="stable")[:5].tolist()
        tiles = [tile_of(clothing, rows[hit], label[hit], label[hit] == label[at]) for hit in first]
        shown.append(SheetRow(tile_of(clothing, rows[at], label[at]), tiles))
    return ((label[near.argmax(1)] == label).astype(float).tolist(), by.tolist()), shown


def tile_of(manifest: Manifest, row: int, title: str, right: bool = False) -> Tile:
    return Tile(open_image(manifest.file(int(row))), str(title), right=bool(right))


def summary(measured: Measured, others: Mapping[str, Measured]) -> dict[str, Any]:
    """Each row's recall, and its paired difference to those of ``others``, by their names."""
    found: dict[str, Any] = {"fingerprint": measured.fingerprint}
    for name, (hits, clusters) in measured.hits.items():
        interval = cluster_interval(hits, clusters)
        found[name] = {
            "recall@1": interval.value,
            "interval": [interval.low, interval.high],
            "queries": len(hits),
        }
        for other, of in others.items():
            if name in of.hits:
                gap = paired_difference(hits, of.hits[name][0], clusters)
                found[name][f"over_{other}"] = [gap.value, gap.low, gap.high]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--model", action="append", default=[], help="a run or bundle")
    parser.add_argument("--before", help="a bundle that shipped before, as another row")
    parser.add_argument("--before-folds", default="", help="its runs, as --folds")
    parser.add_argument("--folds", default="", help="runs of the last model: a path with {fold}")
    parser.add_argument("--work", type=Path, help="folder for the pictures; kept for the next run")
    parser.add_argument("--only", action="store_true", help="leave start and shipped bundle out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheets", type=Path, help="folder for sheets of random queries")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    models: Sequence[str] = args.model if args.only else [*STARTS, "hemline-small", *args.model]
    if args.before:
        models = [*STARTS, args.before, *[one for one in models if one not in STARTS]]
    with tempfile.TemporaryDirectory() as temporary:
        work: Path = args.work or Path(temporary)
        sets = Sets(work, args.split)
        result: dict[str, Any] = {
            "label": "measured here",
            "when": time.strftime("%Y-%m-%d"),
            "split": args.split,
            "pairs": sets.pairs.fingerprint(),
            "machine": machine(),
            "models": {},
        }
        others: dict[str, Measured] = {}
        for model in models:
            print(f"\n== {model}")
            of_folds = args.before_folds if model == args.before else ""
            of_folds = args.folds if model == models[-1] else of_folds
            measured = measure(sets, model, args.threads, of_folds, work, args.sheets)
            result["models"][model] = summary(measured, others)
            if model in (START, args.before):
                others["start" if model == START else "before"] = measured
            for name, row in result["models"][model].items():
                if isinstance(row, dict):
                    low, high = row["interval"]
                    print(f"{name:20} {row['recall@1']:.3f} ({low:.3f} to {high:.3f})")
    output = args.output or (OUTPUT if args.split == "test" else None)
    if output is not None:
        output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
        print(f"\nwritten: {output}")


if __name__ == "__main__":
    main()
