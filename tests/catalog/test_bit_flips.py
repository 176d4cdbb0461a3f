"""Single bits of the database and its log are flipped: nothing wrong is shown or unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.bit_flips import campaign
from helpers.small_rows import filled, killed


def store(folder: Path) -> Path:
    made = filled(folder, 80, commit=8)
    made.remove(["item30", "item31"])
    made.close()
    return folder


def test_some_bits_of_the_database(tmp_path: Path) -> None:
    outcomes = campaign(store(tmp_path / "shop"), tmp_path / "work", "catalog.sqlite", 12, seed=2)
    assert set(outcomes) <= {"found", "harmless"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_bits_of_the_database(tmp_path: Path, seed: int) -> None:
    outcomes = campaign(store(tmp_path / "shop"), tmp_path / "work", "catalog.sqlite", 200, seed)
    assert set(outcomes) <= {"found", "harmless"}
    assert outcomes["found"] > 10


@pytest.mark.slow
def test_bits_of_the_log_after_a_kill(tmp_path: Path) -> None:
    """SQLite drops the log from the flipped bit on, with the commits in it; the counter tells."""
    killed(tmp_path / "shop", kept=3, more=8)
    outcomes = campaign(tmp_path / "shop", tmp_path / "work", "catalog.sqlite-wal", 100, seed=4)
    assert set(outcomes) <= {"found", "harmless"}
    assert outcomes["found"] > 80


def test_a_bit_of_the_log_after_a_kill(tmp_path: Path) -> None:
    killed(tmp_path / "shop", kept=1, more=3)
    outcomes = campaign(tmp_path / "shop", tmp_path / "work", "catalog.sqlite-wal", 4, seed=1)
    assert set(outcomes) == {"found"}
