"""Linear probe of tags: which tags a classifier finds on a model's embeddings of the images.

The YNet paper (Ji et al., ACM MM 2017) takes tags that shops wrote and expects better results
without the noisy ones. A tag is **seen** where a linear classifier finds it, better than chance,
on items that it wasn't fitted to. It is **noise** where the area under its ROC curve is no better
than chance and surely below `ProbeSettings.worth`; **too rare** where too few items have it to say
either. One sample is one item: the mean of its images' embeddings. The negatives of a tag are items
with another value of the same name, for a tag that a shop left out may still apply.

Images are embedded **without their tags**: a model that attends by tags would otherwise be given
the answer. Items are split into folds; scores are compared within a fold only.

Many tags are tested at once, so some would look seen by luck. A tag's p-value comes from its area's
distance from the areas of shuffled tags, the classifier refitted to each shuffle; the procedure
of Benjamini and Hochberg (1995) then bounds the expected share of false ones among the seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hemline.data.manifest import Manifest
from hemline.encoding import Encoder
from hemline.errors import DataError, UsageError
from hemline.evaluation._auc import FoldedArea, folded_average_precision
from hemline.evaluation._ridge import Ridge
from hemline.evaluation.embed import embed
from hemline.progress import Advance, no_advance
from hemline.types import Domain

Verdict = Literal["seen", "noise", "too rare"]


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How tags are probed.

    Attributes:
        folds: of the items; each is scored by a classifier fitted to the others.
        most: the largest number of items; of more, this many are drawn at random.
        least: how many items must have a tag, and how many another value of its name.
        level: of the interval, 0-1.
        worth: the area that a useful tag reaches; noise is surely below it.
        false_share: largest expected share of false ones among the tags called seen.
        draws: resamples of the items for the interval.
        shuffles: of the tags, for the level of chance.
        seed: the same seed gives the same verdicts.
    """

    folds: int = 5
    most: int = 20_000
    least: int = 10
    level: float = 0.95
    worth: float = 0.7
    false_share: float = 0.05
    draws: int = 1000
    shuffles: int = 50
    seed: int = 0


class TagVerdict(NamedTuple):
    """The probe's verdict on one tag; figures are NaN below the least count.

    Attributes:
        items, others: how many items have the tag, and how many are compared with them.
        auc, low, high: area under the ROC curve and its interval.
        average_precision, share: and its level of chance.
        p, q: p-value, and the same corrected for the number of tags.
    """

    tag: str
    verdict: Verdict
    items: int
    others: int
    auc: float
    low: float
    high: float
    average_precision: float
    share: float
    p: float
    q: float


class EmbeddedImages(NamedTuple):
    """Embeddings of the images to probe.

    Attributes:
        vectors: (N, D).
        items, tags: of each image.
        skipped: how many images can't be read.
        items_in_all: how many items there are to choose from.
    """

    vectors: npt.NDArray[np.float32]
    items: list[str]
    tags: list[list[str]]
    skipped: int
    items_in_all: int


def embed_images(
    encoder: Encoder,
    manifest: Manifest,
    domain: Domain = "shop",
    settings: ProbeSettings = ProbeSettings(),
    *,
    boxes: bool = False,
    cache: Path | None = None,
    advance: Advance = no_advance,
) -> EmbeddedImages:
    """Embeds the images of a domain without their tags; calls ``advance`` with (done, total).

    Raises:
        DataError: no image of the domain, or no tag, or no image can be read.
    """
    rows = np.flatnonzero(manifest.column("domain") == domain)
    if len(rows) == 0:
        raise DataError(f"the manifest has no {domain} picture to look for tags on")
    tags = manifest.column("tags")
    if not any(tags[row] for row in rows):
        raise DataError(
            f"no {domain} picture has a tag to look for; `hemline data tags` makes them from words"
        )
    items = manifest.column("item_id")
    every = sorted(set(items[rows].tolist()))
    if len(every) > settings.most:
        rng = np.random.default_rng(settings.seed)
        drawn = {every[k] for k in rng.choice(len(every), settings.most, replace=False).tolist()}
        rows = rows[np.array([item in drawn for item in items[rows].tolist()])]
    bare = manifest.with_column("tags", pa.array([[]] * len(manifest), pa.list_(pa.string())))
    vectors, kept, skipped = [], [], 0
    for block in embed(encoder, bare, rows, domain, boxes=boxes, cache=cache, advance=advance):
        vectors.append(block.arrays["embedding"][block.good])
        kept.append(rows[block.start : block.start + len(block.good)][block.good])
        skipped += len(block.skipped)
    used = np.concatenate(kept)
    return EmbeddedImages(
        np.concatenate(vectors),
        items[used].tolist(),
        [tags[row] for row in used],
        skipped,
        len(every),
    )


def probe_images(
    encoder: Encoder,
    images: EmbeddedImages,
    domain: Domain = "shop",
    settings: ProbeSettings = ProbeSettings(),
    *,
    boxes: bool = False,
    advance: Advance = no_advance,
) -> dict[str, Any]:
    """Probes every tag of embedded images; returns the report as JSON has it.

    Calls ``advance`` with (done, total) names of tags.

    Raises:
        UsageError: fewer items than twice the folds.
    """
    verdicts = probe(images.vectors, images.items, images.tags, settings, advance)
    return {
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
        "probe": "tags",
        "domain": domain,
        "crop": "box" if boxes else "none",
        "pictures": len(images.items),
        "skipped": images.skipped,
        "items": len(set(images.items)),
        "items_in_all": images.items_in_all,
        "settings": {name: getattr(settings, name) for name in settings.__dataclass_fields__},
        **{
            verdict.replace(" ", "_"): sum(v.verdict == verdict for v in verdicts)
            for verdict in ("seen", "noise", "too rare")
        },
        "tags": [verdict._asdict() for verdict in verdicts],
    }


def probe(
    vectors: npt.ArrayLike,
    items: list[str],
    tags: list[list[str]],
    settings: ProbeSettings = ProbeSettings(),
    advance: Advance = no_advance,
) -> list[TagVerdict]:
    """Probes every tag by the embeddings (N, D), items and tags of N images.

    Returns:
        Verdicts, seen tags first, each kind by falling area.

    Raises:
        UsageError: fewer items than twice the folds.
    """
    pooled, having = _pool(np.asarray(vectors, np.float64), items, tags)
    if len(pooled) < 2 * settings.folds:
        raise UsageError(
            f"{len(pooled)} products are too few for {settings.folds} folds; "
            f"at least {2 * settings.folds} are needed"
        )
    rng = np.random.default_rng(settings.seed)
    folds = rng.permutation(len(pooled)) % settings.folds
    names: dict[str, list[str]] = {}
    for tag in sorted(having):
        names.setdefault(tag.partition("=")[0], []).append(tag)
    found: list[TagVerdict] = []
    for done, mine in enumerate(names.values()):
        named = np.zeros(len(pooled), bool)
        for tag in mine:
            named |= having[tag]
        groups: dict[bytes, tuple[npt.NDArray[np.bool_], list[str]]] = {}
        for tag in mine:
            among = named if (named & ~having[tag]).sum() >= settings.least else named | True
            if min(having[tag].sum(), (among & ~having[tag]).sum()) < settings.least:
                found.append(_rare(tag, having[tag], among))
            else:
                groups.setdefault(among.tobytes(), (among, []))[1].append(tag)
        for among, several in groups.values():
            labels = np.stack([having[tag][among] for tag in several], 1)
            found += _group(pooled[among], labels, folds[among], several, settings, rng)
        advance(done + 1, len(names))
    return _judge(found, settings)


def _pool(
    vectors: npt.NDArray[np.float64], items: list[str], tags: list[list[str]]
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.bool_]]]:
    """(I, D) the mean of each item's images; tag → (I,) whether one of them has it."""
    _, codes = np.unique(np.asarray(items, dtype=np.str_), return_inverse=True)
    count = int(codes.max()) + 1
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    having: dict[str, npt.NDArray[np.bool_]] = {}
    for code, of_row in zip(codes, tags, strict=True):
        for tag in of_row:
            having.setdefault(tag, np.zeros(count, bool))[code] = True
    return sums / np.bincount(codes)[:, None], having


def _group(
    x: npt.NDArray[np.float64],
    labels: npt.NDArray[np.bool_],
    folds: npt.NDArray[np.int64],
    tags: list[str],
    settings: ProbeSettings,
    rng: np.random.Generator,
) -> list[TagVerdict]:
    """Verdicts on T tags that are compared among the same items: x (I, D), labels (I, T)."""
    fitted = [(fold, Ridge(x[folds != fold])) for fold in np.unique(folds)]

    def scores(truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        result = np.zeros(truth.shape)
        for fold, ridge in fitted:
            result[folds == fold] = ridge.score(truth[folds != fold], x[folds == fold])
        return result

    ours = scores(labels)
    areas = [FoldedArea(ours[:, k], labels[:, k], folds) for k in range(len(tags))]
    chance = np.empty((settings.shuffles, len(tags)))
    for draw in range(settings.shuffles):
        shuffled = labels[rng.permutation(len(labels))]
        theirs = scores(shuffled)
        for k in range(len(tags)):
            chance[draw, k] = FoldedArea(theirs[:, k], shuffled[:, k], folds).value()
    found = []
    for k, (tag, area) in enumerate(zip(tags, areas, strict=True)):
        value = area.value()
        low, high = area.interval(settings.draws, settings.level, rng)
        spread = max(float(np.nanstd(chance[:, k], ddof=1)), area.chance_spread())
        z = (value - max(0.5, float(np.nanmean(chance[:, k])))) / spread
        precision = folded_average_precision(ours[:, k], labels[:, k], folds)
        having = int(labels[:, k].sum())
        found.append(
            TagVerdict(
                tag, "noise", having, len(labels) - having, value, low, high, precision,
                having / len(labels), 0.5 * math.erfc(z / math.sqrt(2.0)), math.nan,
            )
        )  # fmt: skip
    return found


def _rare(tag: str, having: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> TagVerdict:
    nan = math.nan
    count, others = int(having.sum()), int((among & ~having).sum())
    share = count / (count + others)
    return TagVerdict(tag, "too rare", count, others, nan, nan, nan, nan, share, nan, nan)


def _judge(found: list[TagVerdict], settings: ProbeSettings) -> list[TagVerdict]:
    """Verdicts, corrected for the number of tags (Benjamini and Hochberg, 1995)."""
    tested = sorted((v for v in found if v.verdict != "too rare"), key=lambda v: v.p)
    q = 1.0
    judged = [v for v in found if v.verdict == "too rare"]
    for rank in range(len(tested), 0, -1):
        one = tested[rank - 1]
        q = min(q, one.p * len(tested) / rank)
        seen = q <= settings.false_share and one.low > 0.5
        unseen: Verdict = "noise" if one.high < settings.worth else "too rare"
        judged.append(one._replace(q=q, verdict="seen" if seen else unseen))
    order = {"seen": 0, "noise": 1, "too rare": 2}
    return sorted(judged, key=lambda v: (order[v.verdict], -v.auc if v.auc == v.auc else 0, v.tag))


def noise_list(report: Mapping[str, Any]) -> str:
    """A list for `hemline data tags --drop`: the noise, and tags too rare as comments."""
    from hemline.data.manifest.text import join_tags

    lines = [
        f"# Tags that {report['model']} ({report['fingerprint'][:12]}) can't see on "
        f"{report['domain']} pictures of {report['items']:,} products.",
        "# hemline data tags MANIFEST -o OUT --drop THIS; take out a line to keep its tag.",
    ]
    for one in report["tags"]:
        if one["verdict"] == "noise":
            lines.append(f"{join_tags([one['tag']])} # {_figures(one)}")
    lines.append("# Too few products to say; take out the '#' to leave them out too.")
    for one in report["tags"]:
        if one["verdict"] == "too rare":
            lines.append(f"# {join_tags([one['tag']])} # {_figures(one)}")
    return "\n".join(lines) + "\n"


def _figures(one: Mapping[str, Any]) -> str:
    if math.isnan(one["auc"]):
        return f"{one['items']:,} products"
    return f"AUC {one['auc']:.2f} ({one['low']:.2f}-{one['high']:.2f}), {one['items']:,} products"
