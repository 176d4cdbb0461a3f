"""Every recipe that ships, at ``smoke``, as its user runs it: train, export, catalogue, search."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from helpers.drawn_pairs import FORMS, draw
from helpers.shipped_recipes import recipes
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.learn.model import MODELS
from hemline.runtime.bundle import Bundle

SIZE, PRODUCTS = 64, 16
TAGS = ("category=dress", "category=skirt", "colour=red", "collar=polo")
SMOKE = recipes("smoke")


def test_every_recipe_has_the_scale() -> None:
    embedding = recipes("paper")
    assert set(SMOKE) == set(embedding)
    assert {recipe.model.name for recipe in embedding.values()} == set(MODELS)
    for recipe in SMOKE.values():  # weights lie outside the package, so none are asked for
        backbone = recipe.model.config.get("backbone", {})
        assert not backbone.get("weights")
        assert not backbone.get("pretrained")


@pytest.fixture(scope="module", autouse=True)
def _one_quiet_thread() -> Iterator[None]:
    threads, log = torch.get_num_threads(), logging.getLogger("torch.__trace")
    torch.set_num_threads(1)
    log.disabled = True  # pytest would keep thousands of its lines
    yield
    log.disabled = False
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hemline data make` draws: pairs with tags, boxes and landmarks, in three splits."""
    folder = tmp_path_factory.mktemp("drawn")
    words = ["data", "make", "-o", str(folder), "--products", str(PRODUCTS), "--seed", "3"]
    assert main([*words, "--size", str(SIZE), "--json"]) == 0
    return folder / "manifest.parquet"


@pytest.fixture(scope="module")
def grocery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grocery set's own layout, read by its reader: photos to train and test, no split val."""
    root = tmp_path_factory.mktemp("grocery")
    rng = np.random.default_rng(0)
    classes, listed = ["Class Name,ID,Coarse,Coarse ID,Iconic,Description"], []
    for number in range(PRODUCTS):
        colour = tuple(int(c) for c in rng.integers(30, 226, 3))
        form = FORMS[number % 3]
        picture = f"iconic/{form}-{number}.png"
        _write(root / picture, draw(form, colour, SIZE, None))
        classes.append(f"{form}-{number},{number},{form},{number % 3},/{picture},/none.txt")
        for photo in range(4):
            path = f"photos/{number}_{photo}.png"
            _write(root / path, draw(form, colour, SIZE, rng))
            listed.append(f"{path}, {number}, {number % 3}")
    (root / "classes.csv").write_text("\n".join(classes) + "\n")
    (root / "train.txt").write_text("\n".join(listed) + "\n")
    manifest = root / "grocery.parquet"
    assert main(["data", "read", "grocery", str(root), "-o", str(manifest), "--json"]) == 0
    return manifest


def _write(path: Path, picture: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """A command that must do its job, and its answer."""
    capsys.readouterr()
    code = main([*words, "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == 0, told
    return told


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SMOKE))
def test_trains_exports_is_indexed_and_found(
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = SMOKE[name]
    # A recipe that always splits its validation rows off is for data whose lists have none.
    source = "grocery" if recipe.data.val is None else "drawn"
    manifest = request.getfixturevalue(source)
    folder, bundle, shop = (str(tmp_path / part) for part in ("run", "bundle", "shop"))

    trained = run(
        capsys, "train", name, str(manifest), "-o", folder, "--scale", "smoke", "threads=1"
    )
    assert trained["finished"] is True
    assert 0 <= trained["validation"]["recall@1"] <= 1

    exported = run(capsys, "export", folder, "-o", bundle)
    spec = MODELS[recipe.model.name]
    model = spec.build(spec.configure(recipe.model.config), TAGS)
    assert ("rerank.onnx" in exported["files"]) == model.reranks
    assert Bundle.open(bundle).info.reranks == model.reranks

    run(capsys, "catalog", "create", shop, "--bundle", bundle)
    rows = Manifest.read(manifest)
    products = rows.select(rows.column("domain") == "shop")
    added = run(capsys, "catalog", "add", shop, str(manifest))
    assert added["added"] == len(products)

    photos = rows.select(rows.column("domain") == "street")
    answer = run(capsys, "search", shop, str(photos.files()[0]), "-k", "5")
    scores = [hit["score"] for hit in answer["hits"]]
    assert len({hit["item_id"] for hit in answer["hits"]}) == 5
    assert {hit["item_id"] for hit in answer["hits"]} <= set(products.column("item_id"))
    assert all(math.isfinite(score) for score in scores)
    assert scores == sorted(scores, reverse=True)
