"""API keys of a catalogue: made, listed, revoked, and told apart in constant time.

A key is ``hemline_ID_SECRET``. Only the SHA-256 of its 256 random bits is stored: they can't be
guessed, so a slow hash would guard nothing and slow every request.
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
    """What is stored of a key.

    Attributes:
        id: its public part.
        name: who has it.
        scope: ``read``, or ``write``, which may read too.
        digest: SHA-256 of its secret.
        created: seconds since 1970.
    """

    id: str
    name: str
    scope: Scope
    digest: str
    created: float


class KeyRing:
    """The keys of one catalogue; reads its file anew when it was changed."""

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
        """A new key and what is stored of it; the key itself is never seen again.

        Raises:
            UsageError: no such scope.
        """
        if scope not in SCOPES:
            raise UsageError(f"a key's scope is {' or '.join(SCOPES)}, not {scope!r}")
        own, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        kind: Scope = "write" if scope == "write" else "read"
        key = Key(own, name or f"{scope} key", kind, _digest(secret), time.time())
        with self._lock:
            self._refresh()
            self._write({**self._keys, own: key})
        return f"hemline_{own}_{secret}", key

    def revoke(self, own: str) -> Key:
        """Takes a key out, by its id; a running service refuses it from its next request on.

        Raises:
            UsageError: there is none of this id.
        """
        with self._lock:
            self._refresh()
            if own not in self._keys:
                have = ", ".join(sorted(self._keys)) or "none"
                raise UsageError(f"no key {own!r}; there are: {have}")
            left = dict(self._keys)
            key = left.pop(own)
            self._write(left)
        return key

    def known(self, text: str) -> Key | None:
        """The key that was given, or None where it is nobody's."""
        with self._lock:
            self._refresh()
            found = _FORM.fullmatch(text)
            key = self._keys.get(found[1]) if found else None
        # The same work for every text, so that time tells nothing.
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
                f"{self._path} can't be read ({error}); delete it and create the keys anew"
            ) from None
        self._stamp = stamp

    def _write(self, keys: dict[str, Key]) -> None:
        rows = [asdict(key) for key in keys.values()]
        write_durable(self._path, json.dumps({"keys": rows}, indent=1) + "\n", mode=0o600)
        self._stamp = None
        self._refresh()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
