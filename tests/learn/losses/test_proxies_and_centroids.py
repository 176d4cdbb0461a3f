"""Proxy-anchor and centroid losses against their formulas written out."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from torch import distributed
from torch.nn import functional

from hemline.learn.loss import RankingInputs
from hemline.learn.losses import CentroidLoss, ProxyAnchorLoss

ITEMS = torch.tensor([5, 9, 5, 70])  # 70 is a drawn product


def embeddings(rows: int = 4, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, 6, generator=draw), dim=1)


def inputs(
    street: torch.Tensor,
    items: torch.Tensor,
    shop: torch.Tensor | None = None,
    shop_items: torch.Tensor | None = None,
) -> RankingInputs:
    """Of street rows, and of shop rows if there are any."""
    shop = street[:0] if shop is None else shop
    shop_items = items[:0] if shop_items is None else shop_items
    return RankingInputs(torch.cdist(street, shop), street, shop, items, shop_items)


def test_proxy_anchor_is_the_papers_sum() -> None:
    torch.manual_seed(0)
    layer = ProxyAnchorLoss(6, margin=0.1, alpha=4)
    layer.expect(torch.tensor([9, 5, 12]))
    assert layer.numbers.tolist() == [5, 9, 12]
    layer(inputs(embeddings(seed=4), torch.tensor([9, 5, 12, 5])))  # all are seen
    found = embeddings()
    cosine = (found @ functional.normalize(layer.proxies, dim=1).T).detach()
    places = [0, 1, 0]  # the drawn product is left out
    positive = 0.0
    for proxy in (0, 1):
        own = [
            math.exp(-4 * (float(cosine[r, proxy]) - 0.1)) for r in range(3) if places[r] == proxy
        ]
        positive += math.log(1 + sum(own))
    negative = 0.0
    for proxy in range(3):
        others = [
            math.exp(4 * (float(cosine[r, proxy]) + 0.1)) for r in range(3) if places[r] != proxy
        ]
        negative += math.log(1 + sum(others))
    loss = layer(inputs(found, ITEMS))
    assert math.isclose(float(loss.detach()), positive / 2 + negative / 3, rel_tol=1e-4)
    loss.backward()
    assert layer.proxies.grad is not None


def test_a_proxy_begins_where_its_item_is_first_seen() -> None:
    layer = ProxyAnchorLoss(6, margin=0.1, alpha=4)
    layer.expect(torch.tensor([5, 9, 12]))
    found = embeddings().requires_grad_()
    assert (
        float(layer.eval()(inputs(found, ITEMS)).detach()) == 0.0
    )  # nothing is seen but in training
    loss = layer.train()(inputs(found, ITEMS))
    first = functional.normalize((found[0] + found[2]) / 2, dim=0)
    torch.testing.assert_close(layer.proxies[0], first)
    torch.testing.assert_close(layer.proxies[1], found[1])
    assert not layer.proxies[2].any()  # not seen yet: nobody is pushed away from it
    alone = ProxyAnchorLoss(6, margin=0.1, alpha=4)  # as if there were no third item
    alone.expect(torch.tensor([5, 9]))
    torch.testing.assert_close(loss, alone(inputs(found, ITEMS)))
    loss.backward()
    assert layer.proxies.grad is not None
    assert found.grad is not None
    assert layer.proxies.grad[:2].any(dim=1).all()
    assert not layer.proxies.grad[2].any()
    assert found.grad[:3].any(dim=1).all()
    layer(inputs(embeddings(seed=3), ITEMS))
    torch.testing.assert_close(layer.proxies[1], found[1])  # from then on it is learned


def _one_of_two(rank: int, place: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group("gloo", f"file://{place}/meet", rank=rank, world_size=2)
    layer = ProxyAnchorLoss(6)
    layer.expect(torch.tensor([5, 9, 70, 71]))
    layer(inputs(embeddings(seed=rank), torch.tensor([[5, 9, 5, 70], [5, 71, 9, 5]][rank])))
    torch.save(layer.proxies.detach(), f"{place}/{rank}.pt")
    distributed.destroy_process_group()


def test_processes_that_train_together_begin_the_same_proxies(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first, second)
    one, two = embeddings(seed=0), embeddings(seed=1)
    of_five = functional.normalize(one[0] + one[2] + two[0] + two[3], dim=0)
    torch.testing.assert_close(first[0], of_five)
    torch.testing.assert_close(first[2], one[3])
    torch.testing.assert_close(first[3], two[1])


def test_a_centroid_is_the_running_mean_of_shop_pictures() -> None:
    layer = CentroidLoss(6, temperature=0.5, momentum=0.75).train()
    layer.expect(torch.tensor([5, 9, 12]))
    shop, street = embeddings(seed=1), embeddings(seed=2)
    loss = layer(inputs(street, ITEMS, shop, ITEMS))
    first = (shop[0] + shop[2]) / 2
    torch.testing.assert_close(layer.means[0], first)
    torch.testing.assert_close(layer.means[1], shop[1])
    assert not layer.means[2].any()  # not seen yet: nobody is pushed away from it
    means = functional.normalize(torch.stack([first, shop[1]]), dim=1)
    logits = street[:3] @ means.T / 0.5
    wanted = functional.cross_entropy(logits, torch.tensor([0, 1, 0]))
    torch.testing.assert_close(loss, wanted)
    layer(inputs(street, ITEMS, embeddings(seed=3), ITEMS))
    torch.testing.assert_close(layer.means[1], 0.75 * shop[1] + 0.25 * embeddings(seed=3)[1])


def test_both_know_nothing_of_unknown_items() -> None:
    proxies, centroids = ProxyAnchorLoss(6), CentroidLoss(6)
    for layer in (proxies, centroids):
        layer.expect(torch.tensor([1, 2]))
    strange = torch.tensor([7, 8, 9, 10])
    assert float(proxies(inputs(embeddings(), strange)).detach()) == 0.0
    assert float(centroids(inputs(embeddings(), strange, embeddings(), strange))) == 0.0


def test_a_state_brings_its_rows_along() -> None:
    for kind in (ProxyAnchorLoss, CentroidLoss):
        one, two = kind(6), kind(6)
        one.expect(torch.tensor([3, 8, 11]))
        two.load_state_dict(one.state_dict())
        assert two.numbers.tolist() == [3, 8, 11]
        for key, value in one.state_dict().items():
            assert torch.equal(two.state_dict()[key], value)
