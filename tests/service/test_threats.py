"""Who may do what in each mode: every cell of the table in docs/deploy.md, before the service."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hemline.cli import main
from hemline.limits import QueryLimits
from hemline.service import run
from hemline.service.app import create_app
from hemline.service.keys import KeyRing
from hemline.service.settings import PUBLIC_LIMITS, Settings
from hemline.service.shops import Shops

DOC = (Path(__file__).parents[2] / "docs/deploy.md").read_text(encoding="utf-8")
WRONG = "hemline_00000000_" + "a" * 43
#: Statuses with and without each key: nobody's, the read key's, the write key's.
MEANING = {
    "all": (True, True, True),
    "read": (401, True, True),
    "write": (401, 403, True),
    "closed": (401, 401, 401),
}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /v1/search": {"files": {"photo": b"no photo"}},
    "POST /v1/detect": {"files": {"photo": b"no photo"}},
    "POST /v1/photos": {"files": {"photo": b"no photo"}},
    "POST /v1/feedback": {"json": {"search_id": "a", "item_id": "b", "right": True}},
    "PUT /v1/items/NEW": {"json": {"pictures": ["no photo"]}},
    "POST /v1/items:bulk": {"content": b"", "headers": {"Content-Type": "application/jsonl"}},
}


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first head is ``first``; code spans stay in backquotes."""
    lines = DOC.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


MODES = {row[0]: row[1:] for row in table("mode")[1:]}
CALLS, *ROWS = table("call")
CELLS = [
    pytest.param(call, mode, who, id=f"{mode}-{call}")
    for row in ROWS
    for call in spans(row[0])
    for mode, who in zip(CALLS[1:], row[1:], strict=True)
]


@dataclass(frozen=True)
class Served:
    """A service in one mode, its clients by what they send, and its settings."""

    settings: Settings
    clients: tuple[TestClient, TestClient, TestClient]
    wrong: TestClient
    ids: Mapping[str, str]


def settings_of(command: str, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that ``hemline serve`` makes of a command of the docs."""
    given: list[Settings] = []
    with monkeypatch.context() as patch:
        patch.setattr(run, "serve", lambda settings, *_: given.append(settings))
        words = shlex.split(command)
        assert words[:3] == ["hemline", "serve", "shop"]
        assert main(["serve", str(shop), *words[3:]]) == 0
    return given[0]


def client_of(settings: Settings, app: Any, key: str, stack: ExitStack) -> TestClient:
    """Behind a proxy the client's address stands in the header that the proxy sends."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    peer = ("203.0.113.9", 50000)
    if settings.proxies:
        peer, headers["X-Forwarded-For"] = (settings.proxies[0], 50000), "203.0.113.9"
    host = settings.names[0] if settings.names else "127.0.0.1:8000"
    base = f"http://{host}{settings.root_path}"
    client = TestClient(app, base, client=peer, headers=headers, raise_server_exceptions=False)
    return stack.enter_context(client)


@pytest.fixture(scope="module")
def services(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    """A service of each mode; those that refuse to start without a key have one."""
    served = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for mode, (command, keys) in MODES.items():
            shop = Path(shutil.copytree(made / "shop", tmp_path_factory.mktemp("mode") / "shop"))
            ring = KeyRing(shop / "service")
            made_keys = {"read": WRONG, "write": WRONG}
            if keys != "none":
                made_keys = {scope: ring.create(scope)[0] for scope in ("read", "write")}
            settings = settings_of(spans(command)[0], shop, patch)
            run.check_access(settings)
            app = create_app(settings)
            every = [
                client_of(settings, app, key, stack)
                for key in ("", made_keys["read"], made_keys["write"], WRONG)
            ]
            service = app.state.service
            picture = next(service.catalog.images.names())
            # Wrong keys of one address are limited, and there are many of them here.
            patch.setattr(service.failures, "wait", lambda name: 0.0)
            patch.setattr(service.readers, "wait", lambda name: 0.0)
            ids = {"ID": "item0", "NEW": "new", "PICTURE": picture}
            served[mode] = Served(settings, (every[0], every[1], every[2]), every[3], ids)
        yield served


def ask(
    client: TestClient, call: str, ids: Mapping[str, str], method: str = "", origin: str = ""
) -> Any:
    verb, path = call.split()
    path = path.replace("pictures/ID", f"pictures/{ids['PICTURE']}")
    path = re.sub(r"\b(ID|NEW)\b", lambda found: ids[found[1]], path)
    body = dict(BODIES.get(call.replace("/SHOP/", "/"), {}))
    if origin:
        body["headers"] = {**body.get("headers", {}), "Origin": origin}
    return client.request(method or verb, path, **body)


@pytest.mark.parametrize(("call", "mode", "who"), CELLS)
def test_a_cell_of_the_table(
    services: Mapping[str, Served], call: str, mode: str, who: str
) -> None:
    served = services[mode]
    keyless = MODES[mode][1] == "none"
    for client, meant in zip(served.clients, MEANING[who], strict=True):
        if keyless and client is not served.clients[0]:
            continue  # there is no key to send
        status = ask(client, call, served.ids).status_code
        assert (status not in (401, 403)) if meant is True else (status == meant)
        assert status < 500
        if call.startswith("GET"):
            assert ask(client, call, served.ids, "HEAD").status_code == status
    if who != "all":
        assert ask(served.wrong, call, served.ids).status_code == 401


SHOP = "https://shop.example"
SITES = [
    pytest.param(call, origin, meant, id=f"{meant}-{origin}-{call}")
    for row in table("call from another site's page")[1:]
    for call in spans(row[0])
    for origin, meant in zip((SHOP, "https://other.example"), row[1:], strict=True)
]


@pytest.fixture(scope="module")
def named(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A public service with keys, and an origin that it names."""
    shop = Path(shutil.copytree(made / "shop", tmp_path_factory.mktemp("named") / "shop"))
    ring = KeyRing(shop / "service")
    keys = ["", *(ring.create(scope)[0] for scope in ("read", "write")), WRONG]
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        command = f"hemline serve shop --public --host 0.0.0.0 --cors {SHOP}"
        assert command in DOC
        settings = settings_of(command, shop, patch)
        app = create_app(settings)
        every = [client_of(settings, app, key, stack) for key in keys]
        service = app.state.service
        ids = {"ID": "item0", "NEW": "new", "PICTURE": next(service.catalog.images.names())}
        patch.setattr(service.failures, "wait", lambda name: 0.0)
        patch.setattr(service.readers, "wait", lambda name: 0.0)
        yield Served(settings, (every[0], every[1], every[2]), every[3], ids)


@pytest.mark.parametrize(("call", "origin", "meant"), SITES)
def test_a_page_of_another_site(named: Served, call: str, origin: str, meant: str) -> None:
    for client in (*named.clients, named.wrong):
        answer = ask(client, call, named.ids, origin=origin)
        allowed = answer.headers.get("access-control-allow-origin")
        assert "access-control-allow-credentials" not in answer.headers
        assert allowed == (SHOP if origin == SHOP else None)
        keyed = client is not named.clients[0] and " /v1/" in call
        if meant == "allowed" and not keyed:
            assert answer.status_code not in (401, 403)
        else:
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:hemline:problem:origin"


SEVERAL = [
    pytest.param(call, row[1:], id=call)
    for row in table("call | without a key")[1:]
    for call in spans(row[0])
]


@pytest.fixture(scope="module")
def several(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[TestClient]]:
    """Clients of a service of two shops: without a key, with the first one's, with the other's."""
    root = tmp_path_factory.mktemp("several")
    shops = [Path(shutil.copytree(made / "shop", root / name)) for name in ("SHOP", "other")]
    rings = [KeyRing(shop / "service") for shop in shops]
    keys = [
        "",
        rings[0].create("read")[0],
        rings[0].create("write")[0],
        rings[1].create("write")[0],
    ]
    command = "hemline serve shops/* --public --host 0.0.0.0"
    assert command in DOC
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        given = settings_of(command.replace("shops/*", "shop"), shops[0], patch)
        settings = replace(given, shops=tuple(shops))
        run.check_access(settings)
        app = Shops(settings)
        patch.setattr(app.shared.failures, "wait", lambda name: 0.0)
        patch.setattr(app.shared.readers, "wait", lambda name: 0.0)
        yield [client_of(settings, app, key, stack) for key in keys]


@pytest.mark.parametrize(("call", "cells"), SEVERAL)
def test_a_key_of_another_shop(
    several: Sequence[TestClient], call: str, cells: Sequence[str]
) -> None:
    for client, meant in zip(several, cells, strict=True):
        status = ask(client, call, {"ID": "item0", "NEW": "new", "PICTURE": ""}).status_code
        assert (
            (status < 500 and status not in (401, 403))
            if meant == "allowed"
            else (status == int(meant))
        )


def test_every_call_stands_in_the_table(services: Mapping[str, Served]) -> None:
    """Whatever is added later stands there too."""
    document = services["local"].clients[0].get("/v1/openapi.json").json()
    told = {call.partition("?")[0] for row in ROWS for call in spans(row[0])}
    for path, methods in document["paths"].items():
        shape = re.sub(r"\{\w+\}", "[^/ ]+", path)
        for method in methods:
            found = [call for call in told if re.fullmatch(f"{method.upper()} {shape}", call)]
            assert found, f"{method} {path}"
    assert CALLS[1:] == list(MODES)


def test_the_limits_of_a_reader_without_a_key(services: Mapping[str, Served]) -> None:
    shown = {spans(name)[0]: int(value.replace(",", "")) for name, value in table("limit")[1:]}
    assert shown == PUBLIC_LIMITS
    reader, keyed, _ = services["public"].clients
    limits = [client.get("/v1/info").json()["limits"] for client in (reader, keyed)]
    for name, value in PUBLIC_LIMITS.items():
        assert (limits[0][name], limits[1][name]) == (value, getattr(QueryLimits(), name))
    long = {"where": " or ".join(["price < 1"] * 300)}
    codes = [client.get("/v1/facets", params=long).status_code for client in (reader, keyed)]
    assert codes == [400, 200]
