"""What a training saw: fingerprints of its items and images, small enough to go with the model.

A run and a bundle keep them in `SEEN_FILE`, a NumPy archive of sorted 64-bit hashes: eight bytes
for each item and image. `hemline.evaluation.leaks` compares a protocol with them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hemline.data.manifest import Manifest
from hemline.errors import DataError
from hemline.files import open_regular, write_durable
from hemline.progress import Advance, no_advance

SEEN_FILE = "seen.npz"
#: An image that can't be read.
UNREAD = 0
#: Bytes that are read at the start, the middle and the end of a file; a smaller one is read whole.
_PIECE = 1 << 14

_COLUMNS = ("items", "images", "validation")

Hashes = npt.NDArray[np.uint64]
_NONE: Hashes = np.zeros(0, np.uint64)
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Seen:
    """The items and images that a model was trained on.

    Attributes:
        items: (N,) sorted hashes of item ids.
        images: (M,) sorted hashes of image files.
        validation: (V,) sorted hashes of the photos that chose the epoch.
        unrecorded: starts whose own training isn't recorded, such as a file of weights.
        network: what the network alone was trained on, where its closed-form parts (linear maps)
            were fitted to more; a part of the record. None where it is the whole record. A run that
            takes over the network alone has seen no more than this.
    """

    items: Hashes
    images: Hashes
    validation: Hashes
    unrecorded: tuple[str, ...] = ()
    network: Seen | None = None

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        train: Rows,
        validation: Rows,
        unrecorded: Sequence[str] = (),
        advance: Advance = no_advance,
    ) -> Seen:
        """The record of a training on the rows ``train``, whose epoch ``validation`` chose."""
        rows = np.concatenate([train, validation])
        hashes = image_hashes(manifest, rows, advance)
        items = item_hashes(np.asarray(manifest.column("item_id"), np.str_)[train].tolist())
        return cls(
            np.unique(items),
            _known(hashes[: len(train)]),
            _known(hashes[len(train) :]),
            tuple(unrecorded),
        )

    @classmethod
    def of_sources(
        cls, items: Sequence[str], sources: Sequence[str | os.PathLike[str] | bytes]
    ) -> Seen:
        """The record of a fit to images, each a file or its bytes, of these items."""
        images = _known(source_hashes(sources))
        return cls(np.unique(item_hashes(items)), images, _NONE).fitted_only()

    def fitted_only(self) -> Seen:
        """The same record, seen by closed-form parts alone; the network learned from none of it."""
        return replace(self, network=Seen(_NONE, _NONE, _NONE))

    def of_network(self) -> Seen:
        """What the network alone was trained on."""
        return self if self.network is None else self.network

    def without_record(self, *names: str) -> Seen:
        """The same, where the training of ``names`` isn't recorded."""
        network = None if self.network is None else self.network.without_record(*names)
        listed = tuple(dict.fromkeys([*self.unrecorded, *names]))
        return replace(self, unrecorded=listed, network=network)

    def joined(self, other: Seen) -> Seen:
        """What both saw: of a run that starts from another."""
        network = None
        if self.network is not None or other.network is not None:
            network = self.of_network().joined(other.of_network())
        return Seen(
            np.union1d(self.items, other.items),
            np.union1d(self.images, other.images),
            np.union1d(self.validation, other.validation),
            tuple(dict.fromkeys([*other.unrecorded, *self.unrecorded])),
            network,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        found = hashlib.sha256(json.dumps(self.unrecorded).encode())
        for values in (self.items, self.images, self.validation):
            found.update(len(values).to_bytes(8, "little") + values.astype("<u8").tobytes())
        if self.network is not None:
            found.update(self.network.digest.encode())
        return found.hexdigest()

    def described(self) -> dict[str, Any]:
        """For ``run.json`` and ``bundle.json``: the file, its digest and its counts."""
        own = self.network
        return {
            "file": SEEN_FILE,
            "digest": self.digest,
            "items": len(self.items),
            "images": len(self.images),
            "unrecorded": list(self.unrecorded),
            **(
                {}
                if own is None
                else {"network": {"items": len(own.items), "images": len(own.images)}}
            ),
        }

    def write(self, folder: Path) -> None:
        """Writes `SEEN_FILE` durably."""
        stream = io.BytesIO()
        network: dict[str, Any] = {}
        if self.network is not None:  # a part of the record: one byte for each item and image
            for name in _COLUMNS:
                whole, own = getattr(self, name), getattr(self.network, name)
                network[f"network_{name}"] = np.isin(whole, own)
            network["network_unrecorded"] = np.array(self.network.unrecorded, np.str_)
        np.savez(
            stream,
            items=self.items.astype("<u8"),
            images=self.images.astype("<u8"),
            validation=self.validation.astype("<u8"),
            unrecorded=np.array(self.unrecorded, np.str_),
            **network,
        )
        write_durable(folder / SEEN_FILE, stream.getvalue())


def read_seen(folder: Path, described: object) -> Seen | None:
    """The record of a run or bundle; None where its description names none.

    Args:
        described: `Seen.described`, as ``run.json`` or ``bundle.json`` has it.

    Raises:
        DataError: the file is missing, or isn't the one described.
    """
    if not isinstance(described, dict):
        return None
    path = folder / SEEN_FILE
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as parts:
            columns = [parts[name].astype(np.uint64) for name in _COLUMNS]
            unrecorded = tuple(str(name) for name in parts["unrecorded"])
            network = None
            if "network_items" in parts:
                own = [
                    column[parts[f"network_{name}"].astype(bool)]
                    for name, column in zip(_COLUMNS, columns, strict=True)
                ]
                names = tuple(str(name) for name in parts["network_unrecorded"])
                network = Seen(own[0], own[1], own[2], names)
            found = Seen(columns[0], columns[1], columns[2], unrecorded, network)
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}, what was trained on, can't be read: {error}") from None
    if found.digest != described.get("digest"):
        raise DataError(
            f"{path} isn't the record that this model was written with; copy its folder again"
        )
    return found


def item_hashes(items: Iterable[str]) -> Hashes:
    """(N,) a hash of each item id."""
    known: dict[str, int] = {}
    for item in (listed := list(items)):
        if item not in known:
            known[item] = _number(hashlib.blake2b(item.encode(), digest_size=8).digest())
    return np.fromiter((known[item] for item in listed), np.uint64, len(listed))


def image_hashes(manifest: Manifest, rows: Rows, advance: Advance = no_advance) -> Hashes:
    """(N,) a hash of each row's image file, `UNREAD` where it can't be read.

    Of a large file the size, the start, the middle and the end are hashed, so that a data set's
    images needn't be read whole. The path plays no part.
    """
    paths = manifest.table["path"].to_pylist()
    files = list(dict.fromkeys(paths[row] for row in rows.tolist()))
    root = str(manifest.root)
    sources = [os.path.join(root, path) for path in files]
    known = dict(zip(files, source_hashes(sources, advance).tolist(), strict=True))
    return np.fromiter((known[paths[row]] for row in rows.tolist()), np.uint64, len(rows))


def source_hashes(
    sources: Sequence[str | os.PathLike[str] | bytes], advance: Advance = no_advance
) -> Hashes:
    """(N,) as `image_hashes`, of files or of their bytes."""
    found = np.zeros(len(sources), np.uint64)
    with ThreadPoolExecutor(4) as pool:
        for done, number in enumerate(pool.map(_hash, sources)):
            found[done] = number
            if done % 64 == 63 or done == len(sources) - 1:
                advance(done + 1, len(sources))
    return found


def _hash(source: str | os.PathLike[str] | bytes) -> int:
    try:
        if isinstance(source, bytes):
            return _of_stream(io.BytesIO(source), len(source))
        with open_regular(source) as stream:
            return _of_stream(stream, os.fstat(stream.fileno()).st_size)
    except (OSError, ValueError):  # a name with a NUL is a ValueError
        return UNREAD


def _of_stream(stream: BinaryIO, size: int) -> int:
    digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=8)
    if size <= 3 * _PIECE:
        digest.update(stream.read())
    else:
        for start in (0, (size - _PIECE) // 2, size - _PIECE):
            stream.seek(start)
            digest.update(stream.read(_PIECE))
    return _number(digest.digest())


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "little") or 1  # 0 is `UNREAD`


def _known(hashes: Hashes) -> Hashes:
    found: Hashes = np.unique(hashes[hashes != UNREAD])
    return found
