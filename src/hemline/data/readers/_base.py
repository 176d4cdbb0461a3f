"""What a reader is, and what it reports: nothing is left out in silence."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError, nearest

#: How many missing or broken files a report names.
NAMED = 20
#: Suffixes of picture files that a folder is searched for.
PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff"))

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What a reader found.

    Attributes:
        listed: pictures that the data set's files name.
        found: rows of the manifest.
        missing: pictures that aren't there, left out.
        broken: empty files, left out (`hemline data check` opens them all).
        examples: the first paths of those left out.
        notes: what else a person should know, a sentence each.
    """

    listed: int
    found: int
    missing: int = 0
    broken: int = 0
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReaderSpec:
    """One data set's format.

    Attributes:
        name: as ``hemline data read`` takes it.
        summary: a sentence on what it is.
        get: how to come by the data.
        licence: under what terms; whoever uses the data must keep to them.
        reader: from the root (a folder or file) and checked options to the manifest.
        options: each option's name → what it does and its default.
        writer: from a manifest to a file of this format, where it can be written.
    """

    name: str
    summary: str
    get: str
    licence: str
    reader: Callable[[Path, Options], tuple[Manifest, ReadReport]]
    options: Options = field(default_factory=dict)
    writer: Callable[[Manifest, Path], None] | None = None

    def read(self, root: str | os.PathLike[str], **options: str) -> tuple[Manifest, ReadReport]:
        """The manifest, its paths relative to where the data lies, and what was found.

        Raises:
            DataError: the data isn't there or isn't in this format.
            UsageError: an unknown option.
        """
        for name in options:
            if name not in self.options:
                hint = nearest(name, self.options)
                raise UsageError(f"the format {self.name!r} has no option {name!r}. {hint}")
        place = Path(root)
        if not place.exists():
            raise DataError(f"there is no {place}. To get the data: {self.get}")
        return self.reader(place, options)


def choice(options: Options, name: str, known: tuple[str, ...]) -> str:
    """The option ``name``, or the first of ``known`` where it isn't given.

    Raises:
        UsageError: it is none of ``known``.
    """
    value = options.get(name, known[0])
    if value not in known:
        words = ", ".join(repr(word) for word in known)
        raise UsageError(f"{name}={value} is none of {words}")
    return value


def keep_present(manifest: Manifest, notes: tuple[str, ...] = ()) -> tuple[Manifest, ReadReport]:
    """The rows whose picture is there and not empty, and the report of the rest.

    Raises:
        DataError: none is there.
    """
    sizes: dict[str, int] = {}
    paths = [str(path) for path in manifest.files()]
    for path in paths:
        if path not in sizes:
            try:
                sizes[path] = os.stat(path).st_size
            except (OSError, ValueError):
                sizes[path] = -1
    size = np.array([sizes[path] for path in paths], np.int64)
    kept = size > 0
    left_out = [paths[row] for row in np.flatnonzero(~kept)[:NAMED]]
    if not kept.any():
        raise DataError(
            f"none of the {len(manifest):,} pictures is there, the first is {paths[0]}; "
            "is the folder of the pictures right?"
        )
    report = ReadReport(
        listed=len(manifest),
        found=int(kept.sum()),
        missing=int((size < 0).sum()),
        broken=int((size == 0).sum()),
        examples=tuple(left_out),
        notes=notes,
    )
    return (manifest if kept.all() else manifest.select(kept)), report


def records_manifest(rows: list[dict[str, Any]], root: Path) -> Manifest:
    """From dictionaries of columns, all with the same keys.

    Raises:
        DataError: a row is wrong.
    """
    import pyarrow as pa

    return Manifest.from_table(pa.Table.from_pylist(rows), root, str(root))
