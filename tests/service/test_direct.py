"""Photo searches, which pass FastAPI by: what goes where, and that answers stay the same."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from hemline.service import direct
from hemline.service.direct import Direct
from hemline.service.problems import Problem
from hemline.service.serving import Service


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    await Response(b"passed on")(scope, receive, send)


async def endpoint(request: Request, service: Service) -> Response:
    if (await request.body()) == b"bad":
        raise Problem(422, "bad-request", "no")
    return Response(b"direct")


async def failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response("id")


def asked(method: str, path: str, body: bytes = b"") -> list[Any]:
    """In a thread, as the browser's tests of the same process keep a loop of theirs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, answered(method, path, body)).result()


async def answered(method: str, path: str, body: bytes) -> list[Any]:
    sent: list[Any] = []
    app = FastAPI()
    app.state.service = None
    scope = {"type": "http", "method": method, "path": path, "headers": [], "app": app}
    scope |= {"query_string": b"", "state": {}}

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await Direct(nobody, "/v1/search", endpoint, failed)(scope, receive, send)
    return [sent[0]["status"], sent[1]["body"], "route" in scope]


def test_only_a_post_to_the_address_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    admitted: list[Request] = []

    async def admit(request: Request) -> None:
        admitted.append(request)

    monkeypatch.setattr(direct, "admit_reader", admit)
    assert asked("POST", "/v1/search") == [200, b"direct", True]
    assert len(admitted) == 1
    assert asked("POST", "/v1/search", b"bad")[0] == 422
    for method, path in (("GET", "/v1/search"), ("POST", "/v1/search/"), ("POST", "/v1/detect")):
        assert asked(method, path) == [200, b"passed on", False]


def test_whoever_is_refused_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(request: Request) -> None:
        raise Problem(401, "key", "a key is needed")

    monkeypatch.setattr(direct, "admit_reader", refuse)
    status, body, _ = asked("POST", "/v1/search")
    assert status == 401
    assert b"a key is needed" in body


def test_its_metrics_have_the_route(client: TestClient, photo: bytes) -> None:
    assert client.post("/v1/search", files={"photo": photo}).status_code == 200
    assert client.post("/v1/search", files={"other": photo}).status_code == 422
    text = client.get("/metrics").text
    for status in (200, 422):
        assert f'method="POST",route="/v1/search",status="{status}"' in text
    assert '"/v1/search"' in client.get("/v1/openapi.json").text
