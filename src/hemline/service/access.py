"""Access by API key; on a loopback address everybody has access until the first key is made."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from hemline.budget import allow
from hemline.service.problems import Problem
from hemline.service.serving import Service

_bearer = HTTPBearer(auto_error=False, description="A key of `hemline key create`.")
Given = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


async def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(service_of)]


def _admit(request: Request, given: HTTPAuthorizationCredentials | None, scope: str) -> None:
    """
    Raises:
        Problem: 401, 403 or 429.
    """
    service: Service = request.app.state.service
    allow(service.settings.limits)
    client = request.client.host if request.client else "here"
    if given is None:
        if service.keys.required or not service.settings.local:
            raise _unknown("a key is needed: send the header Authorization: Bearer KEY")
        return
    key = service.keys.verify(given.credentials)
    if key is None:
        wait = service.failures.wait(_network(client))
        if wait:
            raise _too_many(wait)
        raise _unknown("this key isn't valid; it may have been revoked")
    request.scope["state"]["key"] = key.id
    allow(service.settings.limits.lowered(key.limits))
    wait = service.rates.wait(key.id)
    if wait:
        raise _too_many(wait)
    if scope == "write" and key.scope != "write":
        raise Problem(
            403, "scope", "this key may only read; writing needs a key of the scope write"
        )


def admit_writer(request: Request) -> None:
    """Refuses a request without a write key.

    Raises:
        Problem: 401, 403 or 429.
    """
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    bearer = scheme.lower() == "bearer" and text
    given = HTTPAuthorizationCredentials(scheme=scheme, credentials=text) if bearer else None
    _admit(request, given, "write")


def _network(client: str) -> str:
    """An address as wrong keys are counted: of IPv6 the network, as one client has all of it."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if address.version == 4:
        return client
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _unknown(detail: str) -> Problem:
    return Problem(401, "key", detail, {"WWW-Authenticate": "Bearer"})


def _too_many(wait: float) -> Problem:
    seconds = str(max(1, round(wait + 0.5)))
    return Problem(429, "rate", "too many requests; wait a little", {"Retry-After": seconds})


async def may_read(request: Request, given: Given) -> None:
    _admit(request, given, "read")


async def may_write(request: Request, given: Given) -> None:
    _admit(request, given, "write")


READ = [Depends(may_read)]
WRITE = [Depends(may_write)]
