"""A detector small enough for a test: red places are t-shirts, blue ones jeans, green ones bags.

Its grid has 4 × 4 places of 16 pixels, and every box is its place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hemline.bundle import DETECTOR, BundleInfo, DetectorInfo, read_info, write_info
from hemline.data.detector_outputs import Heads
from hemline.data.preprocess import Preprocessing

SIZE, SIDE = 64, 4
HEADS = Heads(preprocessing=Preprocessing(size=SIZE))


def put_tiny_detector(bundle: Path, heads: Heads = HEADS, steep: float = 6.0) -> BundleInfo:
    """Writes it into a bundle that is there; ``steep`` is the logit of a pure colour."""
    layers, kinds = list(heads.layers), list(heads.kinds)
    look = np.zeros((len(layers), 3, 1, 1), np.float32)
    for channel, layer in enumerate(("upper", "bag", "lower")):  # R, G, B in -1..1
        own = [1.5 * steep if k == channel else -0.75 * steep for k in range(3)]
        look[layers.index(layer), :, 0, 0] = own
    start = np.full(len(layers), -2 * steep, np.float32)
    reach = np.full((1, len(layers), 4, 1), np.log(0.5 / SIDE / heads.reach), np.float32)
    likes = np.zeros((1, len(kinds), 1), np.float32)
    likes[0, [kinds.index("t-shirt"), kinds.index("jeans")]] = 1.0
    constants = {
        "look": look,
        "start": start,
        "flat": np.array([0, len(layers), SIDE * SIDE], np.int64),
        "tall": np.array([0, len(layers), 1, SIDE * SIDE], np.int64),
        "reach": reach,
        "likes": likes,
        "none": np.array(0.0, np.float32),
        "one": np.array([0, 1, SIDE * SIDE], np.int64),
        "axis": np.array([1], np.int64),
    }
    side = SIZE // SIDE
    nodes = [
        helper.make_node(
            "AveragePool", ["images"], ["mean"], kernel_shape=[side, side], strides=[side, side]
        ),
        helper.make_node("Conv", ["mean", "look", "start"], ["map"]),
        helper.make_node("Reshape", ["map", "flat"], ["scores"]),
        helper.make_node("Mul", ["scores", "none"], ["zero"]),
        helper.make_node("Reshape", ["zero", "tall"], ["zero4"]),
        helper.make_node("Add", ["zero4", "reach"], ["boxes"]),
        helper.make_node("ReduceSum", ["zero", "axis"], ["zero1"], keepdims=1),
        helper.make_node("Add", ["zero1", "likes"], ["kinds"]),
    ]

    def info(values: dict[str, list[object]]) -> list[object]:
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in values.items()]

    graph = helper.make_graph(
        nodes,
        DETECTOR,
        info({"images": ["B", 3, SIZE, SIZE]}),
        info(
            {
                "scores": ["B", len(layers), SIDE * SIDE],
                "boxes": ["B", len(layers), 4, SIDE * SIDE],
                "kinds": ["B", len(kinds), SIDE * SIDE],
            }
        ),
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, bundle / "detector.onnx")
    old = read_info(bundle)
    new = {
        "graphs": {**old.graphs, DETECTOR: "detector.onnx"},
        "detector": DetectorInfo(name="tiny_detector", heads=heads),
    }
    return write_info(bundle, old.model_copy(update=new))


def street(*places: tuple[int, int, str], side: int = 256, ground: int = 20) -> np.ndarray:
    """A photo (side, side, 3) with garments at (column, row) of the grid: red, green or blue."""
    image = np.full((side, side, 3), ground, np.uint8)
    step = side // SIDE
    for column, row, colour in places:
        rgb = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}[colour]
        image[row * step : (row + 1) * step, column * step : (column + 1) * step] = rgb
    return image
