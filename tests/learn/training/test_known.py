"""Which values a row is labelled for, by the column of known types."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.published import consumer2shop
from hemline.data.manifest import Manifest
from hemline.datasets import READERS
from hemline.learn.training.known import known_tags
from hemline.ranking.tags import multi_hot
from hemline.types import Record

VOCABULARY = ("collar=polo", "collar=round", "length=long", "length=short")


def manifest(column: list[object] | None) -> Manifest:
    tags = [("collar=polo",), ("collar=polo",), (), ()]
    rows = [Record(f"{n}", f"{n}.jpg", "a", "shop", tags=own) for n, own in enumerate(tags)]
    made = Manifest.from_records(rows, Path("/"))
    return made if column is None else made.with_column("known_types", column)


def known(rows: Manifest) -> list[list[int]] | None:
    found = known_tags(rows, VOCABULARY, multi_hot(rows.column("tags"), VOCABULARY))
    return None if found is None else found.tolist()


def test_absent_values_of_known_types_are_known_and_unknown_types_are_not() -> None:
    assert known(manifest(None)) is None
    found = known(manifest([["collar", "length"], [], ["length"], None]))
    assert found == [[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
    # A row without a list: all values of the names it has a value of.
    assert known(manifest([None, ["length"], None, None])) == [
        [1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip


def test_the_column_that_consumer2shop_has_is_read_from_parquet_and_csv(tmp_path: Path) -> None:
    rows, _ = READERS["consumer2shop"].read(consumer2shop(tmp_path / "c2s"))
    vocabulary = rows.tag_vocabulary()
    tags = multi_hot(rows.column("tags"), vocabulary)
    found = known_tags(rows, vocabulary, tags)
    assert found is not None
    assert (found >= tags).all()
    assert (found > tags).any()  # explicit absence
    assert (found == 0).any()  # unknown
    for name in ("m.parquet", "m.csv"):
        again = known_tags(Manifest.read(rows.write(tmp_path / name)), vocabulary, tags)
        np.testing.assert_array_equal(again, found)
