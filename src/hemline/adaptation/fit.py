"""Linear maps of both domains, fitted in closed form with NumPy on the vectors of images.

The metric of `hemline.learn.layers.domain_maps` without PyTorch: within-class covariance
normalisation (Hatch, Kajarekar and Stolcke, Interspeech 2006), extended by the shift between
domains. Few images leave most directions unseen, so all is computed in the span of the samples.
A querybank of the photos may follow (`hemline.runtime.querybank`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hemline.runtime.maps import DomainMaps
from hemline.runtime.querybank import Querybank
from hemline.types import FloatArray

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: A direction with less than this share of the mean standard deviation counts as having it.
_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class Method:
    """One way to fit the maps.

    Attributes:
        name: ``none`` (embeddings stay as they are), ``centre`` (each domain's mean is removed),
            ``whiten`` (the variance of all images is evened out), or ``pairs`` (the variance among
            images of one item, and between its street and shop images).
        shrinkage: share of the mean variance that is added to every direction.
        shift: of ``pairs``, weight of the street-to-shop difference of each item beside the
            variance within a domain.
        rank: of ``pairs``, D as a multiple of the number of items; of ``whiten``, of the images.
        turn: of ``pairs``, if not 0, the mapped photos are also turned towards the shop images of
            their items by a ridge regression with this share of the mean variance.
        hubness: of every method, share (0-1) of a shop image's similarity to all photos that is
            taken off its scores; the photos of the fitting are the querybank.
        sharpness: with ``hubness``, see `Querybank`.
    """

    name: str
    shrinkage: float = 0.0
    shift: float = 0.0
    rank: float = 0.0
    turn: float = 0.0
    hubness: float = 0.0
    sharpness: float = 0.0

    @property
    def plain(self) -> Method:
        """The same without a querybank."""
        return replace(self, hubness=0.0, sharpness=0.0)

    def with_querybanks(self) -> tuple[Method, ...]:
        """The same with each querybank of `QUERYBANKS`."""
        return tuple(replace(self, hubness=share, sharpness=sharp) for share, sharp in QUERYBANKS)

    def described(self) -> dict[str, Any]:
        """Its settings other than 0, as JSON."""
        return {key: value for key, value in asdict(self).items() if value}


NONE, CENTRE = Method("none"), Method("centre")
#: What cross-validation chooses from; the simpler of two equals comes first.
METHODS: tuple[Method, ...] = (
    NONE,
    CENTRE,
    *(Method("whiten", shrinkage, rank=1.0) for shrinkage in (10.0, 1.0, 0.1)),
    *(
        Method("pairs", shrinkage, shift, rank)
        for shift in (0.1, 0.3)
        for rank in (1.0, 0.5)
        for shrinkage in (30.0, 10.0, 3.0, 1.0, 0.3)
    ),
    *(
        Method("pairs", shrinkage, 0.1, 1.0, turn)
        for turn in (10.0, 1.0, 0.1)
        for shrinkage in (10.0, 3.0, 1.0)
    ),
)
#: Hubness and sharpness that cross-validation chooses from once the maps are chosen.
QUERYBANKS = tuple((share, sharp) for share in (0.3, 0.6, 1.0) for sharp in (10.0, 20.0, 40.0))
#: Most numbers of a fitted embedding, without those of a querybank.
MOST_DIMENSIONS = 512
#: Most photos of a querybank.
_BANK, _SEED = 1000, 0xBA2C


class Side(NamedTuple):
    """Vectors (N, E) of one domain's images and the number (N,) of each one's item."""

    vectors: FloatArray
    items: Ints


class Fitter:
    """Fits several methods on the same images; what they share is computed once.

    Args:
        street, shop: the images to learn from; items without a pair only count within a domain.
        blocks: how many of the E numbers each layer has, by default one layer; all layers weigh the
            same. The last is the bundle's embedding, which ``none`` and ``centre`` use alone.
    """

    def __init__(self, street: Side, shop: Side, blocks: Sequence[int] = ()) -> None:
        self.street_mean = street.vectors.mean(axis=0, dtype=np.float64)
        self.shop_mean = shop.vectors.mean(axis=0, dtype=np.float64)
        x, y = street.vectors - self.street_mean, shop.vectors - self.shop_mean
        sizes = blocks or (x.shape[1],)
        self._own = sizes[-1]
        share = np.concatenate([np.full(size, size**-0.5) for size in sizes])
        deviation = np.sqrt((np.sum(x * x, axis=0) + np.sum(y * y, axis=0)) / (len(x) + len(y)))
        self.scale = share / np.maximum(deviation, _FLOOR * max(float(deviation.mean()), 1e-12))
        self._x, self._y = x * self.scale, y * self.scale
        self.paired = np.intersect1d(street.items, shop.items)
        street_means, street_gaps = _by_item(self._x, street.items)
        shop_means, shop_gaps = _by_item(self._y, shop.items)
        self._photos = street_means[np.searchsorted(np.unique(street.items), self.paired)]
        self._goods = shop_means[np.searchsorted(np.unique(shop.items), self.paired)]
        self._within = np.concatenate([street_gaps, shop_gaps])
        self._spreads: dict[tuple[str, float], tuple[Doubles, Doubles]] = {}
        self._street, self._shop = street.vectors, shop.vectors
        self._last: tuple[Method, DomainMaps | None] | None = None  # without a querybank

    def fit(self, method: Method) -> DomainMaps | None:
        """The maps; None for the method ``none`` without a querybank."""
        if self._last is None or self._last[0] != method.plain:
            self._last = method.plain, self._linear(method.plain)
        maps = self._last[1]
        return maps if method.hubness == 0 else self._with_querybank(maps, method)

    def _with_querybank(self, maps: DomainMaps | None, method: Method) -> DomainMaps:
        """The maps, or none, with the bank of the photos."""
        maps = DomainMaps.same(self._own) if maps is None else maps
        width = maps.street_weight.shape[1]
        drawn = np.random.default_rng(_SEED).permutation(len(self._street))[:_BANK]
        photos, _ = maps.apply(self._street[np.sort(drawn), -width:], "street")
        goods, _ = maps.apply(self._shop[:, -width:], "shop")
        bank = Querybank.of(photos, goods, method.hubness, method.sharpness)
        return maps._replace(querybank=bank)

    def _linear(self, method: Method) -> DomainMaps | None:
        size = self._x.shape[1]
        if method.name == "none":
            return None
        if method.name == "centre":
            one = np.eye(self._own)
            return self._maps(one, one)
        values, axes = self._spread(method)
        level = method.shrinkage * values.sum() / size
        # S^(-1/2) = (1 + axes · (factor - 1) · axes') / sqrt(level), and a scale changes nothing.
        less = np.sqrt(level / (values + level)) - 1.0
        centres = self._centres(method)
        white = centres + (centres @ axes * less) @ axes.T
        strength, directions = _principal(white - white.mean(axis=0))
        count = len(self.paired) if method.name == "pairs" else len(centres)
        kept = max(2, min(round(method.rank * count), MOST_DIMENSIONS, len(strength)))
        matrix = directions[:, :kept].T  # (D, E)
        matrix = matrix + (matrix @ axes * less) @ axes.T
        # A scale changes nothing; lengths of about 1 are stored well as float32.
        matrix *= len(matrix) ** 0.5 / max(float(np.linalg.norm(matrix * self.scale)), 1e-12)
        street = matrix + self._turn(matrix, method.turn) if method.turn else matrix
        return self._maps(street * self.scale, matrix * self.scale)

    def _turn(self, matrix: Doubles, share: float) -> Doubles:
        """What is added to the street's (D, E), by ridge regression of items' differences."""
        photos, goods = self._photos @ matrix.T, self._goods @ matrix.T  # (I, D)
        spread = photos.T @ photos
        spread.flat[:: len(spread) + 1] += share * max(float(spread.trace()) / len(spread), 1e-12)
        turned: Doubles = np.linalg.solve(spread, photos.T @ (goods - photos)).T @ matrix
        return turned

    def _centres(self, method: Method) -> Doubles:
        if method.name == "pairs":
            return np.concatenate([self._photos, self._goods])
        return np.concatenate([self._x, self._y])

    def _spread(self, method: Method) -> tuple[Doubles, Doubles]:
        """Variances (K,), and their directions (E, K), that the method evens out."""
        key = (method.name, method.shift)
        if key not in self._spreads:
            if method.name == "pairs":
                gap = self._photos - self._goods
                weighed = gap * np.sqrt(method.shift / max(1, len(gap)))
                parts = [self._within / np.sqrt(max(1, len(self._within))), weighed]
                samples = np.concatenate(parts)
            else:
                samples = self._centres(method)
                samples = samples / np.sqrt(len(samples))
            self._spreads[key] = _principal(samples)
        return self._spreads[key]

    def _maps(self, street: Doubles, shop: Doubles) -> DomainMaps:
        """Two (D, E), or of the last numbers only, → the maps, which remove each domain's mean."""
        width = street.shape[1]
        return DomainMaps(
            street.astype(np.float32),
            (-street @ self.street_mean[-width:]).astype(np.float32),
            shop.astype(np.float32),
            (-shop @ self.shop_mean[-width:]).astype(np.float32),
        )


def _by_item(vectors: Doubles, items: Ints) -> tuple[Doubles, Doubles]:
    """Means (I, E) of the items in rising order; differences to them, of items with several
    images."""
    _, places, counts = np.unique(items, return_inverse=True, return_counts=True)
    order = np.argsort(places, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(vectors[order], starts, axis=0) / counts[:, None]
    several = counts[places] > 1
    return means, vectors[several] - means[places[several]]


def _principal(samples: Doubles) -> tuple[Doubles, Doubles]:
    """Eigenvalues (K,), falling, and eigenvectors (E, K) of samples' · samples, (N, E) → (E, E);
    directions without variance are left out."""
    rows, columns = samples.shape
    if rows == 0:
        return np.zeros(0), np.zeros((columns, 0))
    if rows >= columns:
        values, vectors = np.linalg.eigh(samples.T @ samples)
    else:
        values, vectors = np.linalg.eigh(samples @ samples.T)
    kept = np.flatnonzero(values > values[-1] * 1e-9)[::-1]
    values, vectors = values[kept], vectors[:, kept]
    if rows < columns:
        vectors = samples.T @ vectors / np.sqrt(values)
    return values, vectors
