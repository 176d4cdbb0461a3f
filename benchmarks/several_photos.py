"""Several photos of one product as one query: fused how, and what it brings.

Draws products with four street photos each, of which none was learned from, fills a catalogue with
their shop pictures, and searches with the first one, two, three and all four photos together: by
the mean of the embeddings (re-ranked by the mean of what each photo sees) and by the largest
similarity (re-ranked by the largest). The validation products choose between the two; the test
products are read once. Intervals resample products.

    python benchmarks/several_photos.py --products 1000 --out DATA
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _system import machine, versions

from hemline.catalog.catalog import Catalog
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.evaluation.bootstrap import cluster_interval
from hemline.ranking.fusion import FUSIONS
from hemline.ranking.merge import RERANK_TOP
from hemline.runtime.bundle import Bundle
from hemline.search.clock import Clock
from hemline.search.ranking import Query, Ranking
from hemline.synthetic import SyntheticSettings
from hemline.synthetic.make import make_dataset

#: No data set for training is drawn with these seeds.
SEEDS = {"val": 811_001, "test": 811_002}
VIEWS = 4
RESULT = Path(__file__).parent / "results" / "several_photos.json"


def shop(folder: Path, products: int, seed: int, bundle: Bundle) -> tuple[Catalog, Any, list[str]]:
    """The catalogue, the photos' encodings (P, V, …) and the product of each."""
    path = make_dataset(
        folder, products, seed, SyntheticSettings(size=224), shop_views=1, street_views=VIEWS
    )
    manifest = Manifest.read(path)
    catalog = Catalog.in_memory(bundle)
    catalog.add(manifest)
    photos: dict[str, list[Path]] = {}
    for i, (domain, item) in enumerate(
        zip(manifest.column("domain"), manifest.column("item_id"), strict=True)
    ):
        if domain == "street":
            photos.setdefault(str(item), []).append(manifest.file(i))
    items = [item for item, files in photos.items() if len(files) == VIEWS]
    encoder = catalog.encoder(1)
    coded = [encoder.encode_street([open_image(f) for f in photos[item]]) for item in items]
    return catalog, coded, items


def ranks(
    catalog: Catalog, coded: Any, items: list[str], views: int, fusion: str, top: int
) -> np.ndarray:
    """(P,) the rank of the right product, from 1; 1,000 where it isn't among the first 50."""
    found = np.full(len(items), 1000)
    store, encoder = catalog.store, catalog.encoder(1)
    for i, (one, item) in enumerate(zip(coded, items, strict=True)):
        local = None if one.local is None else one.local[:views]
        query = Query(one.embedding[:views], local)
        ranking = Ranking(store, encoder, query, None, top, fusion)
        ranking.reach(50, Clock())
        rows = store.take(ranking.ids[:50])
        for rank, row in enumerate(rows, start=1):
            if row is not None and row.item_id == item:
                found[i] = rank
    return found


def measure(catalog: Catalog, coded: Any, items: list[str], fusions: list[str]) -> dict[str, Any]:
    """Recall of each number of photos and fusion, and paired differences."""
    tops = {"re-ranked": RERANK_TOP, "first search": 0}
    rows: dict[str, Any] = {}
    single: dict[str, np.ndarray] = {}
    for how, top in tops.items():
        for views in range(1, VIEWS + 1):
            for fusion in fusions if views > 1 else ["mean"]:
                rank = ranks(catalog, coded, items, views, fusion, top)
                single.setdefault(how, rank)
                row: dict[str, Any] = {}
                for k in (1, 5):
                    row[f"recall@{k}"] = list(cluster_interval(rank <= k, items))
                    gain = (rank <= k).astype(float) - (single[how] <= k)
                    row[f"gain@{k}"] = list(cluster_interval(gain, items))
                rows[f"{how}, {views} photos, {fusion}"] = row
                print(how, views, fusion, {n: np.round(v, 3).tolist() for n, v in row.items()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="keeps the pictures there")
    arguments = parser.parse_args()
    bundle = Bundle.default()
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": versions("hemline", "numpy", "onnxruntime"),
        "bundle": bundle.fingerprint,
        "products": arguments.products,
    }
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.out or Path(scratch)
        made = shop(root / "val", arguments.products, SEEDS["val"], bundle)
        result["val"] = measure(*made, list(FUSIONS))
        total = {
            fusion: sum(
                row["recall@1"][0]
                for name, row in result["val"].items()
                if name.endswith(fusion) and " 1 photos" not in name
            )
            for fusion in FUSIONS
        }
        result["chosen"] = max(total, key=lambda name: total[name])
        made = shop(root / "test", arguments.products, SEEDS["test"], bundle)
        result["test"] = measure(*made, [result["chosen"]])
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"chosen: {result['chosen']}; written to {RESULT}")


if __name__ == "__main__":
    main()
