"""Embedding on Ray itself, also with two nodes of which one is killed; all slow, as Ray is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import node

from helpers.needs import reason
from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.cli import main
from hemline.runtime.bundle import Bundle

ray: Any = pytest.importorskip("ray", reason=reason("ray"))


def set_environment(patch: pytest.MonkeyPatch) -> None:
    """Ray's workers find hemline and the helpers as this process does."""
    patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_agent_register_timeout_ms", "300000")
    patch.setenv("RAY_worker_register_timeout_seconds", "300")
    patch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path / "bundle"))


def vectors(catalog: Catalog) -> dict[str, Any]:
    return {row.image_id: row for row in catalog.live().store.rows()}


def assert_same(one: Catalog, other: Catalog) -> None:
    first, second = vectors(one), vectors(other)
    assert list(first) == list(second)
    for image_id, row in first.items():
        twin = second[image_id]
        assert (row.item_id, row.tags, row.source, row.image_digest) == (
            twin.item_id, twin.tags, twin.source, twin.image_digest,
        )  # fmt: skip
        assert row.embedding == pytest.approx(twin.embedding, abs=1e-5)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch)
        made = Cluster(initialize_head=True, head_node_args=node(include_dashboard=False))
        yield made
        made.shutdown()


@pytest.fixture
def two_nodes(cluster: Any) -> Iterator[Any]:
    """A cluster of two nodes of one processor each, and this process as its driver."""
    if not cluster.worker_nodes:
        cluster.add_node(**node())
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes(timeout=300)
    yield cluster
    ray.shutdown()


@pytest.mark.slow
def test_the_command_embeds_on_the_cluster_of_ray_address(
    cluster: Any,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    rows = manifest(tmp_path / "data", 12)
    (tmp_path / "data/7.jpg").write_bytes(b"no image")
    rows.write(tmp_path / "data/rows.csv")
    Catalog.create(tmp_path / "many", bundle).close()
    words = ["catalog", "add", str(tmp_path / "many"), str(tmp_path / "data/rows.csv")]
    assert main([*words, "--engine", "ray", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["added"], [one["image_id"] for one in result["skipped"]]) == (11, ["7.jpg"])
    assert not ray.is_initialized()
    with (
        Catalog.create(tmp_path / "one", bundle) as one,
        Catalog.open(tmp_path / "many") as many,
    ):
        one.add(rows)
        assert_same(one, many)


def test_an_address_where_no_cluster_is_gives_an_error(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    rows = manifest(tmp_path / "data", 2)
    rows.write(tmp_path / "data/rows.csv")
    Catalog.create(tmp_path / "shop", bundle).close()
    words = ["catalog", "add", str(tmp_path / "shop"), str(tmp_path / "data/rows.csv")]
    for engine in ("ray", "ray://127.0.0.1:1"):
        assert main([*words, "--engine", engine]) == 1
        assert "can't be reached: 127.0.0.1:1" in capsys.readouterr().err


def kill_a_worker(cluster: Any, ended: threading.Event) -> bool:
    """Kills the first process of the cluster that is seen embedding."""
    nodes = [cluster.head_node, *cluster.worker_nodes]
    parents = {str(node.all_processes["raylet"][0].process.pid) for node in nodes}
    while not ended.is_set():
        words = ["ps", "-eo", "pid=,ppid=,args="]
        listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            pid, parent, name = line.split(maxsplit=2)
            if parent in parents and name.startswith("ray::_embed"):
                os.kill(int(pid), signal.SIGKILL)
                return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("what", ["worker", "node"])
def test_what_is_killed_loses_nothing(
    what: str,
    bundle: Bundle,
    two_nodes: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hemline.catalog.cluster.ahead.ROWS", 100 if what == "worker" else 16)
    rows = manifest(tmp_path / "data", 800)
    (tmp_path / "data/77.jpg").write_bytes(b"no image")
    killed: list[int] = []

    def kill_node(done: int, total: int) -> None:
        if what == "node" and done >= total // 2 and not killed:
            (node,) = two_nodes.worker_nodes
            two_nodes.remove_node(node, allow_graceful=False)
            killed.append(done)

    ended = threading.Event()
    with (
        Catalog.create(tmp_path / "one", bundle) as one,
        Catalog.create(tmp_path / "many", bundle) as many,
        ThreadPoolExecutor(1) as pool,
    ):
        expected = one.add(rows)
        killer = pool.submit(kill_a_worker, two_nodes, ended) if what == "worker" else None
        try:
            report = many.add(rows, engine="ray", batch=16, advance=kill_node)
        finally:
            ended.set()
        assert killed or (killer is not None and killer.result())
        assert report == expected
        assert_same(one, many)


DRIVER = """
import sys
from pathlib import Path
import hemline.catalog.cluster.ahead as ahead
from hemline.catalog.catalog import Catalog
from hemline.data.manifest import Manifest
ahead.ROWS = 16
with Catalog.open(sys.argv[1]) as catalog:
    catalog.add(
        Manifest.read(sys.argv[2]), engine="ray", batch=16,
        advance=lambda done, total: print(done, flush=True),
    )
"""


@pytest.mark.slow
def test_a_killed_command_on_a_cluster_goes_on_from_its_shards(
    bundle: Bundle, two_nodes: Any, tmp_path: Path
) -> None:
    rows = manifest(tmp_path / "data", 800)
    rows.write(tmp_path / "data/rows.parquet")
    Catalog.create(tmp_path / "many", bundle).close()
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "many"), str(tmp_path / "data/rows.parquet")],
        env={**os.environ, "RAY_ADDRESS": two_nodes.address},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert driver.stdout is not None
    for line in driver.stdout:
        if int(line) >= 300:
            break
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    time.sleep(1)  # its tasks end with it
    with (
        Catalog.create(tmp_path / "one", bundle) as one,
        Catalog.open(tmp_path / "many") as many,
    ):
        there = many.stats()["pictures"]
        assert 300 <= there < 800
        report = many.add(rows, engine="ray")
        assert (report.added, report.unchanged) == (800 - there, there)
        one.add(rows)
        assert_same(one, many)
