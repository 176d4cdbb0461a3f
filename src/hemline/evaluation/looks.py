"""Where a measured model looks: attention over a protocol's images.

Tag attention on shop images and context attention on street photos are an encoder's own output,
of a run or a bundle. Gradients (Figure 6 of the YNet paper) and channel weights (Figure 7 of the
AHBN paper) need the run itself, and with it PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from hemline.data.images import crop, open_image
from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing, square
from hemline.encoding import Encoder
from hemline.errors import UsageError
from hemline.evaluation.model import open_encoder
from hemline.evaluation.stored import StoredResult
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Domain, FloatArray, Image

if TYPE_CHECKING:
    from hemline.learn.checkpoint import CheckpointEncoder

#: Queries that are shown with the shop image of their product, images whose channels are weighed.
SHOWN, WEIGHED = 5, 64
#: Candidates of a query that are its context in turn.
CONTEXTS = 3


@dataclass(frozen=True)
class ShopLook:
    """Tag attention on one shop image.

    Attributes:
        row: of the manifest.
        image: (S, S, 3) as the model reads it.
        attention: (rows, columns) of weights that sum to 1.
        held: share of the attention at locations in the item's box, and share of the locations
            there; None without a box, or where the image is cut to it.
        most, least: (S, S) size of the gradient of the features at the location with the largest
            and the smallest weight, its largest value 1; None of a bundle.
    """

    row: int
    image: Image
    attention: FloatArray
    held: tuple[float, float] | None = None
    most: FloatArray | None = None
    least: FloatArray | None = None


@dataclass(frozen=True)
class StreetLook:
    """Context attention on one street photo.

    Attributes:
        row: of the manifest.
        image: (S, S, 3) as the model reads it.
        candidates: rows of the shop images that were the context, best hit first.
        attention: (K, rows, columns) for each of them.
    """

    row: int
    image: Image
    candidates: tuple[int, ...]
    attention: FloatArray


@dataclass(frozen=True)
class Looks:
    """Where one model looks; what it hasn't is empty.

    Attributes:
        channels: (C,) mean weight of each channel of an AHBN.
        gate: of these weights: ``sigmoid`` or ``softmax``.
    """

    shop: tuple[ShopLook, ...] = ()
    street: tuple[StreetLook, ...] = ()
    channels: npt.NDArray[np.float64] | None = None
    gate: str = ""


def looks(
    models: Sequence[str | os.PathLike[str]], results: Sequence[StoredResult], manifest: Manifest
) -> dict[int, Looks]:
    """Number of a result → where its model looks.

    Args:
        models: runs or bundles that were measured.
        results: with kept ranks; each model is that of one of them.
        manifest: the one that was measured.

    Raises:
        UsageError: a model that none of the results is of, or a result without ranks.
        BundleError: no such model.
    """
    found = {}
    for model in models:
        encoder = open_encoder(os.fspath(model))
        for number, one in enumerate(results):
            if one.found["fingerprint"] == encoder.fingerprint:
                found[number] = _looks(encoder, one, manifest)
                break
        else:
            names = ", ".join(one.label for one in results)
            raise UsageError(
                f"{os.fspath(model)} is none of the models that were measured: {names}"
            )
    return found


@dataclass(frozen=True)
class _Asked:
    """A model and the images that it is shown, cropped as they were measured."""

    encoder: Encoder
    manifest: Manifest
    boxed: frozenset[Domain]

    def image(self, row: int, domain: Domain) -> Image:
        image, box = open_image(self.manifest.file(row)), self.manifest[row].box
        return crop(image, box) if domain in self.boxed and box is not None else image

    def _spec(self) -> tuple[Preprocessing, tuple[int, int] | None]:
        if isinstance(self.encoder, BundleEncoder):
            return self.encoder.bundle.info.preprocessing, self.encoder.bundle.info.grid
        model = cast("CheckpointEncoder", self.encoder).model
        return model.preprocessing, model.grid

    def read(self, image: Image) -> Image:
        """(H, W, 3) → (S, S, 3) as the model reads it."""
        return square(image, self._spec()[0])

    def on_grid(self, weights: FloatArray) -> FloatArray:
        """(L,) → (rows, columns) over the square image."""
        side = round(len(weights) ** 0.5)
        grid = self._spec()[1] or (side, side)
        return np.asarray(weights.reshape(grid), np.float32)

    def held(self, row: int, image: Image, grid: FloatArray) -> tuple[float, float] | None:
        """See `ShopLook`."""
        box = self.manifest[row].box
        if box is None or "shop" in self.boxed:
            return None
        mask = np.zeros_like(image)
        mask[round(box.y1) : round(box.y2), round(box.x1) : round(box.x2)] = 255
        read = self.read(mask)
        rows, columns = grid.shape
        y = ((np.arange(rows) + 0.5) * read.shape[0] / rows).astype(int)
        x = ((np.arange(columns) + 0.5) * read.shape[1] / columns).astype(int)
        within = read[y[:, None], x[None, :], 0] > 127
        return float(grid[within].sum()), float(within.mean())


def _looks(encoder: Encoder, one: StoredResult, manifest: Manifest) -> Looks:
    kept = one.rankings
    if kept is None or "top" not in kept.arrays:
        raise UsageError(f"{one.path} kept no ranks; evaluate again")
    crops = str(one.found["protocol"].get("crop", ""))
    boxed: dict[Domain, bool] = {
        "street": crops.startswith(("query", "box")),
        "shop": crops.startswith("box"),
    }
    asked = _Asked(encoder, manifest, frozenset(side for side, cut in boxed.items() if cut))
    answered = np.flatnonzero(kept.arrays["right_rows"] >= 0)
    shown = answered[np.linspace(0, len(answered) - 1, min(SHOWN, len(answered))).astype(int)]
    queries, hits = kept.arrays["queries"][shown].tolist(), kept.arrays["top"][shown]
    right = list(dict.fromkeys(kept.arrays["right_rows"][shown].tolist()))
    weights, gate = _channels(asked, kept.arrays["queries"][:WEIGHED].tolist())
    street = _street(asked, queries, hits) if encoder.reranks else ()
    return Looks(_shop(asked, right), street, weights, gate)


def _shop(asked: _Asked, rows: Sequence[int]) -> tuple[ShopLook, ...]:
    images = [asked.image(row, "shop") for row in rows]
    tags = [asked.manifest[row].tags for row in rows]
    weights = asked.encoder.encode_shop(images, tags).attention
    if weights is None or not len(weights):
        return ()
    gradients: Sequence[Any] = [None] * len(rows)
    if not isinstance(asked.encoder, BundleEncoder):
        from hemline.learn.looks import attended

        with suppress(UsageError):  # tag attention of another model than YNet's
            gradients = attended(cast("CheckpointEncoder", asked.encoder), images, tags)
    found = []
    for row, image, own, back in zip(rows, images, weights, gradients, strict=True):
        grid = asked.on_grid(own)
        held = asked.held(row, image, grid)
        most, least = (None, None) if back is None else (back.most, back.least)
        found.append(ShopLook(row, asked.read(image), grid, held, most, least))
    return tuple(found)


def _street(
    asked: _Asked, queries: Sequence[int], hits: npt.NDArray[np.int32]
) -> tuple[StreetLook, ...]:
    found = []
    for row, own in zip(queries, hits, strict=True):
        image = asked.image(row, "street")
        candidates = tuple(int(hit) for hit in own[:CONTEXTS] if hit >= 0)
        local = asked.encoder.encode_street([image]).local
        if local is None or not candidates:
            continue
        shop = asked.encoder.encode_shop(
            [asked.image(hit, "shop") for hit in candidates],
            [asked.manifest[hit].tags for hit in candidates],
        )
        weights = asked.encoder.rerank(local[0], shop.embedding * shop.norm[:, None]).attention
        maps = np.stack([asked.on_grid(one) for one in weights])
        found.append(StreetLook(row, asked.read(image), candidates, maps))
    return tuple(found)


def _channels(asked: _Asked, rows: Sequence[int]) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Mean weights of an AHBN's channels on street photos, and their gate."""
    if isinstance(asked.encoder, BundleEncoder):
        return None, ""
    from hemline.learn.looks import channel_gate, channel_weights

    run = cast("CheckpointEncoder", asked.encoder)
    gate = channel_gate(run)
    if not gate:
        return None, ""
    images = [asked.image(row, "street") for row in rows]
    return channel_weights(run, images).mean(axis=0), gate


def spread(attention: FloatArray) -> float:
    """Locations that attention prefers: exp of its entropy, from 1 to all of them."""
    return float(np.exp(-(attention * np.log(attention + 1e-12)).sum()))
