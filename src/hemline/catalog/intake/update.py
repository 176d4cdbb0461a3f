"""`ItemUpdate`: the desired state of an item, the one form of every write.

A row of a manifest, the rows of a feed that form an item, and an HTTP write each become an
`ItemUpdate`; `hemline.catalog.intake.upsert` stores it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hemline.catalog.cluster.shards import Encoded
from hemline.catalog.store import Row
from hemline.data.amounts import priced
from hemline.data.remote.fetcher import RemoteImage
from hemline.errors import UsageError
from hemline.limits import MAX_COLUMN_NAME, MAX_COLUMNS
from hemline.text import check_text
from hemline.types import Box

#: Names that `Row` and answers use themselves.
RESERVED_COLUMNS = ("item_id", "image_id", "category", "tags", "score", "rank")

#: What became of an item.
Status = Literal["added", "updated", "unchanged", "removed", "refused"]
#: What became of an image: the names of the counts.
Change = Literal["added", "embedded_again", "duplicates", "columns", "unchanged"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is stored beside the vector of an image, as `Row` has it.

    Prices among the columns become numbers (`hemline.data.amounts.priced`).
    """

    category: str = ""
    tags: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", priced(self.columns))

    def over(self, row: Row) -> Attributes:
        """The attributes of a stored row after this update: these replace all of it."""
        return self


@dataclass(frozen=True, slots=True)
class AttributeChanges:
    """Changes of single attributes; what isn't named stays, in each image its own.

    Attributes:
        category, tags: None keeps the stored ones.
        columns: values by name; None removes a column. Prices become numbers as in `Attributes`.
    """

    category: str | None = None
    tags: tuple[str, ...] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", priced(self.columns))

    def over(self, row: Row) -> Attributes:
        """The attributes of a stored row after this update."""
        columns = {**row.columns, **self.columns}
        return Attributes(
            row.category if self.category is None else self.category,
            row.tags if self.tags is None else self.tags,
            {name: value for name, value in columns.items() if value is not None},
        )


@dataclass(frozen=True, slots=True)
class ImageUpdate:
    """An image of the desired state of an item.

    Attributes:
        source: its bytes, its file or where it is fetched from; None where there is none,
            ``problem`` says why.
        image_id: unique in the catalogue; empty: the item's stored image with the same content
            keeps its id, a new one is named after the item and its content.
        name: its path as the manifest or the feed has it, for reports.
        attributes: of this image; None: those of the item.
        domain: empty keeps the stored one, ``shop`` for a new image.
        box: of the product in the image, for ``crop="box"``.
        encoded: what a worker of a cluster has made of it.
    """

    source: bytes | Path | RemoteImage | None
    image_id: str = ""
    name: str = ""
    problem: str = ""
    attributes: Attributes | None = None
    domain: str = ""
    box: Box | None = None
    encoded: Encoded | None = None


@dataclass(frozen=True, slots=True)
class ItemUpdate:
    """The desired state of one item.

    Attributes:
        item_id: the item.
        attributes: of its images that have none of their own.
        images: its images; None keeps the stored ones.
        keep_others: stored images that aren't in ``images`` stay, as for one row of a manifest.
        remove: the item is removed instead.
    """

    item_id: str
    attributes: Attributes | AttributeChanges = Attributes()
    images: Sequence[ImageUpdate] | None = None
    keep_others: bool = False
    remove: bool = False

    def check_texts(self) -> None:
        """
        Raises:
            UsageError: a text that can't be stored.
        """
        images = self.images or ()
        texts: list[Any] = [self.item_id, *(image.image_id for image in images)]
        for own in (self.attributes, *(image.attributes for image in images)):
            if own is not None:
                texts += [own.category or "", *(own.tags or ())]
                texts.append(own.columns)
        check_text(texts, "the item")

    def check(self) -> None:
        """
        Raises:
            UsageError: an item_id or a column's name that can't be stored.
        """
        self.check_texts()
        item = self.item_id
        if not 1 <= len(item) <= 200 or any(ord(c) < 32 for c in item):
            raise UsageError("an item_id has 1 to 200 characters, none of them a control character")
        if item in (".", ".."):  # which no address can name
            raise UsageError(f"an item_id isn't {item!r}")
        check_columns(self.attributes.columns, f"the item {item}")
        for name in self.attributes.columns:
            if name in RESERVED_COLUMNS:
                raise UsageError(
                    f"{name!r} can't be a column; it is one of {', '.join(RESERVED_COLUMNS)}"
                )


def check_columns(names: Collection[str], what: str) -> None:
    """Checks the number of columns of ``what``, and the lengths of their names.

    Raises:
        UsageError: beyond `hemline.limits`.
    """
    if len(names) > MAX_COLUMNS:
        raise UsageError(f"{what} has {len(names):,} columns; at most {MAX_COLUMNS} are stored")
    for name in names:
        if not 1 <= len(name) <= MAX_COLUMN_NAME:
            raise UsageError(
                f"{name[:MAX_COLUMN_NAME]!r} can't be a column: a name has 1 to "
                f"{MAX_COLUMN_NAME} characters"
            )


class Skipped(NamedTuple):
    """An image that couldn't be stored, and why."""

    image_id: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What an update did to its item.

    Attributes:
        images: how many the update is about, or were removed with the item.
        reason: why it was refused, or why nothing changed.
        found: False where an item to be removed or changed isn't in the catalogue.
    """

    item_id: str
    status: Status
    images: int = 0
    reason: str = ""
    found: bool = True


@dataclass(slots=True)
class ImageReport:
    """What became of the images of a run.

    Attributes:
        added: embedded, not stored before.
        embedded_again: stored before, with other content or tags.
        duplicates: stored with the vector of another image of the same content.
        columns: only columns were written.
        unchanged: stored already.
        removed: no longer in the catalogue.
        kept: old images that stay, as their item has no new one that can be opened.
        whole: embedded whole, as no garment of their category was found to crop.
        skipped: those that can't be opened.
        unknown_tags: tag → number of occurrences, of tags that the bundle doesn't know.
    """

    added: int = 0
    embedded_again: int = 0
    duplicates: int = 0
    columns: int = 0
    unchanged: int = 0
    removed: int = 0
    kept: int = 0
    whole: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    unknown_tags: dict[str, int] = field(default_factory=dict)

    @property
    def embedded(self) -> int:
        """Number of images that went through the shop tower."""
        return self.added + self.embedded_again

    @property
    def updated(self) -> int:
        """Number of rows written without embedding."""
        return self.columns + self.duplicates

    def count(self, change: Change) -> None:
        setattr(self, change, getattr(self, change) + 1)
