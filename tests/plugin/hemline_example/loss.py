"""A loss over a matrix of distances."""

from torch import Tensor


def contrast(distances: Tensor, street_items: Tensor, shop_items: Tensor) -> Tensor:
    """(B, M) distances, (B,) and (M,) items → () mean distance of pairs less that of others."""
    same = street_items[:, None] == shop_items[None]
    return distances[same].mean() - distances[~same].mean()


LOSSES = {"contrast": contrast}
