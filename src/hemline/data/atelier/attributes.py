"""The attribute space of the atelier: what a product can be.

The nine attribute categories are those of Table 1 of Huang, Feris, Chen and Yan, *Cross-domain
Image Retrieval with a Dual Attribute-aware Ranking Network* (ICCV 2015): clothes category,
button, colour, length, pattern, shape, collar shape, sleeve length and sleeve shape. Table 1
gives example values only, so the values here are the atelier's own, in the same spirit.

Not every attribute applies to every category (trousers have no collar): `CATEGORIES` says what
each garment can be, and a `Cut` that leaves an attribute empty leaves it out of the tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["ATTRIBUTES", "CATEGORIES", "COLORS", "GROUPS", "PATTERNS", "Cut", "nearest_color"]

GROUPS = ("upper", "lower", "full")

#: Colour names and their RGB centres; a product's own shade lies near its colour's centre.
COLORS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "black": (34, 33, 36),
        "charcoal": (66, 68, 73),
        "grey": (128, 129, 132),
        "silver": (186, 188, 192),
        "white": (241, 240, 237),
        "cream": (240, 230, 205),
        "beige": (214, 196, 165),
        "sand": (194, 170, 130),
        "camel": (180, 130, 80),
        "brown": (108, 70, 45),
        "chocolate": (68, 44, 34),
        "rust": (168, 76, 38),
        "orange": (232, 126, 42),
        "peach": (245, 190, 155),
        "coral": (238, 110, 95),
        "red": (200, 34, 42),
        "burgundy": (112, 24, 42),
        "pink": (240, 170, 188),
        "rose": (205, 110, 125),
        "fuchsia": (205, 40, 125),
        "lilac": (196, 170, 216),
        "purple": (112, 56, 140),
        "plum": (78, 38, 72),
        "navy": (30, 40, 76),
        "blue": (42, 86, 170),
        "cobalt": (28, 70, 205),
        "sky": (140, 190, 230),
        "denim-blue": (78, 108, 148),
        "ice": (206, 224, 234),
        "teal": (22, 112, 120),
        "turquoise": (62, 184, 184),
        "mint": (170, 222, 196),
        "green": (44, 132, 72),
        "forest": (28, 70, 48),
        "olive": (104, 104, 54),
        "khaki": (160, 150, 104),
        "lime": (176, 208, 60),
        "mustard": (206, 156, 36),
        "yellow": (246, 214, 70),
        "lemon": (248, 238, 150),
    }
)

PATTERNS = (
    "plain",
    "melange",
    "breton-stripe",
    "stripe",
    "pinstripe",
    "vertical-stripe",
    "diagonal-stripe",
    "multi-stripe",
    "gingham",
    "tartan",
    "windowpane",
    "houndstooth",
    "herringbone",
    "chevron",
    "argyle",
    "polka-dot",
    "micro-dot",
    "floral",
    "ditsy-floral",
    "leaf",
    "paisley",
    "camouflage",
    "leopard",
    "zebra",
    "geometric",
    "star",
    "heart",
    "tie-dye",
    "ombre",
    "color-block",
    "graphic-print",
    "lettering",
    "number-print",
    "chest-logo",
    "denim",
    "rib-knit",
    "cable-knit",
    "fair-isle",
    "corduroy",
    "quilted",
)

_SLEEVE_LENGTHS = ("sleeveless", "cap", "short", "elbow", "three-quarter", "long")
_SLEEVE_SHAPES = (
    "none",
    "regular",
    "fitted",
    "loose",
    "puff",
    "bell",
    "bishop",
    "batwing",
    "raglan",
    "rolled",
    "flutter",
    "cuffed",
)
_COLLARS = (
    "round",
    "v-neck",
    "scoop",
    "square",
    "boat",
    "turtleneck",
    "mock-neck",
    "shirt",
    "button-down",
    "polo",
    "stand",
    "lapel",
    "peak-lapel",
    "shawl",
    "hood",
    "peter-pan",
    "bow",
    "cowl",
    "halter",
    "off-shoulder",
    "straps",
)
_BUTTONS = (
    "pullover",
    "single-breasted",
    "double-breasted",
    "two-button",
    "half-placket",
    "henley",
    "zip",
    "half-zip",
    "toggle",
    "hidden-placket",
    "open-front",
    "belted",
    "fly",
    "drawstring",
    "elastic",
    "button-front",
    "side-zip",
)
_LENGTHS = ("cropped", "short", "regular", "long", "mini", "knee", "midi", "ankle", "maxi")
_SHAPES = (
    "slim",
    "straight",
    "loose",
    "oversized",
    "skinny",
    "tapered",
    "wide-leg",
    "flared",
    "cargo",
    "a-line",
    "pencil",
    "pleated",
    "tiered",
    "skater",
    "sheath",
    "peplum",
)

_WOVEN = tuple(
    p for p in PATTERNS if p not in {"denim", "rib-knit", "cable-knit", "fair-isle", "quilted"}
)
_PRINTS = ("graphic-print", "lettering", "number-print", "chest-logo")
_JERSEY = tuple(p for p in _WOVEN if p not in {"herringbone", "corduroy", "houndstooth"})
_SHIRTING = (*tuple(p for p in _WOVEN if p not in {*_PRINTS, "corduroy", "zebra"}), "denim")
_KNIT = (
    "plain",
    "melange",
    "rib-knit",
    "cable-knit",
    "fair-isle",
    "breton-stripe",
    "multi-stripe",
    "argyle",
    "chevron",
    "heart",
    "star",
    "color-block",
    "leopard",
    "geometric",
)
_TAILORED = (
    "plain",
    "melange",
    "pinstripe",
    "windowpane",
    "houndstooth",
    "herringbone",
    "tartan",
    "corduroy",
    "floral",
)
_FLOWING = tuple(p for p in _WOVEN if p not in {*_PRINTS, "corduroy", "herringbone"})


@dataclass(frozen=True)
class Cut:
    """What one garment category can be: the values each attribute may take."""

    group: str
    button: tuple[str, ...]
    length: tuple[str, ...]
    pattern: tuple[str, ...]
    shape: tuple[str, ...]
    collar: tuple[str, ...] = ()
    sleeve_length: tuple[str, ...] = ()
    sleeve_shape: tuple[str, ...] = ()
    price: tuple[int, int] = (15, 60)


_TOP_LENGTHS = ("cropped", "regular", "long")
_TOP_SHAPES = ("slim", "straight", "loose", "oversized")
_PLAIN_SLEEVES = ("regular", "fitted", "loose", "raglan", "rolled", "puff")
_SOFT_SLEEVES = ("regular", "loose", "puff", "bell", "bishop", "flutter", "cuffed")
_DRESS_SHAPES = ("a-line", "sheath", "skater", "pleated", "tiered", "loose")
_TROUSER_PATTERNS = (
    "plain",
    "plain",
    "melange",
    "pinstripe",
    "windowpane",
    "houndstooth",
    "tartan",
    "corduroy",
    "camouflage",
    "floral",
    "vertical-stripe",
    "herringbone",
    "leopard",
)

CATEGORIES: Mapping[str, Cut] = MappingProxyType(
    {
        "t-shirt": Cut(
            "upper",
            ("pullover", "henley"),
            _TOP_LENGTHS,
            (*_JERSEY, *_PRINTS),
            _TOP_SHAPES,
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
            _TOP_SHAPES,
            ("shirt", "button-down", "stand"),
            ("short", "elbow", "long"),
            ("regular", "fitted", "rolled", "cuffed"),
            (25, 89),
        ),
        "blouse": Cut(
            "upper",
            ("single-breasted", "pullover", "half-placket"),
            _TOP_LENGTHS,
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
            _TOP_LENGTHS,
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
            _TOP_LENGTHS,
            _KNIT,
            _TOP_SHAPES,
            ("round", "v-neck", "turtleneck", "mock-neck", "cowl", "boat"),
            ("three-quarter", "long"),
            ("regular", "loose", "raglan", "batwing", "bishop", "bell"),
            (35, 149),
        ),
        "sweatshirt": Cut(
            "upper",
            ("pullover", "half-zip"),
            _TOP_LENGTHS,
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
            _TOP_LENGTHS,
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
            _TOP_LENGTHS,
            _KNIT,
            _TOP_SHAPES,
            ("v-neck", "round", "shawl"),
            ("three-quarter", "long"),
            ("regular", "loose", "batwing", "bishop", "raglan"),
            (35, 129),
        ),
        "jacket": Cut(
            "upper",
            ("zip", "single-breasted", "open-front"),
            _TOP_LENGTHS,
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
            _TOP_LENGTHS,
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
            _DRESS_SHAPES,
            (
                *("round", "v-neck", "scoop", "square", "boat", "halter", "straps", "shirt"),
                *("off-shoulder", "peter-pan", "bow", "turtleneck", "stand"),
            ),
            _SLEEVE_LENGTHS,
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
            _SLEEVE_LENGTHS,
            ("regular", "loose", "puff", "rolled", "flutter"),
            (39, 179),
        ),
    }
)

#: The nine attribute categories of DARN's Table 1, each with every value it can take.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "category": tuple(CATEGORIES),
        "button": _BUTTONS,
        "color": tuple(COLORS),
        "length": _LENGTHS,
        "pattern": PATTERNS,
        "shape": _SHAPES,
        "collar": _COLLARS,
        "sleeve_length": _SLEEVE_LENGTHS,
        "sleeve_shape": _SLEEVE_SHAPES,
    }
)


def nearest_color(rgb: tuple[float, float, float]) -> str:
    """The colour name whose centre lies nearest to `rgb` (0-255), by a perceptual weighting."""

    def distance(name: str) -> float:
        r, g, b = COLORS[name]
        dr, dg, db = rgb[0] - r, rgb[1] - g, rgb[2] - b
        mean = (rgb[0] + r) / 512.0
        return (2 + mean) * dr * dr + 4 * dg * dg + (3 - mean) * db * db

    return min(COLORS, key=distance)
