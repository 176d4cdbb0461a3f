"""A report of `hemline.evaluation.report` as a table of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Line = Callable[[str], None]


def table(result: Mapping[str, Any], line: Line) -> None:
    """Calls ``line`` with each line of the table."""
    protocol = result["protocol"]
    line(f"{result['model']}  {str(result['fingerprint'])[:12]}")
    line(
        f"{result['queries']} queries of {result['products_asked']} products, searched among "
        f"{result['gallery_products']} products ({result['gallery']} pictures), "
        f"protocol {protocol['name']}"
    )
    if "started_from" in result:
        line(f"its training started from {result['started_from']}")
    _overlap(result["model"], result.get("training_overlap"), line)
    if "catalog" in result:
        held = result["catalog"]
        line(
            f"answers of the live catalogue with {held['pictures']:,} pictures; it lacks "
            f"{held['lacking']:,} of the gallery, and ranks behind {held['answered']:,} are misses"
        )
    others = result.get("against", [])
    head = f"{'':12}{'':>8}  {'95 % interval':>15}"
    line(head)
    for name, (low, high) in result["intervals"].items():
        line(f"{name:12}{result[name]:8.3f}  {f'{low:.3f} – {high:.3f}':>15}")
    for other in others:
        line(f"less {other['model']}  {str(other['fingerprint'])[:12]}, on the same queries")
        _overlap(other["model"], other.get("training_overlap"), line)
        for name, d in other["difference"].items():
            line(
                f"{name:12}{d['value']:+8.3f}  {d['low']:+.3f} to {d['high']:+.3f}   "
                f"(its own: {other[name]:.3f})"
            )
    _pictures(result, line)
    if "without_trained_distractors" in result:
        fewer = _recalls(result["without_trained_distractors"])
        line(f"without the distractors that were trained on: {fewer}")
    if "first_search" in result:
        line(f"before re-ranking: {_recalls(result['first_search'])}")
    for title, groups in {"category": result["categories"], **result.get("slices", {})}.items():
        if len(groups) > 1:
            line(f"{title:26}{'queries':>8}{'recall@1':>10}{'recall@20':>10}")
            for group, row in groups.items():
                line(
                    f"  {group[:24]:24}{row['queries']:8d}{row['recall@1']:10.3f}"
                    f"{row['recall@20']:10.3f}"
                )
    _labels(result.get("labels", {}), line)
    _parts(result, line)
    _published(result.get("published", []), line)
    if result["unmatched"]:
        line(
            f"{result['unmatched']} queries have no match in the gallery ({protocol['unmatched']})"
        )
    for entry in result["skipped"][:5]:
        line(f"skipped {entry['path']}: {entry['reason']}")
    if len(result["skipped"]) > 5:
        line(f"… and {len(result['skipped']) - 5} more were skipped")
    line("choices")
    for name, choice in protocol.items():
        line(f"  {name}: {choice}")


def _recalls(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _overlap(model: str, overlap: Mapping[str, Any] | None, line: Line) -> None:
    """What the model's training saw of the protocol; a leak in front of every figure."""
    if overlap is not None and (overlap["queries"] or overlap["record"] != "none"):
        line(f"{model}: {overlap['says']}")


def _pictures(result: Mapping[str, Any], line: Line) -> None:
    """Recall among the first k pictures, where it differs, and AHBN's columns."""
    pictures = result.get("pictures", {})
    if any(abs(value - result[name]) > 1e-9 for name, value in pictures.items()):
        line(f"among the first k pictures, as papers count: {_recalls(pictures)}")
    if "accuracy" in result:
        line(f"AHBN's columns, among pictures: {_recalls(result['accuracy'])}")


def _labels(found: Mapping[str, Any], line: Line) -> None:
    """The tags and landmarks that the model predicts."""
    if "attribute_map" in found:
        line(
            f"tags: mAP {found['attribute_map']:.3f} over {len(found['attributes'])} tags; the "
            f"best value is right in {found['attribute_accuracy']:.3f}; {found['images']:,} images"
        )
        for name, one in found["attribute_types"].items():
            line(f"  {name[:24]:24}{one['tags']:8d} tags{one['map']:10.3f}")
    if "landmark_error" in found:
        line(f"landmarks: error {found['landmark_error']:.3f} of the side, on visible ones")
        for name, one in found["landmarks"].items():
            line(f"  {name[:24]:24}{one['rows']:8d} seen{one['nme']:10.3f}")


def _parts(result: Mapping[str, Any], line: Line) -> None:
    """Folds, categories with their mean, and sizes of the gallery."""
    for key in ("folds", "parts"):
        if key in result:
            line(f"{key:26}{'queries':>8}{'gallery':>9}{'recall@1':>10}{'recall@20':>10}")
            for part in result[key]:
                line(
                    f"  {part['name'][:24]:24}{part['queries']:8d}{part['gallery']:9d}"
                    f"{part['recall@1']:10.3f}{part['recall@20']:10.3f}"
                )
    if "mean_of_parts" in result:
        mean = result["mean_of_parts"]
        line(f"  {'mean of these':41}{mean['recall@1']:10.3f}{mean['recall@20']:10.3f}")
    if "ladder" in result:
        line(f"{'pictures in the gallery':26}{'recall@20':>10}")
        for step in result["ladder"]:
            line(f"  {step['gallery']:<24,}{step['recall@20']:10.3f}")


def _published(entries: list[Mapping[str, Any]], line: Line) -> None:
    if not entries:
        return
    line("published, not measured here (papers count pictures; galleries and crops may differ)")
    for entry in entries:
        value = "not available" if entry["value"] is None else f"{entry['value']:.3f}"
        note = f"  ({entry['note']})" if entry["note"] else ""
        line(f"  {entry['metric']:10}{value:>14}  {entry['model']}, {entry['source']}{note}")
