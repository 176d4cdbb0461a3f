"""The tables of this folder's README from what `catalog.py` wrote: ``python _tables.py``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
ORDER = ("200k-made", "1m-made", "10m-made", "200k-atelier", "1m-atelier", "200k-noise")


def loaded() -> dict[str, Any]:
    """Name → result, in the order in which they are told."""
    found = {}
    for name in ORDER:
        path = RESULTS / f"catalog-{name}.json"
        if path.is_file():
            found[name] = json.loads(path.read_text("utf-8"))
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def short(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def pair(figures: dict[str, Any]) -> str:
    return f"{short(figures['p50_ms'])} / {short(figures['p95_ms'])}"


def title(result: dict[str, Any]) -> str:
    data = result["data"]
    return f"{data['kind']} {data['rows']:,} × {data['dim']}"


def ours(results: dict[str, Any]) -> str:
    """One column for each set of vectors."""
    rows: list[list[str]] = []

    def row(name: str, values: list[str]) -> None:
        rows.append([name, *values])

    found = [(r["found"]["hemline"], r["builds"]["hemline"]) for r in results.values()]
    row("one query, k=20: p50 / p95 ms", [pair(f["k=20"]) for f, _ in found])
    row("one query, k=256", [pair(f["k=256"]) for f, _ in found])
    row("recall@20 (k=20)", [f"{f['k=20']['recall@20']:.4f}" for f, _ in found])
    row("recall@256 (k=256)", [f"{f['k=256']['recall@256']:.4f}" for f, _ in found])
    row("queries a second, batches of 32, k=20", [short(max(f["batch_k=20"])) for f, _ in found])
    for name in ("50%", "10%", "1%", "0.1%", "category"):
        values = [
            f"{pair(f['where'][name])}, {f['where'][name]['recall@20']:.3f}" for f, _ in found
        ]
        row(f"filter {name}, k=20: p50 / p95 ms, recall", values)
    row("rows taken in a second", [f"{b['rows_per_s']:,}" for _, b in found])
    row("then built and saved, s", [short(b["build_s"]) for _, b in found])
    row("reopened to the first answer, s", [short(f["opened"]["open_s"]) for f, _ in found])
    row("memory of its own, MB", [short(f["memory"]["anonymous"] / 1e6) for f, _ in found])
    row("disk, bytes a picture", [f"{b['disk_per_picture']:,.0f}" for _, b in found])
    reranked = [f.get("rerank_256_ms") for f, _ in found]
    row("second look at 256: p50 / p95 ms", [pair(r) if r else "" for r in reranked])
    return table(["", *(title(r) for r in results.values())], rows)


def beside(result: dict[str, Any]) -> str:
    """One line for each system: its figures, and the time as a multiple of ours."""
    mine = result["found"]["hemline"]
    rows = []
    for name, built in result["builds"].items():
        if "stopped" in built:
            rows.append([name, f"stopped {built['stopped']}", *[""] * 9])
            continue
        found = result["found"][name]
        cells = [name]
        for k in (20, 256):
            figures = found[f"k={k}"]
            times = figures["p50_ms"] / mine[f"k={k}"]["p50_ms"]
            cells.append(f"{short(figures['p50_ms'])} ({times:.2f}×)")
            cells.append(f"{figures[f'recall@{k}']:.4f}")
        cells.append(short(max(found["batch_k=20"])))
        cells.append(f"{short(built['ingest_s'])} + {short(built['build_s'])}")
        cells.append(short(found["opened"]["open_s"]))
        own, file = found["memory"]["anonymous"], found["memory"]["file"]
        cells.append(f"{short(own / 1e6)} + {short(file / 1e6)}")
        cells.append(f"{built['disk_per_picture']:,.0f}")
        setting = [found[f"setting_{k}"] for k in (20, 256)]
        cells.append(
            " ; ".join("/".join(map(str, s)) if isinstance(s, list) else str(s) for s in setting)
        )
        rows.append(cells)
    head = ["", "k=20 p50 ms", "recall@20", "k=256 p50 ms", "recall@256", "queries/s (32)"]
    head += ["take in + build, s", "reopen, s", "memory own + mapped, MB", "bytes a picture"]
    return table([*head, "setting k=20 ; k=256"], rows)


def filters(result: dict[str, Any]) -> str:
    """One line for each system: p50 ms and recall@20 under each condition."""
    names = list(result["found"]["hemline"]["where"])
    rows = []
    for system, found in result["found"].items():
        cells = [system]
        for name in names:
            figures = found["where"][name]
            known = "p50_ms" in figures
            cells.append(
                f"{short(figures['p50_ms'])} ms, {figures['recall@20']:.3f}"
                if known
                else "no filter"
            )
        rows.append(cells)
    return table(["", *names], rows)


def main() -> None:
    results = loaded()
    print(ours(results))
    for result in results.values():
        if len(result["builds"]) > 1:
            print(f"\n### {title(result)}\n")
            print(beside(result))
            print()
            print(filters(result))
    for name, result in results.items():
        print(f"\n{name}: {result['when']}, load {result['load']}, {result['versions']}")


if __name__ == "__main__":
    main()
