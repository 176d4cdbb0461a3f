"""Results of ``hemline evaluate``, read from their files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hemline.documents import read_document
from hemline.errors import DamageError, DataError, UsageError
from hemline.evaluation.rankings import Rankings

#: What tells a result from other JSON.
_KEYS = ("queries", "protocol", "model", "fingerprint", "data_fingerprint", "intervals")
#: Choices that say what a model was trained on, and nothing of what was asked.
_OF_THE_MODEL = ("trained_on", "items")


@dataclass(frozen=True)
class StoredResult:
    """One result.

    Attributes:
        path: its file.
        label: what tables call it: the model, with the file's name where two have one model.
        found: the JSON.
    """

    path: Path
    label: str
    found: Mapping[str, Any]

    @cached_property
    def rankings(self) -> Rankings | None:
        """The kept ranks, or None in a result of an earlier version.

        Raises:
            DataError: they are damaged.
        """
        kept = self.found.get("rankings")
        if kept is None:
            return None
        try:
            return Rankings.from_json(kept)
        except DataError as error:
            raise DataError(f"{self.path}: {error}; evaluate again") from None

    @property
    def leak(self) -> str:
        """A sentence where the model was trained on queries, else empty."""
        overlap = self.found.get("training_overlap", {})
        return str(overlap["says"]) if overlap.get("queries") else ""


def read_results(paths: Sequence[str | os.PathLike[str]]) -> list[StoredResult]:
    """The results in some files, and in the ``.json`` files of some folders.

    Raises:
        DataError: a file isn't a result, or a folder has none.
    """
    found: list[tuple[Path, Mapping[str, Any]]] = []
    for name in paths:
        path = Path(name)
        if not path.is_dir():
            found.append((path, _read(path)))
            continue
        results = [pair for file in sorted(path.glob("*.json")) if (pair := _maybe(file))]
        if not results:
            raise DataError(
                f"{path} has no result; 'hemline evaluate MODEL MANIFEST -o {path}/result.json' "
                "writes one"
            )
        found += results
    models = [str(text["model"]) for _, text in found]
    stems = [path.stem for path, _ in found]
    labels = [
        model if models.count(model) == 1 else f"{model} ({stem})"
        for model, stem in zip(models, stems, strict=True)
    ]
    return [
        StoredResult(path, label if labels.count(label) == 1 else f"{model} ({path})", text)
        for (path, text), label, model in zip(found, labels, models, strict=True)
    ]


def check_same_questions(results: Sequence[StoredResult]) -> None:
    """Whether all results asked the same queries of the same gallery.

    Raises:
        UsageError: two differ; says in what.
    """
    one = results[0]
    for other in results[1:]:
        differs = _differences(one, other)
        if differs:
            raise UsageError(
                f"{one.label} and {other.label} did not answer the same questions, so they are "
                f"not compared: {'; '.join(differs)}"
            )


def _differences(one: StoredResult, other: StoredResult) -> list[str]:
    mine, theirs = one.found["protocol"], other.found["protocol"]
    found = [
        f"{name} is {mine.get(name, 'not stated')!r} and {theirs.get(name, 'not stated')!r}"
        for name in dict.fromkeys([*mine, *theirs])
        if name not in _OF_THE_MODEL and mine.get(name) != theirs.get(name)
    ]
    if one.found["data_fingerprint"] != other.found["data_fingerprint"]:
        found.append("their manifests differ")
    for name in ("queries", "gallery", "gallery_products"):
        if one.found[name] != other.found[name]:
            found.append(f"{name}: {one.found[name]:,} and {other.found[name]:,}")
    digests = {kept.digest for kept in (one.rankings, other.rankings) if kept is not None}
    if not found and len(digests) == 2:
        found.append("their queries, galleries or right answers differ")
    return found


def _read(path: Path) -> Mapping[str, Any]:
    found = read_document(path)
    if not _is_result(found):
        raise DataError(f"{path} is no result of 'hemline evaluate … -o FILE'")
    return found


def _maybe(path: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """A file of a folder, which may hold other JSON too."""
    try:
        found = read_document(path)
    except DamageError:
        return None
    return (path, found) if _is_result(found) else None


def _is_result(found: Any) -> bool:
    names = ("protocol", "intervals")
    return (
        isinstance(found, Mapping)
        and all(key in found for key in _KEYS)
        and all(isinstance(found[name], Mapping) for name in names)
    )
