from __future__ import annotations

import pytest
import torch

from hemline.learn import mining

STREET = torch.tensor([7, 8, 7, 9, 5])
SHOP = torch.tensor([7, 8, 7, 9, 5, 8, 3])
DISTANCES = torch.rand(5, 7, generator=torch.Generator().manual_seed(3))


def pairs() -> list[tuple[int, int]]:
    return [(b, m) for b in range(5) for m in range(7) if STREET[b] == SHOP[m]]


def others(b: int) -> list[int]:
    return [m for m in range(7) if STREET[b] != SHOP[m]]


def test_cyclic_shifts_the_batch_by_one_to_four() -> None:
    wanted = {
        (b, b, (b + shift) % 5)
        for shift in (1, 2, 3, 4)
        for b in range(5)
        if STREET[b] != SHOP[(b + shift) % 5]
    }
    triplets = mining.cyclic(STREET, SHOP).tolist()
    assert {tuple(row) for row in triplets} == wanted
    assert len(triplets) == len(wanted)


def test_hard_takes_the_nearest_of_another_item() -> None:
    wanted = [[b, m, min(others(b), key=lambda n: float(DISTANCES[b, n]))] for b, m in pairs()]
    assert mining.hard(DISTANCES, STREET, SHOP).tolist() == wanted


def test_semi_hard_takes_the_nearest_beyond_the_positive() -> None:
    distances = DISTANCES.clone()
    distances[4, 4] = 2.0  # no negative is farther: the farthest then
    wanted = []
    for b, m in pairs():
        farther = [n for n in others(b) if distances[b, n] > distances[b, m]]
        if farther:
            chosen = min(farther, key=lambda n: float(distances[b, n]))
        else:
            chosen = max(others(b), key=lambda n: float(distances[b, n]))
        wanted.append([b, m, chosen])
    assert mining.semi_hard(distances, STREET, SHOP).tolist() == wanted


def test_random_draws_every_negative_and_repeats_with_its_seed() -> None:
    draw = mining.random(STREET, SHOP, 200, torch.Generator().manual_seed(0))
    again = mining.random(STREET, SHOP, 200, torch.Generator().manual_seed(0))
    assert torch.equal(draw, again)
    assert len(draw) == 200 * len(pairs())
    for b, m in pairs():
        mine = draw[(draw[:, 0] == b) & (draw[:, 1] == m)]
        assert set(mine[:, 2].tolist()) == set(others(b))


@pytest.mark.parametrize("negatives", ["cyclic", "random", "semi_hard", "hard"])
def test_no_negative_shows_the_anchors_item(negatives: mining.Negatives) -> None:
    triplets = mining.mine(negatives, DISTANCES, STREET, SHOP)
    assert len(triplets) > 0
    anchor, positive, negative = triplets.unbind(1)
    assert (STREET[anchor] == SHOP[positive]).all()
    assert (STREET[anchor] != SHOP[negative]).all()


@pytest.mark.parametrize("negatives", ["cyclic", "random", "semi_hard", "hard"])
def test_a_batch_of_one_item_has_no_triplet(negatives: mining.Negatives) -> None:
    items = torch.tensor([1, 1])
    triplets = mining.mine(negatives, torch.rand(2, 2), items, items)
    assert triplets.shape == (0, 3)
    single = mining.mine(negatives, torch.rand(1, 1), items[:1], items[:1])
    assert single.shape == (0, 3)
