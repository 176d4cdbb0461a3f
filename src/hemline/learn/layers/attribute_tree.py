"""Tree-structured layers: one small fully connected network for each attribute.

DARN, section 4.1: the response of the last shared layer goes to several branches; "the neuron
number in the output-layer of each branch equals to the number of corresponding attribute values".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from hemline.errors import UsageError, nearest


def group_attributes(
    vocabulary: Sequence[str], names: Sequence[str] | None = None
) -> dict[str, tuple[int, ...]]:
    """Attribute name → columns of its values in a vocabulary of ``name=value``.

    Args:
        vocabulary: T tags.
        names: to keep; None for all.

    Raises:
        UsageError: a name that the vocabulary lacks.
    """
    groups: dict[str, list[int]] = {}
    for column, tag in enumerate(vocabulary):
        groups.setdefault(tag.split("=", 1)[0], []).append(column)
    for name in names or ():
        if name not in groups:
            raise UsageError(f"the data has no attribute {name!r}. {nearest(name, groups)}")
    kept = groups if names is None else names
    return {name: tuple(groups[name]) for name in kept}


class AttributeTree(nn.Module):
    """A branch for each attribute: features → hidden → one score for each value.

    Args:
        channels: C of the features.
        hidden: width of each branch's hidden layer.
        groups: attribute name → columns, as `group_attributes` gives them.
    """

    def __init__(self, channels: int, hidden: int, groups: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, len(columns)))
            for columns in groups.values()
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """(B, C) → (B, V_a) scores for each attribute, in the order of the groups."""
        return [branch(features) for branch in self.branches]
