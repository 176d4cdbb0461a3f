"""A search result for people: a table of hits, the values of facets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hemline.cli._common import printable
from hemline.limits import MOST_GARMENTS

_FIRST = ("title", "price")
_KNOWN = ("item_id", "image_id", "score", "rank", "category", "tags")


def tell(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for one in result.get("results", [result]):
        query = one.get("like") or ", ".join(one.get("photos", [one.get("photo")]))
        title = Text(printable(f"{query}  ({one['timings_ms']['total']:.0f} ms)"))
        table = Table(title=title, title_justify="left", expand=True)
        table.add_column("rank", justify="right", no_wrap=True)
        table.add_column("item_id", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("category", no_wrap=True)
        table.add_column("stored", no_wrap=True, overflow="ellipsis", ratio=1)
        for hit in one["hits"]:
            cells = (hit["rank"], hit["item_id"], f"{hit['score']:.3f}", hit["category"])
            table.add_row(*(Text(printable(str(cell))) for cell in (*cells, _stored(hit))))
        if one["hits"]:
            console.print(table)
        else:
            why = f": {printable(one['note'])}" if one["note"] else ""
            console.print(f"{query}: no product is found{why}", markup=False, highlight=False)
        if one["box"] is None and (found := clothes(one.get("detections", []))[:MOST_GARMENTS]):
            words = f"searched with: the photo, {', '.join(found)} (an answer for each: --each)"
            console.print(words, markup=False, highlight=False)
        if one["more"]:
            after = one["offset"] + len(one["hits"])
            console.print(f"more: --offset {after}", markup=False, highlight=False)
        for name, facet in one["facets"].items():
            console.print(f"{name}: {_facet(facet)}", markup=False, highlight=False)


def clothes(detections: Sequence[Mapping[str, Any]]) -> list[str]:
    """The categories of the garments that a search is made with: no shoes, no bags."""
    return [one["category"] for one in detections if one["group"] not in ("footwear", "bag")]


def _stored(hit: Mapping[str, Any]) -> str:
    """The further columns in a line, title and price first."""
    names = [name for name in hit if name not in _KNOWN]
    names.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    shown = [f"{name} {_cell(hit[name])}".removeprefix("title ") for name in names]
    return ", ".join([*shown, *hit["tags"]])


def _cell(value: Any) -> str:
    """``9.5``, or ``S/M/L`` of a list."""
    if isinstance(value, list):
        return "/".join(map(_cell, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _facet(facet: Mapping[str, Any]) -> str:
    """``dress 12, shirt 7 and 3 more``, or the bins of a column of numbers."""
    if facet["bins"]:
        parts = [f"{low:g} to {high:g} {items}" for low, high, items in facet["bins"]]
    else:
        parts = [f"{value} {items}" for value, items in facet["values"]]
    more = f" and {facet['more']} more" if facet["more"] else ""
    return printable(", ".join(parts) + more)
