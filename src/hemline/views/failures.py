"""Queries of an evaluation as rows of a sheet: the failed ones, or a random sample of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hemline.data.images import crop, open_image
from hemline.errors import HemlineError
from hemline.evaluation.run import EvaluationResult
from hemline.ranking.metrics import MISS
from hemline.types import Image
from hemline.views.sheet import Row, Tile


def failures(results: Sequence[EvaluationResult], count: int = 24, hits: int = 5) -> list[Row]:
    """Rows for a sheet: the photo, the right item, then the first ``hits`` hits.

    At most ``count`` rows, spread evenly over the failed queries by rising rank.
    """
    failed = [
        (int(rank), number, place)
        for number, result in enumerate(results)
        for place, rank in enumerate(result.ranks)
        if rank > 1
    ]
    failed.sort()
    if len(failed) > count:
        picks = np.linspace(0, len(failed) - 1, count).round().astype(int)
        failed = [failed[pick] for pick in picks]
    rows = []
    for rank, number, place in failed:
        row = _row(results[number], place, rank, hits, answer_first=True)
        if row is not None:
            rows.append(row)
    return rows


def random_queries(
    results: Sequence[EvaluationResult], count: int = 40, hits: int = 5, seed: int = 0
) -> list[Row]:
    """Rows for a sheet: ``count`` queries at random, each with its first ``hits`` hits."""
    places = [(result, place) for result in results for place in range(len(result.ranks))]
    chosen = np.random.default_rng(seed).permutation(len(places))
    rows: list[Row] = []
    for number in chosen.tolist():
        if len(rows) == count:
            break
        result, place = places[number]
        row = _row(result, place, int(result.ranks[place]), hits, answer_first=False)
        if row is not None:
            rows.append(row)
    return rows


def _row(
    result: EvaluationResult, place: int, rank: int, hits: int, answer_first: bool
) -> Row | None:
    manifest = result.protocol.manifest
    query = manifest[int(result.protocol.queries[place])]
    photo = _image(result, int(result.protocol.queries[place]))
    if photo is None:
        return None
    if query.box is not None and result.protocol.crop in ("query", "box"):
        photo = crop(photo, query.box)
    items = manifest.column("item_id")
    tiles = []
    answers = result.protocol.relevant[place]
    right = next((int(r) for r in result.protocol.gallery if items[r] in answers), None)
    shown = [(right, "the right one")] if answer_first and right is not None else []
    shown += [(int(r), f"{n}") for n, r in enumerate(result.top[place][:hits], 1) if r >= 0]
    for row, note in shown:
        image = _image(result, row)
        if image is not None:
            right_one = bool(items[row] in answers)
            tiles.append(
                Tile(image, str(items[row]), note, right_one, lost=answer_first and row == right)
            )
    verdict = "not in the gallery" if rank == MISS else f"came as {rank}"
    return Row(Tile(photo, query.item_id), tiles, verdict)


def _image(result: EvaluationResult, row: int) -> Image | None:
    try:
        return open_image(result.protocol.manifest.file(row))
    except HemlineError:
        return None
