"""Images in buckets of S3 (and what speaks its protocol) and Google Cloud Storage, by fsspec.

Credentials are those of the environment alone: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``; the file that ``GOOGLE_APPLICATION_CREDENTIALS`` names. Without them only
public buckets can be read. ``AWS_ENDPOINT_URL`` and ``STORAGE_EMULATOR_HOST`` name other servers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
from fsspec.asyn import get_loop, sync

from hemline.data.remote.addresses import Address, Allowed
from hemline.data.remote.cache import Entry, Version, now
from hemline.data.remote.failures import Passing
from hemline.data.remote.settings import RemoteSettings
from hemline.data.remote.web import guard, refusals
from hemline.errors import ImageError

_BLOCK = 4 << 20


class Buckets:
    """Fetches from the buckets of one scheme; its methods run in fsspec's loop."""

    def __init__(self, scheme: str, settings: RemoteSettings, allowed: Allowed) -> None:
        """
        Raises:
            ModuleNotFoundError: the package of the scheme isn't installed.
        """
        self._timeout = settings.timeout
        self._files = _SYSTEMS[scheme](settings, allowed)

    async def fetch(self, address: Address, entry: Entry, old: Version | None) -> None:
        """As `hemline.data.remote.web.Web.fetch`."""
        place = f"{address.host}/{address.path}"
        with refusals() as refused:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._fetched(place, entry, old)
            except (ImageError, Passing):
                raise
            except TimeoutError:
                raise Passing(f"took more than {self._timeout:g} seconds") from None
            except FileNotFoundError:
                raise ImageError("isn't there; correct the address or remove the row") from None
            except PermissionError:
                raise ImageError(
                    "may not be read with the credentials of the environment; set them, or let "
                    "the bucket be read"
                ) from None
            except Exception as error:  # each library has its own
                if refused:
                    raise refused[0] from None
                raise Passing(f"broke off: {' '.join(str(error).split())[:120]}") from None

    async def _fetched(self, place: str, entry: Entry, old: Version | None) -> None:
        found = await self._version(place)
        if old is not None and (found.tag, found.size) == (old.tag, old.size) and found.tag:
            entry.seen(replace(old, checked=now()))
            return
        entry.check_size(found.size)
        at, part = entry.begun()
        at = at if (part.tag, part.size) == (found.tag, found.size) else 0
        with entry.receive(found, at) as receive:
            while receive.size < found.size:
                end = min(found.size, receive.size + _BLOCK)
                data = await self._files._cat_file(place, start=receive.size, end=end)
                if len(data) != end - receive.size:
                    raise Passing("answered with another part than was asked for")
                receive(data)
            if found.size - at > _BLOCK and await self._version(place) != found:
                raise Passing("was replaced while it was read")

    async def _version(self, place: str) -> Version:
        about = await self._files._info(place)
        if about.get("type") != "file" or not isinstance(about.get("size"), int):
            raise ImageError("isn't a file; correct the address or remove the row")
        tag = str(about.get("ETag") or about.get("etag") or about.get("generation") or "")
        return Version(tag, "", about["size"])


def _s3(settings: RemoteSettings, allowed: Allowed) -> Any:
    import s3fs

    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    files = s3fs.S3FileSystem(
        anon=not key,
        key=key,
        secret=secret,
        token=os.environ.get("AWS_SESSION_TOKEN"),
        config_kwargs={
            "connector_args": {"socket_factory": guard(allowed)},
            "max_pool_connections": settings.connections,
            "connect_timeout": settings.timeout,
            "read_timeout": settings.timeout,
            "retries": {"max_attempts": 0},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    files.retries = 1  # attempts are counted by the fetcher
    return files


def _gcs(settings: RemoteSettings, allowed: Allowed) -> Any:
    from gcsfs.core import GCSFileSystem  # gcsfs.GCSFileSystem asks by gRPC first, past the guard

    async def connector() -> aiohttp.TCPConnector:  # in a loop, as aiohttp wants
        return aiohttp.TCPConnector(limit=settings.connections, socket_factory=guard(allowed))

    return GCSFileSystem(
        token=os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or "anon",
        endpoint_url=os.environ.get("STORAGE_EMULATOR_HOST"),
        session_kwargs={"connector": sync(get_loop(), connector)},
        use_listings_cache=False,
        skip_instance_cache=True,
    )


_SYSTEMS: dict[str, Callable[[RemoteSettings, Allowed], Any]] = {"s3": _s3, "gs": _gcs}
