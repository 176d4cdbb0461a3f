"""The processor's time of a bundle's graphs in int8, and in OpenVINO; and a detector in int8.

    python benchmarks/int8.py BUNDLE times                 float, int8 (and OpenVINO where it is)
    python benchmarks/int8.py BUNDLE detector DATA -o NEW  a bundle whose detector computes in int8

``times`` runs the street tower and the detector on made photos, with one thread, in turns in one
process; the ranges of int8 don't matter to it. ``detector`` takes ranges from training photos of
what ``detection_data.py`` made; ``detection.py DATA ap --bundle NEW`` then gives the average
precision. Towers are quantized and measured by ``hemline quantize``. ``times`` writes
``benchmarks/results/int8.json``.
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

from hemline.bundle import DETECTOR, onnx_runtime, write_info
from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing, prepare
from hemline.evaluation.machine import machine
from hemline.learn.export.int8 import folded, quantized
from hemline.learn.export.weights import serialized
from hemline.runtime.bundle import Bundle

RESULTS = Path(__file__).with_name("results") / "int8.json"
HEADS = ("scores", "boxes", "kinds")
ROUNDS, RUNS, IMAGES = 7, 10, 100


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
    if heads is not None:
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


def detector(bundle: Bundle, data: Path, target: Path) -> None:
    assert bundle.info.detector is not None
    manifest = Manifest.read(data)
    train = np.flatnonzero(np.asarray(manifest.column("split"), np.str_) == "train")
    rows = np.random.default_rng(0).permutation(train)[:IMAGES]
    opened = [image for _, image in open_many([manifest.file(int(row)) for row in rows], 1)]
    images = [image for image in opened if not isinstance(image, Exception)]
    feeds = feeds_of(images, bundle.info.detector.heads.preprocessing)
    graph = quantized(bundle.folder / bundle.info.graphs[DETECTOR], feeds, HEADS)
    copy = bundle.copy_to(target)
    (target / bundle.info.graphs[DETECTOR]).write_bytes(serialized(graph))
    changed = bundle.info.detector.model_copy(update={"precision": "int8"})
    write_info(copy.folder, bundle.info.model_copy(update={"detector": changed}))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("part", choices=("times", "detector"))
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path, help="folder of the new bundle")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    if options.part == "detector":
        detector(bundle, options.data, options.output)
        return
    result = times(bundle)
    print(json.dumps(result, indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
