"""What isn't a table of searches: sheets of images, channel weights, and the time of a search.

Each writes its image and returns what the JSON has under ``drawing``: ``words`` or numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.images import open_image
from hemline.errors import UsageError
from hemline.evaluation.looks import spread
from hemline.evaluation.stored import StoredResult
from hemline.reproduce.experiment import Experiment
from hemline.reproduce.measure import Workshop
from hemline.views.drawing import lit
from hemline.views.run_sheets import found_and_lost
from hemline.views.sheet import Row, Tile, write_sheet

Results = Mapping[str, Mapping[str, Sequence[StoredResult]]]
#: What is searched in Figure 5 of the YNet paper: name → dimensions of a vector.
_VECTORS = {
    "DARN, before its PCA": 17_920, "DARN-PCA": 8_196, "YNIN": 1_000, "YVGG": 512,
}  # fmt: skip
_GALLERIES = {"DARN": 23_773, "DeepFashion": 2_637}
_QUERIES, _FIRST, _BLOCK = 1_000, 20, 4_096
#: Images of a sheet of attention, and of channel weights.
_SHOWN, _WEIGHED = 8, 64


def hits(shop: Workshop, experiment: Experiment, results: Results, plot: Path) -> dict[str, Any]:
    """Figures 7 and 8 of the YNet paper: queries with and without a match among the first five."""
    for every in results.values():
        for runs in every.values():
            found, lost = found_and_lost(runs[0], shop.source.searched)
            note = f"{shop.source.words}; {shop.plan.scale.label}"
            title = f"{runs[0].label}: {len(found)} queries with a match among the first 5, then "
            write_sheet(plot, [*found, *lost], f"{title}{len(lost)} without", note)
            words = "the sheet has queries with a match among the first 5, then without"
            return {"words": words, "label": shop.plan.scale.label}
    raise UsageError("nothing was measured, so there is nothing to show")


def attention(
    shop: Workshop, experiment: Experiment, results: Results, plot: Path
) -> dict[str, Any]:
    """Figure 6 of the YNet paper, and how much of the attention lies in the product's box."""
    from hemline.learn.looks import attended

    (row,) = experiment.rows
    manifest = shop.source.searched
    part = next(iter(shop.source.parts.values()))[0]
    picked = [int(at) for at in part.gallery if manifest[int(at)].tags][:60]
    records = [manifest[at] for at in picked]
    images = [open_image(manifest.file(at)) for at in picked]
    looks = attended(Path(shop.models(row)[0]), images, [record.tags for record in records])
    rows, inside, area, preferred = [], [], [], []
    for record, image, look in zip(records, images, looks, strict=True):
        tiles = [
            Tile(lit(look.image, look.most), "most attended"),
            Tile(lit(look.image, look.least), "least attended"),
        ]
        rows.append(Row(Tile(look.image, record.item_id), tiles, judged=False))
        weights = look.weights
        preferred.append(spread(weights))
        if record.box is not None:
            held = _held(record.box, image.shape[0], image.shape[1], len(weights))
            inside.append(float(weights[held].sum()))
            area.append(float(held.mean()))
    title = f"{row.name}: shop picture, gradient of the most and of the least attended location"
    write_sheet(plot, rows[:_SHOWN], title, f"{shop.source.words}; {shop.plan.scale.label}", 2)
    return {
        "locations": {"preferred": float(np.mean(preferred)), "of": len(looks[0].weights)},
        "in_box": float(np.mean(inside)) if inside else None,
        "box": float(np.mean(area)) if area else None,
        "pictures": len(looks),
        "label": shop.plan.scale.label,
        "words": "preferred: exp of the attention's entropy, its mean over pictures; in_box: share "
        "of the attention in the product's box; box: share of the locations that lie there",
    }


def _held(box: Any, height: int, width: int, count: int) -> Any:
    """(L,) the locations whose middle lies in a box."""
    side = round(count**0.5)
    y = (np.arange(side) + 0.5) * height / side
    x = (np.arange(side) + 0.5) * width / side
    rows, columns = (y > box.y1) & (y < box.y2), (x > box.x1) & (x < box.x2)
    return (rows[:, None] & columns[None, :]).ravel()


def channels(
    shop: Workshop, experiment: Experiment, results: Results, plot: Path
) -> dict[str, Any]:
    """Figure 7 of the AHBN paper: channel weights in falling order, sigmoid beside softmax."""
    from hemline.learn.looks import channel_weights

    manifest = shop.source.searched
    part = next(iter(shop.source.parts.values()))[0]
    images = [open_image(manifest.file(int(at))) for at in part.gallery[:_WEIGHED]]
    weights, used = {}, {}
    for row in experiment.rows:
        if shop.lacks(row):
            continue
        found = channel_weights(Path(shop.models(row)[0]), images)
        weights[row.name] = np.sort(found.mean(axis=0))[::-1].tolist()
        share = found / found.sum(axis=1, keepdims=True)
        entropy = np.exp(-(share * np.log(share + 1e-12)).sum(axis=1))
        used[row.name] = float((entropy / found.shape[1]).mean())
    return {
        "weights": weights,
        "used": used,
        "label": shop.plan.scale.label,
        "words": "used: exp of the weights' entropy over the number of channels; 1 where all count "
        "alike, near 0 where few do",
    }


def search_time(
    shop: Workshop, experiment: Experiment, results: Results, plot: Path
) -> dict[str, Any]:
    """Figure 5 of the YNet paper: exact search by the product of matrices, made-up vectors."""
    smoke = shop.plan.scale.name == "smoke"
    queries = 50 if smoke else _QUERIES
    bars = {}
    for data, size in _GALLERIES.items():
        for name, dimensions in _VECTORS.items():
            count = size // 20 if smoke else size
            shop.say(f"searching {count:,} vectors of {dimensions:,} numbers")
            seconds = _seconds(queries, count, dimensions)
            bars[f"{name} ({dimensions:,}), {data} ({count:,})"] = seconds
    return {
        "bars": bars,
        "unit": f"processor's seconds of {queries:,} queries",
        "label": shop.plan.scale.label,
        "published": None,
        "words": "the processor's time of this process, on one thread or several",
    }


def _seconds(queries: int, count: int, dimensions: int) -> float:
    """Processor's time of finding the first 20 by inner product, without making the vectors."""
    rng = np.random.default_rng(0)
    asked = rng.standard_normal((queries, dimensions), np.float32)
    block = rng.standard_normal((min(count, _BLOCK), dimensions), np.float32)
    spent = 0.0
    for start in range(0, count, _BLOCK):
        part = block[: min(_BLOCK, count - start)]
        began = time.process_time()
        scores = asked @ part.T
        if scores.shape[1] > _FIRST:
            np.argpartition(scores, -_FIRST, axis=1)[:, -_FIRST:]
        spent += time.process_time() - began
    return spent


#: Drawn → what makes it, and whether it writes the plot itself.
DRAWINGS: Mapping[
    str, tuple[Callable[[Workshop, Experiment, Results, Path], dict[str, Any]], bool]
] = {
    "hits": (hits, True),
    "attention": (attention, True),
    "channels": (channels, False),
    "time": (search_time, False),
}
