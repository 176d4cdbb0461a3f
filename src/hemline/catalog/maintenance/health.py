"""Checks a catalogue, repairs what can be derived, and compacts it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hemline.catalog import folders, pointer
from hemline.catalog.images import ImageStore
from hemline.catalog.intake.embedding import embed_copies
from hemline.catalog.store import Advance, Problem
from hemline.errors import BundleError

if TYPE_CHECKING:
    from hemline.catalog.catalog import Catalog
    from hemline.catalog.pointer import Live


@dataclass(slots=True)
class Health:
    """What `Catalog.check` found.

    Attributes:
        images: number of images checked.
        problems: what is wrong, each with whether it was repaired.
        embedded: number of lost vectors that were embedded again from the copies of images.
        lost: image_ids whose vector is lost, without a copy to embed.
        strays: number of copies that no row refers to. A kill leaves some and the next writer
            deletes them, so they are no problem.
        unsummed: number of rows without a checksum, as an earlier version wrote them.
    """

    images: int = 0
    problems: list[Problem] = field(default_factory=list)
    embedded: int = 0
    lost: list[str] = field(default_factory=list)
    strays: int = 0
    unsummed: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no problem, or none is left."""
        return not self.lost and all(problem.repaired for problem in self.problems)


def check(catalog: Catalog, repair: bool, deep: bool, advance: Advance) -> Health:
    """See `Catalog.check`."""
    live = catalog.live()
    found = live.store.verify(repair, advance)
    health = Health(found.images, list(found.problems), lost=list(found.lost))
    health.unsummed = found.unsummed
    readable = not any(problem.part == "row" for problem in health.problems)
    if repair and readable and health.lost:
        _restore(catalog, live, health)
    try:
        if live.folder is not None:
            type(live.bundle).open(live.folder / "bundle")
    except BundleError as error:
        health.problems.append(Problem("bundle", "bundle", str(error)))
    if catalog.images is not None and readable:  # damaged rows may refer to any copy
        _check_copies(catalog, catalog.images, health, repair, deep)
    return health


def _restore(catalog: Catalog, live: Live, health: Health) -> None:
    """Embeds lost vectors again from the copies, and marks the problems this repaired."""
    made = embed_copies(
        catalog.image_path, live.encoder(), live.store.get(health.lost, vectors=False).values()
    )
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
    catalog: Catalog, images: ImageStore, health: Health, repair: bool, deep: bool
) -> None:
    """Checks that each row's copy exists and, if ``deep``, has the content of its name."""
    referenced = catalog.store.image_digests()
    there = set(images.names())
    for digest in sorted(referenced - there):
        place = str(images.path(digest).relative_to(images.folder.parent))
        health.problems.append(Problem("picture", place, "the copy is missing"))
    if deep:
        for digest in sorted(referenced & there):
            try:
                data = images.read(digest)
            except OSError as error:  # no regular file, or a disk that fails
                words = f"the copy can't be read ({error.strerror or error})"
            else:
                words = "the copy is damaged"
                if hashlib.sha256(data).hexdigest()[:40] == digest:
                    continue
            place = str(images.path(digest).relative_to(images.folder.parent))
            health.problems.append(Problem("picture", place, words))
    health.strays = catalog.sweep() if repair else len(images.strays(referenced))


def compact(catalog: Catalog, advance: Advance) -> dict[str, int]:
    """See `Catalog.compact`."""
    with catalog.writing() as live:
        report = live.store.compact(advance)
        swept = catalog.sweep()
        parts = pointer.delete_old(catalog.folder, folders.discard) if catalog.folder else 0
    return {
        "moved": report.moved,
        "segments": report.segments,
        "bytes_freed": report.bytes_freed,
        "copies_swept": swept,
        "old_parts": parts,
    }
