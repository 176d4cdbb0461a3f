"""A whole tiny training: it learns, it keeps to its split, and a kill changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.drawn_pairs import make
from helpers.learning import SEED, THREADS, learned
from hemline.data.manifest import Manifest
from hemline.errors import DataError, TrainingError, UsageError
from hemline.files import file_lock
from hemline.learn import checkpoint
from hemline.learn.api import train
from hemline.learn.recipe import Recipe, parse
from hemline.learn.training.batches import PairDataset
from hemline.learn.training.images import ImageCache
from hemline.learn.training.retrieval import RetrievalTask
from hemline.progress import no_progress
from hemline.types import Box

WORDS = {
    "name": "tiny",
    "model": {
        "name": "ctxynet",
        "config": {"backbone": {"name": "test_efficientnet"}, "size": 32, "projection": 16},
    },
    "batch_size": 6,
    "stages": {"all": {"epochs": 2, "lr": 0.05, "clip": 1.0}, "TagYNet": {"optimizer": "adamw"}},
    "ema": 0.9,
    "data": {"augment": {"flip": 0.5, "crop": 0.6, "hue": 0.1}},
    "threads": 1,
    "checkpoint_minutes": 0,
}


def recipe(**changes: object) -> Recipe:
    return parse({**WORDS, **changes})


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.read(make(tmp_path_factory.mktemp("pairs")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result = train(recipe(), manifest, folder)
    assert result["finished"]
    return folder


def same_run(first: Path, second: Path) -> None:
    names = sorted(path.name for path in (first / "checkpoints").iterdir())
    assert names == sorted(path.name for path in (second / "checkpoints").iterdir())
    for name in names:
        one, state = checkpoint.load(first / "checkpoints" / name)
        two, other = checkpoint.load(second / "checkpoints" / name)
        assert one.keys() == two.keys()
        for tensor in one:
            assert torch.equal(one[tensor], two[tensor]), (name, tensor)
        assert without_times(state) == without_times(other)


def without_times(state: dict[str, object]) -> object:
    text = json.dumps(state, sort_keys=True)
    return json.loads(
        text, object_hook=lambda d: {key: value for key, value in d.items() if key != "seconds"}
    )


def test_a_run_holds_all_that_made_it(whole: Path, manifest: Manifest) -> None:
    info = json.loads((whole / "run.json").read_text())
    assert info["data"]["fingerprint"] == manifest.fingerprint()
    assert info["finished"] is True
    assert {"torch", "hemline", "python"} <= info["versions"].keys()
    assert Recipe.model_validate_json((whole / "recipe.json").read_text()) == recipe()
    lines = (whole / "metrics.csv").read_text().splitlines()
    assert len(lines) == 1 + 6
    assert {"stage", "epoch", "loss.total", "recall@1"} <= set(lines[0].split(","))
    names = {path.name for path in (whole / "checkpoints").iterdir()}
    assert names == {
        "1-YNet-best.safetensors",
        "2-TagYNet-best.safetensors",
        "3-CtxYNet-best.safetensors",
        "last.safetensors",
    }
    assert not [p for p in whole.rglob("*") if p.suffix in (".ckpt", ".pt", ".pkl")]


def test_the_same_command_again_says_so_and_changes_nothing(
    whole: Path, manifest: Manifest
) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")}
    said: list[str] = []
    result = train(recipe(), manifest, whole, say=said.append)
    assert result["finished"]
    assert "finished" in said[0]
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")} == before


def test_a_kill_before_the_run_says_that_it_is_finished(
    tmp_path: Path, manifest: Manifest, whole: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "finished": False}))
    result = train(recipe(), manifest, folder)
    assert result["finished"]
    assert result["resumed"]
    assert result["best"] == info["best"]
    same_run(folder, whole)


def test_a_run_of_an_earlier_version_is_known(
    tmp_path: Path, manifest: Manifest, whole: Path
) -> None:
    """Its recipe has the key ``carve``, its last checkpoint the key ``finished``."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    written = json.loads((folder / "recipe.json").read_text())
    written["data"]["carve"] = written["data"].pop("validation_split")
    (folder / "recipe.json").write_text(json.dumps(written))
    last = folder / "checkpoints" / checkpoint.LAST_FILE
    tensors, state = checkpoint.load(last)
    checkpoint.save(last, tensors, {**state, "finished": True})
    assert checkpoint.load_run(folder).recipe == recipe()
    assert train(recipe(), manifest, folder)["finished"]


def test_another_recipe_or_other_data_is_refused(whole: Path, manifest: Manifest) -> None:
    with pytest.raises(TrainingError, match="batch_size was 6, now 5"):
        train(recipe(batch_size=5), manifest, whole)
    with pytest.raises(TrainingError, match="other data"):
        train(recipe(), manifest.select(np.arange(len(manifest) - 1)), whole)


def test_no_row_of_validation_or_test_is_ever_in_a_batch(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    take = PairDataset.__getitem__

    def spy(self: PairDataset, number: int) -> object:
        seen.update(row for pair in self.batches[number] for row in pair[:2])
        return take(self, number)

    monkeypatch.setattr(PairDataset, "__getitem__", spy)
    splits = manifest.column("split").copy()
    items = manifest.column("item_id")
    splits[items == "item00"] = "test"
    train(
        recipe(stages={"all": {"epochs": 1}}),
        manifest.with_column("split", splits.tolist()),
        tmp_path / "run",
    )
    assert {splits[row] for row in seen} == {"train"}
    held = set(items[splits != "train"])
    assert not {items[row] for row in seen} & held


@pytest.mark.parametrize("kill_after", [(0, 1), (1, 0), (2, 1)])
def test_a_kill_between_or_inside_epochs_changes_no_number(
    tmp_path: Path,
    manifest: Manifest,
    whole: Path,
    kill_after: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``kill_after``: epochs of the whole run, and batches of the next, that are on the disk."""

    class Killed(BaseException):
        pass

    save = checkpoint.save

    def dying(path: Path, tensors: object, state: dict[str, object]) -> None:
        save(path, tensors, state)  # type: ignore[arg-type]
        if "history" in state and (len(state["history"]), state["batch"]) == kill_after:  # type: ignore[arg-type]
            raise Killed

    monkeypatch.setattr(checkpoint, "save", dying)
    with pytest.raises(Killed):
        train(recipe(), manifest, tmp_path / "run")
    monkeypatch.undo()
    assert train(recipe(), manifest, tmp_path / "run")["resumed"]
    same_run(tmp_path / "run", whole)


def test_sigkill_of_the_command_and_the_same_command_again(
    tmp_path: Path, manifest: Manifest, whole: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps(WORDS))  # JSON is YAML
    table = manifest.write(tmp_path / "m.parquet")
    words = ["train", str(file), str(table), "-o", str(tmp_path / "run"), "--json"]
    command = [sys.executable, "-m", "hemline", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    metrics = tmp_path / "run" / "metrics.csv"
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if metrics.is_file() and len(metrics.read_text().splitlines()) >= 3:
            break
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["resumed"] is True
    assert result["finished"] is True
    assert "continuing" in done.stderr
    same_run(tmp_path / "run", whole)


def test_it_learns(tmp_path: Path) -> None:
    """From 9 photos of each of 16 items it finds them in 3 others more often than by chance.

    Each item has its own hue, and 48 queries make one more or less change little. Without learning
    (lr 1e-9) recall@5 is 0.21 to 0.38.
    """
    manifest = Manifest.read(make(tmp_path / "pairs", photos=12, seed=SEED, hues=True))
    config = {"backbone": {"name": "test_efficientnet"}, "size": 32, "projection": 16}
    quick = recipe(
        model={"name": "ynet", "config": {**config, "loss": "infonce", "temperature": 0.1}},
        data={"repeats": 3, "validation_split": {"fraction": 0.25, "by": "photo"}},
        seed=SEED,
        threads=THREADS,
        batch_size=8,
        ema=0.0,
        stages={"all": {"epochs": 6, "optimizer": "adamw", "lr": 0.003, "clip": 1.0}},
        checkpoint_minutes=10,
    )
    said: list[str] = []
    unsplit = manifest.with_column("split", [""] * len(manifest))
    result = train(quick, unsplit, tmp_path / "run", say=said.append)
    assert "kept out of training" in said[0]
    # Ten seeds: recall@5 0.90 to 0.98, loss 0.14 to 0.25.
    learned("recall@5", result["best"]["figures"]["recall@5"], least=0.7)
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss.total")
    losses = [float(row.split(",")[column]) for row in rows[1:]]
    learned("loss", losses[-1] / losses[0], most=0.5)


def test_sources_are_visited_as_often_as_the_recipe_says(
    tmp_path: Path, manifest: Manifest
) -> None:
    with pytest.raises(UsageError, match="needs data.batch_by"):
        recipe(data={"repeats": {"worn": 3}})
    sources = np.where(np.arange(len(manifest)) % 2, "drawn", "worn")
    mixed = manifest.with_column("source", sources.tolist())

    def photos(**data: object) -> int:
        task = RetrievalTask(recipe(data=data), mixed, False, print, no_progress)
        return sum(len(batch) for batch in task.batches(0, 0, 0, 1))

    once = photos(batch_by="source")
    assert once < photos(batch_by="source", repeats={"worn": 3}) <= 3 * once
    with pytest.raises(DataError, match="no row of the manifest has 'won'.*worn"):
        photos(batch_by="source", repeats={"won": 3})


def test_early_stop_ends_a_stage(tmp_path: Path, manifest: Manifest) -> None:
    still = recipe(
        model={**WORDS["model"], "name": "ynet"},  # type: ignore[dict-item]
        ema=0.0,
        stages={"all": {"epochs": 30, "lr": 1e-12, "frozen_norms": True}},
        early_stop={"patience": 2},
        data={},
    )
    result = train(still, manifest, tmp_path / "run")
    assert result["epochs"] == 3
    assert result["best"]["epoch"] == 1


def test_a_loss_that_is_no_number_ends_with_advice(tmp_path: Path, manifest: Manifest) -> None:
    wild = recipe(
        model={**WORDS["model"], "name": "ynet"},  # type: ignore[dict-item]
        stages={"all": {"epochs": 2, "lr": 1e30}},
    )
    with pytest.raises(TrainingError, match="stages.YNet.lr="):
        train(wild, manifest, tmp_path / "run")


def test_two_processes_in_one_folder_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "run").mkdir()
    held = file_lock(tmp_path / "run" / ".lock", RuntimeError())
    with held, pytest.raises(TrainingError, match="another process"):
        train(recipe(), manifest, tmp_path / "run")


def test_a_stage_that_fits_may_have_no_epochs(manifest: Manifest, tmp_path: Path) -> None:
    words = {
        "name": "fitted",
        "model": {
            "name": "yfit",
            "config": {
                "backbone": {"name": "test_efficientnet"},
                "size": 32,
                "fitted": {"rank": 8},
            },
        },
        "batch_size": 6,
        "threads": 1,
    }
    result = train(parse(words), manifest, tmp_path / "run")
    assert result["finished"]
    assert result["best"]["epoch"] == 0
    model = checkpoint.load_run(tmp_path / "run").model
    assert float(model.state_dict()["street.bias"].abs().sum()) > 0
    again = train(parse(words), manifest, tmp_path / "run")
    assert again["resumed"]
    on = train(parse({**words, "stages": {"Fit": {"epochs": 2}}}), manifest, tmp_path / "on")
    assert on["epochs"] == 3  # the fit itself, validated as epoch 0, and two more


def test_a_fit_sees_whole_and_framed_images(manifest: Manifest) -> None:
    boxed = Manifest.from_records(
        [replace(record, box=Box(5, 8, 40, 45)) for record in manifest], manifest.root
    )
    task = RetrievalTask(recipe(data={"crop": "either"}), boxed, False, lambda _: None, no_progress)
    spec = task.model.preprocessing
    framed, whole = ImageCache(boxed, spec), ImageCache(boxed, spec, boxes=False)
    rows = range(len(boxed))
    is_framed = [np.array_equal(task.images[row], framed[row]) for row in rows]
    is_whole = [np.array_equal(task.images[row], whole[row]) for row in rows]
    assert all(one != other for one, other in zip(is_framed, is_whole, strict=True))
    assert 0.25 < np.mean(is_framed) < 0.75


def test_a_run_starts_from_another_ones_weights(
    manifest: Manifest, whole: Path, tmp_path: Path
) -> None:
    first = {"all": {"epochs": 1, "lr": 1e-9}, "YNet": {"skip": True}, "TagYNet": {"skip": True}}
    train(recipe(start=str(whole), stages=first, ema=0), manifest, tmp_path / "on")
    known = checkpoint.load_run(whole).model.state_dict()
    own = checkpoint.load_run(tmp_path / "on").model.state_dict()
    for name in ("shared.conv_stem.weight", "tag_attention.weight", "context_attention.v"):
        torch.testing.assert_close(own[name], known[name], msg=name)
    with pytest.raises(TrainingError, match="is no run"):
        train(recipe(start=str(tmp_path / "none")), manifest, tmp_path / "off")
