"""What a trained model predicts of images beside embeddings: `hemline evaluate --labels`.

AHBN (https://arxiv.org/abs/2010.13357), section IV-C, Figures 4 and 5: mean average precision of
the attributes, and the normalised error of each landmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hemline.data.manifest import Manifest
from hemline.errors import UsageError
from hemline.learn.checkpoint import CheckpointEncoder
from hemline.learn.losses.multilabel import name_numbers
from hemline.learn.model import RetrievalModel
from hemline.learn.training.batches import normalise
from hemline.learn.training.images import ImageCache
from hemline.learn.training.known import known_tags
from hemline.learn.training.labels import Labels
from hemline.progress import Advance, no_advance
from hemline.ranking.tags import multi_hot
from hemline.types import Domain

Rows = npt.NDArray[np.int64]


@torch.inference_mode()
def predicted_labels(
    encoder: CheckpointEncoder,
    manifest: Manifest,
    rows: Mapping[Domain, Rows],
    boxes: Mapping[Domain, bool],
    advance: Advance = no_advance,
) -> dict[str, Any]:
    """Figures of the tags and landmarks that the model predicts.

    Args:
        encoder: of a run.
        manifest: of the images, with tags and landmarks to compare with.
        rows: domain → rows of it; each image is read once.
        boxes: domain → whether its images are cropped to their box.
        advance: called with (images done, images).

    Returns:
        `Labels.report`, and ``images``, how many could be read.

    Raises:
        UsageError: the model predicts neither, or the images have none of what it predicts.
    """
    model = encoder.model
    if type(model).predict is RetrievalModel.predict:
        raise UsageError(f"{encoder.name} predicts neither tags nor landmarks")
    vocabulary = encoder.run.vocabulary
    tags = multi_hot([record.tags for record in manifest], vocabulary)
    known = known_tags(manifest, vocabulary, tags)
    spec, found, done, read = model.preprocessing, None, 0, 0
    found = Labels(name_numbers(vocabulary), spec.size)
    every = sum(len(some) for some in rows.values())
    for domain, some in rows.items():
        images = ImageCache(manifest, spec, boxes=boxes[domain], cache_mb=0)
        for start in range(0, len(some), encoder.batch_size):
            part = some[start : start + encoder.batch_size].tolist()
            squares = {row: square for row in part if (square := images[row]) is not None}
            done += len(part)
            advance(done, every)
            if not squares:
                continue
            batch = torch.from_numpy(np.stack(list(squares.values()))).to(encoder.device)
            predicted = model.predict(normalise(batch, spec, domain), domain == "street")
            points = np.stack([images.landmarks(row) for row in squares])
            at = list(squares)
            labelled = None if known is None else torch.from_numpy(known[at])
            found.add(predicted, torch.from_numpy(tags[at]), torch.from_numpy(points), labelled)
            read += len(squares)
    report = found.report(vocabulary)
    if not report:
        raise UsageError(
            f"the images have none of the tags that {encoder.name} learned, and no visible landmark"
        )
    return {"images": read, **report}
