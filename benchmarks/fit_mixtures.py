"""Mixtures to which the maps of `hemline-small` are fitted: all groceries, and each fold left out.

    python benchmarks/fit_mixtures.py drawn/manifest.parquet pairs/manifest.parquet -o mixtures
    python benchmarks/fit_folds.py small_real mixtures/test*.parquet -o fits start=runs/real …
    python benchmarks/real_photos.py --split test --model fits/test --folds 'fits/test{fold}'

Writes ``val.parquet`` and ``val0`` to ``val4`` to choose by (photos of train.txt without the last
tenth of each product, which validate), and ``test.parquet`` and ``test0`` to ``test4`` for the
table (all of train.txt). The grocery set is read from HEMLINE_SHARED. Maps need fewer images than
the network: half of the drawn products, three fifths of the dressed garments, all that are worn,
and three shop images of each at most.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _shared import SHARED
from real_photos import late_photos

from hemline.data.manifest import Manifest
from hemline.data.manifest.join import join
from hemline.datasets import READERS, build
from hemline.synthetic.seeds import mix

#: Source → share of its items that the maps are fitted to; all of the others.
SHARES = {"drawn": 0.5, "dressed": 0.6, "retaken": 0.6}
#: Shop images of an item, at most.
SHOP_IMAGES = 3


def thinned(manifest: Manifest, source: str | None = None) -> Manifest:
    """The training rows of a part of the items, with a few shop images of each."""
    items = np.asarray(manifest.column("item_id"), dtype=np.str_)
    domain = np.asarray(manifest.column("domain"), dtype=np.str_)
    split = np.asarray(manifest.column("split"), dtype=np.str_)
    sources = (
        np.full(len(items), source)
        if source is not None
        else np.asarray(manifest.column("source"), dtype=np.str_)
    )
    kept = np.zeros(len(items), bool)
    images: dict[str, int] = {}
    for row in np.flatnonzero(split == "train").tolist():
        item = str(items[row])
        if (mix("fit", item) % 1000) / 1000 >= SHARES.get(str(sources[row]), 1.0):
            continue
        if domain[row] == "shop":
            images[item] = images.get(item, 0) + 1
            if images[item] > SHOP_IMAGES:
                continue
        kept[row] = True
    return manifest.select(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("drawn", type=Path, help="manifest of hemline data make")
    parser.add_argument("pairs", type=Path, nargs="+", help="manifests of hemline data pairs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    parts = [("drawn", thinned(Manifest.read(options.drawn), "drawn"))]
    parts += [("pairs", thinned(Manifest.read(path))) for path in options.pairs]
    whole, _ = READERS["grocery"].read(SHARED / "data/grocery")
    split = np.asarray(whole.column("split"), dtype=np.str_)
    known = whole.select(split != "val")
    for name, manifest in (("val", known.select(~late_photos(known))), ("test", whole)):
        first = build("grocery", manifest)[0] if name == "test" else None
        mixtures = {name: manifest if first is None else first.training()}
        for number, fold in enumerate(build("grocery-folds", manifest)):
            mixtures[f"{name}{number}"] = fold.training()
        for key, groceries in mixtures.items():
            mixture = join([*parts, ("groceries", groceries)])
            mixture.write(options.output / f"{key}.parquet")
            print(f"{key}: {len(mixture)} rows, {len(groceries)} of groceries", flush=True)


if __name__ == "__main__":
    main()
