"""The stand-in's answers to the shop's own page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.page_stub import Stub

#: Told by the third question after a job: waiting, half, done.
_STATES = ("waiting", "running", "done")
CHECKED = {
    "healthy": True,
    "problems": [],
    "pictures": 60,
    "queries": 60,
    "recall@1": 0.9,
    "recall@5": 0.95,
    "recall@20": 1.0,
    "intervals": {"recall@1": [0.8, 0.97], "recall@5": [0.88, 0.99], "recall@20": [0.94, 1.0]},
}
ADDED = {"added": 2, "updated": 0, "unchanged": 1, "refused": [{"row": 4, "reason": "no picture"}]}


def answer_admin(
    shop: Stub, command: str, path: str, fields: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    if path == "/v1/admin/stats":
        return 200, _stats(shop)
    if path in ("/v1/admin/manifest", "/v1/admin/check"):
        return 202, _job(path.rsplit("/", 1)[1], 0)
    kind = path.rsplit("/", 1)[1]
    asked = sum(one == path for _, one, _ in shop.asked)
    return 200, _job(kind, min(asked, 2))


def _job(kind: str, step: int) -> dict[str, Any]:
    state = _STATES[step]
    result = (CHECKED if kind == "check" else ADDED) if state == "done" else None
    if kind == "manifest" and state == "done":
        result = ADDED
    return {"id": kind, "kind": kind, "state": state, "done": step * 2, "total": 4,
            "result": result, "error": None, "begun": time.time()}  # fmt: skip


def _stats(shop: Stub) -> dict[str, Any]:
    times = [20.0 + 7 * (n % 9) for n in range(50)]
    recent = [
        {"time": time.time(), "request": {"k": 24}, "timings_ms": {"total": t}, "hits": 24}
        for t in times
    ]
    left = 60 - len(shop.removed)
    return {
        "catalog": {"items": left, "pictures": left, "revision": 7, "store_bytes": 2_400_000,
                    "copies_bytes": 9_000_000, "model": "stub", "reranks": True},
        "searches": {"counted": 50, "timings_ms": {"encode": {"p50": 12.0, "p95": 22.5},
                                                   "total": {"p50": 41.0, "p95": 76.0}}},
        "recent": recent,
        "feedback": {"right": 5, "wrong": 2},
        "jobs": [],
        "service": {"up_seconds": 12.5, "workers": 1},
    }  # fmt: skip
