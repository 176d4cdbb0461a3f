"""The queries that failed, picked so that a person learns from them: worst and near alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hemline.data.images import crop, open_image
from hemline.errors import HemlineError
from hemline.evaluation.run import EvaluationResult
from hemline.ranking.metrics import MISS
from hemline.types import Image
from hemline.views.sheet import Row, Tile


def failures(outcomes: Sequence[EvaluationResult], count: int = 24, hits: int = 5) -> list[Row]:
    """Rows for a sheet: photo, the right product, then what came first instead.

    At most ``count``, drawn evenly over the order of ranks (so near misses and lost ones both
    show), from near to far.
    """
    failed = [
        (int(rank), number, place)
        for number, outcome in enumerate(outcomes)
        for place, rank in enumerate(outcome.ranks)
        if rank > 1
    ]
    failed.sort()
    if len(failed) > count:
        picks = np.linspace(0, len(failed) - 1, count).round().astype(int)
        failed = [failed[pick] for pick in picks]
    rows = []
    for rank, number, place in failed:
        row = _row(outcomes[number], place, rank, hits)
        if row is not None:
            rows.append(row)
    return rows


def _row(outcome: EvaluationResult, place: int, rank: int, hits: int) -> Row | None:
    manifest = outcome.protocol.manifest
    query = manifest[int(outcome.protocol.queries[place])]
    photo = _picture(outcome, int(outcome.protocol.queries[place]))
    if photo is None:
        return None
    if query.box is not None and outcome.protocol.crop in ("query", "box"):
        photo = crop(photo, query.box)
    items = manifest.column("item_id")
    tiles = []
    answers = outcome.protocol.relevant[place]
    right = next((int(r) for r in outcome.protocol.gallery if items[r] in answers), None)
    shown = [] if right is None else [(right, "the right one")]
    shown += [(int(r), f"{n}") for n, r in enumerate(outcome.top[place][:hits], 1) if r >= 0]
    for row, note in shown:
        picture = _picture(outcome, row)
        if picture is not None:
            right_one = bool(items[row] in answers)
            tiles.append(Tile(picture, str(items[row]), note, right_one, lost=row == right))
    verdict = "not in the gallery" if rank == MISS else f"came as {rank}"
    return Row(Tile(photo, query.item_id), tiles, verdict)


def _picture(outcome: EvaluationResult, row: int) -> Image | None:
    try:
        return open_image(outcome.protocol.manifest.file(row))
    except HemlineError:
        return None
