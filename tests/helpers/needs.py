"""What some tests need that a machine may lack, and how to get it."""

from __future__ import annotations

from typing import NoReturn

import pytest

#: What is missing: (the tests that are skipped, how to have them run).
NEEDS = {
    "browser": ("page tests", "no browser: make browser"),
    "nginx": ("tests behind nginx", "apt-get install nginx"),
    "linters": ("checks by linters", "pip install yamllint check-jsonschema kubernetes-validate"),
    "caddy": ("tests behind Caddy", "apt-get install caddy"),
    "photos": ("tests on the real grocery photos", "set HEMLINE_SHARED to the folder they lie in"),
    "weights": ("tests of pretrained weights", "set HEMLINE_SHARED to the folder they lie in"),
    "slow": ("slow tests", "make test-slow"),
    "power": ("tests of power cuts", "root, mkfs.ext4 and a loop device"),
    "milvus": ("tests of stores on Milvus", "pip install 'hemline[milvus]'"),
    "milvus-server": (
        "tests on a Milvus server",
        "pip install --no-deps milvus==2.3.5 elsewhere, HEMLINE_MILVUS_SERVER=.../milvus-server",
    ),
    "database": ("tests of a shared database", "pip install 'hemline[database]'"),
    "postgres": ("tests on PostgreSQL", "apt-get install postgresql"),
    "ray": ("tests of embedding on Ray", "pip install 'hemline[ray]'"),
    "compiler": ("tests of faults of the disk", "Linux and a C compiler"),
    "plots": ("tests of plots", "no matplotlib: make test"),
    "learn": ("files or tests of training", "no torch: make test"),
}


def reason(need: str) -> str:
    """The reason of a skip; `summary` counts these."""
    what, how = NEEDS[need]
    return f"{what} ({how})"


def skip(need: str) -> NoReturn:
    """Skips the running test."""
    pytest.skip(reason(need))


def summary(reasons: list[str]) -> str:
    """One line: how many tests were skipped for each reason, and how to get them."""
    known = [reason(need) for need in NEEDS]
    ordered = [why for why in known if why in reasons]
    ordered += [f"for: {why}" for why in dict.fromkeys(reasons) if why not in known]
    counted = [f"{reasons.count(why.removeprefix('for: '))} {why}" for why in ordered]
    return f"skipped: {', '.join(counted) or 'nothing'}"
