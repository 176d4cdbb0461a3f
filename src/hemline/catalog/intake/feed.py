"""Reads product feeds: CSV, JSON lines, XML or Parquet, column by column.

Rows that can't be read are listed. A truncated feed (its last row is incomplete) is refused: half a
feed looks like a shop that has dropped half of its products.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from hemline.catalog.intake.feed_xml import read_rows
from hemline.errors import DataError
from hemline.limits import MAX_FEED_COLUMNS
from hemline.parsing import parse_json
from hemline.text import text_problem

_TEXT = (".csv", ".tsv", ".txt")
_JSON = (".jsonl", ".ndjson", ".json")
_XML = (".xml", ".rss", ".atom")
_PARQUET = (".parquet", ".pq")


class BadRow(NamedTuple):
    """A row of the feed that can't be used: its line (or row, from 1) and the reason."""

    line: int
    reason: str


@dataclass(slots=True)
class Feed:
    """The cells of a feed, in columns of equal length.

    Attributes:
        path: the file.
        columns: name → cells; an empty cell is None.
        lines: the line (or row, from 1) of each row.
        bad: rows that can't be read; they aren't in ``columns``.
        text: all cells are text (or lists of texts), as in CSV and XML.
    """

    path: Path
    columns: dict[str, list[Any]]
    lines: list[int]
    bad: list[BadRow] = field(default_factory=list)
    text: bool = False

    def __len__(self) -> int:
        return len(self.lines)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Feed:
        """Reads ``.csv``, ``.tsv``, ``.txt``, ``.jsonl``, ``.ndjson``, ``.json``, ``.xml``,
        ``.rss``, ``.atom`` (each also with ``.gz``) or ``.parquet``.

        Raises:
            DataError: there is no such file, it can't be read, has no row, or is truncated.
        """
        file = Path(path)
        if not file.is_file():
            there = "is no regular file" if file.exists() else "isn't there"
            what = "is a folder; name the feed's file" if file.is_dir() else there
            raise DataError(f"the feed {file} {what}")
        suffixes = [suffix.lower() for suffix in file.suffixes]
        kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else file.suffix
        kind = kind.lower()
        if kind in _PARQUET:
            feed = _read_parquet(file)
        elif kind in _TEXT or kind in _JSON:
            with _opened(file) as raw, _decoded(file, raw) as stream:
                feed = _read_csv(file, stream) if kind in _TEXT else _read_json(file, stream)
        elif kind in _XML:
            with _opened(file) as raw:
                feed = _read_xml(file, raw)
        else:
            raise DataError(
                f"the feed {file} is neither CSV (.csv, .tsv, .txt), JSON lines (.jsonl, .ndjson), "
                "XML (.xml, .rss, .atom) nor Parquet (.parquet)"
            )
        _check_width(file, len(feed.columns))
        _drop_unstorable(feed)
        if not feed.lines:
            reason = f"; the first of {len(feed.bad)}: {feed.bad[0].reason}" if feed.bad else ""
            raise DataError(f"the feed {file} has no item{reason}; nothing was changed")
        return feed


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Opens a file, maybe compressed; errors while it is read become `DataError`."""
    try:
        with file.open("rb") as raw:
            packed = file.suffix.lower() == ".gz"
            yield gzip.GzipFile(fileobj=raw) if packed else raw
    except (EOFError, zlib.error) as error:
        raise _truncated(file, f"its compressed data end early ({error})") from None
    except gzip.BadGzipFile as error:
        raise DataError(f"the feed {file} can't be unpacked: {error}") from None


@contextmanager
def _decoded(file: Path, raw: Any) -> Iterator[TextIO]:
    try:
        with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError:
        raise DataError(f"the feed {file} is not UTF-8 text; save it in UTF-8") from None


def _check_width(file: Path, columns: int) -> None:
    if columns > MAX_FEED_COLUMNS:
        raise DataError(
            f"the feed {file} has more than {MAX_FEED_COLUMNS:,} columns; nothing was changed"
        )


def _truncated(file: Path, why: str) -> DataError:
    return DataError(
        f"the feed {file} breaks off: {why}; fetch it again, whole (nothing was changed)"
    )


def _read_csv(file: Path, stream: TextIO) -> Feed:
    first = next((line for line in stream if line.strip()), "")
    delimiter = max(",;\t|", key=first.count)
    head = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    if not any(head):
        raise DataError(f"the feed {file} is empty; nothing was changed")
    _check_width(file, len(head))
    doubled = sorted({name for name in head if head.count(name) > 1})
    if doubled:
        raise DataError(f"the feed {file}: the column {doubled[0]!r} is in the header twice")
    feed = Feed(file, {name: [] for name in head}, [], text=True)
    cells_of = list(feed.columns.values())
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            feed.bad.append(BadRow(reader.line_num + 1, str(error)))
            continue
        if not cells or not any(cell.strip() for cell in cells):
            continue
        line = reader.line_num + 1  # after the header, which isn't the reader's
        if len(cells) != len(head):
            reason = f"{len(cells)} cells, where the header has {len(head)}"
            feed.bad.append(BadRow(line, reason))
            continue
        feed.lines.append(line)
        for column, cell in zip(cells_of, cells, strict=True):
            column.append(cell.strip() or None)
    _check_last_row(feed)
    return feed


def _read_json(file: Path, stream: TextIO) -> Feed:
    feed = Feed(file, {}, [])
    start, first = stream.read(1), 1
    while start.isspace():
        first += start == "\n"
        start = stream.read(1)
    if start == "[":
        try:
            rows = parse_json("[" + stream.read())
        except ValueError as error:
            raise _truncated(file, f"it is no JSON ({error})") from None
        for number, row in enumerate(rows, start=1):
            _append(feed, number, row)
        return feed
    for number, line in enumerate(stream, start=first):
        text = start + line
        start = ""
        if not text.strip():
            continue
        try:
            row = parse_json(text)
        except ValueError as error:
            feed.bad.append(BadRow(number, f"no JSON: {str(error)[:80]}"))
            continue
        _append(feed, number, row)
    _check_last_row(feed)
    return feed


def _read_xml(file: Path, raw: Any) -> Feed:
    feed = Feed(file, {}, [], text=True)
    for line, row in read_rows(file, raw):
        _append(feed, line, row)
    return feed


def _append(feed: Feed, number: int, row: Any) -> None:
    if not isinstance(row, dict):
        feed.bad.append(BadRow(number, f"a {type(row).__name__}, where an object is needed"))
        return
    for name in row:
        if name not in feed.columns:
            feed.columns[name] = [None] * len(feed.lines)
            _check_width(feed.path, len(feed.columns))  # each more is a cell for every row
    feed.lines.append(number)
    for name, cells in feed.columns.items():
        value = row.get(name)
        cells.append(None if value == "" else value)


def _check_last_row(feed: Feed) -> None:
    """
    Raises:
        DataError: the last row of the file is incomplete.
    """
    last = feed.lines[-1] if feed.lines else 0
    if feed.bad and feed.bad[-1].line > last:
        bad = feed.bad[-1]
        raise _truncated(feed.path, f"its last row (line {bad.line}) isn't whole: {bad.reason}")


def _drop_unstorable(feed: Feed) -> None:
    """Moves rows with a text that can't be stored (`hemline.text`) to the bad ones."""
    wrong: dict[int, str] = {}
    for name, cells in list(feed.columns.items()):
        unnamed = text_problem(name)
        if unnamed:
            del feed.columns[name]
        texts = "".join(cell for cell in cells if isinstance(cell, str))  # looked at all at once
        inside = any(isinstance(cell, list | tuple | Mapping) for cell in cells)
        if unnamed or inside or text_problem(texts):
            for row, cell in enumerate(cells):
                problem = "" if cell is None else unnamed or text_problem(cell)
                if problem:
                    wrong.setdefault(row, f"{name!a}: {problem}")
    if wrong:
        feed.bad += [BadRow(feed.lines[row], reason) for row, reason in wrong.items()]
        feed.bad.sort()
        kept = [row for row in range(len(feed.lines)) if row not in wrong]
        feed.lines = [feed.lines[row] for row in kept]
        for name, cells in feed.columns.items():
            feed.columns[name] = [cells[row] for row in kept]


def _read_parquet(file: Path) -> Feed:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file).read()
        columns = {
            name: [None if cell == "" else cell for cell in _cells(column)]
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    except (pa.ArrowException, MemoryError, OSError, ValueError, OverflowError) as error:
        first = (str(error) or "it does not fit into memory").splitlines()[0]
        raise DataError(
            f"the feed {file} can't be read as Parquet: {first} (nothing was changed)"
        ) from None
    return Feed(file, columns, list(range(1, table.num_rows + 1)))


def _cells(column: Any) -> list[Any]:
    """The cells of an Arrow column; bytes of a text that aren't UTF-8 become half surrogates."""
    try:
        cells: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        if not hasattr(column.type, "value_type"):
            raw = column.cast("binary").to_pylist()
            return [cell and cell.decode("utf-8", "surrogateescape") for cell in raw]
        raise DataError("the feed has a list of texts that aren't UTF-8") from None
    return cells
