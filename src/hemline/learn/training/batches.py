"""Pairs of rows → the `Batch` that a model is trained on."""

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
from hemline.learn.training.images import ImageCache
from hemline.learn.training.rows import Rows
from hemline.learn.training.sampler import Pair
from hemline.types import FloatArray, Image

NONE = Augmentation()


@dataclass(slots=True)
class RawBatch:
    """A batch before normalisation: squares as (B, S, S, 3) uint8; the rest as in `Batch`."""

    street: Tensor
    shop: Tensor
    tags: Tensor
    items: Tensor
    street_tags: Tensor | None
    landmarks: Tensor | None
    known: Tensor | None = None


class PairDataset(Dataset[RawBatch | None]):
    """Lists of pairs → raw batches; a pair with an unreadable image is left out.

    Args:
        items: (N,) item number of every row.
        tags: (N, T) multi-hot of every row.
        known: (N, T) whether each row is labelled for each tag, or None.
        uncropped: the same images without cropping; one of the two is picked at random each time.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Pair]],
        images: ImageCache,
        items: Rows,
        tags: npt.NDArray[np.uint8],
        spec: Preprocessing,
        augmentation: Augmentation = NONE,
        with_landmarks: bool = False,
        uncropped: ImageCache | None = None,
        known: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self.batches, self.images, self.items, self.tags = batches, images, items, tags
        self.spec, self.augmentation, self.with_landmarks = spec, augmentation, with_landmarks
        self.uncropped, self.known = uncropped, known

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
            first, second = self._source(rng), self._source(rng)
            photo, shot = first[pair.street], second[pair.shop]
            if photo is None or shot is None:
                continue
            virtual = rng.random() < self.augmentation.virtual_products
            change = draw_recolouring(rng) if virtual else None
            points = self._landmarks(first, pair.street), self._landmarks(second, pair.shop)
            photo, street_points = self._augmented(photo, points[0], "street", rng, change)
            shot, shop_points = self._augmented(shot, points[1], "shop", rng, change)
            street.append(photo)
            shop.append(shot)
            places.append((street_points, shop_points))
            kept.append(pair)
            # By the pair's seed: another one in each process, too.
            own = taken + pair.seed % (1 << 40)
            items.append(own if virtual else int(self.items[pair.street]))
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
            None if self.known is None else torch.from_numpy(self.known[_both(kept)]),
        )

    def _source(self, rng: np.random.Generator) -> ImageCache:
        if self.uncropped is None or rng.random() < 0.5:
            return self.images
        return self.uncropped

    def _landmarks(self, images: ImageCache, row: int) -> FloatArray | None:
        return images.landmarks(row) if self.with_landmarks else None

    def _augmented(
        self,
        square: Image,
        points: FloatArray | None,
        domain: str,
        rng: np.random.Generator,
        change: Recolouring | None,
    ) -> tuple[Image, FloatArray | None]:
        spec = self.augmentation if self.augmentation.domains in ("both", domain) else NONE
        return augment(square, points, spec, self.spec.size, rng, change)


def _both(pairs: Sequence[Pair]) -> list[int]:
    """Street rows, then shop rows."""
    return [pair.street for pair in pairs] + [pair.shop for pair in pairs]


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
        known=None if raw.known is None else raw.known.to(device).float(),
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
