"""The crop by finger: real touches on a phone of 390 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers.page_acts import PHOTO_SIZE, begin, box_of, found, photo, searches, titles, until
from helpers.page_stub import Stub

Point = tuple[float, float]
#: The crop around the hoodie that the stub finds.
FIRST = [240.0, 80.0, 840.0, 400.0]


class Fingers:
    """Touches, sent as a touch screen's driver would send them."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)

    def send(self, kind: str, *points: Point) -> None:
        touches = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        self._page.wait_for_timeout(16)

    def glide(self, start: Point, end: Point, *still: Point, steps: int = 8) -> None:
        """From ``start`` to ``end``, with a finger on each of ``still``; it isn't lifted."""
        for step in range(1, steps + 1):
            share = step / steps
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self.send("touchMove", (x, y), *still)

    def drag(self, start: Point, end: Point) -> None:
        self.send("touchStart", start)
        self.glide(start, end)
        self.send("touchEnd")

    def tap(self, at: Point) -> None:
        self._page.touchscreen.tap(*at)


@pytest.fixture
def fingers(phone: Any, shop: Stub) -> Fingers:
    begin(phone, shop)
    phone.get_by_role("button", name="Show your photo large").tap()
    phone.evaluate("scrollTo(0, 40)")  # so that it could scroll either way
    until(phone, lambda: scrolled(phone) == 40)
    return Fingers(phone)


def scrolled(page: Any) -> float:
    return float(page.evaluate("scrollY"))


def middle(page: Any, selector: str) -> Point:
    at = page.locator(selector).bounding_box()
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


def on_photo(page: Any, x: float, y: float) -> Point:
    stage = page.locator(".stage").bounding_box()
    return stage["x"] + x * stage["width"], stage["y"] + y * stage["height"]


def pixels(page: Any) -> float:
    """Of the photo to one of the screen."""
    return PHOTO_SIZE[0] / float(page.locator(".stage").bounding_box()["width"])


@pytest.mark.parametrize(
    ("handle", "by", "moved"),
    [
        ("se", (30, 40), [0, 0, 1, 1]),
        ("nw", (-20, 45), [1, 1, 0, 0]),
        ("move", (25, 45), [1, 1, 1, 1]),
        ("ne", (20, -12), [0, 1, 1, 0]),
    ],
)
def test_a_handle_follows_the_finger_and_the_page_stays(
    phone: Any, fingers: Fingers, shop: Stub, handle: str, by: Point, moved: list[int]
) -> None:
    before, scale = titles(phone), pixels(phone)
    x, y = middle(phone, f".handle.{handle}")
    fingers.drag((x, y), (x + by[0], y + by[1]))
    assert scrolled(phone) == 40
    wanted = [v + m * scale * by[i % 2] for i, (v, m) in enumerate(zip(FIRST, moved, strict=True))]
    second = searches(phone, shop, 2)[1]
    np.testing.assert_allclose(box_of(second), wanted, atol=4)
    until(phone, lambda: titles(phone)[0] != before[0] or handle in ("se", "ne"))
    found(phone)
    phone.wait_for_timeout(300)
    assert len(shop.of("/v1/search")) == 2, "one drag, one search"
    assert scrolled(phone) == 40
    assert f"box={second['box']}" in phone.url.replace("%2C", ",")


def test_a_finger_on_the_photo_scrolls_and_chooses_nothing(
    phone: Any, fingers: Fingers, shop: Stub
) -> None:
    skirt = on_photo(phone, 0.45, 0.8)
    fingers.drag(skirt, (skirt[0], skirt[1] - 150))
    until(phone, lambda: scrolled(phone) > 100)
    phone.wait_for_timeout(800)  # while it still glides a tap would only stop it
    phone.evaluate("scrollTo(0, 40)")
    until(phone, lambda: scrolled(phone) == 40)
    # What that finger was on is forgotten: a tap beside every garment takes none.
    fingers.tap(on_photo(phone, 0.9, 0.95))
    phone.wait_for_timeout(300)
    assert len(shop.of("/v1/search")) == 1
    fingers.tap(on_photo(phone, 0.45, 0.8))
    np.testing.assert_allclose(box_of(searches(phone, shop, 2)[1]), [276, 384, 804, 736], atol=1)
    phone.wait_for_timeout(300)
    assert len(shop.of("/v1/search")) == 2, "one tap, one search"


def test_one_corner_after_the_other(phone: Any, fingers: Fingers, shop: Stub) -> None:
    """Once the crop is no garment's own, its outline lies under the corners, not over them."""
    scale = pixels(phone)
    x, y = middle(phone, ".handle.se")
    fingers.drag((x, y), (x + 20, y + 20))
    searches(phone, shop, 2)
    found(phone)
    x, y = middle(phone, ".handle.nw")
    fingers.drag((x, y), (x - 20, y + 15))
    box = box_of(searches(phone, shop, 3)[2])
    moved = np.array([-20, 15, 20, 20]) * scale
    np.testing.assert_allclose(box, FIRST + moved, atol=5)


def test_a_second_finger_does_not_take_part(phone: Any, fingers: Fingers, shop: Stub) -> None:
    scale = pixels(phone)
    x, y = middle(phone, ".handle.se")
    other = middle(phone, ".handle.nw")
    fingers.send("touchStart", (x, y))
    fingers.glide((x, y), (x + 10, y + 10))
    fingers.send("touchStart", (x + 10, y + 10), other)
    fingers.glide((x + 10, y + 10), (x + 20, y + 30), (other[0] + 15, other[1] + 15))
    fingers.send("touchEnd")
    box = box_of(searches(phone, shop, 2)[1])
    np.testing.assert_allclose(box, [240, 80, 840 + 20 * scale, 400 + 30 * scale], atol=4)
    phone.wait_for_timeout(300)
    assert len(shop.of("/v1/search")) == 2


def test_a_touch_that_the_system_takes_away_changes_nothing(
    phone: Any, fingers: Fingers, shop: Stub
) -> None:
    before = phone.locator(".crop").bounding_box()
    x, y = middle(phone, ".handle.se")
    fingers.send("touchStart", (x, y))
    fingers.glide((x, y), (x + 30, y + 30))
    assert phone.locator(".crop").bounding_box() != before, "it is seen while it moves"
    fingers.send("touchCancel")
    until(phone, lambda: phone.locator(".crop").bounding_box() == before)
    phone.wait_for_timeout(300)
    assert len(shop.of("/v1/search")) == 1


def test_a_photo_taken_with_the_camera(phone: Any, shop: Stub) -> None:
    phone.goto(shop.url)
    phone.wait_for_selector("#sample-list button")
    with phone.expect_file_chooser() as asked:
        phone.get_by_role("button", name="Take a photo").tap()
    camera = asked.value.element
    assert camera.get_attribute("capture") == "environment"
    asked.value.set_files({"name": "1.jpg", "mimeType": "image/jpeg", "buffer": photo()})
    found(phone)
    assert len(shop.of("/v1/search")) == 1
