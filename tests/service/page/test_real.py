"""The page before the real service: the shipped bundle and a drawn shop of 60 products."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.page_acts import found, titles, until, violations
from helpers.page_menu import like, menu, why
from helpers.page_shop import drawn_catalog, served


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def url(shop_folder: Path) -> Iterator[str]:
    with served(drawn_catalog(shop_folder)) as address:
        yield address


def test_a_sample_finds_its_product(page: Any, url: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="Orange skirt").click()
    found(page)
    assert page.inner_text("#facts") == "60 products to look through"
    assert page.locator(".product").count() == 24
    items = page.locator(".product").evaluate_all("all => all.map(e => e.dataset.item)")
    assert [item for item in items[:5] if item.endswith("33")], "the skirt of the photo"
    assert page.get_by_role("button", name="Skirt", exact=True).count() == 1
    page.wait_for_load_state("networkidle")
    shown = "all => all.filter(i => i.complete && i.naturalWidth > 0).length"
    until(page, lambda: page.locator(".product img").evaluate_all(shown) >= 8)
    why(page)
    until(page, lambda: "skirt" in page.locator(".why").first.inner_text().lower())
    assert page.locator(".why canvas").count() == 0  # the bundle that ships draws no heat maps
    assert violations(page) == []


def test_the_page_is_small_and_all_from_here(page: Any, url: str) -> None:
    got: dict[str, Any] = {}
    page.on("response", lambda answer: got.setdefault(answer.url, answer))
    page.goto(url)
    page.wait_for_selector("#sample-list button")
    page.wait_for_load_state("networkidle")
    names = [one.removeprefix(url) for one in got if not one.startswith("blob:")]
    assert all(name.startswith("/") for name in names), "no other host"
    # On the wire: scripts, styles and texts are compressed.
    size = sum(
        int(answer.headers.get("content-length", 0))
        for name, answer in got.items()
        if "/v1/info" not in name
    )
    kinds = Counter(name.rsplit(".", 1)[-1] for name in names)
    assert kinds["js"] >= 15
    assert 100_000 < size <= 200_000, "with its sample photos"


def test_filters_crop_and_likes(page: Any, url: str) -> None:
    page.goto(f"{url}/?sample=orange-skirt")
    found(page)
    menu = page.locator("details[data-facet='category']")
    menu.locator("summary").click()
    choice = menu.locator(".choice").first
    count = int(choice.locator(".number").inner_text())
    kind = choice.locator(".value").inner_text()
    choice.click()
    until(page, lambda: len(titles(page)) == min(24, count))
    assert all(kind.lower() in title.lower() for title in titles(page))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear all filters").click()
    page.get_by_role("button", name="Bottom right corner of the crop").focus()
    page.keyboard.press("Shift+ArrowLeft")
    until(page, lambda: "box=" in page.url)
    found(page)
    like(page)
    page.wait_for_url("**/?item=*")
    found(page)
    assert len(titles(page)) == 24


def test_a_judgement_arrives(page: Any, url: str) -> None:
    page.goto(f"{url}/?sample=orange-skirt")
    found(page)
    page.clock.install()
    menu(page).get_by_role("button", name="Right: ").click()
    with page.expect_response("**/v1/feedback") as said:
        page.clock.fast_forward(8000)
    assert said.value.status == 200
    like(page)
    page.wait_for_url("**/?item=*")
    found(page)
    menu(page, 1).get_by_role("button", name="Wrong: ").click()
    with page.expect_response("**/v1/feedback") as said:
        page.clock.fast_forward(8000)
    assert said.value.status == 200
    admin = page.context.new_page()
    admin.goto(f"{url}/admin")
    until(admin, lambda: admin.inner_text("#judged") == "1\nright\n1\nwrong")
    assert admin.locator(".chart rect").count() >= 1


def test_adding_checking_and_deleting(page: Any, url: str, shop_folder: Path) -> None:
    pictures = sorted((shop_folder / "drawn").rglob("*.jpg"))[:2]
    feed = "item_id,title,image\n" + "".join(
        f"new/{n},New thing {n},{picture.name}\n" for n, picture in enumerate(pictures)
    )
    bundle = shop_folder / "feed.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("feed.csv", feed)
        for picture in pictures:
            archive.write(picture, picture.name)
    page.goto(f"{url}/admin")
    page.get_by_label("Feed").set_input_files(bundle)
    page.get_by_role("button", name="Add them").click()
    page.locator("#add-job").get_by_text(re.compile("Done.*added: 2")).wait_for()
    until(page, lambda: "62\nproducts" in page.inner_text("#size"))
    page.get_by_label("Only those where").fill("title like 'New thing%'")
    page.keyboard.press("Enter")
    until(page, lambda: page.inner_text("#list-count") == "1 to 2 of 2 products")
    page.get_by_label("Its number").fill("new/1")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="New thing 1").wait_for()
    page.get_by_role("button", name="Delete this product").click()
    page.get_by_role("button", name="Delete it").click()
    until(page, lambda: "61\nproducts" in page.inner_text("#size"))
    until(page, lambda: page.inner_text("#list-count") == "1 to 1 of 1 product")
    page.get_by_role("button", name="Begin the check").click()
    page.locator("#check-job").get_by_text("The catalogue is whole.").wait_for()
    page.locator("#check-job").get_by_text("found among the first 20").wait_for()
    assert violations(page) == []
