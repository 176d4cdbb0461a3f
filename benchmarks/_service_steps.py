"""The engine's own steps in one process, and the tower alone: what a service is compared with.

As a program it runs another version's, by its PYTHONPATH; so it imports only what both have.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from hemline.catalog.catalog import Catalog
from hemline.data.images import open_image
from hemline.runtime.encoder import BundleEncoder
from hemline.search.engine import Engine


def bare(folder: Path, shots: list[bytes]) -> dict[str, Any]:
    """The engine's own steps, and the tower alone."""
    cores = os.cpu_count() or 1
    with Catalog.open(folder) as catalog:
        engine = Engine(catalog, threads=1)
        for shot in shots[:8]:
            engine.search(shot)
        steps = [engine.search(shot).timings_ms for shot in shots * 2]
        with patch("hemline.search.clock.time", SimpleNamespace(perf_counter=time.thread_time)):
            work = [engine.search(shot).timings_ms for shot in shots * 2]
        encoder = BundleEncoder(catalog.bundle, threads=1)
        images = [open_image(shot) for shot in shots] * 2
        start = time.process_time()
        rate = _rate(encoder, images, 1, cores)
        rates = {
            "encoder_cpu_ms": round((time.process_time() - start) * 1000 / (len(images) + 8), 2),
            "encoder_photos_per_s": rate,
            "encoder_photos_per_s_in_batches_of_16": _rate(encoder, images, 16, cores),
            "encoder_photos_per_s_each_on_all_cores": _rate(
                BundleEncoder(catalog.bundle, threads=cores), images, 1, 1
            ),
        }
    own = median(steps)
    return {
        "steps_ms_p50": own,
        "steps_cpu_ms_p50": median(work),
        "steps_per_s": round(1000 * cores / own["total"], 1),
        **rates,
    }


def median(timings: list[Any]) -> dict[str, float]:
    return {name: round(float(np.median([one[name] for one in timings])), 2) for name in timings[0]}


def _rate(encoder: BundleEncoder, images: list[Any], batch: int, threads: int) -> float:
    """Opened photos a second, ``batch`` in a run, ``threads`` runs at a time."""
    runs = [images[at : at + batch] for at in range(0, len(images), batch)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(encoder.encode_street, runs[:8]))
        begun = time.perf_counter()
        list(pool.map(encoder.encode_street, runs))
        return round(len(images) / (time.perf_counter() - begun), 1)


if __name__ == "__main__":
    shots = [path.read_bytes() for path in sorted(Path(sys.argv[2]).glob("*.jpg"))]
    print(json.dumps(bare(Path(sys.argv[1]), shots)))
