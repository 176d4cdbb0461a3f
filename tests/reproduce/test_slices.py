"""Groups of a column, and figures of each; distractors in a drawn gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hemline.data.protocol import Choices
from hemline.datasets import build
from hemline.errors import UsageError
from hemline.progress import no_progress
from hemline.reproduce import source
from hemline.reproduce.run import TABLE, find, reproduce
from hemline.reproduce.scales import SCALES
from hemline.reproduce.slices import grouped


def test_numbers_are_cut_into_groups_of_about_the_same_size_and_words_by_themselves() -> None:
    values = np.array([0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 7], float)
    groups = grouped(values)
    assert list(groups) == ["0 to 1", "2", "3", "4 to 7"]
    assert sum(mask.sum() for mask in groups.values()) == len(values)
    assert values[groups["4 to 7"]].tolist() == [4, 4, 5, 7]
    words = grouped(np.array(["a", "b", "", "a"]))
    assert {name: mask.tolist() for name, mask in words.items()} == {
        "a": [True, False, False, True], "b": [False, True, False, False],
    }  # fmt: skip
    assert grouped(np.array([np.nan])) == {}


def test_the_question_of_attention_is_told_by_other_garments_in_a_larger_gallery(
    tmp_path: Path,
) -> None:
    torch.set_num_threads(1)
    found = reproduce("attention", tmp_path, scale="smoke", distractors=12)
    own = reproduce("attention", tmp_path, scale="smoke")
    assert found["data"]["gallery"] == own["data"]["gallery"] + 12
    assert found["data"]["fingerprint"] != own["data"]["fingerprint"]
    assert runs_of(found) == runs_of(own), "no other training because the gallery is larger"
    for row in found["rows"]:
        (steps,) = (one["ladder"] for one in row["protocols"].values())
        assert [size for size, _ in steps] == [4, 8, 16]
        shares = [share for _, share in steps]
        assert shares == sorted(shares, reverse=True), "a larger gallery finds no more"
    groups = found["slices"]["others"]["groups"]
    everything = groups.pop("all")
    assert sum(group["queries"] for group in groups.values()) == everything["queries"]
    for row in found["rows"]:
        (figures,) = row["protocols"].values()
        for measure, figure in everything["rows"][row["name"]].items():
            assert figure["value"] == pytest.approx(figures["measured"][measure]["value"])
    tags = everything["rows"]["TagYNet, on"]["recall@1"]
    base = everything["rows"]["YNet, on"]["recall@1"]
    assert tags["gain"]["value"] == pytest.approx(tags["value"] - base["value"])
    table = (tmp_path / "attention-smoke" / TABLE).read_text("utf-8")
    assert "By other garments and accessories in the photo:" in table
    assert f"all ({everything['queries']} queries)" in table
    assert (
        "12 further shop pictures in the gallery"
        in (reproduce("attention", tmp_path, scale="smoke", distractors=12)["data"]["words"])
    )


def runs_of(found: dict[str, Any]) -> list[list[str]]:
    return [one["runs"] for row in found["rows"] for one in row["protocols"].values()]


def test_distractors_are_searched_and_never_trained_on(tmp_path: Path) -> None:
    made = source.drawn(find("darn-figure6"), SCALES["smoke"], tmp_path, no_progress, "", 40)
    (part,) = made.parts["synthetic"]
    others = set(range(len(made.manifest), len(made.searched)))
    assert len(others) == 40
    assert others < set(part.gallery.tolist())
    assert not others & set(part.queries.tolist())
    assert made.searched.select(np.arange(len(made.manifest))).column("item_id").tolist() == (
        made.manifest.column("item_id").tolist()
    )
    first = part.gallery_sizes[0]
    assert part.gallery_sizes == tuple(
        first << n for n in range(12) if first << n < len(part.gallery)
    )
    assert all((made.searched.file(int(row))).is_file() for row in part.gallery)
    (plain,) = build("synthetic", made.manifest, Choices())
    assert len(part.gallery) == len(plain.gallery) + 40


@pytest.mark.parametrize("name", ["ynet-figure5", "darn-table2"])
def test_distractors_where_nothing_is_searched_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--distractors"):
        reproduce(name, tmp_path, scale="smoke", distractors=4)
