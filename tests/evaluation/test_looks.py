"""Where measured models look: what is shown is what the model says, and the report has it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.tiny_bundle import make_tiny_bundle
from hemline.cli import main
from hemline.data.images import open_image
from hemline.data.manifest import Manifest
from hemline.data.preprocess import square
from hemline.evaluation.looks import looks, spread
from hemline.evaluation.model import open_encoder
from hemline.evaluation.stored import read_results
from hemline.types import Box


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose boxes are the upper left quarter, a bundle, and its result."""
    root = tmp_path_factory.mktemp("looks")
    colours = ("colour=red", "colour=blue", "pattern=floral")
    rows = [
        replace(one, box=Box(0, 0, 10, 12), tags=(colours[number % 3],))
        for number, one in enumerate(make_colour_shop(root / "shop", products=9))
    ]
    Manifest.from_records(rows, root / "shop").write(root / "shop/manifest.parquet")
    make_tiny_bundle(root / "bundle")
    measured = ["evaluate", str(root / "bundle"), str(root / "shop"), "-o", str(root / "one.json")]
    assert main(measured) == 0
    return root


def test_maps_are_what_the_bundle_says_of_these_images(place: Path) -> None:
    manifest, results = Manifest.read(place / "shop"), read_results([place / "one.json"])
    found = looks([str(place / "bundle")], results, manifest)[0]
    encoder = open_encoder(str(place / "bundle"))
    assert 3 <= len(found.shop) <= 5
    for look in found.shop:
        record, image = manifest[look.row], open_image(manifest.file(look.row))
        assert record.domain == "shop"
        own = encoder.encode_shop([image], [record.tags]).attention
        assert own is not None
        np.testing.assert_allclose(look.attention, own[0].reshape(2, 2), atol=1e-6)
        assert look.held == (pytest.approx(look.attention[0, 0]), 0.25)
        assert (look.image == square(image, encoder.bundle.info.preprocessing)).all()
        assert look.most is None  # a gradient needs the run
    kept = results[0].rankings
    assert kept is not None
    for look in found.street:
        at = kept.arrays["queries"].tolist().index(look.row)
        assert list(look.candidates) == kept.arrays["top"][at][:3].tolist()
        local = encoder.encode_street([open_image(manifest.file(look.row))]).local
        images = [open_image(manifest.file(row)) for row in look.candidates]
        shop = encoder.encode_shop(images, [manifest[row].tags for row in look.candidates])
        own = encoder.rerank(local[0], shop.embedding * shop.norm[:, None]).attention
        np.testing.assert_allclose(look.attention, own.reshape(-1, 2, 2), atol=1e-6)
    assert len(found.street) == 5


def test_preferred_locations_are_all_of_an_even_attention_and_one_of_a_sure_one() -> None:
    assert spread(np.full((6, 6), 1 / 36, np.float32)) == pytest.approx(36, rel=1e-4)
    assert spread(np.eye(1, 36, 7, dtype=np.float32)) == pytest.approx(1, rel=1e-4)


def test_the_report_shows_them_and_refuses_models_that_were_not_measured(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    asked = ["report", str(place / "one.json"), "-o", str(page)]
    shown = [*asked, "--images", str(place / "shop"), "--model", str(place / "bundle")]
    assert main(shown) == 0
    text = page.read_text("utf-8")
    assert "Where tiny looks in shop images: tag attention" in text
    assert "in photos: the candidate&#x27;s context" in text
    assert text.count('alt="tag attention"') >= 3
    assert text.count('alt="beside hit 1"') == 5
    assert "lies in the item&#x27;s box" in text or "lies in the item's box" in text
    assert main([*asked, "--model", str(place / "bundle")]) == 2
    assert "name the manifest" in capsys.readouterr().err
    make_tiny_bundle(tmp_path / "other", seed=1)
    assert main([*shown, "--model", str(tmp_path / "other")]) == 2
    assert "none of the models that were measured" in capsys.readouterr().err


@pytest.mark.learn
def test_runs_show_gradients_and_the_weights_of_channels(tmp_path: Path) -> None:
    """The most and the least attended location, and sigmoid beside softmax."""
    data = tmp_path / "data"
    assert main(["data", "make", "-o", str(data), "--products", "12", "--size", "64"]) == 0
    manifest, models = data / "manifest.parquet", []
    for name, *settings in (
        ("ctxynet",),
        ("ahbn", "stages.attributes.skip=true", "stages.landmarks.skip=true"),
        ("ahbn", "stages.attributes.skip=true", "stages.landmarks.skip=true",
         "model.config.gate=softmax"),
    ):  # fmt: skip
        run = tmp_path / f"runs/{len(models)}"
        words = ["--scale", "smoke", "threads=1", "stages.all.epochs=1", *settings]
        assert main(["train", name, str(manifest), "-o", str(run), *words]) == 0
        result = ["-o", str(tmp_path / f"results/{len(models)}.json")]
        assert main(["evaluate", str(run), str(manifest), "--protocol", "synthetic", *result]) == 0
        models.append(str(run))
    results = read_results([tmp_path / "results"])
    found = looks(models, results, Manifest.read(manifest))
    for look in found[0].shop:
        assert look.most is not None
        assert look.least is not None
        assert look.most.shape == look.image.shape[:2]
        assert look.most.max() == look.least.max() == 1
        assert not np.allclose(look.most, look.least)
    assert found[0].street
    assert [found[number].gate for number in (1, 2)] == ["sigmoid", "softmax"]
    for number, whole in ((1, None), (2, 2.0)):
        weights = found[number].channels
        assert weights is not None
        assert ((weights > 0) & (weights < 1)).all()
        if whole is not None:  # the softmax of each branch sums to 1
            assert weights.sum() == pytest.approx(whole, rel=1e-3)
    page = tmp_path / "report.html"
    words = [word for model in models for word in ("--model", model)]
    asked = ["report", str(tmp_path / "results"), "-o", str(page), "--images", str(manifest)]
    assert main([*asked, *words]) == 0
    text = page.read_text("utf-8")
    assert "gradient of the most attended location" in text
    assert re.findall("<h2>(Weights of .*?)</h2>", text) == ["Weights of the channels"]
    assert ", sigmoid</li>" in text
    assert ", softmax</li>" in text
