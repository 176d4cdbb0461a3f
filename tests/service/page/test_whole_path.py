"""From a Google feed to a public page behind nginx, by the commands of the light install.

``HEMLINE_WALK_PRODUCTS`` sets the number of products, ``HEMLINE_WALK_PYTHON`` the Python of another
environment, such as a fresh light install, and ``HEMLINE_WALK_SHOTS`` a folder for screenshots.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from helpers.behind_nginx import behind_nginx, free_port, wait_for
from helpers.google_feed import write_feed
from helpers.other_site import POLICY, other_site
from helpers.page_acts import found, until, violations

pytestmark = pytest.mark.slow
PRODUCTS = int(os.environ.get("HEMLINE_WALK_PRODUCTS", "60"))
PYTHON = os.environ.get("HEMLINE_WALK_PYTHON", sys.executable)
SHOTS = os.environ.get("HEMLINE_WALK_SHOTS")
SKIRT = Path(str(files("hemline"))) / "service/page/samples/orange-skirt.jpg"
SCREENS = {"wide": (1280, 900), "phone": (390, 844)}
#: The command without what the light install lacks.
_LIGHT = (
    "import sys; sys.modules.update(torch=None, torchvision=None, timm=None, lightning=None); "
    "from hemline.cli import run; run()"
)
MODE = ("--public", "--name", "shop.example", "--trusted-proxy", "127.0.0.1")


def hemline(*words: str) -> list[str]:
    return [PYTHON, "-c", _LIGHT, *words]


def run(*words: str) -> dict[str, Any]:
    done = subprocess.run(hemline(*words, "--json"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return dict(json.loads(done.stdout))


@dataclass
class Shop:
    """A shop that is live.

    Attributes:
        url: of the page, by the name that browsers have.
        other: a site of another origin, which the service names.
        key: that may write.
        api: the same page's address by nginx's own, for calls without a browser.
    """

    url: str
    other: Any
    key: str
    api: str


@pytest.fixture(scope="module", params=["csv", "xml"])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp(request.param)
    feed = write_feed(folder, PRODUCTS, request.param)
    catalog = str(folder / "catalog")
    run("catalog", "create", catalog)
    synced = run("catalog", "sync", catalog, str(feed), "--images", str(folder / "pictures"))
    assert synced["new"] == PRODUCTS
    again = run("catalog", "sync", catalog, str(feed), "--images", str(folder / "pictures"))
    assert (again["unchanged"], again["embedded"]) == (PRODUCTS, 0)
    key = run("key", "create", catalog, "--scope", "write")["key"]
    run("catalog", "backup", catalog, str(folder / "copy"))
    with other_site() as other:
        port = free_port()
        checked = run("doctor", catalog, *MODE, "--root-path", "/finder")
        assert checked["ok"], checked
        serve = hemline("serve", catalog, "--port", str(port), "--root-path", "/finder", *MODE)
        with (
            behind_nginx(folder, port) as front,
            (folder / "service.log").open("wb") as log,
            subprocess.Popen([*serve, "--cors", other.url], stderr=log) as service,
        ):
            try:
                wait_for(f"http://127.0.0.1:{port}/finder/readyz")
                place = f"https://shop.example:{front.rpartition(':')[2]}/finder"
                yield Shop(place, other, key, f"{front}/finder")
            finally:
                service.terminate()


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["light", "dark"])
def tab(browser: Any, request: pytest.FixtureRequest, screen: str) -> Iterator[Any]:
    """A tab that fails its test on any error that the browser tells."""
    width, height = SCREENS[screen]
    phone = {"has_touch": True, "is_mobile": True} if screen == "phone" else {}
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=request.param,
        reduced_motion="reduce", ignore_https_errors=True, **phone,
    )  # fmt: skip
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield page
    assert faults == []
    context.close()


def shot(page: Any, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/{name}.png")


def test_a_shopper_finds_and_follows_a_product(
    tab: Any, shop: Shop, request: pytest.FixtureRequest
) -> None:
    asked: list[str] = []
    tab.on("request", lambda one: asked.append(one.url))
    tab.goto(f"{shop.url}/")
    tab.wait_for_selector("#sample-list button")
    name = request.node.callspec.id
    shot(tab, f"{name}-start")
    tab.get_by_role("button", name="Orange skirt").click()
    found(tab)
    assert tab.locator(".product").count() == min(24, PRODUCTS)
    tab.wait_for_load_state("networkidle")
    shown = "all => all.filter(i => i.complete && i.naturalWidth > 0).length"
    until(tab, lambda: tab.locator(".product img").evaluate_all(shown) >= 2)
    shot(tab, f"{name}-found")
    items = tab.locator(".product").evaluate_all("all => all.map(e => e.dataset.item)")
    assert [item for item in items if item.endswith("33")], "the skirt of the photo"
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.evaluate(wide) <= 0, "it scrolls sideways"
    links = tab.locator(".product a[href^='https://shop.example/p/']")
    assert links.count() >= 1
    paper = tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
    dark = sum(int(part) for part in paper.strip("rgba()").split(",")[:3]) < 200
    assert dark == ("dark" in name)
    assert violations(tab) == []
    own = shop.url.rpartition("/finder")[0]
    assert all(url.startswith((f"{own}/finder/", "blob:", "data:")) for url in asked)


def test_an_own_photo_and_a_filter(tab: Any, shop: Shop, request: pytest.FixtureRequest) -> None:
    tab.goto(f"{shop.url}/")
    tab.wait_for_selector("#sample-list button")
    tab.set_input_files("#file", SKIRT)
    found(tab)
    first = tab.locator(".product").count()
    folded = tab.locator(".filters-button")
    if folded.is_visible():  # on a phone
        folded.click()
    menu = tab.locator("details[data-facet='brand']")
    menu.locator("summary").click()
    menu.locator(".choice").first.click()
    until(tab, lambda: 0 < tab.locator(".product").count() <= first)
    found(tab)
    shot(tab, f"{request.node.callspec.id}-filter")
    assert "f.brand=" in tab.url


def test_the_widget_on_another_origin(tab: Any, shop: Shop, request: pytest.FixtureRequest) -> None:
    tab.goto(shop.other.show(shop.url, 'data-target="#place" data-theme="auto"', "en", POLICY))
    tab.locator("hemline-widget .open").click()
    tab.locator("hemline-widget input[type=file]").last.set_input_files(SKIRT)
    tab.locator("hemline-widget .product").first.wait_for()
    tab.locator("hemline-widget .products[aria-busy=false]").wait_for()
    shown = "all => all.filter(i => i.complete && i.naturalWidth > 0).length"
    until(tab, lambda: tab.locator("hemline-widget .product img").evaluate_all(shown) >= 2)
    shot(tab, f"{request.node.callspec.id}-widget")
    links = tab.locator("hemline-widget .product a")
    assert str(links.first.get_attribute("href")).startswith("https://shop.example/p/")


def test_the_public_page_is_closed_to_changes(shop: Shop) -> None:
    headers = {"Host": "shop.example"}
    with httpx.Client(verify=False, headers=headers) as client:
        assert client.get(f"{shop.api}/v1/items").status_code == 401
        assert client.get(f"{shop.api}/metrics").status_code == 401
        assert client.delete(f"{shop.api}/v1/items/x").status_code == 401
        bearer = {"Authorization": f"Bearer {shop.key}"}
        answer = client.get(f"{shop.api}/v1/items", headers=bearer)
        assert answer.json()["counts"]["items"] == PRODUCTS
        where = {"where": "price < 40 and availability = 'In stock' and brand = 'nordlicht'"}
        some = client.get(f"{shop.api}/v1/items", headers=bearer, params=where).json()
        assert 0 < some["counts"]["items"] < PRODUCTS
