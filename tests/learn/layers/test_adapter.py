from __future__ import annotations

import torch

from hemline.learn.layers.adapter import Adapter


def test_it_starts_as_nothing_and_learns_at_every_location() -> None:
    torch.manual_seed(0)
    adapter = Adapter(6, 3)
    local = torch.randn(2, 6, 5)
    assert torch.equal(adapter(local), local)
    torch.nn.init.normal_(adapter.up.weight)
    changed = adapter(local)
    # Each location by itself: the same detour as for that location alone.
    torch.testing.assert_close(changed[:, :, 2:3], adapter(local[:, :, 2:3]))
    adapter(local).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in adapter.parameters())
