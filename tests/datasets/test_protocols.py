from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from helpers import needs
from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices
from hemline.datasets import build
from hemline.datasets.grocery import folds
from hemline.errors import DataError, UsageError
from hemline.types import Record


def manifest(
    rows: list[tuple[str, str, str]], tmp_path: Path, roles: dict[int, str] | None = None
) -> Manifest:
    """Rows of (item, domain, split)."""
    return Manifest.from_records(
        [
            Record(f"{n}", f"{n}.jpg", item, domain, split=split, role=(roles or {}).get(n, ""))  # type: ignore[arg-type]
            for n, (item, domain, split) in enumerate(rows)
        ],
        tmp_path,
    )


def test_default_takes_test_before_val_and_the_shop_rows_of_no_split(tmp_path: Path) -> None:
    rows = [
        ("a", "street", "test"),
        ("a", "shop", ""),
        ("b", "street", "val"),
        ("b", "shop", "val"),
        ("c", "street", "train"),
        ("c", "shop", "test"),
    ]
    found = build("default", manifest(rows, tmp_path))[0]
    assert found.queries.tolist() == [0]
    assert found.gallery.tolist() == [1, 5]
    assert found.relevant == (frozenset({"a"}),)
    without_test = build("default", manifest(rows[1:5], tmp_path))[0]
    assert without_test.queries.tolist() == [1]
    assert without_test.gallery.tolist() == [0, 2]


def test_default_follows_the_role_where_there_is_one(tmp_path: Path) -> None:
    rows = [("a", "shop", "test"), ("a", "shop", "test")]
    found = build("default", manifest(rows, tmp_path, {0: "query"}))[0]
    assert (found.queries.tolist(), found.gallery.tolist()) == ([0], [1])


def test_default_without_any_split_uses_every_row(tmp_path: Path) -> None:
    found = build("default", manifest([("a", "street", ""), ("a", "shop", "")], tmp_path))[0]
    assert (found.queries.tolist(), found.gallery.tolist()) == ([0], [1])


def test_no_query_says_what_there_is_instead(tmp_path: Path) -> None:
    only_train = manifest([("a", "street", "train"), ("a", "shop", "train")], tmp_path)
    with pytest.raises(DataError, match=r"finds no query.*1 of split train, gallery"):
        build("default", only_train)
    no_shop = manifest([("a", "street", "test")], tmp_path)
    with pytest.raises(DataError, match="finds no gallery row"):
        build("default", no_shop)


def test_a_query_without_a_match_is_counted_or_dropped(tmp_path: Path) -> None:
    data = manifest(
        [("a", "street", "test"), ("z", "street", "test"), ("a", "shop", "test")], tmp_path
    )
    kept = build("default", data)[0]
    assert (len(kept.queries), kept.unmatched) == (2, 1)
    dropped = build("default", data, Choices(unmatched="drop"))[0]
    assert (dropped.queries.tolist(), dropped.unmatched) == ([0], 1)
    assert "dropped" in dropped.choices["unmatched"]


def test_two_garments_of_one_photo_ask_twice(tmp_path: Path) -> None:
    data = Manifest.from_records(
        [
            Record("p.jpg", "p.jpg", "a", "street", split="test"),
            Record("p.jpg#2", "p.jpg", "b", "street", split="test"),
            Record("s", "s.jpg", "a", "shop", split="test"),
            Record("t", "t.jpg", "b", "shop", split="test"),
        ],
        tmp_path,
    )
    found = build("default", data)[0]
    assert found.relevant == (frozenset({"a"}), frozenset({"b"}))


def test_synthetic_refuses_products_that_were_seen(tmp_path: Path) -> None:
    rows = [("a", "street", "test"), ("a", "shop", "test"), ("b", "shop", "train")]
    found = build("synthetic", manifest(rows, tmp_path))[0]
    assert (found.queries.tolist(), found.gallery.tolist()) == ([0], [1])
    assert found.held_out == {"a"}
    with pytest.raises(DataError, match="'a'"):
        build("synthetic", manifest([*rows, ("a", "street", "train")], tmp_path))


def test_the_old_name_of_synthetic_works_and_warns(tmp_path: Path) -> None:
    rows = [("a", "street", "test"), ("a", "shop", "test")]
    with pytest.warns(FutureWarning, match="'atelier' is now called 'synthetic'"):
        found = build("atelier", manifest(rows, tmp_path))[0]
    assert found.name == "synthetic"


def test_holdout_keeps_items_apart_and_is_seeded(tmp_path: Path) -> None:
    rows = [(f"i{n:02d}", domain, "") for n in range(30) for domain in ("street", "shop")]
    data = manifest(rows, tmp_path)
    one, same, other = (build("holdout", data, Choices(seed=s))[0] for s in (1, 1, 2))
    assert len(one.held_out) == 6
    assert one.held_out == same.held_out != other.held_out
    left = one.training()
    assert not set(left.column("item_id")) & one.held_out
    assert len(left) == 48
    assert len(one.gallery) == 30
    reordered = data.select(np.arange(len(data))[::-1])
    assert build("holdout", reordered, Choices(seed=1))[0].held_out == one.held_out
    with pytest.raises(UsageError, match="between 0 and 1"):
        build("holdout", data, Choices(share=1.0))


def grocery(tmp_path: Path) -> Manifest:
    names = sorted(frozenset().union(*folds()))
    rows = [(name, "shop", "") for name in names]
    rows += [(name, "street", "train") for name in names] * 2
    rows += [(name, "street", "val") for name in names]
    return manifest(rows, tmp_path)


def test_the_committed_folds_part_the_81_products() -> None:
    assert [len(fold) for fold in folds()] == [17, 16, 16, 16, 16]
    assert len(frozenset().union(*folds())) == 81
    assert {"Pink-Lady", "Kaiser"} <= folds()[0]


def test_grocery_asks_val_of_all_shop_pictures(tmp_path: Path) -> None:
    data = grocery(tmp_path)
    found = build("grocery", data)[0]
    assert (len(found.queries), len(found.gallery)) == (81, 81)
    assert set(data.column("split")[found.queries]) == {"val"}
    assert not found.held_out


def test_grocery_folds_ask_every_photo_once_and_keep_the_products_out(tmp_path: Path) -> None:
    data = grocery(tmp_path)
    found = build("grocery-folds", data)
    assert len(found) == 5
    asked = np.concatenate([fold.queries for fold in found])
    assert sorted(asked.tolist()) == list(range(81, 324))
    for fold in found:
        assert len(fold.gallery) == 81
        left = fold.training()
        assert not set(left.column("item_id")) & fold.held_out
        assert len(left) == 4 * (81 - len(fold.held_out))
    one = build("grocery-folds", data, Choices(fold=3))
    assert len(one) == 1
    assert one[0].name == "grocery-folds/3"
    assert one[0].queries.tolist() == found[3].queries.tolist()


def test_grocery_folds_refuse_another_fold_and_other_products(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 to 4"):
        build("grocery-folds", grocery(tmp_path), Choices(fold=5))
    with pytest.raises(DataError, match="'shirt'"):
        build("grocery-folds", manifest([("shirt", "street", "")], tmp_path))


def test_an_unknown_protocol_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'grocery'"):
        build("grocry", manifest([("a", "street", "")], tmp_path))


SHARED = Path(os.environ.get("HEMLINE_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.mark.skipif(
    not (SHARED / "data/grocery/classes.csv").is_file(),
    reason=needs.reason("photos"),
)
def test_the_real_grocery_data_has_the_published_counts() -> None:
    from hemline.datasets import READERS

    data, _ = READERS["grocery"].read(SHARED / "data/grocery")
    seen = build("grocery", data)[0]
    assert (len(seen.queries), len(seen.gallery), seen.unmatched) == (296, 81, 0)
    parts = build("grocery-folds", data)
    assert sum(len(part.queries) for part in parts) == 2936
    assert all(part.unmatched == 0 for part in parts)


def test_a_fold_of_a_protocol_without_folds_and_a_negative_seed(tmp_path: Path) -> None:
    rows = manifest([("a", "street", "test"), ("a", "shop", "test")], tmp_path)
    with pytest.raises(UsageError, match="'default' has no folds"):
        build("default", rows, Choices(fold=0))
    with pytest.raises(UsageError, match="seed is 0 or more"):
        build("holdout", rows, Choices(seed=-1))
