"""The page of a public service under a sub-path, and in a frame of the shop's own page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx2 as httpx
import pytest

from helpers.page_acts import found, until
from helpers.page_menu import like
from helpers.page_shop import drawn_catalog
from helpers.service_thread import listening
from hemline.service.keys import KeyRing
from hemline.service.settings import Settings

SCREENS = {"wide": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_catalog(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module", params=["", "/shop/finder"], ids=["root", "sub-path"])
def url(request: pytest.FixtureRequest, catalog: Path) -> Iterator[str]:
    with listening(Settings(catalog, port=0, public=True, root_path=request.param)) as address:
        yield address


@pytest.mark.parametrize("screen", SCREENS)
def test_a_shopper_without_a_key(browser: Any, url: str, screen: str) -> None:
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    page = context.new_page()
    answers: list[Any] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(f"{url}/")
    page.get_by_role("button", name="Orange skirt").click()
    found(page)
    assert page.url.startswith(f"{url}/?sample=")
    page.wait_for_load_state("networkidle")
    for product in page.locator(".product").all():
        product.scroll_into_view_if_needed()
    seen = "all => all.filter(i => i.complete && i.naturalWidth > 0).length"
    until(page, lambda: page.locator(".product img").evaluate_all(seen) == 24)
    pictures = [answer for answer in answers if "/v1/pictures/" in answer.url]
    assert {answer.headers["content-type"] for answer in pictures} == {"image/webp"}
    assert all("?size=320" in answer.url for answer in pictures)
    like(page)
    page.wait_for_url(f"{url}/?item=*")
    found(page)
    page.go_back()
    found(page)
    page.locator("#home").click()
    until(page, lambda: page.url == f"{url}/")
    page.reload()
    page.wait_for_selector("#sample-list button")
    assert all(answer.url.startswith((url, "blob:")) for answer in answers)
    assert [answer.url for answer in answers if answer.status >= 400] == []
    context.close()


def test_the_admin_page_asks_for_its_key(page: Any, url: str, catalog: Path) -> None:
    assert httpx.get(f"{url}/admin").status_code in (200, 401)
    key, made = KeyRing(catalog / "service").create("write")
    page.goto(f"{url}/admin")
    page.get_by_role("textbox", name="Key").fill(key)
    page.keyboard.press("Enter")
    until(page, lambda: "60\nproducts" in page.inner_text("#size"))
    until(page, lambda: page.locator("#list li").count() == 24)
    KeyRing(catalog / "service").revoke(made.id)


class Framing(BaseHTTPRequestHandler):
    """A page of another site with a frame of the address after its ``?``."""

    def do_GET(self) -> None:
        framed = unquote(self.path.partition("?")[2])
        html = f"<!doctype html><iframe src='{framed}' width=400 height=800></iframe>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(html)))
        self.end_headers()
        self.wfile.write(html)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[int]:
    """The port of another site, at 127.0.0.1 and, another origin, at localhost."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Framing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("host", "named"), [("127.0.0.1", True), ("localhost", False)])
def test_only_a_named_shop_embeds_the_page(
    context: Any, catalog: Path, site: int, host: str, named: bool
) -> None:
    origin = f"http://127.0.0.1:{site}"
    with listening(Settings(catalog, port=0, public=True, frame_ancestors=(origin,))) as url:
        page = context.new_page()
        page.goto(f"http://{host}:{site}/?{quote(url)}/")
        page.wait_for_load_state("networkidle")
        frame = page.frame_locator("iframe")
        if named:
            frame.get_by_role("button", name="Orange skirt").click()
            frame.locator(".product:not(.is-waiting)").first.wait_for()
        else:
            assert frame.locator("#sample-list").count() == 0
        page.close()
