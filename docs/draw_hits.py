"""Draws docs/images/hits.jpg anew: random photos of drawn products, and what the bundle that ships
finds for them.

python docs/draw_hits.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from hemline.data.images import encode_jpeg, open_image
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices
from hemline.data.relevance import match_items
from hemline.evaluation.run import evaluate
from hemline.runtime.encoder import load
from hemline.synthetic import SyntheticSettings, make_dataset
from hemline.views.failures import random_queries
from hemline.views.sheet import write_sheet

FILE = Path(__file__).with_name("images") / "hits.jpg"
#: No training data is drawn with this seed.
SEED = 715_520
PRODUCTS, QUERIES, MOST_WIDE = 150, 10, 1600


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(folder, PRODUCTS, SEED, SyntheticSettings(size=224), street_views=1)
        made = Manifest.read(folder)
        shop = np.asarray(made.column("domain")) == "shop"
        queries, gallery = np.flatnonzero(~shop), np.flatnonzero(shop)
        protocol = match_items("drawn", made, queries, gallery, Choices(crop="query"), {})
        result = evaluate(load(), protocol)
        rows = random_queries([result], QUERIES)
        note = f"{QUERIES} random photos of {PRODUCTS} drawn products, framed, and their first hits"
        write_sheet(FILE, rows, "The right product is framed in green", note, abreast=2)
    FILE.write_bytes(encode_jpeg(open_image(FILE), 82, MOST_WIDE))


if __name__ == "__main__":
    main()
