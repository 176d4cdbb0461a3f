"""For everybody: by keyboard alone, on a phone, in the dark; axe-core finds no violation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from helpers.page_acts import (
    begin,
    focused,
    found,
    photo,
    searches,
    tab_to,
    titles,
    until,
    upload,
    violations,
)
from helpers.page_menu import menu
from helpers.page_menu import why as choose_why
from helpers.page_stub import Stub


def start(page: Any, shop: Stub) -> None:
    page.goto(shop.url)
    page.wait_for_selector("#sample-list button")


def wrong(page: Any, shop: Stub) -> None:
    start(page, shop)
    upload(page, b"no picture")
    until(page, lambda: page.inner_text("#start-wrong") != "")


def why(page: Any, shop: Stub) -> None:
    begin(page, shop)
    choose_why(page)
    until(page, lambda: page.locator(".why canvas").count() == 2)


def filters(page: Any, shop: Stub) -> None:
    page.goto(f"{shop.url}/?sample=a-coat&f.category=dress&f.price=10..40")
    found(page)
    page.locator("details[data-facet='tags.color'] summary").click()


def similar(page: Any, shop: Stub) -> None:
    page.goto(f"{shop.url}/?item=p/7")
    found(page)


def judged(page: Any, shop: Stub) -> None:
    begin(page, shop)
    menu(page).get_by_role("button", name="Right: ").click()
    page.get_by_role("button", name="Undo").wait_for()


def dead(page: Any, shop: Stub) -> None:
    begin(page, shop)
    shop.fail("dead")
    page.get_by_role("button", name="Whole photo", exact=True).click()
    page.get_by_role("button", name="Try now").wait_for()


def busy(page: Any, shop: Stub) -> None:
    begin(page, shop)
    shop.fail("fault")
    page.get_by_role("button", name="Whole photo", exact=True).click()
    page.get_by_role("button", name="Try again").wait_for()


STATES = [start, wrong, begin, why, filters, similar, judged, dead, busy]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing(
    page: Any, shop: Stub, state: Callable[[Any, Stub], None], scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    state(page, shop)
    assert violations(page) == []


def test_the_schemes_differ(page: Any, shop: Stub) -> None:
    start(page, shop)
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen.append(page.evaluate(ground))
    assert seen == ["rgb(251, 250, 247)", "rgb(23, 21, 19)"]


def test_by_keyboard_alone(page: Any, shop: Stub) -> None:
    start(page, shop)
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the products"
    page.on("filechooser", lambda chooser: None)  # from here on they are caught
    tab_to(page, "Choose a photo")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files({"name": "a.png", "mimeType": "image/png", "buffer": photo()})
    found(page)
    until(page, lambda: focused(page) == "What we found")
    page.keyboard.press("Shift+Tab")
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    tab_to(page, "Whole photo")
    page.keyboard.press("Enter")
    searches(page, shop, 2)
    found(page)
    assert focused(page) == "Whole photo", "the focus stays where a person left it"
    summary = "Kind"
    tab_to(page, summary)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    searches(page, shop, 3)
    found(page)
    inside = page.evaluate("document.activeElement.dataset.focus")
    assert inside == "category hoodie", "also when the filters were drawn anew"
    page.keyboard.press("Escape")
    title = titles(page)[0]
    tab_to(page, title)
    page.keyboard.press("Tab")
    assert focused(page) == f"More about {title}"
    page.keyboard.press("Tab")
    assert focused(page) == titles(page)[1], "two tab stops a product"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    tab_to(page, f"Why? {title}")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    # From the last of a modal dialog's controls Tab may go to the browser's own.
    inside_only = (
        "['DIALOG', 'BODY'].includes("
        "(document.activeElement.closest('dialog') || document.activeElement).tagName)"
    )
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate(inside_only)
    page.keyboard.press("Escape")
    assert focused(page) == f"More about {title}"
    page.keyboard.press("Enter")
    tab_to(page, f"More like this: {title}")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?item=*")


def test_on_a_phone(phone: Any, shop: Stub) -> None:
    start(phone, shop)
    assert phone.get_by_role("button", name="Take a photo").is_visible()
    upload(phone)
    found(phone)
    first = phone.locator(".product").first.bounding_box()
    assert first["y"] < 300
    assert first["y"] + first["height"] < 844, "the whole of the first product is above the fold"
    rows = phone.locator("#photo .stage, #photo .chip, #filters-button").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(r => r.y + r.height / 2)"
    )
    assert max(rows) - min(rows) < 2, "photo, chips and filters are one row"
    wide = "document.documentElement.scrollWidth"
    assert phone.evaluate(wide) == 390, "nothing sticks out"
    left = phone.locator(".product").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().x)"
    )
    assert len(set(left)) == 2, "two products side by side"
    small = """all => all.filter(e => e.offsetParent && !e.closest('.handles, .title'))
      .map(e => [e.getBoundingClientRect(), e.textContent || e.ariaLabel])
      .filter(([r]) => r.height < 44 || r.width < 24)
      .map(([r, t]) => `${t} ${r.width}x${r.height}`)"""
    assert phone.locator("#search button, #search summary").evaluate_all(small) == []
    phone.get_by_role("button", name="Show your photo large").tap()
    stage = phone.locator(".stage").bounding_box()
    phone.touchscreen.tap(stage["x"] + 0.45 * stage["width"], stage["y"] + 0.75 * stage["height"])
    assert "box" in searches(phone, shop, 2)[1]
    found(phone)
    phone.get_by_role("button", name="Back to the products").tap()
    assert focused(phone).startswith("Show your photo large")
    phone.get_by_role("button", name="Filters (1)", exact=True).tap()  # the garment's kind
    phone.locator("details[data-facet='category'] summary").tap()
    fits = phone.locator("details[open] fieldset").bounding_box()
    assert fits["x"] >= 0
    assert fits["x"] + fits["width"] <= 390
    phone.keyboard.press("Escape")
    choose_why(phone)
    until(phone, lambda: phone.locator(".why canvas").count() == 2)
    assert phone.evaluate(wide) == 390
    assert violations(phone) == []
