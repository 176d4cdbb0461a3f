from __future__ import annotations

import json
import re
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from hemline.errors import UsageError
from hemline.learn import recipe as recipes
from hemline.learn.checkpoint import build
from hemline.learn.detection.recipe import DetectorRecipe
from hemline.learn.detection.runs import build as build_detector
from hemline.learn.training.stages import resolve_stages

ROOT = Path(__file__).parents[2]
BODY = """
name: mine
model: {name: ynet, config: {size: 64}}
batch_size: 16
stages: {all: {epochs: 5}, YNet: {lr: 0.5}}
scales: {smoke: {batch_size: 4, model: {config: {projection: 8}}}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(BODY)
    return file


def test_file_then_scale_then_words(path: Path) -> None:
    assert recipes.load(path).batch_size == 16
    assert recipes.load(path, "paper").batch_size == 16
    smoke = recipes.load(path, "smoke")
    assert smoke.batch_size == 4
    assert smoke.model.config == {"size": 64, "projection": 8}
    word = recipes.load(path, "smoke", ["batch_size=3", "stages.YNet.lr=1e-3", "data.crop=none"])
    assert (word.batch_size, word.stages["YNet"].lr, word.data.crop) == (3, 0.001, "none")
    assert word.stages["all"].epochs == 5


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("batchsize=3", "Did you mean 'batch_size'?"),
        ("stages.YNet.epoch=3", "Did you mean 'epochs'?"),
        ("data.augment.flop=1", "Did you mean 'flip'?"),
        ("data.validation_split.fractoin=1", "Did you mean 'fraction'?"),
        ("data.carve.fractoin=1", "Did you mean 'fraction'?"),
        ("data.normalisation.street_maen=1", "Did you mean 'street_mean'?"),
        ("batch_size=no", "batch_size"),
        ("batch_size=1", "greater than or equal to 2"),
        ("batch_size", "no key=value"),
        ("batch_size.x=1", "is a value"),
    ],
)
def test_a_wrong_key_or_value_is_told(path: Path, word: str, told: str) -> None:
    with pytest.raises(UsageError, match=None) as error:
        recipes.load(path, None, [word])
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_recipe_scale_and_broken_files(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'ynet'"):
        recipes.load("ynett")
    with pytest.raises(UsageError, match="no scale 'bench'; it has paper, smoke"):
        recipes.load(path, "bench")
    with pytest.raises(UsageError, match="Did you mean 'smoke'"):
        recipes.load(path, "smok")
    for text, told in (("a: [", "no YAML"), ("- 1", "holds no recipe"), ("name: x", "model")):
        broken = tmp_path / "broken.yaml"
        broken.write_text(text)
        with pytest.raises(UsageError, match=told):
            recipes.load(broken)


def test_an_earlier_key_is_read_with_a_warning(path: Path) -> None:
    words = ["data.carve.by=photo", "data.validation_split.fraction=0.3"]
    with pytest.warns(FutureWarning, match=r"data\.carve is now data\.validation_split"):
        loaded = recipes.load(path, None, words)
    split = loaded.data.validation_split
    assert (split.by, split.fraction) == ("photo", 0.3)
    written = loaded.resolved()
    written["data"]["carve"] = written["data"].pop("validation_split")
    assert recipes.Recipe.model_validate(written) == loaded  # recipe.json of an earlier run


@pytest.mark.parametrize("name", recipes.shipped())
def test_shipped_recipes_resolve_at_every_scale(name: str) -> None:
    for scale in recipes.SCALES:
        recipe = recipes.load(name, scale)
        assert recipe.name == name
        assert recipe.summary
        if scale == "smoke" and isinstance(recipe, DetectorRecipe):
            assert sum(p.numel() for p in build_detector(recipe, weights=False).parameters())
        elif scale == "smoke":
            model = build(recipe, ("a=1", "a=2"), weights=False)
            assert resolve_stages(model.stages(), recipe.stages)


def test_what_only_changes_speed_decides_nothing(path: Path) -> None:
    first = recipes.load(path).deciding()
    fast = recipes.load(path, None, ["data.workers=2", "threads=1", "devices=2"])
    assert fast.deciding() == first
    assert recipes.load(path, None, ["seed=1"]).deciding() != first


def test_model_settings_are_checked_by_the_model() -> None:
    recipe = recipes.load("ynet", "smoke", ["model.config.projecton=3"])
    with pytest.raises(UsageError, match="Did you mean 'projection'"):
        build(recipe, ())


def test_a_written_recipe_reads_as_the_same() -> None:
    from hemline.learn.model import MODELS

    recipe = recipes.load("ctxynet_synthetic")
    again = recipes.parse(json.loads(json.dumps(recipe.resolved())))
    assert again == recipe
    spec = MODELS["ctxynet"]
    stages = spec.build(spec.configure(spec.tiny), ("a=b",)).stages()
    resolved = resolve_stages(stages, again.stages)
    assert resolved == resolve_stages(stages, recipe.stages)
    assert resolved[0].schedule == "cosine"


@pytest.mark.parametrize("name", ["ahbn", "darn", "fashionnet", "seam", "siamese", "ynet"])
@pytest.mark.parametrize("scale", ["bench", "smoke"])
def test_small_scales_need_no_download(name: str, scale: str) -> None:
    loaded = recipes.load(name, scale)
    assert not isinstance(loaded, DetectorRecipe)
    assert '"pretrained": true' not in json.dumps(loaded.model.config)


@pytest.mark.parametrize("name", recipes.shipped())
def test_a_recipe_that_needs_weights_says_where_they_are_had(name: str) -> None:
    """Failed before for those that start from timm's weights."""
    needed = json.dumps(recipes.load(name).resolved())
    own = '"pretrained": true' in needed  # timm's
    if not own and not re.search(r'"weights": "[^"]', needed):
        return
    text = (files("hemline") / f"recipes/{name}.yaml").read_text(encoding="utf-8")
    head = text[: text.index("\nname:")]
    assert 'had: docs/training.md, "Weights".' in head
    assert re.search("timm's" if own else r"weights=FILE", head), "what names them"
    docs = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    told = docs.partition("### Weights\n")[2].partition("\n*Not run")[0]
    assert (f"`{name}` (" if own else "ImageNet MobileNetV2") in told


def test_the_old_name_of_a_recipe_still_loads_it() -> None:
    with pytest.warns(FutureWarning, match="'ctxynet_atelier' is now called 'ctxynet_synthetic'"):
        assert recipes.load("ctxynet_atelier").name == "ctxynet_synthetic"


@pytest.mark.parametrize(
    "value", [f"0x{'f' * 3800}", "9" * 5000, "[" * 5000 + "]" * 5000, "&a [*a]", "2021-13-45"]
)
def test_a_hostile_recipe_is_a_usage_error(path: Path, value: str) -> None:
    path.write_text(f"{BODY}seed: {value}\n")
    with pytest.raises(UsageError) as error:
        recipes.load(path)
    assert len(str(error.value)) < 400
    with pytest.raises(UsageError):
        recipes.load(path, None, [f"seed={value}"])


def test_hostile_yaml_is_a_value_error() -> None:
    names = "abcdefgh"
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise(names)
    )
    hexadecimal, deep = f"0x{'f' * 3800}", "[" * 5000 + "]" * 5000
    for text in (f"a: {hexadecimal}", f"? {hexadecimal}\n: b", deep, "a: &a [*a]", laughs, "a: ["):
        with pytest.raises(ValueError, match="bits|nested|too many values|flow") as caught:
            recipes.parse_yaml(text)
        assert len(str(caught.value)) < 300
        assert "\n" not in str(caught.value)
    assert recipes.parse_yaml("a: &a {b: 1}\nc: *a") == {"a": {"b": 1}, "c": {"b": 1}}
