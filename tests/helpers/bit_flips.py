"""Flips single bits of a small store's database or log, and tells what came of each."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from helpers.small_rows import DIM
from hemline.catalog.store import Row
from hemline.catalog.stores.sqlite import SqliteStore
from hemline.catalog.where.expression import Where
from hemline.errors import HemlineError

_QUERIES = np.random.default_rng(5).normal(size=(3, DIM)).astype(np.float32)
_WHERE = Where.parse("price between 110 and 130", ["price"])


def _plain(row: Row) -> tuple[Any, ...]:
    return (
        row.image_id, row.item_id, row.domain, row.category, row.tags, dict(row.columns),
        row.source, row.image_digest, row.norm, row.embedding.tolist(),
    )  # fmt: skip


def _hits(store: SqliteStore, where: Where | None) -> list[Any]:
    found = store.search_many(_QUERIES, 6, where)
    taken = [[_plain(row) for row in store.take(one.ids) if row] for one in found]
    return [taken, [one.similarity.tolist() for one in found]]


def _page(store: SqliteStore) -> Any:
    """A page of items, as the service shows it: with their rows."""
    page = store.item_page(50)
    store.items(page.item_ids, vectors=False)
    return page


#: What a store is asked. Of the first, nothing wrong may ever be shown.
SHOWN: dict[str, Callable[[SqliteStore], Any]] = {
    "get": lambda s: [
        _plain(r) for _, r in sorted(s.get([f"image{n}" for n in range(80)]).items())
    ],
    "rows": lambda s: [_plain(row) for row in s.rows()],
    "items": lambda s: [_plain(row) for row in s.items([f"item{n}" for n in range(3, 40, 7)])],
    "search": lambda s: _hits(s, None),
    "condition": lambda s: _hits(s, _WHERE),
    "facets": lambda s: s.facets(["price", "category", "tags"]),
    "page": _page,
}
ANSWERS: dict[str, Callable[[SqliteStore], Any]] = SHOWN | {
    "counts": lambda s: s.counts(),
    "columns": lambda s: s.columns(),
    "keys": lambda s: sorted(s.row_keys()),
}


def answers(place: Path) -> dict[str, Any]:
    """Each answer, or its error."""
    try:
        store = SqliteStore(place)
    except HemlineError as error:
        return dict.fromkeys(ANSWERS, error)
    found: dict[str, Any] = {}
    try:
        for name, ask in ANSWERS.items():
            try:
                found[name] = ask(store)
            except HemlineError as error:
                found[name] = error
    finally:
        store.close()
    return found


def _rows_in(answer: Any) -> list[tuple[Any, ...]]:
    """The rows that an answer shows."""
    if isinstance(answer, tuple) and len(answer) == 10 and isinstance(answer[5], dict):
        return [answer]
    parts = answer if isinstance(answer, list) else []
    return [row for part in parts for row in _rows_in(part)]


def _wrong(key: str, seen: Any, good: Any, known: dict[str, tuple[Any, ...]]) -> bool:
    """Whether an answer shows something that isn't stored; it may lack what it couldn't find."""
    if isinstance(seen, HemlineError):
        return False
    if key == "facets":
        return bool(seen != good)
    if key == "page":
        return not set(seen.item_ids) <= set(good.item_ids)
    return any(known.get(row[0]) != row for row in _rows_in(seen))


def _checked(place: Path) -> bool:
    """Whether check finds something; it and repair end without any other error."""
    try:
        store = SqliteStore(place, damaged=True)
    except HemlineError:
        return True
    try:
        found = not store.verify().ok
        store.verify(repair=True)
        return found
    except HemlineError:
        return True
    finally:
        store.close()


def campaign(place: Path, work: Path, name: str, flips: int, seed: int) -> Counter[str]:
    """Flips ``flips`` bits of the file ``name`` of a store, one at a time.

    Returns:
        the number of each outcome: ``found`` by check, and ``harmless``. Two must not happen and
        are followed by the place: ``wrong`` (an answer shows what isn't stored), and ``unnoticed``
        (an answer differs, and check finds nothing).
    """
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(place, work)
    good = answers(work)  # which may empty the log
    known = {row[0]: row for row in good["rows"]}
    choose = random.Random(seed)
    size = (place / name).stat().st_size
    outcomes: Counter[str] = Counter()
    for _ in range(flips):
        bit = choose.randrange(8 * size)
        shutil.rmtree(work)
        shutil.copytree(place, work)
        data = bytearray((work / name).read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        (work / name).write_bytes(data)
        shutil.copytree(work, work.with_name("asked"), dirs_exist_ok=False)
        seen = answers(work.with_name("asked"))
        shutil.rmtree(work.with_name("asked"))
        same = all(seen[key] == good[key] for key in ANSWERS)
        wrong = [key for key in SHOWN if _wrong(key, seen[key], good[key], known)]
        found = _checked(work)
        if wrong:
            outcomes[f"wrong {', '.join(wrong)} at bit {bit}"] += 1
        elif found:
            outcomes["found"] += 1
        elif same:
            outcomes["harmless"] += 1
        else:
            differ = [key for key in ANSWERS if seen[key] != good[key]]
            outcomes[f"unnoticed {', '.join(differ)} at bit {bit}"] += 1
    return outcomes
