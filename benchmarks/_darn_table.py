"""The tables of `darn_detection.py` in Markdown, from what it measured: shares 0-1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _interval(values: list[float]) -> str:
    value, low, high = values
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _signed(values: list[float]) -> str:
    value, low, high = values
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def precision_table(report: Mapping[str, Any]) -> str:
    """Table 2's first columns, with time and memory."""
    lines = [
        "| detector | AP@0.7 shop | AP@0.7 street | AP@0.5 shop | AP@0.5 street "
        "| seconds a picture | of them proposals | memory, MB | published: online, offline |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report["rows"].items():
        published = report["published"].get(name)
        proposals = row.get("proposal_seconds")
        cells = [
            name,
            _interval(row["shop"]["ap@0.7"]),
            _interval(row["street"]["ap@0.7"]),
            f"{row['shop']['ap@0.5']:.3f}",
            f"{row['street']['ap@0.5']:.3f}",
            f"{row['seconds']:.3f}",
            "none" if proposals is None else f"{proposals:.3f}",
            f"{row['memory_mb']:.0f}",
            f"{published[0]:.3f}, {published[1]:.3f}" if published else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def retrieval_table(report: Mapping[str, Any]) -> str:
    """Recall@20 with the boxes of each detector."""
    lines = [
        "| both sides cut to | recall@20 | over AN + SVR, nearest box | published top-20 |",
        "|---|---|---|---|",
    ]
    for name, row in report["retrieval"].items():
        detector, _, box = name.partition(", ")
        published = report["published"].get(detector) if box == "best box" else None
        cells = [
            name,
            _interval(row["recall@20"]),
            _signed(row["over_an"]),
            f"{published[2]:.3f}" if published else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
