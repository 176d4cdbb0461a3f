"""The path of a query from public libraries alone, as one would write it without hemline.

simplejpeg (or Pillow) decodes, Pillow resizes, ONNX Runtime runs the bundle's graphs, a FAISS index
of 4-bit codes gives candidates that NumPy scores exactly, SQLite has the rows. It has no
conditions, changes, checksums, limits or orientation of photos, reads no boxes from the detector's
outputs, and keeps no copies of images.
"""

from __future__ import annotations

import io
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from hemline.bundle import DETECTOR, onnx_runtime
from hemline.catalog.settings import StoreSettings
from hemline.data.preprocess import Preprocessing
from hemline.evaluation.speed.made import made_vectors
from hemline.progress import Advance
from hemline.runtime.bundle import Bundle
from hemline.search.ranking import DEPTH
from hemline.types import FloatArray, Image

try:
    import simplejpeg as _simplejpeg
except ImportError:  # no wheel for this platform
    _simplejpeg = None
simplejpeg: Any = _simplejpeg
_ROWS, _BATCH = 20, 32


class PublicParts:
    """Answers photos among made vectors."""

    def __init__(self, bundle: Bundle, images: int, threads: int, advance: Advance) -> None:
        import faiss

        self._faiss: Any = faiss
        info = bundle.info
        self._info, self._spec, self._maps = info, info.preprocessing, bundle.maps
        self._sessions = {role: _session(bundle, role, threads) for role in info.graphs}
        self._all_cores = _session(bundle, "shop", 0)
        blocks = made_vectors(info.embedding_dim, images)
        self.vectors = np.concatenate([block.astype(np.float16) for block in blocks])
        self._count, self._index = self._built(images, info.embedding_dim, advance)
        self._rows = sqlite3.connect(":memory:")
        self._rows.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, item, price, title)")
        of = ((n, f"p{n // 4}", float(n % 90), f"No. {n}") for n in range(images))
        self._rows.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", of)

    def _built(self, images: int, dim: int, advance: Advance) -> tuple[int, Any]:
        """How many candidates are scored exactly (as many as hemline's), and their index."""
        settings, kind = StoreSettings(), self._faiss.METRIC_INNER_PRODUCT
        if images <= settings.exact_rows:
            count, index = min(DEPTH, images), self._faiss.IndexFlatIP(dim)
        else:
            count = settings.candidates(DEPTH, images)
            index = self._faiss.index_factory(dim, f"PQ{dim // 2 or 1}x4fs", kind)
            index.train(self.vectors[:: max(1, images // settings.train_rows)].astype(np.float32))
        for start in range(0, images, 10_000):
            index.add(self.vectors[start : start + 10_000].astype(np.float32))
            advance(min(images, start + 10_000), images)
        return count, index

    def answer(self, photo: bytes) -> dict[str, float]:
        """Milliseconds of each step of a photo's answer; ``whole`` leaves detection out."""
        cpu, marks = time.process_time(), [time.perf_counter()]

        def mark(value: Any) -> Any:
            marks.append(time.perf_counter())
            return value

        image = mark(_decode(photo))
        prepared = mark(_prepare(image, self._spec, "street"))
        query, local = mark(self._encode(prepared))
        near, similarity = mark(self.search(query, DEPTH))
        near = mark(self._rerank(local, near, similarity))
        chosen = ",".join(map(str, near[:_ROWS].tolist()))
        mark(self._rows.execute(f"SELECT * FROM rows WHERE id IN ({chosen})").fetchall())
        names = ("decode", "prepare", "encode", "search", "rerank", "rows")
        spent = [1000 * (end - begin) for begin, end in pairwise(marks)]
        steps = dict(zip(names, spent, strict=True))
        steps["whole"] = (marks[-1] - marks[0]) * 1000
        steps["cpu"] = (time.process_time() - cpu) * 1000
        if DETECTOR in self._sessions and self._info.detector is not None:
            begin = time.perf_counter()
            ready = _prepare(image, self._info.detector.heads.preprocessing, "street")
            _run(self._sessions[DETECTOR], images=ready[None])
            steps["detect"] = (time.perf_counter() - begin) * 1000
            steps["whole_detected"] = steps["whole"] + steps["detect"]
        return steps

    def _encode(self, prepared: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        session = self._sessions["street"]
        found = dict(zip(_outputs(session), _run(session, images=prepared[None]), strict=True))
        query = found["embedding"][0]
        if self._maps is not None:
            query = self._maps.apply(found.get("features", found["embedding"]), "street")[0][0]
        return query / np.linalg.norm(query), found.get("local")

    def search(self, query: FloatArray, k: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """The numbers of the ``k`` nearest, and their similarities."""
        self._faiss.omp_set_num_threads(1)
        query = query.astype(np.float32)
        slots = self._index.search(query[None], max(k, self._count))[1][0]
        slots = slots[slots >= 0]
        similarity = self.vectors[slots].astype(np.float32) @ query
        best = np.argsort(-similarity)[:k]
        return slots[best], similarity[best]

    def _rerank(self, local: Any, near: Any, similarity: FloatArray) -> npt.NDArray[np.int64]:
        if "rerank" not in self._sessions or local is None:
            return np.asarray(near)
        contexts = self.vectors[near].astype(np.float32) * 10
        session = self._sessions["rerank"]
        distance = _run(session, local=local[0], contexts=contexts)[
            _outputs(session).index("distance")
        ]
        return np.asarray(near[np.argsort(distance.reshape(-1))])

    def embed(self, photos: Sequence[bytes]) -> None:
        """Decodes in a thread for each core, and embeds in batches on all cores."""

        def ready(photo: bytes) -> FloatArray:
            return _prepare(_decode(photo), self._spec, "shop")

        shapes = {port.name: port.shape for port in self._all_cores.get_inputs()}
        with ThreadPoolExecutor() as pool:
            prepared = pool.map(ready, photos)
            for start in range(0, len(photos), _BATCH):
                some = [next(prepared) for _ in photos[start : start + _BATCH]]
                tags = np.zeros((len(some), shapes.get("tags", [0, 0])[1]), np.float32)
                _run(self._all_cores, images=np.stack(some), tags=tags)


def _session(bundle: Bundle, role: str, threads: int) -> Any:
    ort = onnx_runtime()
    options: Any = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(
        str(bundle.folder / bundle.info.graphs[role]), options, providers=["CPUExecutionProvider"]
    )


def _run(session: Any, **given: FloatArray) -> list[FloatArray]:
    """The outputs for those of ``given`` that are inputs, in the graph's precision."""
    ports = {port.name: port.type for port in session.get_inputs()}
    halves = "tensor(float16)"
    feed = {n: given[n].astype(np.float16 if t == halves else np.float32) for n, t in ports.items()}
    return list(session.run(None, feed))


def _outputs(session: Any) -> list[str]:
    return [port.name for port in session.get_outputs()]


def _decode(photo: bytes) -> Image:
    if simplejpeg is not None:
        return np.asarray(simplejpeg.decode_jpeg(photo))
    return np.asarray(PIL.Image.open(io.BytesIO(photo)).convert("RGB"))


def _prepare(image: Image, spec: Preprocessing, domain: str) -> FloatArray:
    """(H, W, 3) → (3, S, S), by Pillow's box filter."""
    small = PIL.Image.fromarray(image).resize((spec.size, spec.size), PIL.Image.Resampling.BOX)
    mean = spec.street_mean if domain == "street" else spec.shop_mean
    std = spec.street_std if domain == "street" else spec.shop_std
    pixels = np.asarray(small, np.float32) / 255
    pixels = (pixels - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
