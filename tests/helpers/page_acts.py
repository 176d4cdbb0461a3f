"""What a person does on the page, and what it looks like to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from helpers.page_stub import KEY, Stub

#: Selectors with `:hover` that apply where nothing can hover.
_STUCK = """() => {
  const bare = (rules, hovers) => [...rules].flatMap(rule =>
    rule instanceof CSSMediaRule
      ? bare(rule.cssRules, hovers || rule.conditionText.includes('hover: hover'))
      : rule.selectorText?.includes(':hover') && !hovers ? [rule.selectorText] : []);
  const widget = document.querySelector('hemline-widget')?.shadowRoot.adoptedStyleSheets ?? [];
  return [...document.styleSheets, ...widget].flatMap(sheet => bare(sheet.cssRules, false));
}"""
#: 1200 × 800 pixels in the garments' colours.
PHOTO_SIZE = (1200, 800)


def photo(width: int = PHOTO_SIZE[0], height: int = PHOTO_SIZE[1], suffix: str = ".png") -> bytes:
    image = np.full((height, width, 3), 200, np.uint8)
    image[height // 10 : height // 2, width // 5 : 7 * width // 10] = (40, 40, 200)
    return cv2.imencode(suffix, image)[1].tobytes()


def upload(page: Any, data: bytes | None = None, name: str = "street.png") -> None:
    page.wait_for_selector("#choose:not(:empty)", state="attached")  # it has its texts
    file = {"name": name, "mimeType": "image/png", "buffer": photo() if data is None else data}
    page.set_input_files("#file", file)


def found(page: Any) -> None:
    """Waits for products."""
    page.wait_for_selector(".product:not(.is-waiting)")
    page.wait_for_selector("#found[aria-busy=false]")


def until(page: Any, met: Callable[[], bool]) -> None:
    """Waits until something is so (the page's security policy forbids Playwright's own way)."""
    end = time.monotonic() + 20
    while not met():
        if time.monotonic() > end:
            raise AssertionError("it never came to that")
        page.wait_for_timeout(25)


def begin(page: Any, shop: Stub) -> None:
    """An own photo is searched with."""
    page.goto(shop.url)
    upload(page)
    found(page)


def titles(page: Any) -> list[str]:
    return list(page.locator(".product .title").all_inner_texts())


def box_of(fields: dict[str, Any]) -> list[float]:
    return [float(value) for value in fields["box"].split(",")]


def searches(page: Any, shop: Stub, count: int) -> list[dict[str, Any]]:
    """The questions asked so far, once there are ``count``."""
    until(page, lambda: len(shop.of("/v1/search")) >= count)
    return shop.of("/v1/search")


def focused(page: Any) -> str:
    """What has the focus: its accessible name, or its text."""
    return str(
        page.evaluate(
            "() => { const e = document.activeElement;"
            " return e.getAttribute('aria-label') || e.textContent.trim() || e.id; }"
        )
    )


def tab_to(page: Any, name: str) -> None:
    """Presses Tab until ``name`` has the focus, which has to be seen."""
    for _ in range(90):
        page.keyboard.press("Tab")
        if focused(page) == name:
            shown = page.evaluate(
                "() => { const s = getComputedStyle(document.activeElement);"
                " const b = getComputedStyle(document.activeElement, '::before');"
                " const a = getComputedStyle(document.activeElement, '::after');"
                " return s.outlineStyle !== 'none' || a.outlineStyle !== 'none'"
                " || b.boxShadow.includes('6px'); }"
            )
            assert shown, f"the focus on {name} isn't seen"
            return
    raise AssertionError(f"{name} isn't reached by the keyboard")


def open_admin(page: Any, shop: Stub) -> None:
    """The shop's own page, with its key."""
    page.goto(f"{shop.url}/admin")
    page.locator("#key").fill(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector("#inside:not([hidden])")


def stuck(page: Any) -> list[str]:
    """Styles of what is under the pointer that apply to fingers too; the widget's as well."""
    return list(page.evaluate(_STUCK))


def violations(page: Any) -> list[str]:
    """What axe-core holds against the page as it is now."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']][:3]}" for one in found]
