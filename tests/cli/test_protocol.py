from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.colour_shop import make_colour_shop
from helpers.made_up_sets import made_up_consumer2shop, made_up_darn
from hemline.cli import main
from hemline.cli._protocol import PROTOCOL_NAMES
from hemline.data.manifest import Manifest
from hemline.datasets import PROTOCOLS
from hemline.datasets.lookbench import SUBSETS
from hemline.datasets.street2shop import CATEGORIES


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    make_colour_shop(tmp_path)
    return tmp_path / "manifest.parquet"


def test_it_tells_and_writes_what_training_may_see(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = manifest.parent / "sub/train.parquet"
    options = ["--protocol", "holdout", "--share", "0.25", "--train-out", str(out), "--json"]
    assert main(["data", "protocol", str(manifest), *options]) == 0
    (part,) = json.loads(capsys.readouterr().out)["protocols"]
    assert (part["queries"], part["gallery"], part["training_rows"]) == (6, 12, 27)
    left = Manifest.read(out)
    assert len(left) == 27
    assert not set(left.column("item_id").tolist()) & set(part["held_out"])
    assert left.file(0).is_file()


def test_it_writes_a_protocols_own_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for made, name in (
        (made_up_darn(tmp_path / "darn"), "darn-ynet"),
        (made_up_consumer2shop(tmp_path / "c2s"), "consumer2shop-upper"),
    ):
        out = made.parent / "splits.parquet"
        options = ["--protocol", name, "--split-out", str(out)]
        assert main(["data", "protocol", str(made), *options, "--json"]) == 0
        (part,) = json.loads(capsys.readouterr().out)["protocols"]
        rows = Manifest.read(out)
        for split, counts in part["partition"].items():
            inside = [record for record in rows if record.split == split]
            assert counts["products"] == len({r.item_id for r in inside}) > 0
            assert counts["photos"] == sum(r.domain == "street" for r in inside) > 0
        assert set(rows.column("split").tolist()) == {"train", "val", "test"}
        assert rows.file(0).is_file()
        assert main(["data", "protocol", str(made), *options]) == 0
        assert "  val: " in capsys.readouterr().out
    options = ["--protocol", "holdout", "--split-out", str(out)]
    assert main(["data", "protocol", str(made), *options]) == 2
    assert "draws no train and validation splits" in capsys.readouterr().err


def test_words_for_a_person(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "protocol", str(manifest)]) == 0
    assert "default: 24 queries, 12 gallery rows" in capsys.readouterr().out


def test_folds_need_a_number_to_be_written(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--protocol", "grocery-folds", "--train-out", "x.parquet"]
    assert main(["data", "protocol", str(manifest), *options]) == 1
    assert "committed folds" in capsys.readouterr().err


def test_the_list_has_every_protocol_with_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "protocol", "--list", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)["protocols"]}
    assert set(listed) == set(PROTOCOLS)
    assert listed["street2shop/dresses"]["crop"] == "query"
    assert listed["street2shop/dresses"]["within_category"] is True
    assert listed["consumer2shop"]["several"] == "photo"
    assert main(["data", "protocol", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PROTOCOLS)
    assert all("crop" in line and "no match: miss" in line for line in lines)


def test_the_help_names_every_protocol() -> None:
    named = set(PROTOCOL_NAMES.replace(" or ", ", ").split(", "))
    expanded = named - {"street2shop/CATEGORY", "lookbench/SUBSET"}
    expanded |= {f"street2shop/{name}" for name in CATEGORIES}
    expanded |= {f"lookbench/{name}" for name in SUBSETS}
    assert expanded == set(PROTOCOLS)


def test_it_needs_a_manifest_and_known_choices(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "protocol"]) == 2
    assert "needs MANIFEST" in capsys.readouterr().err
    assert main(["data", "protocol", str(manifest), "--several", "twice"]) == 2
    assert "--several is row, photo or pair" in capsys.readouterr().err
    assert main(["data", "protocol", str(manifest), "--within-category", "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["protocols"]
    assert "within_category is yes, the protocol's own is no" in part["protocol"]["differs"]
