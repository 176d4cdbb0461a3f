"""Which method, by cross-validation over items; and what it gives on items kept out.

Two loops: the items are cut into folds; the maps that a fold's photos are searched with, and their
method, come from the other folds alone. So no photo is measured with maps that saw its item, every
photo counts once, and the maps that are written are fitted on all items.
Source: S. Varma, R. Simon, "Bias in error estimation when using cross-validation for model
selection", BMC Bioinformatics 7:91, 2006 (nested cross-validation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hemline.adaptation.fit import METHODS, NONE, Fitter, Method, Side
from hemline.progress import Advance, no_advance
from hemline.ranking.distances import block_rows
from hemline.runtime.maps import DomainMaps
from hemline.types import FloatArray

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Folds of items: of the measurement, and of the choice inside each.
OUTER, INNER = 5, 4
#: With few photos the choice is repeated with other folds, up to so many photos and times in all.
_PHOTOS, _TIMES = 500, 5
#: Hits of a photo that are kept for the thresholds of scores.
TOP = 20


@dataclass(slots=True)
class Images:
    """The encoded images of both domains; items have numbers.

    Attributes:
        street, shop: vectors and items; the shop images are the gallery.
        same: (Q,) place in the gallery of the very image that a query is, or -1.
        blocks: the parts of the vectors; the last is the bundle's embedding, see `Fitter`.
    """

    street: Side
    shop: Side
    same: Ints
    blocks: tuple[int, ...]

    @property
    def queries(self) -> Ints:
        """Places of the street images that can be found: their item has another image there."""
        item_of_same = np.where(self.same < 0, -1, self.shop.items[self.same])
        counts = np.bincount(self.shop.items, minlength=int(self.street.items.max(initial=0)) + 1)
        others = counts[self.street.items] - (item_of_same == self.street.items)
        return np.flatnonzero(others > 0)

    def without(self, items: Ints) -> tuple[Side, Side]:
        """Both sides without the images of some items."""
        street = ~np.isin(self.street.items, items)
        shop = ~np.isin(self.shop.items, items)
        return (
            Side(self.street.vectors[street], self.street.items[street]),
            Side(self.shop.vectors[shop], self.shop.items[shop]),
        )


@dataclass(slots=True)
class Outcome:
    """What searching with photos gave; one entry for each query.

    Attributes:
        ranks: (Q,) rank of the item, from 1.
        scores: (Q, TOP) similarities of the first items, NaN where there are fewer; of every fifth
            photo without its own item, as a shop lacks things too.
        right: (Q, TOP) whether each is the item.
    """

    ranks: Ints
    scores: Doubles = field(default_factory=lambda: np.zeros((0, TOP)))
    right: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, TOP), bool))


#: (places of queries) → similarities (q, G) to the gallery.
Similarity = Callable[[Ints], npt.NDArray[np.floating]]


def mapped(images: Images, maps: DomainMaps | None) -> Similarity:
    """Similarities under maps, or of the bundle's own embeddings.

    Maps of fewer numbers than the vectors have belong to the embedding, the last part.
    """
    width = images.blocks[-1] if maps is None else maps.street_weight.shape[1]
    street, shop = images.street.vectors[:, -width:], images.shop.vectors[:, -width:]
    if maps is None:
        return lambda places: _unit(street[places]) @ _unit(shop).T
    goods, _ = maps.apply(shop, "shop")
    return lambda places: maps.apply(street[places], "street")[0] @ goods.T


def search(images: Images, similarity: Similarity, places: Ints, hits: bool = False) -> Outcome:
    """The item ranks of some queries; an item at the same similarity counts as ahead.

    Args:
        hits: also keep scores and right hits.
    """
    order = np.argsort(images.shop.items, kind="stable")
    items, starts = np.unique(images.shop.items[order], return_index=True)
    outcome = Outcome(np.zeros(len(places), np.int64))
    kept: list[tuple[Doubles, npt.NDArray[np.bool_]]] = []
    step = block_rows(len(order))
    for start in range(0, len(places), step):
        some = places[start : start + step]
        found = np.array(similarity(some), np.float64)
        own = np.flatnonzero(images.same[some] >= 0)
        found[own, images.same[some[own]]] = -np.inf
        best = np.maximum.reduceat(found[:, order], starts, axis=1)  # (q, I)
        place = np.searchsorted(items, images.street.items[some])
        mine = best[np.arange(len(some)), place]
        outcome.ranks[start : start + len(some)] = (best >= mine[:, None]).sum(axis=1)
        if hits:
            absent = np.flatnonzero((start + np.arange(len(some))) % 5 == 0)
            best[absent, place[absent]] = np.nan
            kept.append(_first(best, place))
    if kept:
        outcome.scores = np.concatenate([scores for scores, _ in kept])
        outcome.right = np.concatenate([right for _, right in kept])
    return outcome


def _first(best: Doubles, place: Ints) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    first = np.argsort(-best, axis=1, kind="stable")[:, :TOP]  # NaN comes last
    scores = np.full((len(best), TOP), np.nan)
    right = np.zeros((len(best), TOP), bool)
    scores[:, : first.shape[1]] = np.take_along_axis(best, first, axis=1)
    right[:, : first.shape[1]] = first == place[:, None]
    return scores, right & np.isfinite(scores)


def folds(items: Ints, count: int, seed: int) -> list[Ints]:
    """The distinct items in random order, cut into parts of about equal size."""
    shuffled = np.random.default_rng([seed, 0xADA]).permutation(np.unique(items))
    return [np.asarray(part, np.int64) for part in np.array_split(shuffled, count)]


def choose(
    images: Images,
    seed: int,
    methods: Sequence[Method] = METHODS,
    kept_out: Ints | None = None,
    step: Callable[[], None] = lambda: None,
    querybanks: bool = True,
) -> Method:
    """The method with the highest mean reciprocal rank over items that its maps haven't seen; of
    equal ones the first. The maps are chosen first, then whether a querybank follows.

    Args:
        kept_out: items that take no part.
        step: called after each fold; there are `folds_of_choice`.
        querybanks: whether methods with a querybank may be chosen.
    """
    out = np.zeros(0, np.int64) if kept_out is None else kept_out
    best = methods[int(np.argmax(_totals(images, seed, methods, out, step)))]
    if not querybanks:
        return best
    tried = (best, *best.with_querybanks())
    return tried[int(np.argmax(_totals(images, seed, tried, out, step)))]


def _totals(
    images: Images, seed: int, methods: Sequence[Method], out: Ints, step: Callable[[], None]
) -> Doubles:
    """(M,) the sum of each method's reciprocal ranks."""
    queries = images.queries
    queries = queries[~np.isin(images.street.items[queries], out)]
    totals = np.zeros(len(methods))
    asked = images.street.items[queries]
    for fold in (f for n in range(repeats(images)) for f in folds(asked, INNER, seed + n)):
        places = queries[np.isin(images.street.items[queries], fold)]
        fitter = Fitter(*images.without(np.concatenate([fold, out])), images.blocks)
        for number, method in enumerate(methods):
            ranks = search(images, mapped(images, fitter.fit(method)), places).ranks
            totals[number] += (1.0 / ranks).sum()
        step()
    return totals


def folds_of_choice(images: Images) -> int:
    """How often `choose` calls its ``step``."""
    return 2 * INNER * repeats(images)


def repeats(images: Images) -> int:
    """How often the choice is repeated."""
    return max(1, min(_TIMES, _PHOTOS // max(1, len(images.queries))))


def measure(
    images: Images,
    seed: int,
    methods: Sequence[Method] = METHODS,
    advance: Advance = no_advance,
) -> tuple[Method, Outcome, list[Method]]:
    """The method for all items; the outcome of every query, with maps that haven't seen its item;
    and the method that each fold chose.

    The outcome's entries are in the order of `Images.queries`.
    """
    queries = images.queries
    outcome = Outcome(
        np.zeros(len(queries), np.int64), np.full((len(queries), TOP), np.nan),
        np.zeros((len(queries), TOP), bool),
    )  # fmt: skip
    steps = _steps(advance, (OUTER + 1) * folds_of_choice(images))
    chosen = []
    for fold in folds(images.street.items[queries], OUTER, seed):
        method = choose(images, seed + _TIMES, methods, fold, lambda: next(steps))
        chosen.append(method)
        maps = Fitter(*images.without(fold), images.blocks).fit(method)
        mine = np.flatnonzero(np.isin(images.street.items[queries], fold))
        found = search(images, mapped(images, maps), queries[mine], hits=True)
        outcome.ranks[mine] = found.ranks
        outcome.scores[mine], outcome.right[mine] = found.scores, found.right
    return choose(images, seed, methods, None, lambda: next(steps)), outcome, chosen


def fitted(images: Images, method: Method) -> DomainMaps | None:
    """The maps of all images."""
    return None if method == NONE else Fitter(images.street, images.shop, images.blocks).fit(method)


def _steps(advance: Advance, total: int) -> Iterator[None]:
    for done in range(1, total + 1):
        advance(done, total)
        yield


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
