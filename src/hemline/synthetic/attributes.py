"""The attribute space of generated products.

The nine attribute categories are those of Table 1 of Huang, Feris, Chen and Yan, *Cross-domain
Image Retrieval with a Dual Attribute-aware Ranking Network* (ICCV 2015): clothes category,
button, colour, length, pattern, shape, collar shape, sleeve length and sleeve shape. Table 1
gives example values only; the values here (`values`) are the generator's own, in that spirit.

Not every attribute applies to every category (trousers have no collar): `CATEGORIES` says what
each garment can be, and a `Cut` that leaves an attribute empty leaves it out of the tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hemline.synthetic.categories import CATEGORIES, GROUPS, Cut
from hemline.synthetic.values import (
    BUTTONS,
    COLLARS,
    COLORS,
    LENGTHS,
    PATTERNS,
    SHAPES,
    SLEEVE_LENGTHS,
    SLEEVE_SHAPES,
    nearest_color,
)

__all__ = ["ATTRIBUTES", "CATEGORIES", "COLORS", "GROUPS", "PATTERNS", "Cut", "nearest_color"]

#: The nine attribute categories of DARN's Table 1, each with every value it can take.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "category": tuple(CATEGORIES),
        "button": BUTTONS,
        "color": tuple(COLORS),
        "length": LENGTHS,
        "pattern": PATTERNS,
        "shape": SHAPES,
        "collar": COLLARS,
        "sleeve_length": SLEEVE_LENGTHS,
        "sleeve_shape": SLEEVE_SHAPES,
    }
)
