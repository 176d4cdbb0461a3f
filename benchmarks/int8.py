"""A bundle whose towers compute in int8: its speed and recall beside the bundle's own.

    python benchmarks/int8.py hemline-small MANIFEST -o BUNDLE [--calibrate 100] [--protocol NAME]

ONNX Runtime's static quantisation: weights of each channel and activations in 8 bits, with the
activations' ranges taken from images of the manifest that the protocol doesn't search with. The
processor's time of one image is compared in one process, in turns, with one thread; recall@1 by
`hemline evaluate`'s protocol. A bundle that loses more than 0.01 of it isn't kept. Re-ranker and
detector stay as they are. Writes ``benchmarks/results/int8.json``. Needs ``hemline[learn]``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from hemline.bundle import DETECTOR, WEIGHTS_FILE, onnx_runtime, write_info
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.preprocess import PreparedImage, prepare
from hemline.data.protocol import Protocol
from hemline.datasets import build
from hemline.evaluation.machine import machine
from hemline.evaluation.run import evaluate
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder
from hemline.types import Domain, FloatArray

RESULTS = Path(__file__).with_name("results") / "int8.json"
TOWERS: tuple[Domain, ...] = ("street", "shop")
#: Operators that are computed in int8; the last layers, which normalise, stay as they are.
OPERATORS = ["Conv", "MatMul", "Gemm", "Add", "Clip", "Relu"]
MOST_LOST, ROUNDS, TIMED = 0.01, 6, 40


class Reader:
    """ONNX Runtime's reader of calibration images."""

    def __init__(self, feeds: list[dict[str, FloatArray]]) -> None:
        self._left: Iterator[dict[str, FloatArray]] = iter(feeds)

    def get_next(self) -> dict[str, FloatArray] | None:
        return next(self._left, None)


def quantise(bundle: Bundle, domain: Domain, images: list[PreparedImage], target: Path) -> None:
    """Writes a tower that computes in int8, calibrated on ``images``."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    runtime = onnx_runtime()
    with tempfile.TemporaryDirectory() as folder:
        # Weights stored as float16 become constants of float32.
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        options.log_severity_level = 3
        source = bundle.folder / bundle.info.graphs[domain]
        session = runtime.InferenceSession(str(source), options)
        if (bundle.folder / WEIGHTS_FILE).is_file():
            shutil.copyfile(bundle.folder / WEIGHTS_FILE, Path(folder) / WEIGHTS_FILE)
        shapes = {port.name: port.shape for port in session.get_inputs()}
        more = {} if "tags" not in shapes else {"tags": np.zeros((1, shapes["tags"][1]), "f4")}
        spec = bundle.info.preprocessing
        feeds = [{"images": prepare(image, spec, domain)[None], **more} for image in images]
        quantize_static(
            options.optimized_model_filepath,
            str(target),
            Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def written(bundle: Bundle, images: list[PreparedImage], folder: Path) -> Bundle:
    """The bundle with towers in int8, in a new folder."""
    copy = bundle.copy_to(folder).folder
    for domain in TOWERS:
        quantise(bundle, domain, images, copy / bundle.info.graphs[domain])
    for role in set(bundle.info.graphs) - {*TOWERS, DETECTOR}:  # which share the towers' weights
        file = copy / bundle.info.graphs[role]
        onnx.save(onnx.load(file), file)
    (copy / WEIGHTS_FILE).unlink(missing_ok=True)
    write_info(copy, bundle.info.model_copy(update={"precision": "int8"}))
    return Bundle.open(copy)


def cpu_ms(bundles: dict[str, Bundle], images: list[PreparedImage]) -> dict[str, float]:
    """The processor's milliseconds of one image in the street tower, the least of the rounds."""
    best = dict.fromkeys(bundles, float("inf"))
    encoders = {name: BundleEncoder(bundle, threads=1) for name, bundle in bundles.items()}
    for _ in range(ROUNDS):
        for name, encoder in encoders.items():
            begin = time.process_time()
            for image in images:
                encoder.encode_street([image])
            best[name] = min(best[name], (time.process_time() - begin) / len(images) * 1000)
    return {name: round(value, 3) for name, value in best.items()}


def recall(bundle: Bundle, protocols: tuple[Protocol, ...]) -> float:
    ranks = [evaluate(BundleEncoder(bundle, threads=1), one).ranks for one in protocols]
    return round(float(np.mean(np.concatenate(ranks) == 1)), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the new bundle")
    parser.add_argument("--protocol", default="default")
    parser.add_argument("--calibrate", type=int, default=100, help="images")
    options = parser.parse_args()
    own, manifest = Bundle.open(options.bundle), Manifest.read(options.manifest)
    protocols = build(options.protocol, manifest)
    asked = [path for one in protocols for path in one.manifest.column("path")[one.queries]]
    free = np.flatnonzero(~np.isin(np.asarray(manifest.column("path"), np.str_), asked))
    rows = np.random.default_rng(0).permutation(free)[: options.calibrate]
    spec = own.info.preprocessing
    images = [PreparedImage.of(open_image(manifest.file(int(row))), spec) for row in rows]
    small = written(own, images, options.output)
    bundles = {"own": own, "int8": small}
    timed = images[:TIMED]
    pair = [BundleEncoder(one, 1).encode_street(timed).embedding for one in bundles.values()]
    cosine = (pair[0] * pair[1]).sum(1)
    spent = cpu_ms(bundles, timed)
    found = {name: recall(bundle, protocols) for name, bundle in bundles.items()}
    result = {
        "bundle": own.info.name,
        "fingerprint": own.fingerprint,
        "manifest": manifest.fingerprint(),
        "protocol": options.protocol,
        "queries": len(asked),
        "calibrated_on": len(images),
        "cpu_ms": spent,
        "ratio": round(spent["int8"] / spent["own"], 3),
        "cosine": {"least": round(float(cosine.min()), 4), "mean": round(float(cosine.mean()), 4)},
        "recall@1": found,
        "machine": machine(),
    }
    print(json.dumps(result, indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    if found["int8"] < found["own"] - MOST_LOST:
        shutil.rmtree(options.output)
        raise SystemExit(f"not kept: recall@1 falls by more than {MOST_LOST}")


if __name__ == "__main__":
    main()
