"""What a model needs of a manifest, and the warning where it has learned nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hemline.data.manifest import Manifest
from hemline.errors import DataError
from hemline.learn.api import train
from hemline.learn.training.needs import near_chance
from hemline.types import Record


def pairs(folder: Path, tags: tuple[str, ...] = ()) -> Manifest:
    """Rows without images; what a model needs is asked before they are read."""
    return Manifest.from_records(
        [
            Record(f"{n}{domain}", f"{n}{domain}.jpg", f"item{n}", domain, "dress", tags=tags)
            for n in range(8)
            for domain in ("street", "shop")
        ],
        folder,
    )


@pytest.mark.parametrize(("recipe", "need"), [("ctxynet", "tags"), ("darn", "tags")])
def test_a_recipe_is_refused_whose_labels_are_not_there(
    tmp_path: Path, recipe: str, need: str
) -> None:
    with pytest.raises(DataError, match=f"learns from {need}, and no training row has any"):
        train(recipe, pairs(tmp_path), tmp_path / "run", scale="smoke")


def test_landmarks_are_asked_for(tmp_path: Path) -> None:
    rows = pairs(tmp_path, ("color=red",))
    gated = {"scale": "smoke", "overrides": ["model.config.gate=true"]}
    with pytest.raises(DataError, match="fashionnet learns from landmarks"):
        train("fashionnet", rows, tmp_path / "run", **gated)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="ahbn learns from landmarks"):
        train("ahbn", rows, tmp_path / "run", scale="smoke")


@pytest.mark.parametrize(
    ("recipe", "tags"),
    [("fashionnet", ("color=red",)), ("triplet_vgg", ()), ("ahbn_street2shop", ())],
)
def test_labels_that_the_settings_leave_out_are_not_asked_for(
    tmp_path: Path, recipe: str, tags: tuple[str, ...]
) -> None:
    """Failed before: YNet's FashionNet has no landmark branch, TripletVGG learns no tags."""
    with pytest.raises(
        DataError, match="image"
    ):  # it gets as far as the images, which aren't there
        train(recipe, pairs(tmp_path, tags), tmp_path / "run", scale="smoke")


@pytest.mark.parametrize(
    ("recall", "items", "photos", "warns"),
    [(0.001, 20, 20, True), (0.05, 20, 40, True), (0.5, 20, 40, False), (0.01, 1000, 900, False)],
)
def test_a_run_near_chance_is_told(recall: float, items: int, photos: int, warns: bool) -> None:
    data = {"validation_photos": photos, "validation_items": items}
    data |= {"train_photos": 160, "train_items": 80}
    told = near_chance({"best": {"figures": {"recall@1": np.float64(recall)}}, "data": data})
    assert bool(told) == warns
    assert ("guessing among" in told) == warns
    assert near_chance({"best": {"figures": {"loss": 1.0}}, "data": {}}) == ""
