"""A catalogue's care: is it whole, and mended where what is lost can be derived."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hemline.catalog import pointer
from hemline.catalog.images import ImageStore
from hemline.catalog.intake.embedding import embed_copies
from hemline.catalog.store import Problem
from hemline.errors import BundleError

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.pointer import Live

Advance = Callable[[int, int], None]


@dataclass(slots=True)
class Health:
    """What `Catalog.check` found.

    Attributes:
        images: number of images checked.
        problems: what is wrong, each with whether it was put right.
        embedded: vectors that were lost and made anew from the pictures' copies.
        lost: image_ids whose vector is lost and has no copy to make it from.
        strays: picture copies that no product refers to; a kill leaves some, and the next writer
            sweeps them, so they aren't wrong.
    """

    images: int = 0
    problems: list[Problem] = field(default_factory=list)
    embedded: int = 0
    lost: list[str] = field(default_factory=list)
    strays: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong (any more)."""
        return not self.lost and all(problem.repaired for problem in self.problems)


def check(catalog: Catalog, repair: bool, deep: bool, advance: Advance) -> Health:
    """See `Catalog.check`."""
    live = catalog.live()
    found = live.store.verify(repair, advance)
    health = Health(found.images, list(found.problems), lost=list(found.lost))
    if repair and health.lost:
        _heal(catalog, live, health)
    try:
        if live.home is not None:
            type(live.bundle).open(live.home / "bundle")
    except BundleError as error:
        health.problems.append(Problem("bundle", "bundle", str(error)))
    if catalog.images is not None:
        _check_copies(catalog, catalog.images, health, repair, deep)
    return health


def _heal(catalog: Catalog, live: Live, health: Health) -> None:
    """Makes lost vectors anew from the copies; what that has put right is told as repaired."""
    made = embed_copies(catalog.image_path, live.encoder(), live.store.get(health.lost).values())
    if not made:
        return
    live.store.add(made)
    health.embedded = len(made)
    left = live.store.verify()
    health.lost = list(left.lost)
    health.problems = [
        problem if problem in left.problems else replace(problem, repaired=True)
        for problem in health.problems
    ]


def _check_copies(
    catalog: Catalog, pictures: ImageStore, health: Health, repair: bool, deep: bool
) -> None:
    """Every row's copy is there and, deeply, is what its name says; counts those without a row."""
    wanted = catalog.store.image_digests()
    there = set(pictures.names())
    for digest in sorted(wanted - there):
        place = str(pictures.path(digest).relative_to(pictures.folder.parent))
        health.problems.append(Problem("picture", place, "the copy isn't there"))
    if deep:
        for digest in sorted(wanted & there):
            path = pictures.path(digest)
            if hashlib.sha256(path.read_bytes()).hexdigest()[:40] != digest:
                place = str(path.relative_to(pictures.folder.parent))
                health.problems.append(Problem("picture", place, "the copy is damaged"))
    health.strays = catalog.sweep() if repair else len(pictures.strays(wanted))


def compact(catalog: Catalog, advance: Advance) -> dict[str, int]:
    """See `Catalog.compact`."""
    with catalog.writing() as live:
        report = live.store.compact(advance)
        swept = catalog.sweep()
        parts = pointer.sweep(catalog.folder) if catalog.folder else 0
    return {
        "moved": report.moved,
        "segments": report.segments,
        "bytes_freed": report.bytes_freed,
        "copies_swept": swept,
        "old_parts": parts,
    }
