"""The journal of searches and feedback, an SQLite file beside the catalogue.

A thread writes searches in groups, so that no answer waits for the disk. A search is stored with
its hits, and without its photo unless the service keeps photos.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "journal.sqlite"
#: Number of searches that are kept; those with feedback stay.
KEPT = 100_000
_SECONDS = 0.5
_TABLES = """
CREATE TABLE IF NOT EXISTS searches (
  id TEXT PRIMARY KEY, time REAL, request TEXT, hits TEXT, timings TEXT, photo BLOB
);
CREATE INDEX IF NOT EXISTS searches_time ON searches (time);
CREATE TABLE IF NOT EXISTS feedback (
  search TEXT, item TEXT, right INTEGER, time REAL, PRIMARY KEY (search, item)
);
"""


@dataclass(frozen=True, slots=True)
class Search:
    """One search.

    Attributes:
        id: for feedback.
        request: box, k, where …; ``like`` for a query by a product.
        hits: (item_id, image_id, score) of each, best first.
        timings_ms: of its steps.
        photo: JPEG of the searched part, where photos are kept.
        time: seconds since 1970.
    """

    id: str
    request: Mapping[str, Any]
    hits: tuple[tuple[str, str, float], ...]
    timings_ms: Mapping[str, float]
    photo: bytes | None = None
    time: float = field(default_factory=time.time)


class Journal:
    """The searches and feedback of one service; several processes may share one."""

    def __init__(self, state: Path, kept: int = KEPT) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._path, self._kept = state / FILE, kept
        self._pending: dict[str, Search] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        with closing(self._open()) as db, db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_TABLES)
        self._thread = threading.Thread(target=self._keep, name="hemline-journal", daemon=True)
        self._thread.start()

    def note(self, search: Search) -> None:
        """Queues a search to be written."""
        with self._lock:
            if len(self._pending) < self._kept:
                self._pending[search.id] = search

    def hits_of(self, search_id: str) -> tuple[str, ...] | None:
        """The item_ids of a search's hits, or None for an unknown search."""
        with self._lock:
            pending = self._pending.get(search_id)
        if pending is not None:
            return tuple(hit[0] for hit in pending.hits)
        with closing(self._open()) as db:
            row = db.execute("SELECT hits FROM searches WHERE id = ?", (search_id,)).fetchone()
        return tuple(hit[0] for hit in json.loads(row[0])) if row else None

    def judge(self, search_id: str, item: str, right: bool | None) -> None:
        """Stores durably that a hit was right or wrong, in place of earlier feedback on it; None
        deletes the feedback."""
        self.flush()
        with closing(self._open()) as db, db:
            db.execute("PRAGMA synchronous = FULL")
            if right is None:
                db.execute("DELETE FROM feedback WHERE search = ? AND item = ?", (search_id, item))
                return
            db.execute(
                "INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?)",
                (search_id, item, int(right), time.time()),
            )

    def recent(self, count: int) -> list[dict[str, Any]]:
        """The last searches, latest first: time, request, timings, number of hits."""
        self.flush()
        with closing(self._open()) as db:
            rows = db.execute(
                "SELECT time, request, timings, json_array_length(hits) FROM searches "
                "ORDER BY time DESC LIMIT ?",
                (count,),
            ).fetchall()
        return [
            {
                "time": when,
                "request": json.loads(request),
                "timings_ms": json.loads(timings),
                "hits": hits,
            }
            for when, request, timings, hits in rows
        ]

    def judged(self) -> dict[str, int]:
        """Numbers of hits with the feedback right and wrong."""
        with closing(self._open()) as db:
            found = dict(db.execute("SELECT right, COUNT(*) FROM feedback GROUP BY right"))
        return {"right": found.get(1, 0), "wrong": found.get(0, 0)}

    def triplets(self) -> Iterator[dict[str, Any]]:
        """Anchor, positive, negative: each right hit of a search with each wrong one.

        Without wrong hits, the hits before the right one are the negatives (``negative_is``:
        ``passed over``): they were seen and not chosen.
        """
        self.flush()
        with closing(self._open()) as db:
            judged = db.execute(
                "SELECT search, json_group_object(item, right) FROM feedback GROUP BY search"
            ).fetchall()
            for search_id, feedback in judged:
                row = db.execute(
                    "SELECT request, hits, photo, time FROM searches WHERE id = ?", (search_id,)
                ).fetchone()
                if row is not None:
                    yield from _triplets(search_id, json.loads(feedback), *row)

    def flush(self) -> None:
        """Writes the queued searches."""
        with self._lock:
            pending = list(self._pending.values())
        if not pending:
            return
        with closing(self._open()) as db, db:
            db.executemany(
                "INSERT OR IGNORE INTO searches VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (s.id, s.time, json.dumps(dict(s.request)), json.dumps(s.hits),
                     json.dumps(dict(s.timings_ms)), s.photo)
                    for s in pending
                ],
            )  # fmt: skip
        with self._lock:
            for search in pending:
                self._pending.pop(search.id, None)

    def prune(self) -> None:
        """Deletes the oldest searches beyond the number kept, except those with feedback."""
        with closing(self._open()) as db, db:
            db.execute(
                "DELETE FROM searches WHERE time <= (SELECT time FROM searches ORDER BY time DESC "
                "LIMIT 1 OFFSET ?) AND id NOT IN (SELECT search FROM feedback)",
                (self._kept,),
            )

    def close(self) -> None:
        """Writes the queued searches and stops."""
        self._stop.set()
        self._thread.join()
        self.flush()

    def _keep(self) -> None:
        rounds = 0
        while not self._stop.wait(_SECONDS):
            try:
                self.flush()
                rounds += 1
                if rounds % 600 == 0:
                    self.prune()
            except sqlite3.Error:  # a full disk: searches continue, and the next round tries again
                continue

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=10)
        db.execute("PRAGMA synchronous = NORMAL")
        return db


def _triplets(
    search_id: str,
    feedback: Mapping[str, int],
    request: str,
    hits: str,
    photo: bytes | None,
    when: float,
) -> Iterator[dict[str, Any]]:
    found = json.loads(hits)
    images = {item: image for item, image, _ in found}
    order = [item for item, _, _ in found]
    wrong = [item for item, right in feedback.items() if not right]
    for positive in (item for item, right in feedback.items() if right):
        before = order[: order.index(positive)] if positive in order else []
        passed = [item for item in before if item not in feedback]
        for negative in wrong or passed:
            yield {
                "search_id": search_id,
                "time": when,
                "anchor": {
                    "item_id": json.loads(request).get("like"),
                    "box": json.loads(request).get("box"),
                    "photo": None if photo is None else base64.b64encode(photo).decode("ascii"),
                },
                "positive": {"item_id": positive, "image_id": images.get(positive)},
                "negative": {"item_id": negative, "image_id": images.get(negative)},
                "negative_is": "wrong" if wrong else "passed over",
            }
