"""A real browser for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers import needs

CHROMIUM = os.environ.get("HEMLINE_CHROMIUM") or shutil.which("chromium") or ""


@contextmanager
def chromium(*more: str) -> Iterator[Any]:
    """The system's, or the one that Playwright installed for itself; ``more`` arguments."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:  # the light install
        needs.skip("browser")
    with sync_playwright() as playwright:
        program = CHROMIUM or playwright.chromium.executable_path
        if not Path(program).is_file():
            if os.environ.get("CI"):
                pytest.fail(needs.reason("browser"))
            needs.skip("browser")
        own = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *more])
        yield own
        own.close()
