"""The ASGI application: routes, middleware, and errors as problem details."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hemline import __version__
from hemline.errors import HemlineError
from hemline.service.access import admit_writer
from hemline.service.direct import Direct
from hemline.service.front import Head, RootPath
from hemline.service.guard import EXPOSED, Guard, shop_field
from hemline.service.logs import log
from hemline.service.problems import Problem, ProblemBody, of_error
from hemline.service.routes import (
    admin,
    bulk,
    feedback,
    health,
    items,
    pages,
    photos,
    pictures,
    search,
)
from hemline.service.serving import Service
from hemline.service.settings import Settings
from hemline.service.shared import Shared
from hemline.service.sizes import Sizes
from hemline.service.writer_proxy import Handover, WriterProxy

_KINDS = {404: "not-found", 405: "method", 400: "bad-request"}
_DETAILS = {404: "there is nothing here", 405: "this address doesn't take that method"}


def create_app(
    settings: Settings,
    *,
    handover: Handover | None = None,
    writes: bool = True,
    shared: Shared | None = None,
) -> FastAPI:
    """A catalogue as an ASGI application, which is warmed up and closed with its lifespan.

    Args:
        settings: of the catalogue.
        handover: how several processes of one service reach their writer.
        writes: whether this process is the writer.
        shared: what it shares with the other catalogues of the process; its maker closes that.

    Raises:
        CatalogError, BundleError: the catalogue can't be opened.
    """
    service = Service(settings, shared)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        start, shop = time.perf_counter(), shop_field(settings)
        try:
            await asyncio.to_thread(service.warm)
            log("ready", seconds=round(time.perf_counter() - start, 3), **shop)
            yield
        finally:
            await asyncio.to_thread(service.close)
            log("ended", **shop)

    app = FastAPI(
        title="hemline",
        version=__version__,
        summary="Finds the product of a shop's catalogue in a photo.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        separate_input_output_schemas=False,
        servers=[{"url": settings.path}] if settings.path else None,
    )
    app.state.service = service
    app.state.sizes = Sizes(service.catalog)
    answer_errors(app)
    for module in (search, bulk, items, pictures, photos, feedback, admin, health, pages):
        app.include_router(module.router)
    _document(app)
    _wrap(app, service, handover, writes)
    return app


def _wrap(app: FastAPI, service: Service, handover: Handover | None, writes: bool) -> None:
    """Adds the middleware, the innermost first."""
    settings = service.settings
    app.add_middleware(Direct, path="/v1/search", endpoint=search.search, failed=_answer_error)
    if settings.cors:  # in public nobody else's page sends a key, or changes anything: see `access`
        methods = ["GET", "POST"] + ["PUT", "PATCH", "DELETE"] * (not settings.public)
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=methods,
            allow_headers=["Content-Type"] + ["Authorization"] * (not settings.public),
            expose_headers=EXPOSED,
        )
    if handover is not None and not writes:
        app.add_middleware(
            WriterProxy,
            handover=handover,
            timeout=settings.timeout,
            admit=admit_writer,
            root=settings.path,
        )
    app.add_middleware(Head)
    app.add_middleware(Guard, service=service, handover=handover)
    if settings.path:
        app.add_middleware(RootPath, root=settings.path)
    if settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))


def answer_errors(app: FastAPI) -> None:
    """Makes each error an answer with problem details."""
    for kind in (Problem, HemlineError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer_error)


async def _answer_error(request: Request, error: Exception) -> Response:
    request_id = request.scope["state"]["request_id"]
    problem = _problem(error, request_id)
    request.scope["state"]["problem"] = problem.kind
    return problem.response(request_id)


def _problem(error: Exception, request_id: str) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HemlineError):
        problem = of_error(error)
        if problem.status >= 500:
            log("failed", request_id=request_id, reason=str(error))
        return problem
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])[:100]
        return Problem(422, "bad-request", f"{name}: {first['msg']}" if name else first["msg"])
    assert isinstance(error, HTTPException)
    detail = _DETAILS.get(error.status_code, "this request can't be read")
    kind = _KINDS.get(error.status_code, "http")
    return Problem(error.status_code, kind, detail, error.headers)


def _document(app: FastAPI) -> None:
    """Adds the schema of problem details to the document in place of FastAPI's own errors."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["ProblemBody"] = ProblemBody.model_json_schema()
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
