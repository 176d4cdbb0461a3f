from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hemline.runtime.bundle as module
from helpers.tiny_bundle import make_tiny_bundle
from hemline.bundle import INFO_FILE, read_info, write_info
from hemline.data.preprocess import Preprocessing
from hemline.errors import BundleError, UsageError
from hemline.runtime.bundle import Bundle, shipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_bundle(tmp_path / "bundle")


def test_opens_and_keeps_its_sessions(folder: Path) -> None:
    bundle = Bundle.open(folder)
    assert bundle.info.name == "tiny"
    assert bundle.fingerprint == read_info(folder).fingerprint
    assert bundle.session("shop", 1) is bundle.session("shop", 1)
    assert bundle.session("shop", 1) is not bundle.session("shop", 2)


def test_another_format_version_is_refused(folder: Path) -> None:
    raw = json.loads((folder / INFO_FILE).read_text())
    raw["format_version"] = 99
    (folder / INFO_FILE).write_text(json.dumps(raw))
    with pytest.raises(BundleError, match="format version 99"):
        Bundle.open(folder)


def test_a_missing_graph_is_named(folder: Path) -> None:
    (folder / "shop.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks shop\.onnx"):
        Bundle.open(folder)


def test_a_changed_graph_is_noticed(folder: Path) -> None:
    with (folder / "street.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match="not those it was written with"):
        Bundle.open(folder)


def test_a_damaged_graph_with_a_right_fingerprint_is_one_clear_error(folder: Path) -> None:
    (folder / "street.onnx").write_bytes(b"no graph at all")
    write_info(folder, read_info(folder))
    bundle = Bundle.open(folder)
    with pytest.raises(BundleError, match="street graph .* can't be loaded") as caught:
        bundle.session("street")
    assert "\n" not in str(caught.value)


def test_a_graph_that_speaks_something_else_is_refused(folder: Path) -> None:
    (folder / "shop.onnx").write_bytes((folder / "rerank.onnx").read_bytes())
    write_info(folder, read_info(folder))
    with pytest.raises(BundleError, match="lacks embedding, images, norm"):
        Bundle.open(folder).session("shop")


def test_no_such_bundle_or_graph(folder: Path) -> None:
    with pytest.raises(BundleError, match="neither a folder nor a shipped name"):
        Bundle.open("no-such-thing")
    with pytest.raises(UsageError, match="no detector graph; it has rerank, shop, street"):
        Bundle.open(folder).session("detector")


def test_copies_are_whole_and_never_overwrite(folder: Path, tmp_path: Path) -> None:
    copy = Bundle.open(folder).copy_to(tmp_path / "shelf" / "copy")
    assert Bundle.open(copy.folder).fingerprint == read_info(folder).fingerprint
    assert [p.name for p in (tmp_path / "shelf").iterdir()] == ["copy"]
    with pytest.raises(UsageError, match="already there"):
        Bundle.open(folder).copy_to(tmp_path / "shelf" / "copy")


def test_a_shipped_bundle_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shipped_root", lambda: tmp_path / "bundles")
    with pytest.raises(BundleError, match="none is shipped"):
        Bundle.default()
    make_tiny_bundle(tmp_path / "bundles" / "small")
    assert shipped() == ("small",)
    assert Bundle.open("small").folder == tmp_path / "bundles" / "small"
    assert Bundle.default().info.name == "tiny"
    make_tiny_bundle(tmp_path / "bundles" / "other", seed=1)
    with pytest.raises(BundleError, match="several are shipped"):
        Bundle.default()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embedding_dim": 9}, r"embedding \(B, 8\)"),
        ({"vocabulary": ("a=b",)}, r"tags \(B, 3\)"),
        ({"preprocessing": Preprocessing(size=32)}, r"images \(B, 3, 16, 16\)"),
    ],
)
def test_a_graph_of_other_shapes_than_described_is_refused(
    folder: Path, change: dict[str, Any], words: str
) -> None:
    write_info(folder, read_info(folder).model_copy(update=change))
    with pytest.raises(BundleError, match=words):
        Bundle.open(folder).session("shop")


def test_the_old_name_of_the_bundle_that_ships_still_opens_it() -> None:
    with pytest.warns(FutureWarning, match="'atelier' is now called 'hemline-small'"):
        assert Bundle.open("atelier").fingerprint == Bundle.default().fingerprint


@pytest.mark.parametrize("kind", ["outside", "loop", "fifo", "folder"])
def test_a_hostile_bundle_copies_nothing_of_ours(tmp_path: Path, kind: str) -> None:
    folder = make_tiny_bundle(tmp_path / "hostile")
    (tmp_path / "secret").write_text("ours")
    odd = folder / "README.md"
    if kind == "outside":
        odd.symlink_to(tmp_path / "secret")
    elif kind == "loop":
        odd.symlink_to(odd)
    elif kind == "fifo":
        os.mkfifo(odd)
    else:
        odd.symlink_to(tmp_path)
    bundle = Bundle.open(folder)
    if kind == "folder":
        bundle.copy_to(tmp_path / "copy")
        assert not (tmp_path / "copy/README.md").exists()
    else:
        with pytest.raises(BundleError, match=r"README\.md"):
            bundle.copy_to(tmp_path / "copy")
        assert not (tmp_path / "copy").exists()


def test_a_link_within_a_bundle_is_copied_as_a_file(tmp_path: Path) -> None:
    folder = make_tiny_bundle(tmp_path / "bundle")
    (folder / "again.onnx").symlink_to("shop.onnx")
    copy = Bundle.open(folder).copy_to(tmp_path / "copy").folder
    assert not (copy / "again.onnx").is_symlink()
    assert (copy / "again.onnx").read_bytes() == (folder / "shop.onnx").read_bytes()


def test_the_runtime_writes_no_telemetry(tmp_path: Path) -> None:
    """ONNX Runtime 1.31 keeps a device's number in the user's cache, and would send events."""
    make_tiny_bundle(tmp_path / "bundle")
    script = f"import hemline; hemline.Bundle.open({str(tmp_path / 'bundle')!r}).session('shop', 1)"
    home = tmp_path / "home"
    home.mkdir()
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG"))
    }
    subprocess.run([sys.executable, "-c", script], env={**own, "HOME": str(home)}, check=True)
    assert list(home.rglob("*")) == []
