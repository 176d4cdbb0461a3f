"""What the shop's people see of their catalogue: counts of now, files counted beside."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hemline.catalog.catalog import Catalog
from hemline.service.sizes import Sizes


@pytest.fixture
def catalog(shop: Path) -> Any:
    with Catalog.open(shop) as opened:
        yield opened


def test_a_small_catalogue_is_counted_at_once(catalog: Catalog) -> None:
    told = Sizes(catalog).stats()
    assert (told["items"], told["pictures"]) == (6, 12)
    assert told["copies_bytes"] == catalog.stats()["copies_bytes"] > 0
    assert "catalog" not in told, "no path"


def test_long_counting_holds_nobody_up(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    free, asked = threading.Event(), []
    count = catalog.stats

    def slow() -> dict[str, Any]:
        asked.append(1)
        free.wait(20)
        return count()

    monkeypatch.setattr(catalog, "stats", slow)
    monkeypatch.setattr("hemline.service.sizes._PATIENCE", 0.01)
    monkeypatch.setattr("hemline.service.sizes._REST", 0.0)
    monkeypatch.setattr("hemline.service.sizes._SHARE", 1e9)
    sizes = Sizes(catalog)
    begun = time.monotonic()
    for _ in range(20):
        assert sizes.stats() == {"items": 6, "pictures": 12, "revision": catalog.store.revision}
    assert time.monotonic() - begun < 5
    catalog.remove(["item0"])
    assert sizes.stats()["items"] == 5, "of now, though the files aren't counted yet"
    assert len(asked) == 1, "one count at a time"
    free.set()
    for _ in range(400):
        if sizes.stats().get("copies_bytes") == count()["copies_bytes"] and len(asked) == 2:
            break
        time.sleep(0.01)
    assert len(asked) == 2, "once more for what has changed, and then no more"
    assert sizes.stats()["copies_bytes"] == count()["copies_bytes"]


def test_a_count_that_fails_is_tried_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hemline.errors import CatalogError

    whole = catalog.stats

    def broken() -> dict[str, Any]:
        raise CatalogError("in between")

    monkeypatch.setattr("hemline.service.sizes._REST", 0.0)
    monkeypatch.setattr("hemline.service.sizes._SHARE", 1e9)
    monkeypatch.setattr(catalog, "stats", broken)
    sizes = Sizes(catalog)
    assert "copies_bytes" not in sizes.stats()
    monkeypatch.setattr(catalog, "stats", whole)
    for _ in range(400):
        if "copies_bytes" in sizes.stats():
            return
        time.sleep(0.01)
    raise AssertionError("never counted")
