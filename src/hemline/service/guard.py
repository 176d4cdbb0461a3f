"""The outermost middleware: request ids, limits on bodies, security headers, the request log.

It is plain ASGI, so that the limits see each chunk of a body first.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, unquote_to_bytes, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hemline.errors import HemlineError, UsageError
from hemline.files import disk_full
from hemline.service.front import is_foreign
from hemline.service.logs import log
from hemline.service.metrics import Metrics
from hemline.service.problems import Problem, disk_is_full, of_error
from hemline.service.protocol import HEAD
from hemline.service.settings import Settings, is_loopback
from hemline.service.writer_proxy import Handover
from hemline.text import check_text
from hemline.work import Work, bound

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",
}
#: Headers that pages of other origins may read.
EXPOSED = ("X-Request-ID", "Retry-After")
#: Paths whose bodies may be longer, because they are read piece by piece.
LONG = ("/v1/items:bulk", "/v1/admin/manifest")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE = ("GET", "HEAD", "OPTIONS")
#: Methods that metrics name; a client may send any other word.
_METHODS = (*_SAFE, "POST", "PUT", "PATCH", "DELETE")
#: Copies of a body that are in memory at once while its photos are taken out: of JSON one more, as
#: its texts are base64.
_COPIES, _JSON_COPIES = 2, 3
#: A long body makes its reader wait so many times ``slow``, and so many bytes a second.
_PATIENCE, _RATE = 6, 4096


class Guarded(Protocol):
    """What a `Guard` needs of a service."""

    @property
    def settings(self) -> Settings: ...

    @property
    def metrics(self) -> Metrics: ...

    def new_work(self) -> Work: ...


class Guard:
    """The outermost middleware of the service."""

    def __init__(
        self,
        app: ASGIApp,
        service: Guarded,
        handover: Handover | None = None,
    ) -> None:
        self._app, self._service, self._handover = app, service, handover

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        forwarded = self._handover is not None and self._handover.knows(scope)
        request = _Request(self._app, self._service, scope, receive, send, forwarded)
        await request.run()
        self._record(request, scope)

    def _record(self, request: _Request, scope: Scope) -> None:
        seconds = time.perf_counter() - request.start
        route, metrics = _route(scope), self._service.metrics
        method = scope["method"] if scope["method"] in _METHODS else "other"
        metrics.requests.labels(method, route, str(request.status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        if request.refused:
            metrics.refused.labels(request.refused).inc()
        client = scope.get("client")
        log(
            "request",
            request_id=request.id,
            method=scope["method"][:20],
            path=scope["path"][:200],
            status=request.status,
            ms=round(seconds * 1000, 2),
            bytes_in=request.taken,
            client=client[0] if client else None,
            key=scope["state"].get("key"),
            **shop_field(self._service.settings),
        )


class _Request:
    """One request and its answer."""

    def __init__(
        self,
        app: ASGIApp,
        service: Guarded,
        scope: Scope,
        receive: Receive,
        send: Send,
        forwarded: bool = False,
    ) -> None:
        settings = service.settings
        self._app, self._settings, self._work = app, settings, service.new_work()
        self._scope, self._receive, self._send = scope, receive, send
        self.headers = Headers(scope=scope)
        given = self.headers.get("x-request-id", "")
        self.id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        self.start = time.perf_counter()
        self.status, self.taken, self.refused = 0, 0, ""
        self._long = scope["path"] in LONG
        self._limit = settings.max_upload if self._long else settings.max_body
        self._end = time.monotonic() + settings.slow
        self._over, self._forwarded = False, forwarded
        self._waited = 0.0  # seconds for pieces of the body
        json = "json" in self.headers.get("content-type", "")
        self._copies = _JSON_COPIES if json else _COPIES
        self._held = 0  # bytes of the body for which memory is held

    async def run(self) -> None:
        state = self._scope.setdefault("state", {})
        state["request_id"], state["work"] = self.id, self._work
        with bound(self._work):
            await self._run()
        self._work.leave()

    async def _run(self) -> None:
        try:
            self._check()
            await self._app(self._scope, self.receive, self.send)
        except HemlineError as error:  # raised by `receive`
            await self._problem(of_error(error))
        except Problem as problem:
            await self._problem(problem)
        except ClientDisconnect:  # it has left, or broken off its body: no fault of the server
            self.refused = "left"
        except Exception as error:
            shop = shop_field(self._settings)
            log("crash", exc=error, request_id=self.id, path=self._scope["path"][:200], **shop)
            crash = Problem(500, "crash", "this is the server's fault; its log has more")
            await self._problem(disk_is_full() if disk_full(error) else crash)
        if self.status == 0:
            self.status = 499  # the client has closed the connection

    async def _problem(self, problem: Problem) -> None:
        self.refused = problem.kind
        if self.status == 0:
            await problem.response(self.id)(self._scope, self.receive, self.send)

    def _check(self) -> None:
        """
        Raises:
            Problem: a head or Content-Length over the limit, an address that is no text, a foreign
                host or origin, or too many connections.
        """
        if _head_size(self._scope) > HEAD and not self._forwarded:  # the parser reads one packet
            headers = {"Connection": "close"}
            raise Problem(431, "long-head", f"a request's head has at most {HEAD:,} bytes", headers)
        if self._scope["state"].get("full"):
            headers = {"Retry-After": "1", "Connection": "close"}
            raise Problem(503, "busy", "too many connections; try again in a second", headers)
        length = self._length()
        if length > self._limit:
            raise self._too_long()
        if not self._long:
            self._work.check_data(length * self._copies)
        self._check_address()
        if not self._forwarded:  # else the process that forwarded it has checked this
            self._check_origin()

    def _check_address(self) -> None:
        """
        Raises:
            Problem: 422, path or query aren't text in UTF-8 without NUL.
        """
        raw = self._scope.get("raw_path") or quote(self._scope["path"]).encode()
        address = unquote_to_bytes(raw + b"?" + self._scope.get("query_string", b""))
        try:
            check_text(address.decode(), "the address")
        except UsageError as error:
            raise Problem(422, "bad-text", str(error)) from None
        except UnicodeDecodeError:
            raise Problem(422, "bad-text", "the address isn't UTF-8") from None

    def _check_origin(self) -> None:
        """Refuses pages of other sites (CSRF), and foreign host names (DNS rebinding).

        On a loopback address the host must be one of this machine's names. A request with an
        origin must come from the service's own page, or from an origin that ``cors`` names.

        Raises:
            Problem: 403 or 421.
        """
        host = self.headers.get("host", "")
        settings = self._settings
        name = _hostname(host)
        if (is_loopback(settings.host) or settings.names) and not (
            is_loopback(name) or name == settings.host or name in settings.names
        ):
            raise Problem(421, "host", "this server doesn't have that name; see --name")
        origin = self.headers.get("origin")
        if origin is not None and origin not in settings.cors:
            if is_foreign(self.headers):
                raise Problem(403, "origin", "pages of other sites may not call this; see --cors")
        elif (
            origin is None
            and self._scope["method"] not in _SAFE
            and self.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        ):
            raise Problem(403, "origin", "pages of other sites may not call this; see --cors")

    def _length(self) -> int:
        """Of the body, as announced; 0 where it isn't."""
        length = self.headers.get("content-length", "0")
        return int(length) if length.isdigit() else 0

    def _hold(self) -> None:
        """Holds memory for the body: at its first piece for all of it, where its length is known.

        Raises:
            MemoryLimitError, BusyError: as `Work.hold`.
        """
        needed = max(self.taken, self._length())
        if needed > self._held:
            self._work.hold((needed - self._held) * self._copies)
            self._held = needed

    def _has_body(self) -> bool:
        return "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0"

    def _too_long(self) -> Problem:
        return Problem(413, "too-long", f"a request has at most {self._limit:,} bytes")

    def _too_slow(self) -> Problem:
        return Problem(408, "slow", "the body arrived too slowly")

    async def receive(self) -> Message:
        """The next piece of the body.

        Raises:
            Problem: too long, or too slow.
        """
        if self._over:
            return await self._receive()
        begun = time.monotonic()
        wait = self._settings.slow if self._long else self._end - begun
        try:
            async with asyncio.timeout(max(wait, 0.001)):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        self._waited += time.monotonic() - begun
        if self._long and self._waited > _PATIENCE * self._settings.slow + self.taken / _RATE:
            raise self._too_slow()
        if message["type"] == "http.request":
            self.taken += len(message.get("body", b""))
            self._over = not message.get("more_body", False)
            if self.taken > self._limit:
                raise self._too_long()
            if not self._long:
                self._hold()
        else:
            self._over = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            embedders = " ".join(self._settings.frame_ancestors) or "'none'"
            headers.setdefault("Content-Security-Policy", CSP + embedders)
            headers["X-Request-ID"] = self.id
            if self.status >= 400 and not self._over and self._has_body():
                headers["Connection"] = "close"  # the rest of the body isn't read
            if self.status >= 400:
                self._show_to_origin(headers)
            if self._scope["path"].startswith("/v1"):
                headers.setdefault("Cache-Control", "no-store")
            kind = self._scope.get("state", {}).get("problem")
            self.refused = self.refused or kind or ""
        await self._send(message)

    def _show_to_origin(self, headers: MutableHeaders) -> None:
        """Lets a page that ``cors`` names read an error that was made outside the CORS middleware.

        Without these headers a browser tells the page of a network error alone.
        """
        origin = self.headers.get("origin")
        if origin in self._settings.cors and "Access-Control-Allow-Origin" not in headers:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)
            headers.add_vary_header("Origin")


def shop_field(settings: Settings) -> dict[str, Any]:
    """The shop as a field of the log, where there are several."""
    return {"shop": settings.shop} if settings.shop else {}


def _head_size(scope: Scope) -> int:
    """Bytes of a request's head, but for its method and blanks."""
    address = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    return address + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


def _hostname(host: str) -> str:
    """``[::1]:8000`` → ``::1``; empty if it isn't a host."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _route(scope: Any) -> str:
    """The route's pattern, so that ids make no new series of metrics."""
    route = scope.get("route")
    return str(getattr(route, "path", "") or "other")
