"""The files of a bundle whose graphs compute in int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hemline import __version__
from hemline.adaptation.report import comparison_table
from hemline.bundle import DETECTOR, WEIGHTS_FILE, BundleInfo, write_info
from hemline.errors import UsageError
from hemline.progress import ProgressOf
from hemline.runtime.bundle import Bundle
from hemline.types import Domain, FloatArray

TOWERS: tuple[Domain, ...] = ("street", "shop")
_CARD = "README.md"


def check_onnx() -> None:
    """
    Raises:
        UsageError: the package ``onnx`` is missing.
    """
    try:
        import hemline.learn.export.int8  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(
            f"quantizing needs {error.name}, which isn't installed; "
            "pip install 'hemline[quantize]' brings it"
        ) from None


def write_graphs(
    base: Bundle,
    folder: Path,
    feeds: Mapping[Domain, Sequence[Mapping[str, FloatArray]]],
    portable: bool,
    progress: ProgressOf,
) -> Bundle:
    """Copies a bundle to a new folder with towers that compute in int8; `describe` finishes it.

    Args:
        feeds: of each tower calibration images, each as the inputs of one run.
        portable: weights of 7 bits.
    """
    from hemline.learn.export.int8 import folded, quantized
    from hemline.learn.export.weights import shrink, write

    copy = base.copy_to(folder).folder
    made: dict[str, Any] = {}
    for domain in TOWERS:
        with progress(f"calibrating the {domain} tower") as advance:
            made[domain] = quantized(
                base.folder / base.info.graphs[domain],
                feeds[domain],
                portable=portable,
                advance=advance,
            )
    others = sorted(set(base.info.graphs) - {*TOWERS, DETECTOR})
    for role in others:  # they may share the towers' weights
        made[role] = folded(base.folder / base.info.graphs[role], copy)
    for graph in made.values():
        shrink(graph, base.info.precision)  # what stays in float is stored as before
    for scrap in ("folded.onnx", WEIGHTS_FILE, *(base.info.graphs[role] for role in made)):
        (copy / scrap).unlink(missing_ok=True)
    graphs = {**base.info.graphs, **write(made, copy)}
    return Bundle(copy, write_info(copy, base.info.model_copy(update={"graphs": graphs})))


def describe(made: Bundle, base: Bundle, name: str | None, report: Mapping[str, Any]) -> BundleInfo:
    """Writes what was measured into the new bundle's description and model card."""
    kept = ("base", "calibration", "portable", "cpu_ms", "machine")
    figures = {figure: one["value"] for figure, one in report["after"].items()}
    changes = {
        "name": name or f"{base.info.name}-int8",
        "summary": f"{base.info.name}, computed in int8. {base.info.summary}".strip(),
        "precision": "int8",
        "precision_loss": {"min_cosine": report["cosine"]["least"]},
        "training": {
            **base.info.training,
            "quantized": {**{key: report[key] for key in kept}, "hemline": __version__},
        },
        "quality": [
            {
                "label": "measured by hemline quantize",
                "protocol": "photos of items kept out of calibration",
                "queries": report["queries"],
                "gallery": report["gallery"],
                **figures,
            }
        ],
    }
    card = base.folder / _CARD
    old = card.read_text(encoding="utf-8") if card.is_file() else ""
    info = made.info.model_copy(update=changes)
    (made.folder / _CARD).write_text(_card(base, info, report, old), encoding="utf-8")
    return write_info(made.folder, info)


def _card(base: Bundle, info: BundleInfo, report: Mapping[str, Any], old: str) -> str:
    """The model card, Markdown: what was measured, then the given bundle's card."""
    spent = report["cpu_ms"]
    lines = [
        f"# {info.name}",
        "",
        f"`{base.info.name}` (fingerprint `{base.fingerprint}`) with towers that compute in int8, "
        f"by `hemline quantize`. Recall of {report['queries']} photos of {report['items']} items "
        f"that took no part in calibration, searched among {report['gallery']} shop images; 95 % "
        "intervals by a bootstrap over items:",
        "",
        *comparison_table(report),
    ]
    lines += [
        "",
        f"One photo in the street tower took {spent['after']} ms of CPU time, "
        f"before {spent['before']} ({report['machine']['processor']}). Other processors gain "
        "less, or nothing.",
    ]
    if old:
        lines += ["", "## The bundle it was made from", "", old]
    return "\n".join([*lines, ""])


def size(folder: Path) -> int:
    """Bytes of a bundle's files."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
