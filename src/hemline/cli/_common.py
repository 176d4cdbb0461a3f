"""What every verb shares: one JSON object on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

#: Words for people; rebuilt at each use of the property so that tests can capture it.
err = Console(stderr=True)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")
]

Advance = Callable[[int, int], None]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def emit(
    result: Mapping[str, Any], as_json: bool, words: Callable[[Mapping[str, Any]], None]
) -> None:
    """Prints ``result`` as one JSON object, or lets ``words`` tell it to a person."""
    if as_json:
        sys.stdout.write(json.dumps(result, default=_plain, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    else:
        words(result)


def out(text: str) -> None:
    """One plain line for a person, on standard output."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """One line about what is going on, on standard error."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Progress on standard error: a bar on a terminal, else a line every ten seconds.

    Yields ``advance(done, total)``, both absolute numbers.
    """
    if err.is_terminal:
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        with bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    last = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            say(f"{what}: {done} of {total}")

    yield advance
