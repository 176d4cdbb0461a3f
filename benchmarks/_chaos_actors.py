"""Clients of a chaos run: writers that keep a ledger, and searchers that check it."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import numpy as np
from _chaos_ledger import Change, Ledger, State

from hemline.catalog.images import MAX_SIDE, QUALITY
from hemline.data.images import encode_jpeg, open_image

#: Items of each writer.
ITEMS = 30


def picture(item: str, version: int) -> bytes:
    """Four flat quarters, coloured by item and version."""
    seed = int.from_bytes(hashlib.sha256(f"{item} {version}".encode()).digest()[:4], "big")
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return encode_jpeg(np.kron(colours, np.ones((16, 16, 1), np.uint8)).astype(np.uint8), 95)


def digest(data: bytes) -> str:
    """The name of the copy that the catalogue stores of an image."""
    copy = encode_jpeg(open_image(data), QUALITY, MAX_SIDE)
    return hashlib.sha256(copy).hexdigest()[:40]


def columns(price: int) -> dict[str, int]:
    """Two columns that agree; half of a change would show."""
    return {"price": price, "double": 2 * price}


class Service:
    """Where the clients send their requests; they pause while it is away.

    Attributes:
        base: its address.
        full, dead: whether its disk is full, or has lost its power.
    """

    def __init__(self, key: str) -> None:
        self.base, self.full, self.dead = "", False, False
        self._key, self._up, self.ended = key, threading.Event(), threading.Event()
        self._inside, self._quiet = 0, threading.Condition()

    def opened(self, base: str) -> None:
        self.base, self.dead = base, False
        self._up.set()

    def leave(self, seconds: float) -> bool:
        """No new request begins; waits for those in progress. False if some go on."""
        self._up.clear()
        with self._quiet:
            return self._quiet.wait_for(lambda: self._inside == 0, seconds)

    def down(self) -> None:
        """No new request begins."""
        self._up.clear()

    @contextmanager
    def client(self) -> Iterator[httpx.Client | None]:
        """A connection while the service is up; None at the end."""
        while not self._up.wait(0.2):
            if self.ended.is_set():
                yield None
                return
        with self._quiet:
            self._inside += 1
        try:
            headers = {"Authorization": f"Bearer {self._key}"}
            with httpx.Client(base_url=self.base, headers=headers, timeout=40.0) as client:
                yield client
        finally:
            with self._quiet:
                self._inside -= 1
                self._quiet.notify_all()


class Writer(threading.Thread):
    """Puts, changes and removes items of its own, alone and in bulk."""

    def __init__(self, number: int, service: Service, ledger: Ledger, seed: int) -> None:
        super().__init__(daemon=True)
        self._number, self._service, self._ledger = number, service, ledger
        self._random = random.Random(f"{seed} writer {number}")
        self._version = 0
        self.pictures: dict[str, bytes] = {}

    def run(self) -> None:
        while not self._service.ended.is_set():
            with self._service.client() as client:
                if client is None:
                    return
                kind = self._random.choices(("put", "patch", "remove", "bulk"), (6, 5, 2, 2))[0]
                getattr(self, f"_{kind}")(client)
            time.sleep(self._random.uniform(0, 0.1))

    def _item(self) -> str:
        return f"w{self._number}-{self._random.randrange(ITEMS)}"

    def _new(self, item: str) -> tuple[bytes, tuple[str, int]]:
        self._version += 1
        data = picture(item, self._version)
        state = digest(data), self._random.randrange(1000)
        self.pictures[state[0]] = data
        return data, state

    def _put(self, client: httpx.Client) -> None:
        item = self._item()
        data, state = self._new(item)
        body = {
            "columns": columns(state[1]),
            "category": "dress",
            "pictures": [base64.b64encode(data).decode()],
        }
        self._ledger.begin("put", item, lambda _: state)
        if self._send(client, "put", "PUT", f"/v1/items/{item}", body) is not None:
            self._ledger.acknowledged("put", item, state)

    def _patch(self, client: httpx.Client) -> None:
        item, price = self._item(), self._random.randrange(1000)

        def change(state: State) -> State:
            return None if state is None else (state[0], price)

        self._ledger.begin("patch", item, change)
        answer = self._send(client, "patch", "PATCH", f"/v1/items/{item}",
                            {"columns": columns(price)})  # fmt: skip
        if answer is not None and answer.status_code == 404:
            self._ledger.absent("patch", item)
        elif answer is not None:
            self._settle(client, "patch", item)

    def _remove(self, client: httpx.Client) -> None:
        item = self._item()
        self._ledger.begin("delete", item, lambda _: None)
        answer = self._send(client, "delete", "DELETE", f"/v1/items/{item}")
        if answer is not None and answer.status_code == 404:
            self._ledger.absent("delete", item)
        elif answer is not None:
            self._ledger.acknowledged("delete", item, None)

    def _bulk(self, client: httpx.Client) -> None:
        items = {f"w{self._number}-{n}" for n in self._random.sample(range(ITEMS), 5)}
        lines, states = [], {}
        for item in sorted(items):
            remove = self._random.random() < 0.2
            data, state = self._new(item)
            states[item] = None if remove else state
            lines.append(
                {"item_id": item, "delete": True}
                if remove
                else {
                    "item_id": item,
                    "columns": columns(state[1]),
                    "pictures": [base64.b64encode(data).decode()],
                }
            )
        for item in states:
            self._ledger.begin("bulk line", item, _to(states[item]))
        body = "\n".join(json.dumps(line) for line in lines)
        answer = self._send(client, "bulk", "POST", "/v1/items:bulk", body)
        for line in [] if answer is None else answer.text.splitlines():
            told = json.loads(line)
            item = told.get("item_id")
            if told["status"] == "refused":
                if states[item] is None and told["problem"]["status"] == 404:
                    self._ledger.absent("bulk line", item)
                else:
                    self._ledger.unanswered("bulk line", "refused")
            else:
                self._ledger.acknowledged("bulk line", item, states[item])

    def _settle(self, client: httpx.Client, kind: str, item: str) -> None:
        """Reads an item back: a change of several possible states leaves the one it has."""
        try:
            answer = client.get(f"/v1/items/{item}")
        except httpx.HTTPError:
            return
        if answer.status_code == 200:
            found = answer.json()
            state = found["pictures"][0]["picture"].rsplit("/", 1)[1], found["columns"]["price"]
            self._ledger.acknowledged(kind, item, state)

    def _send(
        self, client: httpx.Client, kind: str, method: str, path: str, body: Any = None
    ) -> httpx.Response | None:
        """The answer of a change that is stored, or of one for an item that isn't there; None
        where it isn't known what became of it."""
        content = body if isinstance(body, str) else None if body is None else json.dumps(body)
        media = "application/jsonl" if isinstance(body, str) else "application/json"
        try:
            answer = client.request(method, path, content=content, headers={"Content-Type": media})
        except httpx.HTTPError:
            self._ledger.unanswered(kind, "without an answer")
            return None
        if answer.is_success or answer.status_code == 404:
            return answer
        if answer.status_code not in (503, 507) and not self._service.dead:
            self._ledger.fail(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        self._ledger.unanswered(kind, f"refused with {answer.status_code}")
        return None


def _to(state: State) -> Change:
    return lambda _: state


class Searcher(threading.Thread):
    """Searches with the pictures of stored items; each must be found by its own picture."""

    def __init__(
        self, number: int, service: Service, ledger: Ledger, writers: list[Writer], seed: int
    ) -> None:
        super().__init__(daemon=True)
        self._service, self._ledger, self._writers = service, ledger, writers
        self._random = random.Random(f"{seed} searcher {number}")
        self.seconds: list[float] = []

    def run(self) -> None:
        while not self._service.ended.is_set():
            with self._service.client() as client:
                if client is None:
                    return
                self._search(client)
            time.sleep(self._random.uniform(0, 0.1))

    def _search(self, client: httpx.Client) -> None:
        known = [(i, s, t) for i, (s, t) in self._ledger.stable().items() if s is not None]
        if not known:
            return
        item, state, touched = self._random.choice(known)
        photo = {k: v for w in self._writers for k, v in w.pictures.copy().items()}[state[0]]
        full, begun = self._service.full, time.monotonic()
        try:
            answer = client.post("/v1/search", files={"photo": photo}, data={"k": "200"})
        except httpx.HTTPError:
            self._ledger.unanswered("search", "without an answer")
            return
        self.seconds.append(time.monotonic() - begun)
        if answer.status_code != 200:
            self._ledger.unanswered("search", f"refused with {answer.status_code}")
            if (answer.status_code != 503 or full) and not self._service.dead:
                where = " on a full disk" if full else ""
                self._ledger.fail(f"search{where}: {answer.status_code} {answer.text[:300]}")
            return
        hits = answer.json()["hits"]
        self._ledger.unanswered("search", "answered")
        for hit in hits:
            if hit["columns"].get("double") != 2 * hit["columns"].get("price", 0):
                self._ledger.fail(f"half of a change of {hit['item_id']}: {hit['columns']}")
        if item not in {hit["item_id"] for hit in hits} and self._ledger.untouched(item, touched):
            self._ledger.fail(f"{item} isn't found by its own picture")
