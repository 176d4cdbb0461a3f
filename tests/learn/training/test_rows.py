from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol
from hemline.datasets import build
from hemline.errors import DataError, UsageError
from hemline.learn.recipe import DataRecipe, KeepOut, ValidationSplit
from hemline.learn.training import rows as rows_module
from hemline.learn.training.rows import choose_rows
from hemline.types import Record

ROWS = [  # item, domain, split
    *[(f"t{n}", "street", "train") for n in range(10) for _ in range(2)],
    *[(f"t{n}", "shop", "train") for n in range(10)],
    *[(f"v{n}", "street", "val") for n in range(3)],
    *[(f"v{n}", "shop", "val") for n in range(3)],
    *[(f"e{n}", "street", "test") for n in range(3)],
    *[(f"e{n}", "shop", "test") for n in range(3)],
    *[(f"{part}0", "shop", "") for part in "tve"],
    *[(f"{part}1", "street", "") for part in "tve"],
    ("lonely", "street", "train"),
    ("unseen", "shop", "train"),
]


def manifest(rows: list[tuple[str, str, str]], roles: dict[int, str] | None = None) -> Manifest:
    records = [
        Record(
            image_id=str(k),
            path=f"{k}.png",
            item_id=item,
            domain=domain,  # type: ignore[arg-type]
            split=split,
            role=(roles or {}).get(k, ""),
        )
        for k, (item, domain, split) in enumerate(rows)
    ]
    return Manifest.from_records(records, Path("."))


def items(rows: np.ndarray) -> set[str]:
    return {ROWS[row][0] for row in rows}


def test_only_training_rows_train_and_each_has_a_partner() -> None:
    parts = choose_rows(manifest(ROWS), DataRecipe(), 0)
    assert items(parts.street) == items(parts.shop) == {f"t{n}" for n in range(10)}
    assert all(ROWS[row][2] in ("train", "") for row in [*parts.street, *parts.shop])
    assert len(parts.street) == 21  # 20 of the split and t1's without one
    assert parts.validation_split == ""


def test_validation_asks_its_photos_and_searches_its_and_unsplit_pictures() -> None:
    parts = choose_rows(manifest(ROWS), DataRecipe(), 0)
    assert [ROWS[row] for row in parts.queries] == [(f"v{n}", "street", "val") for n in range(3)]
    assert items(parts.gallery) == {"v0", "v1", "v2", "t0", "e0"}
    assert all(ROWS[row][1] == "shop" for row in parts.gallery)


@pytest.mark.parametrize("by", ["item", "photo"])
def test_without_a_validation_split_one_is_split_off(by: str) -> None:
    table = manifest([row for row in ROWS if row[2] != "val" and not row[0].startswith("v")])
    spec = DataRecipe(validation_split=ValidationSplit(fraction=0.2, by=by))  # type: ignore[arg-type]
    parts = choose_rows(table, spec, 0)
    names = table.column("item_id")
    asked, learned = set(names[parts.queries]), set(names[parts.street])
    assert "kept out of training" in parts.validation_split
    assert not set(parts.queries) & set(parts.street)
    assert not any(name.startswith("e") for name in asked | learned)
    assert asked <= set(names[parts.gallery])
    if by == "item":
        assert len(asked) == 2
        assert not asked & learned
        assert not asked & set(names[parts.shop])
    else:
        assert len(parts.queries) == round(21 * 0.2)
        assert asked <= learned
    again, other = choose_rows(table, spec, 0), choose_rows(table, spec, 1)
    assert (again.queries == parts.queries).all()
    assert not np.array_equal(other.queries, parts.queries)


def test_without_a_name_for_it_validation_is_always_split_off() -> None:
    parts = choose_rows(manifest(ROWS), DataRecipe(val=None), 0)
    assert parts.validation_split.startswith("the recipe names no split")
    assert {ROWS[row][2] for row in [*parts.queries, *parts.street]} <= {"train", ""}
    assert not {f"v{n}" for n in range(3)} & (items(parts.street) | items(parts.queries))


@pytest.mark.parametrize("fold", [0, None])
def test_what_a_protocol_measures_with_is_kept_out(
    fold: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = manifest(ROWS)

    def folds(rows: Manifest, choices: Choices) -> tuple[Protocol, ...]:
        wanted = range(2) if choices.fold is None else [choices.fold]
        return tuple(
            Protocol(
                f"folds/{n}",
                rows,
                np.array([2 * n + 8]),
                np.array([20]),
                (frozenset({f"t{n}"}),),
                {},
                held_out=frozenset({f"t{n}"}),
            )
            for n in wanted
        )

    monkeypatch.setattr(rows_module, "build", lambda _, rows, choices: folds(rows, choices))
    spec = DataRecipe(keep_out=KeepOut(protocol="folds", fold=fold))
    parts = choose_rows(table, spec, 0)
    out = {"t0"} if fold == 0 else {"t0", "t1"}
    assert not out & items(np.concatenate([parts.street, parts.shop, parts.gallery]))
    assert 8 not in parts.street  # a query, though of an item that is not held out
    assert "t4" in items(parts.street)


def test_a_protocols_own_splits_replace_the_manifests() -> None:
    rows = [(f"i{n:02d}", domain, "test") for n in range(40) for domain in ("street", "shop")]
    rows.append(("lonely", "shop", "train"))
    table = manifest(rows)
    (made,) = build("darn-ynet", table)
    assert made.partition is not None
    parts = choose_rows(table, DataRecipe(partition="darn-ynet", protocols=("darn",)), 0)
    split = made.partition
    assert len(made.held_out) == 4
    assert set(split[parts.train].tolist()) == {"train"}
    assert set(split[np.concatenate([parts.queries, parts.gallery])].tolist()) == {"val"}
    assert (len(parts.street), len(parts.shop), len(parts.queries), len(parts.gallery)) == (
        32, 32, 4, 4,
    )  # fmt: skip
    assert parts.validation_split == ""
    with pytest.raises(UsageError, match="'holdout' draws no train and validation splits"):
        choose_rows(table, DataRecipe(partition="holdout"), 0)


def test_roles_decide_where_the_domain_does_not() -> None:
    rows = [(f"t{n}", "shop", "train") for n in range(3)] * 2 + [("v", "shop", "val")] * 2
    roles = {0: "query", 1: "query", 2: "query", 6: "query"}
    parts = choose_rows(manifest(rows, roles), DataRecipe(), 0)
    assert parts.street.tolist() == [0, 1, 2]
    assert parts.shop.tolist() == [3, 4, 5]
    assert (parts.queries.tolist(), parts.gallery.tolist()) == ([6], [7])


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(DataError, match="nothing to train on: 0 street photos"):
        choose_rows(manifest([("a", "shop", "train"), ("b", "shop", "train")]), DataRecipe(), 0)
    alone = [row for row in ROWS if row[2] == "train"] + [("v", "street", "val")]
    with pytest.raises(DataError, match="nothing to validate with"):
        choose_rows(manifest(alone), DataRecipe(), 0)
