"""The fast geometry and blends against slow, obvious references."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.cloth import TILE
from hemline.synthetic.curves import Array, smooth, spline, tube
from hemline.synthetic.figure import Figure, Pose, random_pose, rest_pose
from hemline.synthetic.textures import blank, lerp

RNG = np.random.default_rng(3)


def catmull_rom(points: list[Array], t: float) -> Array:
    a, b, c, d = points
    point: Array = 0.5 * (
        2 * b
        + (c - a) * t
        + (2 * a - 5 * b + 4 * c - d) * t * t
        + (3 * b - a - 3 * c + d) * t * t * t
    )
    return point


@pytest.mark.parametrize(("n", "steps"), [(3, 4), (5, 3), (9, 6)])
def test_curves_are_catmull_rom(n: int, steps: int) -> None:
    p = RNG.uniform(-50, 50, (n, 2))
    padded = [2 * p[0] - p[1], *p, 2 * p[-1] - p[-2]]
    slow = [catmull_rom(padded[k : k + 4], j / steps) for k in range(n - 1) for j in range(steps)]
    np.testing.assert_allclose(spline(p, steps), [*slow, p[-1]], atol=1e-9)
    np.testing.assert_allclose(spline(np.stack([p, p + 1]), steps)[1], spline(p + 1, steps))
    ring = [
        catmull_rom([p[(k + i) % n] for i in (-1, 0, 1, 2)], j / steps)
        for k in range(n)
        for j in range(steps)
    ]
    np.testing.assert_allclose(smooth(p, steps), ring, atol=1e-9)


def test_a_tube_stands_off_its_path_by_its_width() -> None:
    path = np.array([(0.0, 0.0), (0.0, 10.0), (0.0, 20.0)])
    outline = tube(path, (3, 4, 5))
    np.testing.assert_allclose(outline[:3], [(-3, 0), (-4, 10), (-5, 20)], atol=1e-9)
    np.testing.assert_allclose(outline[3:6], [(5, 20), (4, 10), (3, 0)], atol=1e-9)
    np.testing.assert_allclose(np.hypot(*outline[6:].T), 3, atol=1e-9)
    assert (outline[6:, 1] < 0).all()
    assert len(tube(path, (3, 4, 5), False)) == 6


def on_body(pose: Pose, x: float, y: float) -> tuple[float, float]:
    turn, rise = math.sin(pose.yaw), (490 - y) / 290
    up = min(max(rise, 0), 1.15)
    nx = x * (1 - 0.3 * turn**2) + 34 * turn * max(1 - x * x / 11025, 0)
    nx += pose.hip * min(max(1.3 - abs(rise), 0), 1)
    nx += math.sin(pose.lean) * 290 * up * (0.35 + 0.65 * up)
    return nx, y + x * pose.tilt * min(max(rise, -0.6), 1.1)


@pytest.mark.parametrize("count", [1, 5, 20, 21, 70])
@pytest.mark.parametrize("seed", range(3))
def test_few_points_and_many_lie_on_the_same_body(count: int, seed: int) -> None:
    figure = Figure(random_pose(np.random.default_rng(seed), 1.0))
    points = RNG.uniform((-150, -20), (150, 1000), (count, 2))
    slow = [on_body(figure.pose, x, y) for x, y in points]
    np.testing.assert_allclose(figure.body(points), slow, atol=1e-9)
    one, two = figure.bodies([points, points[:1]])
    np.testing.assert_allclose(one, slow, atol=1e-9)
    np.testing.assert_allclose(two, slow[:1], atol=1e-9)


def test_an_upright_body_moves_nothing_and_shares_nothing() -> None:
    figure = Figure(rest_pose())
    points = RNG.uniform(0, 500, (30, 2))
    placed = figure.body(points)
    assert np.array_equal(placed, points)
    placed[0] = -1
    assert points[0, 0] >= 0
    frame = figure.frame()
    frame[:] = 0
    assert figure.frame().any()


def test_blending_is_rounded_once() -> None:
    alpha = np.linspace(0, 1, TILE)[:, None] * np.ones((1, TILE))
    base, color = blank((10, 200, 90)), (250, 20, 91)
    whole = lerp(base, color, alpha)
    share = np.rint(alpha * 255)[..., None]
    slow = base + np.rint((np.array(color) - base.astype(int)) * share / 255)
    assert np.array_equal(whole, slow)
    row = np.linspace(0, 1, TILE)
    assert np.array_equal(lerp(base, color, np.broadcast_to(row[:, None], (TILE, TILE))), whole)

    canvas = Canvas(np.full((9, 7, 3), 100, np.uint8))
    over = RNG.integers(0, 256, (5, 4, 3)).astype(np.uint8)
    mask = RNG.integers(0, 256, (5, 4)).astype(np.uint8)
    canvas.paste(over, mask, 2, 3)
    pasted = 100 + np.rint((over.astype(int) - 100) * (mask[..., None] / 255))
    assert np.array_equal(canvas.image[3:8, 2:6], pasted)
    canvas.image[3:8, 2:6] = 100
    assert (canvas.image == 100).all()


def test_only_what_is_in_front_of_the_product_hides_it() -> None:
    canvas = Canvas(np.zeros((40, 40, 3), np.uint8))
    square = np.array([(0, 0), (9, 0), (9, 9), (0, 9)], float)
    canvas.fill(square + 2, (9, 9, 9))
    assert canvas.hidden() == 0.0
    canvas.fill(square + 2, (9, 9, 9), target=True)
    canvas.fill(square + 25, (9, 9, 9), target=True)
    assert canvas.hidden() == 0.0
    canvas.fill(square + np.array((14, 2)), (9, 9, 9))
    assert canvas.hidden() == 0.0
    canvas.fill(square + 25, (9, 9, 9))
    assert canvas.hidden() == pytest.approx(0.5)
    assert canvas.visibility(np.array((6.0, 6.0)), np.array((7.0, 7.0))) == 2.0
    assert canvas.visibility(np.array((30.0, 30.0)), np.array((31.0, 31.0))) == 1.0
    assert canvas.visibility(np.array((41.0, 30.0)), np.array((31.0, 31.0))) == 0.0
    np.testing.assert_allclose(canvas.box(), (2, 2, 34, 34))
    assert canvas.outside() == 0.0
    canvas.fill(square + 25, (9, 9, 9), target=True)
    assert canvas.hidden() == 0.0


def test_what_is_not_seen_lies_outside() -> None:
    canvas = Canvas(np.zeros((40, 40, 3), np.uint8))
    point = np.array([(20.0, 20.0)])
    for away, seen in (((0, 0), True), ((100, 0), False), ((0, -100), False), ((30, 0), True)):
        assert canvas.sees(point + np.array(away), 15) is seen
    canvas.transform = np.array([[1, 0, 0], [0, 1, 0], [0.02, 0, 1.0]])
    assert canvas.sees(point - np.array((80, 0)), 1)
