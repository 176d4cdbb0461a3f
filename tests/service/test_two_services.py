"""Two services on PostgreSQL before one catalogue, embedded or on Milvus, one of them killed."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from helpers import milvus, postgres
from helpers.service_process import Running
from hemline.catalog.catalog import Catalog
from hemline.service.settings import Settings
from hemline.service.state import open_keys
from hemline.sql import DATABASE

pytestmark = pytest.mark.slow

_PATIENCE = 300.0  # seconds
Told = tuple[str, str, bool]  # search, item, right


@pytest.fixture(params=["embedded", "milvus"])
def shops(request: pytest.FixtureRequest, shop: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The catalogue as two machines have it: one folder, or two copies of one on Milvus."""
    if request.param == "embedded":
        return shop, shop
    address = milvus.server().address("?timeout=120")
    first, second = tmp_path / "a" / "shop", tmp_path / "b" / "shop"
    with (
        Catalog.open(shop) as embedded,
        Catalog.create(first, embedded.bundle, address=address) as made,
    ):
        embedded.copy_to(made)
    shutil.copytree(first, second)
    return first, second


class Shopper(threading.Thread):
    """Searches at one service and judges at another, until it is told to stop."""

    def __init__(self, services: list[Running], number: int, key: str, photo: bytes) -> None:
        super().__init__(daemon=True)
        self._services, self._number, self._photo = services, number, photo
        self._headers = {"Authorization": f"Bearer {key}"}
        self.told: list[Told] = []
        self.failed: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        at = self._number
        while not self.stop.is_set():
            at += 1
            try:
                self._round(self._services[at % 2].url, self._services[(at // 2) % 2].url, at)
            except httpx.TransportError:  # it is killed, or starts
                time.sleep(0.1)

    def _round(self, first: str, second: str, at: int) -> None:
        files = {"photo": self._photo}
        found = self._ask(f"{first}/v1/search", files=files)
        if found is None:
            return
        item, right = found["hits"][0]["item_id"], at % 3 > 0
        given = {"search_id": found["search_id"], "item_id": item, "right": right}
        if self._ask(f"{second}/v1/feedback", json=given) == {"kept": True}:
            self.told.append((found["search_id"], item, right))

    def _ask(self, url: str, **options: Any) -> Any:
        answer = httpx.post(url, headers=self._headers, timeout=60, **options)
        if answer.status_code in (200, 404):  # a search of a killed process isn't there
            return answer.json() if answer.status_code == 200 else None
        self.failed.append(f"{answer.status_code} {answer.text[:200]}")
        return None


@pytest.fixture
def services(shops: tuple[Path, Path]) -> Iterator[tuple[list[Running], str]]:
    """Two running services, and the address of their database."""
    url = postgres.server().new()
    with ExitStack() as stack:
        running = [Running(folder, "--rate", "1000", **{DATABASE: url}) for folder in shops]
        for one in running:
            stack.callback(one.close)
        yield running, url


def waited(shopper: Shopper, more: int) -> None:
    wanted, end = len(shopper.told) + more, time.monotonic() + _PATIENCE
    while len(shopper.told) < wanted:
        assert time.monotonic() < end, shopper.failed[-3:]
        time.sleep(0.05)


def test_one_of_two_is_killed_under_load(
    services: tuple[list[Running], str], shops: tuple[Path, Path], photo: bytes
) -> None:
    running, url = services
    keys = open_keys(Settings(shops[1], database=url))
    text, key = keys.create("write")
    shoppers = [Shopper(running, number, text, photo) for number in range(3)]
    for shopper in shoppers:
        shopper.start()
    waited(shoppers[0], 5)
    os.kill(running[0].process.pid, 9)
    running[0].process.wait()
    waited(shoppers[0], 3)
    running[0].close()
    again = Running(shops[0], "--rate", "1000", **{DATABASE: url})
    running[0] = again
    waited(shoppers[0], 5)
    for shopper in shoppers:
        shopper.stop.set()
    for shopper in shoppers:
        shopper.join(120)
        assert not shopper.is_alive()
        assert shopper.failed == []
    told = [one for shopper in shoppers for one in shopper.told]
    header = {"Authorization": f"Bearer {text}"}
    exported = [
        httpx.get(f"{one.url}/v1/feedback/export", headers=header, timeout=60).text.splitlines()
        for one in running
    ]
    assert sorted(exported[0]) == sorted(exported[1])
    lines = [json.loads(line) for line in exported[0]]
    found = {line["search_id"]: line for line in lines}
    assert len(found) == len(lines)  # each search once
    for search, item, right in told:
        side = found[search]["positive" if right else "negative"]
        assert side["item_id"] == item
    open_keys(Settings(shops[0], database=url)).revoke(key.id)
    for one in running:
        assert httpx.get(f"{one.url}/v1/items", headers=header).status_code == 401
    again.close()
