"""What the workers of a cluster make of some images, as a Parquet file whose rows are checked.

A shard has the result of each of its `Job`s, in their order. Its metadata name the jobs (by a
digest) and the bundle; each row has a checksum, made by the worker and compared by whoever reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hemline.data.preprocess import PreparedImage
from hemline.data.remote.addresses import Address
from hemline.errors import DamageError
from hemline.types import Box, FloatArray

_FORMAT = 1
_NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


class Job(NamedTuple):
    """An image to embed.

    Attributes:
        source: its file, or where it is fetched from; None for neither.
        tags, category, box: of it.
        stored: `Row.source` of the stored row whose vector stays if the content is the same.
    """

    source: Path | Address | None
    tags: tuple[str, ...] = ()
    category: str = ""
    box: Box | None = None
    stored: str = ""


@dataclass(frozen=True, slots=True)
class Encoded(PreparedImage):
    """A worker's result for an image, which takes the place of the prepared image.

    Attributes:
        pixels: none.
        source: `Row.source`: digest of the content, and the crop's mark; empty where the worker
            couldn't open the image.
        embedding: (D,) float32; (0,) where the image wasn't embedded.
        norm: of it before normalisation.
        copy: JPEG to be stored.
        whole: no garment was found to crop.
        size, changed: of the file in bytes and ns, when it was read; 0 of an address.
    """

    source: str = ""
    embedding: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    norm: float = 0.0
    copy: bytes = b""
    whole: bool = False
    size: int = 0
    changed: int = 0

    @property
    def embedded(self) -> bool:
        """Whether it has a vector."""
        return len(self.embedding) > 0

    @classmethod
    def nothing(cls) -> Encoded:
        """Of an image that the worker couldn't open."""
        return cls(_NO_PIXELS)


def name_of(jobs: Sequence[Job], fingerprint: str, crop: str, copies: bool) -> str:
    """The name of the shard of these jobs: 40 hexadecimal digits.

    What is stored meanwhile doesn't change it.
    """
    listed = [
        [str(job.source), job.tags, job.category, job.box.text() if job.box else ""] for job in jobs
    ]
    text = json.dumps([_FORMAT, fingerprint, crop, copies, listed])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def write(rows: Sequence[Encoded], name: str, fingerprint: str) -> bytes:
    """A shard's file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "source": pa.array([row.source for row in rows], pa.string()),
            "embedding": pa.array([_bytes(row.embedding) for row in rows], pa.binary()),
            "norm": pa.array([row.norm for row in rows], pa.float64()),
            "copy": pa.array([row.copy for row in rows], pa.binary()),
            "whole": pa.array([row.whole for row in rows], pa.bool_()),
            "size": pa.array([row.size for row in rows], pa.int64()),
            "changed": pa.array([row.changed for row in rows], pa.int64()),
            "checksum": pa.array([_checksum(row) for row in rows], pa.int64()),
        }
    )
    about = {"format": _FORMAT, "shard": name, "fingerprint": fingerprint, "rows": len(rows)}
    table = table.replace_schema_metadata({"hemline": json.dumps(about)})
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="none")
    return stream.getvalue()


def read(data: bytes, name: str, fingerprint: str, count: int) -> list[Encoded]:
    """The ``count`` rows of a shard's file.

    Raises:
        DamageError: it isn't the shard of this name and bundle, or a row isn't what was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
        about = json.loads(table.schema.metadata[b"hemline"])
        expected = {"format": _FORMAT, "shard": name, "fingerprint": fingerprint, "rows": count}
        if about != expected or table.num_rows != count:
            raise DamageError(f"the shard {name} is another one's")
        rows = [_row(values) for values in table.to_pylist()]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DamageError(f"the shard {name} is damaged: {error}") from None
    for row, checksum in zip(rows, table["checksum"].to_pylist(), strict=True):
        if _checksum(row) != checksum:
            raise DamageError(f"the shard {name} is damaged: a row has another checksum")
    return rows


def _row(values: dict[str, Any]) -> Encoded:
    values = {name: value for name, value in values.items() if name != "checksum"}
    values["embedding"] = np.frombuffer(values["embedding"], np.dtype("<f4")).astype(np.float32)
    return Encoded(_NO_PIXELS, **values)


def _bytes(embedding: FloatArray) -> bytes:
    return embedding.astype("<f4").tobytes()


def _checksum(row: Encoded) -> int:
    numbers = struct.pack("<d?qq", row.norm, row.whole, row.size, row.changed)
    checksum = 0
    for part in (row.source.encode(), _bytes(row.embedding), numbers, row.copy):
        checksum = zlib.crc32(part, zlib.crc32(struct.pack("<q", len(part)), checksum))
    return checksum
