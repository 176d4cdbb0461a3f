"""Embedding on a cluster: what its workers are doesn't matter here (`test_ray.py` has Ray's)."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.cluster import ThreadCluster
from helpers.small_shop import manifest, state, write_picture
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.catalog.cluster import shards
from hemline.catalog.cluster.shards import Encoded, Job
from hemline.catalog.cluster.worker import Setup, bundle_files, embed
from hemline.data.manifest import Manifest
from hemline.errors import CatalogError, DamageError, UsageError
from hemline.runtime.bundle import Bundle
from hemline.types import Box


class Killed(BaseException):
    """In place of a signal."""


def kill(done: int, total: int) -> None:
    """The command ends when its first images are in the catalogue."""
    raise Killed


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(make_tiny_bundle(tmp_path / "bundle"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> ThreadCluster:
    made = ThreadCluster()
    monkeypatch.setattr("hemline.catalog.intake.manifest.ray_run", made)
    monkeypatch.setattr("hemline.catalog.maintenance.rebuild.ray_run", made)
    monkeypatch.setattr("hemline.catalog.cluster.ahead.ROWS", 8)
    return made


def mixed(root: Path) -> Manifest:
    """Images of which two can't be opened and some have boxes; a tag that no bundle knows."""
    rows = list(manifest(root, 40))
    (root / "7.jpg").write_bytes(b"no image")
    (root / "21.jpg").unlink()
    rows = [
        replace(row, box=Box(2, 2, 20, 30) if n % 5 == 0 else None, tags=(*row.tags, "made=up"))
        for n, row in enumerate(rows)
    ]
    return Manifest.from_records(rows, root)


def assert_same(one: Catalog, other: Catalog) -> None:
    """All but the vectors' last bits."""
    first, second = state(one), state(other)
    assert list(first) == list(second)
    for image_id, row in first.items():
        assert row[:6] == second[image_id][:6]
        assert row[6] == pytest.approx(second[image_id][6], abs=1e-5)
        vectors = [np.frombuffer(both[7], np.float32) for both in (row, second[image_id])]
        np.testing.assert_allclose(*vectors, atol=1e-5)


@pytest.mark.parametrize("crop", ["none", "box"])
def test_it_gives_what_one_process_gives(
    crop: str, bundle: Bundle, cluster: ThreadCluster, tmp_path: Path
) -> None:
    rows = mixed(tmp_path / "data")
    told: list[tuple[int, int]] = []
    with (
        Catalog.create(tmp_path / "one", bundle) as one,
        Catalog.create(tmp_path / "many", bundle) as many,
    ):
        expected = one.add(rows, crop=crop)
        report = many.add(
            rows, crop=crop, engine="ray", batch=8, advance=lambda d, t: told.append((d, t))
        )
        assert report == expected
        assert [s.image_id for s in report.skipped] == ["7.jpg", "21.jpg"]
        assert report.unknown_tags == {"made=up": 38}
        assert told[-1] == (40, 40)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert_same(one, many)
        assert many.check(deep=True).ok
        assert (cluster.runs[0].made, cluster.runs[0].resumed) == (5, 0)
        assert not (tmp_path / "many/embedded").exists()
        assert many.add(rows, crop=crop, engine="ray").unchanged == 38


def test_a_changed_row_is_embedded_and_others_are_not(
    bundle: Bundle, cluster: ThreadCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = manifest(tmp_path / "data", 16)
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        catalog.add(rows, engine="ray")
        write_picture(tmp_path / "data/3.jpg", 99)
        first = replace(rows[0], category="coat")
        again = Manifest.from_records([first, *list(rows)[1:]], tmp_path / "data")
        seen: list[Encoded] = []
        monkeypatch.setattr(
            "hemline.catalog.cluster.worker.write",
            lambda made, *rest: seen.extend(made) or shards.write(made, *rest),
        )
        report = catalog.add(again, engine="ray")
        assert (report.embedded_again, report.columns, report.unchanged) == (1, 1, 14)
        assert sum(row.embedded for row in seen) == 1


def test_a_killed_command_goes_on_from_its_shards(
    bundle: Bundle, cluster: ThreadCluster, tmp_path: Path
) -> None:
    rows = manifest(tmp_path / "data", 40)
    with Catalog.create(tmp_path / "one", bundle) as one:
        one.add(rows)

        with Catalog.create(tmp_path / "many", bundle) as many:
            with pytest.raises(Killed):
                many.add(rows, engine="ray", batch=8, advance=kill)
            left = list((tmp_path / "many/embedded").iterdir())
            assert len(left) == cluster.runs[0].made - 1 > 0  # one is in the catalogue
            many.add(rows, engine="ray", batch=8)
            again = cluster.runs[1]
            assert again.resumed == len(left)
            assert again.resumed + again.made == 5
            assert_same(one, many)


@pytest.mark.parametrize("damage", ["shard", "image"])
def test_what_has_changed_since_is_made_again(
    damage: str, bundle: Bundle, cluster: ThreadCluster, tmp_path: Path
) -> None:
    rows = manifest(tmp_path / "data", 40)

    with Catalog.create(tmp_path / "many", bundle) as many:
        with pytest.raises(Killed):
            many.add(rows, engine="ray", batch=8, advance=kill)
        left = list((tmp_path / "many/embedded").iterdir())
        for path in left:
            if damage == "shard":
                data = path.read_bytes()
                path.write_bytes(data[: len(data) // 2])
        if damage == "image":
            write_picture(tmp_path / "data/8.jpg", 99)  # of the second shard
        many.add(rows, engine="ray", batch=8)
        assert cluster.runs[1].resumed == (0 if damage == "shard" else len(left) - 1)
        with Catalog.create(tmp_path / "one", bundle) as one:
            one.add(rows)
            assert_same(one, many)


def test_results_that_arrive_damaged_are_made_again(
    bundle: Bundle, cluster: ThreadCluster, tmp_path: Path
) -> None:
    rows = manifest(tmp_path / "data", 16)
    cluster.spoil = 2
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        assert catalog.add(rows, engine="ray").added == 16
    cluster.spoil = 99
    with Catalog.create(tmp_path / "other", bundle) as catalog:
        with pytest.raises(CatalogError, match="arrived damaged 3 times"):
            catalog.add(rows, engine="ray")
        assert catalog.stats()["items"] == 0


def test_a_rebuild_gives_what_one_process_gives(
    bundle: Bundle, cluster: ThreadCluster, tmp_path: Path
) -> None:
    new = Bundle.open(make_tiny_bundle(tmp_path / "new", seed=9))
    rows = manifest(tmp_path / "data", 40)
    with (
        Catalog.create(tmp_path / "one", bundle) as one,
        Catalog.create(tmp_path / "many", bundle) as many,
    ):
        for catalog in (one, many):
            catalog.add(rows)
        expected = one.rebuild(new)
        report = many.rebuild(new, engine="ray")
        assert report == expected
        assert cluster.runs[0].made == 5
        assert_same(one, many)
        assert not list(tmp_path.glob("many/rebuilt-1/embedded"))


def encoded(bundle: Bundle, tmp_path: Path) -> tuple[bytes, int]:
    jobs = [Job(row.path and tmp_path / row.path) for row in manifest(tmp_path, 6)]
    setup = Setup(bundle.fingerprint)
    return embed(setup, lambda: bundle_files(bundle), "n" * 40, jobs), len(jobs)


def test_no_flipped_bit_of_a_shard_is_read_as_a_result(bundle: Bundle, tmp_path: Path) -> None:
    data, count = encoded(bundle, tmp_path)

    def plain(rows: list[Encoded]) -> list[Any]:
        return [(r.source, r.embedding.tolist(), r.norm, r.copy, r.size) for r in rows]

    expected = plain(shards.read(data, "n" * 40, bundle.fingerprint, count))
    refused = 0
    for place in range(0, len(data), 29):
        flipped = data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :]
        try:
            found = shards.read(flipped, "n" * 40, bundle.fingerprint, count)
        except DamageError:
            refused += 1
        else:  # statistics and the like, which nobody reads
            assert plain(found) == expected
    assert refused > len(data) // 58


def test_a_shard_of_other_jobs_or_of_another_bundle_is_refused(
    bundle: Bundle, tmp_path: Path
) -> None:
    data, count = encoded(bundle, tmp_path)
    for name, fingerprint, rows in (
        ("m" * 40, bundle.fingerprint, count),
        ("n" * 40, "other", count),
        ("n" * 40, bundle.fingerprint, count - 1),
    ):
        with pytest.raises(DamageError, match="another one's"):
            shards.read(data, name, fingerprint, rows)


def test_what_is_stored_meanwhile_does_not_rename_a_shard() -> None:
    jobs = [Job(Path("/a.jpg"), ("colour=red",), "dress", Box(1, 2, 3, 4))]
    name = shards.name_of(jobs, "f", "none", True)
    assert shards.name_of([jobs[0]._replace(stored="x")], "f", "none", True) == name
    for other in (
        jobs[0]._replace(tags=()),
        jobs[0]._replace(box=None),
        jobs[0]._replace(source=Path("/b.jpg")),
    ):
        assert shards.name_of([other], "f", "none", True) != name


def test_a_worker_of_another_version_says_so(bundle: Bundle) -> None:
    with pytest.raises(CatalogError, match="install the same version"):
        embed(Setup(bundle.fingerprint, version="0.0"), dict, "n", [])


def test_unknown_engines_and_catalogues_in_memory_are_refused(
    bundle: Bundle, tmp_path: Path
) -> None:
    rows = manifest(tmp_path, 2)
    with Catalog.in_memory(bundle) as catalog:
        with pytest.raises(UsageError, match="'ray://HOST:PORT', not 'spark'"):
            catalog.add(rows, engine="spark")
        with pytest.raises(UsageError, match="in memory"):
            catalog.add(rows, engine="ray")


def test_without_ray_the_error_names_the_extra(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with Catalog.create(tmp_path / "shop", bundle) as catalog:
        with pytest.raises(UsageError, match=r"pip install 'hemline\[ray\]'"):
            catalog.add(manifest(tmp_path / "data", 2), engine="ray")
        with pytest.raises(UsageError, match="not 'spark'"):
            catalog.rebuild(bundle, engine="spark")
