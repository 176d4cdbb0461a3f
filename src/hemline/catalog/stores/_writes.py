"""The writes of a commit to the database and the segments; the caller holds the transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

import numpy as np

from hemline.catalog.segments import Halves, Segments
from hemline.catalog.store import Ids, Row
from hemline.catalog.stores._database import Meta
from hemline.catalog.stores._rows import checksum, json_list, texts
from hemline.types import FloatArray

# Both take a row's texts, its revision, its id and its checksum, in a database that has those.
_ITEM = "(SELECT number FROM items WHERE item_id = ?2)"
_INSERT = f"""
INSERT INTO pictures
(image_id, item, domain, category, tags, columns, source, picture, revision, id{{}})
VALUES (?1, {_ITEM}, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10{{}})
"""
_UPDATE = f"""
UPDATE pictures SET item = {_ITEM}, domain = ?3, category = ?4, tags = ?5, columns = ?6,
source = ?7, picture = ?8, revision = ?9{{}} WHERE id = ?10
"""


def store(
    db: sqlite3.Connection,
    segments: Segments,
    rows: Sequence[Row],
    half: Halves,
    norm: FloatArray,
    revision: int,
) -> None:
    """Writes rows with distinct image_ids; a row whose stored vector is the same keeps its id."""
    known = dict(
        db.execute(
            "SELECT image_id, id FROM pictures WHERE image_id IN (SELECT value FROM json_each(?))",
            (json_list([row.image_id for row in rows]),),
        )
    )
    db.executemany(
        "INSERT OR IGNORE INTO items (item_id) VALUES (?)",
        [(item,) for item in dict.fromkeys(row.item_id for row in rows)],
    )
    same = _same(segments, rows, half, norm, known)
    replaced = [id_ for image, id_ in known.items() if image not in same]
    delete(db, np.array(replaced, np.int64), revision)
    new = [i for i, row in enumerate(rows) if row.image_id not in same]
    ids = append(db, segments, half[new], norm[new])
    summed = Meta(db).summed

    def values(row: Row, id_: int) -> tuple[object, ...]:
        stored = texts(row)
        found = (*stored, revision, id_)
        return (*found, checksum(id_, stored)) if summed else found

    insert = _INSERT.format(*(", checksum", ", ?11") if summed else ("", ""))
    pairs = zip(ids.tolist(), new, strict=True)
    db.executemany(insert, [values(rows[i], id_) for id_, i in pairs])
    update = _UPDATE.format(", checksum = ?11" if summed else "")
    kept = [row for row in rows if row.image_id in same]
    db.executemany(update, [values(row, same[row.image_id]) for row in kept])
    names = set[str]().union(*(row.columns for row in rows))
    db.executemany("INSERT OR IGNORE INTO columns VALUES (?)", [(name,) for name in names])


def _same(
    segments: Segments, rows: Sequence[Row], half: Halves, norm: FloatArray, known: dict[str, int]
) -> dict[str, int]:
    """image_id → id, of rows whose stored vector and norm are the same, and intact."""
    places = [i for i, row in enumerate(rows) if row.image_id in known]
    if not places:
        return {}
    ids = np.array([known[rows[i].image_id] for i in places], np.int64)
    intact = np.flatnonzero(segments.intact(ids))
    old = segments.records(ids[intact])
    chosen = np.array(places, np.int64)[intact]
    equal = (old["half"] == half[chosen]).all(axis=1) & (old["norm"] == norm[chosen])
    return {rows[i].image_id: known[rows[i].image_id] for i in chosen[equal].tolist()}


def append(db: sqlite3.Connection, segments: Segments, half: Halves, norm: FloatArray) -> Ids:
    """Appends vectors to the segments and records them in the database; returns their ids."""
    if not len(half):
        return np.zeros(0, np.int64)
    meta = Meta(db)
    ids = segments.append(meta.number("next_id"), half, norm)
    meta.set(next_id=int(ids[-1]) + 1)
    counts = [
        (int(number), int(ids[ids // segments.rows == number][-1]) % segments.rows + 1)
        for number in np.unique(ids // segments.rows)
    ]
    db.executemany("INSERT OR REPLACE INTO segments VALUES (?, ?)", counts)
    return ids


def delete(db: sqlite3.Connection, ids: Ids, revision: int) -> None:
    """Deletes rows and records the removals."""
    listed = ids.tolist()
    db.executemany("INSERT INTO removed VALUES (?, ?)", [(id_, revision) for id_ in listed])
    db.executemany("DELETE FROM pictures WHERE id = ?", [(id_,) for id_ in listed])


def delete_images(db: sqlite3.Connection, image_ids: Sequence[str], revision: int) -> None:
    """Deletes the rows of images."""
    found = db.execute(
        "SELECT id FROM pictures WHERE image_id IN (SELECT value FROM json_each(?))",
        (json_list(image_ids),),
    ).fetchall()
    delete(db, np.array([id_ for (id_,) in found], np.int64), revision)


def delete_items(
    db: sqlite3.Connection, item_ids: Collection[str], revision: int
) -> dict[str, int]:
    """Deletes items; returns item_id → number of images, of those that existed."""
    found = db.execute(
        "SELECT item_id, id FROM pictures JOIN items ON number = item "
        "WHERE item_id IN (SELECT value FROM json_each(?))",
        (json_list(list(item_ids)),),
    ).fetchall()
    delete(db, np.array([id_ for _, id_ in found], np.int64), revision)
    removed: dict[str, int] = {}
    for item, _ in found:
        removed[item] = removed.get(item, 0) + 1
    return removed
