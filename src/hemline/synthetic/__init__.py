"""The generator of synthetic data: draws labelled fashion images with OpenCV and NumPy.

`draw_product` gives a product, `draw_shop` and `draw_street` an image of it with its labels, and
`make_dataset` a data set of both, for retrieval from street to shop.
"""

from __future__ import annotations

from hemline.synthetic.categories import ATTRIBUTES
from hemline.synthetic.drawing import DISTURBANCES, Drawing
from hemline.synthetic.make import make_dataset
from hemline.synthetic.product import Product, draw_product
from hemline.synthetic.settings import SyntheticSettings
from hemline.synthetic.shop import draw_shop
from hemline.synthetic.street import draw_street
from hemline.types import LANDMARKS

__all__ = [
    "ATTRIBUTES",
    "DISTURBANCES",
    "LANDMARKS",
    "Drawing",
    "Product",
    "SyntheticSettings",
    "draw_product",
    "draw_shop",
    "draw_street",
    "make_dataset",
]
