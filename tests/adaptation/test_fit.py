from __future__ import annotations

import numpy as np
import pytest

from hemline.adaptation.fit import CENTRE, METHODS, NONE, Fitter, Method, Side

RNG = np.random.default_rng(0)
ITEMS, SIZE = 12, 10


def sides(size: int = SIZE, photos: int = 3) -> tuple[Side, Side]:
    items = np.arange(ITEMS)
    centres = RNG.normal(size=(ITEMS, size))
    asked = np.repeat(items[:8], photos)  # items 8 to 11 have no photo
    street = centres[asked] + RNG.normal(size=(len(asked), size)) * 0.5 + 1
    shop = centres + RNG.normal(size=centres.shape) * 0.2
    return Side(street.astype(np.float32), asked), Side(shop.astype(np.float32), items)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_hand(street: Side, shop: Side, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Both sides mapped by ``pairs``, item by item, with the inverse root of the whole matrix."""
    x = street.vectors - street.vectors.mean(axis=0)
    y = shop.vectors - shop.vectors.mean(axis=0)
    deviation = np.sqrt(((x**2).sum(axis=0) + (y**2).sum(axis=0)) / (len(x) + len(y)))
    x, y = x / deviation, y / deviation
    size = x.shape[1]
    within, gaps, centres = np.zeros((size, size)), np.zeros((size, size)), []
    paired = sorted(set(street.items.tolist()) & set(shop.items.tolist()))
    count = 0
    for item in paired:
        mine = x[street.items == item]
        for one in mine - mine.mean(axis=0):
            within += np.outer(one, one)
            count += 1
        gap = mine.mean(axis=0) - y[shop.items == item].mean(axis=0)
        gaps += np.outer(gap, gap)
        centres += [mine.mean(axis=0), y[shop.items == item].mean(axis=0)]
    spread = within / count + method.shift * gaps / len(paired)
    spread += method.shrinkage * np.trace(spread) / size * np.eye(size)
    values, axes = np.linalg.eigh(spread)
    root = axes @ np.diag(values**-0.5) @ axes.T
    white = np.array(centres) @ root
    _, _, directions = np.linalg.svd(white - white.mean(axis=0))
    matrix = directions[: max(2, round(method.rank * len(paired)))] @ root
    return unit(x @ matrix.T), unit(y @ matrix.T)


@pytest.mark.parametrize("size", [SIZE, 60])  # fewer numbers than samples, and more
@pytest.mark.parametrize("method", [Method("pairs", 1.0, 0.3, 1.0), Method("pairs", 0.3, 0.1, 0.5)])
def test_pairs_agree_with_the_formula_written_out(size: int, method: Method) -> None:
    street, shop = sides(size)
    maps = Fitter(street, shop).fit(method)
    assert maps is not None
    photos, goods = (
        maps.apply(side.vectors, d)[0] for side, d in ((street, "street"), (shop, "shop"))
    )
    ours, theirs = (
        photos @ goods.T,
        np.matmul(*(m if k == 0 else m.T for k, m in enumerate(by_hand(street, shop, method)))),
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_centring_removes_each_domains_mean_and_changes_nothing_else() -> None:
    street, shop = sides()
    maps = Fitter(street, shop).fit(CENTRE)
    assert maps is not None
    expected = unit(street.vectors - street.vectors.mean(axis=0))
    np.testing.assert_allclose(maps.apply(street.vectors, "street")[0], expected, atol=1e-5)
    assert Fitter(street, shop).fit(NONE) is None


def test_a_turn_undoes_a_rotation_of_the_street() -> None:
    _, shop = sides(photos=1)
    rotation = np.linalg.qr(RNG.normal(size=(SIZE, SIZE)))[0].astype(np.float32)
    street = Side(shop.vectors @ rotation, shop.items)
    for turn, right in ((0.0, False), (1e-4, True)):
        maps = Fitter(street, shop).fit(Method("pairs", 10.0, 0.1, 1.0, turn))
        assert maps is not None
        near = maps.apply(street.vectors, "street")[0] @ maps.apply(shop.vectors, "shop")[0].T
        assert (near.argmax(axis=1) == np.arange(ITEMS)).all() == right


@pytest.mark.parametrize("photos", [1, 2])
@pytest.mark.parametrize(
    "method", METHODS, ids=lambda m: "-".join(map(str, m.described().values()))
)
def test_every_method_gives_finite_maps(method: Method, photos: int) -> None:
    street, shop = sides(photos=photos)
    street.vectors[:, 3] = shop.vectors[:, 3] = 0.0  # a number that never varies
    maps = Fitter(street, shop).fit(method)
    if maps is not None:
        assert all(np.isfinite(one).all() for one in maps)
        embedding, length = maps.apply(street.vectors, "street")
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
        assert (length > 0).all()
