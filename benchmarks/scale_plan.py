"""A plan for up to a billion images: bytes, machines, bandwidth, cost and latency.

    python benchmarks/scale_plan.py [--set NAME=NUMBER …] [--json]

What one machine does was measured (`results/catalog-*.json`, `results/service_*.json`); the rest
are assumptions, each a field of `Assumptions`. `check` gives prediction and measurement of every
recorded run, and `tests/test_scale_plan.py` holds their ratio. The plan is arithmetic, no
measurement: nothing above fifty million images was run.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hemline.catalog.settings import StoreSettings

RESULTS = Path(__file__).with_name("results")
RUNS = ("catalog-200k-made", "catalog-1m-made", "catalog-10m-made")
HUGE_RUN = "catalog-50m-made"  # on two cores of an Intel Xeon
SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)


@dataclass(frozen=True)
class Assumptions:
    """What the plan is computed from; *measured* where a recorded run says so."""

    # Measured on two cores of an AMD EPYC that other work shared.
    dim: int = 256  # D of the embeddings
    row_bytes: float = 33.0  # memory of an image beside its code
    base_bytes: float = 72e6  # memory of a process with no image
    disk_bytes: float = 246.0  # of an image on the disk beside two bytes for each dimension
    scan_gb_s: float = 21.0  # codes that two cores read in a second
    reread_us: float = 0.9  # one candidate scored exactly, its vector in memory
    rank_us: float = 0.6  # one candidate ranked by its finer code, in memory
    front_cpu_ms: float = 10.6  # of a search but its scan: decode, encode, re-rank, rows, HTTP
    service_share: float = 0.83  # of its processors that a service under load uses
    rows_s: float = 25_000.0  # rows that a writer takes in a second
    build_us: float = 38.0  # of an index, an image, on one core beside other work
    encode_ms: float = 6.2  # CPU of an added image: decode and encode
    # Assumed.
    queries_s: float = 100.0  # at the peak
    load: float = 0.6  # of the processors at the peak
    replicas: int = 2
    copy_bytes: float = 60e3  # an image's stored copy
    cores: int = 32  # of a machine
    memory_gb: float = 128.0
    machine_scan_gb_s: float = 150.0  # memory bandwidth of a machine
    network_gbit: float = 10.0
    network_ms: float = 0.5  # there and back
    spread: float = 1.6  # the slowest of many shards over the median one
    machine_eur: float = 500.0  # a month
    storage_eur_tb: float = 20.0  # a month, of copies
    hits: int = 256  # that each shard gives
    disk_read_us: float = 100.0  # one random read of a vector that isn't in memory
    disk_reads: int = 32  # at the same time
    # What one would change: 0 keeps what the store does.
    probed: float = 0.0  # share of the inverted lists that is scanned


@dataclass(frozen=True)
class Plan:
    """A catalogue of so many images; times in ms, sizes in bytes."""

    images: int
    vector_bytes: float
    cached_bytes: float
    memory_bytes: float
    disk_bytes: float
    copies_bytes: float
    scanned_bytes: float
    candidates: int
    one_machine_ms: float
    shards: int
    shard_machines: int
    front_machines: int
    search_ms: float
    answer_bytes: float
    network_share: float
    ingest_core_hours: float
    build_hours: float
    eur_month: float


def code_bytes(given: Assumptions) -> float:
    """4 bits for each of D/2 sub-vectors."""
    return given.dim / 4


def is_huge(images: int) -> bool:
    """Whether finer codes rank the candidates, so that the vectors may stay on the disk."""
    return images >= StoreSettings().huge_rows


def cached(given: Assumptions, images: int) -> float:
    """Bytes of files that should stay in memory: finer codes of 4 bits, or the vectors."""
    return images * given.dim * (0.5 if is_huge(images) else 2.0)


def scanned(given: Assumptions, images: int, settings: StoreSettings | None = None) -> float:
    """Bytes of codes that one query reads."""
    own = settings or StoreSettings()
    share = own.probes / own.lists if images >= own.lists_rows else 1.0
    if is_huge(images):
        share = 1 / own.huge_part
    return images * code_bytes(given) * (given.probed or share)


def memory(given: Assumptions, images: int) -> float:
    """Anonymous bytes of a process that has them open."""
    return given.base_bytes + images * (given.row_bytes + code_bytes(given))


def disk(given: Assumptions, images: int) -> float:
    finer = given.dim / 2 if is_huge(images) else 0.0
    return images * (given.disk_bytes + 2 * given.dim + finer)


def search_ms(given: Assumptions, images: int, cores: int = 2) -> float:
    """The nearest 20 of so many images on one machine, alone on it.

    Of a huge catalogue every vector that is scored exactly is read from the disk.
    """
    speed = min(given.scan_gb_s * cores / 2, max(given.machine_scan_gb_s, given.scan_gb_s))
    scan = scanned(given, images) / (speed * 1e6)
    candidates = StoreSettings().candidates(20, images)
    if not is_huge(images):
        return scan + candidates * given.reread_us / 1e3
    read = StoreSettings().reread(20, images) * given.disk_read_us / given.disk_reads
    return scan + (candidates * given.rank_us + read) / 1e3


def plan(given: Assumptions, images: int) -> Plan:
    """The machines for so many images at the peak, each shard on ``replicas`` of them."""
    vectors = images * 2.0 * given.dim
    need = memory(given, images) + cached(given, images)
    by_memory = math.ceil(need / (0.8 * given.memory_gb * 1e9))
    # Scans of all queries, in bytes a second, over the bandwidth of all machines.
    scan = scanned(given, images) * given.queries_s
    machines = max(
        by_memory * given.replicas, math.ceil(scan / (given.load * given.machine_scan_gb_s * 1e9))
    )
    shards = max(1, by_memory)
    part = images // shards
    front = given.queries_s * given.front_cpu_ms / 1e3 / (given.load * given.service_share)
    fronts = max(given.replicas, math.ceil(front / given.cores))
    slow = given.spread if shards > 1 else 1.0
    own = search_ms(given, part, given.cores) * slow
    hops = given.network_ms if shards > 1 else 0.0
    # Ids and scores of each shard, then the vectors of the best for re-ranking.
    answer = shards * given.hits * 12.0 + given.hits * 2.0 * given.dim
    network = answer * given.queries_s * 8 / (given.network_gbit * 1e9) / fronts
    money = (machines + fronts) * given.machine_eur
    return Plan(
        images,
        vectors,
        cached(given, images),
        memory(given, images),
        disk(given, images),
        images * given.copy_bytes,
        scanned(given, images),
        StoreSettings().candidates(20, images),
        search_ms(given, images, given.cores),
        shards,
        machines,
        fronts,
        given.front_cpu_ms + own + 2 * hops,
        answer,
        network,
        images * given.encode_ms / 3.6e6,
        part * (given.build_us / 1e6 + 1 / given.rows_s) / 3600,
        money + images * given.copy_bytes / 1e12 * given.storage_eur_tb,
    )


def check(given: Assumptions | None = None) -> list[dict[str, Any]]:
    """What is predicted and what was measured, of each recorded run."""
    given = given or Assumptions()
    found: list[dict[str, Any]] = []

    def add(run: str, what: str, predicted: float, measured: float) -> None:
        ratio = round(predicted / measured, 2)
        found.append(
            {"run": run, "what": what, "predicted": predicted, "measured": measured, "ratio": ratio}
        )

    for run in (*RUNS, HUGE_RUN):
        result = json.loads((RESULTS / f"{run}.json").read_text())
        images, own = result["data"]["rows"], replace(given, dim=result["data"]["dim"])
        ours = result["found"]["hemline"]
        add(run, "search_ms", search_ms(own, images), ours["k=20"]["p50_ms"])
        add(run, "memory", memory(own, images), ours["memory"]["anonymous"])
        add(run, "disk", disk(own, images), result["builds"]["hemline"]["disk"])
    for run in ("service_load_20k",):
        result = json.loads((RESULTS / f"{run}.json").read_text())
        cpu = given.front_cpu_ms + search_ms(given, result["pictures"])
        best = max(one["per_s"] for one in result["served"])
        add(run, "searches_s", 2 * 1000 * given.service_share / cpu, best)
    return found


def table(given: Assumptions) -> str:
    """The plans as a table in Markdown."""
    lines = [
        "| images | memory | cached | vectors | disk | copies | codes scanned | one machine, ms | "
        "shards | machines + fronts | search, ms | encoding, core hours | EUR a month |",
        "|---" * 13 + "|",
    ]
    for images in SIZES:
        one = plan(given, images)
        lines.append(
            f"| {images:,} | {one.memory_bytes / 1e9:,.1f} GB | {one.cached_bytes / 1e9:,.1f} GB | "
            f"{one.vector_bytes / 1e9:,.1f} GB | "
            f"{one.disk_bytes / 1e9:,.1f} GB | {one.copies_bytes / 1e12:,.2f} TB | "
            f"{one.scanned_bytes / 1e9:,.2f} GB | {one.one_machine_ms:,.0f} | {one.shards} | "
            f"{one.shard_machines} + {one.front_machines} | {one.search_ms:,.0f} | "
            f"{one.ingest_core_hours:,.1f} | {one.eur_month:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    kinds = {one.name: type(one.default) for one in fields(Assumptions)}
    changes: dict[str, Any] = {}
    for word in words.set:
        name, _, value = word.partition("=")
        if name not in kinds:
            parser.error(f"no assumption {name!r}; they are {', '.join(kinds)}")
        changes[name] = kinds[name](float(value))
    given = replace(Assumptions(), **changes)
    if words.json:
        plans = [vars(plan(given, images)) for images in SIZES]
        print(json.dumps({"assumptions": vars(given), "check": check(given), "plans": plans}))
        return
    print(table(given))
    for one in check(given):
        print(
            f"{one['run']} {one['what']}: predicted {one['predicted']:,.4g}, "
            f"measured {one['measured']:,.4g}, ratio {one['ratio']}"
        )


if __name__ == "__main__":
    main()
