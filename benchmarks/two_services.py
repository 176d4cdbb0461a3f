"""Two services on PostgreSQL before one catalogue on Milvus, under load; one is killed, and comes
back.

    HEMLINE_MILVUS_SERVER=…/milvus-server python benchmarks/two_services.py --work FOLDER

Two copies of a catalogue's folder, as two machines have them (made vectors of the shipped bundle,
one product for four pictures); both services, PostgreSQL, Milvus and the clients are on this
machine. Shoppers search with drawn street photos and judge hits, each request at the other service
than the one before; writers change a column of products, also in turns. Where a service doesn't
answer, or says 503, the client asks the other one, as nginx does for reading; a write, too, as it
says what the product shall be. At the end both services must have every change and each judgement
that was acknowledged. Anything lost or wrong is exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from _system import load, machine, versions  # noqa: E402
from service_load import filled, photos  # noqa: E402

from helpers import milvus, postgres  # noqa: E402
from helpers.service_process import Running  # noqa: E402
from hemline.catalog.catalog import Catalog  # noqa: E402
from hemline.runtime.bundle import Bundle  # noqa: E402
from hemline.service.settings import Settings  # noqa: E402
from hemline.service.state import open_keys  # noqa: E402
from hemline.sql import DATABASE  # noqa: E402

PHASES = ("both", "one is killed", "both again")
Asked = tuple[str, float, float]  # kind, when it was answered, milliseconds with all tries


class Load:
    """The clients, what they were told, and how long it took."""

    def __init__(self, urls: list[str], key: str, pictures: list[bytes], items: list[str]) -> None:
        self._urls, self._pictures, self._items = urls, pictures, items
        self._headers = {"Authorization": f"Bearer {key}"}
        self.stop, self._turns = threading.Event(), count()
        self.asked: list[Asked] = []
        self.judged: dict[tuple[str, str], bool] = {}
        self.written: dict[str, int] = {}
        self.refused: dict[str, int] = {}

    def _ask(self, kind: str, method: str, path: str, **options: Any) -> Any:
        """The answer of the next service, or of the other one where that gives none."""
        start, first = time.perf_counter(), next(self._turns)
        for attempt in count():
            url = self._urls[(first + attempt) % 2]
            try:
                answer = httpx.request(
                    method, url + path, headers=self._headers, timeout=60, **options
                )
                why = str(answer.status_code)
            except httpx.TransportError:
                answer, why = None, "no answer"
            if answer is not None and answer.status_code in (200, 404):
                took = 1000 * (time.perf_counter() - start)
                self.asked.append((kind, time.monotonic(), took))
                return answer.json() if answer.status_code == 200 else None
            self.refused[f"{kind}: {why}"] = self.refused.get(f"{kind}: {why}", 0) + 1
            time.sleep(0.02)
            if self.stop.is_set() and attempt > 200:
                return None
        raise AssertionError

    def shop(self, number: int) -> None:
        """Searches, and judges the first hit, until it is stopped."""
        for at in count(number):
            if self.stop.is_set():
                return
            photo = self._pictures[at % len(self._pictures)]
            found = self._ask("search", "POST", "/v1/search", files={"photo": photo})
            if not found or not found["hits"]:
                continue
            given = {"search_id": found["search_id"], "item_id": found["hits"][0]["item_id"]}
            given["right"] = at % 3 > 0
            if self._ask("feedback", "POST", "/v1/feedback", json=given) == {"kept": True}:
                self.judged[given["search_id"], given["item_id"]] = given["right"]

    def write(self, number: int) -> None:
        """Changes products of its own, until it is stopped."""
        own = self._items[number::2]
        for at in count():
            if self.stop.is_set():
                return
            item = own[at % len(own)]
            given = {"columns": {"stock": at}}
            if self._ask("write", "PATCH", f"/v1/items/{item}", json=given):
                self.written[item] = at


def told(asked: list[Asked], begin: float, end: float) -> dict[str, Any]:
    """Rate and times of each kind of request in a phase."""
    result: dict[str, Any] = {"seconds": round(end - begin, 1)}
    for kind in ("search", "feedback", "write"):
        times = [took for name, at, took in asked if name == kind and begin <= at < end]
        if times:
            result[kind] = {
                "answered": len(times),
                "p50_ms": round(float(np.percentile(times, 50)), 1),
                "p95_ms": round(float(np.percentile(times, 95)), 1),
                "max_ms": round(max(times), 1),
            }
    return result


def run(folders: list[Path], url: str, work: Path, seconds: float) -> dict[str, Any]:
    """Both services under load, with the kill after ``seconds`` and the start ``seconds`` later."""
    environment = {DATABASE: url}
    options = ("--rate", "100000")
    running = [Running(folder, *options, **environment) for folder in folders]
    text, _ = open_keys(Settings(folders[0], database=url)).create("write")
    header = {"Authorization": f"Bearer {text}"}
    page = httpx.get(f"{running[0].url}/v1/items?limit=50", headers=header, timeout=60).json()
    clients = Load(
        [one.url for one in running], text, photos(work / "photos"),
        [item["item_id"] for item in page["items"]],
    )  # fmt: skip
    port = running[0].url.rpartition(":")[2]
    work_of: list[tuple[Callable[[int], None], int]] = [
        *((clients.shop, n) for n in range(3)), *((clients.write, n) for n in range(2)),
    ]  # fmt: skip
    threads = [threading.Thread(target=one, args=(n,), daemon=True) for one, n in work_of]
    for thread in threads:
        thread.start()
    edges = [time.monotonic()]
    time.sleep(seconds)
    edges.append(time.monotonic())
    for number in running[0].processes():
        os.kill(number, signal.SIGKILL)
    time.sleep(seconds)
    running[0].close()
    begun = time.perf_counter()
    running[0] = Running(folders[0], *options, "--port", port, **environment)
    ready = round(time.perf_counter() - begun, 1)
    edges.append(time.monotonic())
    time.sleep(seconds)
    edges.append(time.monotonic())
    clients.stop.set()
    for thread in threads:
        thread.join(120)
    failures = checked(running, clients, header)
    phases = {
        name: told(clients.asked, *edge) for name, edge in zip(PHASES, pairwise(edges), strict=True)
    }
    for one in running:
        one.close()
    return {
        "phases": phases,
        "ready_again_s": ready,
        "tried_again": dict(sorted(clients.refused.items())),
        "judgements": len(clients.judged),
        "products_changed": len(clients.written),
        "failures": failures,
    }


def checked(running: list[Running], clients: Load, header: dict[str, str]) -> list[str]:
    """What was acknowledged and isn't in both services as it was told."""
    failures: list[str] = []
    exported = [
        httpx.get(f"{one.url}/v1/feedback/export", headers=header, timeout=120).text.splitlines()
        for one in running
    ]
    if sorted(exported[0]) != sorted(exported[1]):
        failures.append("the services export different feedback")
    lines = [json.loads(line) for line in exported[0]]
    found = {line["search_id"]: line for line in lines}
    if len(found) != len(lines):
        failures.append("a search is exported twice")
    for (search, item), right in clients.judged.items():
        side = found.get(search, {}).get("positive" if right else "negative") or {}
        if side.get("item_id") != item:
            failures.append(f"the judgement of {search} is lost")
    time.sleep(3)  # others' commits are seen within a second or so
    for one in running:
        for item, stock in clients.written.items():
            got = httpx.get(f"{one.url}/v1/items/{item}", headers=header, timeout=60).json()
            if got["columns"].get("stock") != stock:
                failures.append(f"{item}: {got['columns'].get('stock')} in place of {stock}")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60, help="of each of three phases")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "benchmarks/results/two_services.json"
    )
    options = parser.parse_args()
    before, work = load(), options.work
    work.mkdir(parents=True, exist_ok=True)
    filled(work / "embedded", Bundle.default(), options.pictures)
    folders = [work / name / "shop" for name in ("a", "b")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
    server, url = milvus.server(), postgres.server().new()
    os.environ[DATABASE] = url
    with (
        Catalog.open(work / "embedded") as embedded,
        Catalog.create(folders[0], embedded.bundle, address=server.address("?timeout=60")) as made,
    ):
        embedded.copy_to(made)
    shutil.copytree(*folders)
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "versions": versions("hemline", "numpy", "pymilvus", "sqlalchemy", "psycopg"),
        "milvus": "2.3.5 standalone, consistency session",
        "pictures": options.pictures,
        "clients": {"shoppers": 3, "writers": 2},
        **run(folders, url, work, options.seconds),
        "load": [before, load()],
    }
    options.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
