"""Real street photos for a detector: a box for each garment that a mask shows, and the same people
in other garments.

The photos are those of Clothing Co-Parsing (`hemline.datasets.co_parsing`, whose split by photo is
kept). A label's pixels give one box without its specks; all shoes of a photo are one garment, and
so is its bag. What no kind of garment stands for (tights, a cape, a suit, swimwear), and garments
that show less than 1.5 % of the photo (shoes and bags: 0.2 %), are neither garments nor background:
`visible` is 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemline.data.garments import COLUMN, Garment, kind_of, to_text
from hemline.data.images import encode_jpeg, open_image
from hemline.data.masks import open_mask, read_labels
from hemline.datasets.co_parsing import GARMENTS, SMALLEST, split_of
from hemline.synthetic.cutout import Cutout, cut_out
from hemline.synthetic.dress import WORN, dressed
from hemline.synthetic.photos import LABELS
from hemline.synthetic.seeds import generator
from hemline.types import Box, Record

SHOES = frozenset(
    {
        *("boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes", "sneakers"),
        "wedges",
    }
)
BAGS = frozenset({"bag", "purse"})
#: Labels to ignore → the categories whose detections they excuse.
UNCLEAR: Mapping[str, tuple[str, ...]] = {
    "bra": ("tank-top",),
    "cape": ("coat", "sweater"),
    "intimate": ("tank-top", "shorts"),
    "panties": ("shorts",),
    "stockings": ("leggings",),
    "suit": ("blazer", "shirt", "trousers", "jumpsuit"),
    "swimwear": ("tank-top", "shorts", "jumpsuit"),
    "tights": ("leggings",),
    "wallet": ("bag",),
}
#: Least share of a photo's pixels of shoes and bags.
SMALL_THINGS = 0.002
#: Share of the outermost pixels on each side that a box leaves out.
_SPECKS = 0.003
SEED = 47
Mask = npt.NDArray[np.uint8]


def garments(
    mask: Mask,
    labels: Mapping[int, str],
    before: Mask | None = None,
    replaced: Collection[str] = (),
) -> tuple[Garment, ...]:
    """The garments of a mask (H, W). With the mask ``before`` its person was dressed anew,
    ``visible`` is what is left in sight; nothing counts of the labels ``replaced``."""
    merged: dict[str, list[int]] = {}
    for code in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist():
        name = labels.get(code, "")
        what = "footwear" if name in SHOES else "bag" if name in BAGS else name
        merged.setdefault(what, []).append(code)
    found: list[Garment] = []
    for name, codes in merged.items():
        shown = np.isin(mask, codes)
        kind = kind_of(name) if name in GARMENTS or name in ("footwear", "bag") else ""
        kind = kind if name not in UNCLEAR else ""
        least = SMALL_THINGS if kind in ("footwear", "bag") or name == "wallet" else SMALLEST
        counts = kind and name not in replaced and shown.mean() >= least
        visible = 1.0 if counts else 0.0
        if before is not None:
            visible *= float(shown.sum() / max(1, np.isin(before, codes).sum()))
        for category in (kind,) if kind else UNCLEAR.get(name, ()):
            found.append(Garment(category, box_of(shown), visible, role="worn"))
    return tuple(found)


def box_of(shown: npt.NDArray[np.bool_]) -> Box:
    """The box of some pixels (H, W), without the outermost specks."""
    ys, xs = np.nonzero(shown)
    ends = (_SPECKS, 1 - _SPECKS)
    (x1, x2), (y1, y2) = (np.quantile(at, ends, method="nearest") for at in (xs, ys))
    return Box(float(x1), float(y1), float(x2 + 1), float(y2 + 1))


def street(folder: Path) -> list[Record]:
    """A row for each photo with a mask."""
    labels = read_labels(folder / "labels.txt")
    return [
        record("street", folder / "photos" / f"{file.stem}.jpg", file.stem, found)
        for file in sorted((folder / "masks").glob("*.png"))
        if (found := garments(open_mask(file), labels))
    ]


def people_dressed(
    out: Path, folder: Path, photos: Sequence[tuple[Path, str]], each: int
) -> Iterator[Record]:
    """``each`` scenes of every training photo, its person in a garment of ``photos`` (file, label);
    fewer where a garment has no place."""
    labels = read_labels(folder / "labels.txt")
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted((folder / "masks").glob("*.png")):
        if split_of(file.stem) != "train":
            continue
        photo, mask = open_image(folder / "photos" / f"{file.stem}.jpg"), open_mask(file)
        for view in range(each):
            rng = generator(SEED, file.stem, view)
            cutout, label = _draw(photos, rng)
            category, group = LABELS[label][:2]
            made = dressed(photo, mask, labels, (cutout.image, cutout.alpha), group, rng)
            if made is None:
                continue
            path = out / f"{file.stem}-{view}.jpg"
            path.write_bytes(encode_jpeg(made.image, 92))
            # The rim of what the garment replaces isn't a garment, and no background either.
            replaced = {*WORN[group], *(WORN["upper"] if group == "full" else ())}
            left = np.where(made.shown, np.uint8(0), mask)
            worn = Garment(kind_of(category), box_of(made.shown), role="product")
            found = (worn, *garments(left, labels, mask, replaced))
            yield record("dressed", path, f"{file.stem}-{view}", found)


def _draw(photos: Sequence[tuple[Path, str]], rng: np.random.Generator) -> tuple[Cutout, str]:
    """A garment that can be cut out of its photo, and its label."""
    while True:
        path, label = photos[int(rng.integers(len(photos)))]
        cutout = cut_out(open_image(path))
        if cutout is not None:
            return cutout, label


def record(part: str, path: Path, name: str, found: tuple[Garment, ...]) -> Record:
    """A photo's row; its own box is that of its largest garment."""
    main = max(found, key=lambda g: (g.visible > 0, g.box.width * g.box.height))
    return Record(
        f"{part}/{name}",
        str(path),
        f"{part}-{name}",
        "street",
        main.category,
        main.box,
        split=split_of(name.partition("-")[0]),
        extra={"part": part, COLUMN: to_text(found)},
    )
