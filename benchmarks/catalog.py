"""The catalogue at size, beside other libraries on the same vectors and queries.

    python benchmarks/catalog.py --size 200k --work /tmp/catalogs --rivals all
    python benchmarks/catalog.py --size 10m --work /tmp/catalogs
    python benchmarks/catalog.py --size 200k --kind atelier --work /tmp/catalogs --rivals all

Each system runs in a process of its own, with the settings of `_rivals.py`; all of them answer in
turns, round after round, so that other load on the machine affects each alike. Those that trade
time for recall use their first effort level with recall 0.99 on 100 queries kept for that
(recall@20 for ``k=20``, recall@256 for ``k=256``), or the last. ``--work`` keeps the vectors
(`_vectors.py`), the exact answers (`_truth.py`) and the rivals' indexes for the next run; ours is
built again unless ``--reuse``. Writes ``benchmarks/results/catalog-SIZE-KIND.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _vectors
import numpy as np
from _rivals import SYSTEMS
from _system import THREADS, load, machine, versions
from _truth import CONDITIONS, FILTERED, answers, recall
from _vectors import Atelier, Data, Made, Noise

RESULTS = Path(__file__).with_name("results")
SIZES = {"50k": (50_000, 128), "200k": (200_000, 512), "1m": (1_000_000, 256)}
SIZES |= {"10m": (10_000_000, 256)}
KEPT = 200  # queries that aren't measured; the first half chooses settings
AIM = 0.99
NO_FILTER = {"usearch"}


class Server:
    """A system that answers in a process of its own."""

    def __init__(self, name: str, data: Data, folder: Path) -> None:
        self.name = name
        start = time.perf_counter()
        self._process = subprocess.Popen(
            _command("serve", name, data, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.opened = self._read()
        self.opened["process_s"] = time.perf_counter() - start

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._read()

    def single(
        self, start: int, stop: int, k: int, condition: str = "", warm: int = 10
    ) -> tuple[list[float], list[Any]]:
        span = {"from": start, "to": stop, "warm": min(warm, stop - start)}
        found = self.ask(do="single", k=k, condition=condition, **span)
        return found["ms"], found["rows"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _command(verb: str, name: str, data: Data, folder: Path) -> list[str]:
    worker = Path(__file__).with_name("_worker.py")
    return [sys.executable, str(worker), verb, name, str(data.folder), str(folder)]


def build(name: str, data: Data, folder: Path, minutes: float, reuse: bool) -> dict[str, Any]:
    """Builds a system, or tells how it was built; ``stopped`` says that it took too long."""
    report = folder.with_suffix(".json")
    if reuse and report.is_file():
        held: dict[str, Any] = json.loads(report.read_text("utf-8"))
        return held
    shutil.rmtree(folder, ignore_errors=True)
    report.unlink(missing_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    before = load()
    try:
        done = subprocess.run(
            _command("build", name, data, folder),
            stdout=subprocess.PIPE,
            timeout=minutes * 60,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        found = {"stopped": f"after {minutes:g} minutes"}
        shutil.rmtree(folder, ignore_errors=True)
    except subprocess.CalledProcessError as error:
        found = {"stopped": f"it failed ({error.returncode})"}
    found["load"] = [before, load()]
    found["when"] = time.strftime("%Y-%m-%d %H:%M")
    report.write_text(json.dumps(found), "utf-8")
    return found


def choose(server: Server, exact: Any, k: int) -> Any:
    """The system's first effort level that reaches the recall on the kept queries."""
    levels: Sequence[Any] = SYSTEMS[server.name]().effort_levels
    for setting in levels:
        server.ask(do="use", setting=setting)
        if len(levels) == 1:
            break
        _, rows = server.single(0, KEPT // 2, k, warm=0)
        if recall(rows, exact[: KEPT // 2], k) >= AIM:
            break
    return setting


def shares(milliseconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3)}


def measure(servers: list[Server], data: Data, rounds: int, each: int) -> dict[str, Any]:
    """Every figure of every server, in turns."""
    truth = answers(data)
    found: dict[str, dict[str, Any]] = {s.name: {} for s in servers}
    for k in (20, 256):
        for server in servers:
            found[server.name][f"setting_{k}"] = choose(server, truth[""], k)
        taken: dict[str, list[float]] = {s.name: [] for s in servers}
        got: dict[str, list[Any]] = {s.name: [] for s in servers}
        for number in range(rounds):
            start = KEPT + number * each
            for server in servers:
                ms, rows = server.single(start, start + each, k)
                taken[server.name] += ms
                got[server.name] += rows
        exact = truth[""][KEPT : KEPT + rounds * each]
        for server in servers:
            figures = shares(taken[server.name])
            for depth in (20, 256):
                if depth <= k:
                    figures[f"recall@{depth}"] = round(recall(got[server.name], exact, depth), 4)
            found[server.name][f"k={k}"] = figures
        for _ in range(3):
            for server in servers:
                rates = found[server.name].setdefault(f"batch_k={k}", [])
                seconds = server.ask(do="batch", **{"from": KEPT, "to": KEPT + 320}, k=k)["seconds"]
                rates.append(round(320 / seconds, 1))
        if k == 20:
            filtered(servers, truth, found)
    for server in servers:
        found[server.name]["memory"] = server.ask(do="memory")
        found[server.name]["opened"] = server.opened
    return found


def filtered(servers: list[Server], truth: dict[str, Any], found: dict[str, Any]) -> None:
    """Each condition: the first answer (which may have to read a column), then 200 queries."""
    for condition in CONDITIONS:
        for server in servers:
            figures: dict[str, Any] = {}
            found[server.name].setdefault("where", {})[condition.name] = figures
            if server.name in NO_FILTER:
                continue
            first, _ = server.single(0, 1, 20, condition.name, warm=0)
            # A filter in Python or a scan can take half a second: then fewer queries are asked.
            count = FILTERED if first[0] < 200 else 40
            ms, rows = server.single(0, count, 20, condition.name)
            figures |= shares(ms) | {"first_ms": round(first[0], 2)}
            figures["recall@20"] = round(recall(rows, truth[condition.name][:count], 20), 4)
            deep = min(count, 40)
            ms, rows = server.single(0, deep, 256, condition.name, warm=2)
            figures["k=256"] = shares(ms)
            figures["recall@256"] = round(recall(rows, truth[condition.name][:deep], 256), 4)


def ratios(found: dict[str, Any], builds: dict[str, Any]) -> dict[str, Any]:
    """Each rival's figure over ours: above 1, ours is better (queries a second: ours over it)."""
    ours, mine = found["hemline"], builds["hemline"]
    table: dict[str, Any] = {}
    for name, other in found.items():
        if name == "hemline":
            continue
        row = {
            f"p50 k={k}": other[f"k={k}"]["p50_ms"] / ours[f"k={k}"]["p50_ms"] for k in (20, 256)
        }
        row |= {
            f"batch k={k}": max(ours[f"batch_k={k}"]) / max(other[f"batch_k={k}"])
            for k in (20, 256)
        }
        built = builds[name]
        row["to searchable"] = (built["ingest_s"] + built["build_s"]) / (
            mine["ingest_s"] + mine["build_s"]
        )
        row["disk"] = built["disk"] / mine["disk"]
        row["anonymous memory"] = other["memory"]["anonymous"] / ours["memory"]["anonymous"]
        row["reopen"] = other["opened"]["open_s"] / ours["opened"]["open_s"]
        for condition, figures in other["where"].items():
            if "p50_ms" in figures:
                row[f"where {condition}"] = figures["p50_ms"] / ours["where"][condition]["p50_ms"]
        table[name] = {key: round(value, 2) for key, value in row.items()}
    return table


def prepared(options: argparse.Namespace) -> Data:
    """The vectors, queries and exact answers."""
    rows, dim = SIZES[options.size]
    folder = options.work / f"{options.kind}-{options.size}"
    if options.kind == "made":
        data = _vectors.write(folder, Made(dim), rows)
    elif options.kind == "noise":
        data = _vectors.write(folder, Noise(dim), rows)
    else:
        pool = options.work / "atelier.npz"
        if not pool.is_file():
            _vectors.embed_atelier(pool, products=2000, views=2)
        data = _vectors.write(folder, Atelier(pool), rows)
    answers(data)
    return data


def _for_each_row(built: dict[str, Any], rows: int) -> None:
    if "stopped" not in built:
        built["rows_per_s"] = round(rows / built["ingest_s"])
        built["disk_per_picture"] = round(built["disk"] / rows, 1)


def _amend(output: Path, name: str, built: dict[str, Any], rows: int) -> None:
    """Puts the figures of a build into a result that is there."""
    _for_each_row(built, rows)
    result = json.loads(output.read_text("utf-8"))
    result["builds"][name] = built
    result["ratios"] = ratios(result["found"], result["builds"])
    output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="200k")
    parser.add_argument("--kind", choices=["made", "atelier", "noise"], default="made")
    parser.add_argument("--rivals", nargs="*", default=[], help="names, or all")
    parser.add_argument("--work", type=Path, required=True, help="folder for vectors and indexes")
    parser.add_argument("--minutes", type=float, default=10, help="to build a rival in")
    parser.add_argument("--reuse", action="store_true", help="ours as it was built before")
    parser.add_argument("--only-build", action="store_true", help="the rivals, for a later run")
    parser.add_argument(
        "--rebuild", action="store_true", help="builds anew, for the figures of an earlier result"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=100, help="queries of a round")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if KEPT + options.rounds * options.each > _vectors.QUERIES - FILTERED:
        parser.error(f"there are {_vectors.QUERIES - FILTERED - KEPT} queries to measure")
    rivals = [n for n in SYSTEMS if n != "hemline"] if "all" in options.rivals else options.rivals
    output: Path = options.output or RESULTS / f"catalog-{options.size}-{options.kind}.json"
    data = prepared(options)
    places = {n: data.folder / n for n in ["hemline", *rivals]}
    builds: dict[str, Any] = {}
    for name, place in places.items():
        if (options.only_build or options.rebuild) and name == "hemline":
            continue
        reuse = not options.rebuild and (options.reuse or name != "hemline")
        builds[name] = build(name, data, place, options.minutes if reuse else 60, reuse)
        print(name, json.dumps(builds[name]), flush=True)
        if options.rebuild:
            _amend(output, name, builds[name], len(data.vectors))
    if options.only_build or options.rebuild:
        return
    before = load()
    servers = [Server(n, data, p) for n, p in places.items() if "stopped" not in builds[n]]
    found = measure(servers, data, options.rounds, options.each)
    if data.queries.shape[1] == 320:
        found["hemline"]["rerank_256_ms"] = shares(servers[0].ask(do="rerank", to=200)["ms"])
    for server in servers:
        server.close()
    rows = len(data.vectors)
    for built in builds.values():
        _for_each_row(built, rows)
    result = {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "versions": versions("numpy", *(SYSTEMS[n]().package for n in places)),
        "load": [before, load()],
        "threads": THREADS,
        "data": {"kind": options.kind, "rows": rows, "dim": int(data.queries.shape[1])},
        "queries": options.rounds * options.each,
        "settings": {n: SYSTEMS[n]().settings for n in places},
        "builds": builds,
        "found": found,
        "ratios": ratios(found, builds),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps({"found": found, "ratios": result["ratios"]}, indent=1))
    print(f"written: {output}")


if __name__ == "__main__":
    main()
