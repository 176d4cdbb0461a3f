"""A model that was trained on what it is measured with is refused, or says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.made_up_sets import made_up_consumer2shop, made_up_darn
from helpers.tiny_bundle import make_tiny_bundle
from hemline.bundle import read_info, write_info
from hemline.cli import main
from hemline.data.manifest import Manifest
from hemline.data.protocol import Protocol
from hemline.data.seen import SEEN_FILE, Seen
from hemline.datasets import build
from hemline.errors import DataError, UsageError
from hemline.evaluation.api import evaluate
from hemline.evaluation.leaks import compare
from hemline.evaluation.model import open_encoder

NONE = np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def darn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_darn(tmp_path_factory.mktemp("darn"))


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_consumer2shop(tmp_path_factory.mktemp("c2s"))


def trained(recipe: str, manifest: Path, run: Path, *more: str) -> Path:
    words = ["--scale", "smoke", "threads=1", "stages.all.epochs=1", *more]
    assert main(["train", recipe, str(manifest), "-o", str(run), *words, "--json"]) == 0
    return run


def asked(
    capsys: pytest.CaptureFixture[str], model: Path, manifest: Path, *words: str
) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["evaluate", str(model), str(manifest), *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def bundle_of(folder: Path, seen: Seen) -> Path:
    """A bundle with the record of a training."""
    make_tiny_bundle(folder, tags=False, reranks=False)
    seen.write(folder)
    info = read_info(folder)
    write_info(folder, info.model_copy(update={"training": {"seen": seen.described()}}))
    return folder


@pytest.mark.learn
def test_darn_trained_on_its_queries_is_refused_and_by_its_recipe_accepted(
    darn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = trained("darn", darn, tmp_path / "wrong", "data.protocols=[]")
    code, _, why = asked(capsys, wrong, darn, "--protocol", "darn")
    assert code == 2
    assert "was trained on" in why
    assert "of the 12 queries of protocol darn" in why
    assert "--allow-leak" in why

    code, out, _ = asked(capsys, wrong, darn, "--protocol", "darn", "--allow-leak", "--json")
    result = json.loads(out)
    overlap = result["training_overlap"]
    assert code == 0
    assert overlap["allowed"] is True
    assert overlap["queries"] >= 8  # less those of validation
    assert overlap["says"].startswith("LEAK")
    assert result["protocol"]["trained_on"] == overlap["says"]
    assert "not so for this model" in result["protocol"]["items"]
    sheet = tmp_path / "errors.html"
    code, out, _ = asked(
        capsys, wrong, darn, "--protocol", "darn", "--allow-leak", "--errors", str(sheet)
    )
    assert out.index("LEAK") < out.index("recall@1")
    assert "LEAK" in sheet.read_text(encoding="utf-8")

    right = trained("darn", darn, tmp_path / "right")
    code, out, _ = asked(capsys, right, darn, "--protocol", "darn", "--json")
    assert code == 0
    overlap = json.loads(out)["training_overlap"]
    assert (overlap["queries"], overlap["record"], overlap["allowed"]) == (0, "complete", False)
    assert overlap["gallery"] == overlap["distractors"] > 0  # the data is small: too few remain
    unseen = json.loads(out)["without_trained_distractors"]
    assert unseen["recall@1"] >= json.loads(out)["recall@1"]
    with pytest.raises(UsageError, match="was trained on"):  # the other model is checked, too
        evaluate(str(right), darn, "darn", against=[str(wrong)])


@pytest.mark.learn
def test_consumer2shop_upper_trained_on_its_products_is_refused_by_the_official_split_too(
    consumer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = trained("ynet", consumer, tmp_path / "wrong", "data.protocols=[]")
    code, _, why = asked(capsys, wrong, consumer, "--protocol", "consumer2shop-upper")
    assert code == 2
    assert "data.keep_out.protocol=consumer2shop-upper" in why
    code, out, _ = asked(capsys, wrong, consumer, "--protocol", "consumer2shop", "--json")
    assert code == 0  # the official split is kept by the manifest
    assert json.loads(out)["training_overlap"]["queries"] == 0

    right = trained("ynet", consumer, tmp_path / "right")
    code, out, _ = asked(capsys, right, consumer, "--protocol", "consumer2shop-upper", "--json")
    assert code == 0
    overlap = json.loads(out)["training_overlap"]
    assert (overlap["queries"], overlap["gallery"], overlap["record"]) == (0, 0, "complete")


def protocol_of(manifest: Path, name: str = "darn") -> tuple[Manifest, Protocol]:
    rows = Manifest.read(manifest)
    return rows, build(name, rows)[0]


def test_a_bundle_is_checked_as_its_run(darn: Path, tmp_path: Path) -> None:
    rows, protocol = protocol_of(darn)
    seen = Seen.of(rows, np.arange(len(rows)), NONE)
    bundle = bundle_of(tmp_path / "bundle", seen)
    with pytest.raises(UsageError, match="was trained on 12 of the 12 queries"):
        evaluate(bundle, rows, "darn")
    result = evaluate(bundle, rows, "darn", allow_leak=True)
    assert result["training_overlap"]["query_items"] == 12
    assert result["training_overlap"]["gallery"] == len(protocol.gallery)

    (bundle / SEEN_FILE).write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"seen\.npz"):
        evaluate(bundle, rows, "darn")
    Seen.of(rows, NONE, NONE).write(bundle)  # another model's record
    with pytest.raises(DataError, match="isn't the record"):
        evaluate(bundle, rows, "darn")
    (bundle / SEEN_FILE).unlink()
    with pytest.raises(DataError, match="can't be read"):
        evaluate(bundle, rows, "darn")


def test_other_photos_of_a_querys_product_are_a_leak_where_it_is_kept_out(
    darn: Path, tmp_path: Path
) -> None:
    rows, protocol = protocol_of(darn)
    others = np.setdiff1d(np.arange(len(rows)), [*protocol.queries, *protocol.gallery])
    overlap, _ = compare(Seen.of(rows, others, NONE), protocol)
    assert (overlap.queries, overlap.query_images, overlap.query_items) == (12, 0, 12)
    free, _ = compare(Seen.of(rows, others, NONE), build("default", rows)[0])
    assert free.query_items == 0  # a protocol that keeps no product out
    assert free.queries == len(others)  # but of its queries these photos were trained on


def test_a_query_photo_under_another_path_and_item_is_a_leak(darn: Path, tmp_path: Path) -> None:
    rows, protocol = protocol_of(darn)
    row = int(protocol.queries[0])
    shutil.copy(rows.file(row), tmp_path / "renamed.jpg")
    table = rows.select([row]).with_column("path", [str(tmp_path / "renamed.jpg")])
    copy = table.with_column("item_id", ["another"])
    overlap, _ = compare(Seen.of(copy, np.array([0]), NONE), protocol)
    assert (overlap.queries, overlap.query_images) == (1, 1)


def test_equal_ids_of_other_data_are_told_but_are_no_leak(darn: Path) -> None:
    _, protocol = protocol_of(darn)
    ids = Seen.of_sources(sorted(protocol.held_out), [])
    overlap, _ = compare(ids, protocol)
    assert (overlap.queries, overlap.query_ids) == (0, 12)
    assert "no image confirms" in overlap.as_json()["says"]
    assert compare(None, protocol)[0].as_json()["says"].startswith("not checked")


def test_photos_that_chose_the_epoch_are_told(darn: Path) -> None:
    rows, protocol = protocol_of(darn)
    overlap, _ = compare(Seen.of(rows, NONE, protocol.queries), protocol)
    assert (overlap.queries, overlap.validation) == (0, 12)
    assert "chose the epoch" in overlap.as_json()["says"]


@pytest.mark.learn
def test_a_run_takes_over_the_record_of_what_it_starts_from(
    consumer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = trained("ynet", consumer, tmp_path / "first", "data.protocols=[]")
    next_run = trained("ynet", consumer, tmp_path / "next", f"start={first}")
    assert asked(capsys, next_run, consumer, "--protocol", "consumer2shop-upper")[0] == 2
    info: dict[str, Any] = json.loads((next_run / "run.json").read_text(encoding="utf-8"))
    assert info["started_from"] == "the run first"
    before = json.loads((first / "run.json").read_text(encoding="utf-8"))
    assert before["started_from"] == "random weights"
    encoder: Any = open_encoder(str(next_run))
    assert info["data"]["seen"]["digest"] == encoder.seen.digest == encoder.run.state["seen"]
    shutil.rmtree(first)  # what a run saw goes with it
    assert asked(capsys, next_run, consumer, "--protocol", "consumer2shop-upper")[0] == 2
