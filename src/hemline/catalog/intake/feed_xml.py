"""Reads Google's feeds in XML: RSS 2.0 and Atom, with the elements of ``g:``.

A feed may come from others. It is read as a stream by expat, which fetches nothing; a document type
is refused, and with it every entity, and so are deep nesting and long texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

from hemline.errors import DataError

GOOGLE = "http://base.google.com/ns/1.0"
_ITEMS = ("item", "entry", "product")
_DEPTH = 30
_TEXT = 1 << 20  # characters of one item
_PIECE = 1 << 16  # bytes that are parsed at once


class _Reader:
    """Gathers the rows of a feed from expat's events."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.found = False  # an item or the frame of a feed
        self._parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        self._path: list[tuple[str, bool]] = []  # open elements: name, of Google's namespace
        self._item: dict[str, tuple[bool, list[str]]] | None = None
        self._line = self._size = self._level = 0
        self._text: list[str] = []
        self._parts: list[str] = []  # of a group such as g:shipping

    def feed(self, data: bytes, fed: int) -> None:
        """Parses a piece of the file; ``fed`` bytes have come with it.

        Raises:
            DataError: the feed isn't to be read, or isn't XML.
        """
        try:
            self._parser.Parse(data, not data)
        except (expat.ExpatError, LookupError, UnicodeDecodeError) as error:
            if not data:  # the end, before the last element has ended
                raise DataError(
                    f"the feed {self._file} breaks off: {error}; fetch it again, whole (nothing "
                    "was changed)"
                ) from None
            raise self._error(str(error)) from None
        except ValueError as error:  # an encoding that expat doesn't know
            raise self._error(str(error)) from None
        if fed - max(self._parser.CurrentByteIndex, 0) > _TEXT:
            raise self._error(f"a tag has more than {_TEXT:,} bytes")

    def _error(self, reason: str) -> DataError:
        return DataError(
            f"the feed {self._file} can't be read as XML: {reason} (nothing was changed)"
        )

    def _refuse(self, *_: Any) -> None:
        raise self._error("it has a document type (<!DOCTYPE), which a feed doesn't need")

    def _start(self, full: str, attributes: Mapping[str, str]) -> None:
        space, _, name = full.rpartition(" ")
        self._path.append((name.lower(), space == GOOGLE))
        if len(self._path) > _DEPTH:
            raise self._error(f"its elements are nested more than {_DEPTH} levels deep")
        if len(self._path) == 1:
            self.found = name.lower() in ("rss", "rdf", "feed", "channel", "products")
        if self._item is None:
            if name.lower() in _ITEMS and len(self._path) > 1:
                self._item, self._size = {}, 0
                self._line, self._level = self._parser.CurrentLineNumber, len(self._path)
            return
        self._text = []
        if len(self._path) == self._level + 1:
            self._parts = []
            own = attributes.get("rel", "alternate") == "alternate"
            if name.lower() == "link" and own:  # Atom: <link href="https://…"/>
                self._keep("link", space == GOOGLE, attributes.get("href", ""))

    def _characters(self, text: str) -> None:
        if self._item is None:
            return
        self._size += len(text)
        if self._size > _TEXT:
            raise self._error(f"the item of line {self._line} has more than {_TEXT:,} characters")
        self._text.append(text)

    def _end(self, full: str) -> None:
        level = len(self._path)
        name, google = self._path.pop()
        if self._item is None:
            return
        if level == self._level:
            cells = {n: texts[0] if len(texts) == 1 else texts for n, (_, texts) in
                     self._item.items()}  # fmt: skip
            self.rows.append((self._line, cells))
            self._item = None
            return
        text = "".join(self._text).strip()
        self._text = []
        if level == self._level + 1:
            self._keep(name, google, ":".join([*self._parts, text] if text else self._parts))
        elif text:
            self._parts.append(text)  # as in Google's text feeds: US:CA:Overnight:16.00 USD

    def _keep(self, name: str, google: bool, text: str) -> None:
        """Notes a cell; ``g:link`` counts, where ``link`` is there, too."""
        assert self._item is not None
        if not text:
            return
        known = self._item.get(name)
        if known is None or (google and not known[0]):
            self._item[name] = (google, [text])
        elif google == known[0] and text not in known[1]:
            known[1].append(text)


def read_rows(file: Path, stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the line and the cells of each item; an element that comes again is a list.

    Raises:
        DataError: it is no feed in XML, breaks off, or has what a feed doesn't need: a document
            type, deep nesting, or an item of more than a million characters.
    """
    reader = _Reader(file)
    fed = 0
    while True:
        data = stream.read(_PIECE)
        fed += len(data)
        reader.feed(data, fed)
        yield from reader.rows
        reader.rows.clear()
        if not data:
            break
    if not reader.found:
        raise DataError(
            f"the feed {file} is XML, but neither RSS nor Atom: it has no <rss>, <channel> or "
            "<feed> (nothing was changed)"
        )
