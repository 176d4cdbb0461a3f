"""A fault at every change to the disk, of every verb that writes: what is acknowledged is there.

`helpers/faulty_verbs.py` says what a fault is and what is checked after it. Without Linux or a C
compiler the tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers import needs

HELPERS = Path(__file__).parents[1] / "helpers"
VERBS = (
    "create", "add", "sync", "update", "index", "remove", "compact", "rebuild", "backup", "repair",
    "export", "copy", "keys", "links", "feedback", "bundle",
)  # fmt: skip


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled file layer."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        needs.skip("compiler")
    built = tmp_path_factory.mktemp("faults") / "libfaulty.so"
    source = HELPERS / "faulty_io.c"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(built), str(source), "-ldl", "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:  # another C library
        needs.skip("compiler")
    return built


def faults(
    library: Path, folder: Path, every: int, *verbs: str, before: str = ""
) -> dict[str, Any]:
    """What `faulty_verbs.py` reports; ``before`` is Python that its process runs first."""
    run = f"{before}; import runpy, sys; runpy.run_path(sys.argv[0], run_name='__main__')"
    program = [sys.executable, "-c", f"import sys; sys.argv = sys.argv[1:]; {run.lstrip('; ')}"]
    done = subprocess.run(
        [*program, str(HELPERS / "faulty_verbs.py"), str(folder), str(every), *verbs],
        env=os.environ | {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def told(report: dict[str, Any]) -> str:
    """The counts: changes of each verb, and faults of each kind."""
    kinds: dict[str, int] = {}
    for name, number in report["faults"].items():
        kinds[name.split()[1]] = kinds.get(name.split()[1], 0) + number
    return f"{report['changes']} changes, {kinds} faults, {report['checks']} checks"


def test_some_faults_of_some_verbs(library: Path, tmp_path: Path) -> None:
    report = faults(library, tmp_path, 29, "update", "feedback")
    assert report["failures"] == []
    assert report["checks"] >= 9, told(report)


def test_every_fault_of_the_smallest_verb(library: Path, tmp_path: Path) -> None:
    """All of `keys`, since a sample of changes hardly meets the one that a missing sync loses."""
    report = faults(library, tmp_path, 1, "keys")
    assert report["failures"] == []
    assert report["changes"]["keys"] >= 10, told(report)


def test_a_sync_that_is_left_out_is_found(library: Path, tmp_path: Path) -> None:
    """The harness itself: without `fsync` the ends of a power cut lose what was acknowledged."""
    report = faults(library, tmp_path, 1, "keys", before="import os; os.fsync = lambda fd: None")
    found = {kind for verb, kind, number, words in report["failures"]}
    assert {"cut", "names"} <= found, told(report)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_every_fault_of_a_verb(
    library: Path, tmp_path: Path, verb: str, record_testsuite_property: Any
) -> None:
    report = faults(library, tmp_path, 1, verb)
    print(f"{verb}: {told(report)}")
    record_testsuite_property(f"faults of {verb}", told(report))
    assert report["failures"] == []
    assert report["changes"][verb] >= 5
