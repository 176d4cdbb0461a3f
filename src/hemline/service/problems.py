"""Errors as problem details (RFC 9457), without paths and traces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from hemline.errors import (
    BundleError,
    BusyError,
    CatalogBusy,
    CostError,
    DamageError,
    DatabaseError,
    HemlineError,
    ImageError,
    MemoryLimitError,
    NoDetectorError,
    StoppedError,
    TimeLimitError,
    UnknownItemError,
    UsageError,
)
from hemline.files import disk_full

MEDIA = "application/problem+json"


class ProblemBody(BaseModel):
    """The body of an error, ``application/problem+json``."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class Problem(Exception):
    """A refused request, with the words for its sender.

    Attributes:
        status: of HTTP.
        kind: the last part of ``type``, ``urn:hemline:problem:KIND``.
        detail: one sentence that says what to do.
        headers: sent with the answer.
    """

    def __init__(
        self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers = dict(headers or {})

    def body(self, request_id: str) -> dict[str, Any]:
        return {
            "type": f"urn:hemline:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }

    def response(self, request_id: str) -> Response:
        data = json.dumps(self.body(request_id), ensure_ascii=False)
        return Response(data.encode("utf-8", "backslashreplace"), self.status, self.headers, MEDIA)


def busy(detail: str, seconds: int = 1) -> Problem:
    """503 with the seconds after which to try again."""
    return Problem(503, "busy", detail, {"Retry-After": str(seconds)})


def disk_is_full() -> Problem:
    return Problem(
        507, "disk-full", "the server's disk is full; searches are answered, writes aren't stored"
    )


def unavailable(error: BaseException, detail: str) -> Problem:
    """507 on a full disk, else 503 with ``detail``."""
    return disk_is_full() if disk_full(error) else busy(detail, 5)


def bad(detail: str, kind: str = "bad-request", status: int = 422) -> Problem:
    return Problem(status, kind, detail)


def unknown_item() -> Problem:
    return Problem(404, "no-item", "the catalogue has no such product")


def of_error(error: HemlineError) -> Problem:
    """An error as a problem: words about the request, none about the server's disk."""
    if isinstance(error, ImageError):
        return bad(str(error), "bad-picture")
    if isinstance(error, CostError):
        return bad(str(error), "too-costly", 400)
    if isinstance(error, TimeLimitError):
        return busy(str(error), 2)
    if isinstance(error, UsageError):
        return bad(str(error))
    if isinstance(error, UnknownItemError):
        return unknown_item()
    if isinstance(error, NoDetectorError):
        return bad("this catalogue's bundle has no detector; send a box instead", "no-detector")
    if isinstance(error, MemoryLimitError):
        return Problem(413, "memory", str(error))
    if isinstance(error, BusyError | StoppedError):
        return busy(str(error))
    if isinstance(error, CatalogBusy):
        return busy("another program is writing to the catalogue; try again in a while", 5)
    if isinstance(error, DatabaseError):
        return busy("the service's database can't be used now; try again in a while", 5)
    if disk_full(error):
        return disk_is_full()
    if isinstance(error, BundleError):
        return Problem(500, "bundle", "the catalogue's bundle can't do this; see the server's log")
    if isinstance(error, DamageError):
        return Problem(500, "damaged", "stored data is damaged; the server's log names it")
    return Problem(500, "failed", "this failed; the server's log has more under the request_id")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of an endpoint: ``statuses``, and those that every endpoint has."""
    every = (400, 401, 403, 408, 413, 421, 422, 429, 500, 503, 507, *statuses)
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        }
        for status in sorted(set(every))
    }
