"""Grocery: phone photos against 81 shop pictures, the start and trained models on the same queries.

    python benchmarks/grocery.py                                          the start alone
    python benchmarks/grocery.py --seen runs/grocery --folds 'runs/grocery-fold{fold}'

- **Seen products**: photos of val.txt; the model may have learned from train.txt.
- **Unseen products**: five committed folds of products; the model of a fold has seen nothing of
  them. All their photos of train and val ask, and all 81 shop pictures are searched.
- **The start**: the ImageNet MobileNetV2 of the shared weights, pooled head features, each domain's
  own mean removed. The means are of the pictures that training may see.

Needs ``hemline[learn]`` for the start and for runs, and the data and weights under HEMLINE_SHARED
(default: ``../shared`` from the project's root). Writes ``benchmarks/results/grocery.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _shared import SHARED

from hemline.cli._common import progress
from hemline.data.manifest import Manifest
from hemline.data.preprocess import Preprocessing, prepare
from hemline.data.protocol import Protocol
from hemline.datasets import READERS, build
from hemline.encoding import Encoder, RerankResult, ShopEncoding, StreetEncoding
from hemline.evaluation.embed import embed
from hemline.evaluation.model import open_encoder
from hemline.evaluation.report import compare, report
from hemline.evaluation.run import EvaluationResult, evaluate
from hemline.types import DOMAINS, Domain, FloatArray, Image
from hemline.views.report_table import table

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "mobilenetv2_100_same.tf2_in1k.safetensors"


#: timm's name of a network → pixels of its input, and how it is made.
NETWORKS: dict[str, tuple[int, dict[str, Any]]] = {
    "mobilenetv2_100": (224, {"pad_type": "same", "num_classes": 1001}),
    "tf_efficientnet_lite2": (260, {}),
}


class Start:
    """ImageNet features (B, 1280), less the mean of each domain, as an `Encoder`."""

    name = "start: ImageNet MobileNetV2, domain means removed"
    embedding_dim = 1280
    reranks = False

    def __init__(
        self, weights: Path, threads: int, half: bool = False, network: str = "mobilenetv2_100"
    ) -> None:
        import safetensors.torch
        import timm
        import torch

        torch.set_num_threads(threads)
        size, made = NETWORKS[network]
        self._net: Any = timm.create_model(network, **made)
        lacking, _ = self._net.load_state_dict(safetensors.torch.load_file(weights), strict=False)
        assert all(name.endswith("num_batches_tracked") for name in lacking), lacking
        self._net.eval()
        self._half = half
        if half:
            self._net.to(memory_format=torch.channels_last)
        self._spec = Preprocessing(size=size)
        self._digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        self._seen: dict[bytes, FloatArray] = {}
        self.means: dict[Domain, FloatArray] = {
            "street": np.zeros(1280, np.float32),
            "shop": np.zeros(1280, np.float32),
        }

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self._digest.encode())
        for mean in self.means.values():
            digest.update(mean.tobytes())
        return digest.hexdigest()[:32]

    def _features(self, images: Sequence[Image], domain: Domain) -> FloatArray:
        """(B, 1280) unit features; a picture that came before isn't computed again."""
        import torch

        keys = [hashlib.blake2b(image.tobytes() + domain.encode()).digest() for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._seen}
        if new:
            pictures = [prepare(image, self._spec, domain) for image in new.values()]
            # In bfloat16 it takes a third of the time.
            rounded = torch.autocast("cpu", torch.bfloat16, enabled=self._half)
            with torch.inference_mode(), rounded:
                batch = torch.from_numpy(np.stack(pictures))
                features: Any = self._net.forward_features(batch)
                pooled = self._net.forward_head(features, pre_logits=True)
            self._seen.update(zip(new, _unit(pooled.float().numpy()), strict=True))
        return np.stack([self._seen[key] for key in keys])

    def _vectors(self, images: Sequence[Image], domain: Domain) -> FloatArray:
        return _unit(self._features(images, domain) - self.means[domain])

    def encode_street(self, images: Sequence[Image]) -> StreetEncoding:
        return StreetEncoding(self._vectors(images, "street"), None)

    def encode_shop(self, images: Sequence[Image], tags: Sequence[Sequence[str]]) -> ShopEncoding:
        vectors = self._vectors(images, "shop")
        return ShopEncoding(vectors, np.ones(len(vectors), np.float32), None)

    def rerank(self, local: FloatArray, contexts: FloatArray) -> RerankResult:
        raise TypeError("the start does not re-rank")

    def centre(self, manifest: Manifest) -> None:
        """Takes each domain's mean of unit features from the rows that training may see."""
        domains = np.asarray(manifest.column("domain"), dtype=np.str_)
        for domain in DOMAINS:
            self.means[domain] = np.zeros(1280, np.float32)
            rows = np.flatnonzero(domains == domain)
            with progress(f"the start's mean of {domain}") as advance:
                blocks = list(embed(self, manifest, rows, domain, advance=advance))
            self.means[domain] = np.concatenate([b.arrays["embedding"] for b in blocks]).mean(0)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def measure(encoder: Encoder, protocol: Protocol, what: str) -> EvaluationResult:
    with progress(f"{what}, {protocol.name}") as advance:
        return evaluate(encoder, protocol, advance=advance)


def run(
    title: str,
    protocols: Sequence[Protocol],
    start: Start | None,
    models: Sequence[str],
    threads: int,
) -> dict[str, Any]:
    """One group of protocols: the start, then every model with its difference from the start."""
    print(f"\n== {title}")
    ours: list[EvaluationResult] = []
    results: dict[str, Any] = {}
    if start is not None:
        for protocol in protocols:
            start.centre(protocol.training())
            ours.append(measure(start, protocol, "start"))
        results["start"] = report(ours)
        table(results["start"], print)
    for model in models:
        outcomes = []
        for number, protocol in enumerate(protocols):
            encoder = open_encoder(model.format(fold=number), threads)
            outcomes.append(measure(encoder, protocol, model))
        results[model] = report(outcomes)
        if ours:
            results[model]["against"] = [compare(outcomes, ours)]
        print()
        table(results[model], print)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seen", action="append", default=[], help="a run or bundle")
    parser.add_argument(
        "--folds",
        action="append",
        default=[],
        help="five runs or bundles: a path with {fold} in it",
    )
    parser.add_argument("--no-start", action="store_true", help="leave the start out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "benchmarks/results/grocery.json"
    )
    args = parser.parse_args()
    for pattern in args.folds:
        if "{fold}" not in pattern:
            parser.error(f"--folds {pattern}: a path with {{fold}} in it is needed")
    manifest, _ = READERS["grocery"].read(SHARED / "data/grocery")
    start = None if args.no_start else Start(SHARED / "weights" / WEIGHTS, args.threads)
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d"),
        "data": manifest.fingerprint(),
        "seen": run(
            "seen products: photos of val.txt",
            build("grocery", manifest),
            start,
            args.seen,
            args.threads,
        ),
        "folds": run(
            "products kept out of training: five folds",
            build("grocery-folds", manifest),
            start,
            args.folds,
            args.threads,
        ),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(f"\nwritten: {args.output}")


if __name__ == "__main__":
    main()
