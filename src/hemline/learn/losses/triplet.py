"""The triplet loss, and its adapted form where the anchor looks different beside each candidate.

F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet", CVPR 2015; X. Ji et al., ACM MM 2017, Eq. 7.

Both read one (B, M) matrix of distances: column j holds d(o, x_j) for the plain loss, d(o_j, x_j),
the anchor as seen beside candidate j, for the adapted one. The formula is then the same.
"""

from __future__ import annotations

from torch import Tensor


def triplet_loss(
    distances: Tensor, triplets: Tensor, margin: float, squared: bool = False
) -> Tensor:
    """Mean of max(0, d(o_p, p) − d(o_q, q) + α) over the triplets.

    Args:
        distances: (B, M) Euclidean.
        triplets: (N, 3) integer rows of anchor row, positive column, negative column; none gives 0.
        margin: α, in the units of the distance.
        squared: compare squared distances, as the authors' code does.

    Returns:
        () loss.
    """
    if triplets.shape[0] == 0:
        return distances.sum() * 0.0
    anchor, positive, negative = triplets.unbind(1)
    if squared:
        distances = distances.square()
    gap = distances[anchor, positive] - distances[anchor, negative] + margin
    return gap.clamp(min=0).mean()  # Eq. 7
