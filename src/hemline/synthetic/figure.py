"""The figure: a body with a pose, in units where a standing person is 1000 high.

The figure faces the viewer: the wearer's left is at x > 0. `side` is +1 for the wearer's left and
-1 for the right. Everything worn is added to the figure as layers and drawn from back to front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from hemline.synthetic.canvas import Canvas
from hemline.synthetic.curves import Array, Points, affine
from hemline.synthetic.ledger import Worn

SIDES = (1, -1)
SIDE_NAMES = {1: "left", -1: "right"}
#: Up to so many points are reckoned faster one by one.
_FEW = 20
UPPER_ARM, FOREARM, THIGH, CALF = 158.0, 150.0, 228.0, 222.0
SHOULDER_X, SHOULDER_Y = 84.0, 222.0
HIP_X, HIP_Y = 45.0, 492.0


def both(points: Points) -> tuple[Array, Array]:
    """Points (N,2) of the wearer's left, and the same on the right."""
    left = np.asarray(points, dtype=np.float64)
    return left, left * (-1, 1)


@dataclass
class Pose:
    """Angles in radians. Arms and legs hold (upper, lower) angles from straight down, outwards."""

    yaw: float = 0.0
    lean: float = 0.0
    tilt: float = 0.0
    hip: float = 0.0
    arms: dict[int, tuple[float, float]] = field(default_factory=dict)
    legs: dict[int, tuple[float, float]] = field(default_factory=dict)
    chest: float = 1.0
    waist: float = 1.0
    hips: float = 1.0

    def amount(self) -> float:
        """How far the pose is from standing straight: a mean angle in radians."""
        rest = _REST
        bends = [
            abs(a - b)
            for s in SIDES
            for mine, other in ((self.arms, rest.arms), (self.legs, rest.legs))
            for a, b in zip(mine[s], other[s], strict=True)
        ]
        return (sum(bends) + abs(self.yaw) + abs(self.lean) + abs(self.tilt)) / (len(bends) + 3)


def rest_pose() -> Pose:
    """Standing straight, arms a little out: how a shop shows a garment alone."""
    return Pose(arms=dict.fromkeys(SIDES, (0.2, 0.1)), legs=dict.fromkeys(SIDES, (0.05, 0.02)))


_REST = rest_pose()


def random_pose(rng: np.random.Generator, strength: float) -> Pose:
    """A pose from near rest (0) to lively (1)."""
    pose = rest_pose()
    pose.chest, pose.waist, pose.hips = (
        min(max(v, 0.92), 1.1) for v in rng.normal(1, 0.035, 3).tolist()
    )
    pose.yaw = float(rng.uniform(-0.75, 0.75)) * strength
    pose.lean = float(rng.normal(0, 0.09)) * strength
    pose.tilt = float(rng.normal(0, 0.07)) * strength
    pose.hip = float(rng.normal(0, 16)) * strength
    for s in SIDES:
        pose.legs[s] = (
            0.05 + float(rng.uniform(-0.06, 0.2)) * strength,
            0.02 + float(rng.uniform(-0.16, 0.1)) * strength,
        )
        pose.arms[s] = _arm(rng, strength)
    return pose


def _arm(rng: np.random.Generator, strength: float) -> tuple[float, float]:
    rest = (0.17 + float(rng.uniform(-0.05, 0.1)), 0.1 + float(rng.uniform(-0.1, 0.08)))
    if rng.random() > 0.25 + 0.55 * strength:
        return rest
    a, b = (
        (0.55, -0.62),  # hand on the hip
        (0.16, -1.35),  # forearm across the waist
        (0.30, -0.35),  # hand in the pocket
        (0.42, 0.30),  # held away
        (0.24, -2.3),  # hand at the chest or the face
        (0.85, 1.05),  # reaching out
        (0.30, 2.65),  # hand raised outside
    )[int(rng.choice(7, p=(0.24, 0.14, 0.26, 0.16, 0.07, 0.06, 0.07)))]
    k = 0.65 + 0.35 * strength
    return (a * k + float(rng.normal(0, 0.06)), b * k + float(rng.normal(0, 0.1)))


class Figure:
    """A pose, and the layers of a person from back to front.

    `role` is what its garments but the product are in the image: `worn` beside the product,
    `beside` it, or a `bystander`'s.
    """

    def __init__(self, pose: Pose, role: str = "worn") -> None:
        self.pose = pose
        self.role = role
        self.layers: list[tuple[float, Callable[[Canvas], None], Worn | None]] = []
        self._worn: Worn | None = None
        self._frames: dict[tuple[float, ...], Array] = {}
        self.arms = {s: self.limb(s, "arm") for s in SIDES}
        self.legs = {s: self.limb(s, "leg") for s in SIDES}

    def add(self, z: float, draw: Callable[[Canvas], None]) -> None:
        """Adds a layer; a larger `z` is nearer to the viewer."""
        self.layers.append((z, draw, self._worn))

    @contextmanager
    def wearing(self, category: str, product: bool = False) -> Iterator[None]:
        """All layers added within are one garment, which the image's labels then hold."""
        self._worn = Worn(category, "product" if product else self.role)
        yield
        self._worn = None

    def draw(self, canvas: Canvas) -> None:
        for _, layer, worn in sorted(self.layers, key=lambda item: item[0]):
            with canvas.ledger.drawing(worn):
                layer(canvas)

    def body(self, points: Points) -> Array:
        """Points (N,2) on the front of an upright body -> where they are in this pose."""
        p = np.asarray(points, dtype=np.float64)
        pose = self.pose
        if not (pose.yaw or pose.lean or pose.tilt or pose.hip):
            return p.copy()
        turn, lean, hip, tilt = math.sin(pose.yaw), math.sin(pose.lean), pose.hip, pose.tilt
        narrow, bulge, lean = 1.0 - 0.30 * turn * turn, 34.0 * turn, lean * 290.0
        if len(p) <= _FEW:
            few = []
            for x, y in p.tolist():
                rise = (490.0 - y) * (1 / 290.0)
                up = 0.0 if rise < 0.0 else 1.15 if rise > 1.15 else rise
                front = 1.0 - x * x * (1 / 11025.0)
                nx = x * narrow
                if front > 0.0:
                    nx += bulge * front
                near = 1.3 - abs(rise)
                if near > 0.0:
                    nx += hip * (1.0 if near > 1.0 else near)
                nx += lean * up * (0.35 + 0.65 * up)
                few.append(
                    (nx, y + x * tilt * (-0.6 if rise < -0.6 else 1.1 if rise > 1.1 else rise))
                )
            return np.array(few)
        xs, ys = p[:, 0], p[:, 1]
        rises = 490.0 - ys
        rises *= 1 / 290.0
        ups = np.minimum(np.maximum(rises, 0.0), 1.15)
        out = np.empty_like(p)
        nxs = xs * narrow
        if turn:
            part = xs * xs
            part *= -1 / 11025.0
            part += 1.0
            np.maximum(part, 0.0, out=part)
            part *= bulge
            nxs += part
        if hip:
            part = np.abs(rises)
            np.subtract(1.3, part, out=part)
            np.minimum(np.maximum(part, 0.0, out=part), 1.0, out=part)
            part *= hip
            nxs += part
        part = 0.65 * ups
        part += 0.35
        ups *= lean
        part *= ups
        np.add(nxs, part, out=out[:, 0])
        np.minimum(np.maximum(rises, -0.6, out=rises), 1.1, out=rises)
        rises *= xs
        rises *= tilt
        np.add(ys, rises, out=out[:, 1])
        return out

    def at(self, x: float, y: float) -> Array:
        """Where the point (x, y) of the body's front is in this pose (2,)."""
        point: Array = self.body([(x, y)])[0]
        return point

    def bodies(self, shapes: Sequence[Array]) -> list[Array]:
        """`body` of several shapes at once."""
        whole = self.body(np.concatenate(shapes))
        parts, start = [], 0
        for shape in shapes:
            parts.append(whole[start : start + len(shape)])
            start += len(shape)
        return parts

    def frame(self, x: float = 0.0, y: float = 300.0) -> Array:
        """The affine map of the torso's cloth near (x, y): cloth units -> figure units.

        A cloth's origin is the middle of the neckline, (0, 170) on the body.
        """
        pose = self.pose
        key = (x, y, pose.yaw, pose.lean, pose.tilt, pose.hip)
        if key not in self._frames:
            o, r, d = self.body(np.array([(x, y), (x + 40, y), (x, y + 40)]))
            right, down = (r - o) / 40, (d - o) / 40
            self._frames[key] = affine(o - right * x - down * (y - 170.0), right, down)
        return self._frames[key].copy()

    def limb(self, side: int, kind: str) -> Array:
        """The three joints (3,2) of an arm or a leg."""
        if kind == "arm":
            start = self.at(side * SHOULDER_X * self.pose.chest, SHOULDER_Y)
            angles, lengths = self.pose.arms[side], (UPPER_ARM, FOREARM)
        else:
            start = self.at(side * HIP_X * self.pose.hips, HIP_Y)
            angles, lengths = self.pose.legs[side], (THIGH, CALF)
        joints = [start]
        for angle, length in zip(angles, lengths, strict=True):
            joints.append(joints[-1] + (length * side * math.sin(angle), length * math.cos(angle)))
        return np.array(joints)

    def crosses(self, side: int) -> bool:
        """Whether this arm's forearm lies in front of the body."""
        wrist = self.arms[side][2]
        middle = self.at(0.0, min(max(wrist[1], 200.0), 560.0))[0]
        return bool((wrist[0] - middle) * side < 78 and wrist[1] < 600)
