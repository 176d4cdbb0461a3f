"""Servers of the tests end with them, also where a worker's process is killed at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def test_what_was_registered_ends_with_the_session_of_a_killed_process(tmp_path: Path) -> None:
    """Failed before: a Milvus server went on after `make test-slow`, its atexit never reached."""
    ended = tmp_path / "ended"
    (tmp_path / "test_one.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from helpers.ending import at_end\n"
        "def test_one():\n"
        f"    at_end(lambda: Path({str(ended)!r}).touch())\n"
    )
    (tmp_path / "conftest.py").write_text(
        f"import os, sys\nsys.path.insert(0, {str(TESTS)!r})\n"
        "from conftest_of_hemline import pytest_sessionfinish\n"
        "def pytest_unconfigure():\n"
        "    os._exit(0)\n"
    )
    (tmp_path / "conftest_of_hemline.py").write_text(
        (TESTS / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    code = "import sys, pytest; sys.path.insert(0, sys.argv[1]); pytest.main(['-q', sys.argv[1]])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=tmp_path)
    assert ended.exists()
