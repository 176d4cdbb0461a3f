"""The graphs of a bundle as files, and the file of weights that they share. It needs onnx alone.

Every large constant moves to ``weights.bin``, equal ones once, so a backbone that both towers share
is stored once. Smaller precisions store other types and cast them back in the graph; ONNX Runtime
folds the casts at loading, so all computing stays in float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from hemline.bundle import WEIGHTS_FILE

#: Constants of fewer bytes stay in the graph.
SMALL = 1024
#: Constants of fewer values, and vectors, keep float32 in every precision (biases, normalisation,
#: scales of int8).
EXACT = 2048
_ALIGN = 64


def shrink(graph: Any, precision: str) -> None:
    """Stores the large float32 constants of a graph as float16 or int8, in place.

    int8 has one scale for each output channel (largest magnitude / 127); float16 is the nearest.
    """
    if precision == "float32":
        return
    before, kept = [], []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < EXACT or values.ndim < 2:
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
