"""A line chart as inline SVG, with its legend and its numbers as a table."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: The drawing's size, and its margins: left, right, top, bottom.
WIDTH, HEIGHT, MARGINS = 760, 380, (56, 20, 14, 46)
#: Lines are told apart by colour, dashes and marks, in turn.
DASHES = ("", "7 4", "2 4", "10 4 2 4", "14 5", "4 2")
KINDS = 6


class Line(NamedTuple):
    """One system: its name, and shares (0-1) at some x > 0, rising."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(name: str, caption: str, lines: Sequence[Line], x_title: str, y_title: str) -> str:
    """A figure with a logarithmic x; the numbers are in a table below it.

    Args:
        name: prefix of the ids in the page.
        caption: what it shows.
        lines: at least one with a point.
        x_title, y_title: of the axes.
    """
    xs = sorted({x for line in lines for x, _ in line.points})
    top = _nice(max(y for line in lines for _, y in line.points))
    left, right, above, below = MARGINS
    low, high = math.log(xs[0]), math.log(xs[-1])

    def across(x: float) -> float:
        share = (math.log(x) - low) / (high - low) if high > low else 0.5
        return left + share * (WIDTH - left - right)

    def down(y: float) -> float:
        return above + (1 - y / top) * (HEIGHT - above - below)

    parts = _axes(xs, top, across, down, x_title, y_title)
    for number, line in enumerate(lines):
        parts.append(_drawn(number, line, across, down))
    shape = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t"'
    drawing = f'<svg {shape}><title id="{name}-t">{html.escape(caption)}</title>{"".join(parts)}'
    return (
        f'<figure class="chart"><figcaption>{html.escape(caption)}</figcaption>'
        f"{_legend(lines)}{drawing}</svg>{_numbers(lines, xs, x_title)}</figure>"
    )


def _nice(high: float) -> float:
    """The least tenth above a share, so that the curves fill the drawing."""
    return min(1.0, max(0.1, math.ceil(high * 10 + 0.01) / 10))


def _axes(
    xs: Sequence[float],
    top: float,
    across: Callable[[float], float],
    down: Callable[[float], float],
    x_title: str,
    y_title: str,
) -> list[str]:
    left, right, above, below = MARGINS
    parts = []
    step = 0.1 if top <= 0.6 else 0.2
    for number in range(round(top / step) + 1):
        at = down(number * step)
        grid = f'x1="{left}" x2="{WIDTH - right}" y1="{at:.1f}" y2="{at:.1f}"'
        parts.append(f'<line class="grid" {grid}/>')
        parts.append(_text("y", left - 8, at + 4, f"{number * step:.0%}"))
    last = -math.inf
    for x in _ticks(xs):
        if across(x) - last > 44:
            last = across(x)
            parts.append(_text("x", last, HEIGHT - below + 20, f"{x:,.0f}"))
    parts.append(_text("x", (left + WIDTH - right) / 2, HEIGHT - 6, x_title))
    turn = f' transform="rotate(-90 14 {(above + HEIGHT - below) / 2:.1f})"'
    parts.append(_text("x", 14, (above + HEIGHT - below) / 2, y_title, turn))
    return parts


def _text(kind: str, x: float, y: float, words: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{html.escape(words)}</text>'


def _ticks(xs: Sequence[float]) -> list[float]:
    """1, 2, 5, 10, 20 … within the range; all x where there are few."""
    if len(xs) <= 8:
        return list(xs)
    decades = range(math.floor(math.log10(xs[0])), math.ceil(math.log10(xs[-1])) + 1)
    every = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
    return [x for x in every if xs[0] <= x <= xs[-1]]


def _drawn(
    number: int, line: Line, across: Callable[[float], float], down: Callable[[float], float]
) -> str:
    places = [(across(x), down(y), x, y) for x, y in line.points]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in places)
    dash = DASHES[number % len(DASHES)]
    marks = "".join(
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5"><title>{html.escape(line.name)}, '
        f"{x:,.0f}: {y:.3f}</title></circle>"
        for px, py, x, y in places
    )
    style = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<g class="s{number % KINDS}"><polyline points="{path}"{style}/>{marks}</g>'


def _legend(lines: Sequence[Line]) -> str:
    entries = []
    for number, line in enumerate(lines):
        dash = DASHES[number % len(DASHES)]
        style = f' stroke-dasharray="{dash}"' if dash else ""
        sample = (
            f'<svg width="44" height="12" aria-hidden="true" class="s{number % KINDS}">'
            f'<polyline points="2,6 42,6"{style}/><circle cx="22" cy="6" r="3.5"/></svg>'
        )
        entries.append(f"<li>{sample}{html.escape(line.name)}</li>")
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _numbers(lines: Sequence[Line], xs: Sequence[float], x_title: str) -> str:
    heads = "".join(f'<th scope="col">{html.escape(line.name)}</th>' for line in lines)
    tables = [dict(line.points) for line in lines]
    rows = "".join(
        f'<tr><th scope="row">{x:,.0f}</th>'
        + "".join(f"<td>{t[x]:.3f}</td>" if x in t else "<td>–</td>" for t in tables)
        + "</tr>"
        for x in xs
    )
    return (
        f'<details><summary>Numbers</summary><div class="wide" tabindex="0" role="region" '
        f'aria-label="Numbers"><table><thead><tr><th scope="col">{html.escape(x_title)}</th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
