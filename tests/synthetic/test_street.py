from __future__ import annotations

from hemline.synthetic import street
from hemline.synthetic.product import draw_product
from hemline.synthetic.settings import SyntheticSettings


def test_something_of_the_product_is_seen_in_every_picture() -> None:
    """Products of this seed whose first picture leaves the frame or is covered are taken anew."""
    settings = SyntheticSettings(size=64, crop=1.0, occlusion=1.0)
    again = 0
    for index in range(60):
        product = draw_product(7, index)
        first = street._draw(product, settings, 7, 0, None, 0)
        drawing = street.draw_street(product, settings, 7)
        assert drawing.box[2] - drawing.box[0] >= 5
        assert drawing.box[3] - drawing.box[1] >= 5
        assert drawing.disturbance["occlusion"] <= 0.85
        again += not street._seen(first, 64)
    assert again > 0
