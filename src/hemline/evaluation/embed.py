"""Pictures of a manifest → embeddings, block by block, kept in a cache only where one is asked for.

A block is written when it is done, in one step, so an interrupted evaluation goes on where it
stopped. The cache's key holds the model's fingerprint, the manifest's, the rows and the crop:
another model or another table never finds these vectors. The pictures' bytes are not in the key.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.data.images import crop, open_many
from hemline.data.manifest import Manifest
from hemline.encoding import Encoder
from hemline.errors import DataError, HemlineError, ImageError
from hemline.types import Domain, FloatArray, Image

#: Rows to a block of the cache, and pictures held in memory at once.
BLOCK, BATCH = 512, 32

Advance = Callable[[int, int], None]


@dataclass(slots=True)
class Block:
    """Up to `BLOCK` rows: what the encoder says of the readable ones.

    Attributes:
        start: number of its first row among the rows that were asked for.
        good: (N,) whether each picture could be read; the arrays hold zeros where not.
        arrays: ``embedding`` (N, D); ``local`` (N, C, L) or ``norm`` (N,).
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
    advance: Advance | None = None,
) -> Iterator[Block]:
    """Blocks of ``rows`` in their order.

    Args:
        encoder: a checkpoint or a bundle.
        manifest: whose pictures they are.
        rows: (N,) row numbers.
        domain: which tower: ``street`` for queries, ``shop`` for the gallery.
        boxes: whether to cut each picture to its box.
        cache: folder for the blocks, or None.
        workers: threads that decode.
        advance: told (done, total) pictures.

    Raises:
        DataError: no picture of a whole side could be read.
    """
    done, readable = 0, 0
    key = _key(encoder, manifest, rows, domain, boxes) if cache else ""
    last: tuple[str, str] | None = None
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        file = cache / f"{key}-{start // BLOCK:05d}.npz" if cache else None
        block = _load(file, start) if file is not None and file.is_file() else None
        if block is None:
            tell = None
            if advance is not None:
                total, before = len(rows), done

                def tell(count: int, before: int = before, total: int = total) -> None:
                    advance(before + count, total)

            block = _encode(encoder, manifest, some, domain, boxes, workers, start, tell)
            if file is not None:
                _save(file, block)
        done += len(some)
        readable += int(block.good.sum())
        last = block.skipped[0] if block.skipped else last
        if advance is not None:
            advance(done, len(rows))
        yield block
    if readable == 0 and last is not None:
        raise DataError(f"none of {len(rows)} {domain} pictures can be read; the first: {last[1]}")


def _encode(
    encoder: Encoder,
    manifest: Manifest,
    rows: npt.NDArray[np.int64],
    domain: Domain,
    boxes: bool,
    workers: int,
    start: int,
    tell: Callable[[int], None] | None,
) -> Block:
    good = np.zeros(len(rows), bool)
    skipped: list[tuple[str, str]] = []
    arrays: dict[str, FloatArray] = {}
    images: list[Image] = []
    places: list[int] = []

    def flush() -> None:
        if images:
            tags = [manifest[int(rows[place])].tags for place in places]
            for name, values in _towers(encoder, images, tags, domain).items():
                if name not in arrays:
                    arrays[name] = np.zeros((len(rows), *values.shape[1:]), np.float32)
                arrays[name][places] = values
            good[places] = True
            images.clear()
            places.clear()

    for place, image in open_many([manifest.file(int(row)) for row in rows], workers):
        if isinstance(image, Exception):
            skipped.append((str(manifest[int(rows[place])].path), str(image)))
        else:
            try:
                box = manifest[int(rows[place])].box if boxes else None
                images.append(image if box is None else crop(image, box))
                places.append(place)
            except HemlineError as error:
                skipped.append((str(manifest[int(rows[place])].path), str(error)))
        if len(images) == BATCH:
            flush()
            if tell is not None:
                tell(place + 1)
    flush()
    if "embedding" not in arrays:
        arrays["embedding"] = np.zeros((len(rows), encoder.embedding_dim), np.float32)
    return Block(start, good, arrays, skipped)


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
    encoder: Encoder,
    manifest: Manifest,
    rows: npt.NDArray[np.int64],
    domain: Domain,
    boxes: bool,
) -> str:
    digest = hashlib.sha256()
    for part in (
        encoder.fingerprint,
        manifest.fingerprint(),
        str(manifest.root),
        domain,
        str(boxes),
    ):
        digest.update(part.encode() + b"\0")
    digest.update(np.ascontiguousarray(rows, "<i8").tobytes())
    return f"{domain}-{digest.hexdigest()[:24]}"


def _save(file: Path, block: Block) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            words: Any = np.array(block.skipped, dtype=np.str_).reshape(-1, 2)
            np.savez(stream, __good=block.good, __skipped=words, **block.arrays)  # type: ignore[arg-type]
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _load(file: Path, start: int) -> Block | None:
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        good, words = arrays.pop("__good"), arrays.pop("__skipped")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # damaged: made anew
    return Block(start, good, arrays, [(str(a), str(b)) for a, b in words])


__all__ = ["BATCH", "BLOCK", "Advance", "Block", "ImageError", "embed"]
