"""Which tags can be *seen*: a linear probe of each tag on a model's embeddings of the pictures.

The YNet paper (Ji et al., ACM MM 2017) takes tags that shops wrote and expects better results
without the noisy ones. A tag is **seen** where a linear classifier finds it, better than chance,
on products that it wasn't fitted to. It is **noise** where the area under its curve is no better
than chance and surely below `ProbeSettings.worth`; **too rare** where too few products have it to
say either. One sample is one product: the mean of its pictures' embeddings. A product's other
values of the same name are the counter-examples: what a shop doesn't say is no "no".

Pictures are embedded **without their tags**: a model that looks where tags point would otherwise
be told what it is asked. Products are parted in folds; pairs are compared within a fold.

Many tags are tested at once, so some would look seen by luck. A tag's p-value comes from its area's
distance from that of shuffled tags, the classifier fitted anew to each shuffle; the procedure of
Benjamini and Hochberg (1995) then bounds the expected share of false ones among the seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
from hemline.types import Domain

Advance = Callable[[int, int], None]
Verdict = Literal["seen", "noise", "too rare"]


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How tags are probed.

    Attributes:
        folds: parts of the products; each is scored by a classifier fitted to the others.
        most: products that are probed; of more, so many by lot.
        least: products that must have a tag, and as many that have another value of its name.
        level: of the interval, 0-1.
        worth: the area that a tag worth having would reach; noise is surely below it.
        false_share: the expected share of false ones among the tags called seen, at most.
        draws: resamples of the products for the interval.
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
    """What the probe says of one tag; figures are NaN under the least count.

    ``items`` have the tag, ``others`` are compared with them; ``auc`` with its interval ``low`` to
    ``high``; ``average_precision`` beside its chance, ``share``; ``p`` and the same, corrected for
    the number of tags, ``q``.
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


class Pictures(NamedTuple):
    """Embeddings (N, D) of pictures, with the product and the tags of each; how many were left out.

    ``skipped`` can't be read; ``items_in_all`` is how many products there are to choose from.
    """

    vectors: npt.NDArray[np.float32]
    items: list[str]
    tags: list[list[str]]
    skipped: int
    items_in_all: int


def embed_pictures(
    encoder: Encoder,
    manifest: Manifest,
    domain: Domain = "shop",
    settings: ProbeSettings = ProbeSettings(),
    *,
    boxes: bool = False,
    cache: Path | None = None,
    advance: Advance | None = None,
) -> Pictures:
    """Embeds the pictures of a domain, their tags hidden; ``advance`` is told (done, total).

    Raises:
        DataError: no picture of the domain, or no tag, or no picture can be read.
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
        lot = np.random.default_rng(settings.seed).choice(len(every), settings.most, replace=False)
        mine = {every[k] for k in lot.tolist()}
        rows = rows[np.array([item in mine for item in items[rows].tolist()])]
    bare = manifest.with_column("tags", pa.array([[]] * len(manifest), pa.list_(pa.string())))
    vectors, kept, skipped = [], [], 0
    for block in embed(encoder, bare, rows, domain, boxes=boxes, cache=cache, advance=advance):
        vectors.append(block.arrays["embedding"][block.good])
        kept.append(rows[block.start : block.start + len(block.good)][block.good])
        skipped += len(block.skipped)
    used = np.concatenate(kept)
    return Pictures(
        np.concatenate(vectors),
        items[used].tolist(),
        [tags[row] for row in used],
        skipped,
        len(every),
    )


def probe_pictures(
    encoder: Encoder,
    pictures: Pictures,
    domain: Domain = "shop",
    settings: ProbeSettings = ProbeSettings(),
    *,
    boxes: bool = False,
    advance: Advance | None = None,
) -> dict[str, Any]:
    """Probes every tag of embedded pictures; the report as JSON has it.

    ``advance`` is told (done, total) names of tags.

    Raises:
        UsageError: fewer products than folds need.
    """
    verdicts = probe(pictures.vectors, pictures.items, pictures.tags, settings, advance)
    return {
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
        "probe": "tags",
        "domain": domain,
        "crop": "box" if boxes else "none",
        "pictures": len(pictures.items),
        "skipped": pictures.skipped,
        "items": len(set(pictures.items)),
        "items_in_all": pictures.items_in_all,
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
    advance: Advance | None = None,
) -> list[TagVerdict]:
    """Probes every tag; vectors (N, D), and the product and tags of each of the N pictures.

    Returns:
        Sorted: seen ones first, each kind from the greatest area.

    Raises:
        UsageError: fewer products than twice the folds.
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
        if advance is not None:
            advance(done + 1, len(names))
    return _judge(found, settings)


def _pool(
    vectors: npt.NDArray[np.float64], items: list[str], tags: list[list[str]]
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.bool_]]]:
    """(I, D) the mean of each product's pictures; tag → (I,) whether one of them has it."""
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
    """Tags (T) that are compared among the same products: x (I, D), labels (I, T)."""
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
    """Corrects for the number of tags (Benjamini and Hochberg, 1995), and gives the verdicts."""
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
    """The text of a list for `hemline data tags --drop`: noise; what is too rare as comments."""
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
