"""Finds the files of a feed's images; addresses are fetched only where an operator allows it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from hemline.data.column_names import pieces
from hemline.data.remote.addresses import without_secrets
from hemline.data.remote.fetcher import NOT_FETCHED, Fetcher, RemoteImage, found_remote
from hemline.files import absolute

#: A feed may come from others, who are not to choose among this machine's files.
_OUTSIDE = "lies outside the feed's folder; name the folder it lies in (images)"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)?//")
_JOINED = re.compile(r"\s*[,;|]\s*(?=[A-Za-z][A-Za-z0-9+.-]+://)|\s+\|\s*|[,;]\s+")


class ImageFile(NamedTuple):
    """An image of the feed.

    Attributes:
        name: its path below the folder of images, or its path or address as the feed has it.
        path: its file, or where it is fetched from; or None.
        problem: why there is no file.
        by_name: the file was found by the file name of an address.
    """

    name: str
    path: Path | RemoteImage | None
    problem: str = ""
    by_name: bool = False


class ImageFiles:
    """Finds images in the folders of a feed."""

    def __init__(
        self,
        feed: Path,
        images: str | os.PathLike[str] | None = None,
        remote: Fetcher | None = None,
    ) -> None:
        """
        Args:
            feed: the feed's file; paths are relative to its folder and don't lead out of it.
            images: a further folder for paths, relative or absolute; addresses (``https://…``) are
                looked up by their file names in it and below it.
            remote: fetches addresses that aren't found there; None: nothing is fetched.
        """
        self._remote = remote
        self._roots = [absolute(images)] if images else []
        self._roots.append(absolute(feed).parent)
        self._images = self._roots[0] if images else None
        self._names: dict[str, list[str]] | None = None
        self._found: dict[str, ImageFile] = {}

    def of_cell(self, cell: Any, line: int = 0) -> list[ImageFile]:
        """The images of a cell: a list, one path, or several joined by ``, ; |``.

        Args:
            line: of the feed, for errors.
        """
        if isinstance(cell, str) and not _ADDRESS.match(cell.strip()):
            whole = self.find(cell.strip(), line)
            if whole.path is not None:
                return [whole]
        if self._remote and isinstance(cell, str) and _ADDRESS.match(cell.strip()):
            cell = _JOINED.split(cell.strip())  # commas may be part of an address
            return [self.find(piece, line) for piece in cell]
        return [self.find(piece, line) for piece in pieces(cell)]

    def find(self, text: str, line: int = 0) -> ImageFile:
        """The file of one path or address; cached, as variants share their images."""
        found = self._found.get(text)
        if found is None:
            found = self._found[text] = self._find(text, line)
        return found

    def _find(self, text: str, line: int) -> ImageFile:
        if text.lower().startswith("file://"):
            text = unquote(urlsplit(text).path)
        elif _ADDRESS.match(text):
            found = self._by_name(text)
            if found.path is not None or self._remote is None:
                return found
            return ImageFile(
                without_secrets(text), *found_remote(text, f"line {line}", self._remote)
            )
        inside = False
        for root in self._roots:
            path = Path(os.path.normpath(root / text))
            if not any(path.is_relative_to(own) for own in self._roots):
                continue
            inside = True
            if path.is_file():
                return ImageFile(_relative(path, root, text), path)
            if path.exists():
                return ImageFile(text, None, "is no regular file")
        return ImageFile(text, None, "does not exist" if inside else _OUTSIDE)

    def _by_name(self, text: str) -> ImageFile:
        name = unquote(urlsplit(text).path).rpartition("/")[2]
        if self._images is None:
            return ImageFile(text, None, f"{NOT_FETCHED}; or name the folder it lies in (images)")
        places = self._index().get(name, [])
        if len(places) == 1:
            return ImageFile(places[0], self._images / places[0], "", True)
        if places:
            return ImageFile(text, None, f"is there {len(places)} times: {places[0]}, {places[1]}")
        return ImageFile(text, None, f"no file {name!r} lies in {self._images}")

    def _index(self) -> dict[str, list[str]]:
        """File name → paths below the folder of images; made at the first address."""
        if self._names is None:
            self._names = {}
            assert self._images is not None
            for folder, _, files in os.walk(self._images):
                below = Path(folder).relative_to(self._images).as_posix()
                for file in sorted(files):
                    path = file if below == "." else f"{below}/{file}"
                    self._names.setdefault(file, []).append(path)
        return self._names


def _relative(path: Path, root: Path, text: str) -> str:
    """``path`` below ``root``, with ``/``; as it was given where it lies elsewhere."""
    try:
        return Path(os.path.normpath(path)).relative_to(root).as_posix()
    except ValueError:
        return text
