"""Metrics of the tags and landmarks that a model predicts on the validation split.

AHBN (https://arxiv.org/abs/2010.13357), section IV-C: mean average precision of the attributes, and
the normalised error of the landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hemline.learn.losses.heatmap import visible
from hemline.learn.losses.multilabel import known_values
from hemline.learn.model import Prediction
from hemline.ranking.metrics import average_precision
from hemline.types import LANDMARKS


class Labels:
    """Collects predictions and labels, batch by batch.

    Args:
        names: (T,) the number of each tag's name, see `hemline.learn.losses.multilabel`.
        side: of the square in pixels, which landmark errors are divided by.
    """

    def __init__(self, names: Tensor, side: int) -> None:
        self.names, self.side = names, side
        self._scores: list[Tensor] = []
        self._tags: list[Tensor] = []
        self._known: list[Tensor] = []
        self._errors: list[Tensor] = []

    def add(
        self,
        predicted: Prediction,
        tags: Tensor,
        landmarks: Tensor,
        known: Tensor | None = None,
    ) -> None:
        """tags (B, T) multi-hot, landmarks (B, 8, 3) in the square's pixels; known (B, T) the tags
        that a row is labelled for, by default all values of the names it has a value of."""
        if predicted.attributes is not None:
            self._scores.append(predicted.attributes.float().cpu())
            self._tags.append(tags.float())
            own = known_values(tags.float(), self.names) if known is None else known.float()
            self._known.append(own)
        if predicted.landmarks is not None:
            gap = (predicted.landmarks.float().cpu() - landmarks[..., :2]).norm(dim=2) / self.side
            self._errors.append(gap.masked_fill(visible(landmarks) <= 0, float("nan")))

    def figures(self) -> dict[str, float]:
        """Those metrics that the model has predictions for:

        - ``attribute_map``: mean over tags of the average precision among the rows that have a
          value of the tag's name; tags that no such row has are left out.
        - ``attribute_accuracy``: share of the known names of all rows whose best-scored value
          is one of the row's.
        - ``landmark_error``: mean distance of visible landmarks, as a share of the side.
        """
        found: dict[str, float] = {}
        each = self.precisions()
        if each:
            found["attribute_map"] = float(np.mean(list(each.values())))
            found["attribute_accuracy"] = self._accuracy(
                torch.cat(self._scores), torch.cat(self._tags)
            )
        errors = self._gaps()
        errors = errors[errors.isfinite()]
        if len(errors):
            found["landmark_error"] = float(errors.mean())
        return found

    def report(self, vocabulary: Sequence[str]) -> dict[str, Any]:
        """`figures`, and their parts, where the model has predictions for them:

        - ``attributes``: tag → ``ap``, its average precision, and ``rows`` that have it.
        - ``attribute_types``: name of tags → ``map``, the mean over its tags, and ``tags``.
        - ``landmarks``: landmark → ``nme``, its mean error as a share of the side, and ``rows``
          where it is visible.

        Args:
            vocabulary: the T tags.
        """
        found: dict[str, Any] = dict(self.figures())
        precisions = self.precisions()
        if precisions:
            counts = torch.cat(self._tags).sum(dim=0).int().tolist()
            found["attributes"] = {
                vocabulary[tag]: {"ap": value, "rows": counts[tag]}
                for tag, value in precisions.items()
            }
            types: dict[str, list[float]] = {}
            for tag, value in precisions.items():
                types.setdefault(vocabulary[tag].partition("=")[0], []).append(value)
            found["attribute_types"] = {
                name: {"map": float(np.mean(values)), "tags": len(values)}
                for name, values in types.items()
            }
        gaps = self._gaps()
        if bool(gaps.isfinite().any()):
            found["landmarks"] = {
                name: {"nme": float(own.mean()), "rows": len(own)}
                for k, name in enumerate(LANDMARKS)
                for own in [gaps[:, k][gaps[:, k].isfinite()]]
                if len(own)
            }
        return found

    def precisions(self) -> dict[int, float]:
        """Number of a tag → its average precision, 0-1, among the rows labelled for it."""
        if not self._scores:
            return {}
        scores, tags = torch.cat(self._scores), torch.cat(self._tags)
        known = torch.cat(self._known)
        return {
            tag: average_precision(-scores[rows, tag].numpy(), tags[rows, tag].numpy() > 0)
            for tag in range(tags.shape[1])
            for rows in [known[:, tag] > 0]
            if bool(tags[rows, tag].any())
        }

    def _gaps(self) -> Tensor:
        """(N, 8) error of each landmark, NaN where it isn't visible."""
        return torch.cat(self._errors) if self._errors else torch.empty(0, len(LANDMARKS))

    def _accuracy(self, scores: Tensor, tags: Tensor) -> float:
        right = total = 0
        for name in range(int(self.names.max()) + 1):
            columns = self.names == name
            rows = tags[:, columns].any(dim=1)
            best = scores[rows][:, columns].argmax(dim=1, keepdim=True)
            right += int(tags[rows][:, columns].gather(1, best).sum())
            total += int(rows.sum())
        return right / max(total, 1)
