"""What each step of a question costs in the engine, with the shipped bundle and one thread.

20,000 made vectors of 10,000 products with a few columns; the photo is plain, as only time is
measured. Medians of the steps' own clocks over `ROUNDS` questions, after a warm-up.

    python benchmarks/questions.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from _system import load, machine, versions

from hemline.catalog.catalog import Catalog
from hemline.catalog.store import Row
from hemline.runtime.bundle import Bundle
from hemline.search.engine import Engine
from hemline.types import SearchRequest

ROWS, ROUNDS = 20_000, 100
RESULT = Path(__file__).parent / "results" / "questions.json"


def filled(folder: Path, bundle: Bundle) -> Catalog:
    """A catalogue of made vectors."""
    catalog = Catalog.create(folder, bundle)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(ROWS, bundle.info.embedding_dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = [{"price": n % 200, "title": f"Number {n}"} for n in range(ROWS)]
    catalog.store.add(
        [
            Row(f"i{n}", f"p{n // 2}", vectors[n], 1.0 + n % 5, category=f"c{n // 2 % 9}",
                columns=columns[n])
            for n in range(ROWS)
        ]
    )  # fmt: skip
    return catalog


def main() -> None:
    bundle = Bundle.default()
    with tempfile.TemporaryDirectory() as scratch, filled(Path(scratch) / "shop", bundle) as shop:
        engine = Engine(shop, threads=1)
        plain = Engine(shop, engine.encoder, rerank=False)
        photo = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
        asked = {
            "a photo": lambda: engine.search(photo),
            "without re-ranking": lambda: plain.search(photo),
            "the fifth page": lambda: engine.search(photo, offset=80),
            "where price < 20": lambda: engine.search(photo, where="price < 20"),
            "facets of category and price": lambda: engine.search(
                photo, facets=["category", "price"]
            ),
            "three photos together": lambda: engine.search([photo] * 3),
            "like a product": lambda: engine.answer(SearchRequest(item_id="p7")),
        }
        steps: dict[str, dict[str, float]] = {}
        for name, ask in asked.items():
            ask()
            timings = [ask().timings_ms for _ in range(ROUNDS)]
            steps[name] = {
                s: round(float(np.median([t[s] for t in timings])), 3) for s in timings[0]
            }
            print(name, steps[name])
    result = {
        "machine": machine(), "load": load(), "rows": ROWS, "rounds": ROUNDS,
        "versions": versions("hemline", "numpy", "onnxruntime", "faiss-cpu"), "median_ms": steps,
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
