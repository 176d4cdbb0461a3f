"""Who is let in: keys, scopes, rates, other sites' pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hemline.cli import main
from hemline.errors import UsageError
from hemline.service.keys import KeyRing, RateLimit
from hemline.service.run import check_access
from hemline.service.settings import Settings


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_keys_are_made_listed_and_revoked(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> dict[str, Any]:
        assert main(["key", *words, "--json"]) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    made = run("create", str(shop), "--scope", "write", "--name", "shop desk")
    stored = (shop / "service/keys.json").read_text()
    assert made["key"] not in stored
    assert made["key"].split("_", 2)[2] not in stored  # a secret may have an underscore itself
    assert (shop / "service/keys.json").stat().st_mode & 0o077 == 0
    (listed,) = run("list", str(shop))["keys"]
    assert listed == {n: made[n] for n in ("id", "name", "scope", "created")}
    ring = KeyRing(shop / "service")
    found = ring.verify(made["key"])
    assert found is not None
    assert found.scope == "write"
    for wrong in (
        "",
        "hemline",
        made["key"][:-1],
        made["key"] + "x",
        "hemline_00000000_" + "a" * 43,
    ):
        assert ring.verify(wrong) is None
    run("revoke", str(shop), made["id"])
    assert ring.verify(made["key"]) is None
    assert main(["key", "revoke", str(shop), made["id"]]) == 2
    assert main(["key", "create", str(shop), "--scope", "all"]) == 2
    assert main(["key", "list", str(shop.parent)]) == 1


def test_with_a_key_everybody_needs_one(client: TestClient, shop: Path, photo: bytes) -> None:
    assert client.get("/v1/info").status_code == 200  # none yet, and only this machine can ask
    ring = KeyRing(shop / "service")
    reader, _ = ring.create("read")
    writer, key = ring.create("write")
    files = {"files": {"photo": photo}}
    for method, path, more in (
        ("POST", "/v1/search", files),
        ("POST", "/v1/detect", files),
        ("GET", "/v1/items", {}),
        ("GET", "/v1/items/item0", {}),
        ("GET", "/v1/items/item0/similar", {}),
        ("GET", "/v1/facets", {}),
        ("GET", "/v1/info", {}),
        ("GET", "/metrics", {}),
    ):
        bare = client.request(method, path, **more)
        assert bare.status_code == 401, path
        assert bare.headers["www-authenticate"] == "Bearer"
        for good in (reader, writer):
            assert client.request(method, path, headers=bearer(good), **more).status_code == 200
    for method, path in (
        ("DELETE", "/v1/items/item0"),
        ("PUT", "/v1/items/item0"),
        ("PATCH", "/v1/items/item0"),
        ("POST", "/v1/items:bulk"),
        ("GET", "/v1/feedback/export"),
        ("GET", "/v1/admin/stats"),
        ("POST", "/v1/admin/manifest"),
        ("POST", "/v1/admin/check"),
        ("GET", "/v1/admin/jobs"),
        ("GET", "/v1/admin/jobs/x"),
    ):
        assert client.request(method, path).status_code == 401, path
        refused = client.request(method, path, headers=bearer(reader))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:hemline:problem:scope")
        if method == "GET":
            assert client.request(method, path, headers=bearer(writer)).status_code in (200, 404)
    for path in ("/", "/healthz", "/readyz"):
        assert client.get(path).status_code == 200
    ring.revoke(key.id)
    assert client.get("/v1/info", headers=bearer(writer)).status_code == 401


def test_every_endpoint_says_who_may(client: TestClient, shop: Path) -> None:
    """Whatever is added later needs a key too, unless it stands here."""
    KeyRing(shop / "service").create("read")
    free = {"/healthz", "/readyz", "/v1/pictures/{picture_id}", "/v1/samples/{number}"}
    free.add("/v1/photos/{photo_id}")  # a link to an own photo opens for whoever has it
    document = client.get("/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            asked = client.request(method.upper(), path.replace("{number}", "0"))
            assert (asked.status_code == 401) == (path not in free), (method, path)


def test_an_address_that_others_reach_needs_a_key(shop: Path, open_client: Any) -> None:
    settings = Settings(shop, host="0.0.0.0")
    with pytest.raises(UsageError, match="hemline key create"):
        check_access(settings)
    client = open_client(host="0.0.0.0")
    assert client.get("/v1/info").status_code == 401  # also where the last key was revoked
    KeyRing(shop / "service").create("read")
    check_access(settings)
    assert not Settings(shop, host="192.168.1.4").local
    assert Settings(shop, host="::1").local
    assert not Settings(shop, host="shop.example").local


def test_each_key_may_ask_so_often(open_client: Any, shop: Path) -> None:
    ring = KeyRing(shop / "service")
    one, other = ring.create("read")[0], ring.create("read")[0]
    client = open_client(rate=2.0)
    codes = []
    while 429 not in codes and len(codes) < 100:  # a slow machine fills the bucket meanwhile
        codes.append(client.get("/v1/info", headers=bearer(one)).status_code)
    assert codes[:4] == [200] * 4
    assert codes[-1] == 429
    slow = client.get("/v1/info", headers=bearer(one))
    assert int(slow.headers["retry-after"]) >= 1
    assert client.get("/v1/info", headers=bearer(other)).status_code == 200
    wrong = [client.get("/v1/info", headers=bearer("x")).status_code for _ in range(15)]
    assert (wrong[0], wrong[-1]) == (401, 429)


def test_a_bucket_fills_again() -> None:
    buckets = RateLimit(2.0, 3.0, names=2)
    assert [buckets.wait("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("a", 0.5) == 0
    assert buckets.wait("a", 0.5) == pytest.approx(0.5)
    assert [buckets.wait("a", 100.0) for _ in range(4)][-1] > 0
    assert buckets.wait("b", 100.0) == buckets.wait("c", 100.0) == 0
    assert buckets.wait("a", 100.0) == 0  # forgotten


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "0"])
def test_a_foreign_name_for_this_machine_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/v1/info", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (421, "urn:hemline:problem:host")


def test_other_sites_pages_are_kept_out(open_client: Any, photo: bytes) -> None:
    client = open_client(cors=("https://shop.example",), names=("find.shop.example",))

    def search(**headers: str) -> Any:
        return client.post("/v1/search", files={"photo": photo}, headers=headers)

    assert search(Origin="https://evil.example").status_code == 403
    assert search(Origin="null").status_code == 403
    assert search(**{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert search(Origin="http://127.0.0.1:8000").status_code == 200
    own = search(Origin="https://find.shop.example", Host="find.shop.example")
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers
    named = search(Origin="https://shop.example")
    assert named.headers["access-control-allow-origin"] == "https://shop.example"
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/search", headers=asked).status_code == 200


def test_what_browsers_are_told(client: TestClient) -> None:
    for path in ("/", "/v1/info", "/nothing", "/v1/pictures/x"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]
    own = client.get("/v1/info", headers={"X-Request-ID": "abc-1"})
    assert own.headers["x-request-id"] == "abc-1"
    assert (
        client.get("/v1/info", headers={"X-Request-ID": "a b\n"}).headers["x-request-id"] != "a b"
    )
    assert client.get("/v1/info").headers["cache-control"] == "no-store"
