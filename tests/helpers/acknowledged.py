"""What a killed process said before its end."""

from __future__ import annotations

from collections.abc import Iterable


def acknowledged(lines: Iterable[str]) -> list[list[str]]:
    """The words of each whole line; a line that the kill cut short acknowledges nothing."""
    return [line.split() for line in lines if line.endswith("\n")]
