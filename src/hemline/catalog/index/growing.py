"""Arrays and texts that grow at their end without a copy of what a saved index has mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_SPARE = 32  # a saved array has room for one element in so many more,
_LEAST_SPARE = 4096  # and at least for so many


def room(length: int) -> int:
    """How many elements an array of ``length`` should have room for, so that it can grow."""
    return length + max(_LEAST_SPARE, length // _SPARE)


class GrowingArray:
    """An array that grows at its end, with spare capacity.

    ``data`` (n,) is its memory, of which the first ``length`` elements count; all of them if None.
    """

    def __init__(self, data: npt.NDArray[Any], length: int | None = None) -> None:
        self._buffer = data
        self._length = len(data) if length is None else length

    def __len__(self) -> int:
        return self._length

    @property
    def data(self) -> npt.NDArray[Any]:
        """A view of the elements."""
        return self._buffer[: self._length]

    def resize(self, length: int, fill: Any) -> None:
        if length > len(self._buffer) or not self._buffer.flags.writeable:
            buffer = np.empty(max(length, self._length * 5 // 4, 16), self._buffer.dtype)
            buffer[: self._length] = self.data
            self._buffer = buffer
        self._buffer[self._length : length] = fill
        self._length = max(self._length, length)


class Texts:
    """Texts by number, in Arrow arrays; new ones are never joined to much longer ones."""

    def __init__(self, pieces: Sequence[Any] = ()) -> None:
        self._pieces = [piece for piece in pieces if len(piece)]
        self._starts = np.zeros(0, np.int64)
        self._count()

    def _count(self) -> None:
        lengths = np.array([len(piece) for piece in self._pieces], np.int64)
        self._starts = np.cumsum(lengths) - lengths
        self._length = int(lengths.sum())

    def __len__(self) -> int:
        return self._length

    @property
    def pieces(self) -> list[Any]:
        """The Arrow arrays that have them, in order."""
        return list(self._pieces)

    def append(self, texts: Sequence[str]) -> None:
        """Adds texts behind the others."""
        if not texts:
            return
        self._pieces.append(pa.array(texts, pa.large_string()))
        while len(self._pieces) > 1 and 2 * len(self._pieces[-1]) > len(self._pieces[-2]):
            self._pieces[-2:] = [pa.concat_arrays(self._pieces[-2:])]
        self._count()

    def slices(self, size: int) -> Iterator[tuple[int, Any]]:
        """(number of the first, Arrow array) of at most ``size`` texts at a time, in order."""
        for start, piece in zip(self._starts.tolist(), self._pieces, strict=True):
            for at in range(0, len(piece), size):
                yield start + at, piece.slice(at, size)

    def take(self, numbers: npt.NDArray[Any]) -> Any:
        """The texts of ``numbers`` (n,), an Arrow array."""
        if len(self._pieces) == 1:
            return self._pieces[0].take(pa.array(numbers))
        empty = pa.array([], pa.large_string())
        owners = np.searchsorted(self._starts, numbers, "right") - 1
        found, places = [empty], [np.zeros(0, np.int64)]
        for owner in np.unique(owners).tolist():
            chosen = np.flatnonzero(owners == owner)
            own = numbers[chosen] - self._starts[owner]
            found.append(self._pieces[owner].take(pa.array(own)))
            places.append(chosen)
        order = np.argsort(np.concatenate(places))
        return pa.concat_arrays(found).take(pa.array(order))

    def to_pylist(self) -> list[str]:
        """All of them."""
        return [text for piece in self._pieces for text in piece.to_pylist()]
