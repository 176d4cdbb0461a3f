"""Photo searches past FastAPI, which takes half a millisecond for a request that has no parameters.

The route stays for the document of the API. Admission, the function that answers, and the answers
to errors are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hemline.errors import HemlineError
from hemline.service.access import admit_reader
from hemline.service.problems import Problem
from hemline.service.serving import Service


class Route(NamedTuple):
    """The pattern of a request's address, for the metrics."""

    path: str


class Direct:
    """Answers ``POST`` to one address, and passes everything else on; the innermost middleware."""

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        endpoint: Callable[[Request, Service], Awaitable[Response]],
        failed: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        """
        Args:
            app: answers all else.
            path: without parameters.
            endpoint: of the route of this path, whose readers need what `access.READ` says.
            failed: the answer to an error.
        """
        self._app, self._endpoint, self._failed = app, endpoint, failed
        self._route = Route(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = scope["type"] == "http" and scope["method"] == "POST"
        if not own or scope["path"] != self._route.path:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        request = Request(scope, receive, send)
        try:
            await admit_reader(request)
            response = await self._endpoint(request, request.app.state.service)
        except (Problem, HemlineError, HTTPException) as error:
            response = await self._failed(request, error)
        await response(scope, receive, send)
