"""Access by API key; on a loopback address everybody has access until the first key is made.

The table in docs/deploy.md says who may do what; a test holds each of its cells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hemline.budget import allow
from hemline.service.front import is_foreign, network_of
from hemline.service.keys import Key, KeyStore, Scope
from hemline.service.problems import Problem
from hemline.service.serving import Service
from hemline.service.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="A key of `hemline key create`.")
Given = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


async def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(service_of)]


@dataclass(frozen=True, slots=True)
class Need:
    """What a call needs.

    Attributes:
        scope: of the key.
        public: whether nobody needs one where the service is public.
        named: whether nobody needs one on a loopback address without keys, although the service
            has another name (``--name``), by which a proxy may make it others' too.
    """

    scope: Scope
    public: bool = False
    named: bool = False

    def open(self, settings: Settings, required: bool) -> bool:
        """Whether it is granted without a key; ``required``: the catalogue has had one."""
        if settings.public:
            return self.public
        return settings.local and not required and (self.named or not settings.names)


Found = Key | bool | None


def _look_up(request: Request, given: HTTPAuthorizationCredentials | None) -> Found:
    """The valid key that was given, or None; without one, whether the catalogue has had any."""
    keys: KeyStore = request.app.state.service.keys
    return keys.required if given is None else keys.verify(given.credentials)


def _admit(
    request: Request, given: HTTPAuthorizationCredentials | None, need: Need, found: Found
) -> None:
    """
    Args:
        found: of `_look_up`.

    Raises:
        Problem: 401, 403 or 429.
    """
    service: Service = request.app.state.service
    settings = service.settings
    allow(settings.limits)
    client = request.client.host if request.client else "here"
    if settings.public and is_foreign(request.headers) and (given is not None or not need.public):
        raise Problem(
            403, "origin", "pages of other sites may search here without a key, and nothing else"
        )
    if given is None:
        if not need.open(settings, bool(found)):
            raise _unknown("a key is needed: send the header Authorization: Bearer KEY")
        if settings.public:
            allow(settings.public_limits)
            wait = service.readers.wait(network_of(client))
            if wait:
                raise _too_many(wait)
        return
    key = found if isinstance(found, Key) else None
    if key is None:
        wait = service.failures.wait(network_of(client))
        if wait:
            raise _too_many(wait)
        raise _unknown("this key isn't valid; it may have been revoked")
    request.scope["state"]["key"] = key.id
    allow(settings.limits.lowered(key.limits))
    wait = service.rates.wait(key.id)
    if wait:
        raise _too_many(wait)
    if need.scope == "write" and key.scope != "write":
        raise Problem(
            403, "scope", "this key may only read; writing needs a key of the scope write"
        )


def admit_writer(request: Request) -> None:
    """Refuses a request without a write key.

    Raises:
        Problem: 401, 403 or 429.
    """
    given = _given(request)
    _admit(request, given, WRITER, _look_up(request, given))


async def admit_reader(request: Request) -> None:
    """As `READ`, for a request that no route of FastAPI answers.

    Raises:
        Problem: 401, 403 or 429.
    """
    await _admit_needing(_READER, request, _given(request))


def _given(request: Request) -> HTTPAuthorizationCredentials | None:
    """What `Given` is."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        return None
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=text)


def check_admin_page(service: Service) -> None:
    """The page asks for a key itself, as a browser's address has none; without keys it is closed.

    Raises:
        Problem: 401, a write key is needed and there is none.
        DamageError: the keys can't be read.
    """
    keys = service.keys
    if not WRITER.open(service.settings, keys.required) and not any(
        key.scope == "write" and key.revoked is None for key in keys.list()
    ):
        raise _unknown("this page needs a key of the scope write, and there is none yet")


def check_watchable(services: Iterable[Service]) -> None:
    """Metrics of several catalogues together need no key, or there is none that opens them: each
    key is of one catalogue.

    Raises:
        Problem: 401, one of them needs a key.
        DamageError: the keys can't be read.
    """
    for service in services:
        if not _WATCHER.open(service.settings, service.keys.required):
            raise _unknown("each shop's metrics are at /NAME/metrics, with one of its keys")


def _unknown(detail: str) -> Problem:
    return Problem(401, "key", detail, {"WWW-Authenticate": "Bearer"})


def _too_many(wait: float) -> Problem:
    seconds = str(max(1, round(wait + 0.5)))
    return Problem(429, "rate", "too many requests; wait a little", {"Retry-After": seconds})


async def _admit_needing(
    need: Need, request: Request, given: HTTPAuthorizationCredentials | None
) -> None:
    if request.app.state.service.keys.remote:
        found = await asyncio.to_thread(_look_up, request, given)
    else:
        found = _look_up(request, given)
    _admit(request, given, need, found)


def _needing(need: Need) -> list[Any]:
    async def admit(request: Request, given: Given) -> None:
        await _admit_needing(need, request, given)

    return [Depends(admit)]


#: Search, and whatever the page asks for.
_READER = Need("read", public=True, named=True)
READ = _needing(_READER)
#: The list of all products, which would give the whole catalogue away.
LIST = _needing(Need("read", named=True))
#: Metrics.
_WATCHER = Need("read")
WATCH = _needing(_WATCHER)
#: Changes, the feedback's export, administration.
WRITER = Need("write")
WRITE = _needing(WRITER)
