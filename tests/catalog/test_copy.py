"""`catalog copy`: a catalogue moves to another store, goes on after a kill, and is verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hemline.catalog.maintenance.copy as copy_module
from helpers import milvus
from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.maintenance.copy import checksum
from hemline.cli import main
from hemline.errors import CatalogError
from hemline.runtime.bundle import Bundle


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(copy_module.copy, "__defaults__", (5,))  # rows in a commit
    made = Catalog.create("shop", Bundle.open(make_tiny_bundle(tmp_path / "bundle")))
    made.add(manifest(tmp_path / "data", 20))
    return made


def run(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["catalog", "copy", *args, "--json"]) == code
    text = capsys.readouterr().out
    return json.loads(text) if text else {}


def assert_equal(source: Catalog, place: str) -> None:
    with Catalog.open(place) as copied:
        assert checksum(copied.store) == checksum(source.store)
        assert copied.store.image_digests() == source.store.image_digests()
        assert copied.check(deep=True).ok


def test_a_copy_is_equal_and_is_brought_up_to_date(
    shop: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(capsys, "shop", "copy")
    assert (first["copied"], first["there"], first["images"]) == (20, 0, 20)
    assert_equal(shop, "copy")
    item = next(iter(shop.store.row_keys())).item_id
    gone = sum(shop.remove([item]).values())
    again = run(capsys, "shop", "copy")
    assert (again["copied"], again["there"], again["removed"]) == (0, 20 - gone, gone)
    assert_equal(shop, "copy")


def test_a_copy_goes_on_after_a_kill(
    shop: Catalog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = copy_module._changed, 0

    def killed(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(copy_module, "_changed", killed)
    target = Catalog.create("copy", shop.bundle)
    with pytest.raises(KeyboardInterrupt):
        shop.copy_to(target)
    target.close()
    found = run(capsys, "shop", "copy")
    assert (found["copied"], found["there"]) == (10, 10)
    assert_equal(shop, "copy")


def test_a_copy_that_differs_is_told(shop: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(rows: Any, known: Any) -> Any:
        return list(rows)[1:]

    monkeypatch.setattr(copy_module, "_changed", forgetful)
    with (
        Catalog.create("copy", shop.bundle) as target,
        pytest.raises(CatalogError, match="16 rows"),
    ):
        shop.copy_to(target)


def test_another_bundle_and_itself_are_refused(shop: Catalog, tmp_path: Path) -> None:
    other = Bundle.open(make_tiny_bundle(tmp_path / "other", seed=9))
    with (
        Catalog.create("copy", other) as target,
        pytest.raises(CatalogError, match="fingerprint"),
    ):
        shop.copy_to(target)
    with pytest.raises(CatalogError, match="itself"):
        shop.copy_to(Catalog.open("shop"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lite", "server"])
def test_to_milvus_and_back(shop: Catalog, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    milvus.needed()
    address = "milvus-lite:far.db" if kind == "lite" else milvus.server().address()
    there = run(capsys, "shop", address, "--folder", "far")
    assert (there["copied"], there["images"]) == (20, 20)
    assert run(capsys, "shop", address, "--folder", "far")["there"] == 20
    assert_equal(shop, "far")
    back = run(capsys, "far", "back")
    assert back["checksum"] == there["checksum"]
    assert_equal(shop, "back")
