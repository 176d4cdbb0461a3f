"""Tags as multi-hot rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt


def multi_hot(
    tags: Sequence[Sequence[str] | None],
    vocabulary: Sequence[str] | Mapping[str, int],
    unknown: Counter[str] | None = None,
) -> npt.NDArray[np.uint8]:
    """N lists of tags → (N, T) of 0 and 1.

    Args:
        tags: of each row; None is an empty list.
        vocabulary: the T tags in their order, or the column of each.
        unknown: counts the tags that the vocabulary lacks; they are ignored.

    >>> multi_hot([["b", "c"], None], ("a", "b"))
    array([[0, 1],
           [0, 0]], dtype=uint8)
    """
    columns = (
        vocabulary
        if isinstance(vocabulary, Mapping)
        else {tag: column for column, tag in enumerate(vocabulary)}
    )
    hot = np.zeros((len(tags), len(columns)), np.uint8)
    for row, own in enumerate(tags):
        for tag in own if own is not None else ():
            column = columns.get(tag)
            if column is not None:
                hot[row, column] = 1
            elif unknown is not None:
                unknown[tag] += 1
    return hot
