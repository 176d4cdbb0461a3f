"""What was trained on: the record of a network, and of what was fitted on top of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hemline.data.seen import SEEN_FILE, Seen, item_hashes, read_seen
from hemline.errors import DataError


def record(*items: str) -> Seen:
    hashes = np.unique(item_hashes(items))
    return Seen(hashes, hashes + np.uint64(1), hashes[:1])


def test_a_network_has_seen_what_trained_it_and_not_what_was_fitted_to_it() -> None:
    trained, fitted = record("dress", "coat"), record("milk").fitted_only()
    assert trained.of_network() is trained
    whole = fitted.joined(trained)
    assert np.array_equal(whole.items, record("dress", "coat", "milk").items)
    assert np.array_equal(whole.of_network().items, trained.items)
    # A further fit keeps the network's; a further training, which takes all over, adds to it.
    again = record("juice").fitted_only().joined(whole)
    assert np.array_equal(again.of_network().items, trained.items)
    later = record("shoe").joined(again.of_network())
    assert later.network is None
    assert np.array_equal(later.items, record("dress", "coat", "shoe").items)
    over = record("shoe").joined(again)
    assert np.array_equal(over.of_network().items, record("dress", "coat", "shoe").items)
    assert len(over.items) == 5


def test_a_start_without_a_record_is_named_for_both() -> None:
    found = record("milk").fitted_only().without_record("weights a.pth")
    assert found.unrecorded == found.of_network().unrecorded == ("weights a.pth",)


@pytest.mark.parametrize("fitted", [False, True])
def test_the_record_is_read_as_it_was_written(tmp_path: Path, fitted: bool) -> None:
    seen = record("dress", "coat").without_record("weights a.pth")
    if fitted:
        seen = record("milk").fitted_only().joined(seen)
    seen.write(tmp_path)
    read = read_seen(tmp_path, seen.described())
    assert read is not None
    assert read.digest == seen.digest
    assert (read.network is None) is not fitted
    assert np.array_equal(read.of_network().items, record("dress", "coat").items)
    assert np.array_equal(read.of_network().images, record("dress", "coat").images)
    assert read.of_network().unrecorded == ("weights a.pth",)


def test_a_record_of_another_network_is_refused(tmp_path: Path) -> None:
    seen = record("milk").fitted_only().joined(record("dress", "coat"))
    described = seen.described()
    assert described["network"] == {"items": 2, "images": 2}
    replace(seen, network=record("milk")).write(tmp_path)
    with pytest.raises(DataError, match="isn't the record"):
        read_seen(tmp_path, described)
    parts = dict(np.load(tmp_path / SEEN_FILE))
    np.savez(tmp_path / SEEN_FILE, **{**parts, "network_items": np.ones(7, bool)})
    with pytest.raises(DataError, match="can't be read"):
        read_seen(tmp_path, described)
