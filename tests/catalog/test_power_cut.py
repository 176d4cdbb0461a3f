"""The power is cut at random moments of every verb that writes; what was acknowledged is there.

The disk is an ext4 image on a loop device, shut down without flushing its log. Where no loop device
can be mounted, the tests are skipped.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import crashing, crashing_catalog, needs
from helpers.acknowledged import acknowledged
from helpers.crash_ops import KINDS
from helpers.power_cut import Disk, PowerCutUnavailable, disk
from helpers.small_shop import manifest
from helpers.tiny_bundle import make_tiny_bundle
from hemline.catalog.catalog import Catalog
from hemline.service.keys import KeyRing

pytestmark = pytest.mark.slow


@pytest.fixture
def power(tmp_path: Path) -> Iterator[Disk]:
    try:
        with disk(tmp_path) as made:
            yield made
    except PowerCutUnavailable:
        needs.skip("power")


def test_a_store_keeps_what_it_acknowledged(tmp_path: Path, power: Disk) -> None:
    outcome = crashing.campaign(tmp_path, kills=12, seed=3, focuses=KINDS, disk=power)
    assert outcome.failures == []
    assert outcome.acknowledged >= 10
    assert power.cuts == 12


def test_a_catalogue_keeps_what_it_acknowledged(tmp_path: Path, power: Disk) -> None:
    """Rebuild, add, remove and backup: rows, copies of images, and the live bundle."""
    outcome = crashing_catalog.campaign(tmp_path, kills=10, seed=4, disk=power)
    assert outcome.failures == []
    assert outcome.acknowledged >= 5
    assert power.cuts == 10


PROGRAM = """
import sys, time
from pathlib import Path
import hemline
from hemline.service.keys import KeyRing
root, shop, verb = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def done(what, *more):
    print(what, *more, flush=True)
if verb in ("create", "add"):
    catalog = hemline.Catalog.create(shop, hemline.Bundle.open(root / "bundle"))
    done("created")
    if verb == "add":
        rows = hemline.Manifest.read(root / "images/manifest.parquet")
        catalog.add(rows, workers=1, batch=8, advance=lambda n, of: done("rows", n))
if verb == "sync":
    catalog = hemline.Catalog.open(shop)
    catalog.sync(root / "images/feed.csv", advance=lambda n, of: done("synced", n))
    done("sync")
if verb == "key":
    keys = KeyRing(shop / "service")
    for n in range(20):
        _, key = keys.create("read", f"key {n}")
        done("key", key.id)
        if n % 2:
            keys.revoke(key.id)
            done("revoked", key.id)
done("all")
time.sleep(60)
"""


def cut_during(root: Path, power: Disk, shop: Path, verb: str, delay: float) -> list[list[str]]:
    """Runs a verb on the disk and cuts the power ``delay`` seconds after its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root), str(shop), verb],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first, "the verb failed"
    time.sleep(delay)
    power.cut()
    process.kill()
    lines = [first, *process.stdout.readlines()]
    process.wait()
    power.restart()
    return acknowledged(lines)


@pytest.fixture
def shop_data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    make_tiny_bundle(root / "bundle")
    rows = manifest(root / "images", 40)
    rows.write(root / "images" / "manifest.parquet")
    lines = [f"{n},No. {n},{n}.jpg,{n}" for n in range(40)]
    feed = "\n".join(["id,title,image_link,price", *lines])
    (root / "images" / "feed.csv").write_text(feed, encoding="utf-8")
    return root


@pytest.mark.parametrize("verb", ["create", "add"])
def test_a_created_catalogue_opens_with_its_bundle(power: Disk, shop_data: Path, verb: str) -> None:
    choose = random.Random(verb)
    for number in range(5):
        shop = power.root / f"shop{number}"
        lines = cut_during(shop_data, power, shop, verb, choose.uniform(0, 0.3))
        assert ["created"] in lines
        rows = max((int(line[1]) for line in lines if line[0] == "rows"), default=0)
        with Catalog.open(shop) as catalog:
            assert catalog.stats()["pictures"] >= rows
            assert catalog.check(deep=True).ok
            assert catalog.encoder().fingerprint == catalog.store.fingerprint


def test_a_synced_feed_stays(power: Disk, shop_data: Path) -> None:
    choose = random.Random(5)
    for number in range(3):
        shop = power.root / f"shop{number}"
        cut_during(shop_data, power, shop, "create", 0.0)
        lines = cut_during(shop_data, power, shop, "sync", choose.uniform(0, 0.2))
        rows = max((int(line[1]) for line in lines if line[0] == "synced"), default=0)
        with Catalog.open(shop) as catalog:
            assert catalog.stats()["pictures"] >= rows
            assert catalog.check(deep=True).ok


def test_keys_stay_as_they_were_acknowledged(power: Disk, shop_data: Path) -> None:
    choose = random.Random(6)
    for number in range(4):
        shop = power.root / f"shop{number}"
        cut_during(shop_data, power, shop, "create", 0.0)
        lines = cut_during(shop_data, power, shop, "key", choose.uniform(0, 0.05))
        created = [line[1] for line in lines if line[0] == "key"]
        revoked = {line[1] for line in lines if line[0] == "revoked"}
        under_way = {created[-1]}
        there = {key.id for key in KeyRing(shop / "service").list() if key.revoked is None}
        assert set(created) - revoked - under_way <= there
        assert not there & revoked
