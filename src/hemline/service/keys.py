"""API keys of a catalogue, and the rate limit of their requests.

A key is ``hemline_ID_SECRET``. Only the SHA-256 of its 256 random bits is stored: random bits
can't be guessed, so a slow hash would only slow every request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from hemline.errors import DataError, UsageError
from hemline.files import write_durable

FILE = "keys.json"
Scope = Literal["read", "write"]
SCOPES: tuple[Scope, ...] = ("read", "write")
_FORM = re.compile(r"hemline_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored.

    Attributes:
        id: its public part.
        name: of its owner.
        scope: ``read``, or ``write``, which includes reading.
        digest: SHA-256 of its secret.
        created: seconds since 1970.
    """

    id: str
    name: str
    scope: Scope
    digest: str
    created: float


class KeyRing:
    """The keys of one catalogue; reads its file again after a change."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, Key] = {}

    def all(self) -> tuple[Key, ...]:
        """All of them, oldest first.

        Raises:
            DataError: the file is damaged.
        """
        with self._lock:
            self._refresh()
            return tuple(sorted(self._keys.values(), key=lambda key: key.created))

    def create(self, scope: str, name: str = "") -> tuple[str, Key]:
        """Creates a key; returns its text, which isn't stored, and its stored form.

        Raises:
            UsageError: no such scope.
        """
        if scope not in SCOPES:
            raise UsageError(f"a key's scope is {' or '.join(SCOPES)}, not {scope!r}")
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        kind: Scope = "write" if scope == "write" else "read"
        key = Key(key_id, name or f"{scope} key", kind, _digest(secret), time.time())
        with self._lock:
            self._refresh()
            self._write({**self._keys, key_id: key})
        return f"hemline_{key_id}_{secret}", key

    def revoke(self, key_id: str) -> Key:
        """Removes a key by its id; a running service refuses it from its next request on.

        Raises:
            UsageError: no key has this id.
        """
        with self._lock:
            self._refresh()
            if key_id not in self._keys:
                have = ", ".join(sorted(self._keys)) or "none"
                raise UsageError(f"no key {key_id!r}; the keys are: {have}")
            rest = dict(self._keys)
            key = rest.pop(key_id)
            self._write(rest)
        return key

    def known(self, text: str) -> Key | None:
        """The key with this text, or None."""
        with self._lock:
            self._refresh()
            found = _FORM.fullmatch(text)
            key = self._keys.get(found[1]) if found else None
        # Equal work for every text, so that the time reveals nothing.
        digest = _digest(found[2] if found else text)
        same = hmac.compare_digest(digest, key.digest if key else _NOBODY)
        return key if same else None

    def _refresh(self) -> None:
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            self._keys, self._stamp = {}, None
            return
        stamp = stat.st_mtime_ns, stat.st_ino
        if stamp == self._stamp:
            return
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))["keys"]
            self._keys = {row["id"]: Key(**row) for row in rows}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self._path} can't be read ({error}); delete it and create new keys"
            ) from None
        self._stamp = stamp

    def _write(self, keys: dict[str, Key]) -> None:
        rows = [asdict(key) for key in keys.values()]
        write_durable(self._path, json.dumps({"keys": rows}, indent=1) + "\n", mode=0o600)
        self._stamp = None
        self._refresh()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class RateLimit:
    """Token buckets: each name may pass ``rate`` times a second, and ``burst`` times at once.

    The buckets of the names seen last are kept; any other name starts with a full one.
    """

    def __init__(self, rate: float, burst: float | None = None, names: int = 10_000) -> None:
        self._rate, self._burst, self._names = rate, burst or max(1.0, 2 * rate), names
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, name: str, now: float | None = None) -> float:
        """Takes a token and returns 0; or returns the seconds until the next token."""
        now = time.monotonic() if now is None else now
        with self._lock:
            tokens, since = self._buckets.get(name, (self._burst, now))
            tokens = min(self._burst, tokens + (now - since) * self._rate)
            passes = tokens >= 1
            self._buckets[name] = (tokens - 1 if passes else tokens, now)
            self._buckets.move_to_end(name)
            if len(self._buckets) > self._names:
                self._buckets.popitem(last=False)
        return 0.0 if passes else (1 - tokens) / self._rate
