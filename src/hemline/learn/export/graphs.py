"""ONNX graphs of a model, and the file of weights that they share.

Every large constant moves to ``weights.bin``, equal ones once, so a backbone that both encoders
share is stored once. Smaller precisions store other types and cast them back in the graph; ONNX
Runtime folds the casts at loading, so all computing stays in float32.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from hemline.bundle import WEIGHTS_FILE
from hemline.learn.model import RetrievalModel

#: Constants of fewer bytes stay in the graph.
SMALL = 1024
#: Constants of fewer values keep float32 in every precision (biases, normalisation).
EXACT = 2048
_ALIGN = 64


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


def shrink(graph: Any, precision: str) -> None:
    """Stores the large float32 constants of a graph as float16 or int8, in place.

    int8 has one scale for each output channel (largest magnitude / 127); float16 is the nearest.
    """
    if precision == "float32":
        return
    before, kept = [], []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < EXACT:
            kept.append(tensor)
            continue
        name = tensor.name
        if precision == "float16":
            kept.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            before.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
            continue
        levels, scale = _int8(values, _output_axis(graph, name, values))
        kept.append(numpy_helper.from_array(levels, f"{name}.int8"))
        kept.append(numpy_helper.from_array(scale, f"{name}.scale"))
        before.append(
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.levels"], to=TensorProto.FLOAT)
        )
        before.append(helper.make_node("Mul", [f"{name}.levels", f"{name}.scale"], [name]))
    nodes = list(graph.graph.node)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend([*before, *nodes])


def _int8(
    values: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    others = tuple(a for a in range(values.ndim) if a != axis)
    scale = np.maximum(np.abs(values).max(axis=others, keepdims=True) / 127, 1e-12)
    levels = np.clip(np.round(values / scale), -127, 127).astype(np.int8)
    return levels, scale.astype(np.float32)


def _output_axis(graph: Any, name: str, values: npt.NDArray[np.float32]) -> int:
    """0 for convolutions and x·Wᵀ, the last for x·W."""
    for node in graph.graph.node:
        if name in node.input:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            if node.op_type in ("MatMul", "Gemm") and not transposed:
                return values.ndim - 1
    return 0


def write(graphs: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Writes ``ROLE.onnx`` for each, and ``weights.bin``; returns role → file name."""
    places: dict[str, int] = {}
    with (folder / WEIGHTS_FILE).open("wb") as file:
        for graph in graphs.values():
            for tensor in graph.graph.initializer:
                array = numpy_helper.to_array(tensor)
                data = array.tobytes()
                if len(data) < SMALL:
                    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
                    continue
                digest = hashlib.sha256(data).hexdigest()
                if digest not in places:
                    file.write(b"\0" * (-file.tell() % _ALIGN))
                    places[digest] = file.tell()
                    file.write(data)
                _outside(tensor, places[digest], len(data))
    for role, graph in graphs.items():
        (folder / f"{role}.onnx").write_bytes(serialized(graph))
    return {role: f"{role}.onnx" for role in graphs}


def serialized(graph: Any) -> bytes:
    """A graph's file, without the paths of this machine that tracing adds."""
    del graph.metadata_props[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    graph.doc_string = ""
    return bytes(graph.SerializeToString(deterministic=True))


def _outside(tensor: Any, offset: int, length: int) -> None:
    for field in ("raw_data", "float_data", "int32_data", "int64_data"):
        tensor.ClearField(field)
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_FILE), ("offset", offset), ("length", length)):
        tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))
