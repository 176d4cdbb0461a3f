"""The list of products on the shop's own page: pages, conditions, a look, deletion, keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.page_acts import focused, open_admin, tab_to, until, violations
from helpers.page_stub import PRODUCTS, Stub

#: Of the stub's products, in the order of the list.
NAMES = sorted(one["item_id"] for one in PRODUCTS)


@pytest.fixture
def admin(page: Any, shop: Stub) -> Any:
    open_admin(page, shop)
    page.wait_for_selector("#list li")
    return page


def shown(page: Any) -> list[str]:
    return list(page.locator("#list li").evaluate_all("all => all.map(e => e.dataset.item)"))


def count(page: Any) -> str:
    return str(page.inner_text("#list-count"))


def test_pages_to_and_fro(admin: Any, shop: Stub) -> None:
    assert shown(admin) == NAMES[:24]
    assert count(admin) == "1 to 24 of 60 products"
    loaded = "all => all.filter(i => i.complete && i.naturalWidth > 0).length"
    until(admin, lambda: admin.locator("#list img").evaluate_all(loaded) >= 3)
    told = admin.locator("#list li").first.inner_text().replace("\xa0", " ").split("\n")
    assert told == ["Red hoodie no. 0", "p/0 · €9.50 · 1 picture", "Delete"]
    assert not admin.get_by_role("button", name="Previous").is_visible()
    admin.get_by_role("button", name="Next").click()
    until(admin, lambda: count(admin) == "25 to 48 of 60 products")
    assert shown(admin) == NAMES[24:48]
    assert focused(admin) == "25 to 48 of 60 products"
    assert shop.of("/v1/items")[-1]["after"] == NAMES[23]
    admin.get_by_role("button", name="Next").click()
    until(admin, lambda: shown(admin) == NAMES[48:])
    assert not admin.get_by_role("button", name="Next").is_visible()
    admin.get_by_role("button", name="Previous").click()
    until(admin, lambda: shown(admin) == NAMES[24:48])


def test_only_those_that_meet_a_condition(admin: Any, shop: Stub) -> None:
    admin.get_by_role("button", name="Next").click()
    until(admin, lambda: shown(admin) == NAMES[24:48])
    admin.get_by_label("Only those where").fill("price < 12 and category <> 'dress'")
    admin.keyboard.press("Enter")
    until(admin, lambda: shown(admin) == ["p/0", "p/2"])
    assert count(admin) == "1 to 2 of 2 products"
    admin.get_by_label("Only those where").fill("fabric = 'wool'")
    admin.keyboard.press("Enter")
    admin.get_by_role("alert").get_by_text("no column 'fabric'").wait_for()
    assert focused(admin) == "where", "to be put right"
    assert shown(admin) == ["p/0", "p/2"], "what was there stays"
    assert violations(admin) == []
    admin.get_by_label("Only those where").fill("price > 900")
    admin.get_by_role("button", name="Show", exact=True).click()
    until(admin, lambda: count(admin) == "No product meets this.")
    assert admin.locator("#where-wrong").text_content() == ""
    admin.get_by_label("Only those where").fill("")
    admin.keyboard.press("Enter")
    until(admin, lambda: shown(admin) == NAMES[:24])


def test_by_keyboard_a_product_is_looked_at_and_deleted(admin: Any, shop: Stub) -> None:
    tab_to(admin, "Blue dress no. 21")
    admin.keyboard.press("Enter")
    admin.get_by_role("heading", name="Blue dress no. 21").wait_for()
    assert focused(admin) == "Blue dress no. 21"
    assert "p/21" in admin.inner_text("#product")
    tab_to(admin, "Close")
    admin.keyboard.press("Enter")
    assert admin.locator("#product").inner_text() == ""
    assert admin.evaluate("document.activeElement.closest('li').dataset.item") == "p/21"
    admin.keyboard.press("Tab")
    assert focused(admin) == "Delete Blue dress no. 21 (p/21)"
    admin.keyboard.press("Enter")
    admin.get_by_role("heading", name="Delete Blue dress no. 21 (p/21)?").wait_for()
    assert focused(admin) == "Keep it"
    admin.keyboard.press("Escape")
    assert focused(admin) == "Delete Blue dress no. 21 (p/21)"
    assert shop.removed == set()
    admin.keyboard.press("Enter")
    admin.keyboard.press("Tab")
    admin.keyboard.press("Enter")
    until(admin, lambda: shop.removed == {"p/21"})
    until(admin, lambda: "p/21" not in shown(admin))
    assert count(admin) == "1 to 24 of 59 products"
    next_one = NAMES[NAMES.index("p/21") + 1]
    place = "document.activeElement.closest('li')?.dataset.item"
    until(admin, lambda: admin.evaluate(place) == next_one)
    assert admin.inner_text("#status") == "p/21 is deleted."
    until(admin, lambda: "59\nproducts" in admin.inner_text("#size"))


def test_the_last_of_a_page_leaves(admin: Any, shop: Stub) -> None:
    shop.removed = set(NAMES[25:])
    admin.get_by_role("button", name="Next").click()
    until(admin, lambda: shown(admin) == [NAMES[24]])
    admin.locator("#list").get_by_role("button", name="Delete").click()
    admin.get_by_role("button", name="Delete it").click()
    until(admin, lambda: shown(admin) == NAMES[:24])
    assert count(admin) == "1 to 24 of 24 products"


def test_a_deletion_that_fails(admin: Any, shop: Stub) -> None:
    admin.locator("#list").get_by_role("button", name="Delete").first.click()
    shop.fail("fault", times=1)
    admin.get_by_role("button", name="Delete it").click()
    admin.get_by_role("alert").get_by_text("It failed: as told").wait_for()
    assert shown(admin) == NAMES[:24]


def test_what_was_deleted_by_its_number_leaves_the_list(admin: Any, shop: Stub) -> None:
    admin.get_by_label("Its number").fill("p/10")
    admin.keyboard.press("Enter")
    admin.get_by_role("button", name="Delete this product").click()
    admin.get_by_role("button", name="Delete it").click()
    until(admin, lambda: "p/10" not in shown(admin) and len(shown(admin)) == 24)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(admin: Any, shop: Stub, scheme: str) -> None:
    admin.set_viewport_size({"width": 390, "height": 844})
    admin.emulate_media(color_scheme=scheme)
    admin.locator("#list").get_by_role("button", name="Coat no. 10").first.click()
    admin.get_by_role("button", name="Close").wait_for()
    assert admin.evaluate("document.documentElement.scrollWidth") == 390, "nothing sticks out"
    assert violations(admin) == []
