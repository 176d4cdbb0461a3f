"""Skips what a machine or a run has no use for, and ends with one line that says what and why.

Without torch the files that import it are not collected. Tests marked ``slow`` are skipped where
the whole suite runs without ``-m``: ``make test-slow`` runs them, as does naming their file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from helpers import needs
from helpers.ending import end_all

TESTS = Path(__file__).parent
#: Modules of the extra ``learn``, and the packages that import them.
LEARN = {
    *("torch", "torchvision", "timm", "lightning", "onnxscript", "safetensors", "yaml"),
    *("sklearn", "skimage", "pytorch_metric_learning", "open_clip"),
    *("hemline.learn", "hemline.reproduce"),
}
HAS_LEARN = find_spec("torch") is not None


@cache
def needs_learn(path: Path) -> bool:
    """Whether a file, or a helper that it imports, imports a module of ``LEARN`` at its top."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parts = {".".join(name.split(".")[:depth]) for name in names for depth in (1, 2)}
    helpers = (TESTS / f"{name.replace('.', '/')}.py" for name in names if "helpers" in name)
    return bool(parts & LEARN) or any(needs_learn(file) for file in helpers if file.is_file())


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    test_file = collection_path.suffix == ".py" and collection_path.name.startswith("test_")
    return True if test_file and not HAS_LEARN and needs_learn(collection_path) else None


def whole_suite(config: pytest.Config) -> bool:
    """Whether no file or folder inside ``tests`` was named."""
    named = {Path(config.invocation_params.dir, arg).resolve() for arg in config.args}
    return named <= {TESTS, config.rootpath}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("learn") and not HAS_LEARN:
            item.add_marker(pytest.mark.skip(reason=needs.reason("learn")))
        slow = item.get_closest_marker("slow") and whole_suite(config)
        if slow and not config.getoption("markexpr"):
            item.add_marker(pytest.mark.skip(reason=needs.reason("slow")))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """File by file, but those that start a Milvus server one after the other in one process: the
    port of its etcd is fixed, so there is one server on a machine."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    starters = {p for p in TESTS.rglob("test_*.py") if "milvus.server()" in p.read_text("utf-8")}
    together = {path.relative_to(config.rootpath).as_posix() for path in starters}

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "milvus" if file in together else str(file)

    return Scheduling(config, log)


def pytest_sessionfinish() -> None:
    """In each worker of pytest-xdist, too."""
    end_all()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    yield  # pytest's own summary
    reasons = []
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons.append(text.removeprefix("Skipped: "))
    if not HAS_LEARN and whole_suite(config):
        files = sum(needs_learn(path) for path in TESTS.rglob("test_*.py"))
        reasons += [needs.reason("learn")] * files
    terminalreporter.write_line(needs.summary(reasons))
