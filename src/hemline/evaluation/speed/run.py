"""`measure`: each step of a query on this machine, by hemline and by public parts in turns."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from hemline.catalog.catalog import Catalog
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.preprocess import PreparedImage
from hemline.errors import UsageError
from hemline.evaluation.machine import machine, versions
from hemline.evaluation.speed.made import fill, made_photo
from hemline.evaluation.speed.public_parts import PublicParts
from hemline.progress import ProgressOf, no_progress
from hemline.runtime.bundle import Bundle, check_threads
from hemline.search.engine import Engine
from hemline.search.ranking import DEPTH
from hemline.types import FloatArray, Record

#: The steps in their order; then the whole without and with detection, and the processor's time for
#: the whole without.
STEPS = (
    *("decode", "detect", "prepare", "encode", "search", "rerank", "rows"),
    *("whole", "whole_detected", "cpu"),
)
SMALL, LARGE = (800, 600), (4000, 3000)
_PHOTOS, _WARM, _RECALL = 16, 3, 40
#: Seconds for which ONNX Runtime's threads may go on spinning after a run of the public parts:
#: beside them the other side's graphs and search took twice their time.
_REST = 0.1
_PACKAGES = ("onnxruntime", "faiss-cpu", "numpy", "pillow", "simplejpeg")


@dataclass(frozen=True, slots=True)
class SpeedOptions:
    """What is measured.

    Attributes:
        images: made vectors that are searched.
        repeats: questions of a small photo; a large one is asked a fifth as often.
        threads: of one run of a graph, as the service encodes a photo.
        embedded: images whose embedding is timed.
        photo: asked instead of made photos of 800 x 600; or None.

    Raises:
        UsageError: a number out of range.
    """

    images: int = 200_000
    repeats: int = 100
    threads: int = 1
    embedded: int = 256
    photo: Path | None = None

    def __post_init__(self) -> None:
        check_threads(self.threads)
        for name, least in (("images", 1), ("repeats", 1), ("embedded", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is at least {least}, not {getattr(self, name)}")


def measure(
    bundle: Bundle, options: SpeedOptions | None = None, progress: ProgressOf = no_progress
) -> dict[str, Any]:
    """Times of a bundle's path on this machine, beside `PublicParts`, in milliseconds.

    Both answer in turns, so that other work on the machine affects them alike. What is made lies in
    a temporary folder.

    Raises:
        ImageError: the photo can't be opened.
        BundleError: a graph can't be loaded.
    """
    options = options or SpeedOptions()
    small = [made_photo(*SMALL, seed) for seed in range(_PHOTOS)]
    if options.photo is not None:
        open_image(options.photo)  # before the long part
        small = [options.photo.read_bytes()]
    before = _load()
    with tempfile.TemporaryDirectory(prefix="hemline-bench-") as folder:
        place = Path(folder)
        with progress("filling a catalogue") as advance:
            fill(place / "shop", bundle, options.images, advance)
        with progress("filling an index of public parts") as advance:
            parts = PublicParts(bundle, options.images, options.threads, advance)
        with Catalog.open(place / "shop") as catalog:
            ours = _Ours(catalog, options.threads)
            with progress("asking") as advance:
                rest = _REST if options.threads > 1 else 0.0
                sides = [ours.answer, parts.answer]
                steps = _steps(sides, small, options.repeats, rest, advance)
            large = [made_photo(*LARGE)]
            with progress("asking with 12 megapixels") as advance:
                count = max(1, options.repeats // 5)
                of_large = _steps(sides, large, count, rest, advance)
            recall = _recalls(ours, parts, small)
        with progress("embedding") as advance:
            embedding = _embedding(place, bundle, parts, options.embedded, advance)
    whole = "whole"
    return {
        "bundle": _bundle(bundle),
        "images": options.images,
        "threads": options.threads,
        "repeats": options.repeats,
        "photo": _photo(small[0]),
        "steps": steps,
        f"recall@{_RECALL}": recall,
        "large": {
            **_photo(large[0]),
            "steps": of_large,
            "times_small": {
                side: _ratio(of_large[whole][side]["p50_ms"], steps[whole][side]["p50_ms"])
                for side in ("hemline", "public_parts")
            },
        },
        "embedding": embedding,
        "machine": machine(),
        "versions": versions(*_PACKAGES),
        "load": [before, _load()],
    }


class _Ours:
    """Hemline's side: the engine's own clock; decoding and preparing apart, which it adds up."""

    def __init__(self, catalog: Catalog, threads: int) -> None:
        self.engine, self.store = Engine(catalog, threads=threads), catalog.store
        self._spec = catalog.bundle.info.preprocessing
        self._detects = catalog.bundle.info.detector is not None

    def answer(self, photo: bytes) -> dict[str, float]:
        begin = time.perf_counter()
        image = open_image(photo)
        middle = time.perf_counter()
        PreparedImage.of(image, self._spec)
        end = time.perf_counter()
        steps = {"decode": (middle - begin) * 1000, "prepare": (end - middle) * 1000}
        cpu = time.process_time()
        timings = self.engine.search(photo).timings_ms
        steps["cpu"] = (time.process_time() - cpu) * 1000
        steps |= {name: timings[name] for name in ("encode", "search", "rerank", "rows")}
        steps["whole"] = timings["total"]
        if self._detects:
            timings = self.engine.search(photo, detect=True).timings_ms
            steps |= {"detect": timings["detect"], "whole_detected": timings["total"]}
        return steps

    def nearest(self, query: FloatArray, k: int) -> set[int]:
        """The numbers of the nearest, by a search as deep as the engine's."""
        rows = self.store.take(self.store.search(query, DEPTH).ids[:k], vectors=False)
        return {int(row.image_id[1:]) for row in rows if row is not None}


def _steps(
    sides: Sequence[Callable[[bytes], dict[str, float]]],
    photos: Sequence[bytes],
    repeats: int,
    rest: float,
    advance: Callable[[int, int], None],
) -> dict[str, Any]:
    """Step → figures of hemline and of public parts, and the first's p50 over the second's."""
    for _ in range(_WARM):
        for side in sides:
            side(photos[0])
    taken: list[list[dict[str, float]]] = [[], []]
    for number in range(repeats):
        for place, side in enumerate(sides):
            time.sleep(rest)
            taken[place].append(side(photos[number % len(photos)]))
        advance(number + 1, repeats)
    found: dict[str, Any] = {}
    for step in STEPS:
        if step in taken[0][0]:
            ours, parts = (_figures([one[step] for one in side]) for side in taken)
            ratio = _ratio(ours["p50_ms"], parts["p50_ms"])
            found[step] = {"hemline": ours, "public_parts": parts, "ratio": ratio}
    return found


def _figures(milliseconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}


def _ratio(one: float, other: float) -> float | None:
    return round(one / other, 2) if other else None


def _recalls(ours: _Ours, parts: PublicParts, photos: Sequence[bytes]) -> dict[str, float]:
    """Of the exact nearest of the photos' embeddings, the share that either search finds."""
    spec = ours.engine.catalog.bundle.info.preprocessing
    images = [PreparedImage.of(open_image(photo), spec) for photo in photos]
    queries = ours.engine.encoder.encode_street(images).embedding
    k = min(_RECALL, len(parts.vectors))
    hits = {"hemline": 0, "public_parts": 0}
    for query in queries:
        exact = set(np.argsort(-_similarities(parts.vectors, query), kind="stable")[:k].tolist())
        hits["hemline"] += len(exact & ours.nearest(query, k))
        hits["public_parts"] += len(exact & set(parts.search(query, DEPTH)[0][:k].tolist()))
    return {side: round(found / (k * len(queries)), 4) for side, found in hits.items()}


def _similarities(vectors: Any, query: FloatArray) -> FloatArray:
    blocks = range(0, len(vectors), 20_000)
    return np.concatenate([vectors[at : at + 20_000].astype(np.float32) @ query for at in blocks])


def _embedding(
    folder: Path, bundle: Bundle, parts: PublicParts, count: int, advance: Callable[..., None]
) -> dict[str, Any]:
    """Images of files a second: added to a catalogue, and decoded and embedded by parts alone."""
    photos = [made_photo(*SMALL, seed) for seed in range(min(count, _PHOTOS))]
    records = []
    for number in range(count):
        data = photos[number % len(photos)] + number.to_bytes(4, "big")  # no two files are equal
        (folder / f"{number}.jpg").write_bytes(data)
        records.append(Record(f"n{number}", f"{number}.jpg", f"n{number}", "shop"))
    manifest = Manifest.from_records(records, folder)
    rates: dict[str, Any] = {}
    with Catalog.create(folder / "added", bundle) as catalog:
        catalog.encoder().encode_shop([open_image(photos[0])], [()])
        begin, cpu = time.perf_counter(), time.process_time()
        catalog.add(manifest, advance=advance)
        rates["hemline"] = _rate(count, begin, cpu)
    files = [(folder / f"{number}.jpg").read_bytes() for number in range(count)]
    parts.embed(files[:1])
    begin, cpu = time.perf_counter(), time.process_time()
    parts.embed(files)
    rates["public_parts"] = _rate(count, begin, cpu)
    of = [rates[side]["cpu_ms"] for side in ("hemline", "public_parts")]
    return {"embedded": count, **rates, "cpu_ratio": _ratio(*of)}


def _rate(count: int, begin: float, cpu: float) -> dict[str, float]:
    """Since ``begin`` and ``cpu``: images a second, and the processor's time for one."""
    return {
        "images_per_s": round(count / (time.perf_counter() - begin), 1),
        "cpu_ms": round((time.process_time() - cpu) / count * 1000, 3),
    }


def _photo(data: bytes) -> dict[str, int]:
    with PIL.Image.open(io.BytesIO(data)) as image:
        return {"width": image.width, "height": image.height, "bytes": len(data)}


def _bundle(bundle: Bundle) -> dict[str, Any]:
    info = bundle.info
    return {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "embedding_dim": info.embedding_dim,
        "size": info.preprocessing.size,
        "precision": info.precision,
        "detector": None if info.detector is None else info.detector.name,
    }


def _load() -> float | None:
    """Processes that ran or waited over the last minute, where the system tells."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
