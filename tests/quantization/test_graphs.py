"""Graphs that compute in int8. onnx is in the extra ``test``, so the light install runs these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hemline.bundle import onnx_runtime


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """images → pointwise and depthwise convolutions with ReLU → a linear layer → embedding.

    Its first convolution has no bias, and a channel of zeros.
    """
    rng = np.random.default_rng(0)
    shapes = {"a": (16, 3, 3, 3), "b": (16, 1, 3, 3), "c": (24, 16, 1, 1)}
    made = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    made["a"][3] = 0
    constants = made | {
        "bias_b": rng.standard_normal(16).astype(np.float32),
        "bias_c": rng.standard_normal(24).astype(np.float32),
        "line": rng.standard_normal((24, 8)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["images", "a"], ["x"], strides=[2, 2]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Conv", ["y", "b", "bias_b"], ["z"], group=16),
        helper.make_node("Relu", ["z"], ["u"]),
        helper.make_node("Conv", ["u", "c", "bias_c"], ["v"]),
        helper.make_node("Relu", ["v"], ["w"]),
        helper.make_node("GlobalAveragePool", ["w"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "line"], ["embedding"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", ["B", 3, 16, 16]), ("embedding", ["B", 8]))
    ]
    body = helper.make_graph(
        nodes, "g", ports[:1], ports[1:],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "graph.onnx")
    return tmp_path / "graph.onnx"


@pytest.fixture
def feeds() -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [{"images": rng.random((1, 3, 16, 16), np.float32)} for _ in range(20)]


def run(model: Any, feeds: list[dict[str, Any]], output: str = "embedding") -> Any:
    if output not in {port.name for port in model.graph.output}:
        model.graph.output.append(onnx.ValueInfoProto(name=output))
    session = onnx_runtime().InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.concatenate([session.run([output], feed)[0] for feed in feeds])


def operators(model: Any, folder: Path) -> set[str]:
    """What ONNX Runtime runs, after its own optimisation."""
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node}


@pytest.mark.parametrize("portable", [False, True])
def test_convolutions_compute_in_int8_and_give_about_the_same(
    graph: Path, feeds: list[dict[str, Any]], tmp_path: Path, portable: bool
) -> None:
    from hemline.learn.export.int8 import quantized

    told: list[tuple[int, int]] = []
    model = quantized(
        graph, feeds, portable=portable, advance=lambda done, total: told.append((done, total))
    )
    kinds = operators(model, tmp_path)
    assert "QLinearConv" in kinds
    assert not kinds & {"Conv", "FusedConv", "QLinearMatMul", "MatMulIntegerToFloat"}
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    least = min(int(v.min()) for n, v in weights.items() if v.dtype == np.int8)
    assert -128 <= least <= (-60 if portable else -120)
    assert not portable or least >= -64
    before, after = run(onnx.load(graph), feeds), run(model, feeds)
    off = np.linalg.norm(after - before, axis=1) / np.linalg.norm(before, axis=1)
    assert off.max() < (0.06 if portable else 0.03)
    assert told[-1] == (20, 20)


def test_the_mean_of_each_layer_stays(graph: Path, feeds: list[dict[str, Any]]) -> None:
    # With 3 levels rounding shifts the layers much; the corrected biases take that back.
    from hemline.learn.export.int8 import corrected

    own, fixed = onnx.load(graph), corrected(onnx.load(graph), feeds, levels=3)
    biased = onnx.load(graph)
    for tensor in biased.graph.initializer:
        if tensor.name in "abc":
            (rounded,) = (t for t in fixed.graph.initializer if t.name == tensor.name)
            tensor.CopyFrom(rounded)
    for output in ("x", "z", "v"):
        right = run(own, feeds, output).mean((0, 2, 3))
        shift = np.abs(run(fixed, feeds, output).mean((0, 2, 3)) - right)
        before = np.abs(run(biased, feeds, output).mean((0, 2, 3)) - right)
        # Not exact: a kernel doesn't see every pixel equally often, and later layers see the
        # rounding before them.
        assert shift.mean() < 0.5 * before.mean()


def test_last_layers_are_found(graph: Path) -> None:
    from hemline.learn.export.int8 import last_layers

    model = onnx.load(graph)
    names = last_layers(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert {kinds[name] for name in names} == {"MatMul"}
    heads = helper.make_model(helper.make_graph(model.graph.node[:5], "h", [], []))
    kept = last_layers(heads, ["v"])
    assert [node.output[0] for node in heads.graph.node if node.name in kept] == ["v"]
    assert last_layers(heads) == []


def test_all_linear_layers_behind_the_pooling_stay_in_float(graph: Path) -> None:
    """Maps and a querybank may follow each other; the two towers share the weights of the maps."""
    from hemline.learn.export.int8 import last_layers

    model = onnx.load(graph)
    body = model.graph
    body.node[-1].output[0] = "mapped"
    body.initializer.append(numpy_helper.from_array(np.ones((8, 5), np.float32), "bank"))
    body.node.append(helper.make_node("MatMul", ["mapped", "bank"], ["embedding"]))
    body.output[0].type.tensor_type.shape.dim[1].dim_value = 5
    found = last_layers(model)
    assert [node.output[0] for node in body.node if node.name in found] == ["mapped", "embedding"]


def test_weights_stored_as_float16_are_read(graph: Path, feeds: list[dict[str, Any]]) -> None:
    from hemline.learn.export.int8 import quantized
    from hemline.learn.export.weights import shrink, write

    model = onnx.load(graph)
    right = run(onnx.load(graph), feeds)
    shrink(model, "float16")
    folder = graph.parent / "stored"
    folder.mkdir()
    write({"street": model}, folder)
    found = run(quantized(folder / "street.onnx", feeds), feeds)
    assert np.linalg.norm(found - right) < 0.03 * np.linalg.norm(right)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_vectors_keep_float32_when_weights_are_stored_in_less(precision: str) -> None:
    """A scale of int8 may be far below the least float16, and a bias has one value a channel."""
    from hemline.learn.export.weights import EXACT, shrink

    wide = np.full(2 * EXACT, 1e-6, np.float32)
    square = np.eye(64, dtype=np.float32)
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, size])
        for name, size in (("images", 64), ("embedding", 64))
    ]
    node = helper.make_node("MatMul", ["images", "weight"], ["embedding"])
    stored = [numpy_helper.from_array(wide, "scale"), numpy_helper.from_array(square, "weight")]
    model = helper.make_model(helper.make_graph([node], "tower", ports[:1], ports[1:], stored))
    shrink(model, precision)
    kept = {one.name: numpy_helper.to_array(one).dtype for one in model.graph.initializer}
    assert kept["scale"] == np.float32
    assert kept[f"weight.{'half' if precision == 'float16' else 'int8'}"] != np.float32
