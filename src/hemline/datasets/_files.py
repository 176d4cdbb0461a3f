"""Which pictures lie in a folder, and which of half a million listed ones are there.

A data set that comes as an archive may name pictures outside itself, by name or by a link. Readers
of published formats and of folders leave such pictures out and say so; ``links=follow`` takes what
a link leads to. A table of one's own (``csv``, ``oml``, a manifest) may name any file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

#: What `look` finds of a picture.
GOOD, MISSING, EMPTY, NO_FILE, OUTSIDE = range(5)
#: Suffixes of picture files that a folder is searched for.
PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff"))
#: Links to folders within links to folders that are followed; more multiply without end.
_DEEP = 2

States = npt.NDArray[np.int8]

#: A name that leaves the folder it is taken from: absolute, a drive, or a step upwards.
_LEAVES = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]")


def fullest(folders: Sequence[Path], paths: Sequence[str]) -> Path:
    """The folder that holds most of ``paths``, by two hundred of them; the first of equals."""
    sample = paths[:: max(1, len(paths) // 200)]
    counts = [sum(os.path.lexists(os.path.join(f, p)) for p in sample) for f in folders]
    return folders[counts.index(max(counts))]


def leaves(path: str) -> bool:
    """Whether a listed name leads out of its folder: ``../x``, ``/x``, ``C:\\x``."""
    return _LEAVES.search(path) is not None


def look(root: str, paths: Sequence[str], inside: bool | None = True) -> States:
    """The state (N,) of each of ``paths`` below ``root``, an absolute folder.

    One call to the system for each file, and one for each folder. ``inside``: True asks names and
    links to stay below ``root``, False only names, None neither.
    """
    states = np.empty(len(paths), np.int8)
    base = os.path.join(root, "")
    real = os.path.join(os.path.realpath(root), "")
    plain: dict[str, bool] = {"": True}
    for index, path in enumerate(paths):
        if inside is not None and leaves(path):
            states[index] = OUTSIDE
            continue
        full = path if path.startswith("/") else base + path
        try:
            found = os.lstat(full)
            straight = not stat.S_ISLNK(found.st_mode)
            if not straight:
                found = os.stat(full)
        except (OSError, ValueError):
            states[index] = MISSING
            continue
        if inside and not (straight and _plain(base, path.rpartition("/")[0], plain)):
            end = os.path.realpath(full)
            if not end.startswith(real):
                states[index] = OUTSIDE
                continue
        if not stat.S_ISREG(found.st_mode):
            states[index] = NO_FILE
        else:
            states[index] = GOOD if found.st_size else EMPTY
    return states


def _plain(base: str, folder: str, known: dict[str, bool]) -> bool:
    """Whether no part of ``folder`` below ``base`` is a link."""
    answer = known.get(folder)
    if answer is None:
        above = folder.rpartition("/")[0]
        answer = _plain(base, above, known) and not os.path.islink(base + folder)
        known[folder] = answer
    return answer


def find_pictures(root: Path, follow: bool, left: list[str]) -> Iterator[str]:
    """The pictures below ``root``, as ``a/b.jpg``, sorted; hidden files and folders left out.

    Links to folders are followed, but no folder into itself, and out of ``root`` only with
    ``follow``; those that aren't are added to ``left``.

    Raises:
        OSError: a folder can't be read.
    """
    base = os.path.join(str(root), "")
    real = os.path.realpath(root)
    for folder, inner, files in os.walk(root, followlinks=True, onerror=_stop):
        below = os.path.join(folder, "")[len(base) :]
        above: set[str] | None = None
        kept = []
        for name in sorted(inner):
            if name.startswith("."):
                continue
            full = os.path.join(folder, name)
            if not os.path.islink(full):
                kept.append(name)
                continue
            above = _above(folder, base) if above is None else above
            end = os.path.realpath(full)
            within = end == real or end.startswith(os.path.join(real, ""))
            if above and end not in above and (follow or within):
                kept.append(name)
            else:
                left.append(below + name)
        inner[:] = kept
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURES:
                yield (below + name).replace(os.sep, "/")


def _above(folder: str, base: str) -> set[str]:
    """Where ``folder`` and those above it really lie; empty where links lead too deep."""
    places, links = {os.path.realpath(base)}, 0
    while len(folder) >= len(base):
        links += os.path.islink(folder)
        places.add(os.path.realpath(folder))
        folder = os.path.dirname(folder)
    return places if links < _DEEP else set()


def links_note(left: Sequence[str]) -> list[str]:
    """A note on links that weren't followed, if there are any."""
    if not left:
        return []
    return [
        f"{len(left):,} links to folders aren't followed, as {left[0]!r}: they lead out of the "
        "data (links=follow takes them), or round in circles"
    ]


def _stop(error: OSError) -> None:
    raise error  # a folder that can't be read must not be left out in silence
