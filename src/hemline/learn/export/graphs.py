"""ONNX graphs of a model, which `hemline.learn.export.weights` writes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hemline.learn.model import RetrievalModel


class _Part(nn.Module):
    def __init__(self, model: RetrievalModel) -> None:
        super().__init__()
        self.model = model


class _Street(_Part):
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        out = self.model.encode_street(images)
        return (out.embedding,) if out.local is None else (out.embedding, out.local)


class _Shop(_Part):
    def forward(self, images: Tensor, tags: Tensor) -> tuple[Tensor, ...]:
        out = self.model.encode_shop(images, tags)
        first = (out.embedding, out.norm)
        return first if out.attention is None else (*first, out.attention)


class _PlainShop(_Shop):
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        return super().forward(images, images.new_zeros((1, self.model.tag_count)))


class _Rerank(_Part):
    def forward(self, local: Tensor, contexts: Tensor) -> tuple[Tensor, Tensor]:
        out = self.model.rerank(local, contexts)
        return out.distance, out.attention


def trace(model: RetrievalModel) -> dict[str, Any]:
    """The model's graphs: role → onnx.ModelProto, float32, with all weights inside."""
    model = model.eval().to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    size = model.preprocessing.size
    images = torch.randn(3, 3, size, size)
    with torch.inference_mode():
        street = model.encode_street(images)
    names = ["embedding"] if street.local is None else ["embedding", "local"]
    graphs = {"street": traced(_Street(model), {"images": images}, {"images"}, names)}
    tags = torch.zeros(3, model.tag_count)
    if model.uses_tags:
        graphs["shop"] = traced(
            _Shop(model),
            {"images": images, "tags": tags},
            {"images", "tags"},
            ["embedding", "norm", "weights"],
        )
    else:
        graphs["shop"] = traced(
            _PlainShop(model), {"images": images}, {"images"}, ["embedding", "norm"]
        )
    if model.reranks:
        assert street.local is not None
        graphs["rerank"] = traced(
            _Rerank(model),
            {"local": street.local[0], "contexts": torch.randn(5, street.local.shape[1])},
            {"contexts"},
            ["distance", "weights"],
        )
    return graphs


def traced(
    module: nn.Module, example: Mapping[str, Tensor], dynamic: Iterable[str], outputs: list[str]
) -> Any:
    """The graph of one module (onnx.ModelProto, float32, weights inside).

    Args:
        module: in evaluation mode afterwards.
        example: name → tensor of each input, in order.
        dynamic: inputs whose first dimension is free.
        outputs: names, in order.
    """
    count = torch.export.Dim("n")
    shapes = {name: {0: count} if name in dynamic else None for name in example}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # axes that share one name
        program = torch.onnx.export(
            module.eval(),
            tuple(value.clone() for value in example.values()),
            input_names=list(example),
            output_names=outputs,
            dynamic_shapes=tuple(shapes.values()),
            dynamo=True,
            verbose=False,
            optimize=True,
        )
    assert program is not None
    return program.model_proto
