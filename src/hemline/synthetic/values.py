"""The values that attributes can take: colours, patterns, collars, sleeves, lengths, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RGB = tuple[int, int, int]


def words(text: str) -> tuple[str, ...]:
    """A table of names, written as one text."""
    return tuple(text.split())


def colors(codes: str) -> tuple[RGB, ...]:
    """The colours of codes such as `f6d646`."""
    return tuple((r, g, b) for r, g, b in map(bytes.fromhex, codes.split()))


_NAMED = words(
    """
    black:222124 charcoal:424449 grey:808184 silver:babcc0 white:f1f0ed cream:f0e6cd
    beige:d6c4a5 sand:c2aa82 camel:b48250 brown:6c462d chocolate:442c22 rust:a84c26
    orange:e87e2a peach:f5be9b coral:ee6e5f red:c8222a burgundy:70182a pink:f0aabc rose:cd6e7d
    fuchsia:cd287d lilac:c4aad8 purple:70388c plum:4e2648 navy:1e284c blue:2a56aa cobalt:1c46cd
    sky:8cbee6 denim-blue:4e6c94 ice:cee0ea teal:167078 turquoise:3eb8b8 mint:aadec4
    green:2c8448 forest:1c4630 olive:686836 khaki:a09668 lime:b0d03c mustard:ce9c24
    yellow:f6d646 lemon:f8ee96
    """
)
#: Colour names and their RGB centres; a product's own shade lies near its colour's centre.
COLORS: Mapping[str, RGB] = MappingProxyType(
    {name: colors(code)[0] for name, _, code in (pair.partition(":") for pair in _NAMED)}
)

PATTERNS = words(
    """
    plain melange breton-stripe stripe pinstripe vertical-stripe diagonal-stripe multi-stripe
    gingham tartan windowpane houndstooth herringbone chevron argyle polka-dot micro-dot floral
    ditsy-floral leaf paisley camouflage leopard zebra geometric star heart tie-dye ombre
    color-block graphic-print lettering number-print chest-logo denim rib-knit cable-knit
    fair-isle corduroy quilted
    """
)
SLEEVE_LENGTHS = ("sleeveless", "cap", "short", "elbow", "three-quarter", "long")
SLEEVE_SHAPES = words(
    """
    none regular fitted loose puff bell bishop batwing raglan rolled flutter cuffed
    """
)
COLLARS = words(
    """
    round v-neck scoop square boat turtleneck mock-neck shirt button-down polo stand lapel
    peak-lapel shawl hood peter-pan bow cowl halter off-shoulder straps
    """
)
BUTTONS = words(
    """
    pullover single-breasted double-breasted two-button half-placket henley zip half-zip toggle
    hidden-placket open-front belted fly drawstring elastic button-front side-zip
    """
)
LENGTHS = ("cropped", "short", "regular", "long", "mini", "knee", "midi", "ankle", "maxi")
SHAPES = words(
    """
    slim straight loose oversized skinny tapered wide-leg flared cargo a-line pencil pleated
    tiered skater sheath peplum
    """
)


def nearest_color(rgb: tuple[float, float, float]) -> str:
    """The colour name whose centre lies nearest to `rgb` (0-255), by a perceptual weighting."""

    def distance(name: str) -> float:
        r, g, b = COLORS[name]
        dr, dg, db = rgb[0] - r, rgb[1] - g, rgb[2] - b
        mean = (rgb[0] + r) / 512.0
        return (2 + mean) * dr * dr + 4 * dg * dg + (3 - mean) * db * db

    return min(COLORS, key=distance)
