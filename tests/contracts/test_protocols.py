"""Every registered protocol keeps the contract, a new one too."""

from __future__ import annotations

import numpy as np
import pytest

from hemline.data.manifest import Manifest
from hemline.data.protocol import CROPS, SEVERAL, UNMATCHED, Choices, Protocol
from hemline.data.protocol import roles as roles_of
from hemline.datasets import PROTOCOLS, build
from hemline.datasets.grocery import folds
from hemline.datasets.lookbench import SUBSETS
from hemline.datasets.street2shop import CATEGORIES
from hemline.types import Record


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The grocery products in Street2Shop's categories, so that every protocol accepts it."""
    records = []
    for number, item in enumerate(sorted(frozenset().union(*folds()))):
        home = ("test", "train", "val")[number % 3]
        category = CATEGORIES[number % len(CATEGORIES)]
        for shot in range(4):
            records.append(
                Record(
                    f"{item}/{shot}",
                    f"{item}/{shot}.jpg",
                    item,
                    "street" if shot else "shop",
                    category=category,
                    split=home,
                    role="query" if shot else "gallery",
                    extra={
                        "group": "upper",
                        "pose": "front",
                        "pairs": 1 + shot % 2,
                        "subset": (*SUBSETS, "noise")[number % 5],
                    },
                )
            )
    return Manifest.from_records(records, tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_contract(name: str, data: Manifest) -> None:
    chosen = Choices(crop="none", within_category=True, several="row")
    made = build(name, data, chosen)
    assert made
    whole = made[0].group
    assert whole.name == name if whole else [part.name for part in made] == [name]
    for protocol in made:
        check(protocol, data)
        assert protocol.choices["crop"].startswith("none")
        assert protocol.choices["within_category"] == "yes"
        assert {"name", "queries", "gallery", "items", "relevance", "query", "unmatched"} <= set(
            protocol.choices
        )
    again = build(name, data, chosen)
    for one, other in zip(made, again, strict=True):
        assert np.array_equal(one.queries, other.queries)
        assert np.array_equal(one.gallery, other.gallery)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_its_own_choices_are_decided_and_another_is_told(name: str, data: Manifest) -> None:
    spec = PROTOCOLS[name]
    assert spec.crop in CROPS
    assert spec.several in SEVERAL
    assert spec.unmatched in UNMATCHED
    for line in (spec.queries, spec.gallery, spec.products):
        assert line
        assert "\n" not in line
    for part in build(name, data):
        assert "differs" not in part.choices
        assert part.crop == spec.crop
        assert part.within_category == spec.within_category
    crop = "none" if spec.crop != "none" else "box"
    for part in build(name, data, Choices(crop=crop, within_category=not spec.within_category)):
        assert part.crop == crop
        assert f"crop is {crop}, the protocol's own is {spec.crop}" in part.choices["differs"]
        assert "within_category is" in part.choices["differs"]


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_published_figures_are_shares_of_a_known_metric(name: str) -> None:
    for entry in PROTOCOLS[name].published:
        own = {"recall@1", "recall@20", "recall@50", "ndcg@20", *PROTOCOLS[name].measures}
        assert entry.metric in own
        assert entry.value is None or 0 < entry.value < 1
        assert entry.value is not None or "not available" in entry.note
        assert entry.source
        assert entry.model


def check(protocol: Protocol, data: Manifest) -> None:
    assert protocol.queries.dtype == protocol.gallery.dtype == np.int64
    assert len(protocol.queries) == len(protocol.relevant) > 0
    assert len(set(protocol.queries.tolist())) == len(protocol.queries)
    assert len(set(protocol.gallery.tolist())) == len(protocol.gallery)
    assert not set(protocol.queries.tolist()) & set(protocol.gallery.tolist())
    role = roles_of(data)
    assert set(role[protocol.queries]) == {"query"}
    assert set(role[protocol.gallery]) == {"gallery"}
    for row, right in zip(protocol.queries, protocol.relevant, strict=True):
        assert data[int(row)].item_id in right
    left = protocol.training()
    assert not set(left.column("item_id").tolist()) & protocol.held_out
    asked = {data[int(row)].image_id for row in protocol.queries}
    assert not set(left.column("image_id").tolist()) & asked
