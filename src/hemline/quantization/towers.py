"""A bundle whose towers compute in int8: its ranges, its recall, its time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hemline.adaptation.encode import Encoded, encode
from hemline.adaptation.report import compare
from hemline.adaptation.run import LEAST, served
from hemline.adaptation.sources import Sample, Sources, collect
from hemline.adaptation.taps import FEATURES
from hemline.data.images import crop as cut
from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.data.preprocess import prepare
from hemline.errors import DataError
from hemline.quantization.options import Options
from hemline.quantization.speed import compare_speed
from hemline.quantization.write import TOWERS, describe, size, write_graphs
from hemline.ranking.tags import multi_hot
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Domain, FloatArray

__all__ = ["MOST_LOST", "calibration_samples", "describe", "make", "reasons"]

#: Most that recall@1 may fall.
MOST_LOST = 0.01
#: Calibration takes one in so many items from the measurement, at most.
_SHARE = 3


def reasons(report: Mapping[str, Any]) -> list[str]:
    """Why a bundle isn't good enough; none if it is."""
    fall, ratio = -report["difference"]["recall@1"]["value"], report["cpu_ms"]["ratio"]
    found = []
    if fall > MOST_LOST:
        found.append(f"recall@1 falls by {fall:.3f}, more than {MOST_LOST}")
    if ratio >= 1:
        found.append(f"it isn't faster on this processor ({ratio:.2f} of the time)")
    return found


def calibration_samples(sources: Sources, count: int, seed: int) -> dict[Domain, list[Sample]]:
    """Takes photos of some items out of ``sources``, for calibration, with shop images.

    The shop images stay in the gallery. Items without a photo calibrate the shop tower first.
    """
    photos: dict[str, list[Sample]] = {}
    for sample in sources.street:
        photos.setdefault(sample.item, []).append(sample)
    order = [sorted(photos)[k] for k in np.random.default_rng([seed, 8]).permutation(len(photos))]
    street: list[Sample] = []
    taken: set[str] = set()
    for item in order[: len(order) // _SHARE]:
        if len(street) >= count:
            break
        taken.add(item)
        street += photos[item]
    sources.street = [sample for sample in sources.street if sample.item not in taken]
    free = [s for s in sources.shop if s.item not in photos or s.item in taken]
    mixed = [free[k] for k in np.random.default_rng([seed, 9]).permutation(len(free))]
    return {"street": street[:count], "shop": mixed[:count]}


def make(
    base: Bundle, images: str | os.PathLike[str] | Manifest, place: Path, options: Options
) -> tuple[Bundle, dict[str, Any]]:
    """A bundle in the folder ``place`` whose towers compute in int8, and its report.

    Raises:
        DataError: too few items, or no image to calibrate with.
    """
    (sources := collect(images, None, options.crop, options.split)).limited(
        options.photos, options.gallery, options.seed
    )
    samples = calibration_samples(sources, options.calibration, options.seed)
    run = _Run(base, sources, options)
    before = run.encoded(base)
    feeds = {domain: run.feeds(domain, samples[domain]) for domain in TOWERS}
    made = write_graphs(base, place, feeds, options.portable, options.progress)
    report = run.compared(before, made, feeds["street"][0])
    used = {domain: len(feeds[domain]) for domain in TOWERS}
    return made, report | {"portable": options.portable, "calibration": used}


@dataclass(frozen=True, slots=True)
class _Run:
    """A bundle, the images to measure on, and how."""

    base: Bundle
    sources: Sources
    options: Options

    def encoded(self, bundle: Bundle) -> Encoded:
        """What a bundle's towers give for all images.

        Raises:
            DataError: too few items to measure on.
        """
        session: Any = bundle.session("street", self.options.threads)
        pooled = FEATURES in {port.name for port in session.get_outputs()}
        blocks = tuple(bundle.info.training["adapted"]["features"]) if pooled else ()
        encoder = BundleEncoder(bundle, self.options.threads)
        found = encode(encoder, blocks, self.sources, self.options.workers, self.options.progress)
        items = len(np.unique(found.images.street.items[found.images.queries]))
        if items < LEAST:
            raise DataError(
                f"{items} items are left to measure on, after calibration; at least {LEAST} with "
                "both a street photo and a shop image (or several shop images) are needed"
            )
        return found

    def feeds(self, domain: Domain, samples: Sequence[Sample]) -> list[dict[str, FloatArray]]:
        """The images that can be read, each as the inputs of one run.

        Raises:
            DataError: none can be read.
        """
        info = self.base.info
        session: Any = self.base.session(domain, self.options.threads)
        tagged = "tags" in {port.name for port in session.get_inputs()}
        columns = {tag: number for number, tag in enumerate(info.vocabulary)}
        found = []
        for place, image in open_many([sample.source for sample in samples], self.options.workers):
            if isinstance(image, Exception):
                continue
            sample = samples[place]
            feed = {"images": prepare(cut(image, sample.box), info.preprocessing, domain)[None]}
            if tagged:
                feed["tags"] = multi_hot([sample.tags], columns, Counter()).astype(np.float32)
            found.append(feed)
        if not found:
            raise DataError(f"there is no {domain} image to calibrate with; add images, or items")
        return found

    def compared(self, old: Encoded, made: Bundle, photo: dict[str, FloatArray]) -> dict[str, Any]:
        """Recall, time, size and embeddings of both bundles."""
        new, images = self.encoded(made), old.images
        items = [old.names[number] for number in images.street.items[images.queries]]
        outcomes = [
            served(bundle, one, self.options.threads)
            for bundle, one in ((self.base, old), (made, new))
        ]
        cosine = np.concatenate(
            [
                (_embeddings(old, self.base, side) * _embeddings(new, made, side)).sum(1)
                for side in TOWERS
            ]
        )
        with self.options.progress("timing both"):
            spent = compare_speed(self.base, made, "street", photo, self.options.threads)
        return {
            "base": {"name": self.base.info.name, "fingerprint": self.base.fingerprint},
            **compare(outcomes[0], outcomes[1], items, self.options.seed),
            "gallery": len(images.shop.items),
            "gallery_items": len(np.unique(images.shop.items)),
            "unreadable": len(old.skipped),
            "cpu_ms": spent,
            "cosine": {
                "least": round(float(cosine.min()), 4),
                "mean": round(float(cosine.mean()), 4),
            },
            "bytes": {"before": size(self.base.folder), "after": size(made.folder)},
        }


def _embeddings(encoded: Encoded, bundle: Bundle, domain: Domain) -> FloatArray:
    """(B, D), as the bundle gives them: after its maps if it has any."""
    images = encoded.images
    vectors = (images.street if domain == "street" else images.shop).vectors
    if bundle.maps is not None:
        return bundle.maps.apply(vectors[:, -bundle.maps.street_weight.shape[1] :], domain)[0]
    return vectors[:, -images.blocks[-1] :]
