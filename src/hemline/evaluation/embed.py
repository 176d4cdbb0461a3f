"""Images of a manifest → embeddings, block by block, with an optional cache on disk.

Each block is written in one step when it is done, so an interrupted evaluation continues where it
stopped. The cache key holds the model's fingerprint, the manifest's, the rows and the crop: another
model or another table never finds these vectors. The images' bytes are not in the key.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.images import crop, open_many
from hemline.data.manifest import Manifest
from hemline.encoding import Encoder
from hemline.errors import DataError, HemlineError
from hemline.files import write_atomic
from hemline.progress import Advance, no_advance
from hemline.types import Domain, FloatArray, Image

#: Rows of a block of the cache, and images in memory at once.
BLOCK, BATCH = 512, 32


@dataclass(slots=True)
class Block:
    """The encoded images of up to `BLOCK` rows.

    Attributes:
        start: number of its first row among the rows to embed.
        good: (N,) whether each image could be read; the arrays hold zeros where not.
        arrays: ``embedding`` (N, D); ``local`` (N, C, L) or ``norm`` (N,).
        skipped: (path, reason) of each image that could not be read.
    """

    start: int
    good: npt.NDArray[np.bool_]
    arrays: dict[str, FloatArray]
    skipped: list[tuple[str, str]] = field(default_factory=list)


def embed(
    encoder: Encoder,
    manifest: Manifest,
    rows: npt.NDArray[np.int64],
    domain: Domain,
    *,
    boxes: bool = False,
    cache: Path | None = None,
    workers: int = 2,
    advance: Advance = no_advance,
) -> Iterator[Block]:
    """Yields the blocks of ``rows`` in their order.

    Args:
        encoder: a checkpoint or a bundle.
        manifest: of the images.
        rows: (N,) row numbers.
        domain: which tower: ``street`` for queries, ``shop`` for the gallery.
        boxes: whether to crop each image to its box.
        cache: folder for the blocks, or None.
        workers: threads that decode.
        advance: called with (images done, images).

    Raises:
        DataError: no image at all could be read.
    """
    key = _key(encoder, manifest, rows, domain, boxes) if cache else ""
    readable, reason = 0, ""
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        file = cache / f"{key}-{start // BLOCK:05d}.npz" if cache else None
        block = _load(file, start) if file is not None and file.is_file() else None
        if block is None:
            block = Block(start, np.zeros(len(some), bool), {})
            for done in _encode(block, encoder, manifest, some, domain, boxes, workers):
                advance(start + done, len(rows))
            if file is not None:
                _save(file, block)
        readable += int(block.good.sum())
        reason = block.skipped[0][1] if block.skipped else reason
        advance(start + len(some), len(rows))
        yield block
    if readable == 0 and reason:
        raise DataError(f"none of {len(rows)} {domain} pictures can be read; the first: {reason}")


def _encode(
    block: Block,
    encoder: Encoder,
    manifest: Manifest,
    rows: npt.NDArray[np.int64],
    domain: Domain,
    boxes: bool,
    workers: int,
) -> Iterator[int]:
    """Fills a block; yields how many images are done after each batch."""
    for images, places, failed in image_batches(manifest, rows, boxes, workers):
        block.skipped += [(str(manifest[int(rows[k])].path), reason) for k, reason in failed]
        if not images:
            continue
        tags = [manifest[int(rows[place])].tags for place in places]
        for name, values in _towers(encoder, images, tags, domain).items():
            if name not in block.arrays:
                block.arrays[name] = np.zeros((len(rows), *values.shape[1:]), np.float32)
            block.arrays[name][places] = values
        block.good[places] = True
        yield places[-1] + 1
    if "embedding" not in block.arrays:
        block.arrays["embedding"] = np.zeros((len(rows), encoder.embedding_dim), np.float32)


def image_batches(
    manifest: Manifest, rows: npt.NDArray[np.int64], boxes: bool, workers: int
) -> Iterator[tuple[list[Image], list[int], list[tuple[int, str]]]]:
    """Decodes the images of some rows, `BATCH` at a time.

    Yields images, their places in ``rows``, and (place, reason) of those that failed meanwhile;
    with ``boxes`` each image is cropped to its row's box.
    """
    images: list[Image] = []
    places: list[int] = []
    failed: list[tuple[int, str]] = []
    for place, image in open_many([manifest.file(int(row)) for row in rows], workers):
        try:
            if isinstance(image, Exception):
                raise image
            images.append(crop(image, manifest[int(rows[place])].box if boxes else None))
            places.append(place)
        except HemlineError as error:
            failed.append((place, str(error)))
        if len(images) == BATCH:
            yield images, places, failed
            images, places, failed = [], [], []
    yield images, places, failed


def _towers(
    encoder: Encoder, images: Sequence[Image], tags: Sequence[Sequence[str]], domain: Domain
) -> Mapping[str, FloatArray]:
    if domain == "street":
        street = encoder.encode_street(images)
        local = {} if street.local is None else {"local": street.local}
        return {"embedding": street.embedding, **local}
    shop = encoder.encode_shop(images, tags)
    return {"embedding": shop.embedding, "norm": shop.norm}


def _key(
    encoder: Encoder, manifest: Manifest, rows: npt.NDArray[np.int64], domain: Domain, boxes: bool
) -> str:
    digest = hashlib.sha256()
    words = encoder.fingerprint, manifest.fingerprint(), str(manifest.root), domain, str(boxes)
    for word in words:
        digest.update(word.encode() + b"\0")
    digest.update(np.ascontiguousarray(rows, "<i8").tobytes())
    return f"{domain}-{digest.hexdigest()[:24]}"


def _save(file: Path, block: Block) -> None:
    skipped: Any = np.array(block.skipped, dtype=np.str_).reshape(-1, 2)
    stream = io.BytesIO()
    np.savez(stream, __good=block.good, __skipped=skipped, **block.arrays)  # type: ignore[arg-type]
    write_atomic(file, stream.getvalue())


def _load(file: Path, start: int) -> Block | None:
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        good, skipped = arrays.pop("__good"), arrays.pop("__skipped")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # damaged: made anew
    return Block(start, good, arrays, [(str(a), str(b)) for a, b in skipped])
