"""One system in a process of its own: builds it, or answers questions from its parent.

python _worker.py build NAME DATA FOLDER       one JSON object on standard output
python _worker.py serve NAME DATA FOLDER       one for each line of JSON on standard input
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

import numpy as np  # noqa: E402
from _large import PRICED, fresh, opened  # noqa: E402
from _rivals import SYSTEMS  # noqa: E402
from _system import System, disk, memory  # noqa: E402
from _truth import CONDITIONS, FILTERED  # noqa: E402
from _vectors import Data  # noqa: E402

NAMED = {condition.name: condition for condition in (*CONDITIONS, *PRICED)}


def serve(system: System, folder: Path, data: Data) -> Any:
    """Yields an answer for each question; the first is about its opening."""
    queries = data.queries
    imported = time.perf_counter()
    before = memory()
    system.open(folder, data)
    system.search(queries[0], 20, None)
    first = time.perf_counter()
    yield {"import_s": imported - STARTED, "open_s": first - imported, "empty": before}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "use":
            system.use(tuple(s) if isinstance(s := asked["setting"], list) else s)
            yield {}
        elif asked["do"] == "memory":
            yield memory()
        elif asked["do"] == "single":
            yield single(system, queries, asked)
        elif asked["do"] == "batch":
            part = queries[asked["from"] : asked["to"]]
            start = time.perf_counter()
            for at in range(0, len(part), 32):
                system.search_many(part[at : at + 32], asked["k"])
            yield {"seconds": time.perf_counter() - start}
        elif asked["do"] == "grow":
            yield grow(system, data, asked)
        elif asked["do"] == "rerank":
            from hemline.synthetic import SyntheticSettings, draw_product, draw_street

            settings = SyntheticSettings(size=224)
            drawn = [draw_street(draw_product(3, i), settings, 3).image for i in range(16)]
            yield {"ms": system.rerank(queries[: asked["to"]], drawn)}  # type: ignore[attr-defined]


def single(system: System, queries: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """One query after another: milliseconds and rows of each."""
    condition = NAMED.get(asked["condition"])
    part = queries[-FILTERED:] if condition and not asked.get("any") else queries
    k = asked["k"]
    for query in part[asked["from"] : asked["from"] + asked["warm"]]:
        system.search(query, k, condition)
    taken, found = [], []
    for query in part[asked["from"] : asked["to"]]:
        start = time.perf_counter()
        answer = system.search(query, k, condition)
        taken.append((time.perf_counter() - start) * 1000)
        found.append(answer)
    return {"ms": taken, "rows": [np.asarray(system.rows(a)).tolist() for a in found]}


def grow(system: Any, data: Data, asked: dict[str, Any]) -> dict[str, Any]:
    """Commits of new rows, then of removals: milliseconds of each, and of the searches after it."""
    found: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[[], object]) -> None:
        start = time.perf_counter()
        call()
        found.setdefault(name, []).append(round((time.perf_counter() - start) * 1000, 2))

    for number, part in enumerate(fresh(data, asked["commits"], asked["rows"])):
        query = data.queries[asked["from"] + number]
        timed("add_ms", lambda part=part: system.store.add(part))
        timed("next_ms", lambda query=query: system.search(query, 20, None))
        timed("next_where_ms", lambda query=query: system.search(query, 20, NAMED["10%"]))
    items = [f"new{number}" for number in range(asked["commits"])]
    timed("remove_ms", lambda: system.store.remove(items))
    timed("next_removed_ms", lambda: system.search(query, 20, None))
    return found


def main() -> None:
    verb, name, folder_of_data, place = sys.argv[1:]
    data = opened(Path(folder_of_data))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints doesn't get between the answers
    system, folder = SYSTEMS[name](), Path(place)
    if verb == "build":
        folder.mkdir(parents=True)
        before = memory()
        report: dict[str, Any] = dict(system.build(folder, data))
        report |= {"disk": disk(folder), "memory": memory(), "empty": before}
        print(json.dumps(report), file=out, flush=True)
        return
    for answer in serve(system, folder, data):
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
