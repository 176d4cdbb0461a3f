"""Several catalogues in one service: each an application of its own at ``/NAME/``.

They share what `Shared` has: memory, threads, limits of clients, and the graphs of equal bundles.
Keys, journals and writes are each one's own. One that can't be opened is closed until the service
starts again, and the others don't notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from html import escape

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hemline.errors import CatalogError, HemlineError
from hemline.service.access import check_watchable
from hemline.service.answers import answer
from hemline.service.app import answer_errors, create_app
from hemline.service.front import Head, RootPath
from hemline.service.guard import Guard
from hemline.service.logs import log
from hemline.service.metrics import CONTENT_TYPE_LATEST
from hemline.service.problems import Problem
from hemline.service.routes.pages import served
from hemline.service.serving import Service
from hemline.service.settings import Settings
from hemline.service.shared import Shared
from hemline.service.writer_proxy import Handover

router = APIRouter(include_in_schema=False)
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Shops</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="static/css/base.css"></head>
<body><main><h1>Shops</h1><ul>
{}
</ul></main></body></html>
"""


class Shops:
    """The application of a service of several catalogues.

    Attributes:
        shared: what they share.
        apps: those that are open, by their names.
    """

    def __init__(
        self, settings: Settings, *, handover: Handover | None = None, writes: bool = True
    ) -> None:
        """
        Raises:
            CatalogError: none of the catalogues can be opened.
        """
        self.settings, self.shared = settings, Shared(settings)
        self.apps: dict[str, FastAPI] = {}
        self.names = tuple(own.shop for own in settings.each)
        for own in settings.each:
            try:
                self.apps[own.shop] = create_app(
                    own, handover=handover, writes=writes, shared=self.shared
                )
            except (HemlineError, OSError) as error:
                log("shop closed", shop=own.shop, reason=str(error))
        if not self.apps:
            raise CatalogError(f"none of these catalogues can be opened: {', '.join(self.names)}")
        self._front = _front(self)

    @property
    def services(self) -> Mapping[str, Service]:
        """The open catalogues by their names."""
        return {name: app.state.service for name, app in self.apps.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, own = self._chosen(scope) if scope["type"] == "http" else ("", scope)
        await self.apps.get(name, self._front)(own, receive, send)

    def _chosen(self, scope: Scope) -> tuple[str, Scope]:
        """The name of a request's catalogue, and its scope with the whole sub-path."""
        root, path = self.settings.root_path, scope["path"]
        within = path[len(root) :] if root and path.startswith(f"{root}/") else path
        name = within.split("/", 2)[1] if within.startswith("/") else ""
        if name not in self.names:
            return "", scope
        raw = scope.get("raw_path")
        if raw is not None and within == path:  # a proxy has taken the sub-path off
            scope = {**scope, "raw_path": root.encode() + raw}
        return name, {**scope, "path": root + within}

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Warms each up, and closes those where that fails."""
        async with AsyncExitStack() as stack:
            stack.callback(log, "ended")
            for name, app in list(self.apps.items()):
                try:
                    await stack.enter_async_context(app.router.lifespan_context(app))
                except Exception as error:
                    del self.apps[name]
                    crash = None if isinstance(error, HemlineError | OSError) else error
                    log("shop closed", crash, shop=name, reason=str(error))
            stack.push_async_callback(asyncio.to_thread, self.shared.close)
            yield


def _front(shops: Shops) -> FastAPI:
    """What belongs to none of the catalogues."""
    settings = shops.settings
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        lifespan=shops.lifespan,
    )  # fmt: skip
    app.state.shops = shops
    answer_errors(app)
    app.include_router(router)
    app.add_middleware(Head)
    app.add_middleware(Guard, service=shops.shared)
    if settings.root_path:
        app.add_middleware(RootPath, root=settings.root_path)
    if settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))
    return app


@router.get("/")
async def start(request: Request) -> Response:
    """The open catalogues, where the operator wants them listed."""
    shops: Shops = request.app.state.shops
    if not shops.settings.list_shops:
        raise Problem(404, "not-found", "there is nothing here")
    links = [
        f'<li><a href="{escape(name)}/">{escape(service.settings.page.title or name)}</a></li>'
        for name, service in shops.services.items()
    ]
    return HTMLResponse(_PAGE.format("\n".join(links)))


@router.get("/static/{name:path}")
async def static(request: Request, name: str) -> Response:
    """The style of the list, whatever the shops' pages look like."""
    return served(request, name)


@router.get("/healthz")
async def healthz(request: Request) -> Response:
    """The process is alive; how many catalogues are open, and how many can't be."""
    shops: Shops = request.app.state.shops
    count = len(shops.apps)
    return answer({"status": "alive", "open": count, "closed": len(shops.names) - count})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """The open catalogues answer requests; 503 while they start or shut down."""
    services = request.app.state.shops.services.values()
    if not services or not all(service.ready for service in services):
        detail = "no catalogue is open, or the server is starting or shutting down"
        raise Problem(503, "not-ready", detail, {"Retry-After": "1"})
    return answer({"status": "ready"})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Those of all catalogues, where none of them needs a key."""
    shops: Shops = request.app.state.shops
    services = list(shops.services.values())
    check_watchable(services)
    for service in services:
        await asyncio.to_thread(service.count)
    return Response(shops.shared.families.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.api_route("/{name}", methods=_METHODS)
@router.api_route("/{name}/{rest:path}", methods=_METHODS)
async def closed(request: Request, name: str) -> Response:
    """The addresses of a catalogue that can't be opened, and those of none."""
    if name in request.app.state.shops.names:
        detail = "this shop is closed: its catalogue can't be opened; the log says why"
        raise Problem(503, "closed", detail)
    raise Problem(404, "not-found", "there is nothing here")
