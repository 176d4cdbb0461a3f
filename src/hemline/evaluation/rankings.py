"""The ranks that a result keeps: any measure up to `DEPTH` without a second search."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.errors import DataError, UsageError
from hemline.evaluation.result import DEPTH, EvaluationResult
from hemline.ranking.metrics import (
    MISS,
    average_precision_at_k,
    hits_at_k,
    ndcg_at_k,
    precision_at_k,
    reciprocal_ranks,
)

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

#: What `Rankings.measure` knows.
MEASURES = "recall@K, pictures@K, precision@K, mp@K, map@K, ndcg@K, mrr, map"


class Rankings:
    """The ranks of every query of a result, in the protocol's order.

    Attributes:
        arrays: ``queries`` (Q,) manifest rows, ``items`` (Q,) item numbers, ``parts`` (Q,) numbers
            of the folds or categories; ``ranks`` and, where the model re-ranks, ``first_ranks``
            (Q,), 0 for a miss; where pictures were ranked ``image_ranks``, ``average_precision``,
            ``right_counts``, ``right_total`` (Q,) and ``right_ranks`` (Σ counts,); ``top`` (Q, 10)
            manifest rows, -1 behind the last, and ``top_right`` (Q, 10) which are right;
            ``right_rows`` (Q,) a right row of the gallery or -1; ``sizes`` (S,) of smaller
            galleries with ``ranks_by_size`` (S, Q); where there are tags ``tags_wanted`` (Q,),
            ``tags_found`` and ``tags_best`` (Q, K).
        digest: of queries, relevance and gallery: results of one digest asked the same.
    """

    def __init__(self, arrays: Mapping[str, Array], digest: str) -> None:
        self.arrays, self.digest = dict(arrays), digest
        counts = self.arrays.get("right_counts", np.zeros(0, np.int64))
        self._starts = np.cumsum(counts, dtype=np.int64) - counts

    def __len__(self) -> int:
        return len(self.arrays["ranks"])

    @property
    def products(self) -> list[str]:
        """(Q,) a name of each query's product for the bootstrap, in the order of the items."""
        return [f"{number:09d}" for number in self.arrays["items"].tolist()]

    @classmethod
    def of(cls, results: Sequence[EvaluationResult]) -> Rankings:
        """The ranks of folds or parts, one after the other."""

        def joined(get: Callable[[EvaluationResult], Any], kind: type) -> Array:
            return np.concatenate([np.asarray(get(result)) for result in results]).astype(kind)

        names = [item for result in results for item in result.items]
        parts = np.repeat(np.arange(len(results)), [len(result.ranks) for result in results])
        arrays: dict[str, Array] = {
            "queries": joined(lambda r: r.protocol.queries, np.int32),
            "items": np.unique(names, return_inverse=True)[1].astype(np.int32),
            "parts": parts.astype(np.int16),
            "ranks": joined(lambda r: _found(r.ranks), np.int32),
            "top": joined(lambda r: r.top, np.int32),
        }
        judged = [_judged(result) for result in results]
        arrays["top_right"] = np.concatenate([shown for shown, _ in judged])
        arrays["right_rows"] = np.concatenate([rows for _, rows in judged])
        if all(result.image_ranks is not None for result in results):
            arrays["image_ranks"] = joined(lambda r: _found(r.image_ranks), np.int32)
        if all(result.average_precision is not None for result in results):
            arrays["average_precision"] = joined(lambda r: r.average_precision, np.float32)
        if all(result.first_ranks is not None for result in results):
            arrays["first_ranks"] = joined(lambda r: _found(r.first_ranks), np.int32)
        if all(result.right_total is not None for result in results):
            right = [ranks for result in results for ranks in result.right_ranks]
            arrays["right_ranks"] = np.concatenate([*right, np.zeros(0)]).astype(np.uint16)
            arrays["right_counts"] = np.asarray([len(ranks) for ranks in right], np.int32)
            arrays["right_total"] = joined(lambda r: r.right_total, np.int32)
        if len(results) == 1 and results[0].ranks_by_size:
            arrays["sizes"] = np.asarray(list(results[0].ranks_by_size), np.int64)
            arrays["ranks_by_size"] = np.stack(
                [_found(ranks) for ranks in results[0].ranks_by_size.values()]
            ).astype(np.int32)
        tags = [result.tag_matches for result in results if result.tag_matches is not None]
        if len(tags) == len(results):
            arrays["tags_wanted"] = np.concatenate([one.wanted for one in tags]).astype(np.int32)
            arrays["tags_found"] = _stacked([one.found for one in tags])
            arrays["tags_best"] = _stacked([one.best for one in tags])
        return cls(arrays, _digest(results))

    def to_json(self) -> dict[str, Any]:
        """``depth``, ``queries`` (the digest) and ``arrays``: a compressed .npz as base64."""
        stream = io.BytesIO()
        np.savez_compressed(stream, **self.arrays)  # type: ignore[arg-type]
        arrays = base64.b64encode(stream.getvalue()).decode("ascii")
        return {"depth": DEPTH, "queries": self.digest, "arrays": arrays}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Rankings:
        """
        Raises:
            DataError: it is damaged.
        """
        try:
            stream = io.BytesIO(base64.b64decode(found["arrays"], validate=True))
            with np.load(stream, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            ranks = cls(arrays, str(found["queries"]))
            len(ranks)
        except Exception as error:  # whatever zip, zlib, NumPy and base64 make of damage
            raise DataError(f"the ranks of the result are damaged ({error})") from None
        return ranks

    def right(self, place: int) -> Array:
        """(R,) ranks of the right images of one query."""
        start, count = self._starts[place], self.arrays["right_counts"][place]
        ranks: Array = self.arrays["right_ranks"][start : start + count].astype(np.int64)
        return ranks

    def measure(self, name: str) -> Doubles:
        """(Q,) one of `MEASURES` before it is averaged; ``pictures@K`` is recall over images.

        Raises:
            UsageError: no such measure, or the result doesn't have what it needs.
        """
        kind, _, number = name.partition("@")
        if name == "mrr":
            return reciprocal_ranks(_ranks(self.arrays["ranks"]))
        if name == "map":
            return self._array(name, "average_precision").astype(np.float64)
        if kind not in _MEASURES or not re.fullmatch("[1-9][0-9]{0,8}", number):
            raise UsageError(f"no measure {name!r}; there are {MEASURES}, with K from 1")
        function, needed, bounded = _MEASURES[kind]
        if bounded and int(number) > DEPTH:
            raise UsageError(f"{name}: ranks are kept up to {DEPTH:,}")
        self._array(name, needed)
        return function(self, int(number))

    def _array(self, name: str, needed: str) -> Array:
        if needed not in self.arrays:
            what = "tags" if needed.startswith("tags") else "ranks of pictures"
            raise UsageError(f"{name} can't be computed: the result has no {what}")
        return self.arrays[needed]

    def _precision(self, k: int) -> Doubles:
        return np.array([precision_at_k(self.right(q), k) for q in range(len(self))])

    def _short_precision(self, k: int) -> Doubles:
        """Precision among the first min(k, number of right images), 0 where there are none."""
        first = np.minimum(self.arrays["right_total"], k).astype(np.int64).tolist()
        return np.array(
            [precision_at_k(self.right(q), n) if n else 0.0 for q, n in enumerate(first)]
        )

    def _map(self, k: int) -> Doubles:
        total = self.arrays["right_total"].tolist()
        return np.array(
            [average_precision_at_k(self.right(q), total[q], k) for q in range(len(self))]
        )

    def _ndcg(self, k: int) -> Doubles:
        share = np.maximum(self.arrays["tags_wanted"], 1)[:, None]
        found, best = self.arrays["tags_found"][:, :k], self.arrays["tags_best"][:, :k]
        pairs = zip(found / share, best / share, strict=True)
        return np.array([ndcg_at_k(gains, ideal, k) for gains, ideal in pairs])


_MEASURES: Mapping[str, tuple[Callable[[Rankings, int], Doubles], str, bool]] = {
    "recall": (lambda r, k: hits_at_k(_ranks(r.arrays["ranks"]), k), "ranks", False),
    "pictures": (lambda r, k: hits_at_k(_ranks(r.arrays["image_ranks"]), k), "image_ranks", False),
    "precision": (Rankings._precision, "right_ranks", True),
    "mp": (Rankings._short_precision, "right_ranks", True),
    "map": (Rankings._map, "right_ranks", True),
    "ndcg": (Rankings._ndcg, "tags_found", True),
}


def _judged(result: EvaluationResult) -> tuple[Array, Array]:
    """(Q, 10) whether each shown row is right, and (Q,) a right row of the gallery or -1."""
    protocol = result.protocol
    items = protocol.manifest.column("item_id")
    first: dict[str, int] = {}
    for row in protocol.gallery.tolist():
        first.setdefault(str(items[row]), row)
    shown = np.zeros(result.top.shape, bool)
    rows = np.full(len(result.top), -1, np.int32)
    for place, answers in enumerate(protocol.relevant):
        shown[place] = [row >= 0 and items[row] in answers for row in result.top[place].tolist()]
        rows[place] = next((first[item] for item in sorted(answers) if item in first), -1)
    return shown, rows


def _found(ranks: Any) -> Array:
    """`MISS` → 0."""
    return np.where(ranks == MISS, 0, ranks)


def _ranks(kept: Array) -> npt.NDArray[np.int64]:
    """0 → `MISS`."""
    return np.where(kept == 0, MISS, kept.astype(np.int64))


def _stacked(parts: Sequence[Array]) -> Array:
    """(Q_i, K_i) → (Σ Q_i, max K), zeros behind the shorter ones."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])


def _digest(results: Sequence[EvaluationResult]) -> str:
    digest = hashlib.sha256()
    for result in results:
        protocol = result.protocol
        for rows in (protocol.queries, protocol.gallery):
            digest.update(len(rows).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(rows, "<i8").tobytes())
        for items in protocol.relevant:
            digest.update("\0".join((*sorted(items), "")).encode() + b"\n")
    return digest.hexdigest()[:32]
