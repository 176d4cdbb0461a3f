"""The journal of searches and feedback, an SQLite file beside the catalogue.

A thread writes searches in groups, so that no answer waits for the disk. A search is stored with
its hits, and without its photo unless the service keeps photos.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hemline.files import disk_full, file_lock, make_folder
from hemline.service import kept_photos
from hemline.service.logs import bounded, log
from hemline.service.problems import Problem, unavailable
from hemline.service.triplets import triplets_of

T = TypeVar("T")

FILE = "journal.sqlite"
#: Number of searches that are kept; those with feedback stay.
KEPT = 100_000
SECONDS = 0.5  # between two writes
#: Searches that wait in memory while the disk is full.
_WAITING = 2_000
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS searches (
  id TEXT PRIMARY KEY, time REAL, request TEXT, hits TEXT, timings TEXT, photo BLOB
);
CREATE INDEX IF NOT EXISTS searches_time ON searches (time);
CREATE TABLE IF NOT EXISTS feedback (
  search TEXT, item TEXT, right INTEGER, time REAL, PRIMARY KEY (search, item)
);
"""
    + kept_photos.TABLE
)


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
    """The searches and feedback of one service; several processes may share one.

    No search fails because of it. While its file can't be written, the latest searches wait in
    memory. A damaged file is set aside as ``journal-damaged-N.sqlite``, and a new one begun.

    Attributes:
        problem: why it couldn't be written or read of late; empty once it was written again.
    """

    def __init__(self, state: Path, kept: int = KEPT, days: int = 0) -> None:
        """
        Args:
            state: the service's folder.
            kept: number of searches.
            days: for which photos are kept from now on; those kept before have their own term.
        """
        self._path, self._kept, self._days = state / FILE, kept, days
        self.problem = ""
        self._pending: dict[str, Search] = {}
        self._lock, self._moving = threading.Lock(), threading.Lock()
        self._stop = threading.Event()
        self._anchor: sqlite3.Connection | None = None
        with contextlib.suppress(Problem):
            self.expire()
        self._thread = threading.Thread(target=self._keep, name="hemline-journal", daemon=True)
        self._thread.start()

    def note(self, search: Search) -> None:
        """Queues a search to be written; long texts of its request are shortened (`bounded`)."""
        request = {n: bounded(v) if isinstance(v, str) else v for n, v in search.request.items()}
        search = replace(search, request=request)
        with self._lock:
            self._pending[search.id] = search
            while len(self._pending) > _WAITING:  # the disk is full; feedback is on the latest
                del self._pending[next(iter(self._pending))]

    def hits_of(self, search_id: str) -> tuple[str, ...] | None:
        """The item_ids of a search's hits, or None for an unknown search.

        Raises:
            Problem: 503 or 507, the journal can't be read.
        """
        with self._lock:
            pending = self._pending.get(search_id)
        if pending is not None:
            return tuple(hit[0] for hit in pending.hits)
        text = self._hits(search_id)
        hits = None if text is None else _value(text)
        return tuple(hit[0] for hit in hits) if hits is not None else None

    def _hits(self, search_id: str) -> str | None:
        """The stored hits of a search, or None."""
        sql = "SELECT hits FROM searches WHERE id = ?"
        row = self._run(lambda db: db.execute(sql, (search_id,)).fetchone())
        found: str | None = row[0] if row else None
        return found

    def judge(self, search_id: str, item: str, right: bool | None) -> None:
        """Stores durably that a hit was right or wrong, in place of earlier feedback on it; None
        deletes the feedback.

        Raises:
            Problem: 503 or 507, it can't be stored.
        """
        self.flush()
        self._judge(search_id, item, right)

    def _judge(self, search_id: str, item: str, right: bool | None) -> None:
        def store(db: sqlite3.Connection) -> None:
            if right is None:
                db.execute("DELETE FROM feedback WHERE search = ? AND item = ?", (search_id, item))
                return
            db.execute(
                "INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?)",
                (search_id, item, int(right), time.time()),
            )

        self._write(store, durable=True)

    def recent(self, count: int) -> list[dict[str, Any]]:
        """The last searches, latest first: time, request, timings, number of hits."""
        with contextlib.suppress(Problem):
            self.flush()
        with self._lock:
            waiting = sorted(self._pending.values(), key=lambda search: -search.time)
        found = [
            {"time": s.time, "request": dict(s.request), "timings_ms": dict(s.timings_ms),
             "hits": len(s.hits)}
            for s in waiting[:count]
        ]  # fmt: skip
        stored: list[tuple[Any, ...]] = []
        with contextlib.suppress(Problem):
            stored = self._recent(count)
        for when, *texts in stored[: count - len(found)]:
            request, timings, hits = map(_value, texts)
            if None not in (request, timings, hits):
                shown = {"time": when, "request": request, "timings_ms": timings}
                found.append({**shown, "hits": len(hits)})
        return found

    def _recent(self, count: int) -> list[tuple[Any, ...]]:
        """The last stored searches: time, and request, timings and hits as JSON."""
        sql = "SELECT time, request, timings, hits FROM searches ORDER BY time DESC LIMIT ?"
        return self._run(lambda db: db.execute(sql, (count,)).fetchall())

    def judged(self) -> dict[str, int]:
        """Numbers of hits with the feedback right and wrong."""
        found: dict[int, int] = {}
        with contextlib.suppress(Problem):
            found = self._judged()
        return {"right": found.get(1, 0), "wrong": found.get(0, 0)}

    def _judged(self) -> dict[int, int]:
        sql = "SELECT right, COUNT(*) FROM feedback GROUP BY right"
        return self._run(lambda db: dict(db.execute(sql)))

    def triplets(self) -> Iterator[dict[str, Any]]:
        """Anchor, positive, negative: each right hit of a search with each wrong one.

        Without wrong hits, the hits before the right one are the negatives (``negative_is``:
        ``passed over``): they were seen and not chosen. A right first hit has none (``negative``
        is None, ``negative_is`` ``none``), a wrong hit of a search without a right one no
        ``positive``.

        Raises:
            Problem: 503 or 507, the journal can't be read.
        """
        return self._triplets(self._feedback())

    def _feedback(self) -> list[tuple[str, str]]:
        """Each search with feedback, and the feedback on its hits as JSON."""
        with contextlib.suppress(Problem):
            self.flush()
        return self._feedback_stored()

    def _feedback_stored(self) -> list[tuple[str, str]]:
        sql = "SELECT search, json_group_object(item, right) FROM feedback GROUP BY search"
        return self._run(lambda db: db.execute(sql).fetchall())

    def _triplets(self, judged: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
        for search_id, feedback in judged:
            row = self._search(search_id)
            if row is None:
                continue
            values: list[Any] = [_value(text) for text in (feedback, *row[:2])]
            if None not in values:
                yield from triplets_of(search_id, *values, *row[2:])

    def _search(self, search_id: str) -> tuple[Any, ...] | None:
        """A stored search: request and hits as JSON, photo, time."""
        sql = "SELECT request, hits, photo, time FROM searches WHERE id = ?"
        row: tuple[Any, ...] | None = self._run(lambda db: db.execute(sql, (search_id,)).fetchone())
        return row

    def flush(self) -> None:
        """Writes the queued searches.

        Raises:
            Problem: 503 or 507, they can't be written; they stay queued.
        """
        with self._lock:
            pending = list(self._pending.values())
        if not pending:
            return
        self._store(pending)
        with self._lock:
            for search in pending:
                self._pending.pop(search.id, None)

    def _store(self, searches: Sequence[Search]) -> None:
        rows = [
            (s.id, s.time, to_json(dict(s.request)), to_json(s.hits), to_json(dict(s.timings_ms)),
             s.photo)
            for s in searches
        ]  # fmt: skip
        sql = "INSERT OR IGNORE INTO searches VALUES (?, ?, ?, ?, ?, ?)"
        photos = [(s.id, s.time) for s in searches if s.photo is not None]

        def store(db: sqlite3.Connection) -> None:
            db.executemany(sql, rows)
            kept_photos.note(db, photos, self._days)

        self._write(store)

    def prune(self) -> None:
        """Deletes the oldest searches beyond the number kept, except those with feedback."""
        sql = (
            "DELETE FROM searches WHERE time <= (SELECT time FROM searches ORDER BY time DESC "
            "LIMIT 1 OFFSET ?) AND id NOT IN (SELECT search FROM feedback)"
        )
        self._write(lambda db: db.execute(sql, (self._kept,)))

    def expire(self) -> None:
        """Deletes the photos whose days are over; the searches stay."""
        self._run(lambda db: kept_photos.expire(db, self._days))

    def close(self) -> None:
        """Writes the queued searches, if that can be done, and stops."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(Problem):
            self.flush()
        self._release()

    def _keep(self) -> None:
        rounds = 0
        while not self._stop.wait(SECONDS):
            with contextlib.suppress(Problem):  # searches continue, and the next round tries again
                self.flush()
                rounds += 1
                if rounds % 120 == 0:
                    self.expire()
                if rounds % 600 == 0:
                    self.prune()

    # The file

    def _run(self, work: Callable[[sqlite3.Connection], T], durable: bool = False) -> T:
        """Runs ``work`` in a transaction; again in a new file where this one is damaged.

        Raises:
            Problem: 503 or 507, the file can't be written or read.
        """
        try:
            found = self._inode()
            try:
                result = self._once(work, durable)
            except sqlite3.DatabaseError as error:
                odd = os.path.lexists(self._path) and not self._path.is_file()
                if not (odd or _damaged(error)):
                    raise
                self._set_aside(found, error)
                result = self._once(work, durable)
        except (sqlite3.Error, OSError) as error:
            if not self.problem:
                log("journal failed", reason=str(error))
            self.problem = "the disk is full" if disk_full(error) else "it can't be written"
            raise unavailable(error, "the journal of searches can't be used now") from None
        return result

    def _write(self, work: Callable[[sqlite3.Connection], T], durable: bool = False) -> None:
        self._run(work, durable)
        self.problem = ""

    def _once(self, work: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        with closing(self._open()) as db:
            with db:
                db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                result = work(db)
            with self._moving:
                if self._anchor is None and not self._stop.is_set():
                    self._anchor = self._open()
            return result

    def _open(self) -> sqlite3.Connection:
        make_folder(self._path.parent)
        db = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        try:
            db.text_factory = _text
            tables = "('searches', 'feedback', 'photos')"
            sql = f"SELECT COUNT(*) FROM sqlite_master WHERE name IN {tables}"
            if db.execute(sql).fetchone()[0] < 3:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(_TABLES)
        except BaseException:
            db.close()
            raise
        return db

    def _release(self) -> None:
        """Closes the connection that stays open, so that a full disk lets others be opened."""
        with self._moving:
            if self._anchor is not None:
                self._anchor.close()
                self._anchor = None

    def _inode(self) -> int:
        try:
            return self._path.lstat().st_ino
        except OSError:
            return 0

    def _set_aside(self, inode: int, error: sqlite3.Error) -> None:
        """Renames the damaged file, unless another process has done so."""
        self._release()
        busy = sqlite3.OperationalError("another process sets the damaged journal aside")
        with file_lock(self._path.with_name("journal.lock"), busy, 5.0):
            if self._inode() != inode:
                return
            numbers = itertools.count(1)
            places = (self._path.with_name(f"journal-damaged-{n}.sqlite") for n in numbers)
            place = next(place for place in places if not os.path.lexists(place))
            for end in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{self._path}{end}", f"{place}{end}")
            log("journal damaged", reason=str(error), kept_as=place.name)


def _damaged(error: sqlite3.Error) -> bool:
    # The low byte of an extended code is its primary code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def to_json(value: Any) -> str:
    """A value as JSON, without an escape of six bytes for each letter beyond ASCII."""
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()  # lone surrogates as \uXXXX


def _value(text: str) -> Any:
    """The value of a cell of JSON; None for a damaged one."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
