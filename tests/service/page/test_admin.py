"""The shop's own page: key, size, upload, look and delete, timings, check."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.page_acts import focused, open_admin, until, violations
from helpers.page_stub import Stub


@pytest.fixture
def admin(page: Any, shop: Stub) -> Any:
    open_admin(page, shop)
    return page


def test_a_wrong_key(page: Any, shop: Stub) -> None:
    page.goto(f"{shop.url}/admin")
    page.locator("#key").wait_for()
    assert violations(page) == []
    page.locator("#key").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("This key isn't known").wait_for()
    assert not page.locator("#inside").is_visible()


def test_the_key_is_kept_by_this_tab_and_forgotten(admin: Any, shop: Stub) -> None:
    admin.reload()
    admin.wait_for_selector("#inside:not([hidden])")
    assert admin.evaluate("localStorage.length") == 0
    admin.get_by_role("button", name="Forget the key").click()
    assert admin.locator("#key").is_visible()
    admin.reload()
    admin.locator("#key").wait_for()


def test_size_timings_and_judgements(admin: Any, shop: Stub) -> None:
    assert "60\nproducts" in admin.inner_text("#size")
    assert "11.4 MB" in admin.inner_text("#size")
    assert admin.locator(".chart rect").count() == 50
    assert "half within 48 ms" in str(admin.locator(".chart").get_attribute("aria-label"))
    assert "encode" in admin.inner_text("#times table")
    assert "5\nright" in admin.inner_text("#judged")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(admin: Any, shop: Stub, scheme: str) -> None:
    admin.emulate_media(color_scheme=scheme)
    admin.get_by_text("More about it").click()
    admin.get_by_label("Its number").fill("p/7")
    admin.keyboard.press("Enter")
    admin.get_by_role("button", name="Delete this product").wait_for()
    assert violations(admin) == []
    admin.get_by_role("button", name="Delete this product").click()
    assert violations(admin) == []


def test_adding_by_a_feed(admin: Any, shop: Stub) -> None:
    feed = {"name": "shop.csv", "mimeType": "text/csv", "buffer": b"item_id,image\n1,a.jpg\n"}
    pictures = [{"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8"} for n in "ab"]
    admin.get_by_label("Feed").set_input_files(feed)
    admin.get_by_label("Pictures, or zips of them").set_input_files(pictures)
    admin.get_by_role("button", name="Add them").click()
    admin.get_by_role("progressbar", name="Progress").wait_for()
    admin.get_by_text("Done. added: 2 · updated: 0 · unchanged: 1").first.wait_for()
    (sent,) = shop.of("/v1/admin/manifest")
    assert sent["manifest:names"] == ["shop.csv"]
    assert sent["picture:names"] == ["a.jpg", "b.jpg"]
    admin.get_by_text("Refused: 1", exact=True).click()
    assert "4: no picture" in admin.inner_text("#add-job")


def test_an_upload_that_fails(admin: Any, shop: Stub) -> None:
    shop.fail("fault", times=1)
    feed = {"name": "shop.csv", "mimeType": "text/csv", "buffer": b"x"}
    admin.get_by_label("Feed").set_input_files(feed)
    admin.get_by_role("button", name="Add them").click()
    admin.get_by_text("It failed: as told").wait_for()
    button = admin.get_by_role("button", name="Add them")
    until(admin, button.is_enabled)  # a moment after the words


def test_looking_at_a_product_and_deleting_it(admin: Any, shop: Stub) -> None:
    admin.get_by_label("Its number").fill("p/99")
    admin.keyboard.press("Enter")
    admin.get_by_text("There is no product of that number.").wait_for()
    admin.get_by_label("Its number").fill("p/7")
    admin.keyboard.press("Enter")
    admin.get_by_role("heading", name="Blue skirt no. 7").wait_for()
    admin.get_by_role("button", name="Delete this product").click()
    assert focused(admin) == "Keep it"
    admin.keyboard.press("Enter")
    assert shop.removed == set()
    admin.get_by_role("button", name="Delete this product").click()
    admin.get_by_role("button", name="Delete it").click()
    until(admin, lambda: shop.removed == {"p/7"})
    until(admin, lambda: "59\nproducts" in admin.inner_text("#size"))


def test_the_check(admin: Any, shop: Stub) -> None:
    admin.get_by_role("button", name="Begin the check").click()
    admin.locator("#check-job").get_by_text("The catalogue is whole.").wait_for()
    told = admin.inner_text("#check-job")
    assert "0.950\nfound among the first 5\n95 %: 0.880–0.990" in told
    assert violations(admin) == []
