"""The service behind a real nginx and Caddy by the files of deploy/: TLS, sub-path, addresses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from helpers.behind_caddy import behind_caddy
from helpers.behind_nginx import behind_nginx, free_port, wait_for
from hemline.service.keys import KeyRing

pytestmark = pytest.mark.slow
UNIT = (Path(__file__).parents[2] / "deploy/hemline.service").read_text(encoding="utf-8")
CUSTOMER = "127.0.0.2"


@dataclass
class Site:
    """A shop's site: the service at its sub-path, behind a proxy."""

    url: str
    log: Path

    def get(self, path: str, **headers: str) -> Any:
        return self.ask("GET", path, headers=headers)

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """Asks as a customer, who has an address of their own."""
        headers = {"Host": "shop.example", **given.pop("headers", {})}
        transport = httpx.HTTPTransport(local_address=CUSTOMER, verify=False)
        with httpx.Client(transport=transport) as client:
            name = {"sni_hostname": "shop.example"}
            return client.request(
                method, self.url + path, headers=headers, extensions=name, **given
            )

    def clients(self) -> list[str]:
        lines = [
            json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line[0] == "{"
        ]
        return [line["client"] for line in lines if line["event"] == "request"]


@pytest.fixture(params=["nginx", "nginx that takes the sub-path off", "caddy"])
def site(request: pytest.FixtureRequest, shop: Path, tmp_path: Path) -> Iterator[Site]:
    (words,) = re.findall(r"^ExecStart=\S+ (serve .*)$", UNIT, re.MULTILINE)
    port, log = free_port(), tmp_path / "service.log"
    command = [*words.split(), "--port", str(port)]
    command[1] = str(shop)
    proxy: Any = behind_caddy if request.param == "caddy" else behind_nginx
    off = {"takes_off": True} if request.param.endswith("off") else {}
    with (
        proxy(tmp_path, port, **off) as url,
        log.open("wb") as sink,
        subprocess.Popen([sys.executable, "-m", "hemline", *command], stderr=sink) as service,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/healthz")
            yield Site(url, log)
        finally:
            service.terminate()


def test_a_shop_behind_a_proxy(site: Site, shop: Path, photo: bytes) -> None:
    assert site.get("/finder").status_code in (301, 308)
    page = site.get("/finder/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for address in re.findall(r'(?:href|src)="(static/[^"]+)"', page.text):
        assert site.get(f"/finder/{address}").status_code == 200
    found = site.ask("POST", "/finder/v1/search", files={"photo": photo}).json()
    picture = found["hits"][0]["picture"]
    small = site.get(f"{picture}?size=320", Accept="image/webp")
    assert small.headers["content-type"] == "image/webp"
    assert site.get("/finder/v1/items/a%2Fsimilar").status_code == 404  # an id with a slash
    assert site.get("/v1/info").status_code == 404  # not the service's
    before = len(site.clients())
    forged = site.get("/finder/v1/info", **{"X-Forwarded-For": "6.6.6.6"})
    assert forged.status_code == 200
    for _ in range(200):
        if site.clients()[before:]:
            break
        time.sleep(0.05)  # the line is written after the answer
    assert site.clients()[before:] == [CUSTOMER]
    assert site.get("/finder/v1/items").status_code == 401
    assert site.get("/finder/v1/admin/stats").status_code == 401
    assert site.get("/finder/metrics").status_code == 401
    assert site.ask("DELETE", "/finder/v1/items/item0").status_code == 401
    key, _ = KeyRing(shop / "service").create("write")
    bearer = {"Authorization": f"Bearer {key}"}
    gone = site.ask("DELETE", "/finder/v1/items/item0", headers=bearer)
    assert (gone.status_code, gone.json()["status"]) == (200, "removed")
    long = photo + b"\0" * 4_000_000  # nginx's own limit is 1 MB
    assert site.ask("POST", "/finder/v1/search", files={"photo": long}).status_code == 200
