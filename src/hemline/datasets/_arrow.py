"""Arrow untyped, since its published types lag behind its functions; lists of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute

from hemline.data.manifest.validate import SCHEMA

pa: Any = pyarrow
pc: Any = pyarrow.compute

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def word_lists(rows: Ints, codes: Ints, words: Sequence[str], count: int) -> Any:
    """Pairs of a row (M,), ascending, and a word's index (M,) → lists of text (count,)."""
    size = np.bincount(rows, minlength=count)
    offsets = np.append(0, np.cumsum(size)).astype(np.int32)
    flat = pa.array(list(words), pa.string()).take(pa.array(codes.astype(np.int64)))
    return pa.ListArray.from_arrays(pa.array(offsets), flat).cast(SCHEMA["tags"])


def index_of(names: Any, wanted: Any) -> Ints:
    """(M,) the first index in ``names`` (N,) of each of ``wanted`` (M,); -1 if there is none."""
    found = pc.fill_null(pc.index_in(wanted, value_set=names), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def true(mask: Any) -> Mask:
    """An Arrow column of booleans → NumPy; null is false."""
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), bool)


def words(values: Any) -> Any:
    """A NumPy array of text → an Arrow one."""
    return pa.array(values.tolist(), pa.string())
