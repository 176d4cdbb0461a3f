"""Draws the page's sample photos anew: products of the demo's shop, worn by somebody.

python docs/draw_samples.py
"""

from __future__ import annotations

from pathlib import Path

import cv2

from hemline.demo.shop import SEED
from hemline.synthetic.product import draw_product
from hemline.synthetic.settings import SyntheticSettings
from hemline.synthetic.street import draw_street

FOLDER = Path(__file__).parents[1] / "src" / "hemline" / "service" / "page" / "samples"
#: Product of the demo's shop → what the sample is called.
SAMPLES = {
    5: "red-hoodie",
    43: "pink-coat",
    33: "orange-skirt",
    15: "green-cardigan",
    45: "yellow-trousers",
    21: "lilac-dress",
}
SETTINGS = SyntheticSettings(
    size=480,
    mirror=0.0,
    crop=0.05,
    blur=0.0,
    noise=0.05,
    jpeg=0.0,
    occlusion=0.2,
    light=0.2,
    pose=0.4,
)
MOST_BYTES = 25_000


def jpeg(product: int) -> bytes:
    """The street photo of a product, as well as it fits into `MOST_BYTES`."""
    image = draw_street(draw_product(SEED, product), SETTINGS, SEED).image
    for quality in range(88, 30, -4):
        choice = [cv2.IMWRITE_JPEG_QUALITY, quality]
        _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), choice)
        if len(data) < MOST_BYTES:
            break
    return bytes(data)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for product, name in SAMPLES.items():
        (FOLDER / f"{name}.jpg").write_bytes(jpeg(product))


if __name__ == "__main__":
    main()
