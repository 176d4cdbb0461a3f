"""Model cards, from the templates ``*_card.md`` beside this file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def fill_card(name: str, **values: Any) -> str:
    """A model card, or a part of one, Markdown."""
    template = Path(__file__).with_name(f"{name}_card.md").read_text(encoding="utf-8")
    return template.format(**values)


def quality_rows(quality: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Markdown rows: protocol with its label, the columns, and all figures of each entry."""
    rows = []
    for entry in quality:
        figures = ", ".join(f"{k} {v:.3f}" for k, v in entry.items() if isinstance(v, float))
        first = f"{entry.get('protocol', '')} ({entry.get('label', '')})"
        cells = [first, *(str(entry.get(column, "")) for column in columns), figures]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
