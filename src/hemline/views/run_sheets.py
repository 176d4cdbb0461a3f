"""Sheets of a report: queries that were found, that were not, and the worst of all results."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from hemline.data.images import crop, open_image
from hemline.data.manifest import Manifest
from hemline.errors import HemlineError, UsageError
from hemline.evaluation.rankings import Rankings
from hemline.evaluation.stored import StoredResult
from hemline.ranking.metrics import MISS
from hemline.types import Image
from hemline.views.report_parts import name_of, section
from hemline.views.sheet import Row, Tile, row_html

#: Queries of each sheet, and hits of a query.
QUERIES, HITS = 6, 5


def sheets(results: Sequence[StoredResult], manifest: Manifest | None) -> str:
    """The sheets, for results that kept ranks; without a manifest nothing."""
    kept = [(one, one.rankings) for one in results if one.rankings is not None]
    kept = [(one, ranks) for one, ranks in kept if "top_right" in ranks.arrays]
    if manifest is None or not kept:
        return ""
    parts = []
    for one, ranks in kept:
        place = np.where(ranks.arrays["ranks"] == 0, MISS, ranks.arrays["ranks"].astype(np.int64))
        found, lost = np.flatnonzero(place == 1), np.flatnonzero(place > 1)
        lost = lost[np.argsort(place[lost], kind="stable")]
        label = name_of(one)
        for title, queries in (
            (f"Found first by {label}", found),
            (f"Not found first by {label}, from near misses to lost ones", lost),
        ):
            parts.append(section(title, _sheet(_spread(queries), one, ranks, manifest)))
    if len(kept) > 1:
        parts.append(_worst(kept, manifest))
    return "".join(parts)


def _worst(kept: Sequence[tuple[StoredResult, Rankings]], manifest: Manifest) -> str:
    """The queries with the least reciprocal rank over all results, with their rank in each."""
    mean = np.mean([ranks.measure("mrr") for _, ranks in kept], axis=0)
    worst = np.argsort(mean, kind="stable")[:QUERIES]
    one, ranks = kept[0]
    words = {
        int(place): "\n".join(f"{name_of(o)} {_outcome(r, int(place))}" for o, r in kept)
        for place in worst
    }
    body = _sheet(worst, one, ranks, manifest, words)
    note = f"<p>Over all results, with the first hits of {html.escape(name_of(one))}.</p>"
    return section("Worst queries", note + body if body else "")


def _spread(places: np.ndarray) -> np.ndarray:
    if len(places) <= QUERIES:
        return places
    picked: np.ndarray = places[np.linspace(0, len(places) - 1, QUERIES).round().astype(int)]
    return picked


def _sheet(
    places: np.ndarray,
    one: StoredResult,
    ranks: Rankings,
    manifest: Manifest,
    words: dict[int, str] | None = None,
) -> str:
    cropped = str(one.found["protocol"].get("crop", "")).startswith(("query", "box"))
    rows = []
    for place in places.tolist():
        verdict = (words or {}).get(place) or _outcome(ranks, place)
        row = _row(place, ranks, manifest, cropped, verdict)
        if row is not None:
            rows.append(row_html(row))
    return f'<div class="hits">{"".join(rows)}</div>' if rows else ""


def _outcome(ranks: Rankings, place: int) -> str:
    rank = int(ranks.arrays["ranks"][place])
    return f"came as {rank:,}" if rank else "not found"


def _row(
    place: int, ranks: Rankings, manifest: Manifest, cropped: bool, verdict: str
) -> Row | None:
    query = manifest[int(ranks.arrays["queries"][place])]
    photo = _image(manifest, int(ranks.arrays["queries"][place]))
    if photo is None:
        return None
    if cropped and query.box is not None:
        photo = crop(photo, query.box)
    shown = ranks.arrays["top"][place][:HITS].tolist()
    right = ranks.arrays["top_right"][place][:HITS].tolist()
    tiles = []
    answer = int(ranks.arrays["right_rows"][place])
    if answer >= 0 and not any(right):
        tiles += _tile(manifest, answer, 0, True, lost=True)
    for number, (row, good) in enumerate(zip(shown, right, strict=True), 1):
        if row >= 0:
            tiles += _tile(manifest, row, number, bool(good))
    return Row(Tile(photo, query.item_id), tiles, verdict)


def _tile(manifest: Manifest, row: int, number: int, right: bool, lost: bool = False) -> list[Tile]:
    image = _image(manifest, row)
    if image is None:
        return []
    record = manifest[row]
    note = "the right one, not among these" if lost else record.category
    return [Tile(image, record.item_id, note, right, lost=lost, rank=number or None)]


def _image(manifest: Manifest, row: int) -> Image | None:
    try:
        return open_image(manifest.file(row))
    except HemlineError:
        return None


def found_and_lost(
    one: StoredResult, manifest: Manifest, within: int = 5, count: int = 4
) -> tuple[list[Row], list[Row]]:
    """Rows of a sheet: queries with a right product among the first ``within``, and without.

    Raises:
        UsageError: the result kept no ranks.
    """
    ranks = one.rankings
    if ranks is None:
        raise UsageError(f"{one.path} kept no ranks; evaluate again")
    place = np.where(ranks.arrays["ranks"] == 0, MISS, ranks.arrays["ranks"].astype(np.int64))
    cropped = str(one.found["protocol"].get("crop", "")).startswith(("query", "box"))
    sheets = []
    for picked in (np.flatnonzero(place <= within), np.flatnonzero(place > within)):
        spread = picked[np.linspace(0, len(picked) - 1, min(count, len(picked))).astype(int)]
        rows = [_row(at, ranks, manifest, cropped, _outcome(ranks, at)) for at in spread.tolist()]
        sheets.append([row for row in rows if row is not None])
    return sheets[0], sheets[1]
