"""Rows as entities of a collection, each with a checksum of its texts and its vector.

An entity is never overwritten: a changed row is a new one, and the old one is deleted after the
commit. ``vector_id`` is the id of the row's vector, which a row keeps while only columns change.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.store import Row
from hemline.errors import CatalogError, DamageError
from hemline.types import FloatArray

MAX_TEXT = 65_535  # bytes of a text in Milvus
#: The fields that `to_row` needs, without and with the vector.
BARE = ["vector_id", "payload", "checksum"]
WHOLE = [*BARE, "norm", "vector"]
#: The fields from which a similarity and a context are computed.
VECTOR = ["vector_id", "norm", "vector"]
_NONE = np.zeros(0, np.float32)


def key(image_id: str) -> int:
    """A number of 64 bits for an image_id, by which its row is looked up."""
    digest = blake2b(image_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def entity(
    row: Row, id_: int, vector_id: int, half: npt.NDArray[np.float16], norm: np.float32
) -> dict[str, Any]:
    """The entity of a row.

    Raises:
        CatalogError: its texts and columns are longer than Milvus allows.
    """
    payload = _payload(row)
    size = len(payload.encode())
    if size > MAX_TEXT:
        raise CatalogError(
            f"the texts and columns of image {row.image_id[:80]!r} take {size} bytes; Milvus keeps "
            f"{MAX_TEXT} of a row at most. Shorten its columns, or use an embedded catalogue"
        )
    return {
        "id": id_,
        "vector_id": vector_id,
        "norm": float(norm),
        "payload": payload,
        "checksum": _checksum(vector_id, payload),
        "vector_checksum": _vector_checksum(vector_id, half, norm),
        "vector": half.astype(np.float32),
    }


def _payload(row: Row) -> str:
    values = [
        row.image_id, row.item_id, row.domain, row.category, list(row.tags), dict(row.columns),
        row.source, row.image_digest,
    ]  # fmt: skip
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        text = json.dumps(values, separators=(",", ":"))
    return text


def _checksum(vector_id: int, payload: str) -> int:
    return zlib.crc32(payload.encode(), vector_id & 0xFFFFFFFF)


def _vector_checksum(vector_id: int, half: npt.NDArray[np.float16], norm: np.float32) -> int:
    return zlib.crc32(half.tobytes() + np.float32(norm).tobytes(), vector_id & 0xFFFFFFFF)


def to_row(found: Mapping[str, Any], place: str, vectors: bool) -> Row:
    """The row of an entity with the fields `BARE`, or `WHOLE` for ``vectors``.

    Raises:
        DamageError: a checksum is wrong; ``place`` names the collection.
    """
    if _checksum(found["vector_id"], found["payload"]) != found["checksum"]:
        raise DamageError(damage(found, place))
    image_id, item_id, domain, category, tags, columns, source, digest = json.loads(
        found["payload"]
    )
    embedding, norm = _NONE, 0.0
    if vectors:
        embedding, norm = vector(found)
    return Row(
        image_id, item_id, embedding, norm, domain, category, tuple(tags), columns, source, digest
    )


def vector(found: Mapping[str, Any]) -> tuple[FloatArray, float]:
    """The embedding (D,) and the norm of an entity."""
    return np.array(found["vector"], np.float32), float(np.float32(found["norm"]))


def intact(found: Mapping[str, Any]) -> bool:
    """Whether the vector and the norm of an entity are what was written."""
    embedding, norm = vector(found)
    with np.errstate(over="ignore"):
        half = embedding.astype(np.float16)
    same = _vector_checksum(found["vector_id"], half, np.float32(norm)) == found["vector_checksum"]
    return same and bool(np.array_equal(half.astype(np.float32), embedding))


def damage(found: Mapping[str, Any], place: str) -> str:
    """One line that names a damaged row."""
    return (
        f"{place}: the row {found['id']} ({found['payload'][:80]!r}) is damaged: its content isn't "
        "that of its checksum; add the item again or remove it"
    )
