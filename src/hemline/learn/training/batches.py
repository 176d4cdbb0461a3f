"""From pairs of rows to the `Batch` a model learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hemline.data.preprocess import Preprocessing
from hemline.learn.model import Batch
from hemline.learn.training.augment import Augmentation, Recolouring, augment, draw_recolouring
from hemline.learn.training.images import Pictures
from hemline.learn.training.rows import Rows
from hemline.learn.training.sampler import Pair
from hemline.types import FloatArray, Image

NONE = Augmentation()


@dataclass(slots=True)
class RawBatch:
    """What a worker sends: squares as bytes, (B, S, S, 3) uint8 each; else as in `Batch`."""

    street: Tensor
    shop: Tensor
    tags: Tensor
    items: Tensor
    street_tags: Tensor | None
    landmarks: Tensor | None


class PairDataset(Dataset[RawBatch | None]):
    """Batch lists of pairs → raw batches; a pair with an unreadable picture is left out.

    Args:
        batches: of one epoch.
        pictures: of the manifest.
        items: (N,) item number of every row.
        tags: (N, T) multi-hot of every row.
        spec: the model's preprocessing.
        augmentation: of training pictures.
        with_landmarks: whether the model learns from landmarks.
        whole: the same pictures uncut; each time one of the two is taken by lot.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Pair]],
        pictures: Pictures,
        items: Rows,
        tags: npt.NDArray[np.uint8],
        spec: Preprocessing,
        augmentation: Augmentation = NONE,
        with_landmarks: bool = False,
        whole: Pictures | None = None,
    ) -> None:
        self.batches, self.pictures, self.items, self.tags = batches, pictures, items, tags
        self.spec, self.augmentation, self.with_landmarks = spec, augmentation, with_landmarks
        self.whole = whole

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> RawBatch | None:
        """One batch, or None where fewer than two of its pairs can be read."""
        street: list[Image] = []
        shop: list[Image] = []
        places: list[tuple[FloatArray | None, FloatArray | None]] = []
        kept: list[Pair] = []
        items: list[int] = []
        taken = int(self.items.max()) + 1
        for pair in self.batches[number]:
            rng = np.random.default_rng(pair.seed)
            asked, answers = self._cut(rng), self._cut(rng)
            photo, picture = asked[pair.street], answers[pair.shop]
            if photo is None or picture is None:
                continue
            virtual = rng.random() < self.augmentation.virtual_products
            change = draw_recolouring(rng) if virtual else None
            marks = [self._marks(asked, pair.street), self._marks(answers, pair.shop)]
            photo, first = self._changed(photo, marks[0], "street", rng, change)
            picture, second = self._changed(picture, marks[1], "shop", rng, change)
            street.append(photo)
            shop.append(picture)
            places.append((first, second))
            kept.append(pair)
            items.append(taken + len(items) if virtual else int(self.items[pair.street]))
        if len(kept) < 2:
            return None
        tags = torch.from_numpy(self.tags[[pair.shop for pair in kept]])
        photo_tags = torch.from_numpy(self.tags[[pair.street for pair in kept]])
        landmarks = None
        if self.with_landmarks:
            both = [first for first, _ in places] + [second for _, second in places]
            landmarks = torch.from_numpy(
                np.stack([points for points in both if points is not None])
            )
        return RawBatch(
            torch.from_numpy(np.stack(street)),
            torch.from_numpy(np.stack(shop)),
            tags,
            torch.tensor(items),
            photo_tags if bool(photo_tags.any()) else None,
            landmarks,
        )

    def _cut(self, rng: np.random.Generator) -> Pictures:
        return self.pictures if self.whole is None or rng.random() < 0.5 else self.whole

    def _marks(self, pictures: Pictures, row: int) -> FloatArray | None:
        return pictures.landmarks(row) if self.with_landmarks else None

    def _changed(
        self,
        square: Image,
        points: FloatArray | None,
        domain: str,
        rng: np.random.Generator,
        change: Recolouring | None,
    ) -> tuple[Image, FloatArray | None]:
        spec = self.augmentation if self.augmentation.domains in ("both", domain) else NONE
        return augment(square, points, spec, self.spec.size, rng, change)


def to_batch(
    raw: RawBatch, spec: Preprocessing, device: torch.device, channels_last: bool = False
) -> Batch:
    """A normalised `Batch` on ``device``: the numbers of `hemline.data.preprocess.normalise`."""
    items = raw.items.to(device, non_blocking=True)
    return Batch(
        street=normalise(raw.street.to(device, non_blocking=True), spec, "street", channels_last),
        shop=normalise(raw.shop.to(device, non_blocking=True), spec, "shop", channels_last),
        tags=raw.tags.to(device, non_blocking=True).float(),
        street_items=items,
        shop_items=items,
        street_tags=None if raw.street_tags is None else raw.street_tags.to(device).float(),
        landmarks=None if raw.landmarks is None else raw.landmarks.to(device),
    )


def normalise(
    squares: Tensor, spec: Preprocessing, domain: str, channels_last: bool = False
) -> Tensor:
    """(B, S, S, 3) uint8 → (B, 3, S, S) float32."""
    street = domain == "street"
    mean = torch.tensor(spec.street_mean if street else spec.shop_mean, device=squares.device)
    std = torch.tensor(spec.street_std if street else spec.shop_std, device=squares.device)
    images = ((squares.float() / 255.0 - mean) / std).permute(0, 3, 1, 2)
    return images if channels_last else images.contiguous()
