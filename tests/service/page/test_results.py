"""Filters, why, more like this, right and wrong; the back button and restored links."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.page_acts import begin, focused, found, searches, titles, until, upload
from helpers.page_menu import like, menu, why
from helpers.page_stub import Stub


def open_filter(page: Any, name: str) -> Any:
    menu = page.locator(f"details[data-facet='{name}']")
    menu.locator("summary").click()
    return menu


def test_filters_show_counts_and_narrow_the_search(page: Any, shop: Stub) -> None:
    begin(page, shop)
    menu = open_filter(page, "category")
    assert menu.locator(".choice").first.inner_text().split() == ["hoodie", "15"]
    menu.get_by_label("Dress").check()
    searches(page, shop, 2)
    found(page)
    assert shop.of("/v1/search")[1]["where"] == "category = 'dress'"
    assert all("dress" in title for title in titles(page))
    # Its own counts stay, so that a second kind can be chosen.
    menu.get_by_label("Coat").check()
    searches(page, shop, 3)
    assert shop.of("/v1/search")[2]["where"] == "(category = 'dress' or category = 'coat')"
    menu.press("Escape")
    colours = open_filter(page, "tags.color")
    colours.get_by_label("Red").check()
    asked = searches(page, shop, 4)[3]["where"]
    assert asked == "(category = 'dress' or category = 'coat') and 'color=red' in tags"
    found(page)
    colours.press("Escape")
    assert focused(page) == "Colour1 1 chosen"
    page.get_by_role("button", name="Remove the filter coat").click()
    searches(page, shop, 5)
    found(page)
    page.get_by_role("button", name="Clear all filters").click()
    until(page, lambda: page.locator(".chip.is-filter").count() == 0)
    assert "f." not in page.url
    assert len(shop.of("/v1/search")) == 5, "the first answer is still known"


def test_all_filters_are_cleared_from_an_open_menu(page: Any, shop: Stub) -> None:
    """Failed before: the open menu lay over the button."""
    begin(page, shop)
    menu = open_filter(page, "category")
    menu.get_by_label("Dress").check()
    searches(page, shop, 2)
    found(page)
    page.get_by_role("button", name="Clear all filters").click(timeout=5_000)
    until(page, lambda: "f." not in page.url)
    found(page)
    until(page, lambda: page.get_by_role("button", name="Clear all filters").count() == 0)
    assert focused(page) == "Kind", "the menu is still open"
    assert not menu.get_by_label("Dress").is_checked()


def test_choices_faster_than_answers(page: Any, shop: Stub) -> None:
    begin(page, shop)
    shop.fail("slow", times=1)
    menu = open_filter(page, "category")
    menu.get_by_label("Dress").check()
    menu.get_by_label("Coat").check()
    # Each on a connection of its own, so the server may read the second one first.
    both = "(category = 'dress' or category = 'coat')"
    conditions = {fields["where"] for fields in searches(page, shop, 3)[1:]}
    assert conditions == {"category = 'dress'", both}
    kinds = {"dress", "coat"}
    until(page, lambda: {title.split()[1] for title in titles(page)} == kinds)
    shop.release.set()
    page.wait_for_timeout(200)
    assert {title.split()[1] for title in titles(page)} == kinds, "the older answer is left out"


def test_going_back_before_the_answer_unticks_the_choice(page: Any, shop: Stub) -> None:
    begin(page, shop)
    shop.fail("slow", times=1)
    choice = open_filter(page, "category").get_by_label("Dress")
    choice.check()
    searches(page, shop, 2)
    page.go_back()
    until(page, lambda: not choice.is_checked())
    assert page.locator(".chip.is-filter").count() == 0


def test_values_are_quoted(page: Any, shop: Stub) -> None:
    begin(page, shop)
    open_filter(page, "brand").get_by_label("O'Hara & <b>Co</b>").check()
    assert searches(page, shop, 2)[1]["where"] == "brand = 'O''Hara & <b>Co</b>'"
    found(page)
    until(page, lambda: len(titles(page)) == 12)


def test_column_names_of_a_link_are_no_conditions(page: Any, shop: Stub) -> None:
    page.goto(f"{shop.url}/?sample=a-hoodie&f.category%3D%27x%27%20or%201=1&f.tags.a%27b=c%27d")
    assert searches(page, shop, 1)[0]["where"] == "'a''b=c''d' in tags"


def test_a_filter_that_the_shop_does_not_know(page: Any, shop: Stub) -> None:
    page.goto(f"{shop.url}/?sample=a-hoodie&f.fabric=wool")
    page.locator("#notice").get_by_text("no column").wait_for()
    page.get_by_role("button", name="Search without filters and crop").click()
    found(page)
    assert page.url == f"{shop.url}/?sample=a-hoodie"


def test_a_price_range(page: Any, shop: Stub) -> None:
    begin(page, shop)
    menu = open_filter(page, "price")
    menu.get_by_label("From").fill("60")
    menu.get_by_label("To").fill("20")
    menu.get_by_role("button", name="Apply").click()
    assert menu.get_by_role("alert").inner_text() == "The lower price comes first."
    menu.get_by_label("From").fill("20.5")
    menu.get_by_label("To").fill("30")
    page.keyboard.press("Enter")
    assert searches(page, shop, 2)[1]["where"] == "price >= 20.5 and price <= 30"
    until(page, lambda: len(titles(page)) == 10)


def test_a_half_typed_price_survives_another_crop(page: Any, shop: Stub) -> None:
    begin(page, shop)
    open_filter(page, "price").get_by_label("From").fill("12")
    page.get_by_role("button", name="Skirt", exact=True).evaluate("chip => chip.click()")
    searches(page, shop, 2)
    found(page)
    assert page.locator("input[name=from]").input_value() == "12"


def test_no_product_meets_the_filters(page: Any, shop: Stub) -> None:
    begin(page, shop)
    page.goto(f"{page.url}&f.price=5000..")
    page.wait_for_selector("#notice:not([hidden])")
    page.locator("#notice").get_by_text("No product meets these filters.").wait_for()
    page.get_by_role("button", name="Clear all filters").click()
    found(page)


def test_the_page_says_nothing_of_what_the_bundle_cannot_do(page: Any, shop: Stub) -> None:
    shop.detects, shop.grid = False, None
    begin(page, shop)
    assert "Tap a garment" not in page.inner_text("#crop-help")
    assert "No garment" not in page.inner_text("#crop-help")
    assert page.inner_text("#crop-help").startswith("Drag the corners around what you are")
    title = why(page)
    dialog = page.get_by_role("dialog", name=f"Why {title}?")
    assert "as a whole" not in dialog.inner_text()


def test_why_shows_heat_maps_and_tags(page: Any, shop: Stub) -> None:
    begin(page, shop)
    title = why(page)
    dialog = page.get_by_role("dialog", name=f"Why {title}?")
    assert focused(page) == f"Why {title}?"
    assert "at the middle" not in dialog.inner_text()
    canvas = dialog.locator("canvas").first
    # The stub looks at the lower right of the hoodie: 0.66 of the width, 0.47 of the height.
    assert "in the middle of the photo" in str(canvas.get_attribute("aria-label"))
    red = """c => { const at = (x, y) => [...c.getContext('2d').getImageData(
      Math.round(x * c.width), Math.round(y * c.height), 1, 1).data];
      return [at(0.68, 0.48), at(0.1, 0.9)]; }"""
    hot, cold = canvas.evaluate(red)
    assert hot[0] > 180
    assert hot[0] - hot[2] > 100, "warm where it looked"
    assert max(cold) - min(cold[:3]) < 130
    assert abs(cold[0] - cold[2]) < 10, "grey where it didn't"
    until(page, lambda: dialog.locator("canvas").count() == 2)
    tags = dialog.locator(".tags").inner_text()
    # p/0 is a red, plain hoodie; of the nine after it two are hoodies, three red, three plain.
    assert tags.replace("\xa0", " ").split("\n") == [
        *("Kind", "hoodie 2 of 9", "Colour", "red 3 of 9", "Pattern", "plain 3 of 9"),
        *("Brand", "O'Hara & <b>Co</b>"),
    ]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert focused(page) == f"More about {title}"


def test_more_like_this_and_back(page: Any, shop: Stub) -> None:
    begin(page, shop)
    before, first = titles(page), page.url
    like(page, 2)
    page.wait_for_url("**/?item=p*")
    found(page)
    assert page.inner_text("#found-title") == "More like this"
    assert page.locator("#photo .price").inner_text().startswith("€")
    assert before[2] not in titles(page)
    assert focused(page) == "More like this"
    count = len(shop.asked)
    page.go_back()
    page.wait_for_url(first)
    found(page)
    assert titles(page) == before
    assert len(shop.asked) == count, "an answer that is known isn't asked for again"
    page.go_back()
    assert page.get_by_role("heading", name="Seen something you like?").is_visible()
    page.go_forward()
    found(page)
    assert titles(page) == before


def verdict_buttons(page: Any, number: int, what: str = "the one") -> tuple[Any, Any]:
    title, card = titles(page)[number], menu(page, number)
    return (
        card.get_by_role("button", name=f"Right: {title} is {what}", include_hidden=True),
        card.get_by_role("button", name=f"Wrong: {title} is not {what}", include_hidden=True),
    )


def pressed(*buttons: Any) -> list[bool]:
    return [button.get_attribute("aria-pressed") == "true" for button in buttons]


def test_right_and_wrong_are_told(page: Any, shop: Stub) -> None:
    begin(page, shop)
    page.clock.install()
    right, wrong = verdict_buttons(page, 1)
    right.click()
    page.get_by_text("Noted as the one").wait_for()
    assert pressed(right, wrong) == [True, False]
    wrong.click()
    assert pressed(right, wrong) == [False, True]
    assert shop.of("/v1/feedback") == [], "it can still be taken back"
    page.clock.fast_forward(8000)
    until(page, lambda: len(shop.of("/v1/feedback")) == 1)
    (told,) = shop.of("/v1/feedback")
    assert told["right"] is False
    assert told["item_id"] == page.locator(".product").nth(1).get_attribute("data-item")
    assert told["search_id"]
    shop.fail("fault", times=1)
    right.click()
    page.clock.fast_forward(8000)
    page.get_by_text("could not be noted").wait_for()
    assert pressed(right, wrong) == [False, True], "what the shop knows is shown"


def test_what_is_more_like_a_product_is_judged_too(page: Any, shop: Stub) -> None:
    begin(page, shop)
    like(page, 2)
    page.wait_for_url("**/?item=p*")
    found(page)
    page.clock.install()
    right, wrong = verdict_buttons(page, 0, "like it")
    right.click()
    page.get_by_text("Noted as like it").wait_for()
    verdict_buttons(page, 1, "like it")[1].click()
    page.get_by_text("Noted as not like it").wait_for()
    assert pressed(right, wrong) == [True, False]
    page.clock.fast_forward(8000)
    until(page, lambda: len(shop.of("/v1/feedback")) == 2)
    told = sorted(shop.of("/v1/feedback"), key=lambda one: bool(one["right"]), reverse=True)
    items = page.locator(".product").evaluate_all("all => all.map(e => e.dataset.item)")
    assert [(one["item_id"], one["right"]) for one in told] == [(items[0], True), (items[1], False)]
    asked = next(n for n, (_, path, _) in enumerate(shop.asked) if path.endswith("/similar"))
    assert {one["search_id"] for one in told} == {f"s{asked + 1}"}, (
        "of that search, not the photo's"
    )


def test_a_judgement_is_taken_back(page: Any, shop: Stub) -> None:
    begin(page, shop)
    page.clock.install()
    right, wrong = verdict_buttons(page, 0)
    right.click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Taken back.").wait_for()
    assert pressed(right, wrong) == [False, False]
    menu(page, 0)
    wrong.click()
    wrong.click()
    assert pressed(right, wrong) == [False, False]
    page.clock.fast_forward(20_000)
    page.wait_for_timeout(200)
    assert shop.of("/v1/feedback") == []


def test_who_leaves_has_judged(page: Any, shop: Stub) -> None:
    begin(page, shop)
    verdict_buttons(page, 0)[0].click()
    page.goto("about:blank")
    until(page, lambda: [one["right"] for one in shop.of("/v1/feedback")] == [True])


def test_a_link_restores_a_sample_its_crop_filters_and_pages(page: Any, shop: Stub) -> None:
    page.goto(
        f"{shop.url}/?sample=a-hoodie&box=50,60,200,300&f.category=dress&f.category=coat&pages=2"
    )
    found(page)
    (asked,) = shop.of("/v1/search")
    assert asked["box"] == "50,60,200,300"
    assert asked["where"] == "(category = 'dress' or category = 'coat')"
    assert asked["k"] == "48"
    assert page.locator(".product").count() == 30
    page.wait_for_selector(".outline >> nth=1")
    assert len(shop.of("/v1/detect")) == 1, "the other garments can still be chosen"
    assert page.get_by_role("button", name="Remove the filter coat").is_visible()


def test_a_link_to_an_own_photo_works_in_this_browser_alone(
    page: Any, shop: Stub, browser: Any
) -> None:
    begin(page, shop)
    page.get_by_role("button", name="Skirt", exact=True).click()
    searches(page, shop, 2)
    link = page.url
    again = page.context.new_page()
    again.goto(link)
    found(again)
    assert shop.of("/v1/search")[2]["box"] == shop.of("/v1/search")[1]["box"]
    assert shop.of("/v1/search")[2]["photo"] == shop.of("/v1/search")[1]["photo"]
    elsewhere = browser.new_context()
    other = elsewhere.new_page()
    other.goto(link)
    other.get_by_text("kept only in the browser it was searched from").wait_for()
    assert other.url == f"{shop.url}/"
    elsewhere.close()


@pytest.mark.parametrize(
    ("query", "words"),
    [("item=p/99", "no longer in the shop"), ("sample=gone", "no longer here")],
)
def test_links_to_what_is_gone(page: Any, shop: Stub, query: str, words: str) -> None:
    page.goto(f"{shop.url}/?{query}")
    page.get_by_text(words).wait_for()
    upload(page)
    found(page)


def test_not_in_this_shop(page: Any, shop: Stub) -> None:
    shop.alike = "different"
    begin(page, shop)
    page.locator("#notice").get_by_text("This one is perhaps not in this shop.").wait_for()
    assert page.locator(".alike").first.inner_text() == "Less alike"
    like(page)
    page.wait_for_url("**/?item=p*")
    found(page)
    assert not page.locator("#notice").is_visible(), "a product of the shop is in the shop"


def test_only_web_addresses_become_links(page: Any, shop: Stub) -> None:
    page.goto(f"{shop.url}/?sample=a-hoodie&box=whole&f.price=..12.5")
    found(page)
    links = page.locator(".product a").evaluate_all("all => all.map(a => a.href)")
    assert links == ["https://shop.example/1"]


_SHORT = "/?sample=a-hoodie&box=whole&f.price=13..14"  # one product, with Google's columns


def test_what_a_feed_says_is_shown(page: Any, phone: Any, shop: Stub) -> None:
    """Failed before: `link`, `availability`, `sale_price` and `description` were shown nowhere."""
    page.goto(shop.url + _SHORT)
    found(page)
    card = page.locator(".product")
    assert card.locator("a").evaluate("a => a.href") == "https://shop.example/4"
    assert card.locator(".price").inner_text().replace("\n", " ") == "€9.00 Before: €13.50"
    assert card.locator(".stock").inner_text() == "Sold out"
    menu(page).get_by_role("button", name="Why?").click()
    said = page.locator("dialog[open]")
    assert said.locator(".description").inner_text() == "Warm & soft.Made of wool."
    assert "S, M" in said.locator("dl").inner_text()
    phone.goto(shop.url + _SHORT)
    found(phone)
    assert phone.locator(".product a").evaluate("a => a.href") == "https://m.shop.example/4"


def test_a_shop_that_has_said_something_is_not_said_to_say_nothing(page: Any, shop: Stub) -> None:
    """Failed before: "The shop says nothing about this product" while title and description were
    stored."""
    silent = {"tags": [], "category": "", "brand": "", "size": None}
    shop.write(4, **silent)
    page.goto(shop.url + _SHORT)
    found(page)
    why(page)
    said = page.locator("dialog[open]")
    assert said.locator(".description").inner_text() == "Warm & soft.Made of wool."
    assert "The shop" not in said.inner_text().replace("What the shop says about it", "")
    assert said.get_by_text("What the shop says about it").is_visible()
    shop.write(4, **silent, description="")
    page.reload()
    found(page)
    title = why(page)
    told = page.locator("dialog[open]").inner_text()
    assert f"Why {title}?" in told
    assert "It was found by how it looks." in told
    assert "the shop says" not in told.lower(), "a title and a price are stored"


def test_columns_of_a_feed_are_filters(page: Any, shop: Stub) -> None:
    """Failed before: only tags, `brand`, `size` and `price` were."""
    begin(page, shop)
    asked = shop.of("/v1/search")[0]["facets"]
    assert asked == "category,tags.color,tags.pattern,brand,size,availability,price,sale_price"
    page.goto(shop.url + "/?sample=a-hoodie&box=whole&f.availability=out_of_stock")
    found(page)
    assert page.locator(".chip.is-filter").inner_text().strip().startswith("Sold out")
    assert shop.of("/v1/search")[-1]["where"] == "availability = 'out_of_stock'"
    page.goto(shop.url + "/?sample=a-hoodie&box=whole&f.sale_price=..10")
    found(page)
    assert shop.of("/v1/search")[-1]["where"] == "sale_price <= 10"
