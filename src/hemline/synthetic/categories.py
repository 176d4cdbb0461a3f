"""The attribute space of generated products: the garment categories, and what each can be.

The nine attribute categories are those of Table 1 of Huang, Feris, Chen and Yan, *Cross-domain
Image Retrieval with a Dual Attribute-aware Ranking Network* (ICCV 2015): clothes category,
button, colour, length, pattern, shape, collar shape, sleeve length and sleeve shape. Table 1
gives example values only; the values here (`values`) are the generator's own, in that spirit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hemline.synthetic.values import (
    BUTTONS,
    COLLARS,
    COLORS,
    LENGTHS,
    PATTERNS,
    SHAPES,
    SLEEVE_LENGTHS,
    SLEEVE_SHAPES,
    words,
)

_WOVEN = tuple(
    p for p in PATTERNS if p not in {"denim", "rib-knit", "cable-knit", "fair-isle", "quilted"}
)
_PRINTS = ("graphic-print", "lettering", "number-print", "chest-logo")
_JERSEY = tuple(p for p in _WOVEN if p not in {"herringbone", "corduroy", "houndstooth"})
_SHIRTING = (*tuple(p for p in _WOVEN if p not in {*_PRINTS, "corduroy", "zebra"}), "denim")
_KNIT = words(
    """
    plain melange rib-knit cable-knit fair-isle breton-stripe multi-stripe argyle chevron heart
    star color-block leopard geometric
    """
)
_TAILORED = words(
    """
    plain melange pinstripe windowpane houndstooth herringbone tartan corduroy floral
    """
)
_FLOWING = tuple(p for p in _WOVEN if p not in {*_PRINTS, "corduroy", "herringbone"})


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


_TOPLENGTHS = ("cropped", "regular", "long")
_TOPSHAPES = ("slim", "straight", "loose", "oversized")
_PLAIN_SLEEVES = ("regular", "fitted", "loose", "raglan", "rolled", "puff")
_SOFT_SLEEVES = ("regular", "loose", "puff", "bell", "bishop", "flutter", "cuffed")
_DRESSSHAPES = ("a-line", "sheath", "skater", "pleated", "tiered", "loose")
_TROUSER_PATTERNS = words(
    """
    plain plain melange pinstripe windowpane houndstooth tartan corduroy camouflage floral
    vertical-stripe herringbone leopard
    """
)

CATEGORIES: Mapping[str, Cut] = MappingProxyType(
    {
        "t-shirt": Cut(
            "upper",
            ("pullover", "henley"),
            _TOPLENGTHS,
            (*_JERSEY, *_PRINTS),
            _TOPSHAPES,
            ("round", "v-neck", "scoop", "boat", "mock-neck", "square"),
            ("cap", "short", "elbow", "long"),
            _PLAIN_SLEEVES,
            (9, 39),
        ),
        "shirt": Cut(
            "upper",
            ("single-breasted", "hidden-placket", "half-placket"),
            ("regular", "long"),
            _SHIRTING,
            _TOPSHAPES,
            ("shirt", "button-down", "stand"),
            ("short", "elbow", "long"),
            ("regular", "fitted", "rolled", "cuffed"),
            (25, 89),
        ),
        "blouse": Cut(
            "upper",
            ("single-breasted", "pullover", "half-placket"),
            _TOPLENGTHS,
            _FLOWING,
            ("slim", "straight", "loose", "peplum"),
            ("bow", "peter-pan", "v-neck", "round", "stand", "cowl", "off-shoulder", "square"),
            ("short", "elbow", "three-quarter", "long"),
            _SOFT_SLEEVES,
            (25, 99),
        ),
        "polo-shirt": Cut(
            "upper",
            ("half-placket", "half-zip"),
            ("regular", "long"),
            _JERSEY,
            ("slim", "straight", "loose"),
            ("polo",),
            ("short", "elbow", "long"),
            ("regular", "fitted", "cuffed", "raglan"),
            (19, 79),
        ),
        "tank-top": Cut(
            "upper",
            ("pullover",),
            _TOPLENGTHS,
            (*_JERSEY, "rib-knit"),
            ("slim", "straight", "loose"),
            ("straps", "scoop", "v-neck", "halter", "square", "round"),
            ("sleeveless",),
            ("none",),
            (7, 29),
        ),
        "sweater": Cut(
            "upper",
            ("pullover", "half-zip", "henley"),
            _TOPLENGTHS,
            _KNIT,
            _TOPSHAPES,
            ("round", "v-neck", "turtleneck", "mock-neck", "cowl", "boat"),
            ("three-quarter", "long"),
            ("regular", "loose", "raglan", "batwing", "bishop", "bell"),
            (35, 149),
        ),
        "sweatshirt": Cut(
            "upper",
            ("pullover", "half-zip"),
            _TOPLENGTHS,
            (*_PRINTS, "plain", "melange", "color-block", "tie-dye", "camouflage", "stripe"),
            ("straight", "loose", "oversized"),
            ("round", "mock-neck", "v-neck"),
            ("elbow", "long"),
            ("regular", "loose", "raglan"),
            (25, 79),
        ),
        "hoodie": Cut(
            "upper",
            ("pullover", "zip"),
            _TOPLENGTHS,
            (*_PRINTS, "plain", "melange", "color-block", "tie-dye", "camouflage", "star"),
            ("straight", "loose", "oversized"),
            ("hood",),
            ("sleeveless", "long"),
            ("regular", "loose", "raglan"),
            (29, 99),
        ),
        "cardigan": Cut(
            "upper",
            ("single-breasted", "open-front", "zip"),
            _TOPLENGTHS,
            _KNIT,
            _TOPSHAPES,
            ("v-neck", "round", "shawl"),
            ("three-quarter", "long"),
            ("regular", "loose", "batwing", "bishop", "raglan"),
            (35, 129),
        ),
        "jacket": Cut(
            "upper",
            ("zip", "single-breasted", "open-front"),
            _TOPLENGTHS,
            ("plain", "denim", "quilted", "camouflage", "color-block", "corduroy", "tartan"),
            ("slim", "straight", "loose"),
            ("stand", "shirt", "round", "hood"),
            ("three-quarter", "long"),
            ("regular", "raglan", "cuffed", "loose"),
            (49, 249),
        ),
        "blazer": Cut(
            "upper",
            ("single-breasted", "double-breasted", "two-button"),
            ("regular", "long"),
            _TAILORED,
            ("slim", "straight", "oversized"),
            ("lapel", "peak-lapel", "shawl"),
            ("three-quarter", "long"),
            ("regular", "fitted", "rolled"),
            (59, 299),
        ),
        "coat": Cut(
            "upper",
            ("single-breasted", "double-breasted", "belted", "toggle", "zip"),
            ("knee", "midi"),
            (*_TAILORED, "quilted"),
            ("straight", "slim", "a-line", "oversized"),
            ("lapel", "peak-lapel", "stand", "hood", "shawl", "round"),
            ("three-quarter", "long"),
            ("regular", "raglan", "bell", "loose"),
            (89, 499),
        ),
        "vest": Cut(
            "upper",
            ("zip", "single-breasted", "pullover"),
            _TOPLENGTHS,
            ("quilted", "plain", "denim", "argyle", "cable-knit", "rib-knit", "pinstripe"),
            ("slim", "straight", "loose"),
            ("v-neck", "stand", "round"),
            ("sleeveless",),
            ("none",),
            (25, 119),
        ),
        "jeans": Cut(
            "lower",
            ("fly", "button-front"),
            ("ankle", "regular", "midi"),
            ("denim",),
            ("skinny", "slim", "straight", "tapered", "wide-leg", "flared"),
            price=(35, 149),
        ),
        "trousers": Cut(
            "lower",
            ("fly", "drawstring", "side-zip", "elastic"),
            ("ankle", "regular", "midi"),
            _TROUSER_PATTERNS,
            ("slim", "straight", "tapered", "wide-leg", "flared", "cargo", "pleated"),
            price=(29, 139),
        ),
        "leggings": Cut(
            "lower",
            ("elastic",),
            ("midi", "ankle", "regular"),
            ("plain", "melange", "color-block", "camouflage", "leopard", "geometric", "zebra"),
            ("skinny",),
            price=(12, 59),
        ),
        "shorts": Cut(
            "lower",
            ("fly", "drawstring", "elastic", "button-front"),
            ("mini", "short", "knee"),
            (*_TROUSER_PATTERNS, "denim", "stripe", "leaf", "tie-dye"),
            ("slim", "straight", "wide-leg", "cargo", "pleated"),
            price=(15, 69),
        ),
        "skirt": Cut(
            "lower",
            ("side-zip", "button-front", "elastic"),
            ("mini", "knee", "midi", "maxi"),
            (*_FLOWING, "denim", "corduroy", "herringbone"),
            ("a-line", "pencil", "pleated", "tiered", "skater"),
            price=(19, 99),
        ),
        "dress": Cut(
            "full",
            ("pullover", "single-breasted", "belted", "half-placket"),
            ("mini", "knee", "midi", "maxi"),
            _FLOWING,
            _DRESSSHAPES,
            (
                *("round", "v-neck", "scoop", "square", "boat", "halter", "straps", "shirt"),
                *("off-shoulder", "peter-pan", "bow", "turtleneck", "stand"),
            ),
            SLEEVE_LENGTHS,
            _SOFT_SLEEVES,
            (29, 199),
        ),
        "jumpsuit": Cut(
            "full",
            ("zip", "single-breasted", "belted", "pullover"),
            ("ankle", "regular", "midi", "short"),
            (*_FLOWING, "denim"),
            ("slim", "straight", "wide-leg", "tapered"),
            ("v-neck", "round", "shirt", "halter", "square", "straps", "lapel"),
            SLEEVE_LENGTHS,
            ("regular", "loose", "puff", "rolled", "flutter"),
            (39, 179),
        ),
    }
)

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
