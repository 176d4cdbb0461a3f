"""A comparison of `hemline.evaluation.compared` as a table of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def compare_table(found: Mapping[str, Any], line: Callable[[str], None]) -> None:
    """Calls ``line`` with each line of the table."""
    line(
        f"{found['queries']:,} queries, {found['gallery']:,} pictures, "
        f"protocol {found['protocol']['name']}"
    )
    for result in found["results"]:
        if "leak" in result:
            line(f"{result['label']}: {result['leak']}")
    width = max(24, *(len(result["label"]) + 2 for result in found["results"]))
    level = round(100 * found["interval"]["level"])
    for name in found["measures"]:
        line(f"{name:{width}}{'':>8}  {f'{level} % interval':>17}")
        for result in found["results"]:
            one = result["figures"][name]
            mark = "  LEAK" if "leak" in result else ""
            interval = f"{one['low']:.3f} – {one['high']:.3f}"
            line(f"  {result['label']:{width - 2}}{one['value']:8.3f}  {interval:>17}{mark}")
        for pair in found["differences"]:
            one = pair["figures"][name]
            interval = "no ranks were kept"
            if one["low"] is not None:
                interval = f"{one['low']:+.3f} to {one['high']:+.3f}"
                if one["low"] <= 0 <= one["high"]:
                    interval += "  includes 0"
            words = f"{pair['of']} less {pair['less']}"
            if len(words) > width - 2:
                line(f"  {words}")
                words = ""
            line(f"  {words:{width - 2}}{one['value']:+8.3f}  {interval:>17}")
