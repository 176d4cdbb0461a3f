"""The buckets find exactly the pairs that comparing everything with everything finds."""

from __future__ import annotations

import numpy as np
import pytest

from hemline.data.checking.near_duplicates import candidates, close_pairs


def hashes(count: int, seed: int) -> np.ndarray:
    """Random ones, half of them copies of the others with up to fifteen bits turned."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 2**64, count, dtype=np.uint64)
    for row in range(count // 2, count):
        found[row] = found[row - count // 2]
        for bit in rng.choice(64, rng.integers(0, 16), replace=False):
            found[row] ^= np.uint64(1) << np.uint64(bit)
    return found


@pytest.mark.parametrize("flips", [1, 2])
def test_close_pairs_are_all_and_only_those_within_the_radius(flips: int) -> None:
    rows = hashes(240, flips)
    pairs, far, left_out = close_pairs(rows, flips)
    slow = {
        (i, j): bin(int(rows[i]) ^ int(rows[j])).count("1")
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
    }
    wanted = {pair: bits for pair, bits in slow.items() if bits <= 4 * flips + 3}
    assert len(wanted) > 20
    assert dict(zip(map(tuple, pairs.tolist()), far.tolist(), strict=True)) == wanted
    assert len(pairs) == len(wanted)
    assert left_out == 0


def test_a_full_bucket_is_cut_and_told() -> None:
    same = np.zeros(50, np.uint64)
    pairs, _, left_out = close_pairs(same, bucket=10)
    assert left_out > 0
    assert len(pairs) < 50 * 49 // 2


def test_candidates_are_alike_in_colour_too() -> None:
    rows = np.zeros(3, np.uint64)
    colours = np.zeros((3, 192), np.uint8)
    colours[2] = 100
    pairs, left_out = candidates(rows, colours)
    assert pairs.tolist() == [[0, 1]]
    assert left_out == 0


def test_of_too_many_pairs_the_closest_are_compared() -> None:
    rows = np.array([0, 1, 0b111 << 20, (0b111 << 20) | (0b1111 << 40)], np.uint64)
    grey = np.zeros((4, 192), np.uint8)
    every, _ = candidates(rows, grey)
    assert len(every) > 2
    pairs, left_out = candidates(rows, grey, limit=1)
    assert pairs.tolist() == [[0, 1]]
    assert left_out == len(every) - 1


def test_of_very_many_alike_the_closest_are_kept() -> None:
    rows = np.zeros(200, np.uint64)
    pairs, left_out = candidates(rows, np.zeros((200, 192), np.uint8))
    assert len(pairs) < 200 * 199 // 2
    assert left_out == 200 * 199 // 2 - len(pairs)
    assert set(pairs.ravel().tolist()) == set(range(200))
