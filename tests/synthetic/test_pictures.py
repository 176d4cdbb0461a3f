"""What the generator draws: the same for one seed, labels that follow the warp, honest records."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hemline.errors import UsageError
from hemline.synthetic import (
    ATTRIBUTES,
    DISTURBANCES,
    LANDMARKS,
    Drawing,
    SyntheticSettings,
    draw_product,
    draw_shop,
    draw_street,
)
from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import apply
from hemline.synthetic.drawing import camera
from hemline.synthetic.figure import Figure, random_pose
from hemline.synthetic.outfit import add_product
from hemline.synthetic.product import category_of, split_of
from hemline.synthetic.seeds import generator

SEED = 5
SMALL = SyntheticSettings(size=96)


def first_of(category: str, start: int = 0) -> int:
    return next(i for i in range(start, 5000) if category_of(SEED, i) == category)


def check_labels(drawing: Drawing, size: int) -> None:
    assert drawing.image.shape == (size, size, 3)
    assert drawing.image.dtype == np.uint8
    x1, y1, x2, y2 = drawing.box
    assert 0 <= x1 < x2 <= size
    assert 0 <= y1 < y2 <= size
    assert drawing.landmarks.shape == (8, 3)
    assert set(drawing.disturbance) == set(DISTURBANCES)
    for x, y, v in drawing.landmarks:
        assert v in (0, 1, 2)
        if v:
            assert x1 - 3 <= x <= x2 + 3
            assert y1 - 3 <= y <= y2 + 3
        else:
            assert x == y == 0


def test_nine_attributes_all_covered() -> None:
    assert list(ATTRIBUTES) == [
        *("category", "button", "color", "length", "pattern", "shape", "collar"),
        *("sleeve_length", "sleeve_shape"),
    ]
    assert len(ATTRIBUTES["category"]) >= 15
    seen: dict[str, set[str]] = {name: set() for name in ATTRIBUTES}
    for index in range(4000):
        for name, value in draw_product(SEED, index).attributes.items():
            seen[name].add(value)
    for name, values in ATTRIBUTES.items():
        assert seen[name] == set(values), name


def test_tags_fit_the_group() -> None:
    for index in range(200):
        product = draw_product(SEED, index)
        names = [tag.split("=")[0] for tag in product.tags]
        assert len(names) == len(set(names))
        assert ("collar" in names) == (product.group != "lower")
        assert product.price > 0
        assert product.title


def test_products_are_distinct_and_some_are_twins() -> None:
    twins = 0
    seen = set()
    for index in range(400):
        product = draw_product(SEED, index)
        key = (product.tags, tuple(product.latents.items()), product.palette, product.print_seed)
        assert key not in seen
        seen.add(key)
        if index % 2:
            before = draw_product(SEED, index - 1)
            same = [
                before.attributes[n] == v
                for n, v in product.attributes.items()
                if n in before.attributes
            ]
            if len(same) == len(product.attributes) and same.count(False) <= 1:
                twins += 1
            assert split_of(SEED, index) == split_of(SEED, index - 1)
    assert 40 < twins < 140


def test_splits_are_seventy_ten_twenty() -> None:
    splits = [split_of(SEED, index) for index in range(200)]
    assert [splits.count(name) for name in ("train", "val", "test")] == [140, 20, 40]


@pytest.mark.parametrize("category", ATTRIBUTES["category"])
def test_every_category_draws(category: str) -> None:
    product = draw_product(SEED, first_of(category))
    for drawing in (draw_shop(product, SMALL, SEED), draw_street(product, SMALL, SEED)):
        check_labels(drawing, 96)
    clean = draw_shop(product, SyntheticSettings.clean(96), SEED)
    check_labels(clean, 96)
    named = {name for name, p in zip(LANDMARKS, clean.landmarks, strict=True) if p[2]}
    parts = {"upper": ("collar", "sleeve", "hem"), "lower": ("waistline", "hem")}
    wanted = parts.get(product.group, ("collar", "sleeve", "waistline", "hem"))
    assert named == {f"{side}_{part}" for side in ("left", "right") for part in wanted}


def test_same_seed_same_bytes_another_seed_other_bytes() -> None:
    product = draw_product(SEED, 3)
    for draw in (draw_shop, draw_street):
        one, two = draw(product, SMALL, SEED), draw(product, SMALL, SEED)
        assert np.array_equal(one.image, two.image)
        assert np.array_equal(one.landmarks, two.landmarks)
        assert one.disturbance == two.disturbance
        assert not np.array_equal(one.image, draw(product, SMALL, SEED + 1).image)
        assert not np.array_equal(one.image, draw(product, SMALL, SEED, view=1).image)


@pytest.mark.parametrize("category", ["dress", "shirt", "trousers", "skirt"])
def test_labels_follow_the_warp(category: str) -> None:
    """The mask drawn under a camera is the mask drawn upright, warped; so are the landmarks."""
    product = draw_product(SEED, first_of(category))
    figure = Figure(random_pose(generator(1), 0.7))
    marks = add_product(figure, product, True)
    plain = np.diag([0.25, 0.25, 1.0])
    warped = camera((-480, -20, 480, 1000), 260, 0.2, (0.2, -0.15), (0.02, 0.0))
    plain[0, 2] = 130
    masks = []
    for transform in (plain, warped):
        canvas = Canvas(np.zeros((260, 260, 3), np.uint8), transform)
        figure.draw(canvas)
        masks.append(canvas.target)
        box = canvas.box()
        ys, xs = np.nonzero(canvas.target)
        assert np.allclose(box, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), atol=2.5)
        grown = cv2.dilate(canvas.target, np.ones((7, 7), np.uint8))
        for point in marks.values():
            x, y = apply(transform, point[None])[0]
            if 0 <= x < 260 and 0 <= y < 260:
                assert grown[int(y), int(x)], category
    moved = cv2.warpPerspective(
        masks[0], warped @ np.linalg.inv(plain), (260, 260), flags=cv2.INTER_NEAREST
    )
    union = np.count_nonzero((moved > 0) | (masks[1] > 0))
    assert np.count_nonzero((moved > 0) & (masks[1] > 0)) > 0.95 * union


def test_left_and_right_are_the_wearers() -> None:
    """From the front the wearer's left is at the picture's right, but not in a mirror."""
    product = draw_product(SEED, first_of("t-shirt"))
    still = SyntheticSettings.clean(128)
    for mirror, side in ((0.0, 1), (1.0, -1)):
        drawing = draw_street(product, replace(still, mirror=mirror), SEED)
        left, right = drawing.landmarks[LANDMARKS.index("left_hem")], drawing.landmarks[-1]
        assert left[2]
        assert right[2]
        assert (left[0] - right[0]) * side > 0
        assert drawing.disturbance["mirror"] == mirror


def test_strength_zero_is_clean() -> None:
    clean = SyntheticSettings.clean(96)
    for index in range(12):
        product = draw_product(SEED, index)
        for drawing in (draw_shop(product, clean, SEED), draw_street(product, clean, SEED)):
            record = dict(drawing.disturbance)
            assert record.pop("scale") > 0.2
            assert all(value == 0 for value in record.values()), record
            named = drawing.landmarks[drawing.landmarks[:, 2] > 0]
            assert (named[:, 2] == 2).all()


@pytest.mark.parametrize(
    "name", ["others", "clutter", "occlusion", "light", "blur", "noise", "jpeg"]
)
def test_each_strength_has_its_effect(name: str) -> None:
    base = SyntheticSettings.clean(96)
    base = replace(base, others=0.6) if name == "occlusion" else base
    strong = replace(base, **{name: 1.0})  # type: ignore[arg-type]
    low = [draw_street(draw_product(SEED, i), base, SEED).disturbance[name] for i in range(16)]
    high = [draw_street(draw_product(SEED, i), strong, SEED).disturbance[name] for i in range(16)]
    assert np.mean(high) > np.mean(low)


def test_crop_takes_the_product_out_of_the_frame() -> None:
    base = SyntheticSettings.clean(96)
    cut = replace(base, crop=1.0)
    shares = [draw_street(draw_product(SEED, i), cut, SEED).disturbance["crop"] for i in range(16)]
    assert max(shares) > 0.1


def test_occluded_landmarks_are_marked() -> None:
    strong = SyntheticSettings(size=96, occlusion=1.0)
    states = np.concatenate(
        [draw_street(draw_product(SEED, i), strong, SEED).landmarks[:, 2] for i in range(24)]
    )
    assert {0.0, 1.0, 2.0} == set(states)


def test_shop_wears_other_products() -> None:
    counts = [
        draw_shop(draw_product(SEED, i), replace(SMALL, others=1.0), SEED).disturbance["others"]
        for i in range(12)
    ]
    assert min(counts) >= 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"others": 1.5}, "others must be a number between 0 and 1"),
        ({"blur": float("nan")}, "blur must be a number"),
        ({"size": 10}, "size must lie between"),
        ({"size": 96.5}, "size must be a whole number"),
    ],
)
def test_settings_say_what_is_wrong(bad: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SyntheticSettings(**bad)  # type: ignore[arg-type]
