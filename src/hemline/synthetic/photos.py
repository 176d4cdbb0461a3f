"""Real garment photos as products: one photo gives both sides of a pair.

A folder of photos, and its `images.csv` (columns `image` and `label`) where there is one. Each
photo is a product: its garment is cut out, warped, lit and put into the same shop and street scenes
as a drawn one. Photos carry the tags `category` and `color`; their landmarks are absent (0).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from hemline.errors import DataError
from hemline.synthetic.canvas import Canvas
from hemline.synthetic.cloth import fold_map
from hemline.synthetic.curves import Array, affine, apply, shift
from hemline.synthetic.cutout import Cutout, cut_out, outline_of
from hemline.synthetic.figure import SIDES, Figure
from hemline.synthetic.outfit import OUTER
from hemline.synthetic.product import Product
from hemline.synthetic.seeds import mix, share
from hemline.synthetic.values import TABLE, nearest_color

#: Labels of `images.csv` that are garments -> (category, group, top, bottom in figure units).
LABELS: Mapping[str, tuple[str, str, float, float]] = MappingProxyType(
    {name: tuple(row) for name, row in TABLE["photos"].items()}
)
_UNKNOWN = ("garment", "upper", 168.0, 520.0)
#: Files that count as photos in a folder.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class PhotoProduct:
    """A photo's product, and how to add its garment to a figure."""

    product: Product
    name: str
    cutout: Cutout
    place: tuple[float, float]

    def add(self, figure: Figure) -> dict[str, Array]:
        """Adds the garment at its usual layer; returns its top and bottom, in figure units."""
        frame = self._frame(figure)
        self._follow(figure, frame)
        seed = mix(self.product.index, round(figure.pose.lean * 1e4), round(figure.pose.yaw * 1e4))
        strength = 0.5 + 1.5 * figure.pose.amount()
        layer = 30.0 if self.product.group == "lower" else 40.0
        if self.product.category in OUTER:
            layer = 46.0
        bent = _bent(self.cutout, seed, 0.25 + figure.pose.amount())
        figure.add(layer, lambda c: _paste(c, figure, bent, frame, seed, strength))
        outline = apply(frame, self.cutout.outline)
        low = outline[np.argmax(outline[:, 1])]
        top = outline[np.argmin(outline[:, 1])]
        return {"top": top, "bottom": low}

    def _frame(self, figure: Figure) -> Array:
        """Photo pixels -> figure units: as high as such a garment is, as wide as the body."""
        h, w = self.cutout.alpha.shape
        top, low = self.place
        scale = (low - top) / h
        row = self.cutout.alpha[int(0.62 * h) if self.product.group != "lower" else int(0.08 * h)]
        wide = float((row > 127).sum())
        need = 186.0 if self.product.group != "lower" else 150.0
        scale = float(np.clip(max(scale, need / max(wide, 1.0)), 0.8 * scale, 1.45 * scale))
        xs = np.nonzero(row > 127)[0]
        middle = float(xs.mean()) if len(xs) else w / 2
        if self.product.group != "lower":
            middle = 0.5 * middle + 0.25 * w
        o, r, d = figure.body([(0, top), (40, top), (0, top + 200)])
        right, down = (r - o) / 40 * scale, (d - o) / 200 * scale
        return affine(o - right * middle, right, down)

    def _follow(self, figure: Figure, frame: Array) -> None:
        """Lets arms follow the sleeves of the photo, and legs its trouser legs."""
        outline = apply(frame, self.cutout.outline)
        middle = float(frame[0, 2] + frame[0, 0] * self.cutout.alpha.shape[1] / 2)
        for s in SIDES:
            if self.product.group != "lower" and abs(figure.pose.arms[s][1]) < 1.5:
                joint = figure.arms[s][0]
                part = outline[(outline[:, 0] - joint[0]) * s > 0]
                part = part[part[:, 1] > joint[1]]
                if len(part):
                    tip = part[np.argmax((part[:, 0] - joint[0]) * s)]
                    angle = float(np.arctan2((tip[0] - joint[0]) * s, max(tip[1] - joint[1], 20.0)))
                    angle = float(np.clip(0.85 * angle, 0.1, 0.95))
                    figure.pose.arms[s] = (angle, angle - 0.12)
                    figure.arms[s] = figure.limb(s, "arm")
            if self.product.category == "trousers":
                part = outline[
                    (outline[:, 1] > outline[:, 1].max() - 60) & ((outline[:, 0] - middle) * s > 0)
                ]
                if len(part):
                    joint = figure.legs[s][0]
                    foot = float(part[:, 0].mean())
                    angle = float(np.arctan2((foot - joint[0]) * s, 450.0))
                    figure.pose.legs[s] = (angle, angle)
                    figure.legs[s] = figure.limb(s, "leg")


@dataclass(frozen=True)
class PhotoShelf:
    """The photos of a folder in an order set by the seed: (name, label) of each."""

    folder: Path
    entries: tuple[tuple[str, str], ...]
    fingerprint: str
    seed: int

    @classmethod
    def open(cls, folder: Path, seed: int) -> PhotoShelf:
        """Reads the folder. Raises `DataError` where it holds no garment photo."""
        return _open(Path(folder), seed)

    def __len__(self) -> int:
        return len(self.entries)

    def product(self, index: int) -> PhotoProduct | None:
        """The product of photo `index`, or None where its garment can't be cut out."""
        name, label = self.entries[index]
        data = np.frombuffer((self.folder / name).read_bytes(), np.uint8)
        photo = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
        if photo is None:
            return None
        cutout = cut_out(np.ascontiguousarray(photo[..., ::-1]))
        if cutout is None:
            return None
        category, group, top, low = LABELS.get(label, _UNKNOWN)
        if label not in LABELS and cutout.alpha.shape[0] > 1.7 * cutout.alpha.shape[1]:
            group, low = "full", 760.0
        inside = cutout.image[cutout.alpha > 200]
        rgb = np.median(inside, axis=0)
        color = (int(rgb[0]), int(rgb[1]), int(rgb[2]))
        attributes = {"category": category, "color": nearest_color((rgb[0], rgb[1], rgb[2]))}
        latents = {"price": share(self.seed, index, "price")}
        product = Product(
            index,
            MappingProxyType(attributes),
            MappingProxyType(latents),
            (color, color, color, color),
            group,
            mix(self.seed, index) >> 33,
            name="photo-" + Path(name).stem,
        )
        return PhotoProduct(product, name, cutout, (top, low))


@lru_cache(maxsize=4)
def _open(folder: Path, seed: int) -> PhotoShelf:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of photos")
    table = folder / "images.csv"
    root = folder / "images" if (folder / "images").is_dir() else folder
    files = {
        p.stem: p.relative_to(folder).as_posix()
        for p in sorted(root.iterdir())
        if p.suffix.lower() in SUFFIXES
    }
    entries: list[tuple[str, str]] = []
    if table.exists():
        with open(table, encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                stem, label = Path(row.get("image") or "").stem, row.get("label") or ""
                if label in LABELS and stem in files:
                    entries.append((files[stem], label))
    else:
        entries = [(name, "") for name in files.values()]
    if not entries:
        raise DataError(f"{folder} holds no garment photo ({', '.join(SUFFIXES)})")
    entries.sort(key=lambda entry: mix(seed, entry[0], "order"))
    note = "\n".join(
        f"{name},{label},{(folder / name).stat().st_size}" for name, label in sorted(entries)
    )
    return PhotoShelf(folder, tuple(entries), hashlib.sha256(note.encode()).hexdigest()[:16], seed)


def _bent(cutout: Cutout, seed: int, strength: float) -> Cutout:
    """The cut-out with a soft warp, as cloth that hangs another way."""
    h, w = cutout.alpha.shape
    rng = np.random.Generator(np.random.PCG64(seed))
    field: Array = rng.normal(0, 0.011 * max(h, w) * strength, (5, 4, 2)).astype(np.float32)
    field = cv2.resize(field, (w, h), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    mx, my = x + field[..., 0], y + field[..., 1]
    image = cv2.remap(cutout.image, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.remap(cutout.alpha, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    outline = outline_of(alpha)
    if outline is None:
        return cutout
    return replace(cutout, image=image, alpha=alpha, outline=outline)


def _paste(
    c: Canvas, figure: Figure, cutout: Cutout, frame: Array, seed: int, strength: float
) -> None:
    h, w = cutout.alpha.shape
    fold, fold_units = fold_map(seed % 8, strength)
    map_ = np.linalg.inv(frame) @ figure.frame() @ fold_units
    light = cv2.warpPerspective(
        fold, map_, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    image = cv2.multiply(cutout.image, cv2.merge([light, light, light]), scale=1 / 128)
    outline = apply(frame, cutout.outline)
    c.tint([shift(outline, 0, 8)], 0.75, 8)
    c.stamp(image, cutout.alpha, frame, outline, target=True)
