"""Changes to a catalogue that follow from a seed and a number, so that a killed process's work can
be done again elsewhere and compared.

`state` is what is stored: image_id → row. `change` gives the next state without touching the last.
Run as a program it makes the changes to a real store and notes each in a journal, before and after:

    python crash_ops.py FOLDER JOURNAL SEED FIRST FOCUS
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog.settings import StoreSettings
from hemline.catalog.similarity import rounded
from hemline.catalog.store import Row
from hemline.catalog.stores.memory import MemoryStore
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.files import sync_folder, sync_tree

DIM = 32
ITEMS = 60
IMAGES = 900
FINGERPRINT = "crash"
KINDS = ("add", "update", "delete", "compact", "backup")
State = Mapping[str, Row]

#: Small enough that some hundred rows have many segments, a codebook, and inverted lists.
TINY = StoreSettings(
    segment_rows=128,
    exact_rows=100,
    subset_rows=40,
    train_rows=2048,
    parts_rows=300,
    lists_rows=600,
    lists=8,
    probes=6,
    retrain_growth=1.5,
)


@dataclass(frozen=True)
class Change:
    """One acknowledged step: rows that come, items that go, or work that changes no row."""

    kind: str
    rows: tuple[Row, ...] = ()
    items: tuple[str, ...] = ()


def vector(rng: np.random.Generator) -> Any:
    """(D,) near one of twelve centres, unit."""
    centre = np.random.default_rng(int(rng.integers(12))).normal(size=DIM)
    made = centre + 0.7 * rng.normal(size=DIM)
    return (made / np.linalg.norm(made)).astype(np.float32)


def row(image: int, rng: np.random.Generator) -> Row:
    return Row(
        image_id=f"image{image}",
        item_id=f"item{image % ITEMS}",
        embedding=vector(rng),
        norm=float(rng.uniform(1, 9)),
        category=("dress", "shirt", "coat")[int(rng.integers(3))],
        tags=("pattern=floral",)[: int(rng.integers(2))],
        columns={"price": int(rng.integers(0, 100)), "title": f"Nº {image}"},
        image_digest=f"{int(rng.integers(1 << 30)):08x}",
    )


def planned(seed: int, number: int, focus: str, state: State) -> Change:
    """What step ``number`` does; half of all steps are of the kind ``focus``."""
    rng = np.random.default_rng([seed, number])
    kind = focus if rng.random() < 0.5 else KINDS[int(rng.integers(len(KINDS)))]
    if len(state) < 150:
        kind = "add"
    if kind == "add":
        images = rng.choice(IMAGES, int(rng.integers(1, 120)), replace=False)
        return Change(kind, tuple(row(int(i), rng) for i in images))
    if kind == "update":
        names = sorted(state)
        chosen = rng.choice(len(names), min(len(names), int(rng.integers(1, 80))), replace=False)
        rows = []
        for at in chosen:
            old = state[names[int(at)]]
            if rng.random() < 0.5:  # a new price, the same vector
                columns = {**old.columns, "price": int(rng.integers(0, 100))}
                rows.append(replace(old, columns=columns))
            else:
                rows.append(row(int(old.image_id.removeprefix("image")), rng))
        return Change(kind, tuple(rows))
    if kind == "delete":
        items = rng.choice(ITEMS, int(rng.integers(1, 6)), replace=False)
        return Change(kind, items=tuple(f"item{int(i)}" for i in items))
    return Change(kind)


def after(state: State, change: Change) -> dict[str, Row]:
    """The state that a change leaves."""
    found = {name: row for name, row in state.items() if row.item_id not in set(change.items)}
    for new in change.rows:
        found[new.image_id] = rounded(new, DIM)
    return found


def reference(state: State) -> MemoryStore:
    """The exact store with these rows."""
    store = MemoryStore(FINGERPRINT, DIM)
    store.add(list(state.values()))
    return store


def stored(store: Any) -> dict[str, Row]:
    """What a store holds; an image_id that comes twice is an error."""
    found: dict[str, Row] = {}
    for row in store.rows():
        assert row.image_id not in found, f"{row.image_id} is there twice"
        found[row.image_id] = row
    return found


def same(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all(plain(left[i]) == plain(right[i]) for i in left)


def plain(row: Row) -> tuple[Any, ...]:
    values = (
        row.item_id,
        row.norm,
        row.domain,
        row.category,
        row.tags,
        row.source,
        row.image_digest,
    )
    return (row.embedding.tobytes(), *values, tuple(sorted(row.columns.items())))


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    SqliteStore.create(folder, FINGERPRINT, DIM, TINY).close()


def opened(folder: Path) -> Any:
    return SqliteStore(folder, settings=TINY)


def do(store: Any, change: Change, folder: Path, number: int) -> None:
    """Makes a change to a real store."""
    if change.kind in ("add", "update"):
        store.add(list(change.rows))
    elif change.kind == "delete":
        store.remove(change.items)
    elif change.kind == "compact":
        store.compact()
    else:
        copies = folder.parent / "copies"
        target = copies / str(number)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        # The last one stays until this one is acknowledged.
        for older in sorted(set(copies.iterdir()) - {target}, key=lambda p: int(p.name))[:-1]:
            shutil.rmtree(older)
        store.backup(target)
        sync_tree(target)  # as `Catalog.backup` does
        sync_folder(copies)
    # A search now and then trains and saves what is derived, which a kill may then tear.
    if number % 3 == 0:
        store.search(np.ones(DIM, np.float32) / np.float32(DIM**0.5), 5)
        store.save()


def main() -> None:
    folder, journal, seed, first, focus = sys.argv[1:]
    store = opened(Path(folder))
    state: dict[str, Row] = stored(store)
    with open(journal, "a", encoding="ascii") as notes:

        def note(text: str) -> None:
            notes.write(text + "\n")
            notes.flush()
            os.fsync(notes.fileno())

        note("ready")
        number = int(first)
        while True:
            change = planned(int(seed), number, focus, state)
            note(f"begin {number} {change.kind}")
            do(store, change, Path(folder), number)
            note(f"done {number}")
            state = after(state, change)
            number += 1


if __name__ == "__main__":
    main()
