"""API keys of a catalogue, and the rate limit of their requests.

A key is ``hemline_ID_SECRET``. Only the SHA-256 of its 256 random bits is stored: random bits
can't be guessed, so a slow hash would only slow every request.

The keys of one machine are a file (`KeyRing`), those of several machines in a database
(`hemline.service.database`).
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from hemline.documents import read_document, write_document
from hemline.errors import BusyError, DamageError, UsageError
from hemline.files import file_lock, make_folder, sync_folder, write_durable
from hemline.limits import QueryLimits
from hemline.text import check_text

FILE = "keys.json"
#: Says that the catalogue has had a key, also where the keys' file is lost.
REQUIRED = "keys.required"
LOCK = ".keys.lock"
Scope = Literal["read", "write"]
SCOPES: tuple[Scope, ...] = ("read", "write")
_FORMAT = 2  # 1 had neither limits, revoked keys nor a checksum
_PATIENCE = 30.0  # seconds that a change waits for another's
_YOUNG = 2.0  # seconds; a file may be replaced again within one tick of the clock of its times
_FORM = re.compile(r"hemline_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"").hexdigest()
_EXPLAINED = (
    "This catalogue has had an API key, so its service needs one of everybody.\n"
    "'hemline key reset CATALOG' deletes all keys, and this file.\n"
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored.

    Attributes:
        id: its public part; no other key, also a later one, has the same.
        name: of its owner; several keys may have the same.
        scope: ``read``, or ``write``, which includes reading.
        digest: SHA-256 of its secret; empty once it is revoked.
        created: seconds since 1970.
        limits: its own limits, by name.
        revoked: when it was revoked (seconds since 1970), or None.
    """

    id: str
    name: str
    scope: Scope
    digest: str
    created: float
    limits: Mapping[str, float] = field(default_factory=dict)
    revoked: float | None = None


class KeyStore(Protocol):
    """Where the keys of a service are kept.

    A change is on the disk when its method returns, and holds for every later `verify` in every
    process of the service.

    Attributes:
        remote: whether `verify` and `required` wait for another machine.
    """

    remote: bool

    @property
    def required(self) -> bool:
        """Whether everybody needs a key: from the first key on, also when all are revoked or the
        store can't be read."""
        ...

    def create(
        self, scope: str, name: str = "", limits: Mapping[str, float] | None = None
    ) -> tuple[str, Key]:
        """Creates a key; returns its text, which isn't stored, and its stored form.

        Raises:
            UsageError: no such scope, or a limit that isn't a finite number from 0 on.
            DamageError: the store is damaged.
        """
        ...

    def revoke(self, key_id: str) -> Key:
        """Revokes a key for good; a running service refuses it from its next request on.

        Raises:
            UsageError: no key has this id.
            DamageError: the store is damaged.
        """
        ...

    def list(self) -> tuple[Key, ...]:
        """All of them with the revoked ones, oldest first.

        Raises:
            DamageError: the store is damaged.
        """
        ...

    def verify(self, text: str) -> Key | None:
        """The valid key with this text, or None.

        Raises:
            DamageError: the store is damaged.
        """
        ...


class KeyRing:
    """The `KeyStore` of one machine: a file beside the catalogue, read again after a change.

    Changes hold a lock, so that none is lost to another process's; the file is replaced durably.
    """

    remote = False

    def __init__(self, state: Path) -> None:
        """
        Args:
            state: the service's folder in the catalogue.
        """
        self._state, self._path = state, state / FILE
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._keys: dict[str, Key] = {}
        self._required = False

    @property
    def required(self) -> bool:
        """See `KeyStore.required`. Once true it stays so in this process, also after a `reset`."""
        if not self._required:
            try:
                self._required = _exists(self._path) or _exists(self._state / REQUIRED)
            except OSError:  # a folder that may not be read
                return True
        return self._required

    def create(
        self, scope: str, name: str = "", limits: Mapping[str, float] | None = None
    ) -> tuple[str, Key]:
        """See `KeyStore.create`."""
        with self._changing() as keys:
            text, key = make_key(scope, name, limits, keys)
            keys[key.id] = key
        return text, key

    def revoke(self, key_id: str) -> Key:
        """See `KeyStore.revoke`. Its digest is deleted: nothing can make it valid again."""
        with self._changing() as keys:
            key = keys[key_id] = revoked_key(keys, key_id)
        return key

    def list(self) -> tuple[Key, ...]:
        """See `KeyStore.list`."""
        with self._lock:
            return tuple(sorted(self._current().values(), key=lambda key: key.created))

    def verify(self, text: str) -> Key | None:
        """See `KeyStore.verify`."""
        with self._lock:
            keys = self._current()
        return check_key(text, keys.get)

    def reset(self) -> int:
        """Deletes all keys; a service that starts from now on needs none on a loopback address.

        Returns:
            the number of keys that were valid; 0 where the file was damaged.
        """
        with self._locked():
            try:
                valid = sum(key.revoked is None for key in read_keys(self._path).values())
            except DamageError:
                valid = 0
            self._path.unlink(missing_ok=True)
            sync_folder(self._state)
            (self._state / REQUIRED).unlink(missing_ok=True)
            sync_folder(self._state)
        return valid

    def _current(self) -> dict[str, Key]:
        """The stored keys; the caller holds the thread lock."""
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            self._keys, self._stamp = {}, None
            return self._keys
        except OSError as error:
            raise _closed(f"{self._path} can't be read: {error.strerror}") from None
        if not self._required:
            self._required = True
            with suppress(OSError, BusyError):
                if not _exists(self._state / REQUIRED):  # older versions wrote none
                    with self._locked():
                        self._remember()
        stamp = stat.st_mtime_ns, stat.st_ino, stat.st_size
        if stamp != self._stamp:
            self._stamp = None
            self._keys = read_keys(self._path)
            if abs(time.time() - stat.st_mtime) > _YOUNG:
                self._stamp = stamp
        return self._keys

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make_folder(self._state)
        busy = BusyError(f"another process is changing the keys in {self._state}; try again")
        with file_lock(self._state / LOCK, busy, _PATIENCE):
            yield

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Yields the stored keys; as they are when the block ends, they are stored durably."""
        with self._locked():
            keys = read_keys(self._path)
            yield keys
            _write(self._path, keys)
            self._remember()

    def _remember(self) -> None:
        """Writes down that there was a key; the caller holds the file lock."""
        with suppress(OSError):  # then the next change, or the next process, does
            if _exists(self._path) and not _exists(self._state / REQUIRED):
                write_durable(self._state / REQUIRED, _EXPLAINED)


def make_key(
    scope: str, name: str, limits: Mapping[str, float] | None, taken: Collection[str]
) -> tuple[str, Key]:
    """A new key's text and its stored form, with an id that isn't among ``taken``.

    Raises:
        UsageError: as `KeyStore.create`.
    """
    if scope not in SCOPES:
        raise UsageError(f"a key's scope is {' or '.join(SCOPES)}, not {scope!r}")
    for limit, value in (limits or {}).items():
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"the limit {limit} is a number from 0 on, not {value}")
    check_text([name, *(limits or {})], "a key")
    QueryLimits().lowered(limits or {})  # refuses unknown names
    kind: Scope = "write" if scope == "write" else "read"
    secret = secrets.token_urlsafe(32)
    key_id = secrets.token_hex(4)
    while key_id in taken:
        key_id = secrets.token_hex(4)
    name = name or f"{scope} key"
    key = Key(key_id, name, kind, _digest(secret), time.time(), dict(limits or {}))
    return f"hemline_{key_id}_{secret}", key


def revoked_key(keys: Mapping[str, Key], key_id: str) -> Key:
    """A key as it is stored once it is revoked.

    Raises:
        UsageError: there is no such key, or it is revoked already.
    """
    valid = {key.id: f"{key.id} ({key.name})" for key in keys.values() if not key.revoked}
    if key_id not in valid:
        again = "is revoked already" if key_id in keys else "is no key's id"
        names = ", ".join(valid.values()) or "none"
        raise UsageError(f"{key_id!r} {again}; the keys are: {names}")
    return replace(keys[key_id], digest="", revoked=time.time())


def check_key(text: str, find: Callable[[str], Key | None]) -> Key | None:
    """The valid key with this text, or None; ``find`` gives the key of an id."""
    found = _FORM.fullmatch(text)
    key = find(found[1]) if found else None
    valid = key is not None and key.revoked is None
    # Equal work for every text, so that the time reveals nothing.
    digest = _digest(found[2] if found else text)
    same = hmac.compare_digest(digest, key.digest if key and valid else _NOBODY)
    return key if same and valid else None


def _write(path: Path, keys: Mapping[str, Key]) -> None:
    rows = [asdict(key) for key in keys.values()]
    write_document(path, {"format": _FORMAT, "keys": rows}, mode=0o600)


def read_keys(path: Path) -> dict[str, Key]:
    """The keys of a file; none where there is no file.

    Raises:
        DamageError: the file is damaged or can't be read.
    """
    try:
        content = read_document(path)
        keys = [Key(**row) for row in content.pop("keys")]
        if content not in ({}, {"format": _FORMAT}):  # a damaged name of a member among them
            raise DamageError(f"{path} is of another format: {str(content)[:100]}")
    except FileNotFoundError:
        return {}
    except (KeyError, TypeError) as error:
        raise _closed(f"{path} holds no keys: {error}") from None
    except DamageError as error:
        raise _closed(str(error)) from None
    return {key.id: key for key in keys}


def _closed(what: str) -> DamageError:
    return DamageError(
        f"{what}. No key is valid until a copy of the file is put back, or it is deleted and new "
        "keys are made"
    )


def _exists(path: Path) -> bool:
    """
    Raises:
        OSError: that can't be told.
    """
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


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
