"""The built-in check of a served catalogue: its health, and the recall of its own products.

Stored images of some products are cropped, relit, blurred and recompressed, and searched with. This
shows whether catalogue, bundle and index work together, not how well customers' photos are answered
(`hemline evaluate` measures that, with photos).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
from PIL.ImageFilter import GaussianBlur

from hemline.catalog.store import Row
from hemline.data.images import encode_jpeg, open_image
from hemline.errors import ImageError
from hemline.evaluation.bootstrap import cluster_interval
from hemline.ranking.metrics import hits_at_k
from hemline.service.jobs import Ended, Job
from hemline.service.serving import Service
from hemline.types import Image

PRODUCTS = 200
KS = (1, 5, 20)


def check(service: Service, job: Job, products: int = PRODUCTS) -> dict[str, Any]:
    """Health and recall; products without a readable image are counted and left out."""
    health = service.catalog.check()
    rows = _sample(service, products)
    rng = np.random.default_rng(0)
    ranks: list[int] = []
    items: list[str] = []
    times: list[float] = []
    unreadable = 0
    for done, row in enumerate(rows, 1):
        if service.jobs.ending.is_set():
            raise Ended
        path = service.catalog.image_path(row)
        try:
            image = open_image(path) if path is not None else None
        except ImageError:
            image = None
        if image is None:
            unreadable += 1
            continue
        answer = service.engine.search(disturbed(image, rng), max(KS))
        times.append(answer.timings_ms["total"])
        ranks.append(next((h.rank for h in answer.hits if h.item_id == row.item_id), max(KS) + 1))
        items.append(row.item_id)
        job.advance(done, len(rows))
    rank = np.array(ranks)
    intervals = {f"recall@{k}": cluster_interval(hits_at_k(rank, k), items) for k in KS if items}
    return {
        "healthy": health.ok,
        "problems": [
            f"{problem.part}: {problem.found}".replace(f"{service.catalog.folder}/", "")
            for problem in health.problems
        ][:20],
        "pictures": health.images,
        "queries": len(ranks),
        "without_picture": unreadable,
        **{name: round(interval.value, 4) for name, interval in intervals.items()},
        "intervals": {
            name: [round(interval.low, 4), round(interval.high, 4)]
            for name, interval in intervals.items()
        },
        "latency_ms": {
            name: round(float(np.quantile(times, q)), 2) if times else None
            for name, q in (("p50", 0.5), ("p95", 0.95))
        },
        "queries_are": "stored images, cropped, relit, blurred and recompressed; no street photos",
    }


def _sample(service: Service, products: int) -> list[Row]:
    """One row of each of ``products`` products, spread evenly over the catalogue."""
    store = service.catalog.live().store
    first: dict[str, str] = {}
    for key in store.row_keys():
        first.setdefault(key.item_id, key.image_id)
    ids = list(first.values())
    if not ids:
        return []
    places = np.unique(np.linspace(0, len(ids) - 1, products).round().astype(int))
    rows = store.get([ids[place] for place in places], vectors=False)
    return [rows[ids[place]] for place in places if ids[place] in rows]


def disturbed(image: Image, rng: np.random.Generator) -> Image:
    """An image (H, W, 3) with a random 80 to 95 % crop, other light, blur and compression."""
    height, width = image.shape[:2]
    share = rng.uniform(0.8, 0.95)
    tall, wide = max(1, int(height * share)), max(1, int(width * share))
    top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
    part = image[top : top + tall, left : left + wide].astype(np.float32)
    lit = np.clip(part * rng.uniform(0.7, 1.3) + rng.uniform(-15, 15), 0, 255).astype(np.uint8)
    soft = PIL.Image.fromarray(lit).filter(GaussianBlur(float(rng.uniform(0.3, 1.2))))
    return open_image(encode_jpeg(np.asarray(soft), int(rng.integers(40, 80))))
