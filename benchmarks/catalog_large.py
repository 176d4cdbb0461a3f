"""The embedded catalogue at tens of millions of vectors: more than the memory holds.

    python benchmarks/catalog_large.py --rows 50m --work /tmp/large ingest
    python benchmarks/catalog_large.py --rows 50m --work /tmp/large truth index measure
    python benchmarks/catalog_large.py --rows 50m --work /tmp/large rival beside

Steps, in this order; each may be killed and started again. **ingest** streams made vectors into the
store (`_large.py`) and goes on after the rows that are there. **truth** scans every stored vector
for 300 queries. **index** codes them. **rival** builds FAISS' own IVF-PQ over the same vectors
(`_ivfpq.py`), which scores its candidates exactly from the same mapped files. **measure** drops the
files from the page cache and asks ours alone: 100 queries with cold vectors, 1,000 others, then the
200 that are measured; conditions; adding and removing rows while it is there. **beside** asks ours
and the rival in turns, with queries that neither was asked before; of the rival's settings it takes
the fastest that reaches the recall with the first 100 queries (**tune**, once). 50 million take 50
GB of disk. **where** asks ours under the conditions again, after the rows of **measure** are gone.
Writes ``benchmarks/results/catalog-ROWS-made.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from _ivfpq import IvfPq
from _large import PRICED, Stored, build_index, evict, logged, prepare, truth
from _system import THREADS, disk, load, machine, versions
from _truth import recall
from _vectors import Data

from catalog import AIM, RESULTS, Server, build, shares

DIM = 256
ASKED, TUNED = 300, 100  # queries with exact answers; the first choose settings
WARM, TURNS, EACH = 1000, 5, 20  # queries without
RIVAL = "faiss-ivfpq"
STEPS = ("ingest", "truth", "index", "rival", "measure", "where", "tune", "beside")
SIZES = {f"{n}m": n * 1_000_000 for n in (1, 2, 5, 10, 20, 30, 50)}


class Large(Server):
    """`Server` for conditions on the queries that are measured."""

    def where(self, condition: str, exact: Any) -> dict[str, float]:
        """The first evaluates the condition, and isn't one of the others."""
        first, ms, rows = list[float](), list[float](), list[Any]()
        for start, stop in ((0, 1), (TUNED, ASKED)):
            span = {"from": start, "to": stop, "warm": 0, "any": True}
            found = self.ask(do="single", k=20, condition=condition, **span)
            first, ms, rows = first or found["ms"], found["ms"], found["rows"]
        right = round(recall(rows, exact[TUNED:], 20), 4)
        return shares(ms) | {"first_ms": round(first[0], 1), "recall@20": right}


def ingested(folder: Path, rows: int) -> dict[str, Any]:
    """What the log of the ingest says; a chunk that a kill cut counts with what it had left."""
    lines = [json.loads(line) for line in (folder / "ingest.jsonl").read_text().splitlines()]
    runs = sum(1 for line in lines if line.get("run"))
    chunks = [line for line in lines if "rows" in line]
    if sum(line["rows"] for line in chunks) < rows - len(chunks) * 10_000:
        raise SystemExit(f"{folder}: the ingest isn't complete")
    total = {name: round(sum(line[name] for line in chunks), 1) for name in chunks[0]}
    return {
        "starts": runs,
        "rows": total["rows"],
        "ingest_s": total["add_s"],
        "ingest_cpu_s": total["add_cpu_s"],
        "made_rows_cpu_s": total["make_cpu_s"],
        "rows_per_cpu_s": round(total["rows"] / total["add_cpu_s"]),
    }


def alone(data: Data, answers: dict[str, Any], place: Path) -> dict[str, Any]:
    """Every figure of ours but those beside the rival."""
    evict(place)
    server = Large("hemline", data, place)
    found: dict[str, Any] = {"opened": server.opened}
    cold, rows = server.single(0, TUNED, 20, warm=0)
    found["cold"] = shares(cold) | {"recall@20": round(recall(rows, answers[""][:TUNED], 20), 4)}
    server.single(ASKED, ASKED + WARM, 20, warm=0)
    for k in (20, 256):
        ms, rows = server.single(TUNED, ASKED, k, warm=0)
        found[f"k={k}"] = shares(ms)
        for depth in (20, 256)[: 1 + (k == 256)]:
            exact = answers[""][TUNED:]
            found[f"k={k}"][f"recall@{depth}"] = round(recall(rows, exact, depth), 4)
    found["memory"] = server.ask(do="memory")
    found["where"] = {c.name: server.where(c.name, answers[c.name]) for c in PRICED}
    found["memory_where"] = server.ask(do="memory")
    found["grown"] = server.ask(do="grow", commits=10, rows=1000, **{"from": ASKED})
    found["memory_grown"] = server.ask(do="memory")
    ms, _ = server.single(ASKED, ASKED + 200, 20, warm=0)
    found["after_removals"] = shares(ms)
    server.close()
    return found


def conditions(data: Data, answers: dict[str, Any], place: Path) -> dict[str, Any]:
    """Ours under each condition alone, in the store as it is."""
    before = load()
    server = Large("hemline", data, place)
    server.single(ASKED, ASKED + 200, 20, warm=0)
    found: dict[str, Any] = {c.name: server.where(c.name, answers[c.name]) for c in PRICED}
    server.close()
    return found | {"load": [before, load()]}


def tuned(data: Data, answers: dict[str, Any], place: Path) -> tuple[Any, list[dict[str, Any]]]:
    """The rival's fastest setting that reaches the recall with queries of its own, and all tried.

    Where none does, the fastest of those whose recall is within 0.005 of the best.
    """
    path = place.with_name("tuned.json")
    if not path.is_file():
        rival, tried = Large(RIVAL, data, place), list[dict[str, Any]]()
        for setting in IvfPq.effort_levels:
            rival.ask(do="use", setting=setting)
            ms, rows = rival.single(0, TUNED, 20, warm=0)
            right = round(recall(rows, answers[""][:TUNED], 20), 4)
            tried.append({"setting": setting, "recall@20": right} | shares(ms))
            print(tried[-1], flush=True)
        rival.close()
        path.write_text(json.dumps(tried), "utf-8")
    tried = json.loads(path.read_text("utf-8"))
    best = max(one["recall@20"] for one in tried)
    enough = [one for one in tried if one["recall@20"] >= (AIM if best >= AIM else best - 0.005)]
    return min(enough, key=lambda one: one["p50_ms"])["setting"], tried


def beside(data: Data, answers: dict[str, Any], places: dict[str, Path]) -> dict[str, Any]:
    """Ours and the rival in turns; each is asked queries that are new to both."""
    chosen, tried = tuned(data, answers, places[RIVAL])
    servers = [Large(name, data, place) for name, place in places.items()]
    found: dict[str, Any] = {s.name: {"opened": s.opened} for s in servers}
    rival = servers[1]
    rival.ask(do="use", setting=chosen)
    taken: dict[str, list[float]] = {s.name: [] for s in servers}
    at = ASKED + WARM
    for _ in range(TURNS):
        for server in servers:
            ms, _ = server.single(at, at + EACH, 20, warm=0)
            taken[server.name] += ms
            at += EACH
    for server in servers:
        ms, rows = server.single(TUNED, ASKED, 20, warm=0)
        right = round(recall(rows, answers[""][TUNED:], 20), 4)
        found[server.name] |= {"k=20": shares(taken[server.name]) | {"recall@20": right}}
        found[server.name]["again"] = shares(ms)
        found[server.name]["memory"] = server.ask(do="memory")
        found[server.name]["where"] = {
            c.name: server.where(c.name, answers[c.name]) for c in PRICED
        }
    found[rival.name] |= {"tried": tried, "setting": chosen}
    for server in servers:
        server.close()
    first, second = (found[s.name]["k=20"]["p50_ms"] for s in servers)
    found["ratio p50 k=20"] = round(second / first, 2)
    return found


def result_of(data: Stored, place: Path, log: dict[str, Any]) -> dict[str, Any]:
    """Ours alone, and how it was built."""
    answers = truth(data, ASKED)
    built = json.loads(place.with_suffix(".json").read_text()) | log | {"disk": disk(place)}
    built["disk_per_picture"] = round(built["disk"] / data.shape[0], 1)
    before = load()
    found = alone(data, answers, place)
    return {
        "label": "measured here",
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "versions": versions("numpy", "faiss-cpu", "hemline"),
        "load": [before, load()],
        "threads": THREADS,
        "data": {"kind": "made", "rows": data.shape[0], "dim": data.shape[1]},
        "queries": ASKED - TUNED,
        "builds": {"hemline": built},
        "found": {"hemline": found},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("steps", nargs="+", choices=STEPS)
    parser.add_argument("--rows", choices=list(SIZES), default="50m")
    parser.add_argument("--work", type=Path, required=True, help="folder for vectors and indexes")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows, folder = SIZES[options.rows], options.work / f"large-{options.rows}"
    data = prepare(folder, rows, DIM, ASKED, WARM + 2 * TURNS * EACH)
    places = {name: folder / name for name in ("hemline", RIVAL)}
    output: Path = options.output or RESULTS / f"catalog-{options.rows}-made.json"
    for step in options.steps:
        if step == "ingest":
            logged(places["hemline"], folder / "ingest.jsonl", rows, DIM)
        elif step == "truth":
            truth(data, ASKED)
        elif step == "index":
            report = build_index(places["hemline"])
            places["hemline"].with_suffix(".json").write_text(json.dumps(report), "utf-8")
        elif step == "rival":
            build(RIVAL, data, places[RIVAL], minutes=90, reuse=True)
        elif step == "measure":
            _write(output, result_of(data, places["hemline"], ingested(folder, rows)))
        elif step == "where":
            result = json.loads(output.read_text("utf-8"))
            found = conditions(data, truth(data, ASKED), places["hemline"])
            _write(output, result | {"conditions": found})
        elif step == "tune":
            tuned(data, truth(data, ASKED), places[RIVAL])
        else:
            result = json.loads(output.read_text("utf-8"))
            result["builds"][RIVAL] = json.loads(places[RIVAL].with_suffix(".json").read_text())
            before = load()
            turns = beside(data, truth(data, ASKED), places)
            _write(output, result | {"in_turns": turns | {"load": [before, load()]}})


def _write(output: Path, result: dict[str, Any]) -> None:
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1), flush=True)


if __name__ == "__main__":
    main()
