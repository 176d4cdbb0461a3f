"""Images → vectors of a bundle, before any maps that it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.adaptation.choose import Images
from hemline.adaptation.fit import Side
from hemline.adaptation.sources import Sample, Sources
from hemline.adaptation.taps import FEATURES
from hemline.data.images import crop, open_many
from hemline.errors import DataError, HemlineError
from hemline.progress import ProgressOf
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Domain, FloatArray, Image

_BATCH = 32


@dataclass(slots=True)
class Encoded:
    """Both sides encoded.

    Attributes:
        images: the vectors.
        norm: (G,) of the shop vectors.
        names: item_ids by number.
        local: (Q, C, L) of the street images as float16 where the bundle re-ranks, else None.
        skipped: (image, reason) of each that could not be read.
    """

    images: Images
    norm: FloatArray
    names: list[str]
    local: npt.NDArray[np.float16] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)


def encode(
    encoder: BundleEncoder,
    blocks: tuple[int, ...],
    sources: Sources,
    workers: int | None,
    progress: ProgressOf,
) -> Encoded:
    """Encodes every image of both sides; those that can't be read are left out and listed.

    Args:
        blocks: the parts of the towers' features (`hemline.adaptation.taps`); empty: the embedding.

    Raises:
        DataError: no image of a side can be read.
    """
    skipped: list[tuple[str, str]] = []
    photos, street = _side(encoder, "street", sources.street, workers, progress, skipped)
    goods, shop = _side(encoder, "shop", sources.shop, workers, progress, skipped)
    names, numbers = np.unique([s.item for s in (*photos, *goods)], return_inverse=True)
    place = {sample.image: number for number, sample in enumerate(goods)}
    given = FEATURES if blocks else "embedding"
    images = Images(
        Side(street[given], numbers[: len(photos)].astype(np.int64)),
        Side(shop[given], numbers[len(photos) :].astype(np.int64)),
        np.array([place.get(sample.image, -1) for sample in photos], np.int64),
        blocks or (street["embedding"].shape[1],),
    )
    local = street.get("local")
    return Encoded(images, shop["norm"], [str(name) for name in names], local, skipped)


def _side(
    encoder: BundleEncoder,
    domain: Domain,
    samples: Sequence[Sample],
    workers: int | None,
    progress: ProgressOf,
    skipped: list[tuple[str, str]],
) -> tuple[list[Sample], dict[str, Any]]:
    """The images that can be read, and what the tower gives for them; others go to ``skipped``."""
    good: list[Sample] = []
    parts: list[dict[str, Any]] = []
    before = len(skipped)
    with progress(f"encoding {domain} images") as advance:
        done = 0
        for some, images, failed in _opened(samples, workers):
            skipped += failed
            done += len(some) + len(failed)
            if images:
                good += some
                parts.append(_tower(encoder, domain, some, images))
            advance(done, len(samples))
    if not good:
        why = f"; the first: {skipped[before][1]}" if len(skipped) > before else ""
        raise DataError(f"none of {len(samples)} {domain} images can be read{why}")
    return good, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _tower(
    encoder: BundleEncoder, domain: Domain, samples: Sequence[Sample], images: Sequence[Image]
) -> dict[str, Any]:
    found: dict[str, Any] = encoder.outputs(images, domain, [sample.tags for sample in samples])
    found.pop("weights", None)
    local = found.pop("local", None)
    if local is not None and encoder.reranks:
        found["local"] = local.astype(np.float16)
    return found


def _opened(
    samples: Sequence[Sample], workers: int | None
) -> Iterator[tuple[list[Sample], list[Image], list[tuple[str, str]]]]:
    """Yields batches: samples, their images, and (image, reason) of those that failed meanwhile."""
    some: list[Sample] = []
    images: list[Image] = []
    failed: list[tuple[str, str]] = []
    for place, image in open_many([sample.source for sample in samples], workers):
        sample = samples[place]
        try:
            if isinstance(image, Exception):
                raise image
            images.append(crop(image, sample.box))
            some.append(sample)
        except HemlineError as error:
            failed.append((sample.image, str(error)))
        if len(some) + len(failed) == _BATCH:
            yield some, images, failed
            some, images, failed = [], [], []
    yield some, images, failed
