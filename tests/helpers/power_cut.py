"""A disk that loses power: an ext4 image on a loop device, shut down without flushing its log.

What was synced is there after the next mount, what was only written may not be: `EXT4_IOC_SHUTDOWN`
with `NOLOGFLUSH` drops everything that the file system still held in memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2


class PowerCutUnavailable(Exception):
    """This machine mounts no loop device for us."""


class Disk:
    """A mounted ext4 image.

    Attributes:
        root: where it is mounted.
        cuts: how often power was cut.
    """

    def __init__(self, image: Path, root: Path) -> None:
        self.image, self.root, self.cuts = image, root, 0

    def cut(self) -> None:
        """Cuts power: every later write fails, unsynced data is lost at the next mount."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)
        self.cuts += 1

    def restart(self) -> None:
        """Unmounts and mounts again, which replays the file system's log."""
        end = time.monotonic() + 30
        while True:
            try:
                _run("umount", str(self.root))
                break
            except PowerCutUnavailable:  # a killed process may take a moment to let go of its files
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        _run("mount", "-o", "loop", str(self.image), str(self.root))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PowerCutUnavailable(f"{' '.join(command)}: {done.stderr.strip()}")


@contextlib.contextmanager
def disk(folder: Path, megabytes: int = 256) -> Iterator[Disk]:
    """A new disk of that size, mounted below ``folder``.

    Raises:
        PowerCutUnavailable: no mkfs.ext4, no loop device, or no right to mount.
    """
    if shutil.which("mkfs.ext4") is None or os.geteuid() != 0:
        raise PowerCutUnavailable("it takes root and mkfs.ext4")
    image, root = folder / "disk.ext4", folder / "disk"
    root.mkdir()
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", str(image))
    _run("mount", "-o", "loop", str(image), str(root))
    try:
        yield Disk(image, root)
    finally:
        subprocess.run(["umount", "-l", str(root)], capture_output=True, check=False)
        image.unlink()
