"""Triplet loss, and its form where the anchor is attended to beside each candidate.

F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet", CVPR 2015, https://arxiv.org/abs/1503.03832;
X. Ji et al., ACM MM 2017, https://arxiv.org/abs/1709.01784, Eq. 7.

Both read one (B, M) matrix of distances. Column j holds d(o, x_j) for the plain loss and
d(o_j, x_j), the anchor as seen beside candidate j, for the adapted one; the formula is the same.
"""

from __future__ import annotations

from torch import Tensor

from hemline.learn.loss import LossSpec, RankingInputs, RankingLoss, RankingOptions
from hemline.learn.mining import Negatives, mine


def triplet_loss(
    distances: Tensor, triplets: Tensor, margin: float, squared: bool = False
) -> Tensor:
    """Mean of max(0, d(o_p, p) − d(o_q, q) + α) over the triplets.

    Args:
        distances: (B, M) Euclidean.
        triplets: (N, 3) integer rows of anchor row, positive column, negative column; none gives 0.
        margin: α, in units of the distance (squared where ``squared``).
        squared: compare squared distances, as the YNet authors' code does.

    Returns:
        () loss.

    Raises:
        IndexError: a triplet names a row or column that ``distances`` lacks.

    Example:
        >>> import torch
        >>> distances = torch.tensor([[0.5, 0.25], [1.0, 0.75]])  # 2 photos, 2 shop images
        >>> triplets = torch.tensor([[0, 0, 1], [1, 1, 0]])
        >>> triplet_loss(distances, triplets, margin=0.25)
        tensor(0.2500)
    """
    if triplets.shape[0] == 0:
        return distances.sum() * 0.0
    anchor, positive, negative = triplets.unbind(1)
    if squared:
        distances = distances.square()
    gap = distances[anchor, positive] - distances[anchor, negative] + margin
    return gap.clamp(min=0).mean()  # Eq. 7


def mined_triplet_loss(
    inputs: RankingInputs, negatives: Negatives, count: int = 4, squared: bool = False
) -> Tensor:
    """`triplet_loss` of a batch's pairs with negatives by `hemline.learn.mining.mine`.

    Args:
        inputs: of the batch; embeddings aren't read.
        negatives: ``cyclic``, ``random``, ``semi_hard`` or ``hard``.
        count: shifts of ``cyclic``, draws of ``random``.
        squared: see `triplet_loss`.

    Returns:
        () loss.
    """
    triplets = mine(negatives, inputs.distances, inputs.street_items, inputs.shop_items, count)
    return triplet_loss(inputs.distances, triplets, inputs.margin, squared)


class TripletLoss(RankingLoss):
    """`mined_triplet_loss` as a module."""

    def __init__(
        self, negatives: Negatives = "random", count: int = 4, squared: bool = False
    ) -> None:
        super().__init__()
        self.negatives: Negatives = negatives
        self.count, self.squared = count, squared

    def forward(self, inputs: RankingInputs) -> Tensor:
        return mined_triplet_loss(inputs, self.negatives, self.count, self.squared)


def _build(options: RankingOptions) -> TripletLoss:
    return TripletLoss(options.negatives, options.negatives_count, options.squared)


LOSSES = {"triplet": LossSpec(triplet_loss, "distances", _build)}
