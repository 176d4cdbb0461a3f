"""Every registered protocol keeps the contract, a new one too."""

from __future__ import annotations

import numpy as np
import pytest

from hemline.data.manifest import Manifest
from hemline.data.protocol import PROTOCOLS, Choices, Protocol, build, roles
from hemline.data.protocols.grocery import folds
from hemline.types import Record


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The grocery products, so that every protocol accepts it; half of them in test only."""
    records = []
    for number, item in enumerate(sorted(frozenset().union(*folds()))):
        splits = ("test", "test", "test") if number % 2 else ("train", "train", "val")
        for shot, split in enumerate(("shop", *splits)):
            street = split != "shop"
            records.append(
                Record(
                    f"{item}/{shot}",
                    f"{item}/{shot}.jpg",
                    item,
                    "street" if street else "shop",
                    category="fruit",
                    split=split if street else ("test" if number % 2 else "train"),
                )
            )
    return Manifest.from_records(records, tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_contract(name: str, data: Manifest) -> None:
    made = build(name, data, Choices(crop="none", within_category=True))
    assert made
    for protocol in made:
        check(protocol, data)
        assert protocol.name.partition("/")[0] == name
        assert protocol.choices["crop"].startswith("none")
        assert protocol.choices["within_category"] == "yes"
        assert {"name", "queries", "gallery", "items", "relevance", "query", "unmatched"} <= set(
            protocol.choices
        )
    again = build(name, data, Choices(crop="none", within_category=True))
    for one, other in zip(made, again, strict=True):
        assert np.array_equal(one.queries, other.queries)


def check(protocol: Protocol, data: Manifest) -> None:
    assert protocol.queries.dtype == protocol.gallery.dtype == np.int64
    assert len(protocol.queries) == len(protocol.relevant) > 0
    assert len(set(protocol.queries.tolist())) == len(protocol.queries)
    assert not set(protocol.queries.tolist()) & set(protocol.gallery.tolist())
    role = roles(data)
    assert set(role[protocol.queries]) == {"query"}
    assert set(role[protocol.gallery]) == {"gallery"}
    for row, right in zip(protocol.queries, protocol.relevant, strict=True):
        assert data[int(row)].item_id in right
    left = protocol.training()
    assert not set(left.column("item_id").tolist()) & protocol.held_out
    asked = {data[int(row)].image_id for row in protocol.queries}
    assert not set(left.column("image_id").tolist()) & asked
