from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.colour_shop import make_colour_shop
from helpers.toy_encoder import ToyEncoder
from hemline import evaluate
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare")
    shop = make_colour_shop(root / "shop", photos=4)
    results = root / "results"
    results.mkdir()
    (results / "notes.json").write_text("[1, 2]")
    for name, reranks in (("first", False), ("second", True)):
        found = evaluate(ToyEncoder(reranks, name), shop, choices=Choices(crop="none"))
        (results / f"{name}.json").write_text(json.dumps(found))
    return root


def result(place: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((place / f"results/{name}.json").read_text())
    return found


def test_differences_are_those_of_against(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, or their folder, give what one evaluation of both models gives."""
    shop = Manifest.read(place / "shop")
    both = evaluate(ToyEncoder(True, "second"), shop, against=[ToyEncoder(False, "first")])
    assert main(["compare", str(place / "results"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["label"] for one in found["results"]] == ["first", "second"]
    (pair,) = found["differences"]
    assert (pair["of"], pair["less"]) == ("second", "first")
    for name, wanted in both["against"][0]["difference"].items():
        for end in ("value", "low", "high"):
            assert pair["figures"][name][end] == pytest.approx(wanted[end], abs=1e-6)
    assert found["results"][1]["figures"]["mrr"]["value"] == both["mrr"]


def test_any_measure_without_a_second_search(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(place / f"results/{name}.json") for name in ("second", "first")]
    out = str(place / "out.json")
    options = ["--measures", "precision@3, map@1000,ndcg@7,recall@2", "-o", out]
    assert main(["compare", *files, *options]) == 0
    text = capsys.readouterr().out
    for word in ("48 queries", "precision@3", "map@1000", "first less second", "95 % interval"):
        assert word in text
    found = json.loads(Path(out).read_text())
    assert found["measures"] == ["precision@3", "map@1000", "ndcg@7", "recall@2"]
    shares = [one["figures"]["precision@3"]["value"] for one in found["results"]]
    assert 0 < min(shares) <= max(shares) <= 1 / 3  # one right picture for each query
    assert main(["compare", *files, "--measures", "recal@2"]) == 2
    assert "no measure 'recal@2'" in capsys.readouterr().err


def test_other_questions_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Manifest.read(place / "shop")
    others = {
        "crop is": evaluate(ToyEncoder(), shop, choices=Choices(crop="box")),
        "name is": evaluate(ToyEncoder(), shop, "holdout"),
        "manifests differ": evaluate(ToyEncoder(), shop.select(np.arange(len(shop) - 1))),
        "right answers differ": {**result(place, "second")},
    }
    kept = dict(others["right answers differ"]["rankings"])  # type: ignore[call-overload]
    others["right answers differ"]["rankings"] = {**kept, "queries": "0" * 32}
    for words, found in others.items():
        (place / "other.json").write_text(json.dumps(found))
        first = str(place / "results/first.json")
        assert main(["compare", first, str(place / "other.json")]) == 2
        line = capsys.readouterr().err.strip()
        assert "did not answer the same questions" in line
        assert words in line
        assert "\n" not in line


def test_results_of_earlier_versions_are_read(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = result(place, "first")
    del old["rankings"]
    (place / "old.json").write_text(json.dumps(old))
    files = [str(place / "old.json"), str(place / "results/second.json")]
    assert main(["compare", *files]) == 0
    assert "no ranks were kept" in capsys.readouterr().out
    assert main(["compare", *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["differences"][0]["figures"]["recall@5"]["low"] is None
    assert main(["compare", *files, "--measures", "precision@5"]) == 2
    assert "evaluate again" in capsys.readouterr().err


def test_a_leak_is_shown_with_every_figure(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaking = result(place, "second")
    says = "LEAK: 3 of 48 queries were trained on"
    leaking["training_overlap"] = {"queries": 3, "says": says}
    leaking["protocol"] = {**leaking["protocol"], "trained_on": says}  # type: ignore[dict-item]
    (place / "leak.json").write_text(json.dumps(leaking))
    files = [str(place / "results/first.json"), str(place / "leak.json")]
    assert main(["compare", *files]) == 0
    text = capsys.readouterr().out
    assert f"second: {says}" in text
    assert text.count("  LEAK\n") == text.count("% interval")
    assert main(["compare", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][1]["leak"] == says


@pytest.mark.parametrize(
    ("content", "words"),
    [("[]", "isn't a JSON object"), ("{}", "is no result of"), ("{", "can't be read")],
)
def test_what_is_no_result_is_one_line(
    place: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "bad.json").write_text(content)
    first = str(place / "results/first.json")
    assert main(["compare", first, str(place / "bad.json")]) == 1
    assert words in capsys.readouterr().err
    assert main(["compare", first, str(place / "shop")]) == 1
    assert "has no result" in capsys.readouterr().err
    assert main(["compare", first]) == 2
    assert "two results or more" in capsys.readouterr().err


def test_damaged_ranks_name_their_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = result(place, "second")
    damaged["rankings"] = {**damaged["rankings"], "arrays": "UEsDBA=="}  # type: ignore[dict-item]
    (place / "damaged.json").write_text(json.dumps(damaged))
    first = str(place / "results/first.json")
    assert main(["compare", first, str(place / "damaged.json")]) == 1
    assert "damaged.json: the ranks of the result are damaged" in capsys.readouterr().err
