"""Options of `Catalog.add` and `Catalog.sync`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hemline.catalog.cluster.engine import HERE, check_engine
from hemline.catalog.intake.feed_map import FeedMapping
from hemline.data.remote.fetcher import Fetcher
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.files import absolute

#: The share of the items that a feed may remove without being asked.
ALLOWED_REMOVALS = 0.2


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """How images are read, embedded and committed.

    Attributes:
        crop: ``none`` embeds whole images; ``box`` the inside of each row's box, if it has one;
            ``detect`` the garment of each row's category that the bundle's detector finds, or the
            whole image where it finds none. None: ``none``, or for a feed the remembered one.
        batch: images in one durable commit.
        workers: threads that decode images; None: up to 4.
        encoder: used instead of the bundle's own; it must have the same fingerprint.
        remote: fetches images that are named by addresses; None: nothing is fetched.
        engine: ``here`` embeds in this process; ``ray`` on the Ray cluster of RAY_ADDRESS or of
            this machine, ``ray://HOST:PORT`` on that of a Ray client server (`Catalog.add`).

    Raises:
        UsageError: ``batch`` or ``workers`` is below 1, or another engine.
    """

    crop: str | None = None
    batch: int = 64
    workers: int | None = None
    encoder: Encoder | None = None
    remote: Fetcher | None = None
    engine: str = HERE

    def __post_init__(self) -> None:
        check_engine(self.engine)
        if self.batch < 1 or (self.workers is not None and self.workers < 1):
            raise UsageError(
                f"batch and workers are at least 1, not {self.batch} and {self.workers}"
            )

    @property
    def threads(self) -> int:
        """Number of threads that decode images, and wait for those that are fetched."""
        waiting = self.remote.settings.connections if self.remote else 0
        return self.workers or max(waiting, min(4, os.cpu_count() or 1))


class Removals(NamedTuple):
    """Number of items that a feed would remove, and of all items in the catalogue."""

    removed: int
    of: int

    @property
    def share(self) -> float:
        return self.removed / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class SyncOptions(IntakeOptions):
    """How a product feed is read and how much it may change.

    ``mapping``, ``images`` and ``crop`` are remembered by the catalogue.

    Attributes:
        crop, batch, workers, encoder, remote: see `IntakeOptions`, and `Catalog.add`.
        mapping: meaning of the feed's columns: ``id``, ``group``, ``images``, ``category``,
            ``tags``, ``without`` or a new name → column or columns.
        images: folder of the images; the feed's own by default.
        allow_removals: largest share of the items that may be removed, or a function that decides.
        max_bad: largest share of the feed's rows that may be unusable.
        dry_run: changes nothing and reports what would be done.
        reread: reads every image file, also those of unchanged size and modification time.

    Raises:
        UsageError: a share isn't from 0 to 1.
    """

    mapping: FeedMapping | Mapping[str, str | Sequence[str]] | None = None
    images: str | os.PathLike[str] | None = None
    allow_removals: float | Callable[[Removals], bool] = ALLOWED_REMOVALS
    max_bad: float = 0.05
    dry_run: bool = False
    reread: bool = False

    def __post_init__(self) -> None:
        super(SyncOptions, self).__post_init__()
        if not callable(self.allow_removals):
            _check_share(self.allow_removals, "the share of items that may be removed")
        _check_share(self.max_bad, "the share of bad rows")

    def given_mapping(self) -> FeedMapping:
        """What of the mapping is given here."""
        mapping = self.mapping or {}
        mapping = mapping if isinstance(mapping, FeedMapping) else FeedMapping.of(mapping)
        images = str(absolute(self.images)) if self.images else ""
        return mapping.changed(FeedMapping(images=images, crop=self.crop or ""))

    def allows(self, removals: Removals) -> bool:
        """Whether a feed may remove so many items."""
        if callable(self.allow_removals):
            return self.allow_removals(removals)
        return removals.share <= self.allow_removals


def _check_share(value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"{what} is from 0 to 1, not {value:g}")
