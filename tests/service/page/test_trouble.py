"""Bad files, a busy, slow, failing or dead server: clear words, and the way goes on."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.page_acts import begin, found, photo, searches, titles, until, upload
from helpers.page_stub import KEY, PRODUCTS, Stub


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"this is a letter, not a picture", "letter.txt can't be read as a photo"),
        (photo(20, 20), "too small"),
        (photo()[:200], "can't be read as a photo"),
    ],
    ids=["text", "tiny", "cut off"],
)
def test_a_bad_file(page: Any, shop: Stub, data: bytes, words: str) -> None:
    page.goto(shop.url)
    upload(page, data, "letter.txt")
    until(page, lambda: words in page.inner_text("#start-wrong"))
    assert shop.of("/v1/search") == []
    upload(page)
    found(page)
    assert page.locator("#start-wrong").text_content() == ""
    upload(page, data, "letter.txt")
    until(page, lambda: words in page.inner_text("#toast"))
    assert len(titles(page)) == 24, "the search that was there stays"


def test_busy_is_tried_again_by_itself(page: Any, shop: Stub) -> None:
    page.goto(shop.url)
    page.wait_for_selector("#sample-list button")
    shop.fail("busy", times=1)
    upload(page)
    page.locator("#notice").get_by_text("Many people are looking right now").wait_for()
    found(page)
    assert len(shop.of("/v1/search")) == 2
    assert not page.locator("#notice").is_visible()


def test_a_dead_server_comes_back(page: Any, shop: Stub) -> None:
    begin(page, shop)
    shop.fail("dead")
    page.get_by_role("button", name="Skirt", exact=True).click()
    page.locator("#banner").get_by_text("The shop does not answer.").wait_for()
    assert len(titles(page)) == 24, "what was found stays"
    shop.fail("ok")
    page.get_by_role("button", name="Try now").click()
    until(page, lambda: not page.locator("#banner").is_visible())
    found(page)
    assert "The shop answers again." in page.inner_text("#toast")


def test_a_server_that_is_dead_from_the_start(page: Any, shop: Stub) -> None:
    shop.fail("dead")
    page.goto(shop.url)
    page.locator("#banner").get_by_text("The shop does not answer.").wait_for()
    shop.fail("ok")
    upload(page)
    found(page)
    assert not page.locator("#banner").is_visible()


def test_a_slow_server(page: Any, shop: Stub) -> None:
    page.goto(shop.url)
    page.wait_for_selector("#sample-list button")
    page.clock.install()
    shop.fail("slow", times=1)
    upload(page)
    searches(page, shop, 1)
    notice = page.locator("#notice")
    assert "Looking through the shop" in notice.inner_text()
    page.clock.fast_forward(5000)
    page.wait_for_timeout(100)
    assert "takes longer" not in notice.inner_text(), "a slow connection is nothing to worry about"
    page.clock.fast_forward(1500)
    until(page, lambda: "takes longer" in notice.inner_text())
    page.clock.fast_forward(14_000)
    until(page, lambda: "very long" in notice.inner_text())
    notice.get_by_role("button", name="Try again").click()
    page.clock.resume()
    searches(page, shop, 2)
    found(page)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("fault", "please name r-123"),
        ("limited", "Please wait a minute"),
        ("large", "too big for the shop"),
    ],
)
def test_other_failures_offer_another_try(page: Any, shop: Stub, mode: str, words: str) -> None:
    begin(page, shop)
    shop.fail(mode, times=1)
    page.get_by_role("button", name="Whole photo", exact=True).click()
    page.locator("#notice").get_by_text(words).wait_for()
    assert page.get_by_role("button", name="Undo").count() == 0
    page.locator("#notice").get_by_role("button", name="Try again").click()
    found(page)
    assert len(shop.of("/v1/search")) == 3


def test_a_shop_without_products(page: Any, shop: Stub) -> None:
    shop.removed = {one["item_id"] for one in PRODUCTS}
    page.goto(shop.url)
    upload(page)
    page.locator("#notice").get_by_text("Nothing here looks like it.").wait_for()
    assert titles(page) == []


def test_a_shop_that_asks_for_a_key(page: Any, shop: Stub) -> None:
    shop.fail("refused")
    page.goto(shop.url)
    banner = page.locator("#banner")
    banner.get_by_label("Key").fill("wrong")
    banner.get_by_role("button", name="Go on").click()
    banner.get_by_text("does not know this key").wait_for()
    banner.get_by_label("Key").fill(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector("#sample-list button")
    upload(page)
    found(page)
    assert "key" not in page.url
