"""Each published set's protocol against its rule written slowly, on rows as readers give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.datasets import PROTOCOLS, build
from hemline.datasets import darn as darn_module
from hemline.datasets import siamese as siamese_module
from hemline.errors import DataError, UsageError
from hemline.types import Box, Record


def ids(protocol: Protocol, rows: Sequence[int] | np.ndarray) -> list[str]:
    return [protocol.manifest[int(row)].image_id for row in rows]


def slow(protocol: Protocol, asks: object, answers: object) -> None:
    """Queries and gallery are exactly the rows that the two rules name, in their order."""
    records = list(protocol.manifest)
    assert protocol.queries.tolist() == [n for n, r in enumerate(records) if asks(r)]  # type: ignore[operator]
    assert sorted(protocol.gallery.tolist()) == [n for n, r in enumerate(records) if answers(r)]  # type: ignore[operator]
    for row, right in zip(protocol.queries, protocol.relevant, strict=True):
        assert right == {records[row].item_id}


def splits_of(protocol: Protocol) -> dict[str, set[str]]:
    """The items of each of the protocol's own splits, which share none."""
    parts: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    for record in protocol.partitioned():
        parts[record.split].add(record.item_id)
    assert not parts["train"] & parts["val"]
    assert not parts["train"] & parts["test"]
    assert not parts["val"] & parts["test"]
    return parts


@pytest.fixture
def consumer(tmp_path: Path) -> Manifest:
    """40 items: kinds and splits in turn; two shop pictures and one or two photos each."""
    records = []
    for number in range(40):
        item, split = f"id_{number:08d}", ("train", "val", "test", "test")[number % 4]
        group, category = ("upper", "TOPS/Tee") if number % 5 else ("lower", "TROUSERS/Pants")
        for shot in range(2 + 1 + number % 2):
            shop = shot < 2
            name = f"{category}/{item}/{'shop' if shop else 'comsumer'}_{shot:02d}.jpg"
            records.append(
                Record(
                    name, name, item, "shop" if shop else "street",
                    category=category, box=Box(1, 1, 9, 9), split=split,
                    extra={"group": group, "pairs": 2 if not shop else 1},
                )
            )  # fmt: skip
    return Manifest.from_records(records, tmp_path)


def test_consumer2shop_searches_val_and_test(consumer: Manifest) -> None:
    (made,) = build("consumer2shop", consumer)
    slow(
        made,
        lambda r: r.domain == "street" and r.split == "test",
        lambda r: r.domain == "shop" and r.split in ("val", "test"),
    )
    assert set(made.training().column("split")) == {"train"}
    assert made.crop == "box"
    n, g = len(made.queries), len(made.gallery)
    assert f"{n} of {n} queries, {g} of {g} gallery" in made.choices["crop"]
    assert any(entry.model == "FashionNet" for entry in made.published)


def test_consumer2shop_test_shops_searches_test_only(consumer: Manifest) -> None:
    (made,) = build("consumer2shop-test-shops", consumer)
    slow(
        made,
        lambda r: r.domain == "street" and r.split == "test",
        lambda r: r.domain == "shop" and r.split == "test",
    )


def test_a_photo_counts_once_or_once_for_each_pair(consumer: Manifest) -> None:
    once = build("consumer2shop", consumer)[0]
    pairs = build("consumer2shop", consumer, Choices(several="pair"))[0]
    assert pairs.queries.tolist() == [row for row in once.queries.tolist() for _ in range(2)]
    assert len(pairs.relevant) == 2 * len(once.relevant)
    assert "several is pair, the protocol's own is photo" in pairs.choices["differs"]


def test_rows_of_one_photo_and_box_are_one_query_with_all_their_products(tmp_path: Path) -> None:
    box, other = Box(0, 0, 5, 5), Box(5, 5, 9, 9)
    rows = [
        Record("p", "p.jpg", "a", "street", box=box, split="test"),
        Record("p#2", "p.jpg", "b", "street", box=box, split="test"),
        Record("p#3", "p.jpg", "b", "street", box=other, split="test"),
        Record("s", "s.jpg", "b", "shop", split="test"),
        Record("s#2", "s.jpg", "b", "shop", split="test"),
        Record("t", "t.jpg", "c", "shop", split="val"),
    ]
    (made,) = build("consumer2shop", Manifest.from_records(rows, tmp_path))
    assert made.queries.tolist() == [0, 2]
    assert made.relevant == (frozenset("ab"), frozenset("b"))
    assert made.gallery.tolist() == [3, 5]  # the second row of s.jpg is the same picture again
    assert made.unmatched == 0


def test_upper_takes_one_photo_of_a_seeded_share_of_the_upper_products(consumer: Manifest) -> None:
    (made,) = build("consumer2shop-upper", consumer, Choices(seed=3))
    uppers = {r.item_id for r in consumer if r.extra["group"] == "upper"}
    wanted = round(len(uppers) * 1945 / 19387)
    asked = [consumer[int(row)] for row in made.queries]
    assert len(asked) == len({r.item_id for r in asked}) == wanted
    assert {r.item_id for r in asked} == made.held_out <= uppers
    slow_gallery = [
        n for n, r in enumerate(consumer) if r.domain == "shop" and r.item_id in made.held_out
    ]
    assert made.gallery.tolist() == slow_gallery
    assert (
        f"{len(uppers)} upper products in both domains here, 19,387 published"
        in (made.choices["published_counts"])
    )
    parts = splits_of(made)
    assert parts["test"] == made.held_out
    assert len(parts["val"]) == round(len(uppers) * 1948 / 19387)
    assert parts["train"] == uppers - parts["val"] - parts["test"]
    rows = made.partitioned()
    assert {r.extra["group"] for r in rows} == {"upper"}
    validating = [r.item_id for r in rows if (r.split, r.domain) == ("val", "street")]
    assert len(validating) == len(set(validating)) == len(parts["val"])
    backwards = consumer.select(np.arange(len(consumer))[::-1])
    again = build("consumer2shop-upper", backwards, Choices(seed=3))[0]
    assert sorted(ids(again, again.queries)) == sorted(ids(made, made.queries))
    without = Manifest(consumer.table.drop_columns(["group"]), consumer.root)
    with pytest.raises(DataError, match="needs the column 'group'"):
        build("consumer2shop-upper", without)


def test_the_siamese_report_measures_on_validation(consumer: Manifest) -> None:
    (made,) = build("siamese-val-1k", consumer)
    slow(
        made,
        lambda r: r.domain == "street" and r.split == "val",
        lambda r: r.domain == "shop" and r.split == "val",
    )
    assert {entry.value for entry in made.published} == {0.4, 0.553}
    assert {entry.note for entry in made.published} == {
        "measured on validation; its draw isn't known"
    }
    assert (
        build("siamese-val-10k", consumer)[0]
        .choices["queries"]
        .startswith("all consumer photos of val")
    )


def test_darn_ynet_parts_the_products_and_asks_every_test_photo(tmp_path: Path) -> None:
    rows = [
        Record(f"{domain}{item}.{shot}", f"{domain}{item}.{shot}.jpg", f"i{item:03d}", domain)
        for item in range(104)
        for domain in ("street", "shop")
        for shot in range(1 + item % 3)
        if not (domain == "street" and item >= 100)
    ]
    data = Manifest.from_records(rows, tmp_path)
    (made,) = build("darn-ynet", data, Choices(seed=4))
    slow(
        made,
        lambda r: r.domain == "street" and r.item_id in made.held_out,
        lambda r: r.domain == "shop" and r.item_id in made.held_out,
    )
    parts = splits_of(made)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [80, 10, 10]
    assert parts["test"] == made.held_out
    for record in made.partitioned():  # all rows of a product are in its split
        assert record.item_id in parts[record.split]
    photos = sum(r.domain == "street" for r in rows if r.item_id in parts["val"])
    kept = [r for r in made.partitioned() if (r.split, r.domain) == ("val", "street")]
    assert len(kept) == photos
    assert "10 test products here, 1,309 published" in made.choices["published_counts"]
    assert (
        f"{len(made.queries)} test photos here, 5,966 published" in made.choices["published_counts"]
    )
    assert f"{len(made.gallery)} test shop images here, 23,773" in made.choices["published_counts"]
    assert any(entry.model == "CtxYNIN" and entry.value == 0.242 for entry in made.published)
    backwards = data.select(np.arange(len(data))[::-1])
    assert build("darn-ynet", backwards, Choices(seed=4))[0].held_out == made.held_out
    with pytest.raises(UsageError, match="'darn' draws no train"):
        build("darn", data)[0].partitioned()
    with pytest.raises(DataError, match="'darn-ynet' finds no garment in both domains"):
        build("darn-ynet", data.select(data.column("domain") == "shop"))


def test_siamese_fills_its_gallery_and_every_query_has_an_answer(
    consumer: Manifest,
) -> None:
    small = siamese_module.siamese("siamese-1k", 9, consumer, Choices())[0]
    large = siamese_module.siamese("siamese-10k", 21, consumer, Choices())[0]
    assert (len(small.gallery), len(large.gallery)) == (9, 21)
    assert set(small.gallery.tolist()) < set(large.gallery.tolist())
    for made in (small, large):
        searched = set(ids(made, made.gallery))
        drawn = {r.item_id for r in (consumer[int(row)] for row in made.gallery)}
        slow(
            made,
            lambda r, d=drawn: r.domain == "street" and r.split == "test" and r.item_id in d,
            lambda r, g=searched: r.image_id in g,
        )
        assert made.unmatched == 0
    (whole,) = build("siamese-1k", consumer)
    assert len(whole.gallery) == 40
    assert "40 gallery pictures here, 1,000 published" in whole.choices["published_counts"]


def test_inshop_follows_the_roles_and_tells_by_pose(tmp_path: Path) -> None:
    rows = [
        Record(
            f"{n}", f"{n}.jpg", f"i{n // 3}", "shop", role=role,
            split="train" if role == "" else "test", category="WOMEN/Dresses",
            extra={"pose": "front"},
        )
        for n, role in enumerate(("", "", "", "query", "gallery", "gallery", "query", "gallery"))
    ]  # fmt: skip
    (made,) = build("inshop", Manifest.from_records(rows, tmp_path))
    slow(made, lambda r: r.role == "query", lambda r: r.role == "gallery")
    assert made.slices == ("pose",)
    assert made.crop == "none"
    assert set(made.training().column("split")) == {"train"}
    assert "2 query pictures here, 14,218 published" in made.choices["published_counts"]


@pytest.fixture
def street(tmp_path: Path) -> Manifest:
    rows = []
    for n, (category, split) in enumerate(
        [("dresses", "test"), ("dresses", "train"), ("bags", "test"), ("hats", "train")] * 3
    ):
        item = f"{category}/{n}"
        rows.append(
            Record(f"q{n}", f"q{n}.jpg", item, "street", category, Box(0, 0, 4, 4), split=split)
        )
        shop_split = "train" if split == "train" else ""
        rows.append(Record(f"s{n}", f"s{n}.jpg", item, "shop", category, split=shop_split))
    return Manifest.from_records(rows, tmp_path)


def test_street2shop_stays_within_its_category(street: Manifest) -> None:
    (made,) = build("street2shop/dresses", street)
    slow(
        made,
        lambda r: r.domain == "street" and r.split == "test" and r.category == "dresses",
        lambda r: r.domain == "shop" and r.category == "dresses",
    )
    assert (made.crop, made.within_category) == ("query", True)
    assert "3 of 3 queries" in made.choices["crop"]
    (wide,) = build("street2shop/dresses", street, Choices(within_category=False))
    assert len(wide.gallery) == 12
    assert "within_category is no" in wide.choices["differs"]
    with pytest.raises(DataError, match="street photos of test, hats"):
        build("street2shop/hats", street)
    with pytest.raises(UsageError, match="Did you mean 'street2shop/dresses'"):
        build("street2shop/dress", street)


def test_street2shop_sets_are_parts_and_name_what_is_missing(street: Manifest) -> None:
    every = build("street2shop/all", street)
    assert [part.name for part in every] == ["street2shop/bags", "street2shop/dresses"]
    assert every[0].group is not None
    assert (
        "2 of 11 categories: bags, dresses; not here: belts"
        in (every[0].group.choices["categories"])
    )
    six = build("street2shop/ahbn", street)
    assert [part.name for part in six] == ["street2shop/dresses"]
    with pytest.raises(DataError, match="finds no category"):
        build("street2shop/all", street.select(street.column("category") == "hats"))
    meant = PROTOCOLS["street2shop/ahbn"].made_for  # a recipe for it keeps these queries out
    assert meant is not None
    assert meant(street)
    assert not meant(street.select(street.column("split") != "test"))
    assert not meant(street.select(street.column("category") == "bags"))
    assert not meant(street.with_column("item_id", [f"i{n}" for n in range(len(street))]))


def test_darn_draws_pairs_and_galleries_of_several_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Record(f"{domain}{item}{shot}", f"{domain}{item}{shot}.jpg", f"i{item}", domain)
        for item in range(30)
        for domain in ("street", "shop")
        for shot in range(2)
        if not (domain == "street" and item >= 20)
    ]
    data = Manifest.from_records(rows, tmp_path)
    (made,) = build("darn", data)
    # Of twenty items in both domains half are asked for, so that half remain to train on.
    assert (len(made.queries), len(made.gallery), made.gallery_sizes) == (10, 60, ())
    assert not made.disjoint_gallery  # nothing would remain
    assert made.choices["published_counts"] == (
        "10 queries here, 1,717 published; 60 gallery pictures here, 200,000 published"
    )
    monkeypatch.setattr(darn_module, "QUERIES", 5)
    monkeypatch.setattr(darn_module, "GALLERY", 40)
    monkeypatch.setattr(darn_module, "GALLERY_SIZES", (8, 15, 30))
    (made,) = build("darn", data, Choices(seed=2))
    asked = [data[int(row)] for row in made.queries]
    assert {r.domain for r in asked} == {"street"}
    assert len({r.item_id for r in asked}) == 5
    own = {r.item_id for r in asked}
    first = [data[int(row)] for row in made.gallery]
    assert len(first) == len(set(made.gallery.tolist())) == 40
    assert {r.item_id for r in first[:10]} == own  # both pictures of each of the five
    assert all(r.domain == "shop" for r in first)
    assert not {r.item_id for r in first[10:]} & own
    assert made.gallery_sizes == (15, 30)  # 8 pictures couldn't hold every answer
    assert made.unmatched == 0
    monkeypatch.setattr(darn_module, "GALLERY", 30)  # the paper's 200,000 are less than half, too
    apart = build("darn", data, Choices(seed=2))[0]
    assert apart.disjoint_gallery
    left = set(apart.training().column("image_id").tolist())
    assert not left & set(ids(apart, apart.gallery))
    assert len(left) == 20 * 2 - 5 * 2 + 60 - 30
    monkeypatch.setattr(darn_module, "GALLERY", 40)
    backwards = data.select(np.arange(len(data))[::-1])
    again = build("darn", backwards, Choices(seed=2))[0]
    assert ids(again, again.gallery) == ids(made, made.gallery)


def test_deepfashion2_never_asks_nor_matches_style_0(tmp_path: Path) -> None:
    rows = [
        Record("u1", "u1.jpg", "7/1", "street", "skirt", Box(0, 0, 4, 4), split="val"),
        Record("u0", "u0.jpg", "7/0", "street", "skirt", Box(0, 0, 4, 4), split="val"),
        Record("u10", "u10.jpg", "7/10", "street", "skirt", Box(0, 0, 4, 4), split="val"),
        Record("t", "t.jpg", "8/1", "street", "skirt", Box(0, 0, 4, 4), split="train"),
        Record("s1", "s1.jpg", "7/1", "shop", "skirt", Box(0, 0, 4, 4), split="val"),
        Record("s0", "s0.jpg", "7/0", "shop", "skirt", Box(0, 0, 4, 4), split="val"),
        Record("st", "st.jpg", "8/1", "shop", "skirt", Box(0, 0, 4, 4), split="train"),
    ]
    (made,) = build("deepfashion2", Manifest.from_records(rows, tmp_path))
    slow(
        made,
        lambda r: r.image_id in ("u1", "u10"),
        lambda r: r.domain == "shop" and r.split == "val",
    )
    assert made.unmatched == 1


def test_grocery_coarse_takes_any_product_of_the_class(tmp_path: Path) -> None:
    kinds = {"gala": "apple", "fuji": "apple", "lime": "citrus"}
    rows = [Record(f"s{i}", f"s{i}.jpg", i, "shop", kinds[i]) for i in kinds]
    rows += [Record(f"p{i}", f"p{i}.jpg", i, "street", kinds[i], split="val") for i in kinds]
    data = Manifest.from_records(rows, tmp_path)
    (made,) = build("grocery-coarse", data)
    assert made.relevant == (
        frozenset({"gala", "fuji"}),
        frozenset({"gala", "fuji"}),
        frozenset({"lime"}),
    )
    assert "any product of the photo's coarse class, 2 classes" in made.choices["relevance"]
    bare = data.with_column("category", ["", *data.column("category")[1:]])
    with pytest.raises(DataError, match="1 rows have no category"):
        build("grocery-coarse", bare)
