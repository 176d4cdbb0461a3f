"""One file for each data set's own format; `READERS` has them by name."""

from __future__ import annotations

from hemline.datasets._base import ReaderSpec, ReadReport
from hemline.registry import Registry

__all__ = ["READERS", "ReadReport", "ReaderSpec"]

#: Each module declares ``READERS``: a format's name → its `ReaderSpec`.
READERS: Registry[ReaderSpec] = Registry("hemline.datasets", "READERS", "data format")
