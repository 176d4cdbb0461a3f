"""What stands between a connection and the `Guard`: trusted proxies and the sub-path; and HEAD.

Both are plain ASGI. A proxy may take the sub-path off an address or leave it on: the service
answers both, and writes it into every address that it gives.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def is_foreign(headers: Headers) -> bool:
    """Whether a page of another site sends the request."""
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:  # no address at all
        return True


def plain(address: str) -> str:
    """An address of IPv4 as such, also where it came to a socket of IPv6 (``::ffff:10.0.0.1``)."""
    try:
        mapped = getattr(ip_address(address), "ipv4_mapped", None)
    except ValueError:
        return address
    return address if mapped is None else str(mapped)


def network_of(client: str) -> str:
    """An address as requests are counted: of IPv6 the network, as one client has all of it."""
    client = plain(client)
    try:
        address = ip_address(client)
    except ValueError:  # a text of a proxy
        return client[:64]
    if address.version == 4:
        return client
    return str(ip_network((int(address) >> 64 << 64, 64)))


class RootPath:
    """Takes the sub-path off the addresses of requests; ``/finder`` alone leads to ``/finder/``."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app, self._root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = self._root
        if scope["type"] == "http" and scope["path"] == root:
            query = scope["query_string"].decode("latin-1")
            address = f"{root}/?{query}" if query else f"{root}/"
            await RedirectResponse(address, 308)(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"].startswith(f"{root}/"):
            raw = scope.get("raw_path") or quote(scope["path"]).encode()
            scope["path"] = scope["path"][len(root) :]
            # Its characters need no escapes; whoever escapes them gets no route.
            scope["raw_path"] = raw.removeprefix(root.encode())
        await self._app(scope, receive, send)


class Head:
    """Answers HEAD as GET without its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A copy: the server reads the method of its own, and sends no body for HEAD.
        got = {**scope, "method": "GET"}
        try:
            await self._app(got, receive, send_head)
        finally:
            if "route" in got:
                scope["route"] = got["route"]  # for the metrics
