"""A format: a text file of image, item and domain, parted by blanks; and a protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import match_items
from hemline.datasets import ReaderSpec, ReadReport
from hemline.types import Record


def _read(root: Path, options: dict[str, str]) -> tuple[Manifest, ReadReport]:
    rows = [line.split() for line in root.read_text().splitlines() if line.strip()]
    records = [Record(path, path, item, domain) for path, item, domain in rows]
    return Manifest.from_records(records, root.parent), ReadReport(len(rows), len(rows))


def _everything(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    role = roles(manifest)
    queries, gallery = np.flatnonzero(role == "query"), np.flatnonzero(role == "gallery")
    words = {"queries": "every photo", "gallery": "every shop image", "items": "all"}
    return (match_items("everything", manifest, queries, gallery, choices, words),)


READERS = {
    "triples": ReaderSpec(
        name="triples",
        summary="A text file: image, item, domain.",
        get="write one",
        licence="yours",
        reader=_read,
    )
}
PROTOCOLS = {
    "everything": ProtocolSpec(
        _everything, queries="every photo", gallery="every shop image", products="all"
    )
}
