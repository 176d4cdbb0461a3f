"""Colours, and the tables of `attributes.toml` and `measures.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

RGB = tuple[int, int, int]


def _read(name: str) -> Mapping[str, Any]:
    text = Path(__file__).with_name(name).read_text("utf-8")
    return MappingProxyType(tomllib.loads(text))


#: The tables of `attributes.toml` and of `measures.toml`, as they are written.
TABLE, MEASURES = _read("attributes.toml"), _read("measures.toml")


def words(text: str) -> tuple[str, ...]:
    """A table of names, written as one text."""
    return tuple(text.split())


def colors(codes: str) -> tuple[RGB, ...]:
    """The colours of codes such as `f6d646`."""
    return tuple((r, g, b) for r, g, b in map(bytes.fromhex, codes.split()))


#: Colour names and their RGB centres; a product's own shade lies near its colour's centre.
COLORS: Mapping[str, RGB] = MappingProxyType(
    {name: colors(code)[0] for name, code in TABLE["colors"].items()}
)


def nearest_color(rgb: tuple[float, float, float]) -> str:
    """The colour name whose centre lies nearest to `rgb` (0-255), by a perceptual weighting."""

    def distance(name: str) -> float:
        r, g, b = COLORS[name]
        dr, dg, db = rgb[0] - r, rgb[1] - g, rgb[2] - b
        mean = (rgb[0] + r) / 512.0
        return (2 + mean) * dr * dr + 4 * dg * dg + (3 - mean) * db * db

    return min(COLORS, key=distance)
