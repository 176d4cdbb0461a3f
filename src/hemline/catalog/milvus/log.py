"""The log of commits: a record makes the rows of a commit visible, and is written after them.

A commit writes rows with ids of their own, then its record, and only then deletes the rows that it
replaced or removed. So a kill at any point leaves the catalogue at the commit before or at this
one; rows without a record are never shown, and deleted by the next writer. Each record names the
one before it. A writer that follows a killed one leaves a gap in the numbers, so that a record of
the killed one that arrives late belongs to no chain and is ignored.

A checkpoint stands for all records before it, which are then deleted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PARTS = 4096  # records that one commit may take
_LISTED = 3000  # numbers in one record, of which Milvus keeps 65,535 bytes
#: Ids and revisions that a writer leaves out after one that was killed.
GAP = 1 << 16
MAX_ROWS = GAP  # of a commit
PIECE = 2048  # rows read at a time
_BOUNDS = 4000  # pieces of a checkpoint


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit changed.

    Attributes:
        revision: its number.
        previous: that of the commit before it; -1 for a checkpoint.
        first: the id of its first row.
        count: number of its rows, whose ids follow one another.
        removed: ids of rows that it replaced or removed.
        next_id: where the next commit's ids may begin.
        next_vector: where the next commit's vector ids may begin.
        commits: number of commits so far.
        total: the sum of the ids of a checkpoint's rows, of which there are ``count``.
        bounds: ascending ids, between which a checkpoint's rows are read piece by piece.
    """

    revision: int
    previous: int
    first: int
    count: int
    next_id: int
    next_vector: int
    commits: int
    removed: tuple[int, ...] = field(default=(), repr=False)
    total: int = 0
    bounds: tuple[int, ...] = field(default=(), repr=False)

    @property
    def is_checkpoint(self) -> bool:
        """Whether it stands for all commits before it."""
        return self.previous < 0


def records(commit: Commit) -> list[dict[str, Any]]:
    """The entities of a commit, of which the last makes it valid."""
    head: dict[str, Any] = {
        name: getattr(commit, name)
        for name in (
            "previous",
            "first",
            "count",
            "next_id",
            "next_vector",
            "commits",
            "total",
            "bounds",
        )
    }
    removed = list(commit.removed)
    chunks = [removed[i : i + _LISTED] for i in range(0, len(removed), _LISTED)]
    head["parts"] = len(chunks)
    parts = [
        _entity(commit.revision * PARTS + 1 + i, {"removed": chunk})
        for i, chunk in enumerate(chunks)
    ]
    return [*parts, _entity(commit.revision * PARTS, head)]


def _entity(id_: int, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": id_, "payload": json.dumps(content, separators=(",", ":")), "vector": [0.0, 1.0]}


def commits(found: Iterable[Mapping[str, Any]]) -> dict[int, Commit]:
    """revision → the complete commits of entities."""
    contents = {int(one["id"]): json.loads(one["payload"]) for one in found}
    complete: dict[int, Commit] = {}
    for id_, head in contents.items():
        revision, part = divmod(id_, PARTS)
        # A checkpoint has no parts, but those of the commit whose record it replaces may be left.
        parts = [] if part else [id_ + 1 + i for i in range(head.pop("parts"))]
        if part or not all(one in contents for one in parts):
            continue
        complete[revision] = Commit(
            **head | {"bounds": tuple(head["bounds"])},
            revision=revision,
            removed=tuple(gone for one in parts for gone in contents[one]["removed"]),
        )
    return complete


def chain(found: Mapping[int, Commit], since: int) -> list[Commit] | None:
    """The commits after ``since``, oldest first; None where only reading all of them again helps.

    Raises:
        KeyError: a record that another one names is missing.
    """
    if not found:
        return []
    newest = found[max(found)]
    if newest.revision <= since:
        return []
    steps: list[Commit] = []
    while newest.revision > since:
        steps.append(newest)
        if newest.is_checkpoint:
            return None if since >= 0 else steps[::-1]
        if newest.previous < since:
            return None
        if newest.previous == since:
            break
        newest = found[newest.previous]
    return steps[::-1]


def live_ids(steps: Sequence[Commit]) -> tuple[set[int], set[int]]:
    """(ids that are visible after the commits ``steps``, ids that they removed).

    A checkpoint's ids aren't among them.
    """
    removed = {id_ for commit in steps for id_ in commit.removed}
    added = {
        id_
        for commit in steps
        if not commit.is_checkpoint
        for id_ in range(commit.first, commit.first + commit.count)
    }
    return added - removed, removed


def bounds(ids: Sequence[int]) -> tuple[int, ...]:
    """Every `PIECE`-th of ascending ids, fewer where a record couldn't hold them."""
    step = max(PIECE, -(-len(ids) // _BOUNDS))
    return tuple(ids[step::step])
