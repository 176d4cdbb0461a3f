"""What a training starts from, as its results say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file

from helpers.drawn_pairs import make
from hemline.cli import main
from hemline.data.seen import Seen
from hemline.errors import UsageError
from hemline.learn.api import train
from hemline.learn.checkpoint import load_run
from hemline.learn.recipe import Recipe, load
from hemline.learn.training.starts import (
    Start,
    described,
    starts_of,
    with_starts,
    with_weights,
)


def recipe(name: str, scale: str | None = None) -> Recipe:
    found = load(name, scale)
    assert isinstance(found, Recipe)
    return found


def words(found: Recipe) -> str:
    return str(described(starts_of(found))["started_from"])


def test_papers_that_start_from_imagenet_take_timms_weights_or_a_file() -> None:
    siamese, ahbn = recipe("siamese"), recipe("ahbn")
    assert words(siamese) == "timm's pre-trained weights of vgg19"
    assert words(ahbn) == "timm's pre-trained weights of inception_resnet_v2"
    assert words(with_weights(siamese, "/a/vgg19.safetensors")) == "weights vgg19.safetensors"
    assert words(with_weights(siamese, "random")) == words(recipe("siamese", "bench"))
    assert words(recipe("siamese", "bench")) == "random weights"
    assert words(with_weights(recipe("darn"), "nin.safetensors")) == "weights nin.safetensors"
    assert words(with_weights(recipe("ynet"), "nin.safetensors")) == "weights nin.safetensors"
    authors = load("siamese", None, ["model.config.authors_code=true"])
    assert isinstance(authors, Recipe)
    assert words(authors) == "timm's pre-trained weights of vgg19_bn"
    with pytest.raises(UsageError, match="a detector's recipe"):
        train("detector_synthetic", "none.csv", "nowhere", weights="random")


def test_weights_that_cannot_be_had_are_one_line_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make(tmp_path / "data", items=6, val=2)

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(UsageError, match=r"no route to host.*--weights FILE.*--weights random"):
        train("siamese", manifest, tmp_path / "run")


def test_a_run_says_what_it_started_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = make(tmp_path / "data", items=6, val=2)
    file = tmp_path / "imagenet.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), file)
    run = tmp_path / "run"
    options = ["--scale", "smoke", "threads=1", "stages.all.epochs=1", "--json"]
    words = ["train", "ynet", str(manifest), "-o", str(run), "--weights", str(file), *options]
    assert main(words) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["started_from"] == "weights imagenet.safetensors"
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert info["starts"] == [{"kind": "weights", "name": str(file)}]
    assert info["data"]["seen"]["unrecorded"] == ["weights imagenet.safetensors"]


def test_a_run_keeps_its_settings_where_a_default_changes(tmp_path: Path) -> None:
    """Old runs don't record all settings: DARN's parts were divided by √n then."""
    folder = tmp_path / "data"
    manifest = make(folder, items=6, val=2)
    run = tmp_path / "run"
    changes = ["threads=1", "stages.Network.epochs=1", "model.config.batch_norm=false"]
    train("darn", manifest, run, scale="smoke", overrides=changes)
    assert load_run(run).model.config.unit_length is False  # type: ignore[union-attr]
    file = run / "run.json"
    info = json.loads(file.read_text(encoding="utf-8"))
    assert info["model_config"]["unit_length"] is False
    del info["model_config"]
    file.write_text(json.dumps(info), encoding="utf-8")
    assert load_run(run).model.config.unit_length is True  # type: ignore[union-attr]


def test_of_a_bundle_the_record_of_its_network_is_taken_over(tmp_path: Path) -> None:
    """A run that only fits maps doesn't train its network; a bundle's maps aren't taken over."""
    manifest = make(tmp_path / "data", items=6, val=2)
    file = tmp_path / "imagenet.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), file)
    changes = [
        "threads=1",
        f"model.config.backbone.weights={file}",
        "model.config.fitted.rank=3",
        "data.validation_split.fraction=0.4",
    ]
    run = tmp_path / "run"
    train("yfit_grocery", manifest, run, scale="smoke", overrides=changes)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))["data"]["seen"]
    assert record["items"] > 0
    assert record["network"] == {"items": 0, "images": 0}
    bundle = tmp_path / "bundle"
    assert main(["export", str(run), "-o", str(bundle)]) == 0
    told = with_starts(Seen.of_sources(["another"], []), [Start("bundle", str(bundle))])
    assert len(told.items) == 1
    assert told.unrecorded == ("weights imagenet.safetensors",)
    whole = with_starts(Seen.of_sources(["another"], []), [Start("run", str(run))])
    assert len(whole.items) == 1 + record["items"]
