"""The demo's check: recall and latency of the served catalogue against the bundle's promise."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.bundle import BundleInfo, read_info, write_info
from hemline.demo.shop import SEED, Shop
from hemline.errors import UsageError
from hemline.evaluation.bootstrap import cluster_interval
from hemline.evaluation.machine import machine
from hemline.progress import Advance, no_advance
from hemline.ranking.metrics import MISS, hits_at_k
from hemline.search.engine import Engine

Ints = npt.NDArray[np.int64]
#: Under this name a bundle's ``quality`` holds what the check measured of it.
PROTOCOL = "hemline demo --check"
KS = (1, 5, 20)
#: Other processors round differently, which can change the rank of a few photos.
MARGIN = 0.03
#: What tells measurements of a bundle apart.
_KEYS = ("protocol", "gallery_products", "queries", "search")


def check(
    shop: Shop,
    *,
    queries: int = 256,
    floor: float | None = None,
    advance: Advance = no_advance,
) -> dict[str, Any]:
    """Searches the catalogue with street photos through the engine, as a server would.

    Args:
        shop: open.
        queries: how many photos, spread evenly.
        floor: least recall@20 (0-1) instead of the bundle's own promise.
        advance: called with (done, total).

    Returns:
        The JSON of ``hemline demo --check``; ``passed`` says whether every floor was held.
    """
    rows = shop.some_photos(queries)
    items = [shop.manifest[int(row)].item_id for row in rows]
    clock = time.perf_counter()
    ranks, latency = _search(shop, rows, items, advance)
    seconds = {**shop.seconds, "searching": time.perf_counter() - clock}
    intervals = {f"recall@{k}": cluster_interval(hits_at_k(ranks, k), items) for k in KS}
    found = {name: interval.value for name, interval in intervals.items()}
    info = shop.info
    floors = floors_of(info, shop, queries=len(rows)) if floor is None else {"recall@20": floor}
    stats = shop.catalog.stats()
    return {
        **found,
        "queries": len(rows),
        "gallery": stats["pictures"],
        "gallery_products": stats["items"],
        "intervals": {name: [i.low, i.high] for name, i in intervals.items()},
        "latency_ms": {
            "p50": round(float(np.quantile(latency, 0.5)), 2),
            "p95": round(float(np.quantile(latency, 0.95)), 2),
        },
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "floor": floors,
        "passed": bool(floors) and all(found[name] >= least for name, least in floors.items()),
        "protocol": protocol(shop),
        "model": info.name,
        "fingerprint": info.fingerprint,
        "catalog": stats["catalog"],
        "machine": machine(),
    }


def _search(
    shop: Shop, rows: Ints, items: list[str], advance: Advance
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The rank of each photo's item, and the milliseconds that its search took."""
    engine = Engine(shop.catalog)
    files = [shop.manifest.file(int(row)) for row in rows]
    # Loads the graphs; not timed.
    engine.search(files[0], max(KS), shop.box(int(rows[0])), every=shop.every)
    ranks = np.full(len(rows), MISS, np.int64)
    latency = np.zeros(len(rows))
    for number, (row, file) in enumerate(zip(rows, files, strict=True)):
        answer = engine.search(file, max(KS), shop.box(int(row)), every=shop.every)
        latency[number] = answer.timings_ms["total"]
        for hit in answer.hits:
            if hit.item_id == items[number]:
                ranks[number] = hit.rank
        advance(number + 1, len(rows))
    return ranks, latency


def protocol(shop: Shop) -> dict[str, str]:
    """The check's choices by name."""
    steps = "decode, detect, encode, search" if shop.every else "decode, encode, search"
    return {
        "name": PROTOCOL,
        "data": f"synthetic, seed {SEED}, {len(shop.photos)} products that no training has seen",
        "queries": "street photos, spread evenly over the products",
        "gallery": "one shop picture of every product",
        "relevance": "the photo's own item, at product level",
        "crop": "box: both sides" if shop.crop == "box" else "none: whole images",
        "search": _searched(shop),
        "latency": f"{steps} and re-rank, one photo at a time, graphs loaded",
    }


def _searched(shop: Shop) -> str:
    """What is searched with, in words."""
    return "the photo and every garment found in it" if shop.every else "the photo"


def floors_of(info: BundleInfo, shop: Shop, queries: int) -> dict[str, float]:
    """The recalls that the bundle promises, less `MARGIN`; empty if it promises none.

    A promise for another number of products or photos, or for another way to search, does not
    count.
    """
    measured = (PROTOCOL, len(shop.photos), queries, _searched(shop))
    for entry in info.quality:
        if tuple(entry.get(name) for name in _KEYS) == measured:
            return {
                f"recall@{k}": round(float(entry[f"recall@{k}"]) - MARGIN, 4)
                for k in KS
                if f"recall@{k}" in entry
            }
    return {}


def record(folder: Path, result: dict[str, Any]) -> BundleInfo:
    """Writes the measured recalls into a bundle's ``bundle.json``, as its promise.

    Raises:
        UsageError: the result is of another bundle.
    """
    info = read_info(folder)
    if info.fingerprint != result["fingerprint"]:
        raise UsageError(f"the result is not of the bundle {folder}; nothing is recorded")
    names = [f"recall@{k}" for k in KS]
    entry = {
        "label": "measured here",
        "protocol": PROTOCOL,
        **{name: round(float(result[name]), 4) for name in names},
        "intervals": {name: [round(v, 4) for v in result["intervals"][name]] for name in names},
        "queries": result["queries"],
        "gallery_products": result["gallery_products"],
        "search": result["protocol"]["search"],
        "data": result["protocol"]["data"],
        "machine": result["machine"],
    }
    known = [entry[name] for name in _KEYS]
    kept = [old for old in info.quality if [old.get(name) for name in _KEYS] != known]
    return write_info(folder, info.model_copy(update={"quality": [*kept, entry]}))
