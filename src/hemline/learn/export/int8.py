"""Graphs that compute in int8, by ONNX Runtime's static quantisation. It needs onnx, and no torch.

Activations have 8 bits, their ranges taken from images. Weights have 8, and a scale for each output
channel. x86 processors without VNNI add two such products in 16 bits, which may saturate; weights
of 7 bits (``portable``) can't, and give the same numbers everywhere.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.

Linear layers behind the pooling stay in float: one vector for each image, little time, and all the
precision.

Rounded weights shift a layer's mean, and its bias takes the shift back (`corrected`); without that
a MobileNetV2's embeddings lose several times as much.
Source: M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019, section 4.2, https://arxiv.org/abs/1906.04721; here
the inputs' means are measured on images.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hemline.bundle import WEIGHTS_FILE, onnx_runtime
from hemline.progress import Advance, no_advance
from hemline.types import FloatArray

#: Inputs of a graph, by name.
Feed = Mapping[str, FloatArray]
#: Operators that are computed in int8.
OPERATORS = ("Conv", "MatMul", "Gemm", "Add", "Clip", "Relu")
#: Largest magnitude of a weight; and of a portable one, as 255 · 64 · 2 < 2^15.
LEVELS, PORTABLE = 127, 64
_LINEAR = ("Conv", "MatMul", "Gemm")
_BATCH = 8


class _Reader:
    """ONNX Runtime's reader of calibration images."""

    def __init__(self, feeds: Sequence[Feed], advance: Advance) -> None:
        self._feeds, self._advance = feeds, advance
        self._left: Iterator[tuple[int, Feed]] = iter(enumerate(feeds, 1))

    def get_next(self) -> Feed | None:
        number, feed = next(self._left, (len(self._feeds), None))
        self._advance(number, len(self._feeds))
        return feed


def quantized(
    graph: Path,
    feeds: Sequence[Feed],
    keep: Sequence[str] = (),
    *,
    portable: bool = False,
    advance: Advance = no_advance,
) -> Any:
    """A graph that computes in int8, with its weights inside (onnx.ModelProto).

    Args:
        graph: its file, in any stored precision; ``weights.bin`` lies beside it where it has one.
        feeds: calibration images, each as the inputs of one run: (1, 3, S, S).
        keep: outputs whose last layers stay in float, too.
        portable: weights of 7 bits.
        advance: called after each image.
    """
    onnx_runtime()  # first, so that it writes no telemetry
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory(prefix="hemline-int8-") as place, _hushed():
        model = corrected(folded(graph, Path(place)), feeds, PORTABLE if portable else LEVELS)
        quantize_static(
            model,
            f"{place}/int8.onnx",
            _Reader(feeds, advance),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=last_layers(model, keep),
            per_channel=True,
            reduce_range=portable,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(f"{place}/int8.onnx")


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Without ONNX Runtime's advice to fold the graph first, which `folded` does."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def folded(graph: Path, folder: Path) -> Any:
    """The graph with normalisation layers in the convolutions, and all weights as float32."""
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "folded.onnx")
    options.log_severity_level = 3
    runtime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    if (graph.parent / WEIGHTS_FILE).is_file():  # what is not folded still refers to it
        shutil.copyfile(graph.parent / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    return onnx.load(folder / "folded.onnx")


def corrected(model: Any, feeds: Sequence[Feed], levels: int = LEVELS) -> Any:
    """The graph, in place, with the weights of convolutions rounded as int8 will have them, and the
    biases changed so that each layer's mean stays what it was; ``levels`` is the largest magnitude
    of a rounded weight."""
    constants = {one.name: one for one in model.graph.initializer}
    convolutions = [
        node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in constants
    ]
    means = _means(model, {node.input[0] for node in convolutions}, feeds)
    for node in convolutions:
        if any(name not in constants for name in node.input[2:]):
            continue
        stored = constants[node.input[1]]
        weight = numpy_helper.to_array(stored)  # (out, in / groups, ...)
        rounded = _rounded(weight, levels)
        lost = (weight - rounded).reshape(*weight.shape[:2], -1).sum(-1)
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        mean = means[node.input[0]].reshape(groups, -1)
        shift = np.einsum("goi,gi->go", lost.reshape(groups, -1, lost.shape[1]), mean).reshape(-1)
        stored.CopyFrom(numpy_helper.from_array(rounded, stored.name))
        if len(node.input) < 3:
            node.input.append(f"{stored.name}_bias")
            model.graph.initializer.add()
            constants[node.input[2]] = model.graph.initializer[-1]
            bias = np.zeros(len(weight), np.float32)
        else:
            bias = numpy_helper.to_array(constants[node.input[2]])
        changed = numpy_helper.from_array((bias + shift).astype(np.float32), node.input[2])
        constants[node.input[2]].CopyFrom(changed)
    return model


def _rounded(weight: FloatArray, levels: int) -> FloatArray:
    others = tuple(range(1, weight.ndim))
    scale = np.abs(weight).max(axis=others, keepdims=True) / levels
    scale = np.where(scale == 0, 1, scale)
    return np.asarray(np.round(weight / scale) * scale, np.float32)


def _means(model: Any, names: set[str], feeds: Sequence[Feed]) -> dict[str, FloatArray]:
    """The mean of each channel of some tensors (B, C, ...), over images and locations."""
    inner = sorted(names - {port.name for port in model.graph.input})
    known = {port.name for port in model.graph.output}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=n) for n in inner if n not in known)
    session = onnx_runtime().InferenceSession(
        probe.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    total: dict[str, FloatArray] = {}
    for start in range(0, len(feeds), _BATCH):
        some = feeds[start : start + _BATCH]
        given = {name: np.concatenate([feed[name] for feed in some]) for name in some[0]}
        values_of = session.run(inner, given) if inner else []
        found = dict(zip(inner, values_of, strict=True))
        for name, values in {**given, **found}.items():
            if name in names:
                sums = values.reshape(*values.shape[:2], -1).mean(-1).sum(0)
                total[name] = total.get(name, np.float32(0)) + sums
    return {name: np.asarray(value / len(feeds), np.float32) for name, value in total.items()}


def last_layers(model: Any, keep: Sequence[str] = ()) -> list[str]:
    """The names of the nodes that stay in float: the linear layers that see one vector of each
    image, at least the last one, and what follows them; and of the outputs ``keep`` the last
    convolutions, too. Nodes without a name get one."""
    nodes = list(model.graph.node)
    vectors = _vectors(model)
    for number, node in enumerate(nodes):
        node.name = node.name or f"node_{number}"
    reaching: set[str] = set()  # tensors from which a linear layer follows
    towards = set(keep)  # tensors from which only the outputs ``keep`` follow
    found = []
    for node in reversed(nodes):
        follows = any(name in reaching for name in node.output)
        kept = any(name in towards for name in node.output)
        if not follows and (kept or node.op_type in ("MatMul", "Gemm", "Add")):
            found.append(node.name)
        if follows or (node.op_type in _LINEAR and node.output[0] not in vectors):
            reaching.update(node.input)
        elif kept:
            towards.update(node.input)
    return found


def _vectors(model: Any) -> set[str]:
    """The tensors (B, C), where B is the number of images."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    found: set[str] = set()
    for port in (*graph.value_info, *graph.output):
        shape = port.type.tensor_type.shape.dim
        if len(shape) == 2 and shape[0] == graph.input[0].type.tensor_type.shape.dim[0]:
            found.add(port.name)
    return found
