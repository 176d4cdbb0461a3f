"""Checks of the catalogue: database, index, bundle, backup, and one timed search."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from hemline.catalog import pointer
from hemline.catalog.catalog import Catalog
from hemline.catalog.maintenance import backup
from hemline.catalog.read_only import connect_unchanged
from hemline.catalog.settings import StoreSettings
from hemline.errors import BundleError, CatalogError, HemlineError
from hemline.files import read_regular
from hemline.search.engine import Engine
from hemline.service.doctor.finding import Finding, failure, fine, warning

_RESTORE = "restore a backup; 'hemline catalog check' names all damage"
_DEEP = 200 << 20  # bytes of a database that is read whole
_DEAD = 0.3  # share of removed rows
_K = 20
_OLD = 8 * 86_400.0  # seconds
_DAY = 86_400.0
_REBUILT = ("catalog.sqlite", "segments", "index", "bundle")


def store(catalog: Catalog) -> Iterator[Finding]:
    """Database and index."""
    live, stats = catalog.live(), catalog.stats()
    found = f"{stats['items']} products, {stats['pictures']} images, revision {stats['revision']}"
    damage = _damage(live.folder) if live.folder else ""
    if damage:
        yield failure("database", damage, _RESTORE)
    else:
        yield fine("database", found)
    if not stats["items"]:
        yield warning("database", "there is no product", "'hemline catalog sync' reads a feed")
    if "unfinished_rebuild" in stats:
        advice = f"run 'hemline catalog rebuild {catalog.folder}' again, or with --abandon"
        yield warning("database", "a rebuild was interrupted", advice)
    yield from _writer(catalog)
    yield from _index(catalog, stats)


def _damage(folder: Path) -> str:
    """What SQLite finds in a database of moderate size."""
    for path in folder.glob("catalog.sqlite"):
        if path.stat().st_size <= _DEEP:
            with closing(connect_unchanged(path)) as db:
                told = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            return "" if told == "ok" else " ".join(told.split())
    return ""


def _writer(catalog: Catalog) -> Iterator[Finding]:
    """Who writes, by the number in the lock file; it isn't locked, which would refuse a writer."""
    folder = catalog.live().folder
    try:
        text = read_regular(folder / "catalog.lock").decode("ascii") if folder else ""
        number = int(text) if text.strip() else 0
    except (OSError, ValueError):
        number = 0
    if not number:
        return
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        found = f"the last writer (process {number}) ended before it was done"
        yield warning("database", found, "run it again; the next writer cleans up")
    except OSError:
        pass
    else:
        yield fine("database", f"process {number} writes to it, or serves it")


def _index(catalog: Catalog, stats: dict[str, Any]) -> Iterator[Finding]:
    dead, folder = stats.get("dead_share", 0.0), catalog.folder
    if dead > _DEAD:
        advice = f"'hemline catalog compact {folder}' frees their space"
        yield warning("index", f"{dead:.0%} of the stored vectors are removed ones", advice)
    if stats["pictures"] <= StoreSettings().exact_rows:
        yield fine("index", "none needed: every image is compared")
    elif not stats.get("saved_revision"):
        advice = "the service builds it; until then searches are exact and slower"
        yield warning("index", "it isn't saved yet", advice)
    else:
        behind = stats["revision"] - stats["saved_revision"]
        yield fine("index", f"saved, {behind} commits behind; those are read at the start")


def bundle(catalog: Catalog) -> Iterator[Finding]:
    """The bundle that made the vectors; it was compared with them when the catalogue opened."""
    info = catalog.bundle.info
    parts = [f"{info.name}, {info.embedding_dim} numbers, {info.fingerprint[:12]}"]
    parts.append(f"detector {info.detector.name}" if info.detector else "no detector")
    try:
        for role in sorted(info.graphs):
            catalog.bundle.session(role, 1)
    except HemlineError as error:
        yield failure("bundle", str(error), _RESTORE)
        return
    yield fine("bundle", ", ".join(parts))


def search(catalog: Catalog) -> Iterator[Finding]:
    """Searches with the stored image of a product: the first answer, and one when it is warm."""
    rows = [row for row in _first_rows(catalog) if catalog.image_path(row)]
    if not rows:
        advice = "add products with images, then run this again"
        yield warning("search", "no stored image to search with", advice)
        return
    path = catalog.image_path(rows[0])
    assert path is not None
    try:
        engine = Engine(catalog, threads=1)
        times = []
        for _ in range(2):
            begun = time.perf_counter()
            answer = engine.search(str(path), _K)
            times.append((time.perf_counter() - begun) * 1000)
    except HemlineError as error:
        yield failure("search", str(error), _RESTORE)
        return
    took = f"{times[1]:.0f} ms on one core, the first {times[0]:.0f} ms"
    rank = next((hit.rank for hit in answer.hits if hit.item_id == rows[0].item_id), None)
    if rank is None:
        advice = "its shop image doesn't find it: POST /v1/admin/check tells how many there are"
        yield warning("search", f"{took}; {rows[0].item_id} isn't among the first {_K}", advice)
    else:
        yield fine("search", f"{took}; {rows[0].item_id} found at rank {rank} by its own image")


def _first_rows(catalog: Catalog) -> list[Any]:
    item_ids = catalog.live().store.item_page(5).item_ids
    return catalog.live().store.items(item_ids, vectors=False)


def backups(catalog: Path) -> Iterator[Finding]:
    """The last backup by 'hemline catalog backup', where that could write it down."""
    command = f"'hemline catalog backup {catalog} TARGET', daily by a timer (docs/deploy.md)"
    last = backup.last(catalog)
    if last is None:
        yield warning("backup", "none is known", command)
        return
    when, target = last
    age = max(0.0, time.time() - when) / _DAY
    found = f"{target}, {age:.1f} days old"
    if not target.exists():
        yield warning("backup", f"{found}, isn't there now", "see where it went, or make another")
    elif age * _DAY > _OLD:
        yield warning("backup", found, command)
    else:
        yield fine("backup", found)


def opened(folder: Path) -> Catalog | Finding:
    """The catalogue, or why it can't be opened."""
    try:
        return Catalog.open(folder)
    except BundleError as error:
        return failure("bundle", str(error), _RESTORE)
    except CatalogError as error:
        return failure("catalog", str(error), "see the line above; " + _RESTORE)
    except (OSError, sqlite3.Error) as error:
        return failure("catalog", f"{folder} can't be opened: {error}", _RESTORE)


def live_bytes(folder: Path) -> int:
    """What a rebuild writes anew: store and bundle, without the copies of images."""
    try:
        live = pointer.live_folder(folder)
        return sum(
            path.stat().st_size
            for path in live.rglob("*")
            if path.is_file() and path.relative_to(live).parts[0] in _REBUILT
        )
    except (OSError, CatalogError):
        return 0
