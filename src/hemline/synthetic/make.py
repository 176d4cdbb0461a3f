"""Makes a data set: images in sharded folders, a manifest, and what it was made with.

Work goes shard by shard. A shard's journal gets one line after each image is in its place, so a
run that was stopped goes on with the next image and ends with the same bytes as one that was
not. The manifest is written last.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from hemline.data.garments import COLUMN, to_text
from hemline.errors import DataError, UsageError
from hemline.files import write_durable
from hemline.progress import Advance, no_advance
from hemline.synthetic.drawing import DISTURBANCES, Drawing
from hemline.synthetic.photos import PhotoShelf
from hemline.synthetic.product import Product, draw_product, split_of
from hemline.synthetic.settings import SyntheticSettings
from hemline.synthetic.shop import Garment, draw_shop
from hemline.synthetic.street import draw_street
from hemline.synthetic.table import read_rows, write_rows

#: Products in a folder of images.
SHARD = 32
#: Raised whenever the same settings would draw other images.
VERSION = 1
_QUALITY = 92
_JOURNAL = ".journal"
#: What the folder was made with.
NOTE, FORMAT = "synthetic.json", "hemline-synthetic"
#: Its name in folders made before version 0.2.
_OLD_NOTE = "atelier.json"


@dataclass(frozen=True)
class _Plan:
    """Everything a worker needs."""

    out: str
    seed: int
    settings: SyntheticSettings
    shop_views: int
    street_views: int
    photos: str | None


def make_dataset(
    out: Path,
    products: int,
    seed: int,
    settings: SyntheticSettings,
    photos: Path | None = None,
    shop_views: int = 1,
    street_views: int = 2,
    workers: int | None = None,
    progress: Advance = no_advance,
) -> Path:
    """Draws `products` products into the folder `out`; returns the path of its manifest.

    With `photos`, a folder of garment photos (and their `images.csv`, where there is one), each
    photo is a product, and a photo that can't be cut out is left out. `workers` is the number of
    processes (default: one for each core; 1 works in this process). `progress(done, products)` is
    called as products are finished.

    A folder that was left unfinished is finished, and one with fewer products is extended. Raises
    `UsageError` for a folder made with other settings or holding something else, and for numbers
    that make no sense; `DataError` when no photo can be used.
    """
    out = Path(out)
    _check(products, seed, shop_views, street_views, workers)
    shelf = PhotoShelf.open(photos, seed) if photos is not None else None
    if shelf is not None:
        products = min(products, len(shelf))
    found = {"count": len(shelf), "fingerprint": shelf.fingerprint} if shelf is not None else None
    wanted: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "seed": seed,
        "settings": settings.to_json(),
        "shop_views": shop_views,
        "street_views": street_views,
        "photos": found,
    }
    manifest = out / "manifest.parquet"
    before = _found(out, wanted, products)
    if before == products and manifest.exists():
        progress(products, products)
        return manifest
    out.mkdir(parents=True, exist_ok=True)
    before = before if manifest.exists() else 0
    unfinished = {"products": products, "drawn": before, "complete": False}
    _write_json(out / NOTE, {**wanted, **unfinished})
    plan = _Plan(
        str(out), seed, settings, shop_views, street_views, None if photos is None else str(photos)
    )
    _draw_all(plan, _shards(before, products), workers, progress, products)
    counts = _write_manifest(out, manifest, keep=before > 0, photos=photos)
    counts |= {"products": products, "drawn": products, "complete": True}
    _write_json(out / NOTE, {**wanted, **counts})
    shutil.rmtree(out / _JOURNAL, ignore_errors=True)
    return manifest


def _write_manifest(
    out: Path, manifest: Path, *, keep: bool, photos: Path | None
) -> dict[str, Any]:
    """Writes the manifest from the journals (and the old manifest, if `keep`); its counts."""
    rows = read_rows(manifest) if keep else []
    for path in sorted((out / _JOURNAL).glob("*.jsonl")):
        rows += [row for row in _journal(path).values() if "path" in row]
    if not rows:
        raise DataError(f"no garment could be cut out of the photos in {photos}: nothing was drawn")
    unique = {row["path"]: row for row in rows}
    ordered = [unique[path] for path in sorted(unique)]
    write_rows(manifest, ordered)
    return {"items": len({row["item_id"] for row in ordered}), "pictures": len(ordered)}


def _check(
    products: int, seed: int, shop_views: int, street_views: int, workers: int | None
) -> None:
    if street_views < 0:
        raise UsageError(f"the number of street views must be 0 or more, not {street_views}")
    for name, value in (("products", products), ("shop views", shop_views)):
        if value < 1:
            raise UsageError(f"the number of {name} must be at least 1, not {value}")
    if seed < 0:
        raise UsageError(f"the seed must be 0 or more, not {seed}")
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers must be at least 1, not {workers}")


def _found(out: Path, wanted: dict[str, Any], products: int) -> int:
    """How many products the folder was made with (0: a fresh folder)."""
    note = out / NOTE
    if not note.exists() and (out / _OLD_NOTE).exists():
        note = out / _OLD_NOTE
        wanted = wanted | {"format": "hemline-atelier"}
    if not note.exists():
        if out.is_file():
            raise UsageError(f"{out} is a file: give a folder for the pictures")
        if out.is_dir() and any(not p.name.startswith(f".{NOTE}.") for p in out.iterdir()):
            raise UsageError(
                f"{out} holds other files and no {NOTE}: give a new or an empty folder"
            )
        return 0
    try:
        have = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{note} can't be read ({error}): give another folder") from error
    have = have if isinstance(have, dict) else {}
    for name, value in wanted.items():
        if have.get(name) != value:
            raise UsageError(
                f"{out} was made with other settings ({name}: {_brief(have.get(name), value)}): "
                "give the same settings, or another folder"
            )
    count = min(int(have.get("products", 0)), int(have.get("drawn", 0)))
    if count > products:
        raise UsageError(
            f"{out} was made with {count} products, more than {products}: give another folder"
        )
    return int(have.get("drawn", 0))


def _brief(found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = [k for k in sorted({*found, *wanted}) if found.get(k) != wanted.get(k)]
        return ", ".join(f"{k} {found.get(k)} there, {wanted.get(k)} now" for k in names)
    return f"{found} there, {wanted} now"


def _shards(first: int, products: int) -> list[tuple[int, int]]:
    """(start, stop) of the products that are still to draw, cut at shard borders."""
    cuts = [first, *range((first // SHARD + 1) * SHARD, products, SHARD), products]
    return [(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def _draw_all(
    plan: _Plan,
    shards: list[tuple[int, int]],
    workers: int | None,
    progress: Advance,
    products: int,
) -> None:
    done = products - sum(b - a for a, b in shards)
    (Path(plan.out) / _JOURNAL).mkdir(exist_ok=True)
    count = min(workers or os.cpu_count() or 1, len(shards))
    if count <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            for a, b in shards:
                for _ in _draw_shard(plan, a, b):
                    done += 1
                    progress(done, products)
        finally:
            cv2.setNumThreads(threads)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_prepare_worker)
    try:
        waiting: set[Future[int]] = {pool.submit(_run_shard, plan, a, b) for a, b in shards}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                done += future.result()
                progress(done, products)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was ended from outside (out of memory?): "
            "run the same command again to go on, with fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """One core for each worker; an interrupt is the parent's to handle."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Ends this worker when its parent is killed; it would wait for work for ever."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _run_shard(plan: _Plan, start: int, stop: int) -> int:
    return sum(1 for _ in _draw_shard(plan, start, stop))


def _draw_shard(plan: _Plan, start: int, stop: int) -> Iterator[int]:
    """Draws what is missing of products `start` to `stop`; yields each finished product."""
    out = Path(plan.out)
    folder = f"images/{start // SHARD:05d}"
    (out / folder).mkdir(parents=True, exist_ok=True)
    journal = out / _JOURNAL / f"{start:08d}.jsonl"
    have = _journal(journal)
    _mend(journal)
    shelf = None if plan.photos is None else PhotoShelf.open(Path(plan.photos), plan.seed)
    with open(journal, "a", encoding="utf-8") as lines:
        for index in range(start, stop):
            missing = [v for v in _views(plan) if f"{index}-{v[0]}-{v[1]}" not in have]
            if missing:
                for row in _draw_product(plan, shelf, index, folder, missing):
                    lines.write(json.dumps(row) + "\n")
                    lines.flush()
            yield index


def _views(plan: _Plan) -> list[tuple[str, int]]:
    shop = [("shop", view) for view in range(plan.shop_views)]
    return shop + [("street", view) for view in range(plan.street_views)]


def _draw_product(
    plan: _Plan, shelf: PhotoShelf | None, index: int, folder: str, views: list[tuple[str, int]]
) -> Iterator[dict[str, Any]]:
    garment: Garment | None = None
    if shelf is None:
        product = draw_product(plan.seed, index)
        extra: dict[str, Any] = {}
    else:
        photo = shelf.product(index)
        if photo is None:
            for domain, view in views:
                yield {"key": f"{index}-{domain}-{view}"}
            return
        product, garment = photo.product, photo.add
        extra = {"source": photo.name}
    for domain, view in views:
        draw = draw_shop if domain == "shop" else draw_street
        drawing = draw(product, plan.settings, plan.seed, view, garment)
        path = f"{folder}/{product.item_id}-{domain}-{view}.jpg"
        _write_image(Path(plan.out) / path, drawing)
        key = {"key": f"{index}-{domain}-{view}"}
        yield key | _row(path, product, domain, split_of(plan.seed, index), drawing) | extra


def _row(path: str, product: Product, domain: str, split: str, drawing: Drawing) -> dict[str, Any]:
    box = [round(float(v), 2) for v in drawing.box]
    return {
        "path": path,
        "image_id": Path(path).stem,
        "item_id": product.item_id,
        "domain": domain,
        "split": split,
        "category": product.category,
        "tags": list(product.tags),
        **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
        "landmarks": [round(float(v), 2) for v in drawing.landmarks.ravel()],
        "title": product.title,
        "price": product.price,
        "group": product.group,
        **{name: round(drawing.disturbance.get(name, 0.0), 4) for name in DISTURBANCES},
        COLUMN: to_text(drawing.garments),
    }


def _write_image(path: Path, drawing: Drawing) -> None:
    swapped = cv2.cvtColor(drawing.image, cv2.COLOR_RGB2BGR)
    fine, data = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not fine:
        raise DataError(f"{path} could not be encoded as JPEG")
    # Unsynced, as syncing takes longer than drawing. The name is fixed, so that the next run
    # overwrites what a kill left.
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data.data)
    temporary.replace(path)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_durable(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def _mend(path: Path) -> None:
    """Ends a last line that a kill cut short, so that the next one starts on its own."""
    if path.exists():
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            with open(path, "ab") as tail:
                tail.write(b"\n")


def _journal(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a journal by key; a line cut short by a kill is left out."""
    rows: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return rows
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "key" in row:
            rows[row["key"]] = row
    return rows
