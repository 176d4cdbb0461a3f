from __future__ import annotations

import json
from pathlib import Path

import pytest

from hemline.bundle import BundleInfo, read_info, verify, write_info
from hemline.data.preprocess import Preprocessing
from hemline.errors import BundleError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "street.onnx").write_bytes(b"street graph")
    (tmp_path / "shop.onnx").write_bytes(b"shop graph")
    info = BundleInfo(
        name="ynet",
        embedding_dim=4,
        preprocessing=Preprocessing(size=32),
        vocabulary=("color=red",),
        graphs={"street": "street.onnx", "shop": "shop.onnx"},
    )
    write_info(tmp_path, info)
    return tmp_path


def test_it_reads_what_it_wrote(bundle: Path) -> None:
    info = read_info(bundle)
    assert info.name == "ynet"
    assert info.vocabulary == ("color=red",)
    assert len(info.fingerprint) == 32
    verify(bundle, info)


def test_the_fingerprint_holds_the_graphs_and_all_that_changes_an_embedding(bundle: Path) -> None:
    info = read_info(bundle)
    for change in (
        {"preprocessing": Preprocessing(size=64)},
        {"preprocessing": Preprocessing(size=32, street_mean=(0.1, 0.5, 0.5))},
        {"vocabulary": ("color=blue",)},
    ):
        assert write_info(bundle, info.model_copy(update=change)).fingerprint != info.fingerprint
    same = write_info(bundle, info.model_copy(update={"summary": "other words"}))
    assert same.fingerprint == info.fingerprint
    (bundle / "street.onnx").write_bytes(b"another graph")
    with pytest.raises(BundleError, match="not those it was written with"):
        verify(bundle, info)


def test_another_format_version_is_refused(bundle: Path) -> None:
    raw = json.loads((bundle / "bundle.json").read_text())
    raw["format_version"] = 99
    (bundle / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match="format version 99, this hemline reads 1"):
        read_info(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_rubbish_is_no_bundle(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError):
        read_info(bundle)


def test_a_folder_without_bundle_and_a_bundle_without_graph(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        read_info(tmp_path / "nothing")
    (bundle / "shop.onnx").unlink()
    with pytest.raises(BundleError, match="lacks shop.onnx"):
        read_info(bundle)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "names no format_version"),
        ("{}", "names no format_version"),
        ("", "can't be read"),
    ],
)
def test_what_is_no_description_is_refused(bundle: Path, text: str, message: str) -> None:
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=message):
        read_info(bundle)


def test_a_graph_outside_the_folder_is_refused(bundle: Path) -> None:
    raw = json.loads((bundle / "bundle.json").read_text())
    raw["graphs"]["street"] = "../street.onnx"
    (bundle / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match="a graph is a file of the bundle's folder"):
        read_info(bundle)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"embedding_dim": ', '"embedding_dim": 1', "is damaged: its checksum"),
        ('"name"', '"name": ' + "[" * 100_000 + ', "name"', "can't be read.*nested too deeply"),
    ],
)
def test_a_damaged_description_is_refused(bundle: Path, old: str, new: str, message: str) -> None:
    path = bundle / "bundle.json"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BundleError, match=message):
        read_info(bundle)


def test_a_description_without_a_checksum_is_read(bundle: Path) -> None:
    path = bundle / "bundle.json"
    raw = json.loads(path.read_text())
    assert raw.pop("checksum")
    info = read_info(bundle)
    path.write_text(json.dumps(raw))
    assert read_info(bundle) == info
