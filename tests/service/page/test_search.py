"""Upload, choose a garment, change the crop, filter, why, more like this, feedback."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from helpers.page_acts import begin, box_of, found, photo, searches, titles, until, upload
from helpers.page_stub import Stub


def test_an_uploaded_photo_is_searched_with(page: Any, shop: Stub) -> None:
    begin(page, shop)
    assert page.locator(".product").count() == 24
    asked = shop.of("/v1/search")
    assert [one["detect"] for one in asked] == ["true"]
    sent = cv2.imdecode(np.frombuffer(asked[0]["photo"], np.uint8), cv2.IMREAD_COLOR)
    assert sent.shape == (800, 1200, 3)
    assert page.inner_text("#count") == "The 24 best"
    assert "24 products shown" in page.inner_text("#status")
    first = page.locator(".product").first
    assert first.locator(".alike").inner_text() == "The same"
    assert first.locator(".price").inner_text().startswith("€")
    assert page.locator(".outline").count() == 2
    assert (
        page.get_by_role("button", name="Hoodie", exact=True).get_attribute("aria-pressed")
        == "true"
    )


def test_a_large_photo_is_made_smaller_and_stripped(page: Any, shop: Stub) -> None:
    jpeg = photo(2400, 1200, ".jpg")
    # An EXIF segment that says: turned by a quarter, taken somewhere.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0SECRETPLACE"
    jpeg = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    page.goto(shop.url)
    upload(page, jpeg, "big.jpg")
    found(page)
    (asked,) = shop.of("/v1/search")
    sent = cv2.imdecode(np.frombuffer(asked["photo"], np.uint8), cv2.IMREAD_COLOR)
    assert sent.shape == (1600, 800, 3), "upright, its longer side 1600"
    assert b"SECRETPLACE" not in asked["photo"]
    assert b"Exif" not in asked["photo"]


def test_dropping_and_pasting_a_photo(page: Any, shop: Stub) -> None:
    page.goto(shop.url)
    give = """async ([kind, field]) => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 300, height: 200 });
      canvas.getContext('2d').fillRect(0, 0, 50, 50);
      const blob = await new Promise((done) => canvas.toBlob(done));
      const data = new DataTransfer();
      data.items.add(new File([blob], 'a.png', { type: 'image/png' }));
      document.body.dispatchEvent(kind === 'drop'
        ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
    }"""
    page.evaluate(give, ["drop", "dataTransfer"])
    searches(page, shop, 1)
    found(page)
    page.get_by_role("button", name="Another photo").click()
    page.evaluate(give, ["paste", "clipboardData"])
    assert page.wait_for_url("**/?photo=*") is None
    found(page)


def test_a_sample_photo(page: Any, shop: Stub) -> None:
    page.goto(shop.url)
    page.get_by_role("button", name="A coat").click()
    found(page)
    assert page.url == f"{shop.url}/?sample=a-coat"


def test_choosing_another_garment_searches_with_its_box(page: Any, shop: Stub) -> None:
    begin(page, shop)
    before = titles(page)
    page.get_by_role("button", name="Skirt", exact=True).click()
    second = searches(page, shop, 2)[1]
    # The garment with 5 % of its sides around it, as the service itself crops one.
    np.testing.assert_allclose(box_of(second), [276, 384, 804, 736], atol=1)
    assert second["detect"] == "false"
    until(page, lambda: titles(page)[0] != before[0])
    assert (
        page.get_by_role("button", name="Skirt", exact=True).get_attribute("aria-pressed") == "true"
    )
    assert (
        page.get_by_role("button", name="Hoodie", exact=True).get_attribute("aria-pressed")
        == "false"
    )
    page.get_by_role("button", name="Whole photo", exact=True).click()
    whole = searches(page, shop, 3)[2]
    assert "box" not in whole
    assert whole["every"] == "true", "the whole photo is searched with its garments"
    assert "every" not in second
    assert "box=whole" in page.url


def test_the_kind_of_a_chosen_garment_is_a_filter(page: Any, shop: Stub) -> None:
    """Failed before: "Skirt" was chosen, and trousers were found."""
    begin(page, shop)
    assert "where" not in shop.of("/v1/search")[0], "what the page chose itself filters nothing"
    page.get_by_role("button", name="Skirt", exact=True).click()
    assert searches(page, shop, 2)[1]["where"] == "category = 'skirt'"
    page.get_by_role("button", name="Hoodie", exact=True).click()
    assert searches(page, shop, 3)[2]["where"] == "category = 'hoodie'"
    found(page)
    page.get_by_role("button", name="Remove the filter Hoodie").click()
    assert "where" not in searches(page, shop, 4)[3], "it can be taken off"
    assert "box" in shop.of("/v1/search")[3]
    page.goto(f"{shop.url}/?sample=a-hoodie&f.category=dress")
    found(page)
    page.get_by_role("button", name="Skirt", exact=True).click()
    assert searches(page, shop, 6)[5]["where"] == "category = 'dress'", (
        "a person's own choice stays"
    )


def test_a_tap_on_the_photo_takes_the_garment_there(page: Any, shop: Stub) -> None:
    begin(page, shop)
    stage = page.locator(".stage").bounding_box()
    x, y = stage["x"] + 0.45 * stage["width"], stage["y"] + 0.7 * stage["height"]
    page.mouse.click(x, y)
    np.testing.assert_allclose(box_of(searches(page, shop, 2)[1]), [276, 384, 804, 736], atol=1)


@pytest.mark.parametrize(
    ("handle", "moved"), [("se", [0, 0, 1, 1]), ("nw", [1, 1, 0, 0]), ("move", [1, 1, 1, 1])]
)
def test_dragging_the_crop(page: Any, shop: Stub, handle: str, moved: list[int]) -> None:
    begin(page, shop)
    scale = 1200 / page.locator(".stage").bounding_box()["width"]
    at = page.locator(f".handle.{handle}").bounding_box()
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y + 8, steps=3)
    page.mouse.move(x + 20, y + 16, steps=3)
    page.mouse.up()
    box = box_of(searches(page, shop, 2)[1])
    first = [240.0, 80.0, 840.0, 400.0]
    wanted = [
        v + m * scale * (20, 16)[i % 2] for i, (v, m) in enumerate(zip(first, moved, strict=True))
    ]
    np.testing.assert_allclose(box, wanted, atol=2)


def test_drawing_a_crop_where_none_is(page: Any, shop: Stub) -> None:
    begin(page, shop)
    stage = page.locator(".stage").bounding_box()
    at = lambda x, y: (stage["x"] + x * stage["width"], stage["y"] + y * stage["height"])  # noqa: E731
    page.mouse.move(*at(0.75, 0.6))
    page.mouse.down()
    page.mouse.move(*at(0.95, 0.95), steps=4)
    page.mouse.up()
    np.testing.assert_allclose(box_of(searches(page, shop, 2)[1]), [900, 480, 1140, 760], atol=4)


def test_the_crop_by_keyboard_is_asked_once_it_settles(page: Any, shop: Stub) -> None:
    begin(page, shop)
    page.get_by_role("button", name="Bottom right corner of the crop").focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    asked = searches(page, shop, 2)
    assert box_of(asked[1]) == [240, 80, 840 + 24, 400 + 60]
    page.wait_for_timeout(400)
    assert len(shop.of("/v1/search")) == 2, "three presses, one search"
    page.get_by_role("button", name="Move the crop").focus()
    page.keyboard.press("ArrowLeft")
    assert box_of(searches(page, shop, 3)[2]) == [228, 80, 852, 460]


def test_a_newer_question_ends_the_older_one(page: Any, shop: Stub) -> None:
    begin(page, shop)
    shop.fail("slow", times=1)
    page.get_by_role("button", name="Whole photo", exact=True).click()
    searches(page, shop, 2)
    page.get_by_role("button", name="Skirt", exact=True).click()
    searches(page, shop, 3)
    page.wait_for_selector("#found[aria-busy=false]")
    newest = titles(page)
    shop.release.set()
    page.wait_for_timeout(200)
    assert titles(page) == newest


def test_the_next_page_of_a_whole_photo_and_its_link_are_by_every_garment(
    page: Any, shop: Stub
) -> None:
    shop.choices = {"photo_links": True}
    begin(page, shop)
    page.get_by_role("button", name="Whole photo", exact=True).click()
    searches(page, shop, 2)
    page.get_by_role("button", name="Show more").click()
    until(page, lambda: len(titles(page)) == 48)
    second = searches(page, shop, 3)[2]
    assert (second["offset"], second["every"], "box" in second) == ("24", "true", False)
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Keep it and make a link").click()
    until(page, lambda: len(shop.of("/v1/photos")) == 1)
    shared = shop.of("/v1/photos")[0]
    assert (shared["every"], "box" in shared) == ("true", False)


def test_more_products_come_below(page: Any, shop: Stub) -> None:
    begin(page, shop)
    page.get_by_role("button", name="Show more").click()
    until(page, lambda: len(titles(page)) == 48)
    second = shop.of("/v1/search")[1]
    assert (second["offset"], second["k"]) == ("24", "24")
    assert box_of(second) == [240, 80, 840, 400]
    assert len(set(titles(page))) == 48
    assert page.url.endswith("pages=2")
    page.get_by_role("button", name="Show more").click()
    until(page, lambda: len(titles(page)) == 60)
    assert not page.get_by_role("button", name="Show more").is_visible()


def test_a_shop_that_keeps_photos_says_so_and_asks(page: Any, shop: Stub) -> None:
    """Failed before: "this browser alone keeps a copy", and every photo was kept."""
    shop.keeps = 30
    page.goto(shop.url)
    until(page, lambda: "for 30 days" in page.locator("#consent").inner_text())
    until(page, lambda: "unless you agree" in page.locator("#privacy").inner_text())
    upload(page)
    found(page)
    assert shop.of("/v1/search")[0]["keep"] == "false"
    page.goto(shop.url)
    page.locator("#consent input").check()
    upload(page, photo(900, 700))
    found(page)
    assert shop.of("/v1/search")[-1]["keep"] == "true"


def test_a_shop_that_keeps_none_asks_nothing(page: Any, shop: Stub) -> None:
    begin(page, shop)
    assert "keep" not in shop.of("/v1/search")[0]
    page.goto(shop.url)
    said = "this browser alone keeps a copy"
    until(page, lambda: said in page.locator("#privacy").inner_text())
    assert not page.locator("#consent").is_visible()
