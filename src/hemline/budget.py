"""What one query may cost: its limits, and the time by which it must have ended.

`limited` sets both for the calling thread, as SQLite's progress handler does for a connection. The
loops that scan, count and evaluate conditions call `check_time` between their pieces, and
`check_work` before they begin. Without `limited` there is no time limit, and the limits are the
defaults of `QueryLimits`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from hemline.errors import CostError, TimeLimitError
from hemline.limits import MAX_RANK, QueryLimits
from hemline.work import present

T = TypeVar("T")


class _Budget(NamedTuple):
    limits: QueryLimits
    end: float


#: Outside a service: limits of work alone, and those of requests that `hemline.types` checks.
_FREE = _Budget(QueryLimits(pixels=sys.maxsize, k=MAX_RANK), float("inf"))
_budget: ContextVar[_Budget] = ContextVar("_budget", default=_FREE)


@contextmanager
def limited(limits: QueryLimits, end: float) -> Iterator[None]:
    """Limits what runs inside, in this thread or task.

    Args:
        limits: of one query.
        end: the time of `time.monotonic` after which the work stops.
    """
    token = _budget.set(_Budget(limits, end))
    try:
        yield
    finally:
        _budget.reset(token)


def limits() -> QueryLimits:
    """The limits of the present query."""
    return _budget.get().limits


def allow(limits: QueryLimits) -> None:
    """Sets the limits for the rest of the present task; its time isn't limited yet."""
    _budget.set(_Budget(limits, float("inf")))


def check_limit(name: str, given: int) -> None:
    """
    Raises:
        CostError: the query has more than the limit ``name`` of `QueryLimits` allows.
    """
    most = getattr(limits(), name)
    if given > most:
        raise CostError(f"{name} is at most {most:,} here, not {given:,}; ask for less")


def is_over() -> bool:
    """Whether the present query's time is over, or nobody waits for its answer."""
    return time.monotonic() > _budget.get().end or present().stopped


def check_time() -> None:
    """
    Raises:
        TimeLimitError: the present query's time is over, or nobody waits for its answer.
    """
    if is_over():
        raise TimeLimitError("this took too long; ask for less, or try again later")


def polled(items: Iterable[T], every: int = 256) -> Iterator[T]:
    """``items``, with `check_time` after each ``every``.

    Raises:
        TimeLimitError: as `check_time`.
    """
    for number, item in enumerate(items):
        if number % every == 0:
            check_time()
        yield item


def check_work(rows: int, weight: int, what: str) -> None:
    """Refuses work before it begins.

    Args:
        rows: how many rows it goes over.
        weight: operations for each row.
        what: the subject of the error.

    Raises:
        CostError: rows × weight is over the limit.
        TimeLimitError: as `check_time`.
    """
    check_time()
    most = limits().work
    if rows * weight > most:
        raise CostError(
            f"{what} costs {weight:,} operations for each of {rows:,} images; rows x operations "
            f"are at most {most:,}: ask with fewer or shorter parts"
        )
