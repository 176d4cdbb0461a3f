"""Several processes that train together, as ``torchrun`` starts them, give what one gives."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from helpers.drawn_pairs import make
from hemline.errors import TrainingError
from hemline.learn import checkpoint
from hemline.learn.api import train
from hemline.learn.recipe import parse
from hemline.learn.training.engine import is_first, processes

HELPER = Path(__file__).parents[2] / "helpers" / "two_processes.py"
#: Batch norms would count the images of one process alone.
WORDS = {
    "name": "tiny",
    "model": {
        "name": "ctxynet",
        "config": {"backbone": {"name": "test_efficientnet"}, "size": 32, "projection": 16},
    },
    "batch_size": 6,
    "stages": {"all": {"epochs": 2, "lr": 0.05, "clip": 1.0, "frozen_norms": True}},
    "data": {"augment": {"flip": 0.5, "crop": 0.6}},
    "accelerator": "cpu",
    "threads": 1,
}


def torchrun(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    given = [*command, str(HELPER), *map(str, words)]
    return subprocess.Popen(
        given, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: subprocess.Popen[str]) -> None:
    told, _ = process.communicate(timeout=500)
    assert process.returncode == 0, told[-3000:]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def same(first: Path, second: Path) -> None:
    """Losses and figures of every epoch, and the last weights, to tolerance."""
    one, two = rows(first), rows(second)
    assert len(one) == len(two)
    for left, right in zip(one, two, strict=True):
        assert left.keys() == right.keys()
        for name in left.keys() - {"stage", "seconds"}:
            close = pytest.approx(float(left[name] or 0), abs=1e-3)
            assert float(right[name] or 0) == close, name
    weights = [checkpoint.load(run / "checkpoints/last.safetensors")[0] for run in (first, second)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=2e-3, rtol=1e-2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe and a manifest."""
    folder = tmp_path_factory.mktemp("pairs")
    recipe = folder / "recipe.json"
    recipe.write_text(json.dumps(WORDS))
    return recipe, make(folder)


@pytest.fixture(scope="module")
def one(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    train(parse(WORDS), files[1], folder)
    return folder


@pytest.mark.slow
def test_rows_are_gathered_with_their_gradients() -> None:
    ended(torchrun("gather"))


@pytest.mark.slow
def test_two_processes_train_as_one(files: tuple[Path, Path], one: Path, tmp_path: Path) -> None:
    ended(torchrun("train", *files, tmp_path / "two"))
    same(one, tmp_path / "two")
    record = json.loads((tmp_path / "two/run.json").read_text())
    assert record["finished"]


@pytest.mark.slow
def test_a_lost_process_ends_the_run_and_the_next_continues(
    files: tuple[Path, Path], one: Path, tmp_path: Path
) -> None:
    run = tmp_path / "two"
    process = torchrun("train", *files, run, 1)
    end = time.monotonic() + 400
    while not (run / "metrics.csv").exists() or len(rows(run)) < 3:
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < end
        time.sleep(0.1)
    found = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True, check=True
    )
    last = max(int(word) for word in found.stdout.split())
    os.kill(last, signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert not json.loads((run / "run.json").read_text())["finished"]
    before = len(rows(run))
    ended(torchrun("train", *files, run))
    assert before < len(rows(run)) == 6
    same(one, run)


def test_a_batch_has_to_suffice_for_all_processes(files: tuple[Path, Path]) -> None:
    from hemline.data.manifest import Manifest
    from hemline.learn.training.retrieval import RetrievalTask
    from hemline.progress import no_progress

    manifest = Manifest.read(files[1])
    task = RetrievalTask(parse(WORDS), manifest, True, lambda line: None, no_progress)
    assert len(task.batches(0, 0, 2, 3)[0]) == 2
    with pytest.raises(TrainingError, match="set it to 8 or more, or use fewer processes"):
        task.batches(0, 0, 0, 4)


@pytest.mark.parametrize(
    ("environment", "first", "devices"),
    [
        ({}, True, (5, 1)),
        ({"LOCAL_RANK": "1"}, False, (5, 1)),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False, (5, 1)),
        ({"RANK": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4"}, False,
         (2, 2)),
        ({"RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"}, True,
         (2, 1)),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "4", "SLURM_JOB_NAME": "t"},
         False, (4, 2)),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "bash"},
         True, (5, 1)),
    ],
)  # fmt: skip
def test_who_is_first_and_how_many_there_are(
    environment: dict[str, str], first: bool, devices: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in list(os.environ):
        if name.startswith("SLURM_") or name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first() is first
    assert processes(5) == devices
