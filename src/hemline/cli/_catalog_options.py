"""Arguments, options and output that the commands about a catalogue share."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hemline.cli._common import say

LISTED = 10  # skipped images and bad rows that are printed

Folder = Annotated[Path, typer.Argument(metavar="CATALOG", help="The catalogue's folder.")]
Items = Annotated[list[str], typer.Argument(metavar="ITEM...", help="item_id of an item.")]
Crop = Annotated[
    str | None,
    typer.Option(
        help="Part of each image that is embedded: 'none' for the whole image, 'box' for the "
        "inside of the row's x1,y1,x2,y2, 'detect' for the garment of the row's category, if one "
        "is found. Default: none, or for a feed what it was last time."
    ),
]
Batch = Annotated[int, typer.Option(help="Images in one durable commit, about.")]
Threads = Annotated[
    int | None, typer.Option(help="Threads of the shop tower; all cores by default.")
]
Pictures = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Where a new catalogue's copies of images are: s3://BUCKET/START or another address "
        "that fsspec opens; in its folder by default.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="Where images are embedded: 'here' in this process; 'ray' on the Ray cluster of "
        "RAY_ADDRESS or of this machine; 'ray://HOST:PORT' on that of a Ray client server. Its "
        "machines must see the images under the same paths."
    ),
]
SkippedFile = Annotated[
    Path | None, typer.Option("--skipped", help="Write the list of skipped images there, as CSV.")
]


def addressed(text: str, folder: Path | None) -> tuple[str | None, Path]:
    """The address, if ``text`` is one, and the catalogue's folder.

    Raises:
        UsageError: a folder is given beside a folder.
    """
    from hemline.catalog.milvus.address import is_address, parse
    from hemline.errors import UsageError

    if is_address(text):
        return text, folder or Path(parse(text).name)
    if folder is not None:
        raise UsageError("--folder is for a store on Milvus; otherwise CATALOG is the folder")
    return None, Path(text)


def write_skipped(path: Path | None, rows: Iterable[Any]) -> None:
    """CSV with a line for each skipped image and its reason."""
    if path is None:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "reason"])
        writer.writerows(rows)


def say_listed(what: str, rows: Sequence[Mapping[str, Any]], key: str, more: str = "") -> None:
    """The first of some rows with their reasons, and how many follow."""
    for row in rows[:LISTED]:
        place = f"line {row[key]}" if key == "line" else row[key]
        say(f"{what} {place}: {row['reason']}")
    if len(rows) > LISTED:
        say(f"and {len(rows) - LISTED} more{more}")


def say_names(what: str, names: Sequence[str]) -> None:
    """How many names there are, and the first of them."""
    if names:
        say(f"{len(names)} {what}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
