"""Images a second that two nodes of a local Ray cluster embed, over those of one.

    python benchmarks/ray_nodes.py [--images 2000] [--rounds 3] [--bundle BUNDLE] [--json]

Each node is a raylet of one processor on this machine, so the ratio can't be above what its cores
have left: the result has their number and the load. Rounds of one and two nodes take turns. Only
the workers' part is measured (reading, decoding, embedding, shards), without the catalogue's.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hemline.catalog.cluster.ray_workers import ray_run
from hemline.catalog.cluster.shards import Job
from hemline.catalog.cluster.worker import Setup
from hemline.data.images import encode_jpeg
from hemline.runtime.bundle import Bundle

SHARD = 50


def node(**more: Any) -> dict[str, Any]:
    """A node of one processor, as `ray.cluster_utils.Cluster` takes it.

    Its ports are given, as it gives up where its agents don't find theirs within 20 seconds, which
    is little on a busy machine.
    """
    ports = {}
    for name in ("metrics_agent", "metrics_export", "runtime_env_agent", "dashboard_agent_listen"):
        with socket.socket() as own:
            own.bind(("", 0))
            ports[f"{name}_port"] = own.getsockname()[1]
    return {"num_cpus": 1, **ports, **more}


def drawn(folder: Path, count: int) -> list[Job]:
    """Images of 400 × 500 pixels: noise of blocks, which decodes as slowly as a photo."""
    jobs = []
    for number in range(count):
        blocks = np.random.default_rng(number).integers(0, 256, (50, 40, 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        path.write_bytes(encode_jpeg(np.kron(blocks, np.ones((10, 10, 1), np.uint8))))
        jobs.append(Job(path))
    return jobs


def speed(bundle: Bundle, jobs: list[Job]) -> float:
    """Images a second on the connected cluster, its workers warm."""
    shards = [jobs[i : i + SHARD] for i in range(0, len(jobs), SHARD)]
    with (
        tempfile.TemporaryDirectory() as folder,
        ray_run("ray", Setup(bundle.fingerprint), bundle, Path(folder) / "shards") as run,
    ):
        warm = [[job] for job in jobs[: 2 * run.workers.capacity]]
        list(run.encoded(warm))
        begun = time.monotonic()
        rows = [row for shard in run.encoded(shards) for row in shard]
        seconds = time.monotonic() - begun
    assert all(row.embedded for row in rows)
    return len(jobs) / seconds


def measure(bundle: Bundle, images: int, rounds: int) -> dict[str, Any]:
    """Each round on one node, then on two."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    speeds: dict[int, list[float]] = {1: [], 2: []}
    cluster = Cluster(initialize_head=True, head_node_args=node(include_dashboard=False))
    with tempfile.TemporaryDirectory() as folder:
        jobs = drawn(Path(folder), images)
        for _ in range(rounds):
            for nodes in (1, 2):
                other = cluster.add_node(**node()) if nodes == 2 else None
                ray.init(address=cluster.address, log_to_driver=False)
                speeds[nodes].append(speed(bundle, jobs))
                ray.shutdown()
                if other is not None:
                    cluster.remove_node(other)
    cluster.shutdown()
    ratios = [two / one for one, two in zip(speeds[1], speeds[2], strict=True)]
    return {
        "bundle": bundle.info.name,
        "images": images,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "images_s": {str(nodes): statistics.median(own) for nodes, own in speeds.items()},
        "ratios": ratios,
        "ratio": statistics.median(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bundle")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle) if given.bundle else Bundle.default()
    result = measure(bundle, given.images, given.rounds)
    if given.json:
        print(json.dumps(result, indent=2))
        return
    one, two = result["images_s"]["1"], result["images_s"]["2"]
    print(f"{one:.1f} images a second on one node, {two:.1f} on two: {result['ratio']:.2f} times")
    print(f"{result['cores']} cores, load {result['load']:.1f}")


if __name__ == "__main__":
    main()
