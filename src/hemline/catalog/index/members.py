"""Sets of slots that change in place, and a log of the slots that changed last."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from hemline.catalog.index.growing import GrowingArray, room

Mask = npt.NDArray[np.bool_]
Slots = npt.NDArray[np.int64]
_LOGGED = 64  # changes that are remembered


class SlotLog:
    """The slots of the last changes.

    Attributes:
        count: the number of all changes.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last: deque[Slots] = deque(maxlen=_LOGGED)

    def append(self, slots: Slots) -> None:
        """Logs a change of ``slots`` (n,)."""
        self.count += 1
        self._last.append(slots)

    def since(self, count: int) -> Slots | None:
        """The slots (n,) of the changes after the first ``count``; None if it forgot them."""
        changes = self.count - count
        if changes > len(self._last):
            return None
        recent = list(self._last)[len(self._last) - changes :]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *recent]))

    def forget(self) -> None:
        """Forgets the slots of all changes."""
        self._last.clear()


class Members:
    """Which of the slots from 0 on are in a set: as a mask, and one bit for each slot.

    Attributes:
        size: the number of members.
    """

    def __init__(self, mask: Mask) -> None:
        self.size = int(np.count_nonzero(mask))
        self._mask = _with_room(mask)
        self._bits = _with_room(np.packbits(mask, bitorder="little"))

    def __len__(self) -> int:
        return len(self._mask)

    @property
    def mask(self) -> Mask:
        """Whether each slot (n,) is a member."""
        return self._mask.data

    @property
    def bits(self) -> npt.NDArray[np.uint8]:
        """The same, eight slots to a byte, from the lowest bit on."""
        return self._bits.data

    def put(self, slots: Slots, member: Any) -> None:
        """Sets whether ``slots`` (n,), different ones, are members; those not known before aren't.

        ``member`` is one truth value or (n,).
        """
        self.resize(int(slots.max(initial=-1)) + 1)
        before = int(np.count_nonzero(self.mask[slots]))
        self.mask[slots] = member
        self.size += int(np.count_nonzero(self.mask[slots])) - before
        bit = np.left_shift(np.uint8(1), (slots % 8).astype(np.uint8))
        chosen = self.mask[slots]
        np.bitwise_or.at(self.bits, slots[chosen] // 8, bit[chosen])
        np.bitwise_and.at(self.bits, slots[~chosen] // 8, ~bit[~chosen])

    def resize(self, length: int) -> None:
        """Makes it known of slots below ``length``; new ones aren't members."""
        self._mask.resize(length, False)
        self._bits.resize(-(-length // 8), 0)


def _with_room(data: npt.NDArray[Any]) -> GrowingArray:
    buffer = np.zeros(room(len(data)), data.dtype)
    buffer[: len(data)] = data
    return GrowingArray(buffer, len(data))
