"""The part of a report that shows where models look: attention, gradients, channel weights."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from hemline.evaluation.looks import Looks, ShopLook, StreetLook, spread
from hemline.evaluation.stored import StoredResult
from hemline.types import Image
from hemline.views.chart import Line, line_chart
from hemline.views.drawing import heated, lit
from hemline.views.page import jpeg_uri
from hemline.views.report_parts import name_of, section

#: Channels of the chart, in falling order of their weight.
CHANNELS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000)


def where_they_look(results: Sequence[StoredResult], looks: Mapping[int, Looks]) -> str:
    """A section for each model with attention over locations, and one of channel weights."""
    parts = []
    for number, found in sorted(looks.items()):
        label = name_of(results[number])
        if found.shop:
            body = _words(found.shop) + "".join(map(_shop, found.shop))
            parts.append(section(f"Where {label} looks in shop images: tag attention", body))
        if found.street:
            body = "".join(map(_street, found.street))
            note = "<p>Each of the first hits is the context in turn.</p>"
            title = f"Where {label} looks in photos: the candidate's context"
            parts.append(section(title, note + body))
    return "".join(parts) + _channels(results, looks)


def _words(shown: Sequence[ShopLook]) -> str:
    """How many locations are preferred, and how much of the attention lies in the item's box."""
    preferred = np.mean([spread(look.attention) for look in shown])
    words = f"It prefers {preferred:.0f} of {shown[0].attention.size} locations"
    held = [look.held for look in shown if look.held is not None]
    if held:
        share, area = np.mean(held, axis=0)
        words += f"; {share:.2f} of it lies in the item's box, which holds {area:.2f} of them"
    return f"<p>{words} (the mean of the {len(shown)} images shown).</p>"


def _shop(look: ShopLook) -> str:
    tiles = [
        _figure(look.image, "shop image"),
        _figure(heated(look.image, look.attention), "tag attention"),
    ]
    if look.most is not None and look.least is not None:
        tiles += [
            _figure(lit(look.image, look.most), "gradient of the most attended location"),
            _figure(lit(look.image, look.least), "gradient of the least attended location"),
        ]
    return f'<div class="looks">{"".join(tiles)}</div>'


def _street(look: StreetLook) -> str:
    tiles = [_figure(look.image, "photo")]
    for number, attention in enumerate(look.attention, 1):
        tiles.append(_figure(heated(look.image, attention), f"beside hit {number}"))
    return f'<div class="looks">{"".join(tiles)}</div>'


def _figure(image: Image, words: str) -> str:
    source, told = jpeg_uri(image, quality=85, max_side=240), html.escape(words)
    return f'<figure><img src="{source}" alt="{told}"><figcaption>{told}</figcaption></figure>'


def _channels(results: Sequence[StoredResult], looks: Mapping[int, Looks]) -> str:
    lines = []
    for number, found in sorted(looks.items()):
        if found.channels is None:
            continue
        weights = np.sort(found.channels)[::-1]
        places = [place for place in CHANNELS if place < len(weights)] + [len(weights)]
        points = [(place, float(weights[place - 1] / weights[0])) for place in places]
        lines.append(Line(f"{name_of(results[number])}, {found.gate}", points))
    if not lines:
        return ""
    caption = "Mean weight of each channel, in falling order, as a share of the largest"
    chart = line_chart("channels", caption, lines, "channel", "share of the largest")
    return section("Weights of the channels", chart)
