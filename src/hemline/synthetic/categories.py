"""The attribute space of generated products: the garment categories, and what each can be.

`attributes.toml` beside this file has the categories and all values, and their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hemline.synthetic.values import COLORS, TABLE, words


@dataclass(frozen=True)
class Cut:
    """What one garment category can be: the values each attribute may take.

    An attribute without values does not apply (trousers have no collar) and gets no tag.
    """

    group: str
    button: tuple[str, ...]
    length: tuple[str, ...]
    pattern: tuple[str, ...]
    shape: tuple[str, ...]
    collar: tuple[str, ...] = ()
    sleeve_length: tuple[str, ...] = ()
    sleeve_shape: tuple[str, ...] = ()
    price: tuple[int, int] = (15, 60)


def _names(text: str) -> tuple[str, ...]:
    """The names of a text; ``@name`` stands for those of a set."""
    parts = (_names(TABLE["sets"][w[1:]]) if w[0] == "@" else (w,) for w in text.split())
    return tuple(name for part in parts for name in part)


def _cut(group: str, price: list[int], **attributes: str) -> Cut:
    values: dict[str, Any] = {name: _names(text) for name, text in attributes.items()}
    return Cut(group, price=(price[0], price[1]), **values)


CATEGORIES: Mapping[str, Cut] = MappingProxyType(
    {name: _cut(**table) for name, table in TABLE["categories"].items()}
)
_VALUES = {name: _names(text) for name, text in TABLE["values"].items()}
_VALUES |= {"category": tuple(CATEGORIES), "color": tuple(COLORS)}
_NINE = words("category button color length pattern shape collar sleeve_length sleeve_shape")
#: The nine attribute categories of DARN's Table 1, each with every value it can take.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType({n: _VALUES[n] for n in _NINE})
