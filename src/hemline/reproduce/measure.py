"""Trains a row, or takes a finished run, and measures it once; what is done isn't done again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hemline.data.images import open_many
from hemline.data.manifest import Manifest
from hemline.encoding import Encoder
from hemline.errors import ImageError, UsageError
from hemline.evaluation.api import full_report, measure, predictions
from hemline.evaluation.leaks import seen_by
from hemline.evaluation.model import open_encoder
from hemline.evaluation.stored import StoredResult
from hemline.files import write_durable
from hemline.progress import ProgressOf
from hemline.reproduce.experiment import Row
from hemline.reproduce.scales import Plan, recipe_of, starts
from hemline.reproduce.source import Source

#: Told in lines for people.
Say = Callable[[str], None]
#: The k of recalls that a result keeps beside its ranks.
KS = (1, 5, 20, 50)
#: Pictures that Fisher vectors are fitted to, at most.
_FITTED = 1000


@dataclass(frozen=True)
class Workshop:
    """Where an experiment's runs and results lie, and how it is done.

    Attributes:
        out: the folder, with ``data``, ``runs`` and ``results``, which experiments share.
        taken: name of a row → finished runs or bundles, one for each seed.
        folders: folders of runs named as the rows.
        begun: name of a row → the finished run that its training begins from.
    """

    out: Path
    source: Source
    plan: Plan
    seeds: tuple[int, ...]
    say: Say
    progress: ProgressOf
    taken: Mapping[str, Sequence[str]] = field(default_factory=dict)
    folders: Sequence[Path] = ()
    begun: Mapping[str, Path] = field(default_factory=dict)
    allow_leak: bool = False
    threads: int | None = None

    def models(self, row: Row) -> list[str]:
        """The finished runs or bundles of a row, trained where none was given.

        Raises:
            UsageError: a recipe doesn't fit, or the data lacks what it learns from.
        """
        given = self._given(row)
        if given or not row.recipe:
            return given
        return [str(self._trained(row, seed)) for seed in self.seeds]

    def _given(self, row: Row) -> list[str]:
        if row.name in self.taken:
            return list(self.taken[row.name])
        pattern = re.compile(rf"{re.escape(slug(row.name))}(-[0-9]+)?")
        return [
            str(run)
            for folder in self.folders
            for run in sorted(folder.iterdir())
            if run.is_dir() and pattern.fullmatch(run.name.lower())
        ]

    def settled(self, row: Row) -> Row:
        """The row as it is trained here: from a given run it needs no start, and by its recipe of
        transfer no labels."""
        if row.name not in self.begun:
            return row
        if not row.transfer:
            return replace(row, start=None)
        joint = {name: share for name, share in row.stages.items() if name == "joint"}
        return replace(row, recipe=row.transfer, settings=(), start=None, needs=(), stages=joint)

    def _trained(self, row: Row, seed: int) -> Path:
        from hemline.learn.api import train

        row = self.settled(row)
        recipe = recipe_of(row, seed, self.plan)
        folder = self._folder(row, seed)
        start = starts(row, self.plan)
        if start is not None:
            before = self._trained(start, self.seeds[0])
            recipe = _started(recipe, before)
        elif row.name in self.begun:
            recipe = _started(recipe, self.begun[row.name])
        done = folder / "run.json"
        if done.is_file() and json.loads(done.read_text("utf-8")).get("finished"):
            return folder
        self.say(f"training {row.name}, seed {seed}")
        train(recipe, self.source.manifest, folder, say=self.say, progress=self.progress)
        return folder

    def _folder(self, row: Row, seed: int) -> Path:
        """Named by all that decides the run, so that experiments share it."""
        return self.out / "runs" / f"{row.recipe}-{seed}-{self._digest(row, seed)}"

    def _digest(self, row: Row, seed: int) -> str:
        start = starts(row, self.plan)
        before = self._digest(start, self.seeds[0]) if start else ""
        if row.name in self.begun:
            before = open_encoder(str(self.begun[row.name])).fingerprint
        settled = {
            "recipe": recipe_of(row, seed, self.plan).resolved(),
            "data": self.source.manifest.fingerprint(),
            "start": before,
        }
        return hashed(json.dumps(settled, sort_keys=True, default=str))

    def results(self, row: Row) -> dict[str, list[StoredResult]]:
        """Protocol → a result for each seed, which `hemline compare` reads too; empty for a row
        that isn't measured.

        Raises:
            UsageError: a model was trained on queries, and leaks aren't allowed.
        """
        if row.gaussians:
            side = _side(self.plan)
            known: Any = {"gaussians": row.gaussians, "side": side, "left": self.source.keep_out}
            fit = partial(_fitted, row.gaussians, self.source, side)
            return {name: [self._result(row, known, fit, name, "")] for name in self.source.parts}
        found: dict[str, list[StoredResult]] = {}
        for model in self.models(row):
            encoder = open_encoder(model, self.threads)
            seen = seen_by(encoder)
            known = [encoder.fingerprint, "" if seen is None else seen.digest]
            for name in self.source.parts:
                found.setdefault(name, []).append(
                    self._result(row, known, partial(_itself, encoder), name, Path(model).name)
                )
        return found

    def _result(
        self, row: Row, known: Any, opened: Callable[[], Encoder], name: str, run: str
    ) -> StoredResult:
        parts = self.source.parts[name]
        key = {
            "model": known,
            "protocol": [part.choices for part in parts],
            "sizes": [part.gallery_sizes for part in parts],
            "data": parts[0].manifest.fingerprint(),
            "leak": self.allow_leak,
        }
        file = self.out / "results" / f"{slug(row.name)}-{hashed(json.dumps(key))}.json"
        if not file.is_file():
            encoder = opened()
            results = measure(
                encoder, parts, progress=self.progress, threads=self.threads,
                allow_leak=self.allow_leak,
            )  # fmt: skip
            found = full_report(results, (), parts[0].slices, 0, KS)
            found |= {"dim": encoder.embedding_dim, "run": run}
            file.parent.mkdir(parents=True, exist_ok=True)
            write_durable(file, json.dumps(found, default=str) + "\n")
        return StoredResult(file, row.name, json.loads(file.read_text("utf-8")))

    def lacks(self, row: Row) -> str:
        """Why a row isn't measured; empty where it is."""
        if self._given(row):
            return ""
        if not row.recipe and not row.gaussians:
            return row.instead
        settled, manifest = self.settled(row), self.source.manifest
        start = starts(settled, self.plan)
        needs = {*settled.needs, *(start.needs if start else ())}
        hint = (
            f"; --start '{row.name}=RUN' goes on from a run that learned them on other data"
            if row.transfer
            else ""
        )
        if "attributes" in needs and not manifest.tag_vocabulary():
            return "the data has no tags" + hint
        if "landmarks" in needs and all(one is None for one in manifest.column("landmarks")):
            return "the data has no landmarks" + hint
        return ""

    def labels(self, row: Row) -> dict[str, Any]:
        """What the row's first run predicts beside embeddings (`predictions`), each tag and each
        landmark by itself; empty where it predicts neither."""
        if not row.needs:
            return {}
        model, parts = self.models(row)[0], list(self.source.parts.values())[-1]
        key = [
            open_encoder(model).fingerprint, parts[0].manifest.fingerprint(), parts[0].crop,
            [len(part.queries) for part in parts],
        ]  # fmt: skip
        file = self.out / "results" / f"labels-{slug(row.name)}-{hashed(json.dumps(key))}.json"
        if not file.is_file():
            try:
                found = predictions(model, parts, self.progress)
            except UsageError as error:  # a bundle, or a row without a classifier
                found = {"why": str(error)}
            file.parent.mkdir(parents=True, exist_ok=True)
            write_durable(file, json.dumps(found) + "\n")
        return dict(json.loads(file.read_text("utf-8")))


def slug(name: str) -> str:
    """``DARN with Conv4-5`` → ``darn-with-conv4-5``."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _itself(encoder: Encoder) -> Encoder:
    return encoder


def _started(recipe: Any, before: Path) -> Any:
    """The recipe with another run's network as its start."""
    if recipe.model.name != "darn":
        return recipe.model_copy(update={"start": str(before)})
    file = max((before / "checkpoints").glob("*-best.safetensors"))
    config = {**recipe.model.config, "weights": str(file)}
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"config": config})})


def _side(plan: Plan) -> int:
    return plan.scale.side or (plan.scale.pixels if plan.scale.name == "smoke" else 224)


def _fitted(gaussians: int, source: Source, side: int) -> Encoder:
    """Dense SIFT and Fisher vectors, fitted to the training rows."""
    from hemline.reproduce.fisher import FisherEncoder

    rows = _training_rows(source)
    files = rows.files()[:: max(1, len(rows) // _FITTED)]
    opened = (image for _, image in open_many(files, 2) if not isinstance(image, ImageError))
    return FisherEncoder(gaussians, side).fit(opened, len(files))


def _training_rows(source: Source) -> Manifest:
    split = np.asarray(source.manifest.column("split"), dtype=np.str_)
    rows = (split == "train") | (split == "")
    for part in list(source.parts.values())[-1]:
        if part.partition is not None:
            rows = part.partition == "train"
        rows &= ~part.kept_out()[: len(rows)]
    if not rows.any():
        raise UsageError("the data has no training rows to fit Fisher vectors to")
    return source.manifest.select(rows)
