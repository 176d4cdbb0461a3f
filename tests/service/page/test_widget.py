"""The widget in a shop's page of another origin, with a strict policy, in a real browser."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from helpers.other_site import NONCE, POLICY, STYLES, Site, other_site
from helpers.page_acts import stuck, until, violations
from helpers.page_shop import drawn_catalog
from helpers.service_thread import listening
from hemline.service.settings import Settings

SAMPLES = Path(str(files("hemline"))) / "service/page/samples"
SKIRT = SAMPLES / "orange-skirt.jpg"
SCREENS = {"wide": (1280, 900), "phone": (390, 844)}
#: Bytes of all its files as they are sent; of the one that each view of a page loads.
WEIGHT, FIRST = 20_000, 3_000


def columns(number: int) -> dict[str, Any]:
    told: dict[str, Any] = {"title": f"No. {number}", "price": 40.0, "currency": "EUR"}
    told["link"] = f"https://shop.example/p/{number}"
    told["brand"] = "Own & Co"
    told["availability"] = "out_of_stock" if number % 3 == 0 else "in_stock"
    return told | ({"sale_price": 29.5} if number % 2 else {})


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with other_site() as own:
        yield own


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_catalog(tmp_path_factory.mktemp("shop"), 16, columns)


@pytest.fixture(scope="module")
def service(site: Site, catalog: Path) -> Iterator[str]:
    """The address of a public shop, one of several under a sub-path, which names the site."""
    settings = Settings(
        catalog, port=0, public=True, cors=(site.url,), root_path="/finder", shops=(catalog,),
        keep_photos=1,
    )  # fmt: skip
    with listening(settings) as url:
        yield f"{url}/{catalog.name}"
    with sqlite3.connect(catalog / "service/journal.sqlite") as journal:
        kept = journal.execute("SELECT count(*), count(photo) FROM searches").fetchone()
    assert kept[0] > 0
    assert kept[1] == 0  # nobody was asked whether photos may be kept


@pytest.fixture(params=SCREENS)
def tab(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A tab that fails its test on a script's error, a breach of a policy, or a key."""
    width, height = SCREENS[request.param]
    phone = {"has_touch": True, "is_mobile": True} if request.param == "phone" else {}
    context = browser.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce", **phone
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("request", lambda one: faults.append(one.url) if "authorization" in one.headers else 0)
    yield page
    assert faults == []
    context.close()


def look(page: Any, photo: Path = SKIRT) -> None:
    """Opens the layer and searches with a photo."""
    page.locator("hemline-widget .open").click()
    page.locator("hemline-widget dialog[open]").wait_for()
    page.locator("hemline-widget input[type=file]").last.set_input_files(photo)
    settled(page)


def settled(page: Any) -> None:
    page.locator("hemline-widget .product").first.wait_for()
    page.locator("hemline-widget .products[aria-busy=false]").wait_for()


def focused(page: Any) -> str:
    """Class and text of what has the focus within the widget."""
    return str(
        page.evaluate(
            "() => { let e = document.activeElement; e = e.shadowRoot?.activeElement ?? e;"
            " return `${e.className}|${e.textContent}`; }"
        )
    )


@pytest.mark.parametrize("policy", [POLICY, NONCE], ids=["hosts", "nonce"])
def test_a_shopper_finds_a_product(tab: Any, site: Site, service: str, policy: str) -> None:
    asked: list[str] = []
    tab.on("request", lambda one: asked.append(one.url))
    more = 'data-target="#place" data-color="#0a6" data-columns="brand" data-limit="6"'
    tab.goto(site.show(service, more, "de-AT", policy))
    button = tab.locator("#place hemline-widget .open")
    assert button.inner_text() == "Mit Foto suchen"
    assert button.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(0, 170, 102)"
    look(tab)
    layer = tab.locator("hemline-widget dialog")
    assert layer.get_attribute("lang") == "de-AT"
    assert layer.locator("[role=status]").inner_text() == "6 Produkte"
    seen = "all => all.filter(i => i.complete && i.naturalWidth > 0).length"
    for product in layer.locator(".product").all():
        product.scroll_into_view_if_needed()
    until(tab, lambda: layer.locator(".product img").evaluate_all(seen) == 6)
    for product in layer.locator(".product").all():
        number = int(product.locator("h3").inner_text().removeprefix("No. "))
        link = product.locator("a").get_attribute("href")
        assert link == f"https://shop.example/p/{number}"
        assert (product.locator(".badge").count() == 1) == (number % 3 == 0)
        price = product.locator(".price").inner_text()
        assert ("29,50" in price) == bool(number % 2)
        assert "Own & Co" in product.inner_text()
    assert layer.get_by_role("button", name="Rock").get_attribute("aria-pressed") == "true"
    layer.get_by_role("button", name="Mehr zeigen").click()
    until(tab, lambda: layer.locator(".product").count() == 12)
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {
        site.url.split("/")[2],
        service.split("/")[2],
    }
    assert tab.evaluate("() => [document.cookie, localStorage.length, sessionStorage.length]") == [
        "",
        0,
        0,
    ]


def test_the_theme_may_follow_the_system(tab: Any, site: Site, service: str) -> None:
    """Failed before: "auto" was light."""
    ground = "e => getComputedStyle(e).backgroundColor"
    dark, light = "rgb(27, 25, 23)", "rgb(255, 255, 255)"
    for theme, at_night in (("auto", dark), ("light", light)):
        tab.emulate_media(color_scheme="dark")
        tab.goto(site.show(service, f'data-theme="{theme}"'))
        tab.locator("hemline-widget .open").click()
        layer = tab.locator("hemline-widget dialog[open]")
        assert layer.evaluate(ground) == at_night
        tab.emulate_media(color_scheme="light")
        until(tab, lambda layer=layer: layer.evaluate(ground) == light)


def test_a_garment_is_chosen_by_its_name_and_on_the_photo(
    tab: Any, site: Site, service: str
) -> None:
    tab.goto(site.show(service))
    look(tab)
    chips = tab.locator("hemline-widget .chip")
    pressed = "all => all.map(e => e.getAttribute('aria-pressed'))"
    assert chips.count() >= 2
    assert chips.evaluate_all(pressed)[0] == "true"
    chips.last.click()
    until(tab, lambda: chips.evaluate_all(pressed)[-1] == "true")
    assert "chip" in focused(tab)
    settled(tab)
    canvas = tab.locator("hemline-widget canvas")
    size = canvas.bounding_box()
    canvas.click(position={"x": size["width"] / 2, "y": size["height"] * 0.6})
    until(tab, lambda: chips.evaluate_all(pressed)[-1] == "false")


def test_keyboard_and_screen_reader(tab: Any, site: Site, service: str) -> None:
    """The focus stays in the layer, Escape leads back to the button, axe finds no fault."""
    tab.goto(site.show(service, 'data-target="#place"'))
    tab.locator("hemline-widget .open").focus()
    tab.keyboard.press("Enter")
    tab.locator("hemline-widget dialog[open]").wait_for()
    assert "Find it by photo" in focused(tab)
    assert tab.get_by_role("dialog", name="Find it by photo").count() == 1
    assert own_violations(tab) == []
    tab.locator("hemline-widget input[type=file]").last.set_input_files(SKIRT)
    settled(tab)
    stops = []
    for _ in range(40):
        tab.keyboard.press("Tab")
        stops.append(focused(tab))
    assert {"close", "main", "chip", ""} <= {stop.split("|")[0] for stop in stops}
    assert not any(stop.startswith("open|") for stop in stops)
    assert own_violations(tab) == []
    tab.keyboard.press("Escape")
    until(tab, lambda: "open" in focused(tab))
    assert tab.locator("hemline-widget dialog[open]").count() == 0


def own_violations(page: Any) -> list[str]:
    """What axe-core holds against the page, without the site's own styles."""
    return [one for one in violations(page) if "hemline" in one or "layer" in one]


def test_no_style_leaks_either_way(tab: Any, site: Site, service: str) -> None:
    kinds = ("color", "font", "backgroundColor", "textTransform", "margin", "border", "boxSizing")
    every = (
        "() => [...document.querySelectorAll('header, h1, h2, main, .price')].map(e =>"
        f" {list(kinds)}.map(name => getComputedStyle(e)[name]))"
    )
    tab.goto(site.show(service, 'data-target="#place"'))
    look(tab)
    with_it = tab.evaluate(every)
    assert stuck(tab) == [], "nothing stays highlighted after a tap"
    look_of = (
        "e => { const s = getComputedStyle(e);"
        " return [s.visibility, s.display !== 'none', s.color, s.letterSpacing, s.textTransform]; }"
    )
    own = tab.locator("hemline-widget")
    assert own.evaluate("e => getComputedStyle(e).opacity") == "1"
    for name in (".open", ".layer", ".product", "h2", "h3"):
        seen = own.locator(name).first.evaluate(look_of)
        assert seen[:2] == ["visible", True], name
        assert "rgb(1, 2, 3)" not in seen
        assert seen[3:] == ["normal", "none"]
    tab.keyboard.press("Escape")
    own.evaluate("e => e.remove()")
    assert tab.evaluate(every) == with_it
    assert "uppercase" in STYLES


#: Shape of each tile's picture over the tile's own, how it is fitted, and the tile's colour.
TILES = """all => all.map(f => { const i = f.querySelector('img');
  return [i.naturalWidth / i.naturalHeight / (f.clientWidth / f.clientHeight),
          getComputedStyle(i).objectFit, getComputedStyle(f).backgroundColor]; })"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_fill_their_tiles(tab: Any, site: Site, service: str, theme: str) -> None:
    """Failed before: strips stood above and below each, on a white tile in the dark, too."""
    tab.goto(site.show(service, f'data-theme="{theme}"'))
    look(tab)
    images = tab.locator("hemline-widget .product img")
    until(tab, lambda: images.first.evaluate("i => i.complete && i.naturalWidth > 0"))
    frames = tab.locator("hemline-widget .frame")
    until(tab, lambda: abs(frames.evaluate_all(TILES)[0][0] - 1) < 0.02)
    _, fit, colour = frames.evaluate_all(TILES)[0]
    assert fit == "cover"
    assert (sum(int(part) for part in colour.strip("rgb()").split(",")) < 200) == (theme == "dark")


def test_its_weight(tab: Any, site: Site, service: str) -> None:
    """The button is one small file; the rest comes when a shopper wants it."""
    sent: dict[str, int] = {}

    def note(request: Any) -> None:
        if request.url.startswith(service) and "/v1/" not in request.url:
            sizes = request.sizes()
            sent[request.url] = sizes["responseBodySize"]

    tab.on("requestfinished", note)
    tab.goto(site.show(service))
    tab.locator("hemline-widget .open").wait_for()
    tab.wait_for_load_state("networkidle")
    assert list(sent) == [f"{service}/widget.js"]
    assert sum(sent.values()) < FIRST
    look(tab)
    assert FIRST < sum(sent.values()) < WEIGHT


def test_a_shop_brings_texts_in_its_language(page: Any, site: Site, service: str) -> None:
    more = 'data-texts="/fr.json" data-label="Par photo" data-limit="4"'
    page.goto(site.show(service, more, "fr"))
    until(page, lambda: page.locator("hemline-widget .open").inner_text() == "Par photo")
    look(page)
    layer = page.get_by_role("dialog", name="Chercher par photo")
    assert layer.get_by_role("status").inner_text() == "4 produits"
    assert layer.locator(".price").first.inner_text().endswith("€")
    assert layer.get_by_role("button", name="Show more").count() == 1


def refuse(problem: dict[str, Any], route: Any) -> None:
    route.fulfill(**problem, body="{}")


def test_what_fails_is_told_with_a_way_on(browser: Any, site: Site, service: str) -> None:
    page = browser.new_page()
    page.set_default_timeout(30_000)
    page.goto(site.show(service))
    page.locator("hemline-widget .open").click()
    files = page.locator("hemline-widget input[type=file]").last
    wrong = page.locator("hemline-widget .wrong")
    files.set_input_files({"name": "a.txt", "mimeType": "image/png", "buffer": b"no photo"})
    wrong.get_by_text("can't be read").wait_for()
    assert wrong.get_by_role("button").count() == 0
    answers = {429: "wait a minute", 503: "Many people", 401: "not open", 500: "our side"}
    for status, said in answers.items():
        problem = {"status": status, "headers": {"Access-Control-Allow-Origin": site.url}}
        page.route("**/v1/search", partial(refuse, problem))
        files.set_input_files(SKIRT)
        wrong.get_by_text(said).wait_for()
        page.unroute("**/v1/search")
    page.route("**/v1/search", lambda route: route.abort())
    files.set_input_files(SKIRT)
    wrong.get_by_text("does not answer").wait_for()
    page.unroute("**/v1/search")
    wrong.get_by_role("button", name="Try again").click()
    settled(page)
    assert wrong.inner_text() == ""
    page.close()


def test_a_page_that_is_not_named_gets_no_button(browser: Any, catalog: Path, service: str) -> None:
    with other_site("localhost") as stranger:
        page = browser.new_page()
        told: list[str] = []
        page.on("console", lambda said: told.append(said.text))
        page.goto(stranger.show(service))
        until(page, lambda: any("widget.js" in one and "CORS" in one for one in told))
        assert page.locator("hemline-widget").count() == 0
        page.close()


def test_each_language_has_the_same_texts() -> None:
    """The kinds of garments are those of the search page."""
    texts = SAMPLES.parent / "texts"
    languages = {path.name for path in texts.glob("*.json")}
    assert {path.name for path in (texts / "widget").glob("*.json")} == languages
    english = json.loads((texts / "widget/en.json").read_text("utf-8"))
    for name in languages:
        own = json.loads((texts / "widget" / name).read_text("utf-8"))
        assert list(own) == list(english)
        assert own["kinds"] == json.loads((texts / name).read_text("utf-8"))["kinds"]
