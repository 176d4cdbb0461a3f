"""Brings images from their addresses into the cache, with retries and bounds."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemline.data.remote.addresses import Address, Allowed, parse_address, without_secrets
from hemline.data.remote.cache import Entry, RemoteCache, Version, now
from hemline.data.remote.failures import Passing
from hemline.data.remote.settings import RemoteSettings
from hemline.errors import ImageError
from hemline.files import home

#: Seconds before the first further attempt; each is twice the one before, up to the longest.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
#: Images in a row that a host couldn't be asked for, before it is left alone.
_GIVEN_UP = 20
#: Why an address isn't fetched where no host is allowed.
NOT_FETCHED = "is an address, and nothing is fetched unless its host is allowed (--allow-host)"


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An image at an allowed address.

    Attributes:
        address: of it.
        where: the row that names it, as ``row 17``.
        fetcher: brings it.
    """

    address: Address
    where: str
    fetcher: Fetcher

    @property
    def path(self) -> Path:
        """Its file in the cache, which need not be there."""
        return self.fetcher.path(self.address)

    def fetch(self) -> Path:
        """Its file, after it was fetched.

        Raises:
            ImageError: with the row, the address without secrets, and the reason.
        """
        try:
            return self.fetcher.fetch(self.address)
        except ImageError as error:
            raise self.error(str(error)) from None

    def unusable(self, reason: str) -> ImageError:
        """The error for content that can't be opened; it is fetched anew by the next run."""
        self.fetcher.forget(self.address)
        return self.error(reason)

    def error(self, reason: str) -> ImageError:
        return ImageError(f"{self.where}: {self.address.name[:300]} {reason}")


def found_remote(text: str, where: str, fetcher: Fetcher | None) -> tuple[RemoteImage | None, str]:
    """The image at an address, or None and why it can't be fetched."""
    if fetcher is None:
        return None, NOT_FETCHED
    try:
        return fetcher.find(text, where), ""
    except ImageError as error:
        return None, str(error)


class Fetcher:
    """Fetches images from where an operator allows it; used by many threads.

    As a context manager it ends what waits for further attempts when the block ends.
    """

    def __init__(self, settings: RemoteSettings, wait: Callable[[float], object] | None = None):
        """
        Args:
            settings: hosts, bounds, cache.
            wait: waits so many seconds between attempts.

        Raises:
            ModuleNotFoundError: fsspec or aiohttp isn't installed.
        """
        from hemline.data.remote.web import Web

        self.settings = settings
        self._allowed = Allowed(settings.allow, settings.networks)
        folder = settings.cache or home() / "remote"
        self._cache = RemoteCache(folder, settings.max_bytes, settings.cache_bytes)
        self._web = Web(settings, self._allowed)
        self._ended = threading.Event()
        self._wait = wait or self._ended.wait
        self._buckets: dict[str, Any] = {}
        self._failed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def find(self, text: str, where: str) -> RemoteImage:
        """The image at an address, which isn't fetched yet.

        Args:
            text: the address.
            where: the row that names it.

        Raises:
            ImageError: it can't or mustn't be fetched; with row, address and reason.
        """
        try:
            address = parse_address(text)
            self._allowed.check(address)
        except ImageError as error:
            raise ImageError(f"{where}: {without_secrets(text)[:300]} {error}") from None
        return RemoteImage(address, where, self)

    def path(self, address: Address) -> Path:
        """Its file in the cache, which need not be there."""
        return self._cache.path(address)

    def forget(self, address: Address) -> None:
        """Its image in the cache is of no use."""
        with self._cache.entry(address) as entry:
            entry.forget()

    def fetch(self, address: Address) -> Path:
        """The file of an image; asks its server unless it did so within `max_age` seconds.

        Raises:
            ImageError: it can't be had; a clause that follows the address.
        """
        try:
            with self._cache.entry(address) as entry:
                old = entry.version()
                if old is None or not 0 <= now() - old.checked <= self.settings.max_age:
                    self._attempts(address, entry, old)
                    size = entry.version()
                    self._cache.added(0 if size is None else size.size)
                return entry.path
        except OSError as error:
            raise ImageError(f"can't be kept: {error.strerror or error}") from None

    def _attempts(self, address: Address, entry: Entry, old: Version | None) -> None:
        from fsspec.asyn import get_loop, sync

        host = f"{address.scheme}://{address.host}"
        for number in range(self.settings.retries + 1):
            if self._failed[host] >= _GIVEN_UP:
                raise ImageError(
                    f"isn't asked for any more: {_GIVEN_UP} images in a row couldn't be had from "
                    "its host; run the command again when it answers"
                )
            try:
                sync(get_loop(), self._client(address.scheme).fetch, address, entry, old)
            except Passing as error:
                failure = error
            except ImageError:
                self._failed[host] = 0
                raise
            else:
                self._failed[host] = 0
                return
            if number < self.settings.retries:
                pause = min(_LONGEST_WAIT, _FIRST_WAIT * 2**number) * random.uniform(0.5, 1.0)
                self._wait(max(pause, min(failure.seconds, _LONGEST_WAIT)))
                if self._ended.is_set():
                    raise ImageError("isn't fetched, as the command ends")
        with self._lock:
            self._failed[host] += 1
        attempts = self.settings.retries + 1
        times = f" ({attempts} attempts)" if attempts > 1 else ""
        raise ImageError(f"{failure}{times}; run the command again later")

    def _client(self, scheme: str) -> Any:
        """What fetches from addresses of this kind."""
        if scheme in ("https", "http"):
            return self._web
        with self._lock:
            if scheme not in self._buckets:
                from hemline.data.remote.buckets import Buckets

                self._buckets[scheme] = Buckets(scheme, self.settings, self._allowed)
            return self._buckets[scheme]
