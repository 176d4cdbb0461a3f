"""Images at https (and http) addresses, by the session of fsspec's HTTP file system.

fsspec follows redirects to anywhere and reads answers of any length; here every redirect is
checked, and an answer is read in pieces, up to a bound.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import aiohttp
import yarl
from fsspec.implementations.http import HTTPFileSystem

from hemline.data.remote.addresses import Address, Allowed, parse_address, without_secrets
from hemline.data.remote.cache import Entry, Version, now
from hemline.data.remote.failures import Passing
from hemline.data.remote.settings import RemoteSettings
from hemline.errors import ImageError

_PIECE = 65_536
_MOVED = (301, 302, 303, 307, 308)
_LATER = (408, 425, 429, 500, 502, 503, 504)
_WHY = {
    401: "asks for a password; addresses that need none can be fetched",
    403: "refuses access (403); its signature may be over, or the server blocks programs",
    404: "answered 404, not found; correct the address or remove the row",
    410: "answered 410, gone; remove the row",
}
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
#: Network addresses that the present request wasn't let connect to.
_refused: ContextVar[list[ImageError]] = ContextVar("_refused")


class Web:
    """Fetches by HTTP; its methods run in fsspec's loop."""

    def __init__(self, settings: RemoteSettings, allowed: Allowed) -> None:
        self._settings, self._allowed = settings, allowed
        self._files = HTTPFileSystem(get_client=self._client, skip_instance_cache=True)

    async def _client(self, **_: Any) -> aiohttp.ClientSession:
        """The session; no proxy, cookie or password of the environment is used."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._settings.connections, socket_factory=guard(self._allowed)
            ),
            headers={"User-Agent": "hemline", "Accept": "image/*", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(),  # `fetch` has one for the whole attempt
        )

    async def fetch(self, address: Address, entry: Entry, old: Version | None) -> None:
        """Brings the image into its entry; ``old`` is what is there already.

        Raises:
            ImageError: it can't be had; a clause that follows the address.
            Passing: it may be had later.
        """
        with refusals() as refused:
            try:
                async with asyncio.timeout(self._settings.timeout):
                    await self._redirected(address, entry, old)
            except TimeoutError:
                raise Passing(f"took more than {self._settings.timeout:g} seconds") from None
            except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError):
                raise ImageError("has a certificate that isn't valid for its host") from None
            except aiohttp.InvalidURL:
                raise ImageError("is no valid address") from None
            except (aiohttp.ClientError, OSError, RuntimeError) as error:
                if refused:
                    raise refused[0] from None
                raise Passing(_told(error)) from None

    async def _redirected(self, address: Address, entry: Entry, old: Version | None) -> None:
        session = await self._files.set_session()
        at, part = entry.begun()
        headers = _conditions(at, part, old)
        for _ in range(self._settings.redirects + 1):
            url = yarl.URL(address.text)
            if (url.raw_host, url.port) != (address.host, address.port):
                raise ImageError("is read differently by different programs; write it plainly")
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status not in _MOVED:
                    await self._taken(answer, entry, at, part, old)
                    return
                address = self._target(address, answer.headers.get("Location", ""))
        raise ImageError(f"redirects more than {self._settings.redirects} times")

    def _target(self, address: Address, location: str) -> Address:
        """
        Raises:
            ImageError: the redirect leads out of the list.
        """
        target = urljoin(address.text, location)
        try:
            found = parse_address(target)
            if found.scheme not in ("https", "http"):
                raise ImageError(f"is of the kind {found.scheme!r}")
            self._allowed.check(found)
        except ImageError as error:
            raise ImageError(
                f"redirects to {without_secrets(target)[:200]}, which {error}"
            ) from None
        return found

    async def _taken(
        self,
        answer: aiohttp.ClientResponse,
        entry: Entry,
        at: int,
        part: Version,
        old: Version | None,
    ) -> None:
        """Stores the body of an answer."""
        status = answer.status
        if status == 304 and old is not None:
            entry.seen(replace(old, checked=now()))
            return
        if status == 416 and at:
            entry.forget_part()
            raise Passing("doesn't continue what was begun")
        if status in _LATER:
            raise Passing(f"answered {status}", _seconds(answer.headers.get("Retry-After", "")))
        if status not in (200, 206):
            raise ImageError(_WHY.get(status, f"answered {status} in place of an image"))
        coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if coding != "identity":
            raise ImageError(f"answered with packed bytes ({coding[:20]}), which weren't asked for")
        version = Version(
            answer.headers.get("ETag", "")[:1000],
            answer.headers.get("Last-Modified", "")[:100],
            -1 if answer.content_length is None else answer.content_length,
        )
        if status == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != at or version.tag != part.tag or not at:
                entry.forget_part()
                raise Passing("answered with another part than was asked for")
            version = replace(version, size=-1 if found[2] == "*" else int(found[2]))
        with entry.receive(version, at if status == 206 else 0) as receive:
            async for data in answer.content.iter_chunked(_PIECE):
                receive(data)
            if version.size not in (-1, receive.size):
                raise Passing(f"ended after {receive.size:,} of {version.size:,} bytes")


def guard(allowed: Allowed) -> Callable[[Any], socket.socket]:
    """Makes the sockets of connections: to public addresses alone.

    aiohttp calls it with the address that it is about to connect to, after the name was looked up.
    """

    def connect(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        try:
            allowed.check_connection(address[0])
        except ImageError as error:
            _refused.get([]).append(error)
            # No OSError, which libraries take for a failure that may pass.
            raise RuntimeError(str(error)) from None
        return socket.socket(family, kind, protocol)

    return connect


@contextmanager
def refusals() -> Iterator[list[ImageError]]:
    """Why `guard` refused connections within the block."""
    found: list[ImageError] = []
    token = _refused.set(found)
    try:
        yield found
    finally:
        _refused.reset(token)


def _conditions(at: int, part: Version, old: Version | None) -> dict[str, str]:
    if at:
        return {"Range": f"bytes={at}-", "If-Range": part.tag}
    if old is None:
        return {}
    own = {"If-None-Match": old.tag, "If-Modified-Since": old.modified}
    return {name: value for name, value in own.items() if value}


def _seconds(text: str) -> float:
    """Of Retry-After; 0 where it is a date or missing."""
    return float(text) if re.fullmatch(r"\d{1,6}", text.strip()) else 0.0


def _told(error: Exception) -> str:
    what = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = getattr(what, "strerror", None) or str(what) or type(what).__name__
    return f"broke off: {' '.join(str(text).split())[:120]}"
