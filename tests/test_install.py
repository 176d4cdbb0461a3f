"""The pinned versions fit what `pyproject.toml` asks for, and the end of a test run is one line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers import needs

ROOT = Path(__file__).parents[1]


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    lines = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    found = [Requirement(line) for line in [*lines, *(line for extra in extras for line in extra)]]
    return [one for one in found if one.name != "hemline"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pinned}


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    pinned = pins()
    for one in requirements():
        version = pinned.get(canonicalize_name(one.name))
        assert version is not None, f"{one.name} is not in constraints.txt: make lock"
        assert one.specifier.contains(version), f"{one} is pinned to {version}: make lock"


def test_constraints_serve_with_every_index_and_platform() -> None:
    """Names and versions only: no index address, hash, path, option or local version."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_every_requirement_has_a_floor() -> None:
    loose = [one.name for one in requirements() if not one.specifier]
    assert loose == ["types-PyYAML"]


def test_a_run_ends_with_what_it_skipped() -> None:
    reasons = [needs.reason("slow"), needs.reason("browser"), needs.reason("slow"), "Windows"]
    assert needs.summary(reasons) == (
        "skipped: 1 page tests (no browser: make browser), 2 slow tests (make test-slow), "
        "1 for: Windows"
    )
    assert needs.summary([]) == "skipped: nothing"
