"""`hemline models`: what can be trained, where it was published, what it needs, how large it is."""

from __future__ import annotations

import json

import pytest

from hemline.cli import main
from hemline.cli.models import trainable
from hemline.learn.model import MODELS
from hemline.learn.recipe import Recipe, load
from hemline.learn.recipe import shipped as shipped_recipes
from hemline.runtime.bundle import shipped


@pytest.fixture(scope="module")
def listed() -> dict[str, object]:
    return {str(row["name"]): row for row in trainable()}


def test_every_registered_model_is_listed_whole(
    listed: dict[str, dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["name"]: row for row in told["models"]} == listed
    assert set(listed) == set(MODELS)
    assert {bundle["name"] for bundle in told["bundles"]} == set(shipped())
    for name, row in listed.items():
        spec = MODELS[name]
        assert (row["paper"], row["year"], row["link"]) == (spec.paper, spec.year, spec.link)
        assert row["needs"] == list(spec.needs)
        assert row["summary"] == spec.summary
        assert row["size"] >= 224  # type: ignore[operator]
        assert row["stages"]
        recipes = [load(recipe) for recipe in row["recipes"]]  # type: ignore[attr-defined]
        assert all(isinstance(r, Recipe) and r.model.name == name for r in recipes)
    trained = [recipe for row in listed.values() for recipe in row["recipes"]]  # type: ignore[attr-defined]
    assert set(trained) == {name for name in shipped_recipes() if isinstance(load(name), Recipe)}


def test_sizes_are_those_of_the_published_networks(listed: dict[str, dict[str, int]]) -> None:
    """Built as published, without weights: VGG-19 with its first layer, NIN cut into a Y."""
    assert listed["siamese"]["parameters"] == 20_024_384 + 25_088 * 4096 + 4096
    assert listed["ynet"]["parameters"] == 1_980_608 + 2 * 5_614_568
    assert listed["siamese"]["embedding_dim"] == listed["fashionnet"]["embedding_dim"] == 4096
    assert listed["ynet"]["embedding_dim"] == 1000


def test_words_have_a_line_of_numbers_and_a_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    words = capsys.readouterr().out
    for name, spec in MODELS.items():
        line = next(line for line in words.splitlines() if line.startswith(f"{name} "))
        assert str(spec.year) in line
        assert "M parameters" in line
        assert f"needs {', '.join(spec.needs)}:" in line
        assert f"{spec.paper}, {spec.link}" in words
