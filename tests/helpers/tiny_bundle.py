"""A bundle small enough for a test: a 1x1 convolution, four locations, tags and a re-ranker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hemline.bundle import BundleInfo, write_info
from hemline.data.preprocess import Preprocessing

SIZE, CHANNELS, LOCATIONS = 16, 8, 4
VOCABULARY = ("colour=blue", "colour=red", "pattern=floral")


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """conv (C, 3, 1, 1), bias (C,), attention (T, L) of the tiny model."""
    rng = np.random.default_rng(seed)
    return {
        "conv": rng.normal(size=(CHANNELS, 3, 1, 1)).astype(np.float32),
        "bias": rng.normal(size=CHANNELS).astype(np.float32) * 0.1,
        "attention": rng.normal(size=(len(VOCABULARY), LOCATIONS)).astype(np.float32) * 3,
    }


def _save(path: Path, nodes: list, inputs: dict, outputs: dict, constants: dict) -> None:
    def info(values: dict) -> list:
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in values.items()]

    graph = helper.make_graph(
        nodes,
        path.stem,
        info(inputs),
        info(outputs),
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _backbone() -> list:
    """images (B,3,S,S) → local (B,C,L): one vector for each quarter of the picture."""
    half = SIZE // 2
    return [
        helper.make_node("Conv", ["images", "conv", "bias"], ["map"]),
        helper.make_node("Tanh", ["map"], ["bent"]),
        helper.make_node(
            "AveragePool", ["bent"], ["pooled"], kernel_shape=[half, half], strides=[half, half]
        ),
        helper.make_node("Reshape", ["pooled", "flat"], ["local"]),
    ]


_NORMALISE = [
    helper.make_node("ReduceL2", ["vector"], ["length"], axes=[1], keepdims=1),
    helper.make_node("Max", ["length", "tiny"], ["safe"]),
    helper.make_node("Div", ["vector", "safe"], ["embedding"]),
]


def make_tiny_bundle(
    folder: Path,
    *,
    tags: bool = True,
    reranks: bool = True,
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Writes the bundle to ``folder`` and gives it back."""
    folder.mkdir(parents=True, exist_ok=True)
    w = weights(seed)
    backbone = {
        "conv": w["conv"],
        "bias": w["bias"],
        "flat": np.array([0, CHANNELS, LOCATIONS], np.int64),
        "tiny": np.array([1e-12], np.float32),
    }
    images = {"images": ["B", 3, SIZE, SIZE]}
    mean = helper.make_node("ReduceMean", ["local"], ["vector"], axes=[2], keepdims=0)
    out = {"embedding": ["B", CHANNELS]}
    street_out = dict(out, local=["B", CHANNELS, LOCATIONS]) if reranks else out
    _save(folder / "street.onnx", [*_backbone(), mean, *_NORMALISE], images, street_out, backbone)

    norm = helper.make_node("Squeeze", ["length", "one"], ["norm"])
    shop_constants = dict(backbone, one=np.array([1], np.int64))
    shop_out = dict(out, norm=["B"])
    pooling = [mean]
    if tags:
        shop_constants |= {"attention": w["attention"], "two": np.array([2], np.int64)}
        images = dict(images, tags=["B", len(VOCABULARY)])
        shop_out["weights"] = ["B", LOCATIONS]
        pooling = [
            helper.make_node("MatMul", ["tags", "attention"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["weights"], axis=1),
            helper.make_node("Unsqueeze", ["weights", "two"], ["column"]),
            helper.make_node("MatMul", ["local", "column"], ["product"]),
            helper.make_node("Squeeze", ["product", "two"], ["vector"]),
        ]
    _save(
        folder / "shop.onnx",
        [*_backbone(), *pooling, *_NORMALISE, norm],
        images,
        shop_out,
        shop_constants,
    )
    graphs = {"street": "street.onnx", "shop": "shop.onnx"}
    if reranks:
        graphs["rerank"] = "rerank.onnx"
        _save_rerank(folder / "rerank.onnx")
    info = BundleInfo(
        name="tiny",
        embedding_dim=CHANNELS,
        grid=(2, 2),
        preprocessing=preprocessing or Preprocessing(size=SIZE),
        vocabulary=VOCABULARY if tags else (),
        uses_tags=tags,
        reranks=reranks,
        graphs=graphs,
    )
    write_info(folder, info)
    return folder


def _save_rerank(path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["contexts", "local"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["weights"], axis=1),
        helper.make_node("Transpose", ["local"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["weights", "turned"], ["seen"]),
        helper.make_node("ReduceL2", ["seen"], ["seen_length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["seen", "seen_length"], ["query"]),
        helper.make_node("ReduceL2", ["contexts"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["contexts", "length"], ["candidate"]),
        helper.make_node("Sub", ["query", "candidate"], ["gap"]),
        helper.make_node("ReduceL2", ["gap"], ["distance"], axes=[1], keepdims=0),
    ]
    _save(
        path,
        nodes,
        {"local": [CHANNELS, LOCATIONS], "contexts": ["K", CHANNELS]},
        {"distance": ["K"], "weights": ["K", LOCATIONS]},
        {},
    )
