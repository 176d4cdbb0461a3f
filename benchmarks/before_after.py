"""Two versions of hemline side by side: how long each step of the catalogue and the service takes.

    python benchmarks/before_after.py --before OLD/src --after src --rounds 8
    python benchmarks/before_after.py --before OLD/src --after src --vectors 200000 --items 60

Each round starts one process for each version, in alternating order, and measures the same steps
through names that both versions have: ``hemline.Catalog``, ``hemline.Engine``, the commands and
HTTP; with ``--vectors`` also a store with so many made vectors of 128 numbers. A step's ratio is
after / before within a round; the table has the geometric mean over rounds with a 95 % interval
(Student's t over the logarithms). Below 1 the new version is faster.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RESULTS = Path(__file__).with_name("results") / "before_after.json"
#: 0.975 quantiles of Student's t by degrees of freedom.
_T = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 11: 2.20, 15: 2.13}
#: The name of the bundle that ships, in either version.
BUNDLES = ("hemline-small", "atelier")
_SCRIPT = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='w')"


def worker(data: Path, work: Path, vectors: int) -> dict[str, float]:
    """Measures every step once in this process; seconds of each."""
    import hemline

    seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - start

    manifest = hemline.Manifest.read(data / "manifest.parquet")
    bundle = _bundle()
    with step("create a catalogue"), hemline.Catalog.create(work / "shop", bundle) as catalog:
        pass
    with hemline.Catalog.open(work / "shop") as catalog:
        with step("add its images"):
            catalog.add(manifest)
        with step("add them again (all skipped)"):
            catalog.add(manifest)
    photos = sorted((data / "photos").glob("*.jpg"))
    with step("open and answer the first search"):
        catalog = hemline.Catalog.open(work / "shop")
        engine = hemline.Engine(catalog, threads=1)
        engine.search(photos[0], 20)
    seconds |= _searches(engine, photos)
    catalog.close()
    seconds |= _commands(data, work)
    seconds |= _service(work, photos)
    if vectors:
        seconds |= _store(work / "store", vectors)
    return seconds


def _bundle() -> Any:
    import hemline

    for name in BUNDLES:
        with contextlib.suppress(Exception):
            return hemline.Bundle.open(name)
    raise SystemExit("no bundle ships with this version")


def _median(call: Callable[[Any], object], queries: Iterable[Any]) -> float:
    times = []
    for query in queries:
        start = time.perf_counter()
        call(query)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _searches(engine: Any, photos: list[Path]) -> dict[str, float]:
    where = "price < 60 and category != 'dress'"
    some = photos[:60]
    items = [hit.item_id for hit in engine.search(photos[0], 60).hits]
    ways: dict[str, Callable[[Path], object]] = {
        "search, p50": lambda photo: engine.search(photo, 20),
        "search with a condition, p50": lambda photo: engine.search(photo, 20, where=where),
        "search with facets, p50": lambda photo: engine.search(photo, 20, facets=["category"]),
        "search with detection, p50": lambda photo: engine.search(photo, 20, detect=True),
    }
    for call in ways.values():
        call(photos[0])
    found = {name: _median(call, some) for name, call in ways.items()}
    start = time.perf_counter()
    for item in items:
        _similar(engine, item)
    found["similar items, mean"] = (time.perf_counter() - start) / len(items)
    return found


def _similar(engine: Any, item_id: str) -> None:
    if hasattr(engine, "like"):  # versions up to November 2026
        engine.like(item_id, 20)
        return
    from hemline.types import SearchRequest

    engine.answer(SearchRequest(item_id=item_id, k=20))


def _commands(data: Path, work: Path) -> dict[str, float]:
    from hemline.cli import main

    def run(*words: object) -> float:
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = main([str(word) for word in (*words, "--json")])
        if code:
            raise SystemExit(f"{' '.join(map(str, words))} ended with {code}")
        return time.perf_counter() - start

    shop, feed = work / "shop", data / "feed.csv"
    run("catalog", "stats", shop)  # loads what every command needs
    images = ("--images", data)
    return {
        "sync a feed into a new catalogue": run("catalog", "create", work / "fed")
        + run("catalog", "sync", work / "fed", feed, *images),
        "sync it again (nothing changed)": run("catalog", "sync", work / "fed", feed, *images),
        "sync changed prices": run("catalog", "sync", work / "fed", data / "dearer.csv", *images),
        "check": run("catalog", "check", shop),
        "backup": run("catalog", "backup", shop, work / "copy"),
        "compact": run("catalog", "compact", shop),
        "export": run("catalog", "export", shop, "-o", work / "rows.parquet"),
    }


def _vectors(count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Clustered unit vectors (count, 128)."""
    centres = np.random.default_rng(1).normal(size=(500, 128)).astype(np.float32)
    noise = rng.normal(size=(count, 128)).astype(np.float32)
    vectors = centres[rng.integers(500, size=count)] + noise
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _store(folder: Path, count: int) -> dict[str, float]:
    """The SQLite store with ``count`` `_vectors`."""
    try:
        from hemline.catalog.store import Row
        from hemline.catalog.stores import STORES
        from hemline.catalog.where.expression import Where
    except ImportError:  # versions up to November 2026
        from hemline.search.catalog import STORES  # type: ignore[no-redef]
        from hemline.search.catalog.protocol import Row  # type: ignore[no-redef]
        from hemline.search.where import Where  # type: ignore[no-redef]

    rng = np.random.default_rng(0)
    colours = ("color=red", "color=blue", "color=green", "color=black")

    def timed(call: Callable[[], object]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def rows(start: int) -> list[Any]:
        return [
            Row(f"image{n}", f"item{n // 2}", vector, 1.0, category="dress" if n % 3 else "shirt",
                tags=(colours[n % 4],), columns={"price": n % 1000, "title": f"title {n}"})
            for n, vector in enumerate(_vectors(5000, rng), start)
        ]  # fmt: skip

    folder.mkdir()
    store = STORES["sqlite"].create(folder, "print", 128)
    batches = [rows(start) for start in range(0, count, 5000)]
    found = {"store: add 5,000 rows, mean": timed(lambda: [store.add(rows) for rows in batches])}
    found["store: add 5,000 rows, mean"] /= len(batches)
    found["store: add one row"] = _median(lambda row: store.add([row]), batches[0][:30])
    found["store: save and close"] = timed(store.close)
    start = time.perf_counter()
    store = STORES["sqlite"].open(folder)
    queries = _vectors(400, rng)
    store.search(queries[0], 20)
    found["store: open and first search"] = time.perf_counter() - start
    where = [Where.parse(text, ["price"]) for text in ("price < 10", "'red' in tags")]
    found["store: first condition"] = timed(lambda: store.search(queries[0], 20, where[0]))
    store.search(queries[0], 20, where[1])
    ways: dict[str, Callable[[Any], object]] = {
        "20 hits": lambda query: store.search(query, 20),
        "256 hits": lambda query: store.search(query, 256),
        "1 % meet the condition": lambda query: store.search(query, 20, where[0]),
        "25 % meet the condition": lambda query: store.search(query, 20, where[1]),
        "rows of 20 hits": lambda query: store.take(store.search(query, 20).ids),
    }
    found |= {f"store: {name}, p50": _median(call, queries) for name, call in ways.items()}
    columns = ["category", "tags.color", "price"]
    found["store: facets"] = _median(lambda _: store.facets(columns, where[1]), range(10))
    found["store: verify"] = timed(store.verify)
    store.close()
    return found


def _service(work: Path, photos: list[Path]) -> dict[str, float]:
    import httpx2 as httpx

    command = [sys.executable, "-m", "hemline", "serve", str(work / "shop"), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        url = None
        while url is None:
            line = server.stderr.readline()
            if not line:
                raise SystemExit("the service ended")
            url = re.search(r"(http://[\d.]+:\d+)", line)
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        shots = [photo.read_bytes() for photo in photos]
        with httpx.Client(base_url=url[1], timeout=60) as client:
            while not _ready(client):
                time.sleep(0.05)

            def ask(shot: bytes) -> None:
                answer = client.post("/v1/search", files={"photo": ("a.jpg", shot)})
                answer.raise_for_status()

            for shot in shots[:10]:
                ask(shot)
            times = []
            for shot in shots:
                start = time.perf_counter()
                ask(shot)
                times.append(time.perf_counter() - start)
            with ThreadPoolExecutor(8) as pool:
                start = time.perf_counter()
                list(pool.map(ask, shots * 3))
                busy = (time.perf_counter() - start) / (3 * len(shots))
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        drain.wait(10)
        return {"service: search, p50": statistics.median(times), "service: 8 clients, mean": busy}
    finally:
        server.kill()


def _ready(client: Any) -> bool:
    import httpx2 as httpx

    try:
        return bool(client.get("/readyz").status_code == 200)
    except httpx.TransportError:
        return False


def make_data(folder: Path, items: int) -> None:
    """Draws shop images, street photos and a feed, once for both versions."""
    from hemline import Manifest
    from hemline.synthetic import SyntheticSettings, make_dataset

    path = make_dataset(folder, items, 11, SyntheticSettings(size=224), street_views=1)
    manifest = Manifest.read(path)
    (folder / "photos").mkdir(exist_ok=True)
    rows = [manifest[number] for number in range(len(manifest))]
    street = [row for row in rows if row.domain == "street"][:100]
    for row in street:
        shutil.copy(folder / row.path, folder / "photos" / Path(row.path).name)
    for name, factor in (("feed.csv", 1.0), ("dearer.csv", 1.1)):
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(["id", "title", "image_link", "product_type", "price"])
            for row in rows:
                if row.domain == "shop":
                    price = float(row.extra["price"]) * factor
                    lines.writerow(
                        [row.item_id, row.extra["title"], row.path, row.category, f"{price:.2f}"]
                    )


def measure(source: Path, data: Path, vectors: int) -> dict[str, float]:
    """One process of one version."""
    with tempfile.TemporaryDirectory() as work:
        environment = os.environ | {
            "PYTHONPATH": str(source.resolve()),
            "OMP_NUM_THREADS": "1",
            "HEMLINE_HOME": work,
        }
        command = [sys.executable, "-c", _SCRIPT, str(Path(__file__).resolve())]
        done = subprocess.run(
            [*command, "--worker", str(data), work, str(vectors)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{source}: {done.stderr[-2000:]}")
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def ratios(before: list[dict[str, float]], after: list[dict[str, float]]) -> dict[str, Any]:
    """after / before of each step: geometric mean and its 95 % interval over rounds."""
    table: dict[str, Any] = {}
    for name in before[0]:
        pairs = [old[name] for old in before], [new[name] for new in after]
        table[name] = {
            "before_ms": round(1000 * statistics.median(pairs[0]), 3),
            "after_ms": round(1000 * statistics.median(pairs[1]), 3),
            **ratio(*pairs),
        }
    return table


def ratio(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """after / before within rounds: geometric mean and its 95 % interval."""
    logs = [math.log(new / old) for old, new in zip(before, after, strict=True)]
    middle = statistics.fmean(logs)
    t = _T[max(k for k in _T if k <= len(logs) - 1)]
    reach = t * statistics.stdev(logs) / math.sqrt(len(logs))
    found = {"ratio": middle, "low": middle - reach, "high": middle + reach}
    return {name: round(math.exp(value), 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--before", type=Path, required=True, help="the src folder of one version")
    parser.add_argument("--after", type=Path, default=Path("src"), help="and of the other")
    parser.add_argument("--rounds", type=int, default=8, help="at least 3")
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--vectors", type=int, default=0, help="of a store alone")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args()
    if args.rounds < 3:
        parser.error("--rounds is at least 3")
    before: list[dict[str, float]] = []
    after: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as data:
        make_data(Path(data), args.items)
        for number in range(args.rounds):
            pair = [(args.before, before), (args.after, after)]
            for source, into in pair if number % 2 == 0 else pair[::-1]:
                into.append(measure(source, Path(data), args.vectors))
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    table = ratios(before, after)
    print(f"{'step':36} {'before ms':>10} {'after ms':>10} {'ratio':>6}  95 % interval")
    for name, row in table.items():
        print(
            f"{name:36} {row['before_ms']:10.1f} {row['after_ms']:10.1f} {row['ratio']:6.3f}  "
            f"{row['low']:.3f}-{row['high']:.3f}"
        )
    if args.write:
        from _system import machine

        sizes = {"rounds": args.rounds, "items": args.items, "vectors": args.vectors}
        result = {**sizes, "machine": machine(), "steps": table}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
elif __name__ == "w" and sys.argv[1:2] == ["--worker"]:
    print(json.dumps(worker(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))
