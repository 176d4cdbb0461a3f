"""An encoded photo: searched later, without the photo and without the tower."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from hemline.errors import DataError
from hemline.search.photo import SearchedPhoto
from hemline.search.ranking import Query

#: Behind the arrays: NumPy's checksums don't cover the names of the arrays and their number.
_CHECKSUM = re.compile(rb"hemline:([0-9a-f]{8})\Z")


@dataclass(frozen=True, slots=True)
class EncodedPhoto:
    """The searched part of one photo as a bundle's street tower has encoded it.

    Attributes:
        fingerprint: of the bundle; the vectors mean nothing to another.
        query: embeddings (Q, D) of the part and perhaps of the garments in it, local features
            (Q, C, L) where the model re-ranks, and how several are fused.
        size: (width, height) of the searched part in pixels.
    """

    fingerprint: str
    query: Query
    size: tuple[int, int]

    @property
    def photo(self) -> SearchedPhoto:
        """The part as a photo of its own."""
        return SearchedPhoto(None, (), self.size, self.size)

    def to_bytes(self) -> bytes:
        """NumPy's ``.npz`` and a CRC-32; local features in half precision, as they are large."""
        local = self.query.local
        arrays = {
            "fingerprint": np.array(self.fingerprint),
            "embedding": np.asarray(self.query.embeddings, np.float32),
            "size": np.array(self.size),
            "fusion": np.array(self.query.fusion or ""),
            **({} if local is None else {"local": np.asarray(local, np.float16)}),
        }
        buffer = BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stubs take the names for options
        data = buffer.getvalue()
        return data + b"hemline:%08x" % zlib.crc32(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> EncodedPhoto:
        """
        Raises:
            DataError: the bytes aren't those of `to_bytes`.
        """
        if told := _CHECKSUM.search(data):  # earlier versions wrote none
            data = data[: told.start()]
            if zlib.crc32(data) != int(told[1], 16):
                raise DataError("an encoded photo is damaged: its bytes aren't those of its sum")
        try:
            with np.load(BytesIO(data), allow_pickle=False) as stored:
                local = stored["local"].astype(np.float32) if "local" in stored else None
                width, height = (int(side) for side in stored["size"])
                fusion = str(stored["fusion"]) if "fusion" in stored else ""  # earlier: one vector
                query = Query(stored["embedding"], local, fusion or None)
                return cls(str(stored["fingerprint"]), query, (width, height))
        except (  # RuntimeError: a damaged flag says that it is encrypted, or compressed otherwise
            OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile,
        ) as error:  # fmt: skip
            raise DataError(f"an encoded photo can't be read: {error}") from None
