"""The demo's shop, made once and kept in ``HEMLINE_HOME``: images first, then a catalogue.

Both resume after a kill: the generator with the next image, the catalogue with the next batch.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemline.bundle import BundleInfo
from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
from hemline.errors import DataError, UsageError
from hemline.files import home
from hemline.progress import Advance, no_advance
from hemline.runtime.bundle import Bundle
from hemline.types import Box

#: No training data is drawn with this seed, so no model has seen a product of the demo.
SEED = 715_517
SIZE = 224
PRODUCTS = 1024


@dataclass(slots=True)
class Shop:
    """An open catalogue, and the street photos of its products.

    Attributes:
        catalog: of every product's shop image.
        info: of the bundle asked for; the catalogue's copy may promise other figures.
        manifest: shop and street images.
        photos: (P,) rows of the street photos.
        crop: ``box`` or ``none``, as the bundle was trained.
        seconds: spent on drawing and on the catalogue; about 0 if both existed.
        added: how many images this call embedded.
    """

    catalog: Catalog
    info: BundleInfo
    manifest: Manifest
    photos: npt.NDArray[np.int64]
    crop: str
    seconds: dict[str, float]
    added: int

    def box(self, row: int) -> Box | None:
        """The garment's box if the bundle was trained on boxes, else None (the whole photo)."""
        return self.manifest[row].box if self.crop == "box" else None

    @property
    def every(self) -> bool:
        """Whether photos are searched by every garment, as `hemline search` does by default."""
        return self.crop != "box" and self.info.detector is not None

    def some_photos(self, count: int) -> npt.NDArray[np.int64]:
        """``count`` photos spread evenly over the shop, the same every time."""
        if count >= len(self.photos):
            return self.photos
        places = np.linspace(0, len(self.photos) - 1, count).round().astype(int)
        some: npt.NDArray[np.int64] = self.photos[places]
        return some


def trained_crop(info: BundleInfo) -> str:
    """``box`` where the bundle says that it was trained on boxes, else ``none``."""
    recipe = info.training.get("recipe")
    data = recipe.get("data") if isinstance(recipe, dict) else None
    return "box" if isinstance(data, dict) and data.get("crop") == "box" else "none"


def _made_by(info: BundleInfo) -> str:
    """Names what a catalogue is made by: the bundle, but for what was measured of it, and the
    catalogue's format. After an upgrade of either, the demo makes its catalogue again."""
    from hemline.catalog.stores.sqlite import FORMAT_VERSION

    made = f"{FORMAT_VERSION} {info.model_dump_json(exclude={'quality'})}"
    return hashlib.sha256(made.encode()).hexdigest()[:12]


def open_shop(
    bundle: Bundle,
    *,
    products: int = PRODUCTS,
    folder: Path | None = None,
    workers: int | None = None,
    stage: Callable[[str], Advance] = lambda name: no_advance,
) -> Shop:
    """Draws the products and fills the catalogue, or opens what exists and completes it.

    Args:
        bundle: embeds them.
        products: how many, each with one shop image and one street photo.
        folder: where both are kept; ``HEMLINE_HOME/demo`` by default.
        workers: processes that draw; one for each core by default.
        stage: called with each stage's name; returns its progress callback (done, total).

    Raises:
        UsageError: fewer than two products.
        DataError: an image of the shop was damaged since it was drawn.
    """
    from hemline.synthetic import SyntheticSettings
    from hemline.synthetic.make import VERSION, make_dataset

    if products < 2:
        raise UsageError(f"a shop has two products or more, not {products}")
    root = folder or home() / "demo"
    images = root / f"shop-{products}-v{VERSION}"
    clock = time.perf_counter()
    path = make_dataset(
        images,
        products,
        SEED,
        SyntheticSettings(size=SIZE),
        shop_views=1,
        street_views=1,
        workers=workers,
        progress=stage("drawing products"),
    )
    manifest = Manifest.read(path)
    seconds = {"drawing": time.perf_counter() - clock}
    clock = time.perf_counter()
    crop = trained_crop(bundle.info)
    place = root / f"catalog-{products}-v{VERSION}-{crop}-{_made_by(bundle.info)}"
    catalog, added = _fill(place, bundle, manifest, crop, stage("filling the catalogue"))
    seconds["cataloguing"] = time.perf_counter() - clock
    domains = np.asarray(manifest.column("domain"), dtype=np.str_)
    photos = np.flatnonzero(domains == "street").astype(np.int64)
    return Shop(catalog, bundle.info, manifest, photos, crop, seconds, added)


def _fill(
    place: Path, bundle: Bundle, manifest: Manifest, crop: str, advance: Advance
) -> tuple[Catalog, int]:
    """The open catalogue with every shop image, and how many images this call embedded."""
    there = place.is_dir() and any(place.iterdir())
    catalog = Catalog.open(place) if there else Catalog.create(place, bundle)
    try:
        report = catalog.add(manifest, crop=crop, advance=advance)
        if report.skipped:
            first = report.skipped[0]
            raise DataError(
                f"{len(report.skipped)} images of the demo's shop can't be added (the first: "
                f"{first.path}: {first.reason}); delete {manifest.root} and run the demo again"
            )
    except BaseException:
        catalog.close()
        raise
    return catalog, report.added + report.embedded_again
