"""The check goes on where it was killed, and sees that a file changed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from hemline.data.checking.check import check_manifest
from hemline.data.manifest import Manifest
from hemline.types import Record

_SLOW = """
import sys, time
from pathlib import Path
import hemline.data.checking.check as check
from hemline.data.manifest import Manifest
original = check.inspect_image
def slowly(*args):
    time.sleep(0.05)
    return original(*args)
check.inspect_image = slowly
check.check_manifest(Manifest.read(sys.argv[1]), 1, cache=Path(sys.argv[2]))
"""


def shop(root: Path, count: int) -> Manifest:
    rng = np.random.default_rng(0)
    for k in range(count):
        cv2.imwrite(str(root / f"{k}.png"), rng.integers(0, 255, (48, 48, 3), np.uint8))
    records = [Record("", f"{k}.png", f"{k}", "shop") for k in range(count)]
    return Manifest.from_records(records, root)


def test_killed_and_started_again_it_goes_on(tmp_path: Path) -> None:
    manifest = shop(tmp_path, 60)
    file = manifest.write(tmp_path / "m.csv")
    cache = tmp_path / "cache" / "journal.jsonl"
    child = subprocess.Popen([sys.executable, "-c", _SLOW, str(file), str(cache)])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if cache.is_file() and cache.read_bytes().count(b"\n") > 8:
            break
        time.sleep(0.02)
    child.kill()
    child.wait()
    seen = cache.read_bytes().count(b"\n") - 1
    assert 8 <= seen < 60
    with cache.open("ab") as stream:
        stream.write(b'{"file": ["torn')  # what a kill in the middle of a line leaves
    report = check_manifest(manifest, cache=cache)
    assert report.remembered == seen
    assert report.to_json() | {"remembered": 0} == check_manifest(manifest).to_json()
    assert check_manifest(manifest, cache=cache).remembered == 60


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    manifest = shop(tmp_path, 3)
    cache = tmp_path / "journal.jsonl"
    assert check_manifest(manifest, cache=cache).count("broken") == 0
    (tmp_path / "1.png").write_bytes(b"nothing")
    report = check_manifest(manifest, cache=cache)
    assert (report.remembered, report.count("broken")) == (2, 1)
    other = check_manifest(manifest, cache=cache, max_pixels=100)
    assert (other.remembered, other.count("broken")) == (0, 3)


def test_another_kind_of_file_is_started_anew(tmp_path: Path) -> None:
    manifest = shop(tmp_path, 2)
    cache = tmp_path / "journal.jsonl"
    cache.write_text("[1, 2]\nnot ours\n")
    assert check_manifest(manifest, cache=cache).remembered == 0
    assert check_manifest(manifest, cache=cache).remembered == 2
