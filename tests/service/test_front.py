"""Behind a proxy: real client addresses, the sub-path, embedding; and HEAD."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from uvicorn.server import ServerState

import hemline
from helpers.service_thread import listening
from hemline.cli import main
from hemline.errors import UsageError
from hemline.service import protocol, run
from hemline.service.app import create_app
from hemline.service.front import network_of
from hemline.service.keys import KeyRing
from hemline.service.logs import JsonLines
from hemline.service.settings import Settings

PROXY, OTHER = "10.1.2.3", "198.51.100.7"


def public(shop: Path, peer: str, **settings: Any) -> TestClient:
    """A client whose connection comes from ``peer``."""
    app = create_app(Settings(shop, host="0.0.0.0", public=True, **settings))
    return TestClient(app, client=(peer, 4000), raise_server_exceptions=False)


def clients_told(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    return [line["client"] for line in lines if line["event"] == "request"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "real"),
    [
        (PROXY, "203.0.113.9", "203.0.113.9"),
        (PROXY, "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the first is the client's own word
        (PROXY, "6.6.6.6, 203.0.113.9, 10.9.9.9", "203.0.113.9"),  # through two proxies
        (PROXY, "2001:db8::7", "2001:db8::7"),
        (PROXY, None, PROXY),
        (OTHER, "203.0.113.9", OTHER),  # nobody's proxy
    ],
)
def test_the_log_names_the_real_client(
    shop: Path, caplog: pytest.LogCaptureFixture, peer: str, forwarded: str | None, real: str
) -> None:
    caplog.set_level(logging.INFO, "hemline.service")
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    with public(shop, peer, proxies=("10.0.0.0/8",)) as client:
        assert client.get("/v1/info", headers=headers).status_code == 200
    assert clients_told(caplog) == [real]


@pytest.mark.parametrize("trusted", [True, False])
def test_readers_are_limited_by_their_own_address(shop: Path, trusted: bool) -> None:
    proxies = (PROXY,) if trusted else ()
    with public(shop, PROXY, proxies=proxies, public_rate=0.5) as client:

        def ask(address: str) -> Any:
            return client.get("/v1/info", headers={"X-Forwarded-For": address})

        codes = [ask("203.0.113.9").status_code for _ in range(8)]
        assert codes == [200] * 5 + [429] * 3
        assert int(ask("203.0.113.9").headers["retry-after"]) >= 1
        # Another client has its own share; where the proxy isn't trusted all are one.
        assert ask("203.0.113.10").status_code == (200 if trusted else 429)
        assert client.get("/", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200
        key, _ = KeyRing(shop / "service").create("read")
        bearer = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "203.0.113.9"}
        assert client.get("/v1/info", headers=bearer).status_code == 200


def test_an_address_as_it_is_counted() -> None:
    assert network_of("203.0.113.9") == network_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert network_of("2001:db8::1") == network_of("2001:db8::2:1") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") == "2001:db8:0:1::/64"
    assert len(network_of("x" * 9000)) == 64


@pytest.mark.parametrize("prefix", ["/finder", ""], ids=["left on", "taken off"])
def test_a_sub_path_is_in_every_address(shop: Path, photo: bytes, prefix: str) -> None:
    """A proxy may leave the sub-path on or take it off."""
    with public(shop, OTHER, root_path="/finder") as client:
        answer = client.post(f"{prefix}/v1/search", files={"photo": photo}).json()
        address = answer["hits"][0]["picture"]
        assert address.startswith("/finder/v1/pictures/")
        assert client.get(address).headers["content-type"] == "image/jpeg"
        assert client.get(address.removeprefix("/finder")).status_code == 200
        similar = client.get(f"{prefix}/v1/items/item0/similar").json()
        item = client.get(f"{prefix}/v1/items/item0").json()
        shown = [hit["picture"] for hit in similar["hits"]]
        shown += [picture["picture"] for picture in item["pictures"]]
        assert all(address.startswith("/finder/v1/pictures/") for address in shown)
        for sample in client.get(f"{prefix}/v1/info").json()["samples"]:
            assert client.get(sample["photo"]).status_code == 200
            assert sample["photo"].startswith("/finder/")
        document = client.get(f"{prefix}/v1/openapi.json").json()
        assert document["servers"] == [{"url": "/finder"}]
        key, _ = KeyRing(shop / "service").create("write")
        bearer = {"Authorization": f"Bearer {key}"}
        listed = client.get(f"{prefix}/v1/items", headers=bearer).json()["items"]
        assert listed[0]["pictures"][0]["picture"].startswith("/finder/")
        job = client.post(f"{prefix}/v1/admin/check", headers=bearer)
        assert job.headers["location"].startswith("/finder/v1/admin/jobs/")
        assert client.get(f"{prefix}/").status_code == 200


def test_the_sub_path_alone_leads_to_the_page(shop: Path) -> None:
    with public(shop, OTHER, root_path="/shop/finder") as client:
        answer = client.get("/shop/finder?item=a%2Fb", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (308, "/shop/finder/?item=a%2Fb")
        assert client.get("/shop/finder?item=a").headers["content-type"].startswith("text/html")
        assert client.get("/shop/finders/").status_code == 404
        assert client.get("/shop/finder/v1/items/a%2Fsimilar").status_code == 404
        assert client.get("/shop/finder/v1/items/item0/similar").status_code == 200


def test_the_client_reads_pictures_under_a_sub_path(shop: Path, photo: bytes) -> None:
    with listening(Settings(shop, port=0, public=True, root_path="/finder")) as url:
        assert url.endswith("/finder")
        with hemline.Client(url) as client:
            hit = client.search(photo, k=1).hits[0]
            address = client.item(hit.item_id)["pictures"][0]["picture"]
            assert (
                client.picture(address)[:2] == client.picture(hit.image_digest)[:2] == b"\xff\xd8"
            )


def test_every_get_answers_head(shop: Path, photo: bytes) -> None:
    with public(shop, OTHER) as client:
        picture = client.get("/v1/items/item0").json()["pictures"][0]["picture"]
        for path in (
            "/",
            "/static/js/main.js",
            "/v1/info",
            "/healthz",
            "/v1/openapi.json",
            picture,
        ):
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            for name in ("content-type", "etag", "cache-control"):
                assert head.headers.get(name) == got.headers.get(name)
            assert int(head.headers["content-length"]) > 0
        assert client.head("/v1/search").status_code == 405
        assert client.head("/nothing").status_code == 404
        assert 'method="HEAD"' in client.app.state.service.metrics.text().decode()  # type: ignore[attr-defined]


def test_head_over_a_connection(shop: Path) -> None:
    with listening(Settings(shop, port=0)) as url, httpx.Client(base_url=url) as client:
        for _ in range(2):  # over one connection: no body is left behind
            assert client.head("/v1/info").status_code == 200
            assert client.get("/healthz").json() == {"status": "alive"}


def test_who_may_embed_the_page(shop: Path) -> None:
    with public(shop, OTHER) as client:
        assert client.get("/").headers["content-security-policy"].endswith("frame-ancestors 'none'")
    origins = ("https://shop.example", "https://*.shop.example:8443")
    with public(shop, OTHER, frame_ancestors=origins) as client:
        policy = client.get("/").headers["content-security-policy"]
        assert policy.endswith("frame-ancestors https://shop.example https://*.shop.example:8443")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_proxy_may_hold_many_connections(
    shop: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    monkeypatch.setattr(protocol, "PER_ADDRESS", 2)
    proxies = ("127.0.0.1",) if trusted else ("10.0.0.1",)
    settings = Settings(shop, port=0, public=True, proxies=proxies)
    with listening(settings) as url, ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=url)) for _ in range(4)]
        answered = 0
        for client in clients:
            with suppress(httpx.TransportError):
                answered += client.get("/healthz").status_code == 200
        assert answered == (4 if trusted else 2)


def test_a_proxy_of_ipv4_is_known_where_ipv6_is_served(
    shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Failed before: its address came as ::ffff:127.0.0.1, which is in no list of IPv4."""
    caplog.set_level(logging.INFO, "hemline.service")
    settings = Settings(shop, host="::", port=0, public=True, proxies=("127.0.0.1",))
    try:
        with run.listen(settings) as bound:
            alone = bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except UsageError:
        pytest.skip("no IPv6 here")
    if alone:
        pytest.skip("sockets of IPv6 take no IPv4 here")
    with listening(settings) as url:
        own = f"http://127.0.0.1:{url.rpartition(':')[2]}/healthz"
        assert httpx.get(own, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200
        assert httpx.get(own).status_code == 200
    assert clients_told(caplog) == ["203.0.113.9", "127.0.0.1"]


def test_a_machine_without_ipv6_says_so(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed before: a traceback."""

    def none(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", none)
    with pytest.raises(
        UsageError, match=r"can't listen at ::1:0 \(" + re.escape(os.strerror(errno.EAFNOSUPPORT))
    ):
        run.listen(Settings(shop, host="::1", port=0))


@pytest.mark.parametrize(("prefix", "left"), [("2001:db8::", 2), ("2001:db8:0:", 4)])
def test_a_network_of_ipv6_cannot_have_all_connections(
    monkeypatch: pytest.MonkeyPatch, prefix: str, left: int
) -> None:
    """Failed before: each of a client's countless addresses had a share of its own."""
    monkeypatch.setattr(protocol, "PER_ADDRESS", 2)
    config = uvicorn.Config(lambda: None, lifespan="off")  # type: ignore[arg-type,return-value]
    config.load()
    aborted = 0

    class Transport(asyncio.Transport):
        def abort(self) -> None:
            nonlocal aborted
            aborted += 1

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            pass

        def is_closing(self) -> bool:
            return True

        def close(self) -> None:
            pass

        def resume_reading(self) -> None:
            pass

    async def connect() -> None:
        kind, state = protocol.protocol_for(()), ServerState()
        made = [kind(config=config, server_state=state, app_state={}) for _ in range(4)]
        for number, one in enumerate(made):
            peer = (f"{prefix}{number}{'::1' * (left == 4)}", 4000, 0, 0)
            ends = {f"get{end}name": lambda peer=peer: peer for end in ("peer", "sock")}
            one.connection_made(Transport({"socket": SimpleNamespace(**ends)}))
        for one in made:
            one.connection_lost(None)

    with ThreadPoolExecutor(1) as aside:  # a browser of other tests has a loop in this thread
        aside.submit(asyncio.run, connect()).result()
    assert 4 - aborted == left


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("proxies", ("proxy.example",)),
        ("proxies", ("10.0.0.0/99",)),
        ("proxies", ("0.0.0.0/0",)),
        ("root_path", "finder"),
        ("root_path", "/finder/"),
        ("root_path", "/../x"),
        ("root_path", "/a//b"),
        ("root_path", "/v1"),
        ("root_path", '/a"b'),
        ("frame_ancestors", ("https://shop.example; script-src *",)),
        ("frame_ancestors", ("*",)),
        ("frame_ancestors", ("shop.example",)),
        ("public_rate", 0.0),
    ],
)
def test_wrong_settings_are_refused(shop: Path, setting: str, wrong: Any) -> None:
    with pytest.raises(UsageError):
        Settings(shop, **{setting: wrong})


def test_a_network_with_host_bits_is_one(shop: Path) -> None:
    with public(shop, PROXY, proxies=("10.1.2.9/24",)) as client:
        limits = client.app.state.service  # type: ignore[attr-defined]
        assert limits.settings.proxies == ("10.1.2.0/24",)


def test_a_service_that_others_reach_needs_a_key_or_public(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for settings in (
        Settings(shop, host="0.0.0.0"),
        Settings(shop, proxies=("127.0.0.1",)),
        Settings(shop, root_path="/finder"),
    ):
        with pytest.raises(UsageError, match="--public"):
            run.check_access(settings)
        assert not settings.local
    run.check_access(Settings(shop, host="0.0.0.0", public=True))
    assert main(["serve", str(shop), "--trusted-proxy", "nginx"]) == 2
    assert "a trusted proxy is an address" in capsys.readouterr().err
