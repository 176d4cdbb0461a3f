from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hemline.adaptation.fit import CENTRE, METHODS, NONE, Fitter, Method, Side
from hemline.errors import BundleError
from hemline.runtime.maps import DomainMaps, read_maps
from hemline.runtime.querybank import Querybank

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
        assert all(np.isfinite(one).all() for one in maps[:4])
        embedding, length = maps.apply(street.vectors, "street")
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
        assert (length > 0).all()


@pytest.mark.parametrize("plain", [NONE, CENTRE, Method("pairs", 1.0, 0.3, 1.0)])
def test_a_querybank_lowers_the_score_of_a_hub_as_the_formula_says(plain: Method) -> None:
    street, shop = sides(photos=2)
    method = plain.with_querybanks()[4]
    fitter = Fitter(street, shop)
    linear, maps = fitter.fit(plain) or DomainMaps.same(SIZE), fitter.fit(method)
    assert maps is not None
    assert maps.dim == linear.dim + 2
    photos, goods = linear.apply(street.vectors, "street")[0], linear.apply(shop.vectors, "shop")[0]
    near = np.exp(method.sharpness * (goods.astype(float) @ photos.T)).mean(axis=1)
    hubness = method.hubness / method.sharpness * np.log(near)
    over = hubness - hubness.mean()
    expected = (photos @ goods.T - over) / (1 + np.abs(over).max())
    ours, theirs = maps.apply(street.vectors, "street")[0], maps.apply(shop.vectors, "shop")[0]
    np.testing.assert_allclose(ours @ theirs.T, expected, atol=1e-5)
    for embedding in (ours, theirs):
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)


def test_maps_with_a_querybank_are_read_as_written(tmp_path: Path) -> None:
    street, shop = sides()
    maps = Fitter(street, shop).fit(CENTRE.with_querybanks()[0])
    assert maps is not None
    (tmp_path / "maps.npz").write_bytes(maps.to_bytes())
    again = read_maps(tmp_path / "maps.npz", maps.dim)
    assert again.to_bytes() == maps.to_bytes()
    for domain in ("street", "shop"):
        one, other = (m.apply(street.vectors, domain)[0] for m in (maps, again))
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(BundleError, match="copy the bundle again"):
        read_maps(tmp_path / "maps.npz", maps.dim - 2)
    assert maps.querybank is not None
    for spoilt in ({"bound": 0.0}, {"photos": np.zeros((), np.float32)}):
        bank = maps.querybank._replace(**spoilt)
        (tmp_path / "maps.npz").write_bytes(maps._replace(querybank=bank).to_bytes())
        with pytest.raises(BundleError, match="copy the bundle again"):
            read_maps(tmp_path / "maps.npz", maps.dim)


def test_the_layer_of_trained_models_gives_the_same_numbers() -> None:
    torch = pytest.importorskip("torch")
    from hemline.learn.layers import querybank as layers

    photos, goods = (unit(RNG.normal(size=(n, SIZE))).astype(np.float32) for n in (30, 20))
    bank = Querybank.of(photos, goods, 0.6, 14.0)
    layer = layers.Querybank(layers.QuerybankConfig(photos=30, sharpness=14.0, share=0.6), SIZE)
    layer.fit(torch.tensor(photos), torch.zeros(30), torch.tensor(goods))
    for name, given in (("street", photos), ("shop", goods)):
        there = getattr(layer, name)(torch.tensor(given)).numpy()
        expected = there / np.linalg.norm(there, axis=1, keepdims=True)
        np.testing.assert_allclose(getattr(bank, name)(given), expected, atol=1e-5)
