"""The embedded store beside Milvus in one run: latency, recall, filters, build time and memory.

Needs the extra ``milvus`` and a server (``pip install --no-deps milvus==2.3.5`` into an environment
of its own). Both get the same rows and queries. Each step (building, searches for 20 and for 256
hits) is a new process, with a new server on what is stored, and may be run alone (``--step``); the
others' results are kept in the folder. Memory is the step's process's own after its queries, and
the server's (all its processes) beside it. ``walks`` is Milvus' own filtered search, with the ids
that match as its condition: recall by width. ``levels`` asks at each level of consistency, without
writes and right after a commit of its own.

    HEMLINE_MILVUS_SERVER=…/milvus-server python benchmarks/milvus.py --rows 200000 --work FOLDER
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _ours import FINGERPRINT, batches
from _system import load, machine, memory
from _truth import CONDITIONS, FILTERED, answers, recall
from _vectors import CHUNK, Data, Made, write

from hemline.catalog.store import Neighbours, Store
from hemline.catalog.stores import STORES
from hemline.catalog.where.expression import Where
from hemline.documents import read_document, write_document

STEPS = ("sqlite build", "sqlite 20", "sqlite 256",
         "milvus build", "milvus 20", "milvus 256", "milvus walks", "milvus levels")  # fmt: skip
LEVELS = ("Session", "Bounded", "Strong")
WIDTHS = (64, 256, 1024)  # of Milvus' own filtered search (ef)
_READY = 180.0  # seconds
_BUILT = 1800.0


class Server:
    """A Milvus server in ``folder``."""

    def __init__(self, folder: Path) -> None:
        executable = os.environ.get("HEMLINE_MILVUS_SERVER") or shutil.which("milvus-server")
        if executable is None:
            raise SystemExit("no milvus-server: set HEMLINE_MILVUS_SERVER to the executable")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "log").open("ab")
        self.process = subprocess.Popen(
            [executable, "--data", str(folder / "data"), "--proxy-port", str(self.port)],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        end = time.monotonic() + _READY
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.5)

    def memory(self) -> int:
        """Resident bytes of the server's processes."""
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == self.process.pid:  # its process group
                total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        return total

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)
        self._log.close()


def built(store: Any, data: Data) -> dict[str, float]:
    """Adds all rows, and waits until they are indexed."""
    start = time.perf_counter()
    for rows in batches(data, 2_000):
        store.add(rows)
    ingest = time.perf_counter() - start
    store.save()
    client = getattr(store, "_client", None)
    if client is not None:  # sealed, so that the index is built
        client.call("flush", client.collection)
        while time.perf_counter() - start < _BUILT:
            state = client.call("describe_index", client.collection, "vector")
            if state.get("pending_index_rows", 0) == 0:
                break
            time.sleep(1)
        client.call("refresh_load", client.collection)
    return {"ingest_s": round(ingest, 1), "build_s": round(time.perf_counter() - start, 1)}


def asked(store: Store, names: Callable[[Any], Any], data: Data, count: int, k: int) -> list[Any]:
    """Latency and recall, for each condition."""
    exact, found = answers(data), []
    for condition in (None, *CONDITIONS):
        where = None if condition is None else Where.parse(condition.text, ("price",))
        chosen = data.queries[-count:]
        for query in chosen[:3]:
            store.search(query, k, where)
        times, rows = [], []
        for query in chosen:
            start = time.perf_counter()
            near = store.search(query, k, where)
            times.append(1000 * (time.perf_counter() - start))
            rows.append(names(near))
        right = exact["" if condition is None else condition.name][-count:]
        found.append(
            {
                "k": k,
                "condition": None if condition is None else condition.name,
                "queries": count,
                "p50_ms": round(float(np.percentile(times, 50)), 2),
                "p95_ms": round(float(np.percentile(times, 95)), 2),
                "recall": round(recall(rows, right, k), 4),
            }
        )
        print(found[-1], flush=True)
    return found


def walked(store: Any, names: Callable[[Any], Any], data: Data, count: int) -> list[Any]:
    """Recall@20 and p50 of Milvus' filtered search, with the ids that match as its condition."""
    exact, found = answers(data), []
    for condition in CONDITIONS:
        where = Where.parse(condition.text, ("price",))
        with store._reader.mirror() as mirror:
            ids = mirror.entities(np.flatnonzero(mirror.mask(where))).tolist()
        for width in WIDTHS:
            rows, times = [], []
            for query in data.queries[-count:]:
                start = time.perf_counter()
                hits = store._client.search(query[None], 20, width, ["vector_id"], f"id in {ids}")
                times.append(1000 * (time.perf_counter() - start))
                got = np.array([int(hit["vector_id"]) for hit in hits[0]], np.int64)
                rows.append(names(Neighbours(got, np.zeros(len(got), np.float32), None)))
            right = recall(rows, exact[condition.name][-count:], 20)
            found.append(
                {
                    "condition": condition.name,
                    "images": len(ids),
                    "ef": width,
                    "recall": round(right, 4),
                    "p50_ms": round(float(np.percentile(times, 50)), 2),
                }
            )
            print(found[-1], flush=True)
    return found


def leveled(store: Any, data: Data, count: int) -> list[Any]:
    """Milliseconds of a search at each level of consistency, in turns; then after each commit."""
    client, found = store._client, list[Any]()
    address = client.address
    times: dict[str, list[float]] = {level: [] for level in LEVELS}
    after: dict[str, list[float]] = {level: [] for level in LEVELS}
    fresh = next(batches(data, 20 * len(LEVELS)))
    queries = data.queries[-count:]
    for number in range(max(count, len(fresh))):
        for level in LEVELS:
            client.address = dataclasses.replace(address, consistency=level)
            start = time.perf_counter()
            store.search(queries[number % count], 20)
            times[level].append(1000 * (time.perf_counter() - start))
    for number, row in enumerate(fresh):
        level = LEVELS[number % len(LEVELS)]
        client.address = dataclasses.replace(address, consistency=level)
        store.add([dataclasses.replace(row, image_id=f"fresh{number}")])
        start = time.perf_counter()
        near = store.search(row.embedding, 20)
        after[level].append(1000 * (time.perf_counter() - start))
        there = store.take(near.ids, vectors=False)
        assert any(one is not None and one.image_id == f"fresh{number}" for one in there)
    client.address = address
    for level in LEVELS:
        p50, p95 = np.percentile(times[level], [50, 95])
        later = float(np.percentile(after[level], 50))
        found.append({"consistency": level.lower(), "p50_ms": round(float(p50), 2)})
        found[-1] |= {"p95_ms": round(float(p95), 2), "p50_after_commit_ms": round(later, 2)}
        print(found[-1], flush=True)
    return found


def opened(name: str, folder: Path, data: Data) -> tuple[Any, Callable[[Any], Any], float]:
    """(store, hits → their rows' numbers, seconds until it answers)."""
    start = time.perf_counter()
    store = STORES[name].open(folder)
    for query in data.queries[:5]:
        store.search(query, 20, Where.parse("price < 500", ("price",)))
    took = round(time.perf_counter() - start, 1)
    numbers: dict[int, int] = {}

    def names(near: Any) -> Any:
        new = [i for i in near.ids.tolist() if i not in numbers]
        for id_, row in zip(new, store.take(np.array(new, np.int64), vectors=False), strict=True):
            assert row is not None
            numbers[id_] = int(row.image_id)
        return np.array([numbers[i] for i in near.ids.tolist()], np.int64)

    return store, names, took


def measured(step: str, name: str, folder: Path, data: Data, queries: int) -> dict[str, Any]:
    """One step of a store; runs in a process of its own."""
    before, begun = memory()["anonymous"], load()
    result: dict[str, Any] = {}
    if step == "build":
        store = STORES[name].create(folder, FINGERPRINT, data.queries.shape[1])
        result = built(store, data)
    else:
        store, names, result["open_s"] = opened(name, folder, data)
        if step == "walks":
            result["walks"] = walked(store, names, data, min(20, queries))
        elif step == "levels":
            result["levels"] = leveled(store, data, queries)
        else:
            result["searches"] = asked(store, names, data, queries, int(step))
        result["own_bytes"] = memory()["anonymous"] - before
    store.close()
    return result | {"load": [begun, load()]}


def apart(*given: Any) -> dict[str, Any]:
    """`measured` in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
        return own.submit(measured, *given).result()


def done(step: str, work: Path, data: Data, queries: int) -> dict[str, Any]:
    """Does a step (``sqlite build``, ``milvus 20`` …), from the beginning where it builds."""
    name, _, part = step.partition(" ")
    folder = work / name
    if part == "build":
        for one in (folder, work / "server") if name == "milvus" else (folder,):
            shutil.rmtree(one, ignore_errors=True)
            one.mkdir()
    if name == "sqlite":
        return apart(part, name, folder, data, queries)
    server = Server(work / "server")
    try:
        address = f"milvus://127.0.0.1:{server.port}/bench?timeout=120"
        settings = folder / "catalog.milvus"
        if part == "build":
            settings.write_text(json.dumps({"address": address}))
        else:  # a server has another port each time
            write_document(settings, read_document(settings) | {"address": address})
        found = apart(part, name, folder, data, queries)
        return found | {"server_bytes": server.memory()}
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--step", choices=STEPS, help="one of them alone; by default all")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    rows = max(CHUNK, given.rows // CHUNK * CHUNK)
    data = write(given.work / f"made-{rows}-{given.dim}", Made(given.dim), rows)
    answers(data)
    path = given.work / "steps.json"
    steps = json.loads(path.read_text()) if path.is_file() else {}
    for step in [given.step] if given.step else STEPS:
        steps[step] = done(step, given.work, data, min(given.queries, FILTERED))
        path.write_text(json.dumps(steps))
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "rows": rows,
        "dim": given.dim,
        "machine": machine(),
        "versions": {name: version(name) for name in ("pymilvus", "faiss-cpu", "numpy")},
        "milvus": "2.3.5 standalone, consistency session",
        "steps": steps,
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text)
    if given.output:
        given.output.write_text(text)


if __name__ == "__main__":
    main()
