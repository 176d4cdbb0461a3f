"""Lists the images of a folder, and checks half a million listed paths for existence.

An archive may refer to images outside itself, by name or by a link. Readers of published formats
and of folders leave these out and report them; ``links=follow`` follows links. A table of one's own
(``csv``, ``oml``, a manifest) may name any file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

#: States of `file_states`.
GOOD, MISSING, EMPTY, NO_FILE, OUTSIDE = range(5)
#: Suffixes of image files in a folder.
PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff"))
#: Depth of links to folders within links to folders; deeper ones could multiply endlessly.
_DEEP = 2

States = npt.NDArray[np.int8]

#: A name that leaves the folder it is taken from: absolute, a drive, or a step upwards.
_LEAVES = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]")


def fullest(folders: Sequence[Path], paths: Sequence[str]) -> Path:
    """The folder that has most of ``paths``, by a sample of two hundred; the first of equals."""
    sample = paths[:: max(1, len(paths) // 200)]
    counts = [sum(os.path.lexists(os.path.join(f, p)) for p in sample) for f in folders]
    return folders[counts.index(max(counts))]


def leaves(path: str) -> bool:
    """Whether a listed name leads out of its folder: ``../x``, ``/x``, ``C:\\x``."""
    return _LEAVES.search(path) is not None


def file_states(root: str, paths: Sequence[str], inside: bool | None = True) -> States:
    """The state (N,) of each of ``paths`` below ``root``, an absolute folder.

    One system call for each file and one for each folder. ``inside``: True requires names and link
    targets below ``root``, False only names, None neither.
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
    """The images below ``root``, as ``a/b.jpg``, sorted; hidden files and folders are skipped.

    Links to folders are followed, except into a parent folder, and out of ``root`` only with
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
    """The resolved paths of ``folder`` and its parents; empty if links nest too deep."""
    places, links = {os.path.realpath(base)}, 0
    while len(folder) >= len(base):
        links += os.path.islink(folder)
        places.add(os.path.realpath(folder))
        folder = os.path.dirname(folder)
    return places if links < _DEEP else set()


def links_note(left: Sequence[str]) -> list[str]:
    """A note on links that weren't followed, if any."""
    if not left:
        return []
    return [
        f"{len(left):,} links to folders aren't followed, as {left[0]!r}: they lead out of the "
        "data (links=follow takes them), or round in circles"
    ]


def _stop(error: OSError) -> None:
    raise error  # an unreadable folder must not be skipped silently
