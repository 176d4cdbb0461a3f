"""What the commands about a catalogue share: the list of skipped pictures as a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_skipped(path: Path, rows: Iterable[Any]) -> None:
    """CSV with a line for each skipped picture and its reason."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "reason"])
        writer.writerows(rows)
