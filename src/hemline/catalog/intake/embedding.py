"""Rows with vectors: the shop tower's call for a batch, and for stored copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hemline.catalog.store import Row
from hemline.data.images import open_image
from hemline.data.preprocess import ImageInput
from hemline.encoding import Encoder
from hemline.errors import ImageError
from hemline.types import Image

T = TypeVar("T")
_BATCH = 64


def embed_rows(
    encoder: Encoder,
    rows: Sequence[Row],
    images: Sequence[ImageInput],
    digests: Sequence[str] | None = None,
) -> list[Row | None]:
    """The rows with their vectors; None where the shop tower gives no finite one.

    Args:
        digests: of the rows' copies; None: as they are.
    """
    if not rows:
        return []
    digests = [row.image_digest for row in rows] if digests is None else digests
    coded = encoder.encode_shop(images, [row.tags for row in rows])
    finite = np.isfinite(coded.embedding).all(axis=1) & np.isfinite(coded.norm)
    return [
        replace(row, embedding=coded.embedding[i], norm=float(coded.norm[i]), image_digest=digest)
        if finite[i]
        else None
        for i, (row, digest) in enumerate(zip(rows, digests, strict=True))
    ]


def embed_copies(
    copy_of: Callable[[Row], Path | None], encoder: Encoder, rows: Iterable[Row]
) -> list[Row]:
    """Rows with vectors from their stored copies; rows whose copy can't be opened are left out.

    Args:
        copy_of: gives the file of a row's copy, as `Catalog.image_path`.
    """
    made: list[Row] = []
    for some in batches(rows, _BATCH):
        opened = [(row, image) for row in some if (image := _open(copy_of(row))) is not None]
        embedded = embed_rows(encoder, [row for row, _ in opened], [image for _, image in opened])
        made += [row for row in embedded if row is not None]
    return made


def _open(path: Path | None) -> Image | None:
    try:
        return None if path is None else open_image(path)
    except ImageError:
        return None


@contextmanager
def counted_tags(encoder: Encoder, count: dict[str, int]) -> Iterator[None]:
    """Adds the tags that the encoder doesn't know, with their numbers, to ``count``."""
    # Only the encoder of a bundle counts them.
    seen: Any = getattr(encoder, "unknown_tags", Counter())
    before: Counter[str] = Counter(seen)
    yield
    for tag, number in (seen - before).items():
        count[tag] = count.get(tag, 0) + number


def same_content(row: Row, old: Row) -> bool:
    """Whether two rows of one image are equal, vectors aside."""
    return (row.image_id, row.item_id, row.domain, row.category, row.tags, row.source) == (
        old.image_id,
        old.item_id,
        old.domain,
        old.category,
        old.tags,
        old.source,
    ) and dict(row.columns) == dict(old.columns)


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size``; the last may be shorter."""
    some: list[T] = []
    for value in values:
        some.append(value)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
