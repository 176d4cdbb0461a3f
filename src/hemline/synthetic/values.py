"""The values that attributes can take: colours, patterns, collars, sleeves, lengths, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "BUTTONS",
    "COLLARS",
    "COLORS",
    "LENGTHS",
    "PATTERNS",
    "SHAPES",
    "SLEEVE_LENGTHS",
    "SLEEVE_SHAPES",
    "nearest_color",
]

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

SLEEVE_LENGTHS = ("sleeveless", "cap", "short", "elbow", "three-quarter", "long")
SLEEVE_SHAPES = (
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
COLLARS = (
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
BUTTONS = (
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
LENGTHS = ("cropped", "short", "regular", "long", "mini", "knee", "midi", "ankle", "maxi")
SHAPES = (
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


def nearest_color(rgb: tuple[float, float, float]) -> str:
    """The colour name whose centre lies nearest to `rgb` (0-255), by a perceptual weighting."""

    def distance(name: str) -> float:
        r, g, b = COLORS[name]
        dr, dg, db = rgb[0] - r, rgb[1] - g, rgb[2] - b
        mean = (rgb[0] + r) / 512.0
        return (2 + mean) * dr * dr + 4 * dg * dg + (3 - mean) * db * db

    return min(COLORS, key=distance)
