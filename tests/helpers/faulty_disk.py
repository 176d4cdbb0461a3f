"""What a folder holds after a power cut at any of the changes that `faulty_io.c` has logged.

A file's content and the names in a folder are on the disk as they were when last synced. Four ends
are derived at each change, as a file system may write on its own, in any order:

- ``kill``: everything is there, as after a kill of the process;
- ``cut``: nothing is there that wasn't synced;
- ``names``: all names, with the contents that were synced (empty files, as ext4 leaves them);
- ``contents``: the names that were synced, with all contents.
"""

from __future__ import annotations

import copy
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ENDS = ("kill", "cut", "names", "contents")
CREATE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, MARK = range(9)
_HEAD = struct.Struct("=iiiiq")


@dataclass
class File:
    data: bytearray
    synced: bytes | None = None


@dataclass
class Folder:
    names: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    kind: int
    path: str
    other: str
    offset: int
    data: bytes


def changes(log: Path) -> Iterator[Change]:
    """The changes of a log."""
    raw, at = log.read_bytes(), 0
    while at < len(raw):
        kind, first, second, size, offset = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        path, other = raw[at : at + first], raw[at + first : at + first + second]
        at += first + second
        yield Change(kind, path.decode(), other.decode(), offset, raw[at : at + size])
        at += size


class Disk:
    """A folder: as its processes see it, and as it was synced."""

    def __init__(self, root: Path) -> None:
        """As ``root`` is now, all synced."""
        self.root = root
        self.top = self._read(root)

    def _read(self, path: Path) -> Folder:
        found = Folder()
        for child in sorted(path.iterdir()):
            if child.name.endswith("-shm"):
                continue
            if child.is_dir():
                found.names[child.name] = self._read(child)
            else:
                data = child.read_bytes()
                found.names[child.name] = File(bytearray(data), data)
        found.synced = dict(found.names)
        return found

    def _at(self, path: str) -> tuple[Folder, str]:
        """The folder of a path, and its name there."""
        *above, name = Path(path).relative_to(self.root).parts
        folder = self.top
        for part in above:
            below = folder.names[part]
            assert isinstance(below, Folder), path
            folder = below
        return folder, name

    def apply(self, change: Change) -> None:
        if change.kind == MARK or change.path.endswith(" (deleted)"):
            return
        if change.path == str(self.root):
            assert change.kind == SYNC
            self.top.synced = dict(self.top.names)
            return
        folder, name = self._at(change.path)
        if change.kind == CREATE:
            folder.names[name] = File(bytearray())
        elif change.kind == MKDIR:
            folder.names[name] = Folder()
        elif change.kind in (UNLINK, RMDIR):
            del folder.names[name]
        elif change.kind == RENAME:
            to, new = self._at(change.other)
            to.names[new] = folder.names.pop(name)
        else:
            node = folder.names[name]
            if isinstance(node, Folder):
                assert change.kind == SYNC
                node.synced = dict(node.names)
            elif change.kind == SYNC:
                node.synced = bytes(node.data)
            elif change.kind == WRITE:
                end = change.offset + len(change.data)
                node.data.extend(bytes(max(0, end - len(node.data))))
                node.data[change.offset : end] = change.data
            else:
                del node.data[change.offset :]
                node.data.extend(bytes(change.offset - len(node.data)))

    def files(self, end: str) -> dict[str, bytes | None]:
        """Path below the root → content, None for a folder; after this end."""
        found: dict[str, bytes | None] = {}

        def walk(folder: Folder, place: str) -> None:
            names = folder.names if end in ("kill", "names") else folder.synced
            for name, node in names.items():
                if isinstance(node, Folder):
                    found[f"{place}{name}"] = None
                    walk(node, f"{place}{name}/")
                elif end in ("kill", "contents"):
                    found[f"{place}{name}"] = bytes(node.data)
                else:
                    found[f"{place}{name}"] = node.synced or b""

        walk(self.top, "")
        return found


@dataclass(frozen=True)
class Left:
    """What an end leaves.

    Attributes:
        end: of `ENDS`.
        number: after so many changes.
        mark: the last mark before it, or -1.
        files: as `Disk.files`.
    """

    end: str
    number: int
    mark: int
    files: dict[str, bytes | None]


def ends(before: Disk, log: Path) -> Iterator[Left | tuple[str, int]]:
    """What each end after each change leaves; those that leave the same as the last are given as
    (end, number) alone."""
    disk, mark = copy.deepcopy(before), -1
    last: dict[str, bytes] = {}
    for number, change in enumerate(changes(log)):
        disk.apply(change)
        if change.kind == MARK:
            mark = change.offset
        for end in ENDS:
            files = disk.files(end)
            seen = _digest(files, mark)
            if last.get(end) == seen or seen in last.values():
                last[end] = seen
                yield end, number
            else:
                last[end] = seen
                yield Left(end, number, mark, files)


def differences(before: Disk, log: Path, root: Path) -> list[str]:
    """The paths that the log explains wrongly; none if every change was logged."""
    disk = copy.deepcopy(before)
    for change in changes(log):
        disk.apply(change)
    left, right = disk.files("kill"), Disk(root).files("kill")
    wrong = (name for name in {*left, *right} if left.get(name, 0) != right.get(name, 0))
    # The saved index is derived and never synced. NumPy and FAISS write it by C's streams, which
    # the file layer doesn't see: after a cut its files are empty.
    return sorted(name for name in wrong if "/index/" not in name)


def _digest(files: dict[str, bytes | None], mark: int) -> bytes:
    digest = hashlib.blake2b(str(mark).encode())
    for path, data in sorted(files.items()):
        digest.update(path.encode() + (b"/" if data is None else b"%d:" % len(data) + data))
    return digest.digest()


def write(files: dict[str, bytes | None], root: Path) -> None:
    """Writes what an end left."""
    root.mkdir(parents=True)
    for path, data in files.items():
        if data is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(data)
