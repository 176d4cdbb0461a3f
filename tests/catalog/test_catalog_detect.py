"""A catalogue that crops shop pictures to the garment of each item's category."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector, street
from hemline.catalog.catalog import Catalog
from hemline.data.garments import to_text
from hemline.data.images import encode_jpeg
from hemline.data.manifest import Manifest
from hemline.errors import BundleError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.types import Record


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Catalog, Manifest]:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    put_tiny_detector(bundle)
    outfit = street((1, 1, "red"), (1, 2, "blue"))
    (tmp_path / "outfit.jpg").write_bytes(encode_jpeg(outfit, 95))
    rows = [
        Record("shirt", "outfit.jpg", "shirt", "shop", "T-Shirts"),
        Record("jeans", "outfit.jpg", "jeans", "shop", "Denim Jeans"),
        Record("dress", "outfit.jpg", "dress", "shop", "Dress"),
    ]
    opened = Catalog.create(tmp_path / "catalog", Bundle.open(bundle))
    return opened, Manifest.from_records(rows, tmp_path)


def test_the_garment_of_the_category_is_embedded(shop: tuple[Catalog, Manifest]) -> None:
    catalog, manifest = shop
    report = catalog.add(manifest, crop="detect")
    assert report.added == 3
    assert report.whole == 1, "no dress is found on it"
    rows = catalog.store.get(["shirt", "jeans", "dress"])
    red, blue = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    coded = catalog.encoder(1).encode_shop([red, blue], [(), ()]).embedding
    assert rows["shirt"].embedding @ coded[0] > rows["shirt"].embedding @ coded[1]
    assert rows["jeans"].embedding @ coded[1] > rows["jeans"].embedding @ coded[0]
    whole = catalog.encoder(1).encode_shop([street((1, 1, "red"), (1, 2, "blue"))], [()])
    assert rows["dress"].embedding @ whole.embedding[0] > 0.99
    assert len({row.image_digest for row in rows.values()}) == 3, "the copy is what was embedded"


def test_again_is_nothing_to_do_and_another_crop_is(shop: tuple[Catalog, Manifest]) -> None:
    catalog, manifest = shop
    catalog.add(manifest, crop="detect")
    again = catalog.add(manifest, crop="detect")
    assert (again.unchanged, again.embedded_again) == (3, 0)
    whole = catalog.add(manifest)
    assert whole.embedded_again == 3


def test_without_a_detector_nothing_is_added(tmp_path: Path) -> None:
    catalog = Catalog.create(tmp_path / "c", Bundle.open(make_tiny_bundle(tmp_path / "b")))
    manifest = Manifest.from_records([Record("a", "a.jpg", "a", "shop")], tmp_path)
    with pytest.raises(BundleError, match="has no detector"):
        catalog.add(manifest, crop="detect")
    with pytest.raises(UsageError, match="crop is none, box, detect, not 'detcet'"):
        catalog.add(manifest, crop="detcet")


def test_what_is_marked_on_a_picture_is_no_column(tmp_path: Path) -> None:
    catalog = Catalog.create(tmp_path / "c", Bundle.open(make_tiny_bundle(tmp_path / "b")))
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(street((0, 0, "red"))))
    row = Record("a", "a.jpg", "a", "shop", extra={"garments": to_text([]), "price": 3.5})
    catalog.add(Manifest.from_records([row], tmp_path))
    assert dict(catalog.store.get(["a"])["a"].columns) == {"price": 3.5}
