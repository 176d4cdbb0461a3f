"""From encoded images to maps and a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hemline.adaptation import report as reports
from hemline.adaptation.choose import OUTER, Outcome, fitted, mapped, measure, search
from hemline.adaptation.encode import Encoded
from hemline.adaptation.fit import Method
from hemline.adaptation.sources import Sources
from hemline.errors import DataError
from hemline.evaluation.calibrate import NOTED
from hemline.progress import ProgressOf
from hemline.ranking.merge import rerank_distances
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.runtime.maps import DomainMaps

#: Items with a photo (or several shop images) that a measurement needs at least.
LEAST = 2 * OUTER
#: What is written with ``force`` where nothing can be measured.
UNMEASURED = Method("whiten", 10.0, rank=1.0)


@dataclass(slots=True)
class Adapted:
    """What `adapted` found.

    Attributes:
        maps: of both domains; None where the vectors stay as they are.
        outcome: of the photos that were kept out; None where nothing could be measured.
        report: see `hemline.adaptation.api.adapt`.
        blocks: the parts of the vectors, see `Images`.
        items: of the shop, some of them: on these the thresholds of scores were measured.
    """

    maps: DomainMaps | None
    outcome: Outcome | None
    report: dict[str, Any]
    blocks: tuple[int, ...]
    items: tuple[str, ...] = ()


def adapted(
    base: Bundle,
    encoded: Encoded,
    sources: Sources,
    seed: int,
    force: bool,
    threads: int | None,
    progress: ProgressOf,
) -> Adapted:
    """Chooses, fits and measures.

    Raises:
        DataError: too few items to measure on, and not ``force``.
    """
    images = encoded.images
    asked = images.street.items[images.queries]
    report: dict[str, Any] = {
        "base": {"name": base.info.name, "fingerprint": base.fingerprint},
        "without_photos": sources.alone,
        "counts": {**sources.counts, "unreadable": len(encoded.skipped)},
        "measured": len(np.unique(asked)) >= LEAST,
        "written": False,
    }
    if not report["measured"]:
        if not force:
            raise DataError(_too_few(sources, len(np.unique(asked))))
        report |= {"better": False, "method": UNMEASURED.described()}
        return Adapted(fitted(images, UNMEASURED), None, report, images.blocks)
    before = served(base, encoded, threads)
    with progress("fitting and choosing") as advance:
        method, outcome, chosen = measure(images, seed, advance=advance)
    items = [encoded.names[number] for number in asked]
    report |= reports.compare(before, outcome, items, seed) | {
        "gallery": len(images.shop.items),
        "gallery_items": len(np.unique(images.shop.items)),
        "method": method.described(),
        "chosen_by_fold": [one.described() for one in chosen],
    }
    shop = tuple(encoded.names[number] for number in np.unique(images.shop.items)[:NOTED])
    return Adapted(fitted(images, method), outcome, report, images.blocks, shop)


def served(bundle: Bundle, encoded: Encoded, threads: int | None) -> Outcome:
    """What the bundle gives as it is: its maps if it has any, re-ranked if it does."""
    images = encoded.images
    first = mapped(images, bundle.maps)
    if encoded.local is None:
        return search(images, first, images.queries)
    encoder, local = BundleEncoder(bundle, threads), encoded.local
    contexts = images.shop.vectors[:, -images.blocks[-1] :] * encoded.norm[:, None]

    def similarity(places: Any) -> Any:
        def rerank(query: int, near: Any) -> Any:
            return encoder.rerank(local[places[query]].astype(np.float32), contexts[near]).distance

        return -rerank_distances(-first(places), rerank, bundle.info.rerank_top)

    return search(images, similarity, images.queries)


def _too_few(sources: Sources, items: int) -> str:
    if sources.alone:
        return (
            f"there are no street photos, and {items} items have several shop images; at least "
            f"{LEAST} are needed, so that some can be kept out to measure on. Add photos or "
            "feedback, or write maps that only even out the shop images' variance with --force, "
            "unmeasured"
        )
    return (
        f"{items} items have both a street photo and a shop image; at least {LEAST} are needed, so "
        "that some can be kept out to measure on"
    )
