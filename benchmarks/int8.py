"""The processor's time of a bundle's graphs in int8, and in OpenVINO.

    python benchmarks/int8.py BUNDLE      float, int8 (and OpenVINO where it is)

Runs the street tower and the detector, unless it computes in int8 already, on made photos, with one
thread, in turns in one process; the ranges of int8 don't matter to it. What int8 costs is measured
by ``hemline quantize``. Writes ``benchmarks/results/int8.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hemline.bundle import DETECTOR, onnx_runtime
from hemline.data.preprocess import Preprocessing, prepare
from hemline.evaluation.machine import machine
from hemline.learn.export.int8 import folded, quantized
from hemline.quantization.detector import HEADS
from hemline.runtime.bundle import Bundle

RESULTS = Path(__file__).with_name("results") / "int8.json"
ROUNDS, RUNS = 7, 10


def feeds_of(images: list[Any], spec: Preprocessing) -> list[dict[str, Any]]:
    return [{"images": prepare(image, spec, "street")[None]} for image in images]


def onnx_run(model: Any) -> Callable[[dict[str, Any]], Any]:
    options = onnx_runtime().SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnx_runtime().InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda feed: session.run(None, feed)


def openvino_run(model: Any) -> Callable[[dict[str, Any]], Any] | None:
    """The graph in OpenVINO, in float32 as ONNX Runtime computes it; None where it is missing."""
    try:
        import openvino
    except ModuleNotFoundError:
        return None
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    read = core.read_model(model.SerializeToString())
    request = core.compile_model(read, "CPU", settings).create_infer_request()
    return lambda feed: request.infer(feed)


def times(bundle: Bundle) -> dict[str, Any]:
    """Milliseconds of CPU time of one image, the least of the rounds."""
    rng = np.random.default_rng(0)
    heads = bundle.info.detector
    specs = {"street": bundle.info.preprocessing}
    if heads is not None and heads.precision != "int8":
        specs[DETECTOR] = heads.heads.preprocessing
    found: dict[str, Any] = {}
    for role, spec in specs.items():
        images = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(8)]
        feeds = feeds_of(images, spec)
        graph = bundle.folder / bundle.info.graphs[role]
        with tempfile.TemporaryDirectory() as place:
            plain = folded(graph, Path(place))
        small = quantized(graph, feeds, HEADS if role == DETECTOR else ())
        runs = {
            "float": onnx_run(plain),
            "int8": onnx_run(small),
            "openvino float": openvino_run(plain),
            "openvino int8": openvino_run(small),
        }
        best: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                if run is not None:
                    run(feeds[0])
                    begin = time.process_time()
                    for _ in range(RUNS):
                        run(feeds[0])
                    spent = (time.process_time() - begin) / RUNS * 1000
                    best[name] = min(best.get(name, spent), spent)
        found[role] = {name: round(value, 2) for name, value in best.items()}
    return {"bundle": bundle.info.name, "cpu_ms": found, "machine": machine()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    result = times(bundle)
    print(json.dumps(result, indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
