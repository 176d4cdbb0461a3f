"""The sizes of a registered model, without its weights."""

from __future__ import annotations

from typing import Any

import torch

from hemline.learn.model import ModelSpec


def published_sizes(spec: ModelSpec) -> dict[str, Any]:
    """Image ``size`` in pixels, ``embedding_dim``, ``parameters`` and ``stages`` of a model with
    its default settings; built on torch's meta device, which allocates no weights.
    """
    with torch.device("meta"):
        model = spec.build(spec.configure({}), ("tag",))
    return {
        "size": model.preprocessing.size,
        "embedding_dim": model.embedding_dim,
        "parameters": sum(p.numel() for p in model.parameters()),
        "stages": [stage.name for stage in model.stages()],
    }
