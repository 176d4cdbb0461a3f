"""A real browser (Chromium) before the page, and a stand-in for the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from helpers.chromium import chromium
from helpers.page_stub import Stub

#: ``shop.example`` is here, for the tests behind a proxy.
RULES = "--host-resolver-rules=MAP shop.example 127.0.0.1"
#: A test's own certificate is believed by each connection of a page that opens several at once.
CERTIFICATES = "--ignore-certificate-errors"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium(RULES, CERTIFICATES) as own:
        yield own


@pytest.fixture(scope="session")
def running_stub() -> Iterator[Stub]:
    stub = Stub()
    yield stub
    stub.close()


@pytest.fixture
def shop(running_stub: Stub) -> Iterator[Stub]:
    running_stub.reset()
    yield running_stub
    running_stub.release.set()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    own = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    own.set_default_timeout(15_000)
    yield own
    own.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """A tab that fails its test on any script error or breach of the security policy."""
    tab = context.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda said: faults.append(said.text) if "Policy" in said.text else None)
    yield tab
    assert faults == []


@pytest.fixture
def phone(browser: Any, shop: Stub) -> Iterator[Any]:
    """A tab of a phone, 390 pixels wide."""
    own = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
        device_scale_factor=2, reduced_motion="reduce",
    )  # fmt: skip
    own.set_default_timeout(15_000)
    yield own.new_page()
    own.close()
