"""What `hemline.evaluation.trace` found, as a table of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def trace_table(found: Mapping[str, Any], line: Callable[[str], None]) -> None:
    """Calls ``line`` with each line of the table."""
    line(
        f"{found['model']}  {str(found['fingerprint'])[:12]}, {found['queries']:,} queries, "
        f"{found['gallery']:,} pictures, protocol {found['protocol']['name']}"
    )
    if found["training_overlap"].get("queries"):
        line(str(found["training_overlap"]["says"]))
    shown = ("recall@1", "recall@20")
    line(f"{'':12}" + "".join(f"{name:>10}  {'from the step before':26}" for name in shown))
    for step in found["steps"]:
        cells = []
        for name in shown:
            change = ""
            if "difference" in step:
                d = step["difference"][name]
                change = f"{d['value']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})"
            cells.append(f"{step['figures'][name]['value']:10.3f}  {change:26}")
        line(f"{step['name']:12}" + "".join(cells).rstrip())
    for step in found["steps"]:
        more = f"; a garment found on {step['detected']:.0%}" if "detected" in step else ""
        lost = f"; {step['skipped']} pictures skipped" if step["skipped"] else ""
        line(f"  {step['name']}: {step['what']}{more}{lost}")
    for step in found["skipped"]:
        line(f"  {step['name']}: left out, {step['reason']}")
