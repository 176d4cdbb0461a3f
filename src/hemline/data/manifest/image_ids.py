"""Default names of rows: the image's path, numbered if an image has several rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

#: Untyped: its published types lag behind its functions.
pc: Any = pyarrow.compute


def image_ids(given: Any, path: Any) -> Any:
    """Where ``given`` is empty: the path, and ``path#2``, ``path#3`` for its further rows."""
    missing = pc.equal(given, "").to_numpy(zero_copy_only=False)
    if not missing.any():
        return given
    codes = path.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(codes)), 0))
    nth = np.empty(len(codes), np.int64)
    nth[order] = np.arange(len(codes)) - start + 1
    later = pc.binary_join_element_wise(path, pa.array(nth).cast(pa.string()), "#")
    default = pc.if_else(pa.array(nth == 1), path, later)
    return pc.if_else(pa.array(missing), default, given)
