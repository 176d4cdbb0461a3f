"""The parts that pages of results are made of."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from hemline.evaluation.stored import StoredResult


def name_of(one: StoredResult) -> str:
    """A result's label, marked where its model was trained on queries."""
    return f"{one.label} (LEAK)" if one.leak else one.label


def by_number(names: Sequence[str]) -> list[str]:
    """Numbers and ranges of numbers (``2 to 4.5``) by their first number; others as they come."""
    firsts = [
        re.fullmatch(r"(-?[0-9]+(?:[.][0-9]+)?(?:e[-+]?[0-9]+)?)(?: to .*)?", name)
        for name in names
    ]
    if not all(firsts):
        return list(names)
    numbers = [float(first.group(1)) for first in firsts if first]
    return [name for _, name in sorted(zip(numbers, names, strict=True))]


def table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], words: bool = False
) -> str:
    """A table of numbers, or of ``words``. Cells are HTML; the first of a row heads it."""
    kind = "wide words" if words else "wide"
    top = "".join(f'<th scope="col">{head}</th>' if head else "<td></td>" for head in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    label = html.escape(caption, quote=True)
    return (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="{label}"><table><caption>'
        f"{html.escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def section(title: str, body: str) -> str:
    """A part of the page, or nothing where there is nothing to show."""
    return f"<section><h2>{html.escape(title)}</h2>{body}</section>" if body else ""
