"""Writes the adapted bundle: the files of the given one, the maps, and what they gave."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hemline import __version__
from hemline.adaptation.report import comparison_table, thresholds
from hemline.adaptation.run import Adapted
from hemline.bundle import INFO_FILE, MAPS_FILE, BundleInfo, take_detector, write_info
from hemline.data.seen import SEEN_FILE, Seen
from hemline.errors import UsageError
from hemline.files import durable_folder
from hemline.runtime.bundle import Bundle
from hemline.runtime.maps import DomainMaps

_RERANK, _CARD = "rerank", "README.md"


def check_target(folder: Path) -> None:
    """Raises UsageError where the new bundle's folder exists: no bundle is ever replaced."""
    if folder.exists():
        raise UsageError(f"{folder} is already there; name a new folder for the adapted bundle")


def write(
    base: Bundle,
    towers: Bundle,
    folder: Path,
    fit: Adapted,
    name: str | None,
    seen: Seen,
    detector: Path | None = None,
) -> dict[str, Any]:
    """Writes the adapted bundle, which appears as a whole or not at all; returns what the report
    says of it.

    Maps of features need the graphs of ``towers``, which have that output; others those of
    ``base``.

    The adapted bundle doesn't re-rank: its re-ranker compares vectors before the maps. The detector
    stays, or is that of the bundle ``detector``.
    """
    check_target(folder)
    maps = DomainMaps.same(fit.blocks[-1]) if fit.maps is None else fit.maps
    width, every = maps.street_weight.shape[1], sum(fit.blocks)
    source = base if width < every else towers
    if width < every and towers is base:  # its graphs have features already
        maps = maps.widened(every)
    left_out = {base.info.graphs.get(_RERANK, ""), MAPS_FILE, INFO_FILE, _CARD, SEEN_FILE}
    with durable_folder(folder) as temporary:
        for path in source.folder.iterdir():
            if path.is_file() and path.name not in left_out:
                shutil.copyfile(path, temporary / path.name)
        (temporary / MAPS_FILE).write_bytes(maps.to_bytes())
        seen.write(temporary)
        info = _info(base, maps, name, fit, seen)
        if detector is not None:
            info = take_detector(temporary, info, detector)
        (temporary / _CARD).write_text(_card(base, info, fit.report), encoding="utf-8")
        info = write_info(temporary, info)
    return {
        "written": True,
        "bundle": str(folder),
        "name": info.name,
        "fingerprint": info.fingerprint,
        "embedding_dim": info.embedding_dim,
        "alike": None if info.alike is None else info.alike.model_dump(),
    }


def _info(
    base: Bundle,
    maps: DomainMaps,
    name: str | None,
    fit: Adapted,
    seen: Seen,
) -> BundleInfo:
    old, result, outcome = base.info, fit.report, fit.outcome
    kept = ("base", "method", "chosen_by_fold", "counts", "without_photos")
    quality = []
    if outcome is not None:
        figures = {figure: one["value"] for figure, one in result["after"].items()}
        quality.append(
            {
                "label": "measured by hemline adapt",
                "protocol": "photos of items kept out of fitting and choosing",
                "queries": result["queries"],
                "gallery": result["gallery"],
                **figures,
            }
        )
    return old.model_copy(
        update={
            "name": name or f"{old.name}-adapted",
            "summary": f"{old.name}, adapted to a shop's own images. {old.summary}".strip(),
            "embedding_dim": maps.dim,
            "reranks": False,
            "graphs": {role: file for role, file in old.graphs.items() if role != _RERANK},
            "maps": MAPS_FILE,
            "training": {
                **old.training,
                "seen": seen.described(),
                "adapted": {
                    **{n: result[n] for n in kept if n in result},
                    "features": list(fit.blocks),
                    "hemline": __version__,
                },
            },
            "quality": quality,
            "alike": None
            if outcome is None
            else thresholds(outcome, result["gallery_items"], fit.items),
        }
    )


def _card(base: Bundle, info: BundleInfo, result: Mapping[str, Any]) -> str:
    """The model card, Markdown: what was fitted and measured, then the given bundle's card."""
    lines = [
        f"# {info.name}",
        "",
        f"`{base.info.name}` (fingerprint `{base.fingerprint}`) with a linear map for each domain, "
        f"fitted by `hemline adapt` on a shop's own images. Embeddings of {info.embedding_dim} "
        f"numbers. It doesn't re-rank.{_detector(base, info)}",
        "",
    ]
    if result.get("measured"):
        lines += [
            f"{result['queries']} photos of {result['items']} items that took no part in fitting "
            f"or choosing, searched among {result['gallery']} shop images; 95 % intervals by a "
            "bootstrap over items:",
            "",
            *comparison_table(result),
        ]
    else:
        lines.append("Nothing was measured: too few items with several images.")
    old = base.folder / _CARD
    if old.is_file():
        lines += ["", "## The bundle it was made from", "", old.read_text(encoding="utf-8")]
    return "\n".join([*lines, ""])


def _detector(base: Bundle, info: BundleInfo) -> str:
    if info.detector is None or info.detector == base.info.detector:
        return ""
    return f" Its detector is `{info.detector.name}`, of another bundle."
