"""Reads what is stored of some items where rows of them may be damaged.

An update that says all of an item replaces a damaged one, so writing it again mends it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from hemline.catalog.segments import SegmentError
from hemline.catalog.store import Row, Store
from hemline.errors import DamageError

T = TypeVar("T")


def images(store: Store, image_ids: Sequence[str]) -> dict[str, Row]:
    """`Store.get` without damaged rows."""
    parts, _ = _readable(lambda some: [store.get(some)], image_ids)
    return {name: row for part in parts for name, row in part.items()}


def items(
    store: Store, item_ids: Sequence[str], vectors: bool
) -> tuple[list[Row], dict[str, DamageError]]:
    """`Store.items` without the items that have a damaged row, and those: item_id → the error."""
    return _readable(lambda some: store.items(some, vectors=vectors), item_ids)


def _readable(
    read: Callable[[Sequence[str]], Iterable[T]], names: Sequence[str]
) -> tuple[list[T], dict[str, DamageError]]:
    with contextlib.suppress(DamageError):
        return list(read(names)), {}
    found: list[T] = []
    damaged: dict[str, DamageError] = {}
    for name in names:
        try:
            found += read([name])
        except SegmentError:  # vectors are repaired from the copies of images
            raise
        except DamageError as error:
            damaged[name] = error
    return found, damaged
