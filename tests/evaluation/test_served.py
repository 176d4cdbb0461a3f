"""A live catalogue under the protocols of a model, and the steps between the two."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.tiny_bundle import make_tiny_bundle
from helpers.tiny_detector import put_tiny_detector
from hemline.bundle import read_info, write_info
from hemline.catalog.catalog import Catalog
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.data.seen import Seen
from hemline.datasets import build
from hemline.errors import UsageError
from hemline.evaluation.run import evaluate
from hemline.evaluation.served import evaluate_catalog, evaluate_stored
from hemline.evaluation.trace import STEPS, trace
from hemline.ranking.metrics import MISS
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    shop = make_colour_shop(root / "shop", products=40)
    make_tiny_bundle(root / "bundle")
    put_tiny_detector(root / "bundle")
    with Catalog.create(root / "catalog", Bundle.open(root / "bundle")) as catalog:
        catalog.add(shop)
    return root


def only(place: Path, **choices: object) -> Protocol:
    return build("default", Manifest.read(place / "shop"), Choices(**choices))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("rerank", [False, True])
@pytest.mark.parametrize("how", ["none", "query"])
def test_a_small_catalogue_answers_as_its_bundle_is_measured(
    place: Path, rerank: bool, how: str
) -> None:
    part = only(place, crop=how)
    wanted = evaluate(BundleEncoder(Bundle.open(place / "bundle")), part, rerank=rerank)
    with Catalog.open(place / "catalog") as catalog:
        found = evaluate_catalog(catalog, part, rerank=rerank)
        # float16 may exchange neighbours that are as near
        assert np.abs(found.ranks - wanted.ranks).max() <= 2
        assert np.mean(found.ranks != wanted.ranks) < 0.1
        assert (found.top[:, 0] == wanted.top[:, 0]).mean() > 0.9
        if not rerank:
            stored = evaluate_stored(catalog, part)
            assert np.mean(stored.ranks != wanted.ranks) < 0.1


def test_what_the_catalogue_lacks_is_a_named_miss(place: Path, tmp_path: Path) -> None:
    part = only(place)
    items = part.manifest.column("item_id")
    with Catalog.create(tmp_path / "fewer", Bundle.open(place / "bundle")) as catalog:
        with pytest.raises(UsageError, match="holds none of the gallery's images"):
            evaluate_catalog(catalog, part)
        kept = np.array([items[row] != "p03" for row in range(len(items))])
        catalog.add(part.manifest.select(kept))
        for found in (evaluate_catalog(catalog, part), evaluate_stored(catalog, part)):
            lost = [items[row] for row in part.queries[found.ranks == MISS]]
            assert lost == ["p03", "p03"]
            assert ("p03_0.png", "not in the catalogue") in found.skipped
        with pytest.raises(UsageError, match="--all-categories"):
            evaluate_catalog(catalog, only(place, within_category=True))


def test_evaluate_takes_a_catalogue(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, out = str(place / "shop"), str(place / "result.json")
    options = ["-o", out, "--against", str(place / "bundle")]
    assert main(["evaluate", str(place / "catalog"), manifest, *options]) == 0
    assert "answers of the live catalogue with 40 pictures" in capsys.readouterr().out
    result = json.loads(Path(out).read_text())
    assert result["catalog"] == {"pictures": 40, "lacking": 0, "answered": 1000}
    assert "map" not in result
    assert "recall@1" in result["against"][0]["difference"]
    bundle = str(place / "bundle.json")
    assert main(["evaluate", str(place / "bundle"), manifest, "-o", bundle]) == 0
    capsys.readouterr()
    assert main(["compare", out, bundle, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "map" not in found["measures"]
    assert main(["compare", out, bundle, "--measures", "map@5"]) == 2
    assert "no ranks of pictures" in capsys.readouterr().err


@pytest.fixture(scope="module")
def leaking(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue whose bundle was trained on some of the queries."""
    root = tmp_path_factory.mktemp("leaking")
    make_tiny_bundle(root / "bundle")
    part = only(place)
    seen = Seen.of(part.manifest, part.queries[:5], part.queries[5:8])
    seen.write(root / "bundle")
    info = read_info(root / "bundle")
    training = {**info.training, "seen": seen.described()}
    write_info(root / "bundle", info.model_copy(update={"training": training}))
    with Catalog.create(root / "catalog", Bundle.open(root / "bundle")) as catalog:
        catalog.add(Manifest.read(place / "shop"))
    return root / "catalog"


@pytest.mark.parametrize("command", ["evaluate", "trace"])
def test_a_catalogue_whose_bundle_was_trained_on_queries_is_refused(
    command: str, leaking: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [command, str(leaking), str(place / "shop")]
    assert main(asked) == 2
    assert "was trained on" in (told := capsys.readouterr().err)
    assert "--allow-leak" in told
    assert main([*asked, "--allow-leak"]) == 0
    assert "LEAK: 5 of 80 queries were trained on" in capsys.readouterr().out
    assert main([*asked, "--allow-leak", "--json"]) == 0
    overlap = json.loads(capsys.readouterr().out)["training_overlap"]
    assert (overlap["queries"], overlap["validation"], overlap["allowed"]) == (5, 3, True)


def test_every_step_is_measured_on_the_same_queries(place: Path) -> None:
    part = only(place)
    encoder = BundleEncoder(Bundle.open(place / "bundle"))
    with Catalog.open(place / "catalog") as catalog:
        found = trace(catalog, part, checkpoint=encoder)
        assert [step["name"] for step in found["steps"]] == list(STEPS)
        assert found["skipped"] == []
        first, second = found["steps"][:2]
        assert first["figures"] == second["figures"]  # the same encoder stands for both
        assert second["difference"]["recall@1"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        total = first["figures"]["recall@1"]["value"]
        total += sum(step["difference"]["recall@1"]["value"] for step in found["steps"][1:])
        assert total == pytest.approx(found["steps"][-1]["figures"]["recall@1"]["value"])
        assert 0 <= found["steps"][-1]["detected"] <= 1
        fewer = trace(catalog, only(place, crop="query"), skip=["index", "rerank"])
        assert [step["name"] for step in fewer["steps"]] == ["graph", "stored"]
        assert {entry["name"] for entry in fewer["skipped"]} == set(STEPS) - {"graph", "stored"}
        with pytest.raises(UsageError, match="no step 'codes'; the steps are checkpoint"):
            trace(catalog, part, skip=["codes"])


def test_the_table_of_steps(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["trace", str(place / "catalog"), str(place / "shop"), "--skip", "detector"]
    assert main(asked) == 0
    text = capsys.readouterr().out
    for words in ("stored", "from the step before", "left out, no checkpoint", "80 queries"):
        assert words in text
    assert main([*asked, "--checkpoint", str(place / "bundle")]) == 2
    assert "is a bundle; --checkpoint is the run" in capsys.readouterr().err
