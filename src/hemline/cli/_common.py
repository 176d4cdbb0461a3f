"""Shared by all commands: one JSON object on standard output, all else on standard error."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
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

from hemline.progress import Advance
from hemline.sql import DATABASE

#: Messages for people.
err = Console(stderr=True)

#: Of `hemline serve` and `hemline key`.
DatabaseOption = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        envvar=DATABASE,
        help="Database with keys, feedback and shared photos, for services on several machines: "
        "postgresql://USER@HOST/NAME. By default files in the catalogue's folder.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")
]

ManifestArgument = Annotated[
    Path, typer.Argument(help="A .parquet or .csv file, or a folder that holds one.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Threads or processes; default: one per processor.")
]


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


def _finite(value: Any) -> Any:
    """NaN and infinities replaced by None, as JSON has neither."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [
            _finite(inner) for inner in (value.tolist() if isinstance(value, np.ndarray) else value)
        ]
    return value


def to_json(result: Mapping[str, Any], indent: int | None = None) -> str:
    """``result`` as one strict JSON object that can be encoded as UTF-8."""
    text = json.dumps(
        _finite(result), default=_plain, ensure_ascii=False, indent=indent, allow_nan=False
    )
    # File names may have bytes that aren't UTF-8, which Python has as lone surrogates.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def emit(
    result: Mapping[str, Any], as_json: bool, words: Callable[[Mapping[str, Any]], None]
) -> None:
    """Prints ``result`` as one JSON object, or in words by ``words``."""
    if as_json:
        sys.stdout.write(to_json(result) + "\n")
        sys.stdout.flush()
    else:
        words(result)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Without control characters, which could steer a terminal."""
    return _CONTROL.sub("\ufffd", text)


def out(text: str) -> None:
    """Prints one line on standard output."""
    sys.stdout.write(printable(text) + "\n")


def out_comparison(result: Mapping[str, Any], after: str) -> None:
    """Prints the figures before and after as a table, with intervals and paired differences.

    Args:
        result: of `hemline.adapt` or `hemline.quantize`.
        after: what the column of the later figures is called.
    """
    out(f"{'':10} {'before':>21} {after:>21}   difference, 95 %")
    for name in result["after"]:
        old, new, gap = (result[part][name] for part in ("before", "after", "difference"))
        cells = [f"{one['value']:.3f} ({one['low']:.3f}-{one['high']:.3f})" for one in (old, new)]
        change = f"{gap['value']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})"
        out(f"{name:10} {cells[0]:>21} {cells[1]:>21}   {change}")


def say(text: str) -> None:
    """Prints one message on standard error."""
    err.print(printable(text), markup=False, highlight=False, soft_wrap=True)


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


@contextmanager
def stages() -> Iterator[Callable[[str], Advance]]:
    """Progress of consecutive stages; a stage's first report ends the previous one."""
    with ExitStack() as stack:
        shown: dict[str, Advance] = {}

        def stage(what: str) -> Advance:
            def advance(done: int, total: int) -> None:
                if what not in shown:
                    stack.close()
                    shown.clear()
                    shown[what] = stack.enter_context(progress(what))
                shown[what](done, total)

            return advance

        yield stage


@contextmanager
def natives_hushed() -> Iterator[None]:
    """Silences what C libraries print about damaged images; Python still prints."""
    try:
        hushable = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        hushable = False
    if not hushable:
        yield
        return
    python = sys.stderr
    python.flush()
    kept = os.dup(2)
    stream = os.fdopen(
        os.dup(2), "w", buffering=1, encoding=python.encoding, errors="backslashreplace"
    )
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    sys.stderr = stream
    try:
        yield
    finally:
        sys.stderr = python
        stream.close()
        os.dup2(kept, 2)
        os.close(kept)
