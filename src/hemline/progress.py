"""How long work reports its progress, and what reports to nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

#: Called with (done, total), both absolute numbers.
Advance = Callable[[int, int], None]
#: A title → a context that shows the progress of what runs inside it.
ProgressOf = Callable[[str], AbstractContextManager[Advance]]


def no_advance(done: int, total: int) -> None:
    """An `Advance` that shows nothing."""


@contextmanager
def no_progress(title: str) -> Iterator[Advance]:
    """A `ProgressOf` that shows nothing."""
    yield no_advance
