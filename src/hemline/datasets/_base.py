"""The contract of readers, and the report of a read: every row left out is counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.manifest.validate import canonical
from hemline.data.remote.addresses import is_address
from hemline.datasets._arrow import pa
from hemline.datasets._files import EMPTY, GOOD, MISSING, NO_FILE, OUTSIDE, file_states
from hemline.errors import DataError, UsageError, nearest

#: Most missing or broken files that a report lists.
NAMED = 20
#: Option of every reader of a data set that lists its own images.
LINKS = {
    "links": "follow: also take pictures that a link has outside the data's folder; default no"
}

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReadReport:
    """Counts and notes of a read.

    Attributes:
        listed: rows listed by the data set's files.
        found: rows of the manifest.
        missing: rows left out because their image is missing.
        broken: rows left out because their image is empty, not a file, or outside the data's
            folder (`hemline data check` opens all others).
        examples: the first paths that were left out.
        notes: further remarks, a sentence each.
        published: name of a count → (published, in these files).
    """

    listed: int
    found: int
    missing: int = 0
    broken: int = 0
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    published: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def differences(self) -> list[str]:
        """A sentence for each count that differs from the published one."""
        return [
            f"{name}: {here:,} here, {there:,} published"
            for name, (there, here) in self.published.items()
            if here != there
        ]


@dataclass(frozen=True, slots=True)
class ReaderSpec:
    """An entry of `hemline.datasets.READERS`: a format that can be read.

    Attributes:
        name: name for ``hemline data read``.
        summary: one sentence.
        get: how to get the data.
        licence: the terms that bind users of the data.
        reader: (root, checked options) → manifest and report; the root is a folder or file.
        options: name of an option → its effect and default.
        folder: whether the root must be a folder.
        writer: writes a manifest in this format; None if it can only be read.
    """

    name: str
    summary: str
    get: str
    licence: str
    reader: Callable[[Path, Options], tuple[Manifest, ReadReport]]
    options: Options = field(default_factory=dict)
    writer: Callable[[Manifest, Path], None] | None = None
    folder: bool = False

    def read(self, root: str | os.PathLike[str], **options: str) -> tuple[Manifest, ReadReport]:
        """The manifest, with paths relative to the data, and the report.

        Raises:
            DataError: the data is missing or not in this format.
            UsageError: an unknown option.
        """
        for name in options:
            if name not in self.options:
                hint = nearest(name, self.options)
                raise UsageError(f"the format {self.name!r} has no option {name!r}. {hint}")
        place = Path(root)
        try:
            there = place.exists()
        except (OSError, ValueError) as error:  # a loop of links, a NUL
            raise DataError(f"{str(place)!r} can't be read: {error}") from None
        if not there:
            raise DataError(f"there is no {place}. To get the data: {self.get}")
        if self.folder and not place.is_dir():
            raise DataError(f"{place} is a file; the root of {self.name} is a folder")
        try:
            return self.reader(place, options)
        except OSError as error:
            what = error.strerror or str(error)
            raise DataError(f"{error.filename or place} can't be read: {what}") from None


def choice(options: Options, name: str, known: tuple[str, ...]) -> str:
    """The option ``name``; default the first of ``known``.

    Raises:
        UsageError: the value is none of ``known``.
    """
    value = options.get(name, known[0])
    if value not in known:
        words = ", ".join(repr(word) for word in known)
        raise UsageError(f"{name}={value} is none of {words}")
    return value


def follows(options: Options) -> bool:
    """Whether ``links=follow`` was given."""
    return choice(options, "links", ("inside", "follow")) == "follow"


def checked(
    columns: Mapping[str, Any],
    root: Path,
    images: Path,
    options: Options,
    notes: Sequence[str],
    counts: Mapping[str, tuple[int, int]],
) -> tuple[Manifest, ReadReport]:
    """The manifest of a published data set, validated, without rows whose image is missing.

    Args:
        root: names the data in errors.
        images: folder that the paths start from.
        counts: name of a count → (published, in these files).
    """
    manifest = Manifest(canonical(pa.table(dict(columns)), str(root)), images)
    return keep_present(manifest, tuple(notes), not follows(options), counts)


def beside(published: Mapping[str, int], counted: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Name of a count → (published, in these files)."""
    return {name: (published[name], here) for name, here in counted.items()}


def keep_present(
    manifest: Manifest,
    notes: tuple[str, ...] = (),
    inside: bool | None = None,
    published: Mapping[str, tuple[int, int]] | None = None,
    addresses: bool = False,
) -> tuple[Manifest, ReadReport]:
    """The rows whose image is a non-empty file, and a report of the rest.

    Args:
        inside: True: images must lie in the manifest's folder, targets of links too. False: names
            must, links may lead out of it. None: no restriction, as for a table of one's own.
        addresses: keeps rows whose image is at an address, too.

    Raises:
        DataError: no row is left.
    """
    column = manifest.table["path"]
    coded = column.combine_chunks().dictionary_encode()
    unique = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    states = file_states(str(manifest.root), unique, inside)
    if addresses:
        states[[is_address(path) for path in unique]] = GOOD
    state = states[codes]
    kept = state == GOOD
    out = np.flatnonzero(~kept)
    examples = tuple(os.path.join(str(manifest.root), unique[codes[row]]) for row in out[:NAMED])
    if not kept.any():
        what = "lies in the data's folder" if (state == OUTSIDE).all() else "is there"
        raise DataError(
            f"none of the {len(manifest):,} pictures {what}, the first is {examples[0]}; "
            "is the folder of the pictures right?"
        )
    told = list(notes)
    for kind, text in (
        (NO_FILE, "pictures are no files but folders or the like"),
        (OUTSIDE, "pictures lie outside the data's folder"),
    ):
        rows = np.flatnonzero(state == kind)
        if len(rows):
            first = unique[codes[rows[0]]]
            told.append(f"{len(rows):,} {text}, as {first}; they are left out")
    if (state == OUTSIDE).any() and inside:
        told[-1] += " (links=follow takes those that a link leads to)"
    report = ReadReport(
        listed=len(manifest),
        found=int(kept.sum()),
        missing=int((state == MISSING).sum()),
        broken=int(np.isin(state, (EMPTY, NO_FILE, OUTSIDE)).sum()),
        examples=examples,
        notes=tuple(told),
        published=published or {},
    )
    return (manifest if kept.all() else manifest.select(kept)), report


def more_notes(report: ReadReport, *notes: str) -> ReadReport:
    """The same report with further notes."""
    return replace(report, notes=report.notes + notes)


def records_manifest(rows: list[dict[str, Any]], root: Path) -> Manifest:
    """From dictionaries of columns, all with the same keys.

    Raises:
        DataError: a row is wrong.
    """
    return Manifest.from_table(pa.Table.from_pylist(rows), root, str(root))
