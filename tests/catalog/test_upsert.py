"""The one way into the catalogue, as `Catalog.update` and `Catalog.sync` go it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.options import IntakeOptions, SyncOptions
from hemline.catalog.intake.update import AttributeChanges, Attributes, ImageUpdate, ItemUpdate
from hemline.data.images import encode_jpeg
from hemline.errors import UsageError
from hemline.runtime.bundle import Bundle
from hemline.runtime.encoder import BundleEncoder


def jpeg(seed: int) -> bytes:
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return encode_jpeg(np.kron(colours, np.ones((16, 16, 1), np.uint8)).astype(np.uint8))


def item(item_id: str, *seeds: int, tags: tuple[str, ...] = (), **columns: Any) -> ItemUpdate:
    images = [ImageUpdate(jpeg(seed)) for seed in seeds] if seeds else None
    return ItemUpdate(item_id, Attributes("dress", tags, columns), images)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.create(tmp_path / "shop", Bundle.open(make_tiny_bundle(tmp_path / "bundle")))


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of images at each call of the shop tower."""
    seen: list[int] = []
    encode = BundleEncoder.encode_shop

    def counting(self: BundleEncoder, images: list, tags: list) -> object:
        seen.append(len(images))
        return encode(self, images, tags)

    monkeypatch.setattr(BundleEncoder, "encode_shop", counting)
    return seen


def statuses(catalog: Catalog, *updates: ItemUpdate) -> list[tuple[str, str, int]]:
    return [(o.item_id, o.status, o.images) for o in catalog.update(updates)]


def copies(catalog: Catalog) -> set[str]:
    assert catalog.images is not None
    return set(catalog.images.names())


def test_stores_and_removals_are_one_commit(catalog: Catalog) -> None:
    assert statuses(catalog, item("a", 1, 2), item("b", 3)) == [
        ("a", "added", 2),
        ("b", "added", 1),
    ]
    revision = catalog.store.revision
    done = statuses(catalog, item("c", 4), ItemUpdate("a", remove=True), item("b", price=2))
    assert done == [("c", "added", 1), ("a", "removed", 2), ("b", "updated", 1)]
    assert catalog.store.revision == revision + 1
    assert {row.item_id for row in catalog.store.rows()} == {"b", "c"}
    assert copies(catalog) == catalog.store.image_digests()
    assert statuses(catalog, item("b", price=2)) == [("b", "unchanged", 1)]
    assert catalog.store.revision == revision + 1


def test_an_item_that_comes_again_sees_what_was_stored(catalog: Catalog) -> None:
    done = statuses(
        catalog, item("a", 1), item("b", 2), item("a", 1, 3), item("a", price=1), item("b", 2)
    )
    assert [status for _, status, _ in done] == [
        "added", "added", "updated", "updated", "unchanged"
    ]  # fmt: skip
    assert catalog.store.counts() == (3, 2)


def test_an_image_is_known_by_its_content(catalog: Catalog, embedded: list[int]) -> None:
    assert statuses(catalog, item("a", 1, 1, 2)) == [("a", "added", 2)]
    names = [row.image_id for row in catalog.store.items(["a"])]
    assert all(name.startswith("a/") and len(name) == 2 + 16 for name in names)
    embedded.clear()
    assert statuses(catalog, item("a", 2, 1)) == [("a", "unchanged", 2)]
    assert embedded == []
    assert statuses(catalog, item("a", 2)) == [("a", "updated", 1)]
    assert [row.image_id for row in catalog.store.items(["a"])] == [names[1]]


def test_a_refused_item_leaves_nothing_behind(catalog: Catalog) -> None:
    bad = ItemUpdate("bad", images=[ImageUpdate(jpeg(1)), ImageUpdate(b"no image")])
    outcomes = catalog.update(
        [item("good", 2), bad, item("x" * 201, 3), item("c", 4, score=1), item("none")]
    )
    assert [o.status for o in outcomes] == ["added", *["refused"] * 4]
    words = ("picture 2: ", "1 to 200", "'score'", "needs a picture")
    assert all(word in o.reason for word, o in zip(words, outcomes[1:], strict=True))
    assert {row.item_id for row in catalog.store.rows()} == {"good"}
    assert copies(catalog) == catalog.store.image_digests()


def test_changes_of_what_is_not_there(catalog: Catalog) -> None:
    changes = AttributeChanges(columns={"price": 1})
    (outcome,) = catalog.update([ItemUpdate("none", changes)])
    assert (outcome.status, outcome.found) == ("unchanged", False)
    (outcome,) = catalog.update([ItemUpdate("none", remove=True)])
    assert (outcome.status, outcome.found) == ("unchanged", False)
    assert catalog.remove(["none"]) == {}


def test_new_tags_embed_the_stored_copy(catalog: Catalog, embedded: list[int]) -> None:
    catalog.update([item("a", 1, tags=("colour=red",))])
    (before,) = catalog.store.items(["a"])
    embedded.clear()
    changes = AttributeChanges(tags=("colour=blue",))
    assert statuses(catalog, ItemUpdate("a", changes)) == [("a", "updated", 1)]
    (after,) = catalog.store.items(["a"])
    assert embedded == [1]
    assert not np.allclose(after.embedding, before.embedding)
    assert (after.image_digest, after.source) == (before.image_digest, before.source)
    path = catalog.image_path(after)
    assert path is not None
    path.unlink()
    (outcome,) = catalog.update([ItemUpdate("a", AttributeChanges(tags=()))])
    assert (outcome.status, outcome.reason) == ("refused", "picture 1: does not exist")


def test_in_memory_the_images_must_be_sent_again(tmp_path: Path) -> None:
    catalog = Catalog.in_memory(Bundle.open(make_tiny_bundle(tmp_path / "bundle")))
    assert statuses(catalog, item("a", 1), item("b", 2)) == [("a", "added", 1), ("b", "added", 1)]
    (outcome,) = catalog.update([item("a", tags=("colour=red",))])
    assert "keeps no pictures" in outcome.reason
    assert statuses(catalog, item("a", 1, tags=("colour=red",))) == [("a", "updated", 1)]
    assert catalog.remove(["a"]) == {"a": 1}


def write_feed(root: Path, images: dict[str, int], **columns: Any) -> Path:
    """A feed of one image for each item; the image's number is its content and its name."""
    rows = []
    for item_id, seed in images.items():
        (root / f"{seed}.jpg").write_bytes(jpeg(seed) if seed >= 0 else b"no image")
        rows.append({"id": item_id, "image_link": f"{seed}.jpg", **columns})
    path = root / "feed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_images_that_change_their_items(
    catalog: Catalog, tmp_path: Path, embedded: list[int]
) -> None:
    """Each moves to an item of an earlier or a later commit; nothing is embedded or removed."""
    count = 6
    catalog.sync(write_feed(tmp_path, {f"i{n}": n for n in range(count)}))
    embedded.clear()
    turned = {f"i{n}": (n + 1) % count for n in range(count)}
    report = catalog.sync(write_feed(tmp_path, turned), SyncOptions(batch=1))
    assert (report.changed, report.images.removed, embedded) == (count, 0, [])
    assert {r.item_id: r.image_id for r in catalog.store.rows()} == {
        item_id: f"{n}.jpg" for item_id, n in turned.items()
    }


def test_an_image_that_can_t_be_read_keeps_the_tags_of_its_vector(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.sync(write_feed(tmp_path, {"a": 1, "b": 2}, tags="colour=red", price=1))
    feed = write_feed(tmp_path, {"a": 1, "b": 2}, tags="colour=blue", price=2)
    (tmp_path / "1.jpg").write_bytes(b"no image")
    report = catalog.sync(feed)
    assert (report.images.embedded, report.images.columns, len(report.images.skipped)) == (1, 1, 1)
    rows = {row.item_id: row for row in catalog.store.rows()}
    assert (rows["a"].tags, rows["b"].tags) == (("colour=red",), ("colour=blue",))
    assert {row.columns["price"] for row in rows.values()} == {2}
    assert catalog.check(deep=True).ok


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "at least 1, not 0 and None"),
        ({"workers": 0}, "at least 1, not 64 and 0"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    for kind in (IntakeOptions, SyncOptions):
        with pytest.raises(UsageError, match=words):
            kind(**options)
    for share in ({"max_bad": 7.0}, {"allow_removals": -1.0}):
        with pytest.raises(UsageError, match="from 0 to 1"):
            SyncOptions(**share)
