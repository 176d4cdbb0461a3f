"""Parts of model cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def quality_rows(quality: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Markdown rows: protocol with its label, the columns, and all figures of each entry."""
    rows = []
    for entry in quality:
        figures = ", ".join(f"{k} {v:.3f}" for k, v in entry.items() if isinstance(v, float))
        first = f"{entry.get('protocol', '')} ({entry.get('label', '')})"
        cells = [first, *(str(entry.get(column, "")) for column in columns), figures]
        rows.append(f"| {' | '.join(cells)} |")
    return rows
