"""Brings a table to the manifest's columns and types, and finds all that is wrong with it.

Everything works on whole columns, so that half a million rows take seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from hemline.data.column_names import known_columns, normalized
from hemline.data.manifest.image_ids import image_ids
from hemline.data.manifest.problems import Problems, Rows
from hemline.data.manifest.storable import unstorable
from hemline.data.manifest.text import NUMBER, parse_landmarks, parse_tags
from hemline.text import text_problem
from hemline.types import DOMAINS, SPLITS

#: Its published types lag behind what the functions take.
pc: Any = pyarrow.compute

BOX = ("x1", "y1", "x2", "y2")
REQUIRED = ("path", "item_id", "domain")
TEXT = ("image_id", "path", "item_id", "domain", "role", "split", "category")
#: The manifest's own columns, in order; further columns follow as they are.
SCHEMA: dict[str, Any] = {
    **{name: pa.string() for name in TEXT},
    "tags": pa.list_(pa.string()),
    **{name: pa.float64() for name in BOX},
    "landmarks": pa.list_(pa.float32()),
}
ROLES = ("query", "gallery")
#: Column → the field under whose names shops keep it.
_FIELDS = {"item_id": "id", "path": "images"}
#: More pixels than a side of any image that is opened.
_FAR = 10_000_000


def canonical(table: Any, where: str, early: Problems | None = None) -> Any:
    """Validates ``table`` → the columns of `SCHEMA`, filled and typed, then all further ones.

    Tags, boxes and landmarks may be text, as in CSV. ``where`` names the table in the message,
    ``early`` has problems found while parsing.

    Raises:
        DataError: there are problems; one message lists them all, with row numbers.
    """
    problems = early or Problems(where, len(table))
    names = table.column_names
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        problems.general.append(f"the column {doubled[0]!r} is there twice")
        problems.stop()
    _check_names(names, problems)
    if len(table) == 0 and not problems.counts:
        problems.general.append("there are no rows; a manifest has a row for each picture")
    if problems.general or len(table) == 0:
        problems.stop()
    _check_storable(table, problems)
    columns: dict[str, Any] = {}
    for name in TEXT:
        columns[name] = _text(table, name, problems)
    columns["tags"] = _tags(table, problems)
    columns.update(_boxes(table, problems))
    columns["landmarks"] = _landmarks(table, problems)
    columns["image_id"] = image_ids(columns["image_id"], columns["path"])
    _check_words(columns, problems)
    _check_unique(columns["image_id"], problems)
    problems.stop()
    for name in names:
        if name and name not in SCHEMA and not name.startswith("__index_level_"):
            columns[name] = table[name]
    return pa.table(columns)


def _check_storable(table: Any, problems: Problems) -> None:
    """
    Raises:
        DataError: with what was found, as most functions fail on texts that aren't UTF-8.
    """
    before = len(problems.found)
    for name in table.column_names:
        if text_problem(name):
            problems.general.append(f"the name of a column: {text_problem(name)}")
        # In the manifest's own columns every control character is refused, in other words.
        found = unstorable(whole(table[name]), nul=name not in SCHEMA)
        problems.add(
            f"texts in {name!a} that can't be stored",
            sorted(found),
            lambda row, name=name, found=found: f"{name!a}: {found[row]}",  # type: ignore[misc]
        )
    if problems.general or len(problems.found) > before:
        problems.stop()


def _check_names(names: Sequence[str], problems: Problems) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if not missing:
        return
    others = [name for name in names if name not in SCHEMA]
    usual = known_columns({normalized(name): name for name in others}, {})
    close = {name: get_close_matches(name, others, n=1, cutoff=0.75) for name in missing}
    by_name = {name: usual[_FIELDS[name]] for name in missing if name in _FIELDS}
    close |= {name: list(found) for name, found in by_name.items() if found}
    guess = ", ".join(f"{found[0]!r} for {name!r}" for name, found in close.items() if found)
    problems.general.append(
        f"lacks the columns {', '.join(missing)} (found: {', '.join(names) or 'none'})"
        + (f"; did you mean {guess}?" if guess else "")
        + "; 'hemline data read csv' maps other names"
    )


def whole(column: Any) -> Any:
    """A chunked column → one array, without dictionary encoding."""
    if isinstance(column, pa.ChunkedArray):
        chunks = column.chunks
        column = pa.concat_arrays(chunks) if chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column


def _rows(mask: Any) -> Rows:
    """The rows, from 0, where an Arrow or NumPy mask is true."""
    if not isinstance(mask, np.ndarray):
        mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return np.flatnonzero(mask)


def _blank(rows: int) -> Any:
    """Empty text (rows,)."""
    return pa.array([""] * rows, pa.string())


def _text(table: Any, name: str, problems: Problems) -> Any:
    if name not in table.column_names:
        return _blank(len(table))
    column = whole(table[name])
    try:
        return pc.fill_null(column.cast(pa.string()), "")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        problems.general.append(f"the column {name!r} is {column.type}, not text")
        return _blank(len(table))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _tags(table: Any, problems: Problems) -> Any:
    kind = SCHEMA["tags"]
    empty = pa.array([[]], kind).take(pa.array(np.zeros(len(table), np.int64)))
    if "tags" not in table.column_names:
        return empty
    column = whole(table["tags"])
    if pa.types.is_null(column.type):
        return empty
    if _is_text(column.type):
        tags = parse_tags(column.cast(pa.string()))
    elif _is_list(column.type) and _is_text(column.type.value_type):
        tags = pc.if_else(column.is_null(), pa.scalar([], kind), column.cast(kind))
    elif _is_list(column.type) and pa.types.is_null(column.type.value_type):
        return empty
    else:
        problems.general.append(f"the column 'tags' is {column.type}, not a list of text")
        return empty
    flat = pc.fill_null(pc.list_flatten(tags), "")
    bare = pc.invert(pc.match_substring(flat, "="))
    flat = pc.if_else(bare, pc.binary_join_element_wise("tag=", flat, ""), flat)
    wrong = pc.invert(pc.match_substring_regex(flat, r"^[^=]*[^=\s][^=]*=(?s:.*\S)"))
    wrong = pc.or_(wrong, pc.match_substring_regex(flat, r"[\x00-\x1f]"))
    parents = pc.list_parent_indices(tags).to_numpy(zero_copy_only=False)
    rows = np.unique(parents[_rows(wrong)]).astype(np.int64)
    problems.add(
        "malformed tags",
        rows,
        lambda row: f"the tags {tags[row].as_py()} are not name=value each, neither part empty",
    )
    lengths = pc.list_value_length(tags).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def _side(
    table: Any, name: str, problems: Problems, reported: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """(N,) one side of the boxes; NaN where it is missing, infinite where it is no number.

    ``reported`` (N,) becomes true where it is no number.
    """
    none = np.full(len(table), np.nan)
    if name not in table.column_names:
        return none
    column = whole(table[name])
    if pa.types.is_null(column.type):
        return none
    if _is_text(column.type):
        text = pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), ""))
        valid = pc.match_substring_regex(text, NUMBER)
        wrong = pc.and_(pc.invert(valid), pc.not_equal(text, ""))
        problems.add(
            f"wrong {name}",
            _rows(wrong),
            lambda row: f"{name} is {text[row].as_py()!r}, not a number",
        )
        reported[_rows(wrong)] = True
        column = pc.if_else(valid, text, None).cast(pa.float64())
        column = pc.if_else(wrong, float("inf"), column)
    else:
        try:
            column = column.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            problems.general.append(f"the column {name!r} is {column.type}, not a number")
            return none
    return column.to_numpy(zero_copy_only=False).astype(np.float64)  # type: ignore[no-any-return]


def _boxes(table: Any, problems: Problems) -> dict[str, Any]:
    reported = np.zeros(len(table), bool)
    box = np.stack([_side(table, name, problems, reported) for name in BOX], axis=1)
    missing = np.isnan(box)
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    infinite = np.isinf(box).any(axis=1)
    flat = (box[:, 2] <= box[:, 0]) | (box[:, 3] <= box[:, 1])

    def tell(what: str) -> Callable[[int], str]:
        return lambda row: (
            f"the box {','.join('' if np.isnan(v) else f'{v:g}' for v in box[row])} {what}"
        )

    problems.add(
        "boxes partly missing",
        np.flatnonzero(partly),
        tell("lacks a side; give all of x1,y1,x2,y2 or none"),
    )
    problems.add(
        "boxes not finite", np.flatnonzero(infinite & ~partly & ~reported), tell("is not finite")
    )
    far = (np.abs(box) > _FAR).any(axis=1) & ~infinite
    problems.add(
        "boxes outside any picture",
        np.flatnonzero(far & ~partly),
        tell(f"lies more than {_FAR:,} pixels away, outside any picture"),
    )
    problems.add(
        "boxes without area",
        np.flatnonzero(flat & ~infinite & ~partly & ~far),
        tell("has no area; x2 > x1 and y2 > y1 are needed"),
    )
    none = missing.all(axis=1)
    return {name: pa.array(box[:, k], mask=none) for k, name in enumerate(BOX)}


def _landmarks(table: Any, problems: Problems) -> Any:
    kind = SCHEMA["landmarks"]
    if "landmarks" not in table.column_names:
        return pa.nulls(len(table), kind)
    column = whole(table["landmarks"])
    unreadable: Rows = np.zeros(0, np.int64)
    if pa.types.is_null(column.type):
        return pa.nulls(len(table), kind)
    if _is_text(column.type):
        column, unreadable = parse_landmarks(column.cast(pa.string()))
        problems.add(
            "landmarks that are no numbers",
            unreadable,
            lambda row: "the landmarks hold something that is no number",
        )
    else:
        try:
            if _is_list(column.type) and _is_list(column.type.value_type):
                column = pa.array(
                    [
                        None if row is None else [v for point in row for v in (point or [])]
                        for row in column.to_pylist()
                    ],
                    kind,
                )
            column = column.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError):
            problems.general.append(f"the column 'landmarks' is {column.type}, not 24 numbers")
            return pa.nulls(len(table), kind)
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero((lengths != 24) & (lengths >= 0))
    problems.add(
        "landmarks that are not 24 numbers",
        np.setdiff1d(wrong, unreadable),
        lambda row: f"the landmarks are {lengths[row]} numbers, not 24 (x, y, visibility × 8)",
    )
    full = np.setdiff1d(np.flatnonzero(lengths == 24), unreadable)
    flat = pc.list_flatten(column.take(pa.array(full)))
    points = flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 8, 3)
    seen = points[:, :, 2]
    problems.add(
        "landmarks with a wrong visibility",
        full[~np.isin(seen, (0, 1, 2)).all(axis=1)],
        lambda row: "a landmark's visibility is not 2 (visible), 1 (occluded) or 0 (absent)",
    )
    problems.add(
        "landmarks not finite",
        full[~np.isfinite(points[:, :, :2]).all(axis=(1, 2))],
        lambda row: "a landmark's place is not finite",
    )
    return column


def _check_words(columns: dict[str, Any], problems: Problems) -> None:
    for name in ("path", "item_id"):
        blank = pc.equal(pc.utf8_trim_whitespace(columns[name]), "")
        problems.add(f"empty {name}", _rows(blank), lambda row, name=name: f"{name} is empty")  # type: ignore[misc]
    for name in ("path", "item_id", "image_id", "category"):
        column = columns[name]
        problems.add(
            f"control characters in {name}",
            _rows(pc.match_substring_regex(column, r"[\x00-\x1f\x7f]")),
            lambda row, name=name, column=column: (  # type: ignore[misc]
                f"{name} {column[row].as_py()!r} has control characters"
            ),
        )
    allowed: dict[str, Sequence[str]] = {
        "domain": DOMAINS,
        "split": (*SPLITS, ""),
        "role": (*ROLES, ""),
    }
    for name, words in allowed.items():
        column = columns[name]
        wrong = pc.invert(pc.is_in(column, value_set=pa.array(words, pa.string())))
        known = " or ".join(word or "empty" for word in words)
        problems.add(
            f"wrong {name}",
            _rows(wrong),
            lambda row, name=name, column=column, known=known: (  # type: ignore[misc]
                f"{name} is {column[row].as_py()!r}, not {known}"
            ),
        )


def _check_unique(image_id: Any, problems: Problems) -> None:
    codes = image_id.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first = np.unique(codes, return_index=True)
    if len(first) == len(codes):
        return
    again = np.setdiff1d(np.arange(len(codes)), first)
    problems.add(
        "image_id twice",
        again,
        lambda row: (
            f"image_id {image_id[row].as_py()!r} is that of "
            f"row {problems.place(first[codes[row]]) + 1} too"
        ),
    )
